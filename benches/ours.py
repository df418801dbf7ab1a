"""Timing of gwrsa, and its share of what the machine could do."""

import time
from statistics import median

from cases import TOL

PHASES = ("start", "products", "kernel", "sweeps", "summary", "evaluation")


def solve(problem, starts, epsilons, *, threads=2, precision="mixed", tol=TOL, max_outer=1000):
    """Ends of the starts, one epsilon each, and the wall time of all."""
    began = time.perf_counter()
    ends = problem.solve(
        [(start, [epsilon]) for start, epsilon in zip(starts, epsilons, strict=True)],
        precision=precision,
        tol=tol,
        max_outer=max_outer,
        max_sinkhorn=1000,
        level_tol=1e-2,
        level_max_outer=25,
        threads=threads,
    )
    return ends, time.perf_counter() - began


def random_starts(n):
    """The literature's starts; number 0 is the one that all solvers are given."""
    return [("random", 0, i) for i in range(n)]


def timed(problem, n_starts, epsilon, *, repeats=5, **settings):
    """Median seconds a start of `repeats` runs, and how they ended."""
    runs = [solve(problem, random_starts(n_starts), [epsilon] * n_starts, **settings) for _ in range(repeats)]
    ends = runs[0][0]
    return {
        "seconds_a_start": median(seconds for _, seconds in runs) / n_starts,
        "losses": [e.gw_loss for e in ends],
        "status": sorted({e.status for e in ends}),
        "outer_steps": [e.n_outer for e in ends],
        "sweeps": [e.n_sinkhorn for e in ends],
    }


def scaling(problem, n_starts, epsilon, *, repeats=5, **settings):
    """Median ratio of the times on one and on two threads, in turn."""
    ratios = []
    for _ in range(repeats):
        one, two = (
            solve(problem, random_starts(n_starts), [epsilon] * n_starts, threads=t, **settings)[1] for t in (1, 2)
        )
        ratios.append(one / two)
    return median(ratios)


def first(reached, most):
    """The least number of steps, at most `most`, for which `reached(steps)`, which then stays so; None: none."""
    low, high = 1, 1
    while not reached(high):
        low, high = high + 1, 2 * high
        if high > most:
            return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle + 1, high)
    return high


def seconds_to_loss(problem, epsilon, loss, **settings):
    """Seconds (median of 3) and outer steps of the shortest solve from start 0 whose loss is at most `loss`."""

    def reached(steps):
        return solve(problem, random_starts(1), [epsilon], max_outer=steps, **settings)[0][0].gw_loss <= loss

    high = first(reached, 4096)
    if high is None:
        return {"seconds": None, "outer_steps": None}
    seconds = median(solve(problem, random_starts(1), [epsilon], max_outer=high, **settings)[1] for _ in range(3))
    return {"seconds": seconds, "outer_steps": high}


def share_of_limit(problem, epsilon, peak, *, threads, repeats=3):
    """The fastest of `repeats` solves, as `at_limit` sees it."""
    ends = [solve(problem, random_starts(1), [epsilon], threads=threads)[0][0] for _ in range(repeats)]
    best = min(ends, key=lambda end: end.seconds)
    return {"threads": threads} | at_limit(best, problem.shape, problem.ranks, peak)


def at_limit(end, shape, ranks, peak):
    """Time that flops at the measured peak of matrix products, plus bytes at the measured bandwidth, would take; over the time taken.

    Flops: products 2 r m^2 (dense C2 of m objects; 4 r m r2 when factored), kernel 2 (r + 1) n m + 20 an exponential, summary 2 r n m.
    For two dense costs 2 n^2 m + 2 n m^2 of products and no others. Bytes: the float32 kernel is written once and read once an outer
    step, and read once in each sweep but the first, which runs while its rows are in cache. Set-up and evaluation have no limit of
    their own and count with their whole time.
    """
    n, m = shape
    r, r2 = sorted(ranks)
    steps, sweeps = end.n_outer, end.n_sinkhorn - end.n_outer
    factored = r < min(n, m)
    products = (2 * r * m * m if r2 >= m else 4 * r * m * r2) if factored else 2 * n * n * m + 2 * n * m * m
    flops = {
        "products": products * steps,
        "kernel": ((2 * (r + 1) if factored else 0) + 20) * n * m * steps,
        "summary": 2 * r * n * m * steps if factored else 0,
    }
    size = 4 * n * m
    bytes_ = {"kernel": size * steps, "summary": size * steps, "sweeps": size * sweeps}
    limit = {
        phase: flops.get(phase, 0) / (peak["gflops"] * 1e9) + bytes_.get(phase, 0) / (peak["gb_per_s"] * 1e9)
        for phase in PHASES
    }
    spent = dict(end.phases)
    solving = [p for p in PHASES if p not in {"start", "evaluation"}]
    return {
        "outer_steps": steps,
        "sweeps": end.n_sinkhorn,
        "seconds": spent,
        "seconds_at_limit": limit,
        "share": {p: limit[p] / spent[p] for p in solving if spent[p] > 0},
        "share_of_outer_loop": sum(limit[p] for p in solving) / sum(spent[p] for p in solving),
        "share_with_start_and_evaluation": sum(limit.values()) / sum(spent.values()),
    }
