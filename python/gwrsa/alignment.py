"""One pair of representations aligned without labels, from many starts."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gwrsa import _validate as check
from gwrsa import metrics, polishing, schedule
from gwrsa._validate import FloatArray
from gwrsa.compare import rsa
from gwrsa.embedding import Embedding
from gwrsa.loaders import Categories
from gwrsa.metrics import Uncategorised
from gwrsa.polishing import Polished
from gwrsa.rdm import METRICS, RDM, Metric, check_same_items, from_embedding
from gwrsa.solve import PRECISIONS, GWSolution, Precision, build_problem

if TYPE_CHECKING:
    import pandas as pd

    from gwrsa.backends import Status

TOP_K = (1, 5, 10)


@dataclass(frozen=True, eq=False)
class Start:
    """One start of an alignment and where it ended."""

    number: int
    """Its place in the list of starts."""
    seed: int
    """The alignment's seed; with `number` it fixes every random draw of the start."""
    init: str
    """The first plan: its name, with the sign pattern of a spectral one."""
    merged_into: int | None
    """Number of the start whose basin it entered on the way, and whose end is given; None for one that went its own way."""
    stopped_by: int | None
    """Number of the start with the lowest loss when this one, more than 3 % above it at the last epsilon, loosely solved, was stopped: its
    status is then "stopped", and it never wins over one that converged. None for one that went on."""
    solution: GWSolution
    """Where it ended; steps and path are its own."""
    top: NDArray[np.int64]
    """Most probable targets of each source item, shape (n, min(10, m)), most probable first."""
    matching: dict[int, float]
    """Matching rate within the 1, 5 and 10 most probable targets; empty where there is no counterpart."""
    category: dict[int, float]
    """Category matching rate, the same; empty without categories."""

    @property
    def plan(self) -> FloatArray:
        """The plan (n, m); see `GWSolution.plan`."""
        return self.solution.plan

    @property
    def gw_loss(self) -> float:
        """GW loss of the plan; infinity for a failed start."""
        return self.solution.gw_loss

    @property
    def epsilon(self) -> float:
        """Absolute epsilon of the plan."""
        return self.solution.epsilon

    @property
    def status(self) -> Status:
        """How it ended; see `GWSolution.status`."""
        return self.solution.status


@dataclass(frozen=True, eq=False)
class Alignment:
    """What `align` found: every start, none left out."""

    source: RDM | Embedding
    """As given."""
    target: RDM | Embedding
    """As given."""
    metric: Metric
    """How embeddings became dissimilarities."""
    search: str
    """"anneal" or "multistart"."""
    critical_epsilon: float
    """Epsilon above which the uniform plan is a stable fixed point of this pair, absolute."""
    starts: tuple[Start, ...]
    """In the order of their numbers."""
    polished: Polished | None = None
    """With `polish`: the local optimum without entropy below the start of lowest loss; None without."""

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row a start.

        Columns: start, seed, init, merged_into and stopped_by (a start's number, or missing), epsilon (absolute), epsilon_ratio (in
        units of the critical epsilon), gw_loss, objective, status, failed, n_outer, n_sinkhorn, marginal_error, top1, top5, top10
        (matching rates; where items have counterparts), category (top-1), category5, category10 (where there are categories), seconds.
        A failed start has an infinite loss and rates of 0.
        """
        import pandas as pd

        return pd.DataFrame([self._row(s) for s in self.starts]).astype({"merged_into": "Int64", "stopped_by": "Int64"})

    @cached_property
    def paths(self) -> pd.DataFrame:
        """The way of each start through epsilon, a row a level.

        Columns: start, init, level, epsilon (absolute), n_outer, change (relative, of the last outer step). The way of a start that was
        merged ends where it met the other.
        """
        import pandas as pd

        columns = ["start", "init", "level", "epsilon", "n_outer", "change"]
        rows = [(s.number, s.init, level, *step) for s in self.starts for level, step in enumerate(s.solution.path)]
        return pd.DataFrame(rows, columns=columns)

    def near_ties(self, within: float = 0.01) -> tuple[Start, ...]:
        """Starts of other basins that end within this share of the lowest loss, the lowest first; near-ties can match differently.

        Raises
        ------
        ValueError
            If `within` is not positive, or every start failed.
        """
        check.positive("within", within)
        best = self.lowest_loss
        limit = best.gw_loss * (1 + within)
        others = [s for s in self._eligible() if s.merged_into is None and s.gw_loss <= limit]
        return tuple(sorted(others, key=lambda s: s.gw_loss))

    @property
    def lowest_loss(self) -> Start:
        """The start with the lowest GW loss, of those that converged.

        The loss is that of the rounded plan, an upper bound of the optimum that can be compared at any epsilon. A solve minimises the
        objective, in the table beside it: of starts that end at one epsilon, the lowest loss and the lowest objective can be two
        starts only where they are near-ties.

        Warns
        -----
        UserWarning
            If none converged: then the lowest of those that have a plan.

        Raises
        ------
        ValueError
            If every start failed.
        """
        return min(self._eligible(), key=lambda s: s.gw_loss)

    def highest_matching(self, k: int = 1) -> Start:
        """The start that matches most items within the k most probable targets, of those that converged.

        It is chosen by the answer, so its rate is an upper end, not an estimate; see the reference study.

        Parameters
        ----------
        k : int
            Between 1 and 10.

        Raises
        ------
        ValueError
            If k is out of range, items have no counterparts, or every start failed.
        """
        check.integer("k", k, 1, 10)
        truth = np.arange(len(self.source))
        if not self.starts[0].matching:
            raise ValueError("highest_matching needs items with counterparts, but source and target differ in number")
        within = min(k, self.starts[0].top.shape[1])
        return max(
            self._eligible(), key=lambda s: (metrics.matching_rate_of_top(s.top, within, truth=truth), -s.gw_loss)
        )

    @cached_property
    def rsa(self) -> float:
        """Classic RSA of the pair: Pearson correlation of the dissimilarities, told which object is which."""
        return rsa(_as_rdm(self.source, self.metric), _as_rdm(self.target, self.metric))

    def save(self, folder: str | Path) -> Path:
        """Write `results.csv` (the table), `summary.json`, and `plans/*.npz`: lowest loss, highest matching, polished.

        Each file is written under a temporary name and renamed, so that no half file is ever seen. Returns the folder.
        """
        out = Path(folder)
        (out / "plans").mkdir(parents=True, exist_ok=True)
        best = {"lowest_loss": self.lowest_loss}
        if self.starts[0].matching:
            best["highest_matching"] = self.highest_matching()
        _replace(out / "results.csv", lambda path: self.table.to_csv(path, index=False))
        summary = {
            "source": self.source.name,
            "target": self.target.name,
            "metric": self.metric,
            "search": self.search,
            "critical_epsilon": self.critical_epsilon,
            "rsa": self.rsa if len(self.source) == len(self.target) else None,
            **{name: _plain(self._row(start)) for name, start in best.items()},
        }
        if self.polished is not None:
            summary["polished"] = self.polished.row()
        _replace(out / "summary.json", lambda path: path.write_text(json.dumps(summary, indent=2) + "\n"))
        saved: dict[str, dict[str, Any]] = {name: {"plan": s.plan, "top": s.top} for name, s in best.items()}
        if self.polished is not None:
            saved["polished"] = {"plan": self.polished.plan}
        for name, arrays in saved.items():
            for side, which in (("source", self.source), ("target", self.target)):
                if which.items is not None:
                    arrays[f"{side}_items"] = np.array(which.items)

            def write(path: Path, arrays: dict[str, Any] = arrays) -> None:
                with path.open("wb") as file:
                    np.savez_compressed(file, **arrays)

            _replace(out / "plans" / f"{name}.npz", write)
        return out

    def _eligible(self) -> list[Start]:
        converged = [s for s in self.starts if s.solution.converged]
        if converged:
            return converged
        usable = [s for s in self.starts if not s.solution.failed]
        if not usable:
            raise ValueError(f"all {len(self.starts)} starts failed with status 'numerical_error'; raise epsilon")
        warnings.warn(
            f"none of {len(self.starts)} starts converged; the best of the others is given. Raise max_outer or max_sinkhorn",
            stacklevel=3,
        )
        return usable

    def _row(self, start: Start) -> dict[str, Any]:
        s = start.solution
        return {
            "start": start.number,
            "seed": start.seed,
            "init": start.init,
            "merged_into": start.merged_into,
            "stopped_by": start.stopped_by,
            "epsilon": s.epsilon,
            "epsilon_ratio": s.epsilon / self.critical_epsilon if self.critical_epsilon > 0 else float("inf"),
            "gw_loss": s.gw_loss,
            "objective": s.objective,
            "status": s.status,
            "failed": s.failed,
            "n_outer": s.n_outer,
            "n_sinkhorn": s.n_sinkhorn,
            "marginal_error": s.marginal_error if np.isfinite(s.marginal_error) else float("inf"),
            **{f"top{k}": rate for k, rate in start.matching.items()},
            **{"category" if k == 1 else f"category{k}": rate for k, rate in start.category.items()},
            "seconds": s.seconds,
        }


def align(
    source: RDM | Embedding,
    target: RDM | Embedding,
    *,
    search: Literal["anneal", "multistart"] = "anneal",
    epsilon: float | tuple[float, float] | None = None,
    n_starts: int | None = None,
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
    source, target : RDM or Embedding
        Of n and m objects. Of the same number, they must be the same objects in the same order (by their labels, where both have
        them): the answer key of the matching rates, which the alignment itself never sees.
    search : str
        "anneal": diverse starts, each followed down a ladder of epsilon to the value asked for. "multistart": the literature's, random
        starts at fixed epsilon.
    epsilon : float or (low, high), optional
        In units of the pair's critical epsilon, unless `absolute`. "anneal": the value at the end, or the end and the top of the ladder;
        None: 0.1. "multistart": the value of every start, or a range from which each start draws its own, log-uniformly; None: (0.05, 0.5).
    n_starts : int, optional
        None: 8 for "anneal", 20 for "multistart". The first n of a longer list are the same starts.
    seed : int
        At least 0. The outcome is a function of the arguments; it does not depend on `workers`.
    workers : int, optional
        Threads. None: one a core.
    progress : bool
        A bar on stderr.
    absolute : bool
        Epsilon is POT's, in units of squared dissimilarity.
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
        "permutation": the start of lowest loss is followed down to a local optimum without entropy, `Alignment.polished`; see
        `gwrsa.polish`. It needs as many source as target objects, and uniform weights. None: nothing of the kind.
    tol, max_outer, max_sinkhorn, precision, backend, device
        Of each solve, as in `entropic_gw`.

    Returns
    -------
    Alignment
        Failed starts are in its table, marked, and never win.

    Raises
    ------
    ValueError
        If an argument is invalid, or the labels of source and target differ.
    """
    for name, side in (("source", source), ("target", target)):
        if not isinstance(side, (RDM, Embedding)):
            raise ValueError(f"{name} must be an RDM or Embedding, got {type(side).__name__}")
    check.choice("search", search, ("anneal", "multistart"))
    check.choice("precision", precision, PRECISIONS)
    check.choice("metric", metric, METRICS)
    if polish is not None:
        check.choice("polish", polish, ("permutation",))
        polishing.check_polishable(len(source), len(target), p, q)
    paired = len(source) == len(target)
    if paired:
        check_same_items(source, target)
    rates = _Rates(
        shape=(len(source), len(target)),
        truth=np.arange(len(source)) if paired else None,
        source=members(categories, source, "categories"),
        target=members(categories if target_categories is None else target_categories, target, "target_categories")
        if paired or target_categories is not None
        else None,
        uncategorised=check.choice("uncategorised", uncategorised, ("exclude", "category", "miss")),
    )
    if rates.source is not None and rates.target is None:
        raise ValueError("target_categories must be given with categories when source and target differ in number")
    tol = check.positive("tol", tol)
    seed = check.integer("seed", seed, 0, 2**64 - 1)
    check.steps("max_outer", max_outer)
    check.steps("max_sinkhorn", max_sinkhorn)
    threads = check.threads("workers", workers)
    problem = build_problem(source, target, p, q, metric=metric, backend=backend, device=device)
    critical = problem.critical_epsilon()
    planned = schedule.plan(search, epsilon, n_starts, seed, critical=critical, absolute=absolute)

    from tqdm import tqdm

    found: dict[int, Start] = {}
    # Beside a ladder, the last value is solved twice: loosely, to compare starts, then to the tolerance.
    compared = any(len(start.epsilons) > 1 for start in planned)
    left = [len(start.epsilons) + compared for start in planned]
    with tqdm(total=sum(left), disable=not progress, unit="level", desc=f"{source.name} vs {target.name}") as bar:

        def done(i: int, raw: Any) -> None:  # noqa: ANN401
            steps = 1 if raw is None else left[i]
            left[i] -= steps
            bar.update(steps)
            if raw is not None:
                found[i] = rates.start(
                    i, seed, planned[i].label, raw.merged_into, raw.stopped_by, GWSolution.from_raw(raw)
                )
                lowest = min(s.gw_loss for s in found.values())
                bar.set_postfix_str(f"{len(found)} of {len(planned)} starts, lowest loss {lowest:.6g}", refresh=False)

        problem.solve(
            [(start.init, start.epsilons) for start in planned],
            precision=precision,
            tol=tol,
            max_outer=max_outer,
            max_sinkhorn=max_sinkhorn,
            level_tol=schedule.LEVEL_TOL,
            level_max_outer=schedule.LEVEL_MAX_OUTER,
            threads=threads,
            done=done,
        )
    result = Alignment(source, target, metric, search, critical, tuple(found[i] for i in sorted(found)))
    if polish is None:
        return result
    best = result.lowest_loss
    end = polishing.polish(best.solution, source, target, metric=metric)
    return replace(result, polished=rates.polished(best, end))


@dataclass(frozen=True)
class _Rates:
    """What the starts are scored by; it plays no part in the search."""

    shape: tuple[int, int]
    truth: NDArray[np.int64] | None
    source: ArrayLike | None
    target: ArrayLike | None
    uncategorised: Uncategorised

    def start(
        self, number: int, seed: int, init: str, merged_into: int | None, stopped_by: int | None, solution: GWSolution
    ) -> Start:
        failed = solution.failed
        n, m = self.shape
        top = np.zeros((n, min(10, m)), dtype=np.int64) if failed else solution.top(min(10, m))
        matching, category = {}, {}
        for k in TOP_K:
            within = min(k, m)
            if self.truth is not None:
                rate = 0.0 if failed else metrics.matching_rate_of_top(top, within, truth=self.truth)
                matching[k] = rate
            if self.source is not None:
                category[k] = (
                    0.0
                    if failed
                    else metrics.category_matching_rate_of_top(
                        top, self.source, within, target_categories=self.target, uncategorised=self.uncategorised
                    )
                )
        return Start(number, seed, init, merged_into, stopped_by, solution, top, matching, category)

    def polished(self, start: Start, end: Polished) -> Polished:
        plan, ks = end.plan, {k: min(k, self.shape[1]) for k in TOP_K}
        category = {}
        if self.source is not None:
            category = {
                k: metrics.category_matching_rate(
                    plan, self.source, within, target_categories=self.target, uncategorised=self.uncategorised
                )
                for k, within in ks.items()
            }
        matching = {k: metrics.matching_rate(plan, within) for k, within in ks.items()}
        return replace(end, start=start.number, matching=matching, category=category)


def members(
    categories: Categories | ArrayLike | None, of: RDM | Embedding, name: str = "categories"
) -> ArrayLike | None:
    """Categories of the objects of `of`, as the metrics take them; Categories by label, arrays by position."""
    if isinstance(categories, Categories):
        return categories.select(of.items).members if of.items is not None else categories.members
    if categories is not None and np.shape(categories)[:1] != (len(of),):
        raise ValueError(
            f"{name} must have {len(of)} rows, one an object of {of.name!r}, got shape {np.shape(categories)}"
        )
    return categories


def _as_rdm(side: RDM | Embedding, metric: Metric) -> RDM:
    return from_embedding(side, metric) if isinstance(side, Embedding) else side


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity."""
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in row.items()}


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    temporary = path.with_name(f".{path.name}.part")
    write(temporary)
    temporary.replace(path)


__all__: Sequence[str] = ("TOP_K", "Alignment", "Start", "align", "members")
