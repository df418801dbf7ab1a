"""Seconds and loss to the same fixed point as POT, from the same start: 1,854 objects, human against CLIP, histogram-matched.

python benches/vs_pot.py [--data FOLDER] [--pot-starts 1] [--quick]

A start ends when the plan's relative change in an outer step is 1e-5. POT measures the absolute change, every tenth step; its tolerance is
set to 1e-5 of the norm of the plan that both end at. Both run on two threads, one after the other, in one process.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

import gwrsa
from _machine import describe, save
from gwrsa import _core
from gwrsa.solve import build_problem

EPSILON = 5e-3
TOL = 1e-5
THREADS = 2


def costs(folder, quick):
    """The two RDMs; a simulated pair of the same size where the data are not there."""
    if (folder / "human_spose66.npy").is_file():
        human, clip = (gwrsa.Embedding.load(folder / f"{n}.npy") for n in ("human_spose66", "model_clip_vitb32"))
        what = "THINGS: human_spose66 and model_clip_vitb32"
    else:
        from gwrsa import _simulate

        study = _simulate.study()
        human, clip = study.human, study.models[0]
        what = "simulated"
    if quick:
        human, clip = (e.select(range(300)) if e.items is None else e.select(e.items[:300]) for e in (human, clip))
    source = human.rdm()
    return source, clip.rdm().match_histogram(source), what


def ours(source, target, starts, precision):
    """Wall time of all starts at once, problem set-up included, and their losses."""
    began = time.perf_counter()
    problem = build_problem(source, target)
    ends = problem.solve(
        [(start, [EPSILON]) for start in starts],
        precision=precision,
        tol=TOL,
        max_outer=1000,
        max_sinkhorn=1000,
        level_tol=1e-2,
        level_max_outer=25,
        threads=THREADS,
    )
    seconds = time.perf_counter() - began
    return ends, {
        "seconds": round(seconds, 3),
        "seconds_a_start": round(seconds / len(starts), 3),
        "losses": [e.gw_loss for e in ends],
        "status": [e.status for e in ends],
        "outer_steps": [e.n_outer for e in ends],
    }


def pot(c1, c2, p, start, tol, problem):
    """One start of POT; a failed run is counted with the time it took."""
    import ot

    began = time.perf_counter()
    with threadpool_limits(THREADS), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        plan, log = ot.gromov.entropic_gromov_wasserstein(
            c1, c2, p, p, "square_loss", epsilon=EPSILON, symmetric=True, G0=start, max_iter=1000, tol=tol, log=True
        )
    seconds = time.perf_counter() - began
    total = float(plan.sum())
    failed = not np.isfinite(total) or abs(total - 1) > 1e-3
    loss = None if failed else problem.gw_loss(_core.round_to_marginals(plan, p, p))
    return {
        "seconds": round(seconds, 2),
        "loss": loss,
        "failed": bool(failed),
        "last_change": float(log["err"][-1]),
        "warnings": sorted({str(w.message)[:120] for w in caught}),
    }, plan


def main():
    """Run, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data" / "things")
    parser.add_argument("--pot-starts", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="300 objects, nothing saved: does the bench run?")
    args = parser.parse_args()
    source, target, what = costs(args.data, args.quick)
    c1, c2 = source.square(), target.square()
    n = len(source)
    p = np.full(n, 1 / n)
    problem = _core.Problem(c1, c2, p, p)
    starts = [problem.initial_plan("random", seed, 0) for seed in range(8)]
    ends, one = ours(source, target, starts[:1], "mixed")
    _, eight = ours(source, target, starts, "mixed")
    _, double = ours(source, target, starts[:1], "float64")
    tol = TOL * float(np.linalg.norm(ends[0].plan()))
    runs, distance = [], None
    for i in range(args.pot_starts):
        run, plan = pot(c1, c2, p, starts[i], tol, problem)
        runs.append(run)
        if i == 0:
            distance = float(np.abs(plan - ends[0].plan()).sum())
    peer = float(np.mean([r["seconds"] for r in runs]))
    result = {
        "problem": f"{what}, n = {n}, cosine, histogram-matched, epsilon {EPSILON} absolute, random start",
        "machine": describe(THREADS),
        "threads": THREADS,
        "pot": runs,
        "gwrsa_one_mixed": one,
        "gwrsa_eight_mixed": eight,
        "gwrsa_one_float64": double,
        "plan_l1_distance_to_pot": distance,
        "times_pot_one_mixed": round(peer / one["seconds_a_start"], 1),
        "times_pot_eight_mixed": round(peer / eight["seconds_a_start"], 1),
        "times_pot_one_float64": round(peer / double["seconds_a_start"], 1),
    }
    print(result["problem"])
    print(f"{'':<26}{'s a start':>10}{'x POT':>8}  loss")
    print(f"{'POT 0.9.7':<26}{peer:>10.2f}{1:>8}  {runs[0]['loss']}")
    for label, key, at in (
        ("one", "one_mixed", one),
        ("eight at once", "eight_mixed", eight),
        ("one, float64", "one_float64", double),
    ):
        print(
            f"{'gwrsa, ' + label:<26}{at['seconds_a_start']:>10.2f}{result[f'times_pot_{key}']:>8}  {at['losses'][0]}"
        )
    if not args.quick:
        print(f"written to {save('vs_pot', result).name}")


if __name__ == "__main__":
    main()
