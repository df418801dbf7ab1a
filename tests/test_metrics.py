"""Matching rates and their chance level: loop twins, closed forms, ties, published figures."""

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gwrsa
from gwrsa import metrics


def one_hit(row, own, k):
    """Probability that `own` is in the k first of a random order of ties."""
    above, tied = (row > row[own]).sum(), (row == row[own]).sum()
    return float(np.clip((k - above) / tied, 0, 1))


def any_hit(row, hits, k):
    """Average over ties of whether one of `hits` is among the k first: by the closed form, entry by entry."""
    boundary = np.sort(row)[::-1][k - 1]
    above, tied = row > boundary, row == boundary
    if (above & hits).any():
        return 1.0
    places, t, h = k - above.sum(), tied.sum(), (tied & hits).sum()
    return 1.0 - comb(int(t - h), int(places)) / comb(int(t), int(places))


plans = st.integers(0, 10_000).map(
    lambda seed: (
        np.random.default_rng(seed).integers(0, 4, np.random.default_rng(seed).integers(1, 9, 1)[0].repeat(2)) / 7.0
    )
)


@given(plan=plans, data=st.data())
def test_matching_rate_is_its_loop(plan, data):
    n = len(plan)
    k = data.draw(st.integers(1, n))
    truth = data.draw(st.permutations(range(n)))
    slow = np.mean([one_hit(plan[i], truth[i], k) for i in range(n)])
    assert gwrsa.matching_rate(plan, k, truth=truth) == pytest.approx(slow)
    assert gwrsa.matching_rate(plan, k) == pytest.approx(np.mean([one_hit(plan[i], i, k) for i in range(n)]))


@given(plan=plans, data=st.data())
def test_category_rate_is_its_loop(plan, data):
    n = len(plan)
    k = data.draw(st.integers(1, n))
    members = np.array(data.draw(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=n, max_size=n)))
    members[0, 0] = True
    share = (members.astype(int) @ members.T.astype(int)) > 0
    counted = members.any(axis=1)
    hits = np.array([any_hit(plan[i], share[i], k) for i in range(n)])
    assert gwrsa.category_matching_rate(plan, members, k) == pytest.approx(hits[counted].mean())
    assert gwrsa.category_matching_rate(plan, members, k, uncategorised="miss") == pytest.approx(hits.mean())
    full = np.column_stack([members, ~counted])
    own = (full.astype(int) @ full.T.astype(int)) > 0
    as_category = np.mean([any_hit(plan[i], own[i], k) for i in range(n)])
    assert gwrsa.category_matching_rate(plan, members, k, uncategorised="category") == pytest.approx(as_category)


def test_labels_are_members():
    plan = np.random.default_rng(0).uniform(size=(6, 6))
    labels = ["a", "b", "a", "", "b", "c"]
    members = np.array([[c == x for c in "abc"] for x in labels])
    assert gwrsa.category_matching_rate(plan, labels, 2) == gwrsa.category_matching_rate(plan, members, 2)


def test_uniform_plan_is_at_chance_not_above():
    plan = np.full((20, 20), 1 / 400)
    for k in (1, 5, 20):
        assert gwrsa.matching_rate(plan, k) == pytest.approx(k / 20)
        assert gwrsa.chance_level(20, k).exact == pytest.approx(k / 20)
    groups = np.arange(20) // 5
    assert gwrsa.category_matching_rate(plan, groups, 3) == pytest.approx(gwrsa.chance_level(20, 3, groups).exact)


def test_what_differs_by_rounding_is_tied():
    rng = np.random.default_rng(0)
    noise = 1 + 1e-7 * rng.uniform(-1, 1, (20, 20))
    groups = np.arange(20) // 5
    for k in (1, 5):
        assert gwrsa.matching_rate(noise / 400, k) == pytest.approx(k / 20)
        chance = gwrsa.chance_level(20, k, groups).exact
        assert gwrsa.category_matching_rate(noise / 400, groups, k) == pytest.approx(chance)
    assert gwrsa.matching_rate(noise + 1e-4 * np.eye(20)) == 1.0
    assert gwrsa.category_matching_rate(noise + 1e-4 * np.eye(20), groups) == 1.0


def test_identity_matches_and_reversed_does_not():
    assert gwrsa.matching_rate(np.eye(9)) == 1.0
    assert gwrsa.matching_rate(np.eye(8)[::-1]) == 0.0
    assert gwrsa.matching_rate(np.eye(8)[::-1], truth=np.arange(8)[::-1]) == 1.0


def test_of_top_is_of_plan():
    plan = np.random.default_rng(0).uniform(size=(50, 50))
    top = metrics.top_matches(plan, 10)
    groups = np.arange(50) // 10
    for k in (1, 5, 10):
        assert metrics.matching_rate_of_top(top, k) == gwrsa.matching_rate(plan, k)
        of_top = metrics.category_matching_rate_of_top(top, groups, k, target_categories=groups)
        assert of_top == pytest.approx(gwrsa.category_matching_rate(plan, groups, k))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gwrsa.matching_rate(np.eye(3), 0), "k must be between 1 and 3, got 0"),
        (lambda: gwrsa.matching_rate(np.eye(3), 4), "k must be between 1 and 3, got 4"),
        (lambda: gwrsa.matching_rate(np.eye(3), True), "k must be an integer"),  # noqa: FBT003
        (lambda: gwrsa.matching_rate(np.eye(3) * np.nan), "plan must be finite, got nan"),
        (lambda: gwrsa.matching_rate(np.eye(3) - 1), "plan must not"),
        (lambda: gwrsa.matching_rate(np.ones(3)), "plan must be 2-D"),
        (lambda: gwrsa.matching_rate(np.ones((3, 4))), "truth must"),
        (lambda: gwrsa.matching_rate(np.eye(3), truth=[0, 1, 3]), "truth must"),
        (lambda: gwrsa.category_matching_rate(np.eye(3), [1, 2]), "categories must"),
        (lambda: gwrsa.category_matching_rate(np.eye(3), ["", "", ""]), "at least one of the 3 source items"),
        (lambda: gwrsa.category_matching_rate(np.ones((3, 4)), [1, 2, 3]), "target_categories must"),
        (lambda: gwrsa.category_matching_rate(np.eye(3), [1, 1, 2], uncategorised="x"), "uncategorised must be one of"),
        (lambda: gwrsa.chance_level(10, 11), "k must be between 1 and 10, got 11"),
        (lambda: gwrsa.chance_level(0, 1), "n must be at least 1, got 0"),
        (lambda: gwrsa.chance_level(10, 1, n_simulations=0), "n_simulations must be at least 1"),
        (lambda: gwrsa.chance_level(10, 1, percentiles=(95, 5)), "percentiles must"),
    ],
)
def test_invalid_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_chance_is_the_mean_over_random_plans():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 4, 40)
    simulated = [gwrsa.category_matching_rate(rng.uniform(size=(40, 40)), groups, 3) for _ in range(400)]
    chance = gwrsa.chance_level(40, 3, groups)
    assert np.mean(simulated) == pytest.approx(chance.exact, abs=0.02)
    assert np.percentile(simulated, [5, 95]) == pytest.approx([chance.low, chance.high], abs=0.03)
    assert chance == gwrsa.chance_level(40, 3, groups)
    assert chance.mean != gwrsa.chance_level(40, 3, groups, seed=1).mean


def test_chance_interval_holds_the_closed_form():
    for k in (1, 5, 10):
        chance = gwrsa.chance_level(1854, k)
        assert chance.low <= chance.exact <= chance.high
        assert chance.exact == pytest.approx(k / 1854)
        assert chance.mean == pytest.approx(k / 1854, rel=0.1)


@pytest.mark.things
def test_chance_of_things_is_as_published(things_dir):
    groups = gwrsa.load_categories(things_dir / "categories28_singlelabel.csv")
    with_others = gwrsa.chance_level(1854, 1, groups.members)
    assert with_others.exact == pytest.approx(0.1203, abs=5e-5)
    named = groups.without("others")
    inside = named.members[named.members.any(axis=1)]
    assert len(inside) == 1295
    assert gwrsa.chance_level(1295, 1, inside).exact == pytest.approx(0.0603, abs=5e-5)
    assert [round(100 * gwrsa.chance_level(1854, k).exact, 3) for k in (1, 5, 10)] == [0.054, 0.27, 0.539]


@given(plan=plans, data=st.data())
def test_top_matches_is_its_loop(plan, data):
    n = len(plan)
    k = data.draw(st.integers(1, n))
    slow = [sorted(range(n), key=lambda j, row=row: (-row[j], j))[:k] for row in plan]
    top = metrics.top_matches(plan, k)
    assert top.dtype == np.int64
    assert top.tolist() == slow


@given(plan=plans, data=st.data())
def test_order_of_targets_does_not_matter(plan, data):
    n = len(plan)
    k = data.draw(st.integers(1, n))
    order = np.array(data.draw(st.permutations(range(n))))
    groups = np.arange(n) % 3
    moved = gwrsa.category_matching_rate(plan[:, order], groups, k, target_categories=groups[order])
    assert moved == pytest.approx(gwrsa.category_matching_rate(plan, groups, k))
    assert gwrsa.matching_rate(plan[:, order], k, truth=np.argsort(order)) == gwrsa.matching_rate(plan, k)


@given(plan=plans)
def test_rates_grow_with_k_and_end_at_one(plan):
    n = len(plan)
    groups = np.arange(n) % 3
    for rates in (
        [gwrsa.matching_rate(plan, k) for k in range(1, n + 1)],
        [gwrsa.category_matching_rate(plan, groups, k) for k in range(1, n + 1)],
    ):
        assert np.all(np.diff(rates) >= -1e-12)
        assert rates[-1] == pytest.approx(1.0)


def test_a_category_each_is_the_fine_grained_rate():
    plan = np.random.default_rng(0).integers(0, 5, (30, 30)).astype(float)
    for k in (1, 4, 30):
        assert gwrsa.category_matching_rate(plan, np.arange(30), k) == pytest.approx(gwrsa.matching_rate(plan, k))


def test_ties_share_the_last_places():
    # Target 0 leads; 1, 2 and 3 are tied for the second place, which one of them gets.
    plan = np.array([[0.4, 0.2, 0.2, 0.2, 0.0]])
    rates = [gwrsa.matching_rate(plan, 2, truth=[own]) for own in range(5)]
    assert rates == pytest.approx([1, 1 / 3, 1 / 3, 1 / 3, 0])
    # Two of the three are of the category: 1 - C(1, 1) / C(3, 1).
    of_category = gwrsa.category_matching_rate(plan, ["x"], 2, target_categories=["y", "x", "x", "y", "x"])
    assert of_category == pytest.approx(2 / 3)


@given(data=st.data())
def test_hit_probability_is_its_binomials(data):
    t = data.draw(st.integers(1, 2000))
    h, s = data.draw(st.integers(0, t)), data.draw(st.integers(0, t))
    # Both integers have hundreds of digits, and their quotient is correctly rounded.
    assert metrics.hit_probability(t, h, s) == pytest.approx(1 - comb(t - h, s) / comb(t, s), abs=1e-12)


def test_targets_can_be_other_items():
    plan = np.array([[0.5, 0.3, 0.2], [0.1, 0.3, 0.6]])
    assert gwrsa.matching_rate(plan, truth=[0, 1]) == 0.5
    assert gwrsa.matching_rate(plan, 2, truth=[0, 1]) == 1.0
    sources, targets = ["cat", "dog"], ["dog", "cat", "dog"]
    assert gwrsa.category_matching_rate(plan, sources, target_categories=targets) == 0.5
    assert gwrsa.category_matching_rate(plan, sources, 2, target_categories=targets) == 1.0
    top = metrics.top_matches(plan, 2)
    assert top.tolist() == [[0, 1], [2, 1]]
    assert metrics.matching_rate_of_top(top, 1, [0, 1]) == 0.5
    assert metrics.category_matching_rate_of_top(top, sources, target_categories=targets) == 0.5


@pytest.mark.parametrize("missing", [None, np.nan, ""])
def test_uncategorised_items_are_treated_as_stated(missing):
    # 0 and 1 of a kind swap places and hit; 2 names 3, its like in having no category; 3 names 0.
    plan = np.eye(4)[[1, 0, 3, 0]]
    labels = ["a", "a", missing, missing]
    expected = {"exclude": 1.0, "miss": 0.5, "category": 0.75}
    top = metrics.top_matches(plan, 1)
    for uncategorised, rate in expected.items():
        assert gwrsa.category_matching_rate(plan, labels, uncategorised=uncategorised) == rate
        assert metrics.category_matching_rate_of_top(top, labels, uncategorised=uncategorised) == rate


def test_labels_of_all_kinds_agree():
    plan = np.random.default_rng(1).uniform(size=(6, 6))
    kinds = (
        [1, 2, 1, None, 2, 3],
        np.array([1, 2, 1, np.nan, 2, 3]),
        np.array([1, 2, 1, None, 2, 3], dtype=object),
        ["a", "b", "a", np.nan, "b", "c"],
        np.array(["a", "b", "a", "", "b", "c"]),
    )
    assert len({gwrsa.category_matching_rate(plan, labels, 2) for labels in kinds}) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda top: metrics.matching_rate_of_top(top, 3), "k must be between 1 and 2, got 3"),
        (lambda top: metrics.matching_rate_of_top(top / 2), "top must hold target indices .* float64"),
        (lambda top: metrics.matching_rate_of_top(top[0]), "top must be 2-D and not empty"),
        (lambda top: metrics.matching_rate_of_top(top - 5), "top must hold target indices, counted from 0, got -5"),
        (lambda top: metrics.matching_rate_of_top(top, truth=[0, 1]), "truth must have length 3"),
        (lambda top: metrics.category_matching_rate_of_top(top + 2, [1, 1, 2]), "top must hold indices of 3 targets"),
        (lambda top: metrics.category_matching_rate_of_top(top, [1, 2]), "categories must have length 3"),
        (lambda top: metrics.category_matching_rate_of_top(top, [1, 2.5, 3]), "got 2.5 at 1"),
        (lambda top: metrics.category_matching_rate_of_top(top, [1, True, 3]), "got True at 1"),
        (
            lambda top: metrics.category_matching_rate_of_top(top, "cat"),
            "categories must be Categories, labels .* got 'cat'",
        ),
        (lambda top: metrics.category_matching_rate_of_top(top, [[1], [2], [0]]), r"got 2.0 at \(1, 0\)"),
        (
            lambda top: metrics.category_matching_rate_of_top(top, [1, 2, 3], target_categories=np.eye(3)),
            "target_categories must have the form",
        ),
    ],
)
def test_invalid_top_and_categories_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.array([[0, 1], [1, 2], [0, 2]]))


def test_categories_are_taken_as_they_are_loaded():
    plan = np.random.default_rng(0).random((6, 6))
    groups = gwrsa.Categories(("a", "b"), [str(i) for i in range(6)], np.c_[np.arange(6) < 4, np.arange(6) > 2])
    assert gwrsa.category_matching_rate(plan, groups, 2) == gwrsa.category_matching_rate(plan, groups.members, 2)
    assert gwrsa.chance_level(6, 2, groups) == gwrsa.chance_level(6, 2, groups.members)
    other = gwrsa.Categories(("b", "a"), groups.items, groups.members)
    with pytest.raises(ValueError, match="the same categories in the same order, got 'b', 'a' and 'a', 'b'"):
        gwrsa.category_matching_rate(plan, groups, target_categories=other)
    with pytest.raises(ValueError, match=r"got 'groups.csv'; a file is read by gwrsa.load_categories"):
        gwrsa.category_matching_rate(plan, "groups.csv")


def test_a_table_may_have_a_column_called_plan():
    pd = pytest.importorskip("pandas")
    assert gwrsa.matching_rate(pd.DataFrame(np.eye(3), columns=["plan", "lowest_loss", "c"])) == 1.0
