"""The work of a study: each unit is a shard, whose key holds all that determines its result."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gwrsa import tables
from gwrsa._core import __version__
from gwrsa.aligning import align
from gwrsa.compare import rsa
from gwrsa.loaders import Categories
from gwrsa.rdm import RDM
from gwrsa.shards import Shards, digest, file_digest, key_of, save_arrays
from gwrsa.sides import aligned, load_side
from gwrsa.statistics import permutation_tests
from gwrsa.store import STORE
from gwrsa.study_plan import Entry, Unit, batches, compared, planned, starts_of_a_round
from gwrsa.study_settings import Settings

if TYPE_CHECKING:
    from gwrsa.alignment import Start

# A failed start has an infinite loss, which JSON does not know.
_INFINITE = ("gw_loss", "objective", "marginal_error", "epsilon_ratio")
# Model against model, each side is used many times; so many stay in memory.
_MOST_KEPT = 4


@dataclass(frozen=True, eq=False)
class Work:
    """What a study has to compute, and where it is put."""

    folder: Path
    settings: Settings
    human: Entry
    models: tuple[Entry, ...]
    """Of `runs`, in their order; of a part of a study, those that it needs."""
    categories: Categories | None
    _rdms: dict[tuple[str, str, bool], RDM] = field(default_factory=dict, repr=False)
    _whole: dict[str, tuple[str, int, int]] = field(default_factory=dict, repr=False)
    """Plans that were read and are what their shards say: hash, bytes, and when they were written to."""

    @cached_property
    def shards(self) -> Shards:
        """Where results are."""
        return Shards(self.folder / "shards")

    @property
    def compared(self) -> list[Entry]:
        """First replicates of the models that are compared with each other."""
        names = compared(self.settings)
        return [m for m in self.models if m.replicate == 0 and m.name in names]

    def pairs(self) -> list[tuple[Entry, Entry]]:
        """Model against model, each pair of `compared` once; none where they are not asked for."""
        first = self.compared
        return [(a, b) for i, a in enumerate(first) for b in first[i + 1 :]] if self.settings.all_pairs else []

    def units(self) -> list[Unit]:
        """All that the settings plan, of a pair its first round; those of one result once."""
        return self.distinct(
            Unit(what, self.human if a is None else self.models[a], self.models[b], batch=batch)
            for what, a, b, batch in planned(self.settings)
        )

    def distinct(self, units: Iterable[Unit]) -> list[Unit]:
        """Those of one key once: two models of the same values are computed once."""
        return list({self.key(unit): unit for unit in reversed(list(units))}.values())[::-1]

    # ---- keys

    def key(self, unit: Unit) -> str:
        """Name of the shard of a unit."""
        if unit.what == "align":
            return key_of(self.alignment_unit(unit.source, unit.target, unit.round, unit.batch))
        return key_of(self.rsa_unit(unit.source, unit.target))

    def result(self, unit: Unit) -> dict[str, Any] | None:
        """What came of a unit, if it is there and whole with its plans."""
        found = self.shards.load(self.key(unit))
        if found is None or unit.what != "align":
            return found
        with suppress(OSError):
            if all(self._is_whole(key, sha) for key, sha in found["plans"].items()):
                return found
        return None

    def _is_whole(self, plan: str, sha: str) -> bool:
        """Whether a plan is what its shard says; of 100,000 starts they are gigabytes, and read again only if written to since."""
        path = self.plan_path(plan)
        stat = path.stat()
        seen = sha, stat.st_size, stat.st_mtime_ns
        if self._whole.get(plan) == seen:
            return True
        if file_digest(path) != sha:
            return False
        self._whole[plan] = seen
        return True

    def due(self, units: Iterable[Unit]) -> list[Unit]:
        """Which of these are missing; where none of a pair's round is, also all that is missing of the rounds that follow."""
        lost: list[Unit] = []
        last: dict[tuple[str, ...], Unit] = {}
        for unit in units:
            if self.result(unit) is None:
                lost.append(unit)
            elif unit.what == "align" and unit.round + 1 < self.settings.alignment.rounds:
                known = last.setdefault(unit.pair, unit)
                if unit.round > known.round:
                    last[unit.pair] = unit
        for unit in last.values():
            lost += [u for u in self._rounds(unit.source, unit.target)[2] if u.round > unit.round]
        return self.distinct(lost)

    def alignment_unit(self, source: Entry, target: Entry, at: int = 0, batch: int = 0) -> dict[str, Any]:
        """All that determines a batch of a round of the alignment of a pair; its digest is the key.

        How many rounds there may be plays no part in any of them.
        """
        settings = {n: v for n, v in asdict(self.settings.alignment).items() if n not in {"rounds", "min_improvement"}}
        cut = batches(self.settings)
        return (
            _unit("alignment", source, target)
            | {
                "histogram": [self.human.side, self.human.metric] if self.settings.alignment.match_histogram else None,
                "alignment": settings,
                "categories": self.categories_digest,
                "others": self.settings.categories.others,
                "plans": source == self.human,
            }
            | ({"round": at} if at else {})
            | ({"batch": list(cut[batch])} if len(cut) > 1 else {})
        )

    def rsa_unit(self, source: Entry, target: Entry) -> dict[str, Any]:
        """All that determines an RSA: with the human side also its permutations."""
        s = self.settings.statistics
        tested = {"permutations": s.permutations, "seed": s.seed} if source == self.human else {}
        return _unit("rsa", source, target) | {"method": s.rsa} | tested

    @cached_property
    def categories_digest(self) -> str | None:
        """Of names and members; None without categories."""
        c = self.categories
        return None if c is None else digest([list(c.names), np.packbits(c.members).tobytes().hex()])

    def alignment(self, source: Entry, target: Entry, *, whole: bool = True) -> dict[str, Any] | None:
        """Starts of a pair, each with the `pair_key` of its unit, if all its rounds are there and whole with their plans.

        Not whole: those that are there, if there are any.
        """
        found, begun, due = self._rounds(source, target)
        if due and whole:
            return None
        return _together([*found, *begun]) if found or begun else None

    def _rounds(self, source: Entry, target: Entry) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[Unit]]:
        """Rounds of a pair that are whole, and of the one that is due what is there and what is missing.

        It is decided from whole rounds of this pair alone, so that neither time nor the way that work is cut plays a part.
        """
        a = self.settings.alignment
        found: list[dict[str, Any]] = []
        while len(found) < a.rounds and moves([lowest_loss(one) for one in found], a.min_improvement):
            units = [Unit("align", source, target, len(found), batch) for batch in range(len(batches(self.settings)))]
            results = [self.result(unit) for unit in units]
            there = [self._keyed(u, result) for u, result in zip(units, results, strict=True) if result is not None]
            if len(there) < len(units):
                return found, there, [u for u, result in zip(units, results, strict=True) if result is None]
            found.append(_together(there))
        return found, [], []

    def _keyed(self, unit: Unit, result: dict[str, Any]) -> dict[str, Any]:
        """Its starts with the `pair_key`."""
        key = self.key(unit)
        return result | {"rows": [row | {"pair_key": key} for row in result["rows"]]}

    def rsa(self, source: Entry, target: Entry) -> dict[str, Any] | None:
        """RSA of a pair, if it is there."""
        return self.shards.load(key_of(self.rsa_unit(source, target)))

    def plan_path(self, key: str) -> Path:
        """Where a chosen start is."""
        return self.folder / "plans" / f"{key}.npz"

    # ---- computation

    def do(
        self, units: Sequence[Unit], threads: int, stopped: Callable[[], bool] | None = None
    ) -> list[dict[str, Any]]:
        """Compute units and put them on disk, whether they are there or not; tests share their relabellings, and are made first.

        `stopped` is that of `permutation_tests`.
        """
        tests = [unit.target for unit in units if unit.what == "test"]
        found = self.test(tests, stopped) if tests else []
        for unit in units:
            if unit.what == "compare":
                found.append(self.compare(unit.source, unit.target))
            elif unit.what == "align":
                found.append(self.align(unit, threads))
        return found

    def test(self, models: Sequence[Entry], stopped: Callable[[], bool] | None = None) -> list[dict[str, Any]]:
        """Permutation tests of the RSA of models with the human side."""
        s = self.settings.statistics
        rdms = [self.rdm(m, matched=False) for m in models]
        method: Any = s.rsa  # checked with the settings
        tests = permutation_tests(
            self.source, rdms, method, n_permutations=s.permutations, seed=s.seed, stopped=stopped
        )
        found = [{"statistic": t.statistic, "p_value": t.p_value, "null": t.null.tolist()} for t in tests]
        for m, result in zip(models, found, strict=True):
            self.shards.save(self.rsa_unit(self.human, m), result)
        return found

    def compare(self, source: Entry, target: Entry) -> dict[str, Any]:
        """RSA of two models."""
        a, b = (self.rdm(m, matched=False) for m in (source, target))
        result = {"statistic": rsa(a, b, self.settings.statistics.rsa)}  # type: ignore[arg-type]
        self.shards.save(self.rsa_unit(source, target), result)
        return result

    def align(self, of: Unit, threads: int | None) -> dict[str, Any]:
        """A batch of starts of a pair; of one with the human side the chosen ones are kept with what their plans are derived from."""
        import pandas as pd

        a, source, target = self.settings.alignment, of.source, of.target
        unit = self.alignment_unit(source, target, of.round, of.batch)
        key = key_of(unit)
        first, n_starts = batches(self.settings)[of.batch]
        matched = a.match_histogram
        found = align(
            self.source if source == self.human else self.rdm(source, matched=matched),
            self.rdm(target, matched=matched),
            search=a.search,  # type: ignore[arg-type]  # checked with the settings
            epsilon=a.epsilon,
            absolute=a.absolute,
            n_starts=n_starts,
            first_start=of.round * starts_of_a_round(self.settings) + first,
            seed=a.seed,
            workers=threads,
            progress=False,
            # In the order of the objects, as they were prepared.
            categories=None if self.categories is None else self.categories.members,
            uncategorised=self.settings.categories.others,  # type: ignore[arg-type]
            precision=a.precision,  # type: ignore[arg-type]
            tol=a.tol,
            max_outer=a.max_outer,
            max_sinkhorn=a.max_sinkhorn,
            backend=a.backend,
            device=a.device,
        )
        plans = {}
        if unit["plans"]:
            chosen = tables.chosen(found.table.assign(source=source.name, target=target.name))
            for number in sorted({int(n) for n in chosen.get("start", ())}):
                start = next(s for s in found.starts if s.number == number)
                path = self.plan_path(f"{key}-{number}")
                save_arrays(path, _state(start))
                plans[path.stem] = file_digest(path)
        table = found.table.astype(object)
        rows = table.where(pd.notna(table), None).to_dict("records")
        for row in rows:
            row.update({c: None for c in _INFINITE if not math.isfinite(row[c])})
        result = {"rows": [_plain(row) for row in rows], "plans": plans}
        self.shards.save(unit, result)
        return result

    def rdm(self, entry: Entry, *, matched: bool) -> RDM:
        """Dissimilarities of a side, the last few of which stay in memory; matched: with the human histogram."""
        key = entry.side, entry.metric, matched
        made = self._rdms.pop(key, None)
        if made is None or made.name != entry.name:
            side = load_side(self.folder / "sides" / f"{entry.side}.npz", entry.name)
            made = aligned(side, entry.metric, self.source if matched and entry != self.human else None)
        self._rdms[key] = made
        for oldest in list(self._rdms)[:-_MOST_KEPT]:
            self._rdms.pop(oldest, None)
        return made

    @cached_property
    def source(self) -> RDM:
        """Dissimilarities of the human side."""
        side = load_side(self.folder / "sides" / f"{self.human.side}.npz", self.human.name)
        return aligned(side, self.human.metric)


def _unit(what: str, source: Entry, target: Entry) -> dict[str, Any]:
    """What the result of any unit of a pair depends on."""
    return {
        "unit": what,
        "store": STORE,
        "gwrsa": __version__,
        "source": [source.side, source.metric],
        "target": [target.side, target.metric],
    }


def _together(results: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Starts and plans of several units of a pair."""
    rows: list[dict[str, Any]] = []
    plans: dict[str, str] = {}
    for one in results:
        rows += one["rows"]
        plans |= one["plans"]
    return {"rows": rows, "plans": plans}


def lowest_loss(result: dict[str, Any]) -> float:
    """Lowest GW loss of the starts that converged, or if none did, of those that did not fail."""
    usable = [row for row in result["rows"] if not row["failed"] and row["gw_loss"] is not None]
    converged = [row for row in usable if row["status"] == "converged"]
    return min((row["gw_loss"] for row in converged or usable), default=math.inf)


def moves(lowest: list[float], by: float) -> bool:
    """Whether the last round lowered what those before it had reached; a first one always does."""
    if len(lowest) < 2:
        return True
    before, last = min(lowest[:-1]), lowest[-1]
    return last < (before - by * abs(before) if math.isfinite(before) else math.inf)


def rows_of(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows of an alignment's table, with what JSON does not know."""
    for row in result["rows"]:
        yield {name: math.inf if value is None and name in _INFINITE else value for name, value in row.items()}


def _state(start: Start) -> dict[str, Any]:
    """What the plan of a start is derived from, and its most probable targets, which alone give its rates where nothing is `tied`."""
    f, g = start.solution.potentials
    plan = start.plan
    mass = np.take_along_axis(plan, start.top, axis=1) / plan.sum(axis=1, keepdims=True)
    return {
        "top": start.top,
        "mass": mass.astype(np.float32),
        "tied": np.array(start.tied),
        "exponent": start.solution.exponent,
        "f": f,
        "g": g,
    }


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in row.items()}
