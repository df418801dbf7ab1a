"""Many starts of one pair: both searches, how starts are made, merged, stopped and kicked."""

import dataclasses
import itertools

import numpy as np
import pytest

import gwrsa
from gwrsa import kicking, schedule, tables
from gwrsa.cli.align import choice_in_words
from gwrsa.solve import build_problem
from problems import pair, points


def test_workers_do_not_change_the_outcome():
    a, b = pair(40)
    one, two = (gwrsa.align(a, b, n_starts=4, workers=w, progress=False) for w in (1, 2))
    assert one.table.drop(columns="seconds").equals(two.table.drop(columns="seconds"))
    assert all(np.array_equal(s.plan, t.plan) for s, t in zip(one.starts, two.starts, strict=True))


@pytest.mark.parametrize("n", [49, 700])
def test_workers_do_not_change_a_bit_where_products_are_cut(n):
    rng = np.random.default_rng(0)
    a, b = gwrsa.Embedding(rng.random((n, 20))), gwrsa.Embedding(rng.random((n, 200)))
    one, *others = (
        gwrsa.align(a, b, search="multistart", n_starts=1, workers=w, progress=False).table.drop(columns="seconds")
        for w in (1, 2, 3)
    )
    assert all(one.equals(other) for other in others)


def test_more_starts_extend_fewer():
    a, b = pair(30)
    for search in ("anneal", "multistart"):
        few, many = (gwrsa.align(a, b, search=search, n_starts=n, seed=3, progress=False) for n in (3, 5))
        assert few.table["gw_loss"].tolist() == many.table["gw_loss"].tolist()[:3]


def test_multistart_is_entropic_gw_from_a_random_start():
    a, b = pair(30)
    searched = gwrsa.align(a, b, search="multistart", epsilon=0.02, absolute=True, n_starts=1, seed=5, progress=False)
    alone = gwrsa.entropic_gw(a, b, epsilon=0.02, init="random", seed=5, tol=1e-5)
    assert searched.starts[0].gw_loss == alone.gw_loss


def test_a_range_is_drawn_from():
    a, b = pair(30)
    many = gwrsa.align(a, b, search="multistart", epsilon=(0.1, 0.4), n_starts=12, progress=False)
    ratios = many.table["epsilon_ratio"]
    assert ratios.between(0.1, 0.4).all()
    assert ratios.nunique() == 12


def test_ladder_falls_to_its_end():
    levels = schedule.ladder(1.0, 0.5)
    assert levels == pytest.approx([0.5 / 0.85**k for k in (4, 3, 2, 1, 0)])
    assert schedule.ladder(0.1, 0.5) == schedule.ladder(0.0, 0.5) == [0.5]


def test_ladders_with_one_end_share_their_values():
    high, low = schedule.ladder(1.0, 0.1), schedule.ladder(0.4, 0.1)
    assert high[-len(low) :] == low
    assert high[-1] == 0.1
    assert 0.85 <= high[0] <= 1.0
    assert schedule.ladder(0.1, 0.1) == schedule.ladder(0.05, 0.1) == [0.1]
    assert schedule.ladder(0.1 / 0.85**3, 0.1)[0] == pytest.approx(0.1 / 0.85**3)


@pytest.mark.filterwarnings("ignore:epsilon 2 is above the critical")
def test_no_start_is_made_twice_where_ladders_end_above_their_tops():
    def starts(end, n=8):
        return schedule.plan("anneal", end, n, 0, critical=1.0, absolute=False)

    for end in (0.01, 0.1, 0.3, 0.45, 2.0):
        made = [(s.name, s.number, tuple(s.epsilons)) for s in starts(end)]
        assert len(set(made)) == len(made) == 8
        assert all(s.epsilons[-1] == end for s in starts(end))
        assert starts(end, 20)[:8] == starts(end)
    assert [s.label for s in starts(0.05)] == [
        *("spectral+++", "profile", "spectral-++", "profile", "cocluster", "spectral+++", "spectral-++", "random"),
    ]


def test_starts_that_meet_are_merged_and_say_so():
    x = gwrsa.Embedding(points(80, seed=3), name="x")
    found = gwrsa.align(x, x, metric="euclidean", progress=False)
    merged = [s for s in found.starts if s.merged_into is not None]
    assert merged
    for start in merged:
        into = found.starts[start.merged_into]
        assert into.merged_into is None
        assert into.number < start.number
        assert start.gw_loss == into.gw_loss
        assert len(start.solution.path) < len(into.solution.path)
    ends = found.paths.groupby("start")["epsilon"].min()
    assert all(ends[s.number] == pytest.approx(s.epsilon) for s in found.starts if s.merged_into is None)
    ties = found.near_ties()
    assert ties[0] is found.lowest_loss
    assert all(s.merged_into is None and s.gw_loss <= 1.01 * ties[0].gw_loss for s in ties)


def solved_alone(x, y, metric="euclidean"):
    """A function from the number of a start of `align` to where it ends without the others."""
    problem = build_problem(x, y, metric=metric)
    planned = schedule.plan("anneal", None, None, 0, critical=problem.critical_epsilon(), absolute=False)
    return lambda number: problem.solve(
        [(planned[number].init, planned[number].epsilons)],
        precision="mixed",
        tol=1e-5,
        max_outer=1000,
        max_sinkhorn=1000,
        level_tol=schedule.LEVEL_TOL,
        level_max_outer=schedule.LEVEL_MAX_OUTER,
        threads=1,
    )[0]


def test_a_start_ends_where_it_would_have_ended_alone():
    x, y = (gwrsa.Embedding(points(70, seed=s)) for s in (3, 4))
    alone = solved_alone(x, y)
    for start in gwrsa.align(x, y, metric="euclidean", progress=False).starts:
        end = alone(start.number)
        assert end.merged_into is None
        assert start.gw_loss == pytest.approx(end.gw_loss, rel=1e-3 if start.stopped_by is None else 1e-2)


def test_a_merged_start_would_have_ended_there():
    x = gwrsa.Embedding(points(80, seed=3))
    found, alone = gwrsa.align(x, x, metric="euclidean", progress=False), solved_alone(x, x)
    merged = [start for start in found.starts if start.merged_into is not None]
    assert merged
    for start in merged:
        assert start.gw_loss == pytest.approx(alone(start.number).gw_loss, rel=2e-3)


def test_what_is_out_of_reach_is_stopped_and_says_so():
    x = gwrsa.Embedding(points(80, seed=3), name="x")
    found = gwrsa.align(x, x, metric="euclidean", progress=False)
    stopped = [s for s in found.starts if s.stopped_by is not None]
    assert stopped
    assert found.table["stopped_by"].notna().tolist() == (found.table["status"] == "stopped").tolist()
    for start in stopped:
        assert start.status == "stopped"
        assert not start.solution.converged
        assert start.gw_loss > 1.02 * found.starts[start.stopped_by].gw_loss
        assert start not in found.near_ties()
    assert found.lowest_loss.stopped_by is None
    assert {s.status for s in found.starts if s.stopped_by is None} == {"converged"}


def test_losses_that_differ_by_rounding_stop_no_start():
    x = gwrsa.RDM(np.abs(np.subtract.outer(np.repeat([0.0, 1.0], 10), np.repeat([0.0, 1.0], 10))))
    found = gwrsa.align(x, x, progress=False)
    assert found.lowest_loss.gw_loss == found.table["gw_loss"].min()


@pytest.mark.parametrize(
    "how", [{"search": "multistart", "epsilon": 0.3, "n_starts": 10}, {"epsilon": 0.6}], ids=["multistart", "anneal"]
)
def test_near_ties_are_plans_of_their_own(how):
    a, b = pair(40, noise=0.3)
    found = gwrsa.align(a, b, metric="euclidean", progress=False, **how)
    ties = found.near_ties()
    assert ties[0] is found.lowest_loss
    close = [s for s in found.starts if s.solution.converged and s.gw_loss <= 1.01 * ties[0].gw_loss]
    unmerged = [s for s in close if s.merged_into is None]
    assert len(unmerged) > len(ties)

    def apart(s, t):
        return np.abs(s.plan - t.plan).sum() / 2

    assert all(apart(s, t) >= 0.01 for s, t in itertools.combinations(ties, 2))
    assert all(min(apart(s, t) for t in ties) < 0.01 for s in unmerged)


def test_kicks_go_on_from_the_lowest_and_do_not_depend_on_workers():
    a, b = pair(40, noise=0.1)
    plain = gwrsa.align(a, b, epsilon=0.03, n_starts=3, progress=False)
    one, two = (gwrsa.align(a, b, epsilon=0.03, n_starts=3, n_kicks=6, workers=w, progress=False) for w in (1, 2))
    assert one.table.drop(columns="seconds").equals(two.table.drop(columns="seconds"))
    assert one.table["start"].tolist() == list(range(9))
    assert one.table["gw_loss"].tolist()[:3] == plain.table["gw_loss"].tolist()
    assert one.lowest_loss.gw_loss <= plain.lowest_loss.gw_loss
    for first, last in ((3, 7), (7, 9)):
        lowest = min((s for s in one.starts[:first] if s.solution.converged), key=lambda s: s.solution.objective)
        assert {s.init for s in one.starts[first:last]} == {f"kick of {lowest.number}"}
    # A kick is merged into one of its own round, by the number it has in the whole.
    merged = [s for s in one.starts[3:] if s.merged_into is not None]
    assert merged
    assert all((3 if s.number < 7 else 7) <= s.merged_into < s.number for s in merged)
    other = gwrsa.align(a, b, epsilon=0.03, n_starts=3, n_kicks=2, seed=1, progress=False)
    assert other.starts[3].solution.path != one.starts[3].solution.path


def test_kicks_find_lower_losses_where_noise_makes_many_basins():
    gains = []
    for seed in (3, 4, 6):
        a, b = pair(60, noise=0.5, seed=seed)
        plain, kicked = (
            gwrsa.align(a, b, metric="euclidean", epsilon=0.03, n_kicks=k, progress=False).lowest_loss.gw_loss
            for k in (0, 16)
        )
        gains.append(1 - kicked / plain)
    assert min(gains) >= 0
    assert sum(gain > 0.002 for gain in gains) >= 2


def test_a_kick_keeps_marginals_with_weights_of_zero():
    a, b = pair(20)
    p = np.r_[0.0, 0.0, np.full(18, 1 / 18)]
    q = np.r_[np.full(19, 0.9 / 19), 0.1]
    plan = gwrsa.entropic_gw(a, b, p, q, epsilon=0.02).plan
    places = kicking.positions(a, "cosine"), kicking.positions(b, "cosine")
    moved = kicking.kick(plan, *places, p, q, 3, 1)
    assert np.abs(moved.sum(1) - p).max() < 1e-12
    assert np.abs(moved.sum(0) - q).max() < 1e-12
    assert np.abs(moved - plan).sum() > 0.1
    assert np.array_equal(moved, kicking.kick(plan, *places, p, q, 3, 1))
    assert not np.array_equal(moved, kicking.kick(plan, *places, p, q, 3, 2))
    assert places[0].shape == (20, 12)


def conflicting(search="anneal", **how):
    """A pair at half the critical epsilon, where the start of lowest loss is not that of lowest objective."""
    a, b = pair(20, noise=0.3, seed=3)
    how = {"epsilon": 0.5, "n_starts": 12, "seed": 3, "precision": "float64"} | how
    return gwrsa.align(a, b, metric="euclidean", search=search, progress=False, **how)


def test_at_one_epsilon_the_objective_decides_and_the_loss_is_reported():
    found = conflicting()
    converged = [s for s in found.starts if s.solution.converged]
    best, lowest = found.lowest_loss, min(converged, key=lambda s: s.gw_loss)
    assert best.solution.objective == min(s.solution.objective for s in converged) < lowest.solution.objective
    assert best.gw_loss > 1.05 * lowest.gw_loss
    assert best.gw_loss == pytest.approx(
        build_problem(found.source, found.target, metric="euclidean").gw_loss(best.plan)
    )
    # The other is not lost.
    ties = found.near_ties()
    assert ties[0] is best
    assert any(t.gw_loss == pytest.approx(lowest.gw_loss, rel=1e-6) for t in ties[1:])
    assert all(t.gw_loss <= 1.01 * best.gw_loss for t in ties)
    assert f"lowest_loss: GW loss {best.gw_loss:.6g}" in repr(found)
    said = choice_in_words(found)
    named = said.split("but not the lowest objective at its epsilon: start ")[1].split("\n")[0]
    assert str(best.number) not in named.replace(",", "").split()
    assert "of these, one an epsilon" not in said
    table = tables.chosen(found.table.assign(source="x", target="y"))
    assert table[table["choice"] == "lowest_loss"]["start"].tolist() == [best.number]


def test_across_epsilons_the_loss_decides():
    high, low = conflicting(), conflicting(epsilon=0.3)
    starts = (*high.starts, *(dataclasses.replace(s, number=s.number + 12) for s in low.starts))
    both = dataclasses.replace(high, starts=starts)
    # The objective holds epsilon times the entropy: the higher epsilon would win whatever its plan.
    assert high.lowest_loss.solution.objective < low.lowest_loss.solution.objective
    assert both.lowest_loss.epsilon == low.lowest_loss.epsilon
    assert both.lowest_loss.gw_loss == low.lowest_loss.gw_loss
    table = tables.chosen(both.table.assign(source="x", target="y"))
    assert table[table["choice"] == "lowest_loss"]["start"].tolist() == [both.lowest_loss.number]
    # Each start at an epsilon of its own: the lowest loss.
    many = conflicting("multistart", epsilon=(0.2, 0.5))
    assert many.table["epsilon"].nunique() == 12
    assert "of these, one an epsilon, the one of lowest GW loss" in choice_in_words(many)
    assert many.lowest_loss.gw_loss == many.table[many.table["status"] == "converged"]["gw_loss"].min()
