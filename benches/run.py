"""Run what is missing, then draw and tabulate: python benches/run.py [--quick] [--fresh] [--seeds N] [--only NAME ...].

Each measurement is one JSON file in benches/results, written when it is whole, and measured again only when the core, the machine, a
version or the way it is measured has changed. Each runs in a process of its own; of one that fails or is given up, the file says why.
--quick: everything once, small, in about a minute, into benches/quick: a test of the bench, no measurement.
"""

import argparse
import hashlib
import inspect
import json
import os
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import _results
from _machine import describe
from table import all_shards

HERE = Path(__file__).parent

# What of the Python side decides a result beside the core: which starts are made, and how a plan is polished.
SEARCH = ("schedule", "aligning", "alignment", "kicking", "polishing")
SEARCHES = {"search", "multistart", "loss_against_time", "planted", "planted_limits", "polished"}


def key(function, arguments):
    """What a result depends on; of the bench itself, the function, the problems, and how each side is run."""
    from gwrsa import _core

    machine, core = describe(), Path(_core.__file__)
    decisive = [core.parent / f"{module}.py" for module in SEARCH]
    source = inspect.getsource(getattr(import_module("shards"), function))
    used = [
        HERE / f"{module}.py" for module in ("cases", "ours", "plain", "peers", "planted") if f"{module}." in source
    ]
    if any(f"{measured}(" in source for measured in ("peak", "last_level_cache")):
        used.append(HERE / "_machine.py")
    return {
        "core": _digest(core.read_bytes()),
        "python": _digest(*(path.read_bytes() for path in decisive if path.exists() and function in SEARCHES)),
        "bench": _digest(source.encode(), *(path.read_bytes() for path in used)),
        "processor": machine["processor"],
        "versions": machine["versions"],
        "arguments": arguments,
    }


def _digest(*parts):
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def measure(shard):
    """In this process."""
    return {"status": "ok", "result": getattr(import_module("shards"), shard.function)(**shard.arguments)}


def write(folder, shard, outcome, seconds):
    """Whole or not at all."""
    found = {
        "key": key(shard.function, shard.arguments),
        "machine": describe(),
        "measured_at": time.strftime("%Y-%m-%d %H:%M"),
        "took_seconds": round(seconds, 1),
        **outcome,
    }
    _results.write(folder / f"{shard.name}.json", found)


def present(folder, shard):
    """Whether there is a result of the present code on this machine; a failure is tried again."""
    try:
        found = json.loads((folder / f"{shard.name}.json").read_text())
        return "result" in found and found["key"] == key(shard.function, shard.arguments)
    except (OSError, ValueError, KeyError):
        return False


def attempt(folder, shard, arguments):
    """In a process of its own, for at most the shard's limit; how it ended, "" when well. A failure leaves its record."""
    # A build of BLAS that was chosen by hand would slow the peers down.
    environment = {k: v for k, v in os.environ.items() if k not in {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"}}
    command = [sys.executable, __file__, "--measure", shard.name, *arguments]
    began = time.perf_counter()
    try:
        ended = subprocess.run(  # noqa: S603
            command, check=False, timeout=shard.limit, env=environment, stderr=subprocess.PIPE, text=True
        )
    except subprocess.TimeoutExpired:
        status, reason = "given up", f"not ready after its limit of {shard.limit} s"
    else:
        if ended.returncode == 0:
            return ""
        lines = ended.stderr.strip().splitlines()
        status, reason = "failed", lines[-1][:300] if lines else f"exit code {ended.returncode}"
        print(ended.stderr, file=sys.stderr)
    write(folder, shard, {"status": status, "reason": reason}, time.perf_counter() - began)
    return f"  {status.upper()}: {reason}"


def run_all(folder, shards, arguments, *, fresh):
    """What is missing, one after the other, with the time it took, in all and still to come."""
    todo = [s for s in shards if fresh or not present(folder, s)]
    print(f"{len(shards) - len(todo)} of {len(shards)} are there; the others take about {_clock(_sum(todo))}")
    began = time.perf_counter()
    for i, shard in enumerate(todo):
        at = time.perf_counter()
        how = attempt(folder, shard, arguments)
        now = time.perf_counter()
        print(
            f"[{_clock(now - began)} of about {_clock(now - began + _sum(todo[i + 1 :]))}] "
            f"{shard.name}: {now - at:.0f} s (about {shard.seconds}){how}",
            flush=True,
        )


def _sum(shards):
    return sum(s.seconds for s in shards)


def _clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fresh", action="store_true", help="measure everything again")
    parser.add_argument("--quick", action="store_true", help="small, into benches/quick: a test of the bench")
    parser.add_argument("--seeds", type=int, default=10, help="seeds of each search (default 10)")
    parser.add_argument("--only", nargs="*", default=None, help="beginnings of the names of what is to be measured")
    parser.add_argument("--quiet", action="store_true", help="neither table nor figures")
    parser.add_argument("--results", type=Path, help="another folder for the JSON")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    folder = args.results or HERE / ("quick" if args.quick else "results")
    shards = all_shards(args.seeds, quick=args.quick)
    if args.measure:
        shard = next(s for s in shards if s.name == args.measure)
        began = time.perf_counter()
        outcome = measure(shard)
        write(folder, shard, outcome, time.perf_counter() - began)
        return
    chosen = [s for s in shards if args.only is None or any(s.name.startswith(o) for o in args.only)]
    passed = ["--seeds", str(args.seeds), "--results", str(folder), *(["--quick"] if args.quick else [])]
    run_all(folder, chosen, passed, fresh=args.fresh)
    if not args.quiet:
        # The pages are those of a true run; a quick one shows that they can be made.
        docs = folder / "docs" if args.quick or args.results else HERE.parent / "docs"
        import_module("report").main(folder, docs)


if __name__ == "__main__":
    main()
