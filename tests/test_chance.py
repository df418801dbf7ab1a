"""Chance level: closed forms beside the loops they sum up, and the null distribution that is simulated."""

from math import comb

import numpy as np
import pytest

import gwrsa


def test_closed_form_is_the_sum_over_items():
    members = np.random.default_rng(0).random((30, 4)) < 0.2
    shared = (members.astype(int) @ members.T.astype(int)) > 0
    k = 3
    hit = np.array([1 - comb(30 - h, k) / comb(30, k) for h in shared.sum(axis=1)])
    counted = members.any(axis=1)
    assert 0 < counted.sum() < 30
    assert gwrsa.chance_level(30, k, members).exact == pytest.approx(hit[counted].mean())
    assert gwrsa.chance_level(30, k, members, uncategorised="miss").exact == pytest.approx(hit.mean())


def test_one_label_each_is_the_sum_of_squared_shares():
    labels = ["a"] * 5 + ["b"] * 3 + ["c"] * 2
    assert gwrsa.chance_level(10, 1, labels).exact == pytest.approx(0.25 + 0.09 + 0.04)
    assert gwrsa.chance_level(10, 10, labels).exact == 1.0


def test_targets_can_be_other_items():
    chance = gwrsa.chance_level(2, 2, ["a", "b"], target_categories=["a", "a", "b", "b", "b"])
    assert chance.exact == pytest.approx((1 - 3 / 10 + 1 - 1 / 10) / 2)


@pytest.mark.parametrize("uncategorised", ["exclude", "category", "miss"])
@pytest.mark.parametrize("k", [1, 4])
def test_a_plan_without_information_scores_the_closed_form(uncategorised, k):
    members = np.random.default_rng(1).random((25, 3)) < 0.25
    rate = gwrsa.category_matching_rate(np.ones((25, 25)), members, k, uncategorised=uncategorised)
    assert rate == pytest.approx(gwrsa.chance_level(25, k, members, uncategorised=uncategorised).exact)


def test_interval_is_that_of_random_assignments():
    """One-to-one assignments, whose items do not hit independently: what the docstring calls nearly the same."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(10), 30)
    rates = [(groups == groups[rng.permutation(300)]).mean() for _ in range(2000)]
    chance = gwrsa.chance_level(300, 1, groups, n_simulations=2000)
    assert [chance.low, chance.high] == pytest.approx(np.percentile(rates, [5, 95]), abs=0.006)


def test_settings_are_kept_and_used():
    chance = gwrsa.chance_level(100, 10, n_simulations=500, seed=3, percentiles=(25, 75))
    wider = gwrsa.chance_level(100, 10, n_simulations=500, seed=3)
    assert (chance.percentiles, chance.n_simulations, chance.seed) == ((25.0, 75.0), 500, 3)
    assert wider.low < chance.low < chance.high < wider.high
    assert chance.mean == wider.mean


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": 1.0}, "k must be an integer"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"percentiles": (5, 50, 95)}, "percentiles must be two numbers"),
        ({"percentiles": (5, 101)}, "percentiles must be two numbers"),
        ({"target_categories": ["a"] * 10}, "categories must be given"),
        ({"categories": ["a"] * 9}, "categories must have length 10"),
        ({"categories": ["a"] * 10, "k": 11}, "k must be between 1 and 10, got 11"),
    ],
)
def test_invalid_arguments_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        gwrsa.chance_level(**{"n": 10, "k": 1, **settings})


@pytest.mark.things
def test_what_others_are_makes_three_levels(things_dir):
    """Of the 559 objects in "others": a category, left out on both sides, or left out as sources only."""
    groups = gwrsa.load_categories(things_dir / "categories28_singlelabel.csv")
    named = groups.without("others").members
    inside = named[named.any(axis=1)]
    assert gwrsa.chance_level(1854, 1, named, uncategorised="category").exact == pytest.approx(0.1203, abs=5e-5)
    assert gwrsa.chance_level(1295, 1, inside).exact == pytest.approx(0.0603, abs=5e-5)
    # A target in "others" is named as often as any, and is never a hit.
    as_sources = gwrsa.chance_level(1854, 1, named).exact
    assert as_sources == pytest.approx(gwrsa.chance_level(1295, 1, inside).exact * 1295 / 1854)
