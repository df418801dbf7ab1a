"""The search: many starts of one pair of representations, each scored against the answer key it never saw."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr

from gwrsa import _validate as check
from gwrsa import kicking, labelled, metrics, polishing, schedule
from gwrsa._validate import FloatArray
from gwrsa.alignment import Alignment, Start, lowest_of
from gwrsa.backends import PlannedStart, Problem, RawSolution
from gwrsa.embedding import Embedding
from gwrsa.factored import unit_rows
from gwrsa.interrupts import Interrupted
from gwrsa.loaders import Categories
from gwrsa.memberships import Uncategorised, check_no_path, check_same_categories
from gwrsa.polishing import Polished
from gwrsa.rdm import METRICS, RDM, Metric
from gwrsa.same_items import check_same_items, warn_of_shared
from gwrsa.solution import GWSolution
from gwrsa.solve import PRECISIONS, Precision, build_problem

if TYPE_CHECKING:
    from gwrsa.labelled import Labelled

TOP_K = (1, 5, 10)
# Mutual information of a plan, in nats, below which targets may be tied: its entries are then some 14 % off the uniform plan's.
UNDECIDED = 1e-2


def align(
    source: RDM | Embedding | Labelled,
    target: RDM | Embedding | Labelled,
    *,
    search: Literal["anneal", "multistart"] = "anneal",
    epsilon: float | tuple[float, float] | None = None,
    n_starts: int | None = None,
    first_start: int = 0,
    n_kicks: int = 0,
    seed: int = 0,
    workers: int | None = None,
    progress: bool = True,
    absolute: bool = False,
    metric: Metric = "cosine",
    categories: Categories | ArrayLike | None = None,
    target_categories: Categories | ArrayLike | None = None,
    uncategorised: Uncategorised = "exclude",
    p: ArrayLike | None = None,
    q: ArrayLike | None = None,
    polish: Literal["permutation"] | None = None,
    tol: float = 1e-5,
    max_outer: int = 1000,
    max_sinkhorn: int = 1000,
    precision: Precision = "mixed",
    backend: str = "auto",
    device: str | None = None,
) -> Alignment:
    """Align two representations without being told which object is which, from many starts.

    Parameters
    ----------
    source, target : RDM, Embedding, DataFrame or DataArray
        Of n and m objects. A pandas DataFrame or xarray DataArray is an RDM where rows and columns have the same labels, and an Embedding
        otherwise, a row an object. Of the same number, they must be the same objects in the same order (by their labels, where both have
        them): the answer key of the matching rates, which the alignment itself never sees.
    search : str
        "anneal": diverse starts, each followed down a ladder of epsilon to the value asked for. "multistart": the literature's, random
        starts at fixed epsilon.
    epsilon : float or (low, high), optional
        In units of the pair's critical epsilon, unless `absolute`. "anneal": the value at the end, or the end and the top of the ladder;
        None: 0.1. "multistart": the value of every start, or a range from which each start draws its own, log-uniformly; None: (0.05, 0.5).
    n_starts : int, optional
        None: 8 for "anneal", 20 for "multistart". The first n of a longer list are the same starts.
    first_start : int
        So many starts of that list are left out, and `n_starts` made after them: more of a search made before. Their numbers go on
        where those ended.
    n_kicks : int
        "anneal" only. So many further starts, in rounds of four, each from the lowest plan so far after a random smooth push, annealed
        again from twice the last epsilon; "kick of 3" is one that began from start 3. What they gain: docs/method.md.
    seed : int
        At least 0. The outcome is a function of the arguments; it does not depend on `workers`.
    workers : int, optional
        Threads, also of what is asked of the result later, such as a plan. None: one a core. Threads that prepare the starts, with a
        CUDA device.
    progress : bool
        A bar on stderr: the share of all epsilons of all starts that was gone through, starts done, the lowest loss.
    absolute : bool
        Epsilon, which must then be given, is POT's, in units of squared dissimilarity.
    metric : str
        How an Embedding becomes dissimilarities; unused for RDMs.
    categories : Categories, or array-like (n,) of labels or (n, c) of 0/1, optional
        Of the source items. None: no category columns. Categories are taken by label where the source has labels.
    target_categories : as categories, optional
        Of the target items. None: the same.
    uncategorised : str
        "exclude", "category" or "miss": what an item without a category counts as; see `category_matching_rate`.
    p, q : array-like, shapes (n,) and (m,), optional
        Weights that sum to 1. None: uniform.
    polish : str, optional
        "permutation": `Alignment.lowest_loss` is followed down to a local optimum without entropy, `Alignment.polished`; see
        `gwrsa.polish`. It needs as many source as target objects, and uniform weights. None: nothing of the kind.
    tol, max_outer, max_sinkhorn, precision, backend, device
        Of each solve, as in `entropic_gw`.

    Returns
    -------
    Alignment
        Failed starts are in its table, marked, and never win.

    Warns
    -----
    UserWarning
        If there is nothing that can be polished, as where all starts failed: `Alignment.polished` is then None. If objects have no
        labels and are given Categories, which are then taken by position, or only one side has labels. If source and target
        differ in number and share labels, so that matching rates could be had of those. If epsilon is above the critical one for
        every start.

    Raises
    ------
    ValueError
        If an argument is invalid, or the labels of source and target differ.
    Interrupted
        Within a second of Ctrl-C: a KeyboardInterrupt whose `found` is the Alignment so far.

    Examples
    --------
    >>> made_up = gwrsa.demo.simulated(n_objects=100, n_categories=8)
    >>> human, model = made_up.human, made_up.models[0]
    >>> found = gwrsa.align(human, model, categories=made_up.categories, progress=False)
    >>> best = found.lowest_loss
    >>> len(found.starts), round(best.gw_loss, 4), best.matching[1], best.category[1]
    (8, 0.0267, 0.87, 1.0)
    >>> found.table[["init", "status", "top1"]].head(2)
              init     status  top1
    0  spectral+++  converged  0.87
    1      profile  converged  0.87
    """
    source, target = labelled.side("source", source), labelled.side("target", target)
    check.choice("search", search, ("anneal", "multistart"))
    check.choice("precision", precision, PRECISIONS)
    check.choice("metric", metric, METRICS)
    if polish is not None:
        check.choice("polish", polish, ("permutation",))
        polishing.check_polishable(len(source), len(target), p, q)
    paired = len(source) == len(target)
    if paired:
        check_same_items(source, target, ("source", "target"))
    else:
        warn_of_shared(source, target)
        _warn_of_bare(target, target_categories)
    _warn_of_bare(source, categories)
    check_same_categories(categories, target_categories)
    weights = check.weights("p", p, len(source)), check.weights("q", q, len(target))
    rates = _Rates(
        shape=(len(source), len(target)),
        truth=np.arange(len(source)) if paired else None,
        source=members(categories, source, "categories"),
        target=members(categories if target_categories is None else target_categories, target, "target_categories")
        if paired or target_categories is not None
        else None,
        uncategorised=check.choice("uncategorised", uncategorised, ("exclude", "category", "miss")),
        entropy=float(sum(entr(w).sum() for w in weights)),
        equal=any(bool((w == 0).any()) for w in weights) or _has_equals(target, metric),
    )
    if rates.source is not None and rates.target is None:
        raise ValueError("target_categories must be given with categories when source and target differ in number")
    tol = check.positive("tol", tol)
    seed = check.integer("seed", seed, 0, 2**64 - 1)
    check.steps("max_outer", max_outer)
    check.steps("max_sinkhorn", max_sinkhorn)
    threads = check.threads("workers", workers)
    n_kicks = check.integer("n_kicks", n_kicks, 0, check.MOST_STARTS)
    if n_kicks and search != "anneal":
        raise ValueError(f"n_kicks must be 0 with search {search!r}, got {n_kicks}")
    n_starts = schedule.number_of_starts(search, n_starts)
    first_start = check.integer("first_start", first_start, 0, check.MOST_STARTS - n_starts)
    problem = build_problem(source, target, p, q, metric=metric, backend=backend, device=device, threads=threads)
    critical = problem.critical_epsilon()
    listed = schedule.plan(search, epsilon, first_start + n_starts, seed, critical=critical, absolute=absolute)
    planned = listed[first_start:]

    from tqdm import tqdm

    last = planned[0].epsilons[-1]
    ladder = schedule.ladder(kicking.REHEATED * last, last)
    total = sum(_n_levels([start.epsilons for start in planned])) + n_kicks * (len(ladder) + 1)
    with tqdm(
        total=total,
        disable=not check.flag("progress", progress),
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}, about {remaining} left{postfix}",
        desc=f"{source.name} vs {target.name}",
        postfix=_how_far((), n_starts + n_kicks),
    ) as bar:
        settings = {"precision": precision, "tol": tol, "max_outer": max_outer, "max_sinkhorn": max_sinkhorn}
        run = _Run(problem, rates, seed, settings | {"threads": threads}, bar, n_starts + n_kicks, first_start)

        def so_far() -> Alignment:
            return Alignment(source, target, metric, search, critical, run.starts())

        try:
            run.solve([(start.init, start.epsilons) for start in planned], [start.label for start in planned])
            if n_kicks:
                places = kicking.positions(source, metric), kicking.positions(target, metric)
                for at in range(0, n_kicks, kicking.PER_ROUND):
                    run.kick(range(at, min(at + kicking.PER_ROUND, n_kicks)), ladder, places, weights)
            result = so_far()
            return result if polish is None else _polished(result, rates)
        except KeyboardInterrupt:
            raise Interrupted(so_far) from None


def _polished(found: Alignment, rates: _Rates) -> Alignment:
    """With the start chosen without labels polished; as it is, with a warning, where that cannot be, so that the search is not lost."""
    try:
        best = found.lowest_loss
        end = polishing.polish(best.solution, found.source, found.target, metric=found.metric)
    except ValueError as error:
        warnings.warn(f"nothing was polished: {error}", stacklevel=3)
        return found
    return replace(found, polished=rates.polished(best, end))


def _how_far(found: Collection[Start], total: int) -> str:
    """What the bar says of a search."""
    lowest = f", lowest loss {min(s.gw_loss for s in found):.6g}" if found else ""
    return f"{len(found)} of {total} starts done{lowest}"


@dataclass(frozen=True)
class _Run:
    """A search on its way: what solves, and what was found."""

    problem: Problem
    rates: _Rates
    seed: int
    settings: dict[str, Any]
    bar: Any
    total: int
    """Starts and kicks that were asked for."""
    before: int
    """Starts that were left out."""
    planned: dict[int, tuple[str, float]] = field(default_factory=dict)
    """Label and last epsilon of each."""
    ended: dict[int, tuple[int, RawSolution]] = field(default_factory=dict)
    """Of those that a solver is done with: the number of the first that was solved together with it, and the outcome."""
    found: dict[int, Start] = field(default_factory=dict)
    """Those whose outcome has been scored."""

    def solve(self, starts: list[PlannedStart], labels: list[str]) -> None:
        """Add these starts to those found; their numbers go on from there."""
        first = self.before + len(self.planned)
        left = _n_levels([epsilons for _, epsilons in starts])
        for i, ((_, epsilons), label) in enumerate(zip(starts, labels, strict=True)):
            self.planned[first + i] = label, epsilons[-1]

        def done(i: int, raw: Any) -> None:  # noqa: ANN401
            if raw is not None:
                self.ended[first + i] = first, raw
            steps = 1 if raw is None else left[i]
            left[i] -= steps
            self.bar.update(steps)
            # After an interrupt, what is not evaluated waits until it is asked for.
            if raw is not None and (math.isfinite(raw.gw_loss) or raw.status == "numerical_error"):
                self._score(first + i)
                self.bar.set_postfix_str(_how_far(self.found.values(), self.total), refresh=False)

        self.problem.solve(
            starts,
            level_tol=schedule.LEVEL_TOL,
            level_max_outer=schedule.LEVEL_MAX_OUTER,
            done=done,
            **self.settings,
        )

    def _score(self, number: int) -> None:
        label, epsilon = self.planned[number]
        first, raw = self.ended.get(number, (0, None))
        if raw is None:
            into, by, solution = None, None, GWSolution.unbegun(epsilon)
        else:
            into, by = (None if other is None else first + other for other in (raw.merged_into, raw.stopped_by))
            solution = GWSolution.from_raw(raw if math.isfinite(raw.gw_loss) else raw.evaluated())
        self.found[number] = self.rates.start(number, self.seed, label, into, by, solution)

    def starts(self) -> tuple[Start, ...]:
        """All that were planned; after an interrupt also those on their way and those not begun."""
        for number in self.planned:
            if number not in self.found:
                self._score(number)
        return tuple(self.found[number] for number in sorted(self.found))

    def kick(
        self,
        numbers: range,
        ladder: list[float],
        places: tuple[FloatArray, FloatArray],
        weights: tuple[FloatArray, FloatArray],
    ) -> None:
        """A round of kicks from the lowest of those that converged, or where none did, of those that have a plan."""
        usable = [s for s in self.found.values() if not s.solution.failed]
        if usable:
            best = lowest_of([s for s in usable if s.solution.converged] or usable)
            plans = [kicking.kick(best.plan, *places, *weights, self.seed, i) for i in numbers]
            self.solve([(plan, ladder) for plan in plans], [f"kick of {best.number}"] * len(plans))


def _n_levels(ladders: list[list[float]]) -> list[int]:
    """Levels that are reported of each start; beside a ladder, the last value is solved twice, to compare starts in between."""
    compared = any(len(epsilons) > 1 for epsilons in ladders)
    return [len(epsilons) + compared for epsilons in ladders]


@dataclass(frozen=True)
class _Rates:
    """What the starts are scored by; it plays no part in the search."""

    shape: tuple[int, int]
    truth: NDArray[np.int64] | None
    source: ArrayLike | None
    target: ArrayLike | None
    uncategorised: Uncategorised
    entropy: float
    """Of p, plus that of q, in nats."""
    equal: bool
    """A weight is 0, or two targets are the same."""

    def start(
        self, number: int, seed: int, init: str, merged_into: int | None, stopped_by: int | None, solution: GWSolution
    ) -> Start:
        n, m = self.shape
        matching: dict[int, float]
        category: dict[int, float]
        tied = not solution.failed and self._tied(solution)
        if solution.failed:
            top = np.zeros((n, min(10, m)), dtype=np.int64)
            matching = {} if self.truth is None else dict.fromkeys(TOP_K, 0.0)
            category = {} if self.source is None else dict.fromkeys(TOP_K, 0.0)
        else:
            top = solution.top(min(10, m))
            # From a copy, which takes its plan with it: starts do not each hold an n x m array.
            matching, category = self._of_plan(replace(solution).plan) if tied else self._of_top(top)
        return Start(number, seed, init, merged_into, stopped_by, solution, top, tied, matching, category)

    def polished(self, start: Start, end: Polished) -> Polished:
        matching, category = self._of_plan(end.plan)
        return replace(end, start=start.number, matching=matching, category=category)

    def _tied(self, solution: GWSolution) -> bool:
        """Whether targets can be tied for a place; then the plan is formed, which is as long as a few outer steps."""
        known = (solution.objective - solution.gw_loss) / solution.epsilon + self.entropy
        return self.equal or known < UNDECIDED

    def _of_top(self, top: NDArray[np.int64]) -> tuple[dict[int, float], dict[int, float]]:
        return self._rates(top, metrics.matching_rate_of_top, metrics.category_matching_rate_of_top)

    def _of_plan(self, plan: FloatArray) -> tuple[dict[int, float], dict[int, float]]:
        return self._rates(plan, metrics.matching_rate, metrics.category_matching_rate)

    def _rates(
        self, found: ArrayLike, matching_rate: Callable[..., float], category_rate: Callable[..., float]
    ) -> tuple[dict[int, float], dict[int, float]]:
        ks = {k: min(k, self.shape[1]) for k in TOP_K}
        matching: dict[int, float] = {}
        category: dict[int, float] = {}
        if self.truth is not None:
            matching = {k: matching_rate(found, within, truth=self.truth) for k, within in ks.items()}
        if self.source is not None:
            how = {"target_categories": self.target, "uncategorised": self.uncategorised}
            category = {k: category_rate(found, self.source, within, **how) for k, within in ks.items()}
        return matching, category


def _has_equals(side: RDM | Embedding, metric: Metric) -> bool:
    """Whether two of its objects can be at no distance, so that every plan couples both alike."""
    if isinstance(side, RDM):
        size = np.abs(side.dissimilarities)
        return bool(size.min(initial=np.inf) <= 1e-12 * size.max(initial=0.0))
    # Rows that a metric takes for the same: in one direction, but for their mean.
    rows = unit_rows(side, metric) if metric in ("cosine", "correlation") else side.values
    # Equal rows are next to each other along any direction, others hardly ever.
    order = np.argsort(rows @ np.random.default_rng(0).standard_normal(rows.shape[1]))
    apart = np.abs(np.diff(rows[order], axis=0)).max(axis=1, initial=0.0)
    return bool(apart.min(initial=np.inf) <= 1e-6 * np.abs(rows).max())


def members(
    categories: Categories | ArrayLike | None, of: RDM | Embedding, name: str = "categories"
) -> ArrayLike | None:
    """Categories of the objects of `of`, as the metrics take them; Categories by label, arrays by position."""
    check_no_path(name, categories)
    if isinstance(categories, Categories):
        categories = categories.select(of.items).members if of.items is not None else categories.members
    if categories is not None and np.shape(categories)[:1] != (len(of),):
        raise ValueError(
            f"{name} must have {len(of)} rows, one an object of {of.name!r}, got shape {np.shape(categories)}"
        )
    return categories


def _warn_of_bare(side: RDM | Embedding, categories: Categories | ArrayLike | None) -> None:
    if isinstance(categories, Categories) and side.items is None:
        warnings.warn(
            f"the {len(side)} objects of {side.name!r} have no labels: their categories are matched by position",
            stacklevel=3,
        )
