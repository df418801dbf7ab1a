"""Bad, degenerate and oddly laid out input to the solvers: an error that says what is wrong, or a right finite result."""

import numpy as np
import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

import gwrsa
import hostile
from gwrsa.solve import INITS
from hostile import (
    EPSILONS,
    LAYOUTS,
    MINUTE,
    NOT_EPSILON,
    NOT_WEIGHTS,
    POISONS,
    SCALES,
    SEEDS,
    SIZES,
    WEIGHTS,
    laid_out,
    outcome,
    poisoned,
    square,
    squares,
)

STATUSES = {"converged", "max_outer", "max_sinkhorn", "numerical_error"}
PRECISION = st.sampled_from(["mixed", "float64"])
SHORT = {"max_outer": 30, "max_sinkhorn": 100, "threads": 1}


def check_plan(plan, p, q):
    assert np.isfinite(plan).all()
    assert (plan >= 0).all()
    assert np.abs(plan.sum(axis=1) - p).sum() + np.abs(plan.sum(axis=0) - q).sum() < 1e-12


def check_potentials(potentials, weights):
    for values, w in zip(potentials, weights, strict=True):
        assert np.isfinite(values[w > 0]).all()
        assert not np.isnan(values).any()


def check_solution(found, c1, c2, p, q):
    """Whatever its status, it is right; False where there is no plan."""
    assert found.status in STATUSES
    if found.failed:
        event("numerical_error")
        assert found.gw_loss == np.inf
        with pytest.raises(ValueError, match="numerical_error"):
            _ = found.plan
        return False
    check_plan(found.plan, p, q)
    check_potentials(found.potentials, (p, q))
    assert np.isfinite([found.gw_loss, found.objective, found.marginal_error, found.change]).all()
    assert found.gw_loss >= 0
    size = max(float(np.abs(c).max()) for c in (c1, c2)) ** 2
    assert abs(found.gw_loss - hostile.loss(c1, c2, found.plan)) <= 1e-10 * size
    top = found.top(1)
    assert ((top >= 0) & (top < len(q))).all()
    return True


def normal(w, n):
    return np.full(n, 1 / n) if w is None else w / w.sum()


@given(
    c1=squares(),
    c2=squares(),
    kinds=st.tuples(st.sampled_from(WEIGHTS), st.sampled_from(WEIGHTS)),
    layouts=st.tuples(st.sampled_from(LAYOUTS), st.sampled_from(LAYOUTS)),
    seed=SEEDS,
    ratio=st.integers(-3, 3),
    init=st.sampled_from(INITS),
    precision=PRECISION,
)
def test_entropic_gw_of_any_scale_and_layout(c1, c2, kinds, layouts, seed, ratio, init, precision):
    (c1, d1), (c2, d2) = laid_out(c1, layouts[0]), laid_out(c2, layouts[1])
    p, q = (hostile.weights(kind, len(d), seed) for kind, d in zip(kinds, (d1, d2), strict=True))
    unit = float(np.abs(d1).max() * np.abs(d2).max()) or 1.0
    how = {"epsilon": 10.0**ratio * unit, "init": init, "precision": precision, "seed": seed, **SHORT}
    found = outcome(lambda: gwrsa.entropic_gw(c1, c2, p, q, **how))
    assert found is not None, "refused"
    assert check_solution(found, d1, d2, normal(p, len(d1)), normal(q, len(d2))), "no plan at a moderate epsilon"
    again = gwrsa.entropic_gw(d1, d2, p, q, **how)
    assert np.array_equal(found.plan, again.plan)
    assert (found.gw_loss, found.n_outer, found.status) == (again.gw_loss, again.n_outer, again.status)


@given(
    kinds=st.tuples(st.sampled_from(hostile.KINDS), st.sampled_from(hostile.KINDS)),
    sizes=st.tuples(SIZES, SIZES),
    seed=SEEDS,
    powers=st.tuples(st.integers(-20, 20), st.integers(-20, 20)),
    ratio=st.floats(-2, 1),
    precision=PRECISION,
)
def test_the_scale_of_a_side_changes_no_bit_of_an_alignment(kinds, sizes, seed, powers, ratio, precision):
    # The loss of C1 against C2 and of a C1 against b C2 differ by terms that no plan can change, and by the factor a b.
    a, b = (square(kind, n, seed + i) for i, (kind, n) in enumerate(zip(kinds, sizes, strict=True)))
    s, t = (4.0**power for power in powers)  # whose roots are exact
    how = {"precision": precision, "seed": seed, **SHORT}
    plain = gwrsa.entropic_gw(a, b, epsilon=10.0**ratio, **how)
    scaled = outcome(lambda: gwrsa.entropic_gw(s * a, t * b, epsilon=s * t * 10.0**ratio, **how))
    assert scaled is not None
    assert scaled.status == plain.status
    assert np.abs(scaled.plan - plain.plan).max() <= 1e-5


@given(
    c1=squares(),
    c2=squares(),
    epsilon=st.sampled_from((*EPSILONS, *NOT_EPSILON)),
    kinds=st.tuples(st.sampled_from(MINUTE), st.sampled_from(MINUTE)),
    seed=SEEDS,
    init=st.sampled_from(INITS),
    precision=PRECISION,
)
def test_entropic_gw_at_extreme_epsilon(c1, c2, epsilon, kinds, seed, init, precision):
    p, q = (hostile.weights(kind, len(c), seed) for kind, c in zip(kinds, (c1, c2), strict=True))
    how = {"init": init, "precision": precision, **SHORT}
    found = outcome(lambda: gwrsa.entropic_gw(c1, c2, p, q, epsilon=epsilon, **how), "epsilon", "c1", "c2", "p", "q")
    if found is not None:
        assert any(epsilon is e for e in EPSILONS)
        check_solution(found, c1, c2, normal(p, len(c1)), normal(q, len(c2)))


@given(
    c=squares(),
    poison=st.sampled_from(POISONS),
    side=st.sampled_from(["c1", "c2", "init", "p", "q"]),
    kind=st.sampled_from(NOT_WEIGHTS),
    seed=SEEDS,
    precision=PRECISION,
)
def test_entropic_gw_of_what_is_no_problem(c, poison, side, kind, seed, precision):
    n = len(c)
    given = {"c1": c, "c2": c, "p": None, "q": None, "init": np.full((n, n), 1 / n**2)}
    if side in ("p", "q"):
        given[side] = hostile.weights(kind, n, seed)
        assume(not (n == 1 and kind == "negative"))
    else:
        given[side] = poisoned(given[side], poison, seed)
    found = outcome(lambda: gwrsa.entropic_gw(**given, epsilon=1.0, precision=precision, **SHORT), side)
    if found is None:
        return
    assert side not in ("p", "q")
    p = normal(None, n)
    check_solution(found, *(np.asarray(given[s], dtype=float) for s in ("c1", "c2")), p, p)


@given(
    scale=SCALES,
    shape=st.tuples(SIZES, SIZES),
    layout=st.sampled_from(LAYOUTS),
    kinds=st.tuples(st.sampled_from(MINUTE), st.sampled_from(MINUTE)),
    seed=SEEDS,
    ratio=st.integers(-6, 6),
    extreme=st.none() | st.sampled_from((*EPSILONS, *NOT_EPSILON)),
    poison=st.none() | st.sampled_from(POISONS),
    precision=PRECISION,
)
def test_sinkhorn(scale, shape, layout, kinds, seed, ratio, extreme, poison, precision):
    cost = scale * np.random.default_rng(seed).standard_normal(shape)
    cost, plain = laid_out(cost, layout)
    if poison is not None:
        cost = plain = poisoned(plain, poison, seed)
    p, q = (hostile.weights(kind, n, seed) for kind, n in zip(kinds, shape, strict=True))
    epsilon = scale * 10.0**ratio if extreme is None else extreme
    how = {"precision": precision, "max_sinkhorn": 200, "threads": 1}
    found = outcome(lambda: gwrsa.sinkhorn(cost, p, q, epsilon=epsilon, **how), "cost", "epsilon", "p", "q")
    if found is None:
        refused = poison is not None or any(extreme is e for e in NOT_EPSILON)
        assert refused or np.abs(plain).max() > 1e300 * float(epsilon)
        return
    p, q = normal(p, found.plan.shape[0]), normal(q, found.plan.shape[1])
    assert found.status in STATUSES
    if found.status == "numerical_error":
        event("numerical_error")
        assert extreme is not None or poison == "huge" or "minute" in kinds
        assert found.transport_cost == np.inf
        return
    check_plan(found.plan, p, q)
    check_potentials(found.potentials, (p, q))
    assert np.isfinite([found.transport_cost, found.marginal_error]).all()
    assert found.transport_cost == pytest.approx(
        float((np.asarray(plain, dtype=float) * found.plan).sum()), rel=1e-9, abs=1e-12 * scale
    )


@given(
    x=squares(st.integers(2, 7)),
    y=squares(st.integers(2, 7)),
    labelled=st.tuples(st.booleans(), st.booleans()),
    kinds=st.tuples(st.sampled_from(WEIGHTS), st.sampled_from(WEIGHTS)),
    epsilon=st.none() | st.sampled_from((0.1, (0.05, 0.5), (0.5, 0.05), *EPSILONS, *NOT_EPSILON)),
    absolute=st.booleans(),
    search=st.sampled_from(["anneal", "multistart"]),
    seed=SEEDS,
    polish=st.sampled_from([None, "permutation"]),
    precision=PRECISION,
)
def test_align(x, y, labelled, kinds, epsilon, absolute, search, seed, polish, precision):
    sides = []
    for values, named in zip((x, y), labelled, strict=True):
        values = (values + values.T) * (1 - np.eye(len(values)))  # noqa: PLW2901
        sides.append(gwrsa.RDM(values, [f"<{i}>" for i in range(len(values))] if named else None))
    p, q = (hostile.weights(kind, len(s), seed) for kind, s in zip(kinds, sides, strict=True))
    how = {"search": search, "epsilon": epsilon, "absolute": absolute, "n_starts": 2, "seed": seed, "p": p, "q": q}
    how |= {
        "polish": polish,
        "precision": precision,
        "progress": False,
        "workers": 1,
        "max_outer": 20,
        "max_sinkhorn": 50,
    }
    found = outcome(lambda: gwrsa.align(*sides, **how), "source", "target", "epsilon", "p", "q", "polish")
    if found is None:
        return
    p, q = (normal(w, len(s)) for w, s in zip((p, q), sides, strict=True))
    assert 1 <= len(found.starts) <= 2
    failed = found.table["failed"]
    rates = found.table[[c for c in found.table if c.startswith("top")]].to_numpy(dtype=float)
    assert ((rates >= 0) & (rates <= 1)).all()
    for start, lost in zip(found.starts, failed, strict=True):
        assert lost == start.solution.failed
        if not lost:
            check_plan(start.plan, p, q)
            assert np.isfinite(start.gw_loss)
    if found.polished is not None:
        assert found.polished.gw_loss <= found.polished.start_loss
        check_plan(found.polished.plan, p, q)


@given(
    x=squares(),
    y=squares(),
    same=st.booleans(),
    layout=st.sampled_from(LAYOUTS),
    poison=st.none() | st.sampled_from(POISONS),
    seed=SEEDS,
)
def test_polish(x, y, same, layout, poison, seed):
    n = len(x)
    y = y if same else np.resize(y, (n, n))
    mix = np.random.default_rng(seed).dirichlet(np.ones(3))
    start = sum(w * np.eye(n)[np.random.default_rng(seed + i).permutation(n)] for i, w in enumerate(mix)) / n
    plan = laid_out(start, layout)[0] if poison is None else poisoned(start, poison, seed)
    if layout in ("float32", "integers") and poison is None:
        plan = start
    found = outcome(lambda: gwrsa.polish(plan, x, y), "plan", "c1", "c2", "polish")
    if found is None:
        assert poison is not None or len(y) != n
        return
    check_plan(found.plan, normal(None, n), normal(None, n))
    assert np.isfinite([found.gw_loss, found.start_loss]).all()
    assert 0 <= found.gw_loss <= found.start_loss
    size = max(float(np.abs(c).max()) for c in (x, y)) ** 2
    assert abs(found.gw_loss - hostile.loss(x, y, found.plan)) <= 1e-10 * size
