"""The measurements: each a function of its arguments that returns what goes into one JSON file."""

import resource
import time
from statistics import median

import numpy as np

import cases
import gwrsa
import ours
import peers
from _machine import peak

PEER_LIMIT = 75.0
"""Seconds after which a peer's run is cut off; what is missing is then extrapolated by its seconds a step."""


def solves(name, epsilon, *, scaling=True):
    """One solve, eight side by side, float64: on two threads, to the fixed point."""
    problem = cases.problem(name)
    out = {
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


def against_pot(name, epsilon, *, limit=PEER_LIMIT, symmetric=True, inner=None):
    """POT from start 0 to its fixed point, or until the limit; and gwrsa to the same loss."""
    problem = cases.problem(name)
    start = problem.initial_plan("random", 0, 0)
    pot = peers.pot(*cases.squares(name), start, epsilon, problem, limit=limit, symmetric=symmetric, inner=inner)
    out = {"pot": pot, "ours": ours.timed(problem, 1, epsilon, repeats=3)}
    if pot["converged"] and not pot["failed"]:
        out["ours_to_same_loss"] = ours.seconds_to_loss(problem, epsilon, pot["loss"] * (1 + 1e-4))
    else:
        # Plain steps to the fixed point are at least as many as ours, which are extrapolated ones near the end.
        steps = max(out["ours"]["outer_steps"][0], pot["outer_steps"])
        out["pot_extrapolated"] = {"outer_steps": steps, "seconds": pot["seconds_a_step"] * steps}
    return out


def against_ott(name, epsilon):
    """OTT at its default stop, and gwrsa to the loss that it reached."""
    problem = cases.problem(name)
    theirs = peers.ott(*cases.squares(name), problem.initial_plan("random", 0, 0), epsilon, problem)
    return {"ott": theirs, "ours_to_same_loss": ours.seconds_to_loss(problem, epsilon, theirs["loss"] * (1 + 1e-4))}


def against_torch(name, epsilon):
    """Twenty lines of torch to the fixed point."""
    problem = cases.problem(name)
    start = problem.initial_plan("random", 0, 0)
    return {
        "torch": peers.torch_plain(*cases.squares(name), start, epsilon, problem),
        "ours": ours.timed(problem, 1, epsilon),
    }


def published():
    """R3 in POT, whose inner loop ends at 1,000 iterations before it has the marginals: the published figures, and gwrsa's fixed point."""
    import ot

    c1, c2 = cases.squares("R3")
    problem = cases.problem("R3")
    groups = gwrsa.load_categories(cases.DATA / "categories28_singlelabel.csv").members
    n = len(c1)
    p = np.full(n, 1 / n)
    last = {}
    pot = peers.pot(
        c1,
        c2,
        problem.initial_plan("random", 0, 0),
        2.0,
        problem,
        tol=1e-4,
        limit=420,
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
        "timed": ours.timed(problem, 1, 2.0, repeats=3),
    }


def limit(name, epsilon):
    """Share of the machine's limit a phase, on one and on two threads."""
    problem = cases.problem(name)
    out = []
    for threads in (1, 2):
        measured = peak(threads)
        out.append({"peak": measured} | ours.share_of_limit(problem, epsilon, measured, threads=threads))
    return out


def overhead():
    """R4: 200 objects, 1,000 random starts; POT on five of them."""
    problem = cases.problem("R4")
    c1, c2 = cases.squares("R4")
    epsilon = 0.2 * problem.critical_epsilon()
    ends, seconds = ours.solve(problem, ours.random_starts(1000), [epsilon] * 1000)
    sample = [peers.pot(c1, c2, problem.initial_plan("random", 0, i), epsilon, problem, limit=20) for i in range(5)]
    return {
        "epsilon": epsilon,
        "seconds": seconds,
        "converged": sum(e.status == "converged" for e in ends),
        "outer_steps": sum(e.n_outer for e in ends),
        "pot_sample": [_short(s) for s in sample],
        "loss_differences": [
            abs(s["loss"] - e.gw_loss) / s["loss"] for s, e in zip(sample, ends, strict=False) if s["loss"]
        ],
        "pot_seconds_extrapolated": 1000 * float(np.mean([s["seconds"] for s in sample])),
    }


def size(n):
    """R5: n simulated objects, rank 66, 20 outer steps from a random start; seconds a step, peak memory."""
    source, target = cases.simulated(n)
    began = time.perf_counter()
    end = gwrsa.entropic_gw(source, target, epsilon=_epsilon_of(source, target), init="random", max_outer=20, tol=1e-12)
    whole = time.perf_counter() - began
    phases = dict(end.phases)
    loop = sum(seconds for phase, seconds in phases.items() if phase not in {"start", "evaluation"})
    return {
        "n": n,
        "outer_steps": end.n_outer,
        "sweeps": end.n_sinkhorn,
        "status": end.status,
        "seconds": whole,
        "seconds_a_step": loop / end.n_outer,
        "gw_loss": end.gw_loss,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def _epsilon_of(source, target):
    from gwrsa.solve import build_problem

    chosen = range(2000)
    return 0.2 * build_problem(source.select(chosen), target.select(chosen)).critical_epsilon()


def search(name, level, seeds):
    """`align` with its defaults at one epsilon, from several seeds."""
    source, target = cases.pair(name)
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


def multistart(n_starts=100, n_pot=5):
    """The literature's protocol on R1, and POT on a sample of its starts."""
    source, target = cases.pair("R1")
    c1, c2 = cases.squares("R1")
    problem = cases.problem("R1")
    began = time.perf_counter()
    found = gwrsa.align(source, target, search="multistart", n_starts=n_starts, progress=False)
    seconds = time.perf_counter() - began
    sample = []
    for number in np.linspace(0, n_starts - 1, n_pot).astype(int):
        start = found.starts[number]
        pot = peers.pot(
            c1, c2, problem.initial_plan("random", 0, int(number)), start.solution.epsilon, problem, limit=150
        )
        sample.append(
            {
                "start": int(number),
                "epsilon": start.solution.epsilon,
                "pot": _short(pot),
                "ours": start.gw_loss,
                "ours_seconds": start.solution.seconds,
            }
        )
    return {
        "seconds": seconds,
        "starts": n_starts,
        "converged": int((found.table["status"] == "converged").sum()),
        "losses": found.table["gw_loss"].tolist(),
        "epsilons": found.table["epsilon"].tolist(),
        "pot_sample": sample,
        "pot_seconds_extrapolated": n_starts * float(np.mean([s["pot"]["seconds"] for s in sample])),
    }


def loss_against_time(epsilon=2e-3):
    """R1: lowest loss so far against wall time, for `align` with its defaults and for random starts at the same epsilon."""
    source, target = cases.pair("R1")
    out = {}
    for label, settings in (("anneal", {}), ("multistart", {"search": "multistart", "n_starts": 20})):
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


def polished(name="R1", epsilon=1e-3):
    """From the entropic plan of lowest loss to a permutation; POT's conditional gradient from the same plan."""
    import ot

    source, target = cases.pair(name)
    found = gwrsa.align(source, target, epsilon=epsilon, absolute=True, progress=False)
    plan = found.lowest_loss.plan
    c1, c2 = cases.squares(name)
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        end = gwrsa.polish(plan, source, target)
        seconds.append(time.perf_counter() - began)
    began = time.perf_counter()
    p = np.full(len(c1), 1 / len(c1))
    theirs = ot.gromov.gromov_wasserstein(c1, c2, p, p, "square_loss", symmetric=True, G0=plan, max_iter=100)
    pot_seconds = time.perf_counter() - began
    problem = cases.problem(name)
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
