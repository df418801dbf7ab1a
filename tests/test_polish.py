"""Polishing: never up, to a permutation no swap improves, and where POT's Frank-Wolfe goes."""

import dataclasses
import itertools
import json
import warnings

import numpy as np
import ot
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import gwrsa
from brute_force import gw_loss, lowest_permutation
from gwrsa import _core, polishing
from gwrsa.cli import app
from problems import asymmetric, distances, points, weights


def uniform(n):
    return np.full(n, 1 / n)


def of_permutation(s):
    return np.eye(len(s))[np.asarray(s)] / len(s)


def pair(n, symmetric, seed):
    make = (lambda k: distances(n, seed=k)) if symmetric else (lambda k: asymmetric(n, k))
    return make(seed), make(seed + 1000)


def entropic(c1, c2, ratio=0.1, init="profile"):
    n = len(c1)
    critical = _core.Problem(c1, c2, uniform(n), uniform(n)).critical_epsilon()
    return gwrsa.entropic_gw(c1, c2, epsilon=ratio * critical, init=init)


def swapped(s, r, t):
    out = np.array(s)
    out[[r, t]] = out[[t, r]]
    return out


@given(st.integers(2, 9), st.integers(0, 100))
def test_swap_gains_are_the_differences_of_two_losses(n, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, n, n))  # neither symmetric nor of zero diagonal
    gains = polishing.swap_gains(a, b, a @ b.T + a.T @ b)
    before = ((a - b) ** 2).sum()
    for r, t in itertools.product(range(n), repeat=2):
        s = swapped(np.arange(n), r, t)
        assert gains[r, t] == pytest.approx(before - ((a - b[np.ix_(s, s)]) ** 2).sum(), abs=1e-10)


@given(st.integers(2, 12), st.booleans(), st.integers(0, 100))
def test_loss_never_rises(n, symmetric, seed):
    c1, c2 = pair(n, symmetric, seed)
    start = _core.Problem(c1, c2, uniform(n), uniform(n)).initial_plan("random", seed, 0)
    end = gwrsa.polish(start, c1, c2)
    assert end.start_loss == pytest.approx(gw_loss(c1, c2, start), rel=1e-9)
    assert end.gw_loss == pytest.approx(gw_loss(c1, c2, end.plan), rel=1e-9, abs=1e-12)
    assert end.gw_loss <= end.frank_wolfe_loss + 1e-12
    assert end.frank_wolfe_loss <= end.start_loss + 1e-12
    assert (end.permutation is not None) == (end.kind == "permutation")
    assert np.abs(end.plan.sum(axis=0) * n - 1).max() < 1e-9
    assert np.abs(end.plan.sum(axis=1) * n - 1).max() < 1e-9
    if end.permutation is not None:
        assert sorted(end.permutation) == list(range(n))


@given(st.booleans(), st.integers(0, 100))
def test_no_swap_improves_a_permutation_of_six(symmetric, seed):
    c1, c2 = pair(6, symmetric, seed)
    end = gwrsa.polish(entropic(c1, c2), c1, c2)
    lowest = gw_loss(c1, c2, of_permutation(lowest_permutation(c1, c2)))
    if end.permutation is None:
        assert np.count_nonzero(end.plan > 1e-9) > 6
        return
    assert end.gw_loss >= lowest - 1e-12
    for r, t in itertools.combinations(range(6), 2):
        assert gw_loss(c1, c2, of_permutation(swapped(end.permutation, r, t))) >= end.gw_loss - 1e-12


def test_distances_end_at_permutations_that_no_swap_improves():
    n_permutations = 0
    for seed in range(10):
        c1, c2 = pair(6, symmetric=True, seed=seed)
        end = gwrsa.polish(entropic(c1, c2), c1, c2)
        if end.permutation is not None:
            n_permutations += 1
            others = [swapped(end.permutation, r, t) for r, t in itertools.combinations(range(6), 2)]
            assert min(gw_loss(c1, c2, of_permutation(s)) for s in others) >= end.gw_loss - 1e-12
    assert n_permutations >= 8


def test_polishing_the_lowest_permutation_stays_there():
    c1, c2 = (points_cost(6, seed) for seed in (1, 2))
    lowest = lowest_permutation(c1, c2)
    end = gwrsa.polish(of_permutation(lowest), c1, c2)
    assert tuple(end.permutation) == lowest
    assert (end.n_swaps, end.kind) == (0, "permutation")


def points_cost(n, seed):
    """Squared distances: the loss is concave, so that a permutation is among the best plans."""
    return distances(n, seed=seed) ** 2


def test_swaps_reach_what_frank_wolfe_does_not():
    c1, c2 = points_cost(60, 1), points_cost(60, 2)
    ends = [gwrsa.polish(entropic(c1, c2, init="permutation", ratio=r), c1, c2) for r in (0.05, 0.2, 0.5)]
    assert any(end.n_swaps > 0 and end.gw_loss < end.frank_wolfe_loss for end in ends)


@given(st.integers(8, 40), st.booleans(), st.integers(0, 100))
def test_a_planted_permutation_is_found(n, symmetric, seed):
    c1, _ = pair(n, symmetric, seed)
    planted = np.random.default_rng(seed).permutation(n)
    c2 = np.empty_like(c1)
    c2[np.ix_(planted, planted)] = c1
    # From the planted basin: what is tested is the polish, not the search.
    blurred = gwrsa.entropic_gw(c1, c2, epsilon=1e-2 * c1.var(), init=of_permutation(planted))
    end = gwrsa.polish(blurred, c1, c2)
    assert end.permutation.tolist() == planted.tolist()
    assert end.gw_loss == 0
    assert end.start_loss > 0


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("n", [100, 200])
def test_frank_wolfe_is_that_of_pot(n, symmetric):
    c1, c2 = pair(n, symmetric, 1)
    start = entropic(c1, c2).plan
    end = gwrsa.polish(start, c1, c2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, log = ot.gromov.gromov_wasserstein(c1, c2, G0=start, symmetric=symmetric, log=True, tol_abs=1e-12)
    assert end.frank_wolfe_loss < 0.9 * end.start_loss
    assert end.frank_wolfe_loss == pytest.approx(log["gw_dist"], rel=1e-6)


@pytest.mark.parametrize("sides", list(itertools.product([True, False], repeat=2)))
def test_factors_and_squares_end_alike(sides):
    embeddings = [gwrsa.Embedding(points(50, seed=seed)) for seed in (1, 2)]
    squares = [e.rdm("sqeuclidean").square() for e in embeddings]
    start = entropic(*squares)
    plain = gwrsa.polish(start, *squares)
    mixed = gwrsa.polish(
        start, *(e if f else c for e, c, f in zip(embeddings, squares, sides, strict=True)), metric="sqeuclidean"
    )
    assert mixed.gw_loss == pytest.approx(plain.gw_loss, rel=1e-9)
    assert mixed.permutation.tolist() == plain.permutation.tolist()


def test_steps_that_run_out_are_a_status():
    c1, c2 = pair(60, symmetric=True, seed=1)
    end = gwrsa.polish(entropic(c1, c2), c1, c2, max_frank_wolfe=1)
    assert (end.status, end.n_frank_wolfe) == ("max_frank_wolfe", 1)
    assert end.gw_loss < end.start_loss


def test_permuted_objects_have_the_same_end():
    c1, c2 = points_cost(40, 1), points_cost(40, 2)
    start = entropic(c1, c2).plan
    s = np.random.default_rng(0).permutation(40)
    plain, moved = gwrsa.polish(start, c1, c2), gwrsa.polish(start[s], c1[np.ix_(s, s)], c2)
    assert moved.gw_loss == pytest.approx(plain.gw_loss, rel=1e-9)
    assert moved.permutation.tolist() == plain.permutation[s].tolist()


def test_alignment_polishes_its_lowest_loss(tmp_path):
    a, b = (gwrsa.Embedding(points(40, seed=0) + 0.05 * points(40, seed=k), name=f"e{k}") for k in (1, 2))
    groups = np.arange(40) % 4
    found = gwrsa.align(a, b, metric="sqeuclidean", polish="permutation", categories=groups, progress=False)
    end, best = found.polished, found.lowest_loss
    assert end.start == best.number
    assert end.start_loss == pytest.approx(best.gw_loss, rel=1e-6)
    assert end.gw_loss < best.gw_loss
    assert end.matching == {k: gwrsa.matching_rate(end.plan, k) for k in (1, 5, 10)}
    assert end.category == {k: gwrsa.category_matching_rate(end.plan, groups, k) for k in (1, 5, 10)}
    assert end.matching[1] == (end.permutation == np.arange(40)).mean()
    folder = found.save(tmp_path)
    assert json.loads((folder / "summary.json").read_text())["polished"]["gw_loss"] == end.gw_loss
    assert (np.load(folder / "plans" / "polished.npz")["plan"] == end.plan).all()


def test_an_alignment_outlives_a_polish_that_cannot_be(monkeypatch):
    a, made = gwrsa.Embedding(points(20), name="a"), gwrsa.GWSolution.from_raw
    monkeypatch.setattr(
        gwrsa.GWSolution,
        "from_raw",
        lambda raw: dataclasses.replace(made(raw), status="numerical_error", gw_loss=np.inf),
    )
    with pytest.warns(UserWarning, match="nothing was polished: all 2 starts failed"):
        found = gwrsa.align(a, a, n_starts=2, polish="permutation", progress=False)
    assert found.polished is None
    assert found.table["failed"].tolist() == [True, True]


def test_alignment_is_not_polished_unless_asked():
    a = gwrsa.Embedding(points(20), name="a")
    assert gwrsa.align(a, a, n_starts=1, progress=False).polished is None


def test_command_line_prints_what_was_polished(tmp_path):
    paths = [gwrsa.Embedding(points(40) + 0.05 * points(40, seed=k)).save(tmp_path / f"{k}.npz") for k in (1, 2)]
    arguments = ["align", *map(str, paths), "--no-progress", "--starts", "2", "--out"]
    runner = CliRunner()
    plain, asked = (
        runner.invoke(app, [*arguments, str(tmp_path / "plain")]),
        runner.invoke(app, [*arguments, str(tmp_path / "out"), "--polish"]),
    )
    assert (plain.exit_code, asked.exit_code) == (0, 0), asked.output
    assert "polished" not in plain.output
    (line,) = (line for line in asked.output.splitlines() if line.startswith("polished "))
    assert "polished: a permutation names one target an object" in asked.output
    saved = json.loads((tmp_path / "out" / "summary.json").read_text())["polished"]
    assert line.split()[1:5] == [str(saved["start"]), f"{saved['gw_loss']:.6f}", "none", f"{saved['top1']:.2%}"]


def test_invalid_arguments_are_named():
    c = distances(5)
    plan = np.full((5, 5), 1 / 25)
    for arguments, settings, message in [
        ((plan, c, distances(4)), {}, "as many source as target objects, got 5 and 4"),
        ((plan[:4], c, c), {}, r"plan must have shape \(5, 5\), got \(4, 5\)"),
        ((plan * 2, c, c), {}, "plan must have row sums of 1/n, 0.2, got 0.4"),
        ((np.outer(uniform(5), weights(5)), c, c), {}, "plan must have column sums of 1/n"),
        ((np.eye(5) * 0.2 + (np.eye(5) - np.roll(np.eye(5), 1, 0)) * 0.1, c, c), {}, "not be negative"),
        ((plan, c, c * 1e150), {}, r"c2 must have entries of at most 1e\+70 in size for polish, got"),
        ((plan, c * 1e170, c), {}, r"c1 must have entries of at most 1e\+70 in size for polish, got"),
        ((plan, c, c), {"tol": 0}, "tol must be positive"),
        ((plan, c, c), {"max_frank_wolfe": 0}, "max_frank_wolfe must be at least 1, got 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            gwrsa.polish(*arguments, **settings)
    a, b = gwrsa.Embedding(points(5)), gwrsa.Embedding(points(4))
    with pytest.raises(ValueError, match="as many source as target objects, got 5 and 4"):
        gwrsa.align(a, b, polish="permutation", progress=False)
    with pytest.raises(ValueError, match="q must be uniform"):
        gwrsa.align(a, a, q=weights(5), polish="permutation", progress=False)
    with pytest.raises(ValueError, match="polish must be one of 'permutation', got 'swaps'"):
        gwrsa.align(a, a, polish="swaps", progress=False)


@pytest.mark.parametrize("seed", [13, 85, 1461, 1629])
def test_where_all_permutations_are_the_same_it_rests_without_a_warning(seed):
    # Rounding leaves these a slope below 0 on a straight line.
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 6))
    constant, x = np.full((n, n), rng.random()), rng.random((n, 2))
    c = np.linalg.norm(x[:, None] - x, axis=-1)
    end = gwrsa.polish(np.full((n, n), 1 / n**2), constant, c)
    assert end.status == "converged"
    assert end.gw_loss == pytest.approx(((constant - c) ** 2).mean(), rel=1e-12)
