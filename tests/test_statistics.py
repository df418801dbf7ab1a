"""Intervals, permutations and corrections against closed forms, slow twins and simulations."""

from itertools import permutations
from time import process_time

import numpy as np
import pytest
from scipy.stats import binom

import gwrsa
from gwrsa import metrics, statistics
from problems import distances, points


def named(n=60, k=10, seed=0):
    rng = np.random.default_rng(seed)
    top = np.argsort(rng.random((n, n)) + 1.2 * np.eye(n) * rng.random((n, 1)), axis=1)[:, ::-1]
    return top[:, :k]


@pytest.mark.parametrize("k", [1, 5, 10])
def test_hits_are_what_the_rates_are_means_of(k):
    top = named()
    members = np.random.default_rng(1).random((60, 5)) < 0.2
    assert 0 < (rate := metrics.matching_rate_of_top(top, k)) < 1
    assert statistics.matching_hits(top, k).mean() == pytest.approx(rate)
    truth = np.random.default_rng(2).permutation(60)
    assert statistics.matching_hits(top, k, truth=truth).mean() == metrics.matching_rate_of_top(top, k, truth)
    for uncategorised in ("exclude", "category", "miss"):
        hits, counted = statistics.category_hits(top, members, k, uncategorised=uncategorised)
        expected = metrics.category_matching_rate_of_top(top, members, k, uncategorised=uncategorised)
        assert hits[counted].mean() == pytest.approx(expected)
        assert not hits[~counted].any()


def test_bootstrap_of_hits_has_binomial_percentiles():
    hits = np.arange(200) < 60
    found = statistics.bootstrap(hits, n_resamples=20_000)
    assert found.estimate == 0.3
    assert [found.low, found.high] == pytest.approx(binom.ppf([0.025, 0.975], 200, 0.3) / 200, abs=0.0051)


def test_bootstrap_agrees_with_drawing_objects():
    values = np.random.default_rng(0).choice([0.0, 0.25, 0.5, 1.0], 300, p=[0.5, 0.2, 0.2, 0.1])
    rng = np.random.default_rng(1)
    slow = [values[rng.integers(0, 300, 300)].mean() for _ in range(5000)]
    fast = statistics.bootstrap(values, n_resamples=5000, percentiles=(5, 95))
    assert [fast.low, fast.high] == pytest.approx(np.percentile(slow, [5, 95]), abs=0.005)


def test_bootstrap_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    inside = 0
    for i in range(400):
        found = statistics.bootstrap(rng.random(400) < 0.3, seed=i)
        inside += found.low <= 0.3 <= found.high
    assert 0.92 < inside / 400 < 0.975


def test_bootstrap_repeats_and_depends_on_the_seed():
    hits = np.random.default_rng(0).random(500)
    assert statistics.bootstrap(hits, seed=3) == statistics.bootstrap(hits, seed=3)
    assert statistics.bootstrap(hits, seed=3) != statistics.bootstrap(hits, seed=4)


def test_bootstrap_of_things_size_is_quick():
    top = np.random.default_rng(0).integers(0, 1854, (1854, 10))
    start = process_time()
    statistics.bootstrap(statistics.matching_hits(top, 10), n_resamples=1000)
    assert process_time() - start < 0.5


def test_no_hit_is_a_point():
    assert statistics.bootstrap(np.zeros(9, dtype=bool)).high == 0.0


def test_band_is_mean_and_percentiles():
    found = statistics.band([0.4, 0.1, 0.3, 0.2, 0.5])
    assert (found.estimate, found.low, found.high) == pytest.approx((0.3, 0.12, 0.48))
    assert found.percentiles == (5.0, 95.0)


def test_rate_by_category_counts_an_object_in_each_of_its_own():
    table = statistics.rate_by_category([1, 0, 1], [[1, 0, 0], [1, 1, 0], [0, 1, 0]], ["a", "b", "none"])
    assert table["n"].tolist() == [2, 2, 0]
    assert table["rate"].tolist()[:2] == [0.5, 0.5]
    assert table["rate"].isna().tolist() == [False, False, True]


@pytest.mark.parametrize("method", ["corr", "spearman", "cosine"])
def test_permutations_are_rsa_of_relabelled_objects(method):
    a, b = distances(12), distances(12, seed=1)
    a[2, 5] = a[5, 2] = a[3, 7] = a[7, 3] = 1.0  # a tie
    found = statistics.permutation_test(a, b, method, n_permutations=20, seed=5)
    rng = np.random.default_rng(5)
    orders = [rng.permutation(12) for _ in range(20)]
    slow = [gwrsa.rsa(a[np.ix_(order, order)], b, method) for order in orders]
    np.testing.assert_allclose(found.null, slow, atol=1e-12)
    assert found.statistic == gwrsa.rsa(a, b, method)
    assert found.p_value == (1 + sum(x >= found.statistic for x in slow)) / 21


def test_p_value_approaches_that_of_all_permutations():
    a = distances(5)
    b = a + 0.6 * distances(5, seed=3)
    np.fill_diagonal(b, 0)
    observed = gwrsa.rsa(a, b)
    every = [gwrsa.rsa(a[np.ix_(o, o)], b) for o in map(list, permutations(range(5)))]
    exact = np.mean([x >= observed - 1e-12 for x in every])
    assert 0 < exact < 0.5
    assert statistics.permutation_test(a, b, n_permutations=4000).p_value == pytest.approx(exact, abs=0.03)


def test_two_sided_counts_both_ends():
    a, b = distances(8), -distances(8)
    greater = statistics.permutation_test(a, b, n_permutations=500)
    both = statistics.permutation_test(a, b, n_permutations=500, alternative="two-sided")
    assert greater.statistic == pytest.approx(-1.0)
    assert greater.p_value == 1.0
    assert both.p_value < 0.05
    np.testing.assert_array_equal(greater.null, both.null)


def test_p_values_of_unrelated_rdms_are_uniform():
    p = [
        statistics.permutation_test(distances(15, seed=2 * i), distances(15, seed=2 * i + 1), n_permutations=99).p_value
        for i in range(200)
    ]
    assert 0.01 <= np.mean(np.array(p) <= 0.05) <= 0.10
    assert np.mean(p) == pytest.approx(0.5, abs=0.07)


def test_an_embedding_stands_for_its_cosine_distances():
    x = gwrsa.Embedding(points(10), tuple("abcdefghij"))
    y = gwrsa.Embedding(points(10, seed=1), tuple("abcdefghij"))
    embedded = statistics.permutation_test(x, y, n_permutations=10)
    np.testing.assert_array_equal(embedded.null, statistics.permutation_test(x.rdm(), y.rdm(), n_permutations=10).null)


def test_holm_by_hand():
    # 4 x 0.005, 3 x 0.01, then 2 x 0.03, then 0.04 raised to the one before it.
    np.testing.assert_allclose(statistics.correct([0.04, 0.01, 0.03, 0.005]), [0.06, 0.03, 0.06, 0.02])
    assert statistics.correct([0.7, 0.9]).max() == 1.0


def test_benjamini_hochberg_by_hand():
    np.testing.assert_allclose(statistics.correct([0.04, 0.01, 0.03, 0.005], "bh"), [0.04, 0.02, 0.04, 0.02])


def test_holm_keeps_the_familywise_error():
    rng = np.random.default_rng(0)
    false = np.mean([statistics.correct(rng.random(10)).min() <= 0.05 for _ in range(2000)])
    assert 0.035 < false < 0.065


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: statistics.bootstrap([]), "values must not be empty"),
        (lambda: statistics.bootstrap([np.nan]), "values must be finite, got nan at 0"),
        (lambda: statistics.bootstrap([1.0], n_resamples=0), "n_resamples must be at least 1, got 0"),
        (lambda: statistics.bootstrap([1.0], percentiles=(95, 5)), "percentiles must be two numbers"),
        (lambda: statistics.band([]), "values must not be empty"),
        (lambda: statistics.matching_hits([[0, 9]], 3), "k must be between 1 and 2, got 3"),
        (lambda: statistics.category_hits([[3]], ["a"], 1), "top must hold indices of 1 targets"),
        (lambda: statistics.rate_by_category([1, 0], [[1], [0]], ["a", "b"]), r"members must have shape \(2, 2\)"),
        (lambda: statistics.permutation_test(distances(4), distances(5)), "must hold the same objects"),
        (lambda: statistics.permutation_test(distances(4), distances(4), "kendall"), "method must be one of 'corr'"),
        (
            lambda: statistics.permutation_test(distances(4), distances(4), alternative="less"),
            "alternative must be one of 'greater'",
        ),
        (lambda: statistics.correct([0.1, 1.2]), r"p_values must be in \[0, 1\], got 1.2 at 1"),
        (lambda: statistics.correct([0.1], "fdr"), "method must be one of 'holm', 'bh'"),
    ],
)
def test_invalid_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("method", ["corr", "spearman", "cosine"])
def test_many_models_are_tested_as_one_by_one(method):
    rng = np.random.default_rng(3)
    human, *models = (gwrsa.Embedding(rng.standard_normal((150, 4))).rdm() for _ in range(4))
    together = statistics.permutation_tests(human, models, method, n_permutations=20, seed=2)
    for model, test in zip(models, together, strict=True):
        alone = statistics.permutation_test(human, model, method, n_permutations=20, seed=2)
        assert (test.statistic, test.p_value, test.null.tolist()) == (
            alone.statistic,
            alone.p_value,
            alone.null.tolist(),
        )
    # The obvious twin: relabel, and compare again.
    order = np.random.default_rng(2).permutation(150)
    shuffled = gwrsa.RDM(human.square()[np.ix_(order, order)])
    assert together[0].null[0] == pytest.approx(gwrsa.rsa(shuffled, models[0], method), abs=1e-12)


def test_permutations_stop_when_they_are_told():
    human = gwrsa.Embedding(np.random.default_rng(3).standard_normal((20, 4))).rdm()
    asked = iter([False] * 5 + [True])
    with pytest.raises(InterruptedError, match="stopped after 5 of 1000 relabellings"):
        statistics.permutation_tests(human, [human], stopped=lambda: next(asked))
