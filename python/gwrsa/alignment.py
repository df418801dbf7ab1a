"""What an alignment found: every start, the best of them, and how to keep it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gwrsa import _validate as check
from gwrsa import metrics
from gwrsa._validate import FloatArray
from gwrsa.compare import rsa
from gwrsa.embedding import Embedding
from gwrsa.polishing import Polished
from gwrsa.rates import explained
from gwrsa.rdm import RDM, Metric, from_embedding
from gwrsa.same_items import how_to_share
from gwrsa.shards import replace_text, save_arrays
from gwrsa.solution import GWSolution

if TYPE_CHECKING:
    import pandas as pd

    from gwrsa.backends import Status


SAME = 0.01
"""Share of the mass in which two plans have to differ to be two near-ties."""


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
    """Number of the best start when this one, with a loss more than 3 % above it at the last epsilon, loosely solved, was stopped: its
    status is then "stopped", and it never wins over one that converged. None for one that went on."""
    solution: GWSolution
    """Where it ended; steps and path are its own."""
    top: NDArray[np.int64]
    """Most probable targets of each source item, shape (n, min(10, m)), most probable first."""
    tied: bool
    """Whether targets can be tied for a place: near the uniform plan, where a weight is 0 and where two targets are the same. Rates then
    share ties fairly; elsewhere they are as `top` broke them."""
    matching: dict[int, float]
    """Matching rate within the 1, 5 and 10 most probable targets, that of `plan` up to its rounding onto the marginals; empty where there
    is no counterpart."""
    category: dict[int, float]
    """Category matching rate, the same; empty without categories."""

    def __post_init__(self) -> None:
        explained(self)

    def __repr__(self) -> str:
        return (
            f"Start({self.number}, {self.init}, {self.status}, GW loss {self.gw_loss:.6g}, epsilon {self.epsilon:.4g})"
        )

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


def lowest_of(starts: Iterable[Start]) -> Start:
    """The best of these at each epsilon by objective, and of those the one of lowest GW loss; see `Alignment.lowest_loss`."""
    best: dict[float, Start] = {}
    for start in sorted(starts, key=lambda s: (s.solution.objective, s.gw_loss, s.number)):
        best.setdefault(start.epsilon, start)
    return min(best.values(), key=lambda s: (s.gw_loss, s.number))


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
    """With `polish`: the local optimum without entropy below `lowest_loss`; None without, and where every start failed."""

    def __repr__(self) -> str:
        converged = [s for s in self.starts if s.solution.converged]
        lowest = f", lowest_loss: GW loss {lowest_of(converged).gw_loss:.6g}" if converged else ""
        ends = f"{len(self.starts)} starts, {len(converged)} converged{lowest}"
        return f"Alignment({self.source.name!r} vs {self.target.name!r}, {ends})"

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
        """The way of each start through epsilon, a row a level: one value of epsilon that it was solved at, the first is level 0.

        Columns: start, init, level, epsilon (absolute), n_outer, change (relative, of the last outer step). The way of a start that was
        merged ends where it met the other.
        """
        import pandas as pd

        columns = ["start", "init", "level", "epsilon", "n_outer", "change"]
        rows = [(s.number, s.init, level, *step) for s in self.starts for level, step in enumerate(s.solution.path)]
        return pd.DataFrame(rows, columns=columns)

    def near_ties(self, within: float = 0.01) -> tuple[Start, ...]:
        """Starts at plans of their own whose loss is at most this share above that of `lowest_loss`; near-ties can match differently.

        `lowest_loss` comes first, then the others by their loss, among them any whose loss is lower still but whose objective is not.
        Of starts whose plans differ in less than 1 % of the mass, the first stands for all.

        Raises
        ------
        ValueError
            If `within` is not positive, or every start failed.
        """
        check.positive("within", within)
        best = self.lowest_loss
        limit = best.gw_loss * (1 + within)
        close = [s for s in self._eligible() if s.merged_into is None and s.gw_loss <= limit]
        ties: list[tuple[Start, FloatArray]] = []
        for start in sorted(close, key=lambda s: (s is not best, s.gw_loss)):
            # From a copy, which takes its plan with it: starts do not each hold an n x m array.
            plan = replace(start.solution).plan
            if all(np.abs(plan - other).sum() / 2 >= SAME for _, other in ties):
                ties.append((start, plan))
        return tuple(start for start, _ in ties)

    @property
    def lowest_loss(self) -> Start:
        """The start chosen without labels, of those that converged: by objective at one epsilon, by GW loss across epsilons.

        Of starts that end at one epsilon it is the one of lowest objective, `gw_loss + epsilon sum(T log T)`, which is what they all
        minimise. Objectives of two epsilons cannot be compared, since each holds its own share of entropy: of the best at each
        epsilon, the one of lowest GW loss is taken. That loss is of the rounded plan, an upper bound of the optimum at any epsilon.
        A start of lower loss than this one's at the same epsilon has a plan of higher entropic objective; `near_ties` lists it.

        Warns
        -----
        UserWarning
            If none converged: then the lowest of those that have a plan.

        Raises
        ------
        ValueError
            If every start failed.
        """
        return lowest_of(self._eligible())

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

        Examples
        --------
        >>> made_up = gwrsa.demo.simulated(n_objects=100, n_categories=8)
        >>> human, model = made_up.human, made_up.models[0]
        >>> found = gwrsa.align(human, model, search="multistart", progress=False)
        >>> found.highest_matching(k=5).matching[5] >= found.lowest_loss.matching[5]
        True
        """
        check.integer("k", k, 1, 10)
        truth = np.arange(len(self.source))
        if not self.starts[0].matching:
            raise ValueError(
                "highest_matching needs items with counterparts, but source and target differ in number"
                + how_to_share((self.source.items, self.target.items), ("source", "target"))
            )
        within = min(k, self.starts[0].top.shape[1])

        def rate(start: Start) -> float:
            known = start.matching.get(k)
            return metrics.matching_rate_of_top(start.top, within, truth=truth) if known is None else known

        return max(self._eligible(), key=lambda s: (rate(s), -s.gw_loss))

    @cached_property
    def rsa(self) -> float:
        """Classic RSA of the pair: Pearson correlation of the dissimilarities, told which object is which."""
        return rsa(_as_rdm(self.source, self.metric), _as_rdm(self.target, self.metric))

    def save(self, folder: str | Path) -> Path:
        """Write `results.csv` (the table), `summary.json`, and `plans/*.npz`: chosen without labels, highest matching, polished.

        Each file is written under a temporary name and renamed, so that no half file is ever seen. Returns the folder.
        """
        out = Path(folder)
        best = {"lowest_loss": self.lowest_loss}
        if self.starts[0].matching:
            best["highest_matching"] = self.highest_matching()
        replace_text(out / "results.csv", self.table.to_csv(index=False))
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
        replace_text(out / "summary.json", json.dumps(summary, indent=2) + "\n")
        saved: dict[str, dict[str, Any]] = {name: {"plan": s.plan, "top": s.top} for name, s in best.items()}
        if self.polished is not None:
            saved["polished"] = {"plan": self.polished.plan}
        for name, arrays in saved.items():
            for side, which in (("source", self.source), ("target", self.target)):
                if which.items is not None:
                    arrays[f"{side}_items"] = np.array(which.items)
            save_arrays(out / "plans" / f"{name}.npz", arrays, compressed=True)
        return out

    def _eligible(self) -> list[Start]:
        converged = [s for s in self.starts if s.solution.converged]
        if converged:
            return converged
        usable = [s for s in self.starts if not s.solution.failed]
        if not usable:
            ends = " or ".join(repr(status) for status in dict.fromkeys(s.status for s in self.starts))
            so = "; raise epsilon" if "numerical_error" in ends else ""
            raise ValueError(f"all {len(self.starts)} starts failed with status {ends}: there is no plan{so}")
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


def _as_rdm(side: RDM | Embedding, metric: Metric) -> RDM:
    return from_embedding(side, metric) if isinstance(side, Embedding) else side


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity."""
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in row.items()}
