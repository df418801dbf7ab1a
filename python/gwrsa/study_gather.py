"""A study from its folder alone: the parts of a job array put together, and what is missing named."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from gwrsa._core import __version__
from gwrsa.loaders import Categories
from gwrsa.sides import load_side
from gwrsa.store import CATEGORIES, Results, load_provenance, need, read_categories
from gwrsa.study import FIGURES, finish, sides_of
from gwrsa.study_plan import Entry, Unit, What, planned, runs
from gwrsa.study_prepare import by_position, found_human, found_model, now
from gwrsa.study_settings import Settings
from gwrsa.study_work import Work

_MOST_NAMED = 5


@dataclass(frozen=True)
class Missing:
    """A unit of a study that is not there."""

    what: str
    """In words."""
    at: int
    """Place among those that the settings plan, by which a job array is cut."""


@dataclass(frozen=True)
class Opened:
    """What a folder holds of its study."""

    folder: Path
    provenance: dict[str, Any]
    settings: Settings
    human: Entry | None
    entries: dict[int, Entry]
    """Those of `runs` whose sides are there."""
    categories: Categories | None

    @classmethod
    def of(cls, folder: str | Path) -> Opened:
        """Read the folder of a study, finished or not.

        Raises
        ------
        ValueError
            If it holds none, or one of another version of the layout.
        """
        root = Path(folder)
        provenance = load_provenance(root)
        if provenance is None:
            raise ValueError(f"folder must hold a study, got {str(root)!r}, where there is no provenance.json")
        settings = Settings.restored(provenance["settings"])
        hashes = provenance["inputs"]
        human = found_human(root, settings, hashes)
        entries: dict[int, Entry] = {}
        if human is not None:
            found = (found_model(root, settings, m, i, human, hashes) for m, i in runs(settings))
            entries = {at: entry for at, entry in enumerate(found) if entry is not None}
        return cls(root, provenance, settings, human, entries, _categories(root, settings, human))

    @cached_property
    def work(self) -> Work | None:
        """Work on the sides that are there; None without a human side."""
        if self.human is None:
            return None
        return Work(self.folder, self.settings, self.human, tuple(self.entries.values()), self.categories)

    def missing(self) -> list[Missing]:
        """Units that are not there or not whole."""
        work, models, lost = self.work, runs(self.settings), []
        known: dict[int, Unit] = {}
        for at, (what, a, b, batch) in enumerate(planned(self.settings)):
            source, target = self.human if a is None else self.entries.get(a), self.entries.get(b)
            if source is None or target is None:
                lost.append(Missing(_words(what, self.settings.human.name, models, a, b, batch), at))
            else:
                known[at] = Unit(what, source, target, batch=batch)
        # Of a later round a batch is missed where that of the first is planned.
        due = {} if work is None else {(u.what, u.pair, u.batch): u for u in work.due(known.values())}
        for at, unit in known.items():
            missed = due.get((unit.what, unit.pair, unit.batch))
            if missed is not None:
                lost.append(Missing(str(replace(missed, source=unit.source, target=unit.target)), at))
        return sorted(lost, key=lambda m: m.at)

    def complaint(self, lost: list[Missing]) -> str:
        """What is missing, in words, and what would compute it."""
        n, of = len(planned(self.settings)), self.provenance.get("array")
        named = "; ".join(m.what for m in lost[:_MOST_NAMED]) + (
            f"; and {len(lost) - _MOST_NAMED} more" if len(lost) > _MOST_NAMED else ""
        )
        which = ""
        if of:
            parts = sorted({m.at % of + 1 for m in lost})
            which = f", of the parts {','.join(map(str, parts))} of {of}"
        wrote = self.provenance.get("versions", {}).get("gwrsa")
        other = (
            f" (written by gwrsa {wrote}; this is {__version__}, which reads no other)" if wrote != __version__ else ""
        )
        return f"{len(lost)} of {n} units are missing{which}: {named}{other}"


def gather(folder: str | Path, *, figures: bool = True) -> Results:
    """Make the tables, figures and report of a study whose units were computed by others; its inputs are not needed.

    Parameters
    ----------
    folder : path
        That all parts of a job array wrote to.
    figures : bool
        Draw the figures and write the report.

    Raises
    ------
    ValueError
        If units are missing; the message names them, and the parts that have to run again.
    """
    need("pyarrow", *(FIGURES if figures else ()))
    opened = Opened.of(folder)
    lost = opened.missing()
    work = opened.work
    if lost or work is None:
        raise ValueError(
            f"folder must hold every unit of its study, but in {str(folder)!r} {opened.complaint(lost)}; "
            "run those parts again, or gwrsa study without --shard, which computes what is missing"
        )
    hashes = opened.provenance["inputs"]
    provenance = opened.provenance | sides_of(work)
    provenance["by_position"] = by_position(work.folder, work.settings, work.human, hashes)
    provenance["finished"] = opened.provenance["finished"] or now()
    if provenance["seconds"] is None:
        provenance["seconds"] = _seconds(work)
    return finish(work, provenance, figures=figures, anew=opened.provenance["finished"] is None)


def _seconds(work: Work) -> float:
    """Time that the starts took, all together; nobody saw the whole."""
    found = (work.alignment(u.source, u.target) for u in work.units() if u.what == "align" and u.batch == 0)
    return float(sum(row["seconds"] for result in found if result for row in result["rows"]))


def _categories(folder: Path, settings: Settings, human: Entry | None) -> Categories | None:
    if settings.categories.file is None or human is None or not (folder / CATEGORIES).is_file():
        return None
    return read_categories(folder, load_side(folder / "sides" / f"{human.side}.npz", human.name).items)


def _words(what: What, human: str, models: list[Any], a: int | None, b: int, batch: int) -> str:
    def name(at: int | None) -> str:
        if at is None:
            return human
        model, i = models[at]
        return f"{model.name} ({i})" if i else str(model.name)

    part = f", batch {batch + 1}" if batch else ""
    return f"{'alignment' if what == 'align' else 'RSA'} of {name(a)} with {name(b)}{part}"
