"""POT's functions beside their twins in gwrsa.pot: seconds, loss, and how far the plans are apart, call by call.

python benches/pot_calls.py [--table]      (about three minutes; writes results/pot_calls.json and the table of docs/from-pot.md;
                                            --table: that alone)

Human against CLIP, cosine distances, histogram-matched, of objects drawn at random (`cases.pair`). Each call is made once by either, one
after the other, on all cores, with POT's defaults but for what is written. Functions that end in 2 are given tensors of torch, and timed
with a backward pass to the costs (`sinkhorn2`: to the weights too).
"""

import argparse
import hashlib
import json
import os
import re
import time
import warnings
from pathlib import Path

import numpy as np
import ot
import torch

import cases
import gwrsa.pot as twins
from _results import FOLDER, save
from gwrsa import _core

PAGE = Path(__file__).resolve().parents[1] / "docs" / "from-pot.md"
BETWEEN = re.compile(r"(<!-- timed -->\n)(.*?)(\n<!-- /timed -->)", re.DOTALL)
SMALL, LARGE = 600, 1854
EPSILON = 5e-3
# Load of a machine that did nothing else when the measurement began.
QUIET = 0.5


def sides(n):
    """The two dissimilarity matrices, and a cost between a feature of each object: its mean dissimilarity to the others."""
    c1, c2 = cases.squares("R1", n if n < LARGE else None)
    means = c1.mean(axis=1), c2.mean(axis=1)
    return c1, c2, (means[0][:, None] - means[1]) ** 2


def calls():
    """Name, function, number of objects, options."""
    gw, fused = "entropic_gromov_wasserstein", "entropic_fused_gromov_wasserstein"
    alternating, both = "BAPG_gromov_wasserstein", "BAPG_fused_gromov_wasserstein"
    return [
        (f"`{gw}`", gw, SMALL, {"epsilon": EPSILON}),
        (f'`{gw}`, `solver="PPA"`, 100 steps', gw, SMALL, {"epsilon": 0.05, "solver": "PPA", "max_iter": 100}),
        (f'`{gw}`, `"kl_loss"`', gw, SMALL, {"epsilon": 0.02, "loss_fun": "kl_loss"}),
        (f"`{fused}`", fused, SMALL, {"epsilon": EPSILON}),
        (f"`{alternating}`, 200 steps", alternating, SMALL, {"epsilon": 2.0, "max_iter": 200}),
        (f"`{both}`, 200 steps", both, SMALL, {"epsilon": 2.0, "max_iter": 200}),
        ("`sinkhorn`", "sinkhorn", SMALL, {"reg": 1e-3, "numItermax": 10_000}),
        (f"`{gw}`, 20 steps", gw, LARGE, {"epsilon": EPSILON, "max_iter": 20}),
        (f"`{gw}2`, 20 steps, backward", f"{gw}2", SMALL, {"epsilon": EPSILON, "max_iter": 20}),
        (f"`{fused}2`, 20 steps, backward", f"{fused}2", SMALL, {"epsilon": EPSILON, "max_iter": 20}),
        (f"`{alternating}2`, 50 steps, backward", f"{alternating}2", SMALL, {"epsilon": 2.0, "max_iter": 50}),
        (f"`{both}2`, 50 steps, backward", f"{both}2", SMALL, {"epsilon": 2.0, "max_iter": 50}),
        ("`sinkhorn2`, backward", "sinkhorn2", SMALL, {"reg": 1e-3, "numItermax": 10_000}),
    ]


def once(library, name, args, options):
    """Seconds, loss and the like; the plan, None where none is returned; the gradients, if they are asked for."""
    function = getattr(library, name, None) or getattr(library.gromov, name)
    backward = name.endswith("2")
    args = [torch.tensor(x, requires_grad=True) for x in args] if backward else args
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        began = time.perf_counter()
        out, log = function(*args, **options, log=True)
        if backward:
            out.backward()
        seconds = time.perf_counter() - began
    plan = log["T"].detach().numpy() if "T" in log else None if backward else out
    if backward:
        loss = float(out.detach())
    else:
        loss = float(log.get("gw_dist", log.get("fgw_dist", np.vdot(args[2], plan) if name == "sinkhorn" else np.nan)))
    found = {
        "seconds": seconds,
        "marginal_error": None if plan is None else _off(plan),
        "loss": loss,
        "looked": len(log["err"]),
        "warned": sorted({str(w.message) for w in said}),
    }
    return found, plan, [x.grad.numpy() for x in args] if backward else []


def _off(plan):
    """L1 error of uniform marginals."""
    return float(sum(np.abs(plan.sum(axis=axis) - 1 / len(plan)).sum() for axis in (0, 1)))


def compare(label, name, n, options):
    """One call by both."""
    c1, c2, M = sides(n)
    p = np.full(n, 1 / n)
    args = (p, p, M) if "sinkhorn" in name else (M, c1, c2) if "fused" in name else (c1, c2)
    (known, theirs, slopes), (ours, plan, own) = (once(library, name, args, options) for library in (ot, twins))
    row = {"call": label, "name": name, "n": n, "options": options, "pot": known, "gwrsa": ours}
    row["plans_apart"] = None if plan is None else float(np.abs(plan - theirs).sum())
    if name == "sinkhorn2":  # of the others POT's gradients are those of another function
        row["gradients_apart"] = max(_apart(x, y) for x, y in zip(own, slopes, strict=True))
    return row


def _apart(x, known):
    """Largest difference of two gradients, of which those of weights are known up to a constant, beside the largest entry."""
    x, known = ((g - g.mean() if g.ndim == 1 else g) for g in (x, known))
    return float(np.abs(x - known).max() / np.abs(known).max())


def load():
    """What was measured."""
    return json.loads((FOLDER / "pot_calls.json").read_text())


def table(result):
    """The rows of docs/from-pot.md."""
    lines = [
        "| call | objects | POT, s | gwrsa, s | times | loss, POT | gwrsa | marginals off, POT | gwrsa | plans apart |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in result["calls"]:
        known, ours = row["pot"], row["gwrsa"]
        off = (known["marginal_error"], ours["marginal_error"], row["plans_apart"])
        lines.append(
            f"| {row['call']} | {row['n']} | {known['seconds']:.2f} | {ours['seconds']:.2f} "
            f"| {known['seconds'] / ours['seconds']:.1f} | {known['loss']:.8f} | {ours['loss']:.8f} "
            f"| {' | '.join('' if x is None else f'{x:.0e}' for x in off)} |"
        )
    return "\n".join(lines)


def told(measured):
    """Where it was measured, and the table, as the page has them."""
    result, machine = measured["result"], measured["machine"]
    found = result["load_before"]
    load = f"that did nothing else (load {found} before)."
    if found >= QUIET:
        load = f"under load ({found} before): of the times only their ratio says something."
    where = f"On {machine['cores']} cores of an {machine['processor']} {load}"
    (apart,) = (row["gradients_apart"] for row in result["calls"] if row["name"] == "sinkhorn2")
    both = f"Gradients of `sinkhorn2` differ by {apart:.0e} of the largest entry; of the others POT's are those of another function."
    return f"{where} {both}\n\n{table(result)}"


def measure():
    """All calls by both."""
    found = os.getloadavg()[0]
    twins.entropic_gromov_wasserstein(np.eye(3), np.eye(3))  # libraries are loaded outside what is timed
    ot.gromov.entropic_gromov_wasserstein(np.eye(3), np.eye(3))
    for library in (twins, ot.gromov):
        sides = [torch.eye(3, dtype=torch.float64, requires_grad=True) for _ in range(2)]
        library.entropic_gromov_wasserstein2(*sides).backward()
    rows = []
    for call in calls():
        rows.append(compare(*call))
        print(json.dumps(rows[-1]), flush=True)
    core = hashlib.sha256(Path(_core.__file__).read_bytes()).hexdigest()[:16]  # as benches/run.py has it
    save("pot_calls", {"load_before": round(found, 2), "core": core, "calls": rows})


def main():
    """Measure, save, write the table into its page."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--table", action="store_true", help="write the table of what was measured into the page only")
    if not options.parse_args().table:
        measure()
    page = PAGE.read_text()
    PAGE.write_text(BETWEEN.sub(lambda found: found[1] + told(load()) + found[3], page))
    print(told(load()))


if __name__ == "__main__":
    main()
