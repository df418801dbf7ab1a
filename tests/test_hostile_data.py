"""Bad, degenerate and oddly laid out input to RDMs, RSA, rates and triplets: an error that says what is wrong, or a right result."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.spatial.distance import squareform

import gwrsa
import hostile
from gwrsa.metrics import top_matches
from hostile import KINDS, LAYOUTS, POISONS, SCALES, SEEDS, SIZES, laid_out, outcome, poisoned, square, squares

SYMMETRIC = tuple(k for k in KINDS if k != "asymmetric")
METHODS = ("corr", "spearman", "kendall", "tau-a", "rho-a", "cosine")
METRICS = ("cosine", "correlation", "euclidean", "sqeuclidean", "inner_product", "choice")
PAIRS = st.integers(2, 7)


@given(
    values=squares(PAIRS, SYMMETRIC),
    to=squares(PAIRS, SYMMETRIC),
    layout=st.sampled_from(LAYOUTS),
    condensed=st.booleans(),
    named=st.booleans(),
    poison=st.none() | st.sampled_from(POISONS),
    seed=SEEDS,
)
def test_rdm(values, to, layout, condensed, named, poison, seed):
    n = len(values)
    array, plain = laid_out(squareform(values) if condensed else values, layout)
    if poison is not None:
        array = plain = poisoned(plain, poison, seed)
    items = [f"$x_{i}<b>" for i in range(n)] if named else None
    rdm = outcome(lambda: gwrsa.RDM(array, items), "dissimilarities", "items")
    if rdm is None:
        assert poison is not None
        return
    plain = np.asarray(plain, dtype=float)
    n = len(rdm)
    square = squareform(plain) if plain.ndim == 1 else plain
    # A diagonal that is zero but for rounding is taken as zero.
    assert np.abs(np.diag(square)).max() <= 1e-6 * np.abs(square).max()
    # Half of the smallest number is none.
    assert np.allclose(rdm.square(), square - np.diag(np.diag(square)), rtol=1e-6, atol=5e-324)
    assert not rdm.dissimilarities.flags.writeable
    order = np.random.default_rng(seed).permutation(n)
    chosen = rdm.select([rdm.items[i] for i in order] if rdm.items else order.tolist())
    assert np.array_equal(chosen.square(), rdm.square()[np.ix_(order, order)])
    ranks = rdm.rank().dissimilarities
    assert ranks.sum() == pytest.approx(len(ranks) * (len(ranks) + 1) / 2)
    other = gwrsa.RDM(to)
    matched = rdm.match_histogram(other).dissimilarities
    assert other.dissimilarities.min() <= matched.min()
    assert matched.max() <= other.dissimilarities.max()
    by = np.argsort(rdm.dissimilarities, kind="stable")
    assert (np.diff(matched[by]) >= 0).all()
    scaled = outcome(rdm.normalise, "dissimilarities")
    if scaled is None:
        assert np.ptp(rdm.dissimilarities) == 0 or poison is not None
    else:
        assert (scaled.dissimilarities.min(), scaled.dissimilarities.max()) == (0, 1)


def distance(x, y, metric):
    """One dissimilarity, slowly."""
    if metric == "inner_product":
        return -math.fsum(x * y)
    if metric in ("euclidean", "sqeuclidean"):
        return math.hypot(*(x - y)) ** (1 if metric == "euclidean" else 2)
    if metric == "correlation":
        x, y = x - x.mean(), y - y.mean()
    x, y = (v / np.abs(v).max() for v in (x, y))
    return 1 - math.fsum(x * y) / math.hypot(*x) / math.hypot(*y)


@given(
    scale=SCALES,
    shape=st.tuples(SIZES, st.integers(1, 5)),
    spread=st.sampled_from([1, 1e-9, 0]),
    layout=st.sampled_from(LAYOUTS),
    metric=st.sampled_from(METRICS),
    poison=st.none() | st.sampled_from(POISONS),
    seed=SEEDS,
)
def test_embedding(scale, shape, spread, layout, metric, poison, seed):
    rng = np.random.default_rng(seed)
    values = scale * (rng.standard_normal(shape[1]) + spread * rng.standard_normal(shape))
    array, plain = laid_out(values, layout)
    if poison is not None:
        array = plain = poisoned(plain, poison, seed)
    made = outcome(lambda: gwrsa.Embedding(array), "values")
    if made is None:
        assert poison is not None
        return
    plain = np.asarray(plain, dtype=float)
    assert np.array_equal(made.values, plain)
    rdm = outcome(lambda: made.rdm(metric), "values", "metric", "embedding", "dissimilarities")
    if rdm is None or metric == "choice":
        return
    found = rdm.square()
    size = {"inner_product": 1, "sqeuclidean": 1, "euclidean": 0.5}.get(metric, 0)
    with np.errstate(over="ignore"):
        tolerance = 1e-12 if size == 0 else 1e-12 * float(np.abs(plain).max() ** (2 * size)) + 5e-324
    for i in range(len(plain)):
        for j in range(i):
            with np.errstate(over="ignore"):
                wanted = distance(plain[i], plain[j], metric)
            near = spread == 0 or (metric == "correlation" and poison is not None)  # what is left is rounding
            assert near or found[i, j] == pytest.approx(wanted, rel=1e-9, abs=max(tolerance, 1e-12 * abs(wanted)))


@given(
    x=squares(PAIRS, SYMMETRIC),
    y=squares(PAIRS, SYMMETRIC),
    same=st.booleans(),
    layouts=st.tuples(st.sampled_from(LAYOUTS), st.sampled_from(LAYOUTS)),
    method=st.sampled_from(METHODS),
    poison=st.none() | st.sampled_from(POISONS),
    seed=SEEDS,
)
def test_rsa(x, y, same, layouts, method, poison, seed):
    if same:
        y = 10.0 ** (seed % 9 - 4) * x
    (a, plain_a), (b, plain_b) = laid_out(x, layouts[0]), laid_out(y, layouts[1])
    if poison is not None:
        b = plain_b = poisoned(plain_b, poison, seed)
    found = outcome(lambda: gwrsa.rsa(a, b, method), "a", "b")
    if found is None:
        u, v = (gwrsa.RDM(z).dissimilarities for z in (plain_a, y))
        constant = any(np.ptp(w) == 0 and (method != "cosine" or w[0] == 0) for w in (u, v))
        assert (
            poison is not None
            or len(plain_a) != len(plain_b)
            or constant
            or np.ptp(plain_b) == 0
            or "integers" in layouts
        )
        return
    assert -1 <= found <= 1
    assert found == gwrsa.rsa(plain_a, plain_b, method)
    assert found == pytest.approx(gwrsa.rsa(b, a, method), abs=1e-12)
    if same and poison is None and not {"float32", "integers"} & set(layouts) and method in ("corr", "cosine"):
        assert found == pytest.approx(1, abs=1e-6)


def slow_rate(plan, k):
    """Share of rows whose own entry is among the k largest, ties shared."""
    rates = []
    for i, row in enumerate(plan):
        above = sum(x > row[i] * (1 + 1e-6) for x in row)
        tied = sum(row[i] * (1 - 1e-6) <= x <= row[i] * (1 + 1e-6) for x in row)
        rates.append(min(max((k - above) / tied, 0), 1))
    return sum(rates) / len(rates)


@st.composite
def plans(draw, square_only):
    n = draw(SIZES)
    shape = (n, n if square_only else draw(SIZES))
    plan = np.random.default_rng(draw(SEEDS)).uniform(0, 1, shape)
    kind = draw(st.sampled_from(["random", "few values", "zero", "equal", "mostly zero"]))
    plan = {
        "few values": np.rint(3 * plan),
        "zero": 0 * plan,
        "equal": 0 * plan + 1,
        "mostly zero": plan * (plan > 0.8),
    }.get(kind, plan)
    return draw(SCALES) * plan


@given(
    plan=plans(square_only=True),
    layout=st.sampled_from(LAYOUTS),
    k=st.integers(-1, 9) | st.sampled_from([None, 1.0, True, "1", 2**70]),
    poison=st.none() | st.sampled_from(POISONS),
    seed=SEEDS,
)
def test_matching_rate(plan, layout, k, poison, seed):
    array, plain = laid_out(plan, layout)
    if poison is not None:
        array = plain = poisoned(plain, poison, seed)
    found = outcome(lambda: gwrsa.matching_rate(array, k), "plan", "k", "truth")
    named = outcome(lambda: top_matches(array, k), "plan", "k")
    good_k = isinstance(k, int) and not isinstance(k, bool) and 1 <= k <= len(plan)
    if poison is None:
        assert (found is None) == (named is None) == (not good_k)
    if named is not None:
        plain = np.asarray(plain, dtype=float)
        assert all(len(set(row)) == k for row in named.tolist())
        kept = np.take_along_axis(plain, named, axis=1)
        assert np.array_equal(kept, -np.sort(-plain, axis=1)[:, :k])
    if found is not None:
        assert found == pytest.approx(slow_rate(np.asarray(plain, dtype=float), k), abs=1e-12)


LABELS = st.sampled_from(["a", "b", "<script>", "", None, math.nan, 1, 2**60, 1.0, 1.5, True, "NA"])


@given(
    plan=plans(square_only=False),
    layout=st.sampled_from(LAYOUTS),
    labels=st.lists(LABELS, min_size=0, max_size=7),
    targets=st.none() | st.lists(LABELS, min_size=0, max_size=7),
    as_members=st.booleans(),
    fitting=st.booleans(),
    k=st.integers(0, 8),
    uncategorised=st.sampled_from(["exclude", "category", "miss", "others"]),
    seed=SEEDS,
)
def test_category_matching_rate_and_its_chance(
    plan, layout, labels, targets, as_members, fitting, k, uncategorised, seed
):
    n, m = plan.shape
    if fitting:
        labels = (labels or ["a"]) * 7
        targets = ((targets or labels) * 7)[:m]
        labels = labels[:n]
    if as_members:
        labels = np.random.default_rng(seed).integers(0, 2, (len(labels), 3))
        targets = None if targets is None else np.random.default_rng(seed + 1).integers(0, 2, (len(targets), 3))
    how = {"target_categories": targets, "uncategorised": uncategorised}
    names = ("categories", "target_categories", "k", "uncategorised", "plan", "n")
    found = outcome(lambda: gwrsa.category_matching_rate(laid_out(plan, layout)[0], labels, k, **how), *names)
    if found is not None:
        assert 0 <= found <= 1
        everything = gwrsa.category_matching_rate(plan, labels, m, **how)
        assert found <= everything + 1e-12
    chance = outcome(lambda: gwrsa.chance_level(n, k, labels, **how, n_simulations=20, seed=seed), *names)
    if chance is not None:
        assert 0 <= chance.low <= chance.high <= 1
        assert 0 <= chance.exact <= 1
        if len(targets if targets is not None else labels) == m:  # a plan that knows nothing is at chance
            assert gwrsa.category_matching_rate(np.ones((n, m)), labels, k, **how) == pytest.approx(
                chance.exact, abs=1e-12
            )


ODD = st.sampled_from([0, -1, 2**40, 2**70, None, 1.5, "3", True, math.nan])


@given(
    n=st.integers(1, 10**6) | ODD,
    k=st.integers(1, 20) | ODD,
    n_simulations=st.integers(1, 50) | ODD,
    seed=SEEDS | ODD,
    percentiles=st.sampled_from([(5, 95), (0, 100), (95, 5), (5,), (-1, 5), (math.nan, 5), "ab", None, 5]),
)
def test_chance_level(n, k, n_simulations, seed, percentiles):
    assume(n_simulations != 2**40)  # asked for, and made: 8 bytes each
    how = {"n_simulations": n_simulations, "seed": seed, "percentiles": percentiles}
    found = outcome(lambda: gwrsa.chance_level(n, k, **how), "n", "k", "n_simulations", "seed", "percentiles")
    if found is not None:
        assert found.exact == k / n
        assert 0 <= found.low <= found.mean <= 1 or found.percentiles[0] > 0
        assert 0 <= found.low <= found.high <= 1


@given(
    seed=SEEDS,
    n=st.integers(1, 8),
    m=st.integers(0, 30),
    n_items=st.integers(0, 10),
    dtype=st.sampled_from([np.int64, np.uint8, np.float64, np.float32, ">i4", bool, object, complex, "U5"]),
    layout=st.sampled_from(["plain", "fortran", "reversed", "strided", "big-endian", "read-only", "list"]),
    flaw=st.sampled_from([None, None, None, -1, 0.5, math.nan, math.inf, 2.0**60, 2.0**40, 5e6]),
    missing=st.sampled_from(["raise", "chance", "shrink", "zero"]),
)
def test_triplets(seed, n, m, n_items, dtype, layout, flaw, missing):
    rng = np.random.default_rng(seed)
    rows = np.array([rng.permutation(max(n, 3))[:3] for _ in range(m)], dtype=float).reshape(m, 3)
    if flaw is not None and m:
        rows[int(rng.integers(m)), int(rng.integers(3))] = flaw
    with np.errstate(invalid="ignore"):
        array = rows.astype(dtype)
    if array.dtype == np.float64 and m:
        array = laid_out(array, layout)[0]
    made = outcome(lambda: gwrsa.Triplets(array, n_items=n_items), "indices", "n_items")
    if made is None:
        return
    assert np.array_equal(made.indices, np.asarray(array, dtype=np.int64))
    counts = outcome(made.counts, "n_items")
    if counts is None:
        return
    assert counts.together.sum() == m
    assert counts.shown.sum() == 3 * m
    rdm = outcome(lambda: made.rdm(missing), "missing")
    if rdm is not None:
        assert ((rdm.dissimilarities >= 0) & (rdm.dissimilarities <= 1)).all()
    assert np.isfinite(counts.standard_error()).all()


def slow_choice(s):
    """Mean over third objects of the softmax, in long double."""
    n = len(s)
    out = np.eye(n)
    for i in range(n):
        for j in range(i):
            terms = []
            for k in set(range(n)) - {i, j}:
                three = np.array([s[i, j], s[i, k], s[j, k]], dtype=np.longdouble)
                odds = np.exp(three - three.max())
                terms.append(odds[0] / odds.sum())
            out[i, j] = out[j, i] = float(sum(terms) / len(terms))
    return out


@given(
    scale=SCALES,
    shape=st.tuples(SIZES, st.integers(1, 4)),
    layout=st.sampled_from(LAYOUTS),
    threads=st.sampled_from([None, 1, 2, 0, -1, 2**40, 1.5]),
    seed=SEEDS,
)
def test_choice_similarity(scale, shape, layout, threads, seed):
    values = laid_out(scale * np.random.default_rng(seed).standard_normal(shape), layout)[0]
    made = gwrsa.Embedding(values)
    found = outcome(lambda: gwrsa.choice_similarity(made, threads=threads), "embedding", "threads")
    if found is None:
        assert shape[0] < 3 or threads not in (None, 1, 2)
        return
    n = len(found)
    assert np.array_equal(found, found.T)
    assert ((found >= 0) & (found <= 1)).all()
    assert found[np.triu_indices(n, 1)].mean() == pytest.approx(1 / 3, abs=1e-12)
    assert np.allclose(found, slow_choice(made.values @ made.values.T), rtol=1e-9, atol=1e-12)
    kept = gwrsa.odd_one_out_probabilities(made, [[0, 1, 2]])
    assert kept.sum() == pytest.approx(1, abs=1e-12)


@given(c=st.sampled_from(KINDS), seed=SEEDS)
def test_generators_draw_what_they_say(c, seed):
    made = square(c, 5, seed)
    assert made.shape == (5, 5)
    assert np.isfinite(made).all()
    for layout in LAYOUTS:
        array, plain = laid_out(made, layout)
        assert np.array_equal(np.asarray(array, dtype=float), plain)
    for kind in hostile.WEIGHTS[1:]:
        assert hostile.weights(kind, 5, seed).sum() == pytest.approx(1)
