"""The six ways of classic RSA: slow twins, invariances, messages."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau, pearsonr, rankdata, spearmanr

import gwrsa
from problems import points

METHODS = ("corr", "spearman", "kendall", "tau-a", "rho-a", "cosine")


def pair(*, ties=False):
    rng = np.random.default_rng(0)
    x = rng.uniform(0.1, 1, 45)
    y = x + rng.uniform(0, 0.5, 45)
    return (np.round(x, 1), np.round(y, 1)) if ties else (x, y)


def tau_a(x, y):
    n = len(x)
    signs = [np.sign(x[i] - x[j]) * np.sign(y[i] - y[j]) for i in range(n) for j in range(i)]
    return sum(signs) / (n * (n - 1) / 2)


def rho_a(x, y):
    """Spearman's rho averaged over random orders of the ties."""
    rng = np.random.default_rng(1)
    n = len(x)
    draws = []
    for _ in range(3000):
        a, b = (rankdata(v + 1e-9 * rng.standard_normal(n)) for v in (x, y))
        draws.append(np.corrcoef(a, b)[0, 1])
    return np.mean(draws)


TWINS = {
    "corr": lambda x, y: pearsonr(x, y)[0],
    "spearman": lambda x, y: spearmanr(x, y)[0],
    "kendall": lambda x, y: kendalltau(x, y)[0],
    "tau-a": tau_a,
    "cosine": lambda x, y: x @ y / np.sqrt((x @ x) * (y @ y)),
}


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("method", TWINS)
def test_methods_are_their_twins(method, ties):
    x, y = pair(ties=ties)
    assert gwrsa.rsa(gwrsa.RDM(x), gwrsa.RDM(y), method) == pytest.approx(TWINS[method](x, y), abs=1e-12)


def test_rho_a_is_the_mean_over_orders_of_ties():
    x, y = pair(ties=True)
    assert gwrsa.rsa(gwrsa.RDM(x), gwrsa.RDM(y), "rho-a") == pytest.approx(rho_a(x, y), abs=2e-3)
    x, y = pair()
    assert gwrsa.rsa(gwrsa.RDM(x), gwrsa.RDM(y), "rho-a") == pytest.approx(spearmanr(x, y)[0], abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_an_rdm_is_like_itself(method):
    r = gwrsa.RDM(pair()[0])
    assert gwrsa.rsa(r, r, method) == pytest.approx(1.0)


@pytest.mark.parametrize("method", METHODS)
def test_order_of_objects_does_not_matter(method):
    a, b = gwrsa.Embedding(points(12, seed=1)), gwrsa.Embedding(points(12, seed=2))
    order = list(np.random.default_rng(0).permutation(12))
    shuffled = gwrsa.rsa(a.rdm().select(order), b.rdm().select(order), method)
    assert shuffled == pytest.approx(gwrsa.rsa(a.rdm(), b.rdm(), method), abs=1e-12)


@pytest.mark.parametrize("method", ["spearman", "kendall", "tau-a", "rho-a"])
def test_ranks_are_all_that_counts(method):
    x, y = pair()
    one, two = gwrsa.rsa(gwrsa.RDM(x), gwrsa.RDM(y), method), gwrsa.rsa(gwrsa.RDM(np.exp(3 * x)), gwrsa.RDM(y), method)
    assert one == pytest.approx(two, abs=1e-12)


def test_squares_and_embeddings_are_taken():
    a, b = gwrsa.Embedding(points(9, seed=1)), gwrsa.Embedding(points(9, seed=2))
    assert gwrsa.rsa(a, b) == pytest.approx(gwrsa.rsa(a.rdm().square(), b.rdm().square()), abs=1e-12)


def test_invalid_input_is_named():
    x, y = pair()
    with pytest.raises(ValueError, match="method must be one of"):
        gwrsa.rsa(gwrsa.RDM(x), gwrsa.RDM(y), "pearson")
    with pytest.raises(ValueError, match="got 10 and 9"):
        gwrsa.rsa(gwrsa.RDM(x), gwrsa.RDM(y[:36]))
    with pytest.raises(ValueError, match="all"):
        gwrsa.rsa(gwrsa.RDM(np.ones(45)), gwrsa.RDM(y))


@given(seed=st.integers(0, 10_000), n=st.integers(3, 8), method=st.sampled_from(METHODS))
def test_symmetric_and_bounded(seed, n, method):
    # Few distinct values: most pairs are tied.
    a, b = np.random.default_rng(seed).integers(1, 4, (2, n * (n - 1) // 2)).astype(float)
    a[:2] = b[-2:] = 1, 2
    value = gwrsa.rsa(a, b, method)
    assert -1 <= value <= 1
    assert value == pytest.approx(gwrsa.rsa(b, a, method), abs=1e-12)
    assert value == pytest.approx(gwrsa.rsa(3 * a, b, method), abs=1e-12)


@pytest.mark.parametrize("method", ["corr", "spearman", "kendall", "tau-a", "rho-a"])
def test_reversed_is_minus_one(method):
    x = np.random.default_rng(0).permutation(21).astype(float)
    assert gwrsa.rsa(x, 20 - x, method) == pytest.approx(-1.0)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
@pytest.mark.parametrize("method", METHODS)
def test_no_scale_overflows(method, scale):
    x, y = np.random.default_rng(0).uniform(0.1, 1, (2, 21))
    assert gwrsa.rsa(scale * x, y, method) == pytest.approx(gwrsa.rsa(x, y, method), abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_to_compare_is_an_error_not_nan(method):
    x = np.arange(6.0)
    with pytest.raises(ValueError, match=r"b must have .* got a constant RDM, all 0.0"):
        gwrsa.rsa(x, np.zeros(6), method)


def test_cosine_takes_a_constant_that_has_a_direction():
    assert gwrsa.rsa([1.0, 2.0, 2.0], [1.0, 1.0, 1.0], "cosine") == pytest.approx(5 / 27**0.5)


@pytest.mark.parametrize(
    ("given", "ours"), [("pearson", "corr"), ("Kendall", "kendall"), ("tau-b", "kendall"), ("spearmanr", "spearman")]
)
def test_names_of_other_libraries_are_answered_with_ours(given, ours):
    with pytest.raises(ValueError, match=f"method must be one of 'corr', .*, got '{given}'") as said:
        gwrsa.rsa([1.0, 2.0, 4.0], [2.0, 3.0, 5.0], given)
    assert str(said.value).endswith(f"did you mean {ours!r}?")
    # Tau is none of a ceiling's methods, so it is not offered there.
    if ours == "kendall":
        with pytest.raises(ValueError, match=f"got '{given}'$"):
            gwrsa.noise_ceiling([[1.0, 2.0, 4.0], [2.0, 3.0, 5.0]], given)


def test_labels_must_agree():
    x = np.arange(1.0, 4.0)
    with pytest.raises(ValueError, match="another order"):
        gwrsa.rsa(gwrsa.RDM(x, ("a", "b", "c")), gwrsa.RDM(x, ("a", "c", "b")))
    with pytest.raises(ValueError, match="must hold the same objects"):
        gwrsa.rsa(gwrsa.RDM(x, ("a", "b", "c")), gwrsa.RDM(x, ("a", "b", "d")))


@pytest.mark.parametrize(
    ("a", "message"),
    [
        (np.ones((3, 4)), "a must be an RDM: .* square or condensed"),
        (np.eye(3), "a must be an RDM: .* zero diagonal"),
        (np.ones(4), "a must be an RDM: .* length n"),
        ([1.0, np.nan, 2.0], "a must be an RDM: .* finite"),
    ],
)
def test_an_array_that_is_no_rdm_is_named(a, message):
    with pytest.raises(ValueError, match=message):
        gwrsa.rsa(a, [1.0, 2.0, 3.0])


# Noise ceiling


def groups(n_groups, noise, seed=0):
    """RDMs of the same space with noise of their own."""
    rng = np.random.default_rng(seed)
    space = rng.random(45)
    return space, [gwrsa.RDM(space + noise * rng.random(45)) for _ in range(n_groups)]


@pytest.mark.parametrize("method", ["corr", "spearman", "cosine"])
def test_no_model_is_above_the_upper_bound_and_one_reaches_it(method):
    space, rdms = groups(4, 0.8)
    ceiling = gwrsa.noise_ceiling(rdms, method)
    rng = np.random.default_rng(1)

    def mean_rsa(model):
        return np.mean([gwrsa.rsa(gwrsa.RDM(model), r, method) for r in rdms])

    for model in (space, *(space + s * rng.random(45) for s in (0.1, 0.5, 2.0)), *(r.dissimilarities for r in rdms)):
        assert mean_rsa(model) <= ceiling.upper + 1e-12
    if method == "corr":
        z = [(r.dissimilarities - r.dissimilarities.mean()) / r.dissimilarities.std() for r in rdms]
        assert mean_rsa(np.mean(z, axis=0)) == pytest.approx(ceiling.upper, abs=1e-12)
        others = [np.mean([z[j] for j in range(4) if j != i], axis=0) for i in range(4)]
        plain = np.mean([np.corrcoef(z[i], others[i])[0, 1] for i in range(4)])
        assert ceiling.lower == pytest.approx(plain, abs=1e-12)
    assert ceiling.lower < ceiling.upper


@pytest.mark.parametrize("method", ["corr", "spearman", "cosine"])
def test_lower_bound_of_two_groups_is_their_rsa(method):
    _, (a, b) = groups(2, 0.5)
    ceiling = gwrsa.noise_ceiling([a, b], method)
    assert ceiling.lower == pytest.approx(gwrsa.rsa(a, b, method), abs=1e-12)
    assert gwrsa.noise_ceiling([a, a], method) == pytest.approx((1.0, 1.0), abs=1e-12)


def test_groups_that_cannot_be_compared_are_refused():
    _, rdms = groups(2, 0.5)
    with pytest.raises(ValueError, match="rdms must hold at least 2 groups, got 1"):
        gwrsa.noise_ceiling(rdms[:1])
    with pytest.raises(ValueError, match="method must be one of 'corr', 'spearman', 'cosine', got 'kendall'"):
        gwrsa.noise_ceiling(rdms, "kendall")
    with pytest.raises(ValueError, match=r"rdms\[1\] must have dissimilarities that differ"):
        gwrsa.noise_ceiling([rdms[0], np.ones(45)])
    with pytest.raises(ValueError, match=r"for rdms\[2\] the mean of the others is 0 by method 'corr'"):
        gwrsa.noise_ceiling([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [1.0, 3.0, 2.0]])
    names = [f"object {i}" for i in range(10)]
    a, b = (gwrsa.RDM(r.dissimilarities, labels) for r, labels in zip(rdms, (names, names[::-1]), strict=True))
    with pytest.raises(ValueError, match="in another order"):
        gwrsa.noise_ceiling([a, b])


@pytest.mark.things
def test_ceiling_of_male_and_female(things_dir):
    rdms = [gwrsa.Embedding.load(things_dir / f"human_{g}.npy").rdm("euclidean") for g in ("male", "female")]
    ceiling = gwrsa.noise_ceiling(rdms)
    assert ceiling.lower == pytest.approx(0.9664183470666763, abs=1e-12)
    # Of two unit vectors the mean has length sqrt((1 + r) / 2).
    assert ceiling.upper == pytest.approx(np.sqrt((1 + ceiling.lower) / 2), abs=1e-12)


@pytest.mark.parametrize("method", ["corr", "spearman", "cosine", "rho-a"])
def test_threads_of_blas_change_no_bit(method):
    limits = pytest.importorskip("threadpoolctl").threadpool_limits
    # 19,900 pairs: enough for BLAS to share a dot product among its threads.
    a, b = (gwrsa.Embedding(np.random.default_rng(seed).random((200, 30))).rdm() for seed in (0, 1))
    found = {}
    for threads in (1, 2):
        with limits(threads):
            test = gwrsa.statistics.permutation_test(a, b, method, n_permutations=3) if method != "rho-a" else None
            found[threads] = gwrsa.rsa(a, b, method), test and test.null.tobytes()
    assert found[1] == found[2]
