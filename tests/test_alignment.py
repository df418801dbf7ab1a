"""What an alignment says: its table, its rates, what wins, what is refused, what is written."""

import dataclasses
import json
import pickle

import numpy as np
import pandas as pd
import pytest

import gwrsa
from problems import pair, points


@pytest.fixture(scope="module")
def found():
    a, b = pair()
    return gwrsa.align(a, b, metric="euclidean", progress=False, categories=np.arange(60) // 10)


def test_planted_correspondence_is_found(found):
    best = found.lowest_loss
    assert best.matching[1] > 0.9
    assert best.category[1] >= best.matching[1]
    assert np.array_equal(best.top[:, 0], best.plan.argmax(axis=1))
    assert found.highest_matching().matching[1] >= best.matching[1]


def test_table_has_a_row_a_start(found):
    columns = ["epsilon", "seed", "init", "gw_loss", "status", "n_outer", "marginal_error"]
    columns += ["top1", "top5", "top10", "category", "seconds"]
    assert len(found.table) == len(found.starts) == 8
    assert set(columns) <= set(found.table.columns)
    assert not found.table.drop(columns=["merged_into", "stopped_by"]).isna().to_numpy().any()
    converged = found.table[found.table["status"] == "converged"]
    assert converged["objective"].min() == found.lowest_loss.solution.objective


def test_alignment_and_start_are_one_line(found):
    best = found.lowest_loss
    assert (
        repr(best)
        == f"Start({best.number}, {best.init}, converged, GW loss {best.gw_loss:.6g}, epsilon {best.epsilon:.4g})"
    )
    converged = sum(s.solution.converged for s in found.starts)
    sides = f"{found.source.name!r} vs {found.target.name!r}"
    ends = f"{len(found.starts)} starts, {converged} converged, lowest_loss: GW loss {best.gw_loss:.6g}"
    assert repr(found) == f"Alignment({sides}, {ends})"


def test_rates_of_the_table_are_those_of_the_plans(found):
    converged = [start for start in found.starts if start.solution.converged]
    assert converged
    for start in converged:
        assert start.matching[1] == pytest.approx(gwrsa.matching_rate(start.plan, 1), abs=1e-9)
        assert start.matching[5] == pytest.approx(gwrsa.matching_rate(start.plan, 5), abs=1e-9)


def test_plans_that_know_nothing_score_chance():
    a, b = (gwrsa.Embedding(points(60, 5, seed)) for seed in (1, 2))
    groups = np.r_[np.zeros(40), np.arange(1, 21)].astype(int)
    with pytest.warns(UserWarning, match="above the critical epsilon"):
        far = gwrsa.align(a, b, metric="sqeuclidean", epsilon=1e9, categories=groups, progress=False)
    chance = {k: gwrsa.chance_level(60, k, groups).exact for k in (1, 5, 10)}
    for start in far.starts:
        assert start.matching == pytest.approx({k: k / 60 for k in (1, 5, 10)})
        assert start.category == pytest.approx(chance)
        assert start.matching == {k: gwrsa.matching_rate(start.plan, k) for k in (1, 5, 10)}


def test_objects_without_weight_score_as_in_their_plan():
    a, _ = pair()
    p = np.r_[np.zeros(20), np.full(40, 1 / 40)]
    for q in (None, p):
        weighted = gwrsa.align(a, a, p=p, q=q, epsilon=0.05, n_starts=3, metric="sqeuclidean", progress=False)
        for start in (weighted.lowest_loss, weighted.highest_matching()):
            assert start.matching == {k: gwrsa.matching_rate(start.plan, k) for k in (1, 5, 10)}
            # The rows of zeros name every target alike.
            assert start.matching[1] <= (40 + 20 / 60) / 60 + 1e-9


@pytest.mark.parametrize(
    ("metric", "times", "plus"), [("sqeuclidean", 1, 0), ("cosine", 3, 0), ("correlation", 0.1, 2)]
)
def test_targets_that_are_the_same_share_a_place(metric, times, plus):
    x = points(40, seed=3)
    x[1] = times * x[0] + plus  # the same to the metric
    a = gwrsa.Embedding(x)
    own = np.arange(40)
    other = own.copy()
    other[1] = 99  # source 1 has no target of its category, source 0 has one of its two equal targets
    for side in (a, a.rdm(metric)):
        twins = gwrsa.align(
            *(a, side),
            categories=other,
            target_categories=own,
            metric=metric,
            epsilon=0.02,
            n_starts=3,
            precision="float64",
            progress=False,
        )
        best = twins.lowest_loss
        rates = {k: gwrsa.category_matching_rate(best.plan, other, k, target_categories=own) for k in (1, 5, 10)}
        assert best.category == rates
        assert 40 * best.category[1] % 1 == pytest.approx(0.5)


def test_most_probable_targets_are_those_of_the_plan_up_to_its_rounding(found):
    for start in found.starts:
        named = np.take_along_axis(start.plan, start.top, axis=1)
        assert np.all(named >= -np.sort(-start.plan, axis=1)[:, :10] - start.solution.marginal_error)


def test_failed_starts_never_win(found):
    broken = dataclasses.replace(
        found.starts[0],
        number=99,
        solution=dataclasses.replace(found.starts[0].solution, status="numerical_error", gw_loss=-1.0),
        matching={1: 1.0, 5: 1.0, 10: 1.0},
    )
    with_broken = dataclasses.replace(found, starts=(broken, *found.starts))
    assert with_broken.lowest_loss is found.lowest_loss
    assert with_broken.highest_matching() is found.highest_matching()
    assert with_broken.table["failed"].tolist() == [True] + [False] * 8
    only_broken = dataclasses.replace(found, starts=(broken,))
    with pytest.raises(ValueError, match="all 1 starts failed"):
        _ = only_broken.lowest_loss
    with pytest.raises(ValueError, match="has no plan"):
        _ = broken.plan


def test_best_of_none_that_converged_says_so():
    a, b = pair(30)
    cut = gwrsa.align(a, b, n_starts=2, max_outer=1, progress=False)
    with pytest.warns(UserWarning, match="none of 2 starts converged"):
        assert cut.lowest_loss.status == "max_outer"


def test_labels_in_another_order_are_refused():
    a, b = pair(30)
    shuffled = b.select(list(reversed(b.items)))
    with pytest.raises(ValueError, match="same 30 objects in another order"):
        gwrsa.align(a, shuffled, progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"search": "best"}, "search must be one of 'anneal', 'multistart', got 'best'"),
        ({"epsilon": (0.2, 0.1)}, "low <= high"),
        ({"epsilon": 0}, "epsilon must be positive"),
        ({"epsilon": (1, 2, 3)}, r"epsilon must be a number or \(low, high\)"),
        ({"epsilon": 1e-300}, "epsilon must be above 1e-70 of the top of its ladder"),
        ({"epsilon": 5e-324}, "epsilon must be above 1e-70 of the top of its ladder"),
        ({"epsilon": (1e-200, 1e200)}, "epsilon must be above 1e-70 of the top of its ladder"),
        ({"n_starts": 0}, "n_starts must be at least 1, got 0"),
        ({"n_starts": 2**64}, "n_starts must be at most 1000000"),
        ({"n_kicks": -1}, "n_kicks must be"),
        ({"n_kicks": 2, "search": "multistart"}, "n_kicks must be 0 with search 'multistart', got 2"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"seed": 1.5}, "seed must be an integer"),
        ({"categories": [1, 2]}, "categories must have 30 rows"),
        (
            {"categories": "tool"},
            r"categories must be Categories, .* got 'tool'; a file is read by gwrsa.load_categories",
        ),
        ({"uncategorised": "drop"}, "uncategorised must be one of"),
        ({"source": np.zeros((3, 3))}, "source must be an RDM, Embedding, DataFrame or DataArray, got ndarray"),
    ],
)
def test_invalid_arguments_are_named(change, message):
    a, b = pair(30)
    with pytest.raises(ValueError, match=message):
        gwrsa.align(**({"source": a, "target": b, "progress": False} | change))


def test_different_numbers_of_objects():
    a, _ = pair(30)
    part = gwrsa.Embedding(points(20, 6))
    groups, part_groups = np.arange(30) // 10, np.arange(20) // 10
    found = gwrsa.align(a, part, categories=groups, target_categories=part_groups, n_starts=2, progress=False)
    assert "top1" not in found.table
    assert 0 <= found.lowest_loss.category[1] <= 1
    with pytest.raises(ValueError, match="highest_matching needs items with counterparts"):
        found.highest_matching()
    with pytest.raises(KeyError, match="they need the same objects on both sides"):
        found.lowest_loss.matching[1]


def test_labels_that_both_share_are_counted_where_there_are_no_rates():
    a, b = pair(30)
    with pytest.warns(
        UserWarning, match=r"hold 30 and 20 objects, .* no matching rates; 20 labels are on both sides"
    ) as said:
        found = gwrsa.align(a, b.select(b.items[:20]), n_starts=1, progress=False)
    assert len(said) == 1
    with pytest.raises(ValueError, match=r"20 labels are on both sides: .* take both = \["):
        found.highest_matching()
    # What is advised is what works.
    source, target = a, b.select(b.items[:20])
    both = [x for x in source.items if x in set(target.items)]
    assert 1 in gwrsa.align(source.select(both), target.select(both), n_starts=1, progress=False).lowest_loss.matching
    other = gwrsa.Embedding(points(20, 6), [f"other {i}" for i in range(20)])
    assert "top1" not in gwrsa.align(a, other, n_starts=1, progress=False).table


def test_an_epsilon_above_the_critical_one_is_said():
    a, b = pair(30)
    args = {"n_starts": 1, "progress": False}
    critical = gwrsa.align(a, b, **args).critical_epsilon
    for how in (
        {"epsilon": 1.5},
        {"epsilon": 1.5 * critical, "absolute": True},
        {"epsilon": (1.5, 3), "search": "multistart"},
    ):
        with pytest.warns(
            UserWarning, match="is above the critical epsilon of this pair, .* rates near chance"
        ) as said:
            gwrsa.align(a, b, **how, **args)
        assert len(said) == 1
        assert said[0].filename == __file__
        # The number that was given, in the unit that it was given in.
        given = 1.5 * critical if "absolute" in how else 1.5
        assert str(said[0].message).startswith(f"epsilon {given:.4g} is above")
    # The top of a ladder is there to come down from.
    gwrsa.align(a, b, epsilon=(0.5, 3), **args)


def test_rates_say_which_there_are(found):
    with pytest.raises(KeyError, match="k must be one of 1, 5, 10, got 3"):
        found.lowest_loss.matching[3]
    with pytest.raises(KeyError, match="k must be one of 1, 5, 10, got 2"):
        found.lowest_loss.category[2]
    assert found.lowest_loss.matching.get(3) is None
    a, b = pair(12)
    bare = gwrsa.align(a, b, n_starts=1, progress=False).lowest_loss
    with pytest.raises(KeyError, match=r"they need categories, given to gwrsa.align"):
        bare.category[1]
    kept = pickle.loads(pickle.dumps(found.lowest_loss.matching))  # noqa: S301
    assert kept == found.lowest_loss.matching
    with pytest.raises(KeyError, match="k must be one of 1, 5, 10"):
        kept[3]


def test_an_alignment_is_no_plan(found):
    for what, attribute in (
        (found, ".lowest_loss.plan"),
        (found.lowest_loss, ".plan"),
        (found.lowest_loss.solution, ".plan"),
    ):
        with pytest.raises(
            ValueError, match=f"plan must be an array .* got {type(what).__name__}; pass its {attribute}"
        ):
            gwrsa.matching_rate(what)


@pytest.mark.parametrize(
    ("side", "message"),
    [
        (np.ones((5, 3)), r"source must be an RDM, .* got ndarray; .* gwrsa.Embedding\(values, items\) or gwrsa.RDM\("),
        ("human.npy", r"got 'human.npy'; a file is read by gwrsa.Embedding.load or gwrsa.RDM.load"),
    ],
)
def test_what_is_no_side_is_told_how_it_becomes_one(side, message):
    with pytest.raises(ValueError, match=message):
        gwrsa.align(side, pair(30)[1])


def test_categories_of_objects_without_labels_are_a_warning():
    a, b = pair(30)
    groups = gwrsa.Categories(("odd", "even"), a.items, np.c_[np.arange(30) % 2, np.arange(30) % 2 == 0])
    args = {"n_starts": 1, "progress": False}
    bare, part = gwrsa.Embedding(a.values, name="bare"), gwrsa.Embedding(points(20, 6), name="part")
    labelled = gwrsa.align(a, b, categories=groups, **args)
    with pytest.warns(UserWarning, match="the 30 objects of 'bare' have no labels") as said:
        by_position = gwrsa.align(bare, gwrsa.Embedding(b.values), categories=groups, **args)
    assert len(said) == 1
    assert by_position.starts[0].category == labelled.starts[0].category
    few = gwrsa.Categories(groups.names, groups.items[:20], groups.members[:20])
    with pytest.warns(UserWarning, match="the 20 objects of 'part' have no labels"):
        gwrsa.align(a, part, categories=groups, target_categories=few, **args)
    with (
        pytest.warns(UserWarning, match="the 20 objects of 'part'"),
        pytest.raises(ValueError, match="categories must have 20 rows, one an object of 'part'"),
    ):
        gwrsa.align(part, part, categories=groups, **args)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"absolute": True}, "epsilon must be given with absolute=True, got None"),
        ({"absolute": "yes", "epsilon": 0.1}, "absolute must be True or False, got 'yes'"),
        ({"progress": "x"}, "progress must be True or False, got 'x'"),
    ],
)
def test_flags_are_flags_and_an_absolute_epsilon_is_one(change, message):
    a = gwrsa.RDM(np.array([[0.0, 1, 2], [1, 0, 3], [2, 3, 0]]))
    with pytest.raises(ValueError, match=message):
        gwrsa.align(a, a, **change)


def test_constant_dissimilarities_need_an_absolute_epsilon():
    a = gwrsa.RDM(np.zeros(45))
    with pytest.raises(ValueError, match="epsilon has no scale for this pair"):
        gwrsa.align(a, a, progress=False)


def test_a_constant_side_is_aligned_at_an_absolute_epsilon():
    flat, x = gwrsa.RDM(np.zeros(45)), gwrsa.Embedding(points(10, seed=1))
    for search in ("anneal", "multistart"):
        found = gwrsa.align(
            flat, x, search=search, epsilon=0.1, absolute=True, n_starts=2, metric="sqeuclidean", progress=False
        )
        assert found.critical_epsilon == 0
        # Nothing tells the objects apart.
        assert found.lowest_loss.plan == pytest.approx(np.full((10, 10), 1 / 100), abs=1e-6)


def test_dissimilarities_beyond_the_range_are_named():
    c = np.abs(np.subtract.outer(np.arange(10.0), np.arange(10.0)))
    large, small = gwrsa.RDM(c * 1e160), gwrsa.RDM(c * 1e-170)
    for epsilon in ({}, {"epsilon": 0.1, "absolute": True}):
        with pytest.raises(ValueError, match=r"source and target must have .* got a critical epsilon of (inf|nan)"):
            gwrsa.align(large, large, progress=False, **epsilon)
    with pytest.raises(ValueError, match=r"critical epsilon is 0, .* too small for float64"):
        gwrsa.align(small, small, progress=False)


def test_saved_results_read_back(found, tmp_path):
    found.save(tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "results.csv")
    assert table["gw_loss"].tolist() == pytest.approx(found.table["gw_loss"].tolist())
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["lowest_loss"]["gw_loss"] == found.lowest_loss.gw_loss
    with np.load(tmp_path / "out" / "plans" / "lowest_loss.npz") as stored:
        assert np.array_equal(stored["plan"], found.lowest_loss.plan)
        assert tuple(stored["source_items"]) == found.source.items
    assert not list((tmp_path / "out").rglob("*.part"))


def test_the_bar_counts_starts_of_those_asked_for(capsys):
    a, b = gwrsa.Embedding(points(12)), gwrsa.Embedding(points(12, seed=1))
    gwrsa.align(a, b, metric="euclidean", n_starts=2, n_kicks=1)
    shown = capsys.readouterr().err.split("\r")
    assert "0 of 3 starts done" in shown[1]
    assert "100%" in shown[-1]
    assert ", 3 of 3 starts done, lowest loss 0." in shown[-1]
    assert "step" not in shown[-1]
