"""What the benches say of another solver is true of it, and their table says what was not measured or failed."""

from pathlib import Path

import numpy as np
import pytest

from problems import points

ot = pytest.importorskip("ot")


@pytest.fixture
def benches(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "benches"))
    import ours
    import peers
    import report

    return {"ours": ours, "peers": peers, "report": report}


def distances(n, seed):
    x = points(n, 3, seed=seed)
    return np.linalg.norm(x[:, None] - x, axis=2)


def test_pot_is_followed_on_its_own_way(benches):
    from gwrsa.solve import build_problem

    c1, c2 = distances(30, 1), distances(30, 2)
    problem = build_problem(c1, c2)
    start = problem.initial_plan("random", 0, 0)
    p = np.full(30, 1 / 30)
    epsilon = 0.1 * problem.critical_epsilon()
    seen = []
    run = benches["peers"].pot(
        c1, c2, start, epsilon, problem, max_steps=4, visit=lambda step, plan: seen.append((step, plan))
    )
    assert run["outer_steps"] == len(run["curve"]) == 4
    assert not run["converged"]
    for step, plan in seen:
        alone = ot.gromov.entropic_gromov_wasserstein(
            c1, c2, p, p, "square_loss", epsilon=epsilon, symmetric=True, G0=start, max_iter=step, tol=0.0, warn=False
        )
        assert np.array_equal(plan, alone)


def test_at_its_fixed_point_pot_has_our_loss(benches):
    from gwrsa.solve import build_problem

    rng = np.random.default_rng(6)
    x = rng.standard_normal((60, 2)) * (1.0, 0.6)
    c1 = np.linalg.norm(x[:, None] - x, axis=2) * (1 + 0.5 * np.tanh(x[:, 0][:, None] - x[:, 0]))
    order = rng.permutation(60)
    c2 = c1[np.ix_(order, order)] + 0.05 * rng.random((60, 60))
    problem = build_problem(c1, c2)
    epsilon = 0.2 * problem.critical_epsilon()
    start = problem.initial_plan("random", 0, 0)
    run = benches["peers"].pot(c1, c2, start, epsilon, problem, symmetric=False, inner=(20_000, 1e-10))
    end = benches["ours"].solve(problem, benches["ours"].random_starts(1), [epsilon])[0][0]
    assert run["converged"]
    assert end.status == "converged"
    assert end.gw_loss == pytest.approx(run["loss"], rel=1e-4)
    # A problem with something to find: the plan is far from the uniform one.
    assert end.plan().max() * 60**2 > 5


def test_the_table_says_what_failed_and_what_is_missing(benches):
    ended = {"seconds": 8.0, "loss": 1.0, "converged": True, "failed": False, "outer_steps": 4}
    solves = {key: {"seconds_a_start": 0.04} for key in ("one", "eight", "float64")}
    solves["two_threads_over_one"] = {"one_solve": 1.5, "eight_solves": 1.9}

    def table(pot):
        shards = {"r1_solves_1e-3": solves, "r1_solves_5e-3": solves, "r1_pot_1e-3": {"pot": pot}}
        return {what: rest for what, *rest in benches["report"].rows({k: {"result": v} for k, v in shards.items()})}

    one = next(what for what in table(ended) if what.startswith("R1, epsilon 1e-3, one solve: "))
    assert table(ended)[one] == ["200 x", ">= 100 x", True]
    assert table(ended | {"failed": True, "converged": False})[one] == ["the other solver failed", ">= 100 x", None]
    assert table(ended)["R1: two threads over one, one solve"][-1] is False
    assert table(ended)["R1: two threads over one, eight solves"][-1] is True
    assert table(ended)["Polish, 1,854 objects"] == ["not measured", "<= 30 s", None]
