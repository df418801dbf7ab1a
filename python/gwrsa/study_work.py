"""The units of work of a study: each is a shard, whose key holds all that determines its result."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from gwrsa import tables
from gwrsa._core import __version__
from gwrsa.aligning import align
from gwrsa.compare import rsa
from gwrsa.loaders import Categories
from gwrsa.rdm import RDM
from gwrsa.shards import Shards, digest, file_digest, save_arrays
from gwrsa.sides import aligned, load_side
from gwrsa.statistics import permutation_tests
from gwrsa.store import STORE
from gwrsa.study_settings import Settings

if TYPE_CHECKING:
    from gwrsa.alignment import Start

# Models whose permutation tests share their relabellings, and are lost together by a kill.
_MOST_TESTS = 4
# A failed start has an infinite loss, which JSON does not know.
_INFINITE = ("gw_loss", "objective", "marginal_error", "epsilon_ratio")


@dataclass(frozen=True)
class Entry:
    """One representation of the study: the human side, or a replicate of a model."""

    name: str
    family: str
    replicate: int
    metric: str
    """Of an embedding; "precomputed" for an RDM."""
    side: str
    """Digest: the name of its file."""
    meta: dict[str, Any] | None = None
    """Provenance of extracted features."""

    def plain(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Work:
    """What a study has to compute, and where it is put."""

    folder: Path
    settings: Settings
    human: Entry
    models: tuple[Entry, ...]
    categories: Categories | None

    @cached_property
    def shards(self) -> Shards:
        """Where results are."""
        return Shards(self.folder / "shards")

    def pairs(self) -> list[tuple[Entry, Entry]]:
        """Model against model, first replicates, each pair once; none where they are not asked for."""
        first = [m for m in self.models if m.replicate == 0]
        return [(a, b) for i, a in enumerate(first) for b in first[i + 1 :]] if self.settings.all_pairs else []

    # ---- keys

    def alignment_unit(self, source: Entry, target: Entry) -> dict[str, Any]:
        """All that determines the alignment of a pair; its digest is the key."""
        return _unit("alignment", source, target) | {
            "histogram": [self.human.side, self.human.metric] if self.settings.alignment.match_histogram else None,
            "alignment": asdict(self.settings.alignment),
            "categories": None if self.categories is None else _categories_digest(self.categories),
            "others": self.settings.categories.others,
            "plans": source == self.human,
        }

    def rsa_unit(self, source: Entry, target: Entry) -> dict[str, Any]:
        """All that determines an RSA: with the human side also its permutations."""
        s = self.settings.statistics
        tested = {"permutations": s.permutations, "seed": s.seed} if source == self.human else {}
        return _unit("rsa", source, target) | {"method": s.rsa} | tested

    def alignment(self, source: Entry, target: Entry) -> dict[str, Any] | None:
        """Starts of a pair, if they are there and whole with their plans."""
        found = self.shards.load(key_of(self.alignment_unit(source, target)))
        if found is None:
            return None
        with suppress(OSError):
            if all(file_digest(self.plan_path(key)) == sha for key, sha in found["plans"].items()):
                return found
        return None

    def rsa(self, source: Entry, target: Entry) -> dict[str, Any] | None:
        """RSA of a pair, if it is there."""
        return self.shards.load(key_of(self.rsa_unit(source, target)))

    def plan_path(self, key: str) -> Path:
        """Where a chosen start is."""
        return self.folder / "plans" / f"{key}.npz"

    # ---- what is missing, and its computation

    def missing(self) -> tuple[list[Entry], list[tuple[Entry, Entry]], list[tuple[Entry, Entry]]]:
        """Models without a permutation test, and pairs without RSA or alignment."""
        tests = [m for m in _distinct_sides(self.models) if self.rsa(self.human, m) is None]
        simple = [pair for pair in self.pairs() if self.rsa(*pair) is None]
        against_human = [(self.human, m) for m in _distinct_sides(self.models)]
        return tests, simple, [pair for pair in [*against_human, *self.pairs()] if self.alignment(*pair) is None]

    def test(self, models: Sequence[Entry], workers: int) -> Iterator[Entry]:
        """Permutation tests of the RSA of models with the human side; yields each when it is on disk."""
        s = self.settings.statistics
        size = min(_MOST_TESTS, max(1, math.ceil(len(models) / workers)))
        batches = [models[i : i + size] for i in range(0, len(models), size)]

        stop = Event()

        def run(batch: Sequence[Entry]) -> Sequence[Entry]:
            rdms = [self.rdm(m, matched=False) for m in batch]
            found = permutation_tests(
                self.source, rdms, s.rsa, n_permutations=s.permutations, seed=s.seed, stopped=stop.is_set
            )  # type: ignore[arg-type]  # checked with the settings
            for m, test in zip(batch, found, strict=True):
                unit = self.rsa_unit(self.human, m)
                result = {"statistic": test.statistic, "p_value": test.p_value, "null": test.null.tolist()}
                self.shards.save(key_of(unit), unit, result)
            return batch

        pool = ThreadPoolExecutor(min(workers, max(len(batches), 1)))
        try:
            for batch in pool.map(run, batches):
                yield from batch
        finally:
            stop.set()  # an interrupt does not wait for the batches on their way
            pool.shutdown(wait=False, cancel_futures=True)

    def compare(self, source: Entry, target: Entry) -> None:
        """RSA of two models."""
        unit = self.rsa_unit(source, target)
        a, b = (self.rdm(m, matched=False) for m in (source, target))
        self.shards.save(key_of(unit), unit, {"statistic": rsa(a, b, self.settings.statistics.rsa)})  # type: ignore[arg-type]

    def align(self, source: Entry, target: Entry, workers: int | None) -> None:
        """All starts of a pair; of one with the human side the chosen ones are kept with what their plans are derived from."""
        import pandas as pd

        a = self.settings.alignment
        unit = self.alignment_unit(source, target)
        key = key_of(unit)
        matched = a.match_histogram
        found = align(
            self.source if source == self.human else self.rdm(source, matched=matched),
            self.rdm(target, matched=matched),
            search=a.search,  # type: ignore[arg-type]  # checked with the settings
            epsilon=a.epsilon,
            absolute=a.absolute,
            n_starts=a.n_starts,
            seed=a.seed,
            workers=workers,
            progress=False,
            categories=self.categories,
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
        self.shards.save(key, unit, {"rows": [_plain(row) for row in rows], "plans": plans})

    def rdm(self, entry: Entry, *, matched: bool) -> RDM:
        """Dissimilarities of a side; matched: with the human histogram."""
        side = load_side(self.folder / "sides" / f"{entry.side}.npz", entry.name)
        return aligned(side, entry.metric, self.source if matched and entry != self.human else None)

    @cached_property
    def source(self) -> RDM:
        """Dissimilarities of the human side."""
        return self.rdm(self.human, matched=False)


def key_of(unit: dict[str, Any]) -> str:
    """Name of the shard of a unit of work."""
    return digest(unit)[:32]


def _unit(what: str, source: Entry, target: Entry) -> dict[str, Any]:
    """What the result of any unit of a pair depends on."""
    return {
        "unit": what,
        "store": STORE,
        "gwrsa": __version__,
        "source": [source.side, source.metric],
        "target": [target.side, target.metric],
    }


def rows_of(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows of an alignment's table, with what JSON does not know."""
    for row in result["rows"]:
        yield {name: math.inf if value is None and name in _INFINITE else value for name, value in row.items()}


def _state(start: Start) -> dict[str, Any]:
    """What the plan of a start is derived from, and its most probable targets."""
    f, g = start.solution.potentials
    plan = start.plan
    mass = np.take_along_axis(plan, start.top, axis=1) / plan.sum(axis=1, keepdims=True)
    exponent = start.solution.exponent
    return {"top": start.top, "mass": mass.astype(np.float32), "exponent": exponent, "f": f, "g": g}


def _distinct_sides(models: Iterable[Entry]) -> list[Entry]:
    """One entry of each representation: two models of the same values are computed once."""
    return list({(m.side, m.metric): m for m in reversed(list(models))}.values())[::-1]


def _categories_digest(categories: Categories) -> str:
    return digest([list(categories.names), np.packbits(categories.members).tobytes().hex()])


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in row.items()}
