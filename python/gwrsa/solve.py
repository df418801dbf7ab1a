"""One problem solved once: entropic Gromov-Wasserstein, and the linear problem inside it."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from gwrsa import _core, backends, labelled, tensors
from gwrsa import _validate as check
from gwrsa._validate import FloatArray
from gwrsa.backends import Cost, Problem, RawSolution
from gwrsa.embedding import Embedding
from gwrsa.factored import factor
from gwrsa.interrupts import Interrupted
from gwrsa.rdm import METRICS, RDM, Metric, from_embedding
from gwrsa.solution import GWSolution, OTSolution

Precision: TypeAlias = Literal["mixed", "float64"]
PRECISIONS: tuple[Precision, ...] = ("mixed", "float64")
DEFAULT_TOL: dict[Precision, float] = {"mixed": 1e-6, "float64": 1e-9}
LOSSES = ("square", "kl")
INITS = ("uniform", "random", "permutation", "spectral", "profile", "cocluster")


def entropic_gw(
    c1: RDM | Embedding | ArrayLike,
    c2: RDM | Embedding | ArrayLike,
    p: ArrayLike | None = None,
    q: ArrayLike | None = None,
    *,
    epsilon: float,
    features: ArrayLike | tuple[ArrayLike, ArrayLike] | None = None,
    alpha: float = 0.5,
    loss: Literal["square", "kl"] = "square",
    init: str | ArrayLike = "uniform",
    tol: float | None = None,
    max_outer: int = 1000,
    max_sinkhorn: int = 1000,
    precision: Precision = "mixed",
    metric: Metric = "cosine",
    backend: str = "auto",
    device: str | None = None,
    seed: int = 0,
    threads: int | None = None,
) -> GWSolution:
    """Entropic Gromov-Wasserstein coupling of two sets of objects.

    A local minimum over T in U(p, q) of `sum_ijkl (C1_ik - C2_jl)^2 T_ij T_kl + epsilon sum_ij T_ij log T_ij`, by
    projected mirror steps (Peyre, Cuturi & Solomon 2016, https://proceedings.mlr.press/v48/peyre16.html). Labels play no part.

    Parameters
    ----------
    c1, c2 : RDM, Embedding or square array-like, shapes (n, n) and (m, m)
        Dissimilarities; arrays need not be symmetric. A DataFrame or DataArray is one of them where rows and columns have the same
        labels, otherwise an Embedding. An Embedding stands for its distances by `metric`, which are never
        formed where they factor exactly. Torch tensors are arrays too; where both are, plan, potentials and top targets come back as
        tensors on their device.
    p, q : array-like, shapes (n,) and (m,), optional
        Weights that sum to 1; zeros are allowed. None: uniform.
    epsilon : float
        Regularisation, absolute, in units of squared dissimilarity (POT's; twice OTT's).
    features : array-like, shape (n, m), or a tuple of two, shapes (n, d) and (m, d), optional
        Fused Gromov-Wasserstein (Vayer et al. 2020, https://doi.org/10.3390/a13090212): a cost of coupling each object to each, known
        beside the dissimilarities, or features of either side, whose squared Euclidean distances are that cost. The least of
        `alpha GW(T) + (1 - alpha) <cost, T>` is then sought, and `gw_loss` is this sum. Only with backend "rust".
    alpha : float
        Weight of the dissimilarities, 0 to 1; used only with `features`.
    loss : str
        "square", or "kl": `C1_ik log(C1_ik / C2_jl) - C1_ik + C2_jl` in place of the square, for dissimilarities that are not
        negative. Only with backend "rust"; `init` is then "uniform", "random", "permutation" or a plan.
    init : str or array-like, shape (n, m)
        First plan. "uniform" (pq'), "random" (a uniform random matrix scaled onto the marginals: the literature's),
        "permutation" (random), "spectral" (leading axes matched), "profile" (third lower bound, Memoli 2011), "cocluster"
        (k-means groups of either side, coupled by their mean dissimilarities), or a plan.
    tol : float, optional
        Relative change of the plan, and L1 marginal error, at which it has converged; free of scale and size.
        None: 1e-6 in mixed precision, 1e-9 in float64.
    max_outer, max_sinkhorn : int
        Most outer steps, and most Sinkhorn sweeps an outer step. With a `tol` that is out of reach, such as 1e-12, exactly
        `max_outer` steps are made.
    precision : str
        "mixed": kernel and products in float32, column sums, potentials and the loss in float64; at an epsilon so small that float32 would
        not hold the plan to 1e-3, it is float64 too. "float64": everything.
    metric : str
        How an Embedding becomes dissimilarities; unused for arrays and RDMs.
    backend : str
        "rust" or "torch"; "auto": "torch" where a CUDA device is asked for, by name or by two tensors on it, otherwise "rust".
    device : str, optional
        Of "torch": "cpu", "cuda" or "cuda:N". None: that of two tensors, otherwise the CPU.
    seed : int
        Of a random start, at least 0.
    threads : int, optional
        None: one a core. The result does not depend on it (with "torch": but for rounding).

    Returns
    -------
    GWSolution
        Not converging is a status, not an exception.

    Raises
    ------
    ValueError
        If an argument is invalid; it names argument, value and expectation.
    Interrupted
        Within a second of Ctrl-C (with "torch": after the operation at hand): a KeyboardInterrupt whose `found` is the solution so far.

    Examples
    --------
    >>> made_up = gwrsa.demo.simulated(n_objects=100, n_categories=8)
    >>> human, model = made_up.human, made_up.models[0]
    >>> found = gwrsa.entropic_gw(human, model, epsilon=0.02, init="spectral")
    >>> found.status
    'converged'
    >>> round(found.gw_loss, 4)
    0.0258
    >>> round(gwrsa.matching_rate(found.plan), 2)
    0.89
    >>> found.top(3)[0].tolist()
    [0, 44, 75]
    """
    check.choice("precision", precision, PRECISIONS)
    check.choice("loss", loss, LOSSES)
    n_threads = check.threads("threads", threads)
    problem = build_problem(
        c1,
        c2,
        p,
        q,
        metric=metric,
        backend=backend,
        device=device,
        features=features,
        alpha=alpha,
        loss=loss,
        threads=n_threads,
    )
    if isinstance(init, str):
        # The others compare dissimilarities of the two sides, which this loss does not take in the same units.
        check.choice("init", init, INITS if loss == "square" else INITS[:3])
        start: backends.Init = (init, check.integer("seed", seed, 0, 2**64 - 1), 0)
    else:
        start = check.array("init", init, 2)
    epsilon = check.positive("epsilon", epsilon)
    ended: list[RawSolution] = []

    def so_far() -> GWSolution:
        if not ended:
            return GWSolution.unbegun(epsilon)
        raw = ended[0] if math.isfinite(ended[0].gw_loss) else ended[0].evaluated()
        return GWSolution.from_raw(raw, tensors.device_of(c1, c2))

    try:
        problem.solve(
            [(start, [epsilon])],
            precision=precision,
            tol=DEFAULT_TOL[precision] if tol is None else check.positive("tol", tol),
            max_outer=check.steps("max_outer", max_outer),
            max_sinkhorn=check.steps("max_sinkhorn", max_sinkhorn),
            level_tol=1e-2,
            level_max_outer=25,
            threads=n_threads,
            done=lambda _, raw: ended.append(raw),
        )
    except KeyboardInterrupt:
        raise Interrupted(so_far) from None
    return so_far()


def sinkhorn(
    cost: ArrayLike,
    p: ArrayLike | None = None,
    q: ArrayLike | None = None,
    *,
    epsilon: float,
    tol: float | None = None,
    max_sinkhorn: int = 10_000,
    precision: Precision = "float64",
    threads: int | None = None,
) -> OTSolution:
    """Linear entropic optimal transport: the least `<cost, T> + epsilon sum T log T` over T in U(p, q).

    Sinkhorn's iteration (Cuturi 2013, https://arxiv.org/abs/1306.0895) with potentials absorbed when they leave the safe range, so
    that a small epsilon does not underflow.

    Parameters
    ----------
    cost : array-like, shape (n, m)
        Any real numbers.
    p, q : array-like, optional
        Weights, as in `entropic_gw`.
    epsilon : float
        Regularisation in units of the cost.
    tol : float, optional
        L1 marginal error at which it has converged. None: 1e-6 in mixed precision, which rounds at 3e-8, 1e-9 in float64.
    max_sinkhorn : int
        Most sweeps.
    precision : str
        "float64" or "mixed".
    threads : int, optional
        None: one a core.

    Returns
    -------
    OTSolution
        Not converging is a status, not an exception.

    Raises
    ------
    ValueError
        If an argument is invalid.

    Examples
    --------
    >>> found = gwrsa.sinkhorn([[0.0, 1.0], [1.0, 0.0]], epsilon=0.1)
    >>> found.status, round(found.transport_cost, 4)
    ('converged', 0.0)
    >>> found.plan.round(4).tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    matrix = check.array("cost", cost, 2)
    check.choice("precision", precision, PRECISIONS)
    plan, f, g, status, sweeps, error = _core.sinkhorn(
        matrix,
        check.weights("p", p, matrix.shape[0]),
        check.weights("q", q, matrix.shape[1]),
        epsilon=check.positive("epsilon", epsilon),
        tol=DEFAULT_TOL[precision] if tol is None else check.positive("tol", tol),
        max_sinkhorn=check.steps("max_sinkhorn", max_sinkhorn),
        precision=precision,
        threads=check.threads("threads", threads),
    )
    transport_cost = float(np.vdot(matrix, plan)) if status != "numerical_error" else float("inf")
    return OTSolution(plan, transport_cost, (f, g), status, sweeps, error)  # type: ignore[arg-type]


def build_problem(
    c1: RDM | Embedding | ArrayLike,
    c2: RDM | Embedding | ArrayLike,
    p: ArrayLike | None = None,
    q: ArrayLike | None = None,
    *,
    metric: Metric = "cosine",
    backend: str = "auto",
    device: str | None = None,
    features: ArrayLike | tuple[ArrayLike, ArrayLike] | None = None,
    alpha: float = 0.5,
    loss: str = "square",
    threads: int = 0,
) -> Problem:
    """Check both sides and prepare them in the backend; arguments as in `entropic_gw`."""
    check.choice("metric", metric, METRICS)
    if features is None and alpha != 0.5:
        raise ValueError(f"alpha must be left at 0.5 without features, got {alpha!r}")
    there = tensors.device_of(c1, c2)
    if device is None and there is not None and backend != "rust":
        device = str(there)
    # Factors give a dissimilarity of 0 up to a rounding error, whose logarithm, or sign, would count.
    whole = loss == "kl"
    source, target = as_cost("c1", c1, metric, whole=whole), as_cost("c2", c2, metric, whole=whole)
    return backends.prepare(
        source,
        target,
        check.weights("p", p, _size(source)),
        check.weights("q", q, _size(target)),
        backend=backend,
        device=device,
        linear=None if features is None else _feature_cost(features, (_size(source), _size(target))),
        alpha=1.0 if features is None else check.share("alpha", alpha),
        loss=loss,
        threads=threads,
    )


def _feature_cost(features: Any, shape: tuple[int, int]) -> FloatArray:  # noqa: ANN401
    """The cost between features (n, m), given or as squared Euclidean distances."""
    if isinstance(features, tuple):
        if len(features) != 2:
            raise ValueError(f"features must be an array or a tuple of two, got a tuple of {len(features)}")
        x, y = check.array("features[0]", features[0], 2), check.array("features[1]", features[1], 2)
        if x.shape[1] != y.shape[1]:
            raise ValueError(f"features must have the same number of columns, got {x.shape[1]} and {y.shape[1]}")
        from scipy.spatial.distance import cdist

        cost: FloatArray = cdist(x, y, "sqeuclidean")
    else:
        cost = check.array("features", features, 2)
    if cost.shape != shape:
        raise ValueError(f"features must make a cost of shape {shape}, got {cost.shape}")
    return cost


def _size(cost: Cost) -> int:
    return len(cost.values) if isinstance(cost, tuple) else len(cost)


def as_cost(name: str, c: Any, metric: Metric, *, whole: bool = False) -> Cost:  # noqa: ANN401
    """What a side of a problem stands for: its factors where they are the smaller, or its square matrix; whole: always that."""
    if not isinstance(c, (RDM, Embedding)):
        c = labelled.cost(name, c)
    if whole and isinstance(c, (RDM, Embedding)):
        return c.square() if isinstance(c, RDM) else from_embedding(c, metric).square()
    if isinstance(c, Embedding):
        factored = factor(c, metric)
        # Wider than it is tall: the square matrix is the smaller one.
        wide = factored is not None and factored.values.shape[1] >= len(c)
        return from_embedding(c, metric).square() if factored is None or wide else factored
    if isinstance(c, RDM):
        return c.square() if c.factored is None or c.factored.values.shape[1] >= len(c) else c.factored
    return check.square(name, c)
