"""The measurements: each a function of its arguments that returns what goes into one JSON file."""

import resource
import time
from statistics import median

import numpy as np

import cases
import gwrsa
import ours
import peers
import plain
from _machine import last_level_cache, peak


def solves(name, epsilon, *, scaling=True, n=None):
    """One solve, eight side by side, float64: on two threads, to the fixed point; and how long making the problem takes."""
    problem = cases.problem(name, n)
    out = {
        "building": cases.building(name, n),
        "one": ours.timed(problem, 1, epsilon),
        "eight": ours.timed(problem, 8, epsilon, repeats=2),
        "float64": ours.timed(problem, 1, epsilon, precision="float64", repeats=3),
    }
    if scaling:
        out["two_threads_over_one"] = {
            "one_solve": ours.scaling(problem, 1, epsilon),
            "eight_solves": ours.scaling(problem, 8, epsilon, repeats=3),
        }
    return out


def against_pot(name, epsilon, *, limit, symmetric=True, inner=None, n=None):
    """POT from start 0 to its fixed point, or until the limit and extrapolated; and gwrsa to the same loss."""
    problem = cases.problem(name, n)
    start = problem.initial_plan("random", 0, 0)
    last = {}
    pot = peers.pot(
        *cases.squares(name, n),
        start,
        epsilon,
        problem,
        limit=limit,
        symmetric=symmetric,
        inner=inner,
        visit=lambda _, plan: last.update(plan=plan),
    )
    out = {"pot": pot, "building": cases.building(name, n), "ours": ours.timed(problem, 1, epsilon, repeats=3)}
    if pot["failed"]:
        return out
    if pot["converged"]:
        out["plain_steps"] = plain.to_fixed_point(problem, epsilon)
        loss = pot["loss"] * (1 + 1e-4)
    else:
        out["pot_extrapolated"] = plain.pot_to_the_end(problem, epsilon, pot, last["plan"])
        loss = out["pot_extrapolated"].get("loss", out["ours"]["losses"][0]) * (1 + 1e-4)
    reached = (seconds for seconds, here, _ in pot["curve"] if here is not None and here <= loss)
    seconds = next(reached, None)
    # Not reached before the cut: it takes at least as long as it ran.
    out["pot_to_loss"] = {"seconds": seconds or pot["seconds"], "at_least": seconds is None}
    out["ours_to_same_loss"] = ours.seconds_to_loss(problem, epsilon, loss)
    return out


def against_ott(name, epsilon, *, low_rank_iterations=1000, n=None):
    """OTT at its default stop, and gwrsa to the loss that it reached; OTT's low-rank solver from a start of its own."""
    problem = cases.problem(name, n)
    squares = cases.squares(name, n)
    theirs = peers.ott(*squares, problem.initial_plan("random", 0, 0), epsilon, problem)
    return {
        "ott": theirs,
        "building": cases.building(name, n),
        "ours_to_same_loss": ours.seconds_to_loss(problem, epsilon, theirs["loss"] * (1 + 1e-4)),
        "low_rank": peers.ott_low_rank(*squares, problem, iterations=low_rank_iterations),
    }


def against_torch(name, epsilon, *, n=None):
    """Twenty lines of torch to the fixed point."""
    problem = cases.problem(name, n)
    start = problem.initial_plan("random", 0, 0)
    return {
        "torch": peers.torch_plain(*cases.squares(name, n), start, epsilon, problem),
        "building": cases.building(name, n),
        "ours": ours.timed(problem, 1, epsilon),
    }


def published(*, limit=420, n=None):
    """R3 in POT, whose inner loop ends at 1,000 iterations before it has the marginals: the published figures, and gwrsa's fixed point."""
    import ot

    c1, c2 = cases.squares("R3", n)
    problem = cases.problem("R3", n)
    items = cases.pair("R3", n)[0].items
    groups = gwrsa.load_categories(cases.DATA / "categories28_singlelabel.csv").select(items).members
    p = np.full(len(c1), 1 / len(c1))
    last = {}
    pot = peers.pot(
        c1,
        c2,
        problem.initial_plan("random", 0, 0),
        2.0,
        problem,
        tol=1e-4,
        limit=limit,
        visit=lambda _, plan: last.update(plan=plan),
    )

    def rates(plan):
        return {
            "matching": [100 * gwrsa.matching_rate(plan, k) for k in (1, 5, 10)],
            "category": [100 * gwrsa.category_matching_rate(plan, groups, k=k) for k in (1, 5, 10)],
        }

    end = ours.solve(problem, ours.random_starts(1), [2.0])[0][0]
    constant = ot.gromov.init_matrix(c1, c2, p, p, "square_loss")
    return {
        "pot": pot
        | rates(last["plan"])
        | {
            "loss_as_pot_reports_it": float(ot.gromov.gwloss(*constant, last["plan"])),
            "column_error": float(np.abs(last["plan"].sum(0) - p).sum()),
        },
        "ours": rates(end.plan()) | {"loss": end.gw_loss, "marginal_error": end.marginal_error, "status": end.status},
        "building": cases.building("R3", n),
        "timed": ours.timed(problem, 1, 2.0, repeats=3),
    }


def limit(name, epsilon, *, repeats=8, n=None):
    """Share of the machine's limit a phase, on one and on two threads."""
    problem = cases.problem(name, n)
    out = []
    for threads in (1, 2):
        measured = peak(threads, repeats=repeats)
        out.append({"peak": measured} | ours.share_of_limit(problem, epsilon, measured, threads=threads))
    return out


def overhead(*, n_starts=1000, limit=20.0, n=None):
    """R4: 200 objects, 1,000 random starts; POT on five of them."""
    problem = cases.problem("R4", n)
    c1, c2 = cases.squares("R4", n)
    epsilon = 0.2 * problem.critical_epsilon()
    ends, seconds = ours.solve(problem, ours.random_starts(n_starts), [epsilon] * n_starts)
    sample = [peers.pot(c1, c2, problem.initial_plan("random", 0, i), epsilon, problem, limit=limit) for i in range(5)]
    return {
        "epsilon": epsilon,
        "starts": n_starts,
        "building": cases.building("R4", n),
        "seconds": seconds,
        "converged": sum(e.status == "converged" for e in ends),
        "outer_steps": sum(e.n_outer for e in ends),
        "pot_sample": [_short(s) for s in sample],
        "loss_differences": [
            abs(s["loss"] - e.gw_loss) / s["loss"] for s, e in zip(sample, ends, strict=False) if s["loss"]
        ],
        "pot_seconds_extrapolated": n_starts * float(np.mean([s["seconds"] for s in sample])),
    }


def size(n, *, repeats=8):
    """R5: n simulated objects, rank 66, 10 outer steps from a random start; seconds a step, peak memory, and what the machine allows.

    After 20 the smaller ones stand still, and steps are sweeps that look for what float32 cannot tell.
    In the first step the memory is touched for the first time: here that takes the longer the more of it there is, whatever is computed.
    It is made once more alone, so that the others can be told from it.
    """
    source, target = cases.simulated(n)
    epsilon = _epsilon_of(source, target)
    began = time.perf_counter()
    end = gwrsa.entropic_gw(source, target, epsilon=epsilon, init="random", max_outer=10, tol=1e-12)
    whole = time.perf_counter() - began
    first = _loop(gwrsa.entropic_gw(source, target, epsilon=epsilon, init="random", max_outer=1, tol=1e-12))
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    rank = source.values.shape[1]
    # Bandwidth of an array as large as the kernel: what fits the cache is read faster. Beyond 1 GB nothing changes.
    measured = peak(2, n_entries=min(n * n, 2**28), repeats=repeats)
    loop = _loop(end)
    return {
        "n": n,
        "status": end.status,
        "seconds": whole,
        "seconds_a_step": loop / end.n_outer,
        "seconds_first_step": first,
        "seconds_a_later_step": max(0.0, loop - first) / max(1, end.n_outer - 1),
        "gw_loss": end.gw_loss,
        "peak_gib": peak_gib,
        "kernel_mib": 4 * n * n / 2**20,
        "cache_mib": last_level_cache() / 2**20,
        "peak": measured,
        "limit": ours.at_limit(end, (n, n), (rank, rank), measured),
    }


def _loop(end):
    """Seconds in outer steps."""
    return sum(seconds for phase, seconds in end.phases.items() if phase not in {"start", "evaluation"})


def _epsilon_of(source, target):
    from gwrsa.solve import build_problem

    chosen = range(min(2000, len(source)))
    return 0.2 * build_problem(source.select(chosen), target.select(chosen)).critical_epsilon()


def search(name, level, seeds, *, n=None):
    """`align` with its defaults at one epsilon, from several seeds."""
    source, target = cases.pair(name, n)
    epsilon = cases.SEARCH_EPSILONS[level]
    runs = []
    for seed in range(seeds):
        began = time.perf_counter()
        found = gwrsa.align(source, target, epsilon=epsilon, absolute=True, seed=seed, progress=False)
        best = found.lowest_loss
        runs.append(
            {
                "seed": seed,
                "seconds": time.perf_counter() - began,
                "loss": best.gw_loss,
                "init": best.init,
                "outer_steps": int(found.table["n_outer"].sum()),
            }
        )
    known = cases.LOWEST_KNOWN[name][level]
    return {
        "pair": name,
        "epsilon": epsilon,
        "known": known,
        "worst_ratio": max(r["loss"] for r in runs) / known,
        "runs": runs,
    }


def multistart(*, n_starts=100, n_pot=5, limit=40.0, n=None):
    """The literature's protocol on R1, and POT on a sample of its starts: to the end, or until the limit and extrapolated."""
    source, target = cases.pair("R1", n)
    squares = cases.squares("R1", n)
    problem = cases.problem("R1", n)
    began = time.perf_counter()
    found = gwrsa.align(source, target, search="multistart", n_starts=n_starts, progress=False)
    seconds = time.perf_counter() - began
    sample = []
    for number in np.linspace(0, n_starts - 1, n_pot).astype(int).tolist():
        ours_here = found.starts[number]
        epsilon, last = ours_here.solution.epsilon, {}
        pot = peers.pot(
            *squares,
            problem.initial_plan("random", 0, number),
            epsilon,
            problem,
            limit=limit,
            visit=lambda _, plan, last=last: last.update(plan=plan),
        )
        row = {"start": number, "epsilon": epsilon, "pot": _short(pot), "ours": ours_here.gw_loss}
        if not pot["converged"] and not pot["failed"]:
            row["pot_extrapolated"] = plain.pot_to_the_end(problem, epsilon, pot, last["plan"], start=number)
        row["pot_seconds"] = row.get("pot_extrapolated", pot)["seconds"]
        sample.append(row | {"ours_seconds": ours_here.solution.seconds})
    return {
        "seconds": seconds,
        "starts": n_starts,
        "converged": int((found.table["status"] == "converged").sum()),
        "losses": found.table["gw_loss"].tolist(),
        "epsilons": found.table["epsilon"].tolist(),
        "pot_sample": sample,
        "pot_seconds_extrapolated": n_starts * float(np.mean([row["pot_seconds"] for row in sample])),
    }


def loss_against_time(epsilon, *, n_starts=20, n=None):
    """R1: lowest loss so far against wall time, for `align` with its defaults and for random starts at the same epsilon."""
    source, target = cases.pair("R1", n)
    out = {}
    for label, settings in (("anneal", {}), ("multistart", {"search": "multistart", "n_starts": n_starts})):
        began = time.perf_counter()
        found = gwrsa.align(source, target, epsilon=epsilon, absolute=True, progress=False, **settings)
        out[label] = {
            "seconds": time.perf_counter() - began,
            "loss": found.lowest_loss.gw_loss,
            "start_seconds": found.table["seconds"].tolist(),
            "start_losses": found.table["gw_loss"].tolist(),
        }
    return {"epsilon": epsilon} | out


def planted(n=150, dims=6, repeats=3):
    """A known permutation under growing noise: share of objects found, against what knowing the permutation but one pair would give."""
    rng = np.random.default_rng(0)
    rows = []
    for noise in (0.0, 0.05, 0.1, 0.2, 0.3, 0.45, 0.7, 1.0):
        found, bound = [], []
        for seed in range(repeats):
            points = rng.standard_normal((n, dims))
            other = points + noise * rng.standard_normal((n, dims))
            order = rng.permutation(n)
            result = gwrsa.align(
                gwrsa.Embedding(points).rdm("euclidean"),
                gwrsa.Embedding(other[order]).rdm("euclidean"),
                epsilon=0.01,
                seed=seed,
                progress=False,
            )
            truth = np.argsort(order)
            found.append(gwrsa.matching_rate(result.lowest_loss.plan, truth=truth))
            # Told the frame of reference: each object goes to its nearest neighbour among the noisy points.
            nearest = ((points[:, None] - other[None]) ** 2).sum(-1).argmin(1)
            bound.append(float((nearest == np.arange(n)).mean()))
        rows.append({"noise": noise, "matching": float(np.mean(found)), "nearest_neighbour": float(np.mean(bound))})
    return {"n": n, "dims": dims, "rows": rows}


def planted_limits(*, repeats=3, noise=None):
    """How far points, blocks and a ring are found again, beside what is found from the answer itself."""
    import planted

    return {"n": planted.N, "repeats": repeats, "rows": planted.rows(repeats, noise or planted.NOISE)}


def polished(name="R1", epsilon=1e-3, *, n=None):
    """From the entropic plan of lowest loss to a permutation; POT's conditional gradient from the same plan."""
    import ot

    source, target = cases.pair(name, n)
    found = gwrsa.align(source, target, epsilon=epsilon, absolute=True, progress=False)
    plan = found.lowest_loss.plan
    c1, c2 = cases.squares(name, n)
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        end = gwrsa.polish(plan, source, target)
        seconds.append(time.perf_counter() - began)
    began = time.perf_counter()
    p = np.full(len(c1), 1 / len(c1))
    theirs = ot.gromov.gromov_wasserstein(c1, c2, p, p, "square_loss", symmetric=True, G0=plan, max_iter=100)
    pot_seconds = time.perf_counter() - began
    problem = cases.problem(name, n)
    return {
        "entropic_loss": found.lowest_loss.gw_loss,
        "polished_loss": end.gw_loss,
        "seconds": median(seconds),
        "frank_wolfe": end.n_frank_wolfe,
        "swaps": end.n_swaps,
        "pot_loss": problem.gw_loss(theirs),
        "pot_seconds": pot_seconds,
    }


def _short(run):
    return {k: v for k, v in run.items() if k != "curve"}
