"""From a plan down to a local optimum of the problem without entropy, for as many source as target objects of equal weight.

With T of row and column sums 1/n, `GW(T) = constant - <P(T), T>` where `P(T) = C1 T C2' + C1' T C2`, and the gradient is `-2 P(T)`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from gwrsa import _validate as check
from gwrsa._validate import FloatArray
from gwrsa.embedding import Embedding
from gwrsa.factored import Factored
from gwrsa.rates import explained
from gwrsa.rdm import METRICS, RDM, Metric
from gwrsa.solution import GWSolution
from gwrsa.solve import as_cost, sinkhorn

IntArray = NDArray[np.int64]

# Rounding of a loss, in units of the constant: a smaller decrease is none.
_ROUNDING = 1e-14
# Entropy of the duals an assignment begins from, in standard deviations of its cost.
_DUAL_EPSILON = 0.03
# Entries beyond which sums of products of two costs, squared, leave the range of float64.
_LARGEST = 1e70
# Pairs looked at between two evaluations of all gains, an object.
_CANDIDATES = 4


@dataclass(frozen=True, eq=False)
class Polished:
    """The best of the plan that was given, the one Frank-Wolfe went to, and the permutation that no swap improves."""

    gw_loss: float
    """GW(T) of `plan`, at most `start_loss`."""
    start_loss: float
    """Of the plan that was given."""
    frank_wolfe_loss: float
    """Where Frank-Wolfe first came to rest, before any swap."""
    kind: Literal["permutation", "frank_wolfe", "start"]
    """Which of the three it is; "start" only where nothing lowers the loss."""
    status: Literal["converged", "max_frank_wolfe"]
    """"max_frank_wolfe": the steps ran out before the loss came to rest."""
    n_frank_wolfe: int
    """Frank-Wolfe steps, each a linear assignment."""
    n_swaps: int
    """Swaps of two targets that were made."""
    seconds: float
    """Wall time."""
    permutation: IntArray | None
    """Target of each source item, shape (n,); None where the plan is not a permutation."""
    start: int | None = None
    """Number of the start it came from, in an alignment."""
    matching: dict[int, float] = field(default_factory=dict)
    """Matching rate within 1, 5 and 10 targets, in an alignment. A permutation names one target an item: the others are tied."""
    category: dict[int, float] = field(default_factory=dict)
    """Category matching rate, the same; empty without categories."""
    _plan: FloatArray | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        explained(self)

    @property
    def plan(self) -> FloatArray:
        """The plan (n, n), float64."""
        if self.permutation is not None:
            return _as_plan(self.permutation)
        assert self._plan is not None  # noqa: S101
        return self._plan

    def row(self) -> dict[str, Any]:
        """What a table or a summary says of it: everything but the plan."""
        rates = {f"top{k}": rate for k, rate in self.matching.items()}
        rates |= {"category" if k == 1 else f"category{k}": rate for k, rate in self.category.items()}
        told = ("start", "kind", "gw_loss", "start_loss", "frank_wolfe_loss", "status", "n_frank_wolfe", "n_swaps")
        return {name: getattr(self, name) for name in told} | rates | {"seconds": self.seconds}


def polish(
    plan: GWSolution | ArrayLike,
    c1: RDM | Embedding | ArrayLike,
    c2: RDM | Embedding | ArrayLike,
    *,
    metric: Metric = "cosine",
    tol: float = 1e-9,
    max_frank_wolfe: int = 1000,
) -> Polished:
    """Lower the GW loss of a plan without entropy, to a permutation where there is one as good.

    Frank-Wolfe with exact line search (Vayer et al. 2019, https://arxiv.org/abs/1805.09114, algorithm 1) until it rests; then
    swaps of two targets of the permutation nearest to its plan (2-opt of the quadratic assignment), until none of the n (n - 1) / 2
    lowers the loss; both again as long as that lowers it.

    Parameters
    ----------
    plan : GWSolution or array-like, shape (n, n)
        Where to start; row and column sums of 1/n.
    c1, c2 : RDM, Embedding or square array-like, shape (n, n)
        Dissimilarities, as in `entropic_gw`; arrays need not be symmetric.
    metric : str
        How an Embedding becomes dissimilarities; unused for arrays and RDMs.
    tol : float
        Relative decrease of the loss below which Frank-Wolfe rests.
    max_frank_wolfe : int
        Most Frank-Wolfe steps in all.

    Returns
    -------
    Polished
        The loss is never above that of `plan`.

    Raises
    ------
    ValueError
        If n and m differ, the sums are not 1/n to 1e-6 of it, or another argument is invalid; it names argument, value and expectation.

    Examples
    --------
    >>> made_up = gwrsa.demo.simulated(n_objects=100, n_categories=8)
    >>> human, model = made_up.human, made_up.models[0]
    >>> found = gwrsa.align(human, model, progress=False)
    >>> end = gwrsa.polish(found.lowest_loss.solution, human, model)
    >>> end.kind, end.gw_loss <= found.lowest_loss.gw_loss
    ('permutation', True)
    """
    began = time.perf_counter()
    check.choice("metric", metric, METRICS)
    tol = check.positive("tol", tol)
    left = check.integer("max_frank_wolfe", max_frank_wolfe, 1)
    source, target = _Side.of(as_cost("c1", c1, metric)), _Side.of(as_cost("c2", c2, metric))
    for name, side in (("c1", source), ("c2", target)):
        largest = float(np.abs(side.square).max())
        if not largest <= _LARGEST:
            raise ValueError(
                f"{name} must have entries of at most {_LARGEST:g} in size for polish, got {largest:g}; divide both costs by it"
            )
    pair = _Pair(source, target)
    start = _doubly_stochastic(check.array("plan", plan.plan if isinstance(plan, GWSolution) else plan, 2), pair)
    start_loss = pair.loss(start)
    rest = _frank_wolfe(pair, start, tol, left)
    first_rest, steps, n_swaps = rest.loss, rest.n_steps, 0
    while True:
        nearest = rest.permutation
        if nearest is None:
            nearest = _assign(rest.plan)
        permutation, swaps = _swap(pair, nearest)
        n_swaps += swaps
        loss = pair.loss_of(permutation)
        lowered = loss < rest.loss * (1 - tol) - _ROUNDING * pair.constant
        if not lowered or steps >= left:
            break
        rest = _frank_wolfe(pair, _as_plan(permutation), tol, left - steps, permutation)
        steps += rest.n_steps
    ends: list[tuple[float, Literal["permutation", "frank_wolfe", "start"]]] = [(loss, "permutation")]
    if rest.permutation is None:
        ends.append((rest.loss, "frank_wolfe"))
    ends.append((start_loss, "start"))
    gw_loss, kind = min(ends, key=lambda end: end[0])
    return Polished(
        gw_loss=gw_loss,
        start_loss=start_loss,
        frank_wolfe_loss=first_rest,
        kind=kind,
        status="converged" if rest.converged and not lowered else "max_frank_wolfe",
        n_frank_wolfe=steps,
        n_swaps=n_swaps,
        seconds=time.perf_counter() - began,
        permutation=permutation if kind == "permutation" else None,
        _plan={"permutation": None, "frank_wolfe": rest.plan, "start": start}[kind],
    )


def check_polishable(n: int, m: int, p: ArrayLike | None, q: ArrayLike | None) -> None:
    """Raise a ValueError unless a permutation is a plan: as many source as target objects, uniform weights."""
    if n != m:
        raise ValueError(f"polish 'permutation' needs as many source as target objects, got {n} and {m}")
    for name, given in (("p", p), ("q", q)):
        weights = check.weights(name, given, n)
        off = np.abs(weights * n - 1)
        if off.max() > 1e-6:
            i = int(off.argmax())
            raise ValueError(f"{name} must be uniform, {1 / n}, for polish 'permutation', got {weights[i]} at {i}")


def swap_gains(a: FloatArray, b: FloatArray, products: FloatArray) -> FloatArray:
    """How much `sum_ij (A_ij - B_ij)^2` falls when objects r and t of B change places, for all r and t.

    The change of B is that of a plan by `-u u'`, u = e_r - e_t. The loss is quadratic, so the gain is twice
    `-u' H u + (u' A u) (u' B u)` with `H = A B' + A' B`: one matrix product gives all pairs.

    Parameters
    ----------
    a, b : ndarray, shape (n, n)
        Not necessarily symmetric, nor of zero diagonal.
    products : ndarray, shape (n, n)
        H.

    Returns
    -------
    ndarray, shape (n, n)
        Symmetric, of zero diagonal.
    """
    return 2 * (_apart(a) * _apart(b) - _apart(products))


def _apart(x: FloatArray) -> FloatArray:
    """`u' X u`, u = e_r - e_t, for all r and t."""
    diagonal = x.diagonal()
    return np.asarray(diagonal[:, None] + diagonal - x - x.T)


class _Side(NamedTuple):
    """One cost."""

    square: FloatArray
    """C, shape (n, n)."""
    factors: tuple[FloatArray, FloatArray] | None
    """U and V, shapes (n, r), with C = U V'."""
    symmetric: bool

    @classmethod
    def of(cls, cost: FloatArray | Factored) -> _Side:
        if isinstance(cost, Factored):
            ones = np.ones(len(cost.offset))
            left = np.column_stack([cost.values * cost.weights, cost.offset, ones])
            right = np.column_stack([cost.values, ones, cost.offset])
            square = left @ right.T
            return cls((square + square.T) / 2, (left, right), symmetric=True)
        return cls(cost, None, symmetric=np.array_equal(cost, cost.T))

    def times(self, x: FloatArray) -> FloatArray:
        """C x."""
        if self.factors is None:
            return self.square @ x
        left, right = self.factors
        return left @ (right.T @ x)


class _Pair:
    """Both costs, and the loss of plans and of permutations."""

    def __init__(self, source: _Side, target: _Side) -> None:
        self.n, self.m = len(source.square), len(target.square)
        self.source, self.target = source, target
        self.symmetric = source.symmetric and target.symmetric
        self.constant = float((source.square**2).mean() + (target.square**2).mean())

    def product(self, plan: FloatArray) -> FloatArray:
        """`P(T)`, shape (n, n)."""
        out = self.source.times(self.target.times(plan.T).T)
        return 2 * out if self.symmetric else out + self.source.square.T @ (plan @ self.target.square)

    def product_of(self, s: IntArray) -> FloatArray:
        """`P(S)` of the permutation matrix S of ones, S_{i s(i)} = 1."""
        c1, c2 = self.source.square, self.target.square
        if not self.symmetric:
            return c1 @ c2.T[s] + c1.T @ c2[s]
        if self.source.factors is None and self.target.factors is not None:
            return 2 * self.target.times(c1[np.argsort(s)]).T
        return 2 * self.source.times(c2[s])

    def loss(self, plan: FloatArray) -> float:
        """GW(T), at least 0."""
        return max(0.0, self.constant - float(np.vdot(self.product(plan), plan)))

    def loss_of(self, s: IntArray) -> float:
        """GW of a permutation, without cancellation."""
        return float(((self.source.square - self.target.square[np.ix_(s, s)]) ** 2).mean())

    def gain(self, s: IntArray, r: int, t: int) -> float:
        """An entry of `swap_gains`, in n operations."""
        c1, c2 = self.source.square, self.target.square
        x, y = int(s[r]), int(s[t])
        along = float((c1[r] - c1[t]) @ (c2[y] - c2[x])[s])
        across = along if self.symmetric else float((c1[:, r] - c1[:, t]) @ (c2[:, y] - c2[:, x])[s])
        u = c1[r, r] + c1[t, t] - c1[r, t] - c1[t, r]
        v = c2[x, x] + c2[y, y] - c2[x, y] - c2[y, x]
        return 2 * (along + across + float(u * v))


class _Rest(NamedTuple):
    """Where Frank-Wolfe came to rest."""

    plan: FloatArray
    permutation: IntArray | None
    loss: float
    n_steps: int
    converged: bool


def _frank_wolfe(
    pair: _Pair, start: FloatArray, tol: float, max_steps: int, permutation: IntArray | None = None
) -> _Rest:
    """Steps from `start`; `permutation` says which it is, if it is one."""
    n = pair.n
    rows = np.arange(n)
    plan = start.copy()
    product = pair.product(plan) if permutation is None else pair.product_of(permutation) / n
    converged = False
    steps = 0
    while steps < max_steps and not converged:
        steps += 1
        s = _assign(product)
        towards = pair.product_of(s) / n
        # Along T + t (S - T) the loss falls by `slope t + curve t^2`; P is linear and <P(T), S> = <P(S), T>.
        here, between, there = float(np.vdot(product, plan)), product[rows, s].sum() / n, towards[rows, s].sum() / n
        slope, curve = 2 * (between - here), here - 2 * between + there
        # Rounding can leave a slope below 0 where all permutations are the same: there is nothing to gain.
        t = 1.0 if 2 * curve >= -slope else float(max(slope, 0.0) / max(-2 * curve, np.finfo(np.float64).tiny))
        if t * (slope + curve * t) <= tol * (pair.constant - here) + _ROUNDING * pair.constant:
            converged = True
        elif t == 1.0:
            plan, permutation, product = _as_plan(s), s, towards
        else:
            plan *= 1 - t
            plan[rows, s] += t / n
            permutation, product = None, product + t * (towards - product)
    loss = pair.loss(plan) if permutation is None else pair.loss_of(permutation)
    return _Rest(plan, permutation, loss, steps, converged)


def _assign(score: FloatArray) -> IntArray:
    """The permutation of highest total score.

    Terms by row and by column change nothing but the time: with entropic duals taken off, most rows find their target at once
    (at n = 1,854 in a thirtieth of the time).
    """
    cost = score.mean(axis=1, keepdims=True) - score
    cost -= cost.mean(axis=0)
    epsilon = _DUAL_EPSILON * float(cost.std())
    if epsilon > _ROUNDING * float(np.abs(score).max()):
        duals = sinkhorn(cost, epsilon=epsilon, tol=1e-2, max_sinkhorn=200, precision="mixed")
        if duals.status != "numerical_error":
            f, g = duals.potentials
            cost -= epsilon * (f[:, None] + g)
    return np.asarray(linear_sum_assignment(cost)[1], dtype=np.int64)


def _swap(pair: _Pair, permutation: IntArray) -> tuple[IntArray, int]:
    """Swap the targets of two items until no swap lowers the loss; the permutation, and how many were made."""
    s = permutation.copy()
    n, made = pair.n, 0
    # Sums of n squares, not means.
    least = _ROUNDING * pair.constant * n**2
    while True:
        gains = swap_gains(pair.source.square, pair.target.square[np.ix_(s, s)], pair.product_of(s)[:, s])
        pairs = np.flatnonzero(np.triu(gains > least, 1))
        most = pairs[np.argsort(-gains.ravel()[pairs], kind="stable")[: _CANDIDATES * n]]
        before = made
        for r, t in zip(*(x.tolist() for x in np.divmod(most, n)), strict=True):
            # The swaps already made have changed the gains of the others.
            if pair.gain(s, r, t) > least:
                s[r], s[t] = s[t], s[r]
                made += 1
        if made == before:
            return s, made


def _as_plan(permutation: IntArray) -> FloatArray:
    n = len(permutation)
    plan = np.zeros((n, n))
    plan[np.arange(n), permutation] = 1 / n
    return plan


def _doubly_stochastic(plan: FloatArray, pair: _Pair) -> FloatArray:
    check_polishable(pair.n, pair.m, None, None)
    n = pair.n
    if plan.shape != (n, n):
        raise ValueError(f"plan must have shape ({n}, {n}), got {plan.shape}")
    if plan.min() < 0:
        i, j = (int(x) for x in np.unravel_index(int(plan.argmin()), plan.shape))
        raise ValueError(f"plan must not be negative, got {plan[i, j]} at ({i}, {j})")
    for what, axis in (("row", 1), ("column", 0)):
        with np.errstate(over="ignore"):
            sums = plan.sum(axis=axis)
            off = np.abs(sums * n - 1)
        i = int(off.argmax())
        if off[i] > 1e-6:
            raise ValueError(f"plan must have {what} sums of 1/n, {1 / n}, got {sums[i]} in {what} {i}")
    return plan


__all__: Any = ("Polished", "check_polishable", "polish", "swap_gains")
