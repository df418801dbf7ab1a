"""Run what is missing, then draw and tabulate: python benches/run.py [--fresh] [--seeds N] [--only NAME ...].

Each measurement is one JSON file in benches/results, written when it is whole, and measured again only when the core, the machine or a
version has changed. Each runs in a process of its own.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

from _machine import describe

RESULTS = Path(__file__).parent / "results"

# Name, function in `shards`, its arguments, seconds after which it is given up.
SHARDS = [
    ("r1_solves_5e-3", "solves", {"name": "R1", "epsilon": 5e-3}, 180),
    ("r1_solves_1e-3", "solves", {"name": "R1", "epsilon": 1e-3, "scaling": False}, 180),
    ("r2_solves_5e-3", "solves", {"name": "R2", "epsilon": 5e-3, "scaling": False}, 120),
    ("r1_limit", "limit", {"name": "R1", "epsilon": 5e-3}, 120),
    ("r3_limit", "limit", {"name": "R3", "epsilon": 2.0}, 180),
    ("r1_pot_5e-3", "against_pot", {"name": "R1", "epsilon": 5e-3, "limit": 240}, 600),
    ("r1_pot_1e-3", "against_pot", {"name": "R1", "epsilon": 1e-3, "limit": 100}, 300),
    ("r2_pot_5e-3", "against_pot", {"name": "R2", "epsilon": 5e-3}, 300),
    ("r6_pot", "against_pot", {"name": "R6", "epsilon": 0.05, "symmetric": False}, 240),
    ("r1_ott", "against_ott", {"name": "R1", "epsilon": 5e-3}, 240),
    ("r1_torch", "against_torch", {"name": "R1", "epsilon": 5e-3}, 300),
    ("r3_published", "published", {}, 600),
    # Its default of 1,000 iterations leaves the marginals 7e-3 off; this many reach what gwrsa's inner loop does.
    ("r3_pot", "against_pot", {"name": "R3", "epsilon": 2.0, "limit": 100, "inner": [20_000, 1e-7]}, 400),
    ("r4_overhead", "overhead", {}, 240),
    *((f"r5_{n}", "size", {"n": n}, 900) for n in (5_000, 10_000, 20_000, 40_000)),
    ("multistart", "multistart", {}, 1500),
    ("loss_against_time", "loss_against_time", {"epsilon": 1e-3}, 300),
    ("planted", "planted", {}, 240),
    ("polished", "polished", {}, 300),
]


def all_shards(seeds):
    """With a file for each pair and epsilon of the search."""
    import cases

    found = list(SHARDS)
    for name in cases.LOWEST_KNOWN:
        short = "".join(c if c.isalnum() else "_" for c in name)
        for level, epsilon in enumerate(cases.SEARCH_EPSILONS):
            arguments = {"name": name, "level": level, "seeds": seeds}
            found.append((f"search_{short}_{epsilon:g}", "search", arguments, 60 * seeds + 60))
    return found


# What of the Python side decides a result beside the core: which starts are made, and how a plan is polished.
DECIDES = {
    "search": ("schedule", "aligning", "alignment"),
    "multistart": ("schedule", "aligning", "alignment"),
    "loss_against_time": ("schedule", "aligning", "alignment"),
    "planted": ("schedule", "aligning", "alignment"),
    "polished": ("schedule", "aligning", "alignment", "polishing"),
}


# Those that time another solver depend on how it is run.
PEERS = {"against_pot", "against_ott", "against_torch", "published", "overhead", "multistart"}


def key(function, arguments):
    """What a result depends on; of the bench itself, how peers are run."""
    from gwrsa import _core

    machine, core = describe(), Path(_core.__file__)
    found = {
        "core": _digest(core),
        "processor": machine["processor"],
        "versions": machine["versions"],
        "arguments": arguments,
    }
    if function in DECIDES:
        found["python"] = _digest(*(core.parent / f"{module}.py" for module in DECIDES[function]))
    if function in PEERS:
        found["peers"] = _digest(Path(__file__).with_name("peers.py"))
    return found


def _digest(*paths):
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


def measure(name, function, arguments):
    """In this process; written whole or not at all."""
    began = time.perf_counter()
    result = getattr(import_module("shards"), function)(**arguments)
    found = {
        "key": key(function, arguments),
        "machine": describe(),
        "measured_at": time.strftime("%Y-%m-%d %H:%M"),
        "took_seconds": round(time.perf_counter() - began, 1),
        "result": result,
    }
    RESULTS.mkdir(exist_ok=True)
    part = RESULTS / f".{name}.part"
    part.write_text(json.dumps(found, indent=1) + "\n")
    part.replace(RESULTS / f"{name}.json")


def present(name, function, arguments):
    """Whether there is a result for the present core on this machine."""
    try:
        return json.loads((RESULTS / f"{name}.json").read_text())["key"] == key(function, arguments)
    except (OSError, ValueError, KeyError):
        return False


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fresh", action="store_true", help="measure everything again")
    parser.add_argument("--seeds", type=int, default=10, help="seeds of each search (default 10)")
    parser.add_argument("--only", nargs="*", default=None, help="beginnings of the names of what is to be measured")
    parser.add_argument("--quiet", action="store_true", help="neither table nor figures")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    shards = all_shards(args.seeds)
    if args.measure:
        name, function, arguments, _ = next(s for s in shards if s[0] == args.measure)
        measure(name, function, arguments)
        return
    # A build of BLAS that was chosen by hand would slow the peers down.
    environment = {k: v for k, v in os.environ.items() if k not in {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"}}
    for name, function, arguments, limit in shards:
        if args.only is not None and not any(name.startswith(o) for o in args.only):
            continue
        if not args.fresh and present(name, function, arguments):
            print(f"{name}: there")
            continue
        began = time.perf_counter()
        command = [sys.executable, __file__, "--measure", name, "--seeds", str(args.seeds)]
        try:
            code = subprocess.run(command, check=False, timeout=limit, env=environment).returncode  # noqa: S603
            how = "" if code == 0 else f" FAILED with exit code {code}"
        except subprocess.TimeoutExpired:
            how = f" GIVEN UP after {limit} s"
        print(f"{name}: {time.perf_counter() - began:.0f} s{how}", flush=True)
    if not args.quiet:
        import_module("report").main()


if __name__ == "__main__":
    main()
