"""POT's functions beside their twins in gwrsa.pot: seconds, loss, and how far the plans are apart, call by call.

python benches/pot_calls.py      (under two minutes; writes results/pot_calls.json and prints the table of docs/from-pot.md)

Human against CLIP, cosine distances, histogram-matched, of objects drawn at random (`cases.pair`). Each call is made once by either, one
after the other, on all cores, with POT's defaults but for what is written. Without the THINGS data the sides are simulated.
"""

import json
import time
import warnings

import numpy as np
import ot

import cases
import gwrsa.pot as twins
from _results import FOLDER, save

SMALL, LARGE = 600, 1854
EPSILON = 5e-3


def sides(n):
    """The two dissimilarity matrices, and a cost between a feature of each object: its mean dissimilarity to the others."""
    c1, c2 = cases.squares("R1", n if n < LARGE else None)
    means = c1.mean(axis=1), c2.mean(axis=1)
    return c1, c2, (means[0][:, None] - means[1]) ** 2


def calls():
    """Name, function, number of objects, options."""
    gw, fused, alternating = (
        "entropic_gromov_wasserstein",
        "entropic_fused_gromov_wasserstein",
        "BAPG_gromov_wasserstein",
    )
    return [
        (f"`{gw}`", gw, SMALL, {"epsilon": EPSILON}),
        (f'`{gw}`, `solver="PPA"`, 100 steps', gw, SMALL, {"epsilon": 0.05, "solver": "PPA", "max_iter": 100}),
        (f'`{gw}`, `"kl_loss"`', gw, SMALL, {"epsilon": 0.02, "loss_fun": "kl_loss"}),
        (f"`{fused}`", fused, SMALL, {"epsilon": EPSILON}),
        (f"`{alternating}`, 200 steps", alternating, SMALL, {"epsilon": 2.0, "max_iter": 200}),
        ("`sinkhorn`", "sinkhorn", SMALL, {"reg": 1e-3, "numItermax": 10_000}),
        (f"`{gw}`, 20 steps", gw, LARGE, {"epsilon": EPSILON, "max_iter": 20}),
    ]


def once(library, name, args, options):
    """Seconds, plan, loss, and the number of changes on record."""
    function = getattr(library, name, None) or getattr(library.gromov, name)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        began = time.perf_counter()
        plan, log = function(*args, **options, log=True)
        seconds = time.perf_counter() - began
    loss = log.get("gw_dist", log.get("fgw_dist"))
    return {
        "seconds": seconds,
        "marginal_error": float(
            np.abs(plan.sum(axis=1) - 1 / len(plan)).sum() + np.abs(plan.sum(axis=0) - 1 / len(plan)).sum()
        ),
        "loss": float(np.vdot(args[2], plan)) if loss is None else float(loss),
        "looked": len(log["err"]),
        "warned": sorted({str(w.message) for w in said}),
    }, plan


def compare(label, name, n, options):
    """One call by both."""
    c1, c2, M = sides(n)
    p = np.full(n, 1 / n)
    args = (p, p, M) if name == "sinkhorn" else (M, c1, c2) if "fused" in name else (c1, c2)
    (known, theirs), (ours, plan) = (once(library, name, args, options) for library in (ot, twins))
    apart = float(np.abs(plan - theirs).sum())
    return {"call": label, "n": n, "options": options, "pot": known, "gwrsa": ours, "plans_apart": apart}


def table(result):
    """The rows of docs/from-pot.md."""
    lines = [
        "| call | objects | POT, s | gwrsa, s | times | loss, POT | gwrsa | marginals off, POT | gwrsa | plans apart |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in result:
        known, ours = row["pot"], row["gwrsa"]
        times = known["seconds"] / ours["seconds"]
        lines.append(
            f"| {row['call']} | {row['n']} | {known['seconds']:.2f} | {ours['seconds']:.2f} | {times:.1f} "
            f"| {known['loss']:.8f} | {ours['loss']:.8f} "
            f"| {known['marginal_error']:.0e} | {ours['marginal_error']:.0e} | {row['plans_apart']:.0e} |"
        )
    return "\n".join(lines)


def main():
    """Measure, save, print."""
    twins.entropic_gromov_wasserstein(np.eye(3), np.eye(3))  # libraries are loaded outside what is timed
    ot.gromov.entropic_gromov_wasserstein(np.eye(3), np.eye(3))
    result = []
    for call in calls():
        result.append(compare(*call))
        print(json.dumps(result[-1]), flush=True)
    save("pot_calls", result)
    print(table(json.loads((FOLDER / "pot_calls.json").read_text())["result"]))


if __name__ == "__main__":
    main()
