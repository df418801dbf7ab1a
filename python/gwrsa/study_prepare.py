"""What a study needs before its work begins: a folder that is its own, and its sides in it."""

from __future__ import annotations

import json
import platform
import warnings
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from gwrsa import backends
from gwrsa._core import __version__
from gwrsa.claims import LOCK, claim, share, turn
from gwrsa.compare import check_varied
from gwrsa.embedding import Embedding
from gwrsa.machine import usable_cores
from gwrsa.rdm import RDM
from gwrsa.shards import PART, Shards, key_of, replace_text, sweep
from gwrsa.sides import load_side, save_side
from gwrsa.store import STORE, load_provenance, save_categories, save_provenance
from gwrsa.study_inputs import Inputs
from gwrsa.study_plan import Entry, runs
from gwrsa.study_settings import Human, Model, Settings
from gwrsa.study_work import Work

RUN = ("started", "finished", "seconds", "versions", "machine")
"""What provenance says of the last run that computed anything, and of each before it under "earlier"."""


def begin(
    folder: Path, inputs: Inputs, text: str, *, array: int | None = None
) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Make a folder that of a study, or go on in it; what its provenance said before, and what it says now.

    Parameters
    ----------
    folder : Path
        New, empty, or of an earlier run.
    inputs : Inputs
        All hashed.
    text : str
        The TOML.
    array : int, optional
        In how many parts it is cut, for a part.

    Raises
    ------
    ValueError
        If the folder cannot be written to, is among the images, holds something else, or a study of other inputs or of another
        version.
    """
    inputs.check_apart(folder)
    try:
        checked_folder(folder, inputs.hashes)
        with turn(folder / LOCK):
            before = checked_folder(folder, inputs.hashes)
            plain = inputs.settings.plain()
            # Of a run that was refused or killed before anything came of it nothing is kept.
            known = before["inputs"] if before is not None and _holds_results(folder) else {}
            provenance: dict[str, Any] = {
                "store": STORE,
                "versions": _versions(inputs.settings),
                "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": usable_cores()},
                "inputs": known | inputs.hashes,
                "base": str(inputs.base.resolve()),
                "settings": plain,
                "human": None,
                "models": [],
                "by_position": [],
                "started": now(),
                "finished": None,
                "seconds": None,
                "array": array if array is not None else (before or {}).get("array"),
                "earlier": _runs_of(before) if known else [],
            }
            if before is not None and "merged" in before:
                provenance["merged"] = before["merged"]
            same = (
                before is not None
                and before["settings"] == plain
                and inputs.hashes.items() <= before["inputs"].items()
                and (before["finished"] or (array is not None and before.get("array") == array))
            )
            if not same:
                save_provenance(folder, provenance)
                replace_text(folder / "study.toml", text)
            sweep(folder)
    except OSError as error:
        if error.filename is None or "no room" in str(error):
            raise
        raise ValueError(f"out must be a folder that can be written to, got {str(folder)!r}: {error}") from error
    return before, provenance


def checked_folder(folder: Path, hashes: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """Provenance of what is in the folder of a study; None for a new or empty one.

    Raises
    ------
    ValueError
        If it holds something else, or a study of these inputs as they were before they changed.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"out must be a folder, got the file {str(folder)!r}")
    before = load_provenance(folder)
    if before is None:
        if folder.is_dir() and any(p.name != LOCK and p.suffix != PART for p in folder.iterdir()):
            raise ValueError(
                f"out must be new, empty, or hold a study, got {str(folder)!r}, which holds something else"
            )
        folder.mkdir(parents=True, exist_ok=True)
        return None
    changed = [
        p for p, now in hashes.items() if p in before["inputs"] and before["inputs"][p]["sha256"] != now["sha256"]
    ]
    if changed and _holds_results(folder):
        now, then = hashes[changed[0]]["sha256"], before["inputs"][changed[0]]["sha256"]
        raise ValueError(
            f"out must hold a study of the same inputs, but {', '.join(map(repr, changed))} changed since {str(folder)!r} was "
            f"begun (sha256 {then[:12]}... then, {now[:12]}... now); use a new folder"
        )
    return before


def prepare(folder: Path, inputs: Inputs, *, progress: bool, only: Collection[int] | None = None) -> tuple[Work, int]:
    """Every side that is needed on disk; the work that is to be done with them, and how many networks were run for it.

    Parameters
    ----------
    folder : Path
        Begun.
    inputs : Inputs
        All hashed.
    progress : bool
        Of extraction.
    only : collection of int, optional
        Which of `runs` are needed; None: all.
    """
    settings = inputs.settings
    source = inputs.human()
    groups = inputs.categories(source)
    if max(settings.statistics.top_k) > len(source):
        raise ValueError(
            f"statistics.top_k must be at most the number of objects, {len(source)}, got {list(settings.statistics.top_k)}"
        )
    who = f"the human side {settings.human.name!r}"
    human = _entry(folder, settings, who, source, settings.human.name, "human", 0, settings.human.metric)
    wanted = [(at, *run) for at, run in enumerate(runs(settings)) if only is None or at in only]
    entries: dict[int, Entry] = {}
    checked: set[str] = set()
    extracted = 0
    # What can be read at once is read first: a typing error shows before hours of extraction.
    for at, model, i in wanted:
        if model.extract is not None:
            if model.name not in checked and found_model(folder, settings, model, i, human, inputs.hashes) is None:
                inputs.check_extraction(model)
                checked.add(model.name)
        else:
            side = inputs.model(model, i, source, progress=progress)
            entries[at] = _model_entry(folder, settings, side, model, i)
    inputs.check_unchanged()
    if groups is not None:
        save_categories(folder, groups)
    made = Work(folder, settings, human, tuple(entries.values()), groups)
    record_sides(made, inputs.hashes, inputs.by_position)

    def extract(left: Sequence[tuple[int, Model, int]]) -> tuple[list[Any], list[tuple[int, Model, int]]]:
        nonlocal extracted
        busy = []
        for at, model, i in left:
            entry, ran = _extracted(folder, inputs, model, i, human, source, progress=progress)
            extracted += ran
            if entry is None:
                busy.append((at, model, i))
            else:
                entries[at] = entry
        return [], busy

    share([run for run in wanted if run[1].extract is not None], extract)
    return Work(folder, settings, human, tuple(entries[at] for at, _, _ in wanted), groups), extracted


def record_sides(work: Work, hashes: dict[str, dict[str, Any]], positions: Collection[str]) -> None:
    """Write down which side came of which inputs: from then on the folder knows its sides without them."""
    records, models = Shards(work.folder / "shards"), {m.name: m for m in work.settings.models}
    _record(records, _human_unit(work.settings, hashes), work.human, positions)
    for entry in work.models:
        unit = _model_unit(work.settings, models[entry.name], entry.replicate, work.human, hashes)
        _record(records, unit, entry, positions)


def found_human(folder: Path, settings: Settings, hashes: dict[str, dict[str, Any]]) -> Entry | None:
    """The human side, if it is on disk."""
    h = settings.human
    return _found(folder, _human_unit(settings, hashes), h.name, "human", 0, h.metric)


def found_model(
    folder: Path, settings: Settings, model: Model, replicate: int, human: Entry, hashes: dict[str, dict[str, Any]]
) -> Entry | None:
    """A replicate of a model, if it is on disk."""
    unit = _model_unit(settings, model, replicate, human, hashes)
    return _found(folder, unit, model.name, model.family, replicate, model.metric)


def by_position(folder: Path, settings: Settings, human: Entry, hashes: dict[str, dict[str, Any]]) -> list[str]:
    """Models whose rows were taken as they come, for want of labels."""
    records, names = Shards(folder / "shards"), []
    for model, i in runs(settings):
        found = records.load(key_of(_model_unit(settings, model, i, human, hashes)))
        if found is not None and found.get("by_position") and model.name not in names:
            names.append(model.name)
    return names


def _extracted(
    folder: Path,
    inputs: Inputs,
    model: Model,
    replicate: int,
    human: Entry,
    source: Embedding | RDM,
    *,
    progress: bool,
) -> tuple[Entry | None, bool]:
    """Features of a network, run where nobody has run it, and whether it was; None where another process is at it."""
    unit = _model_unit(inputs.settings, model, replicate, human, inputs.hashes)
    with claim(folder / "shards", key_of(unit)) as mine:
        found = _found(folder, unit, model.name, model.family, replicate, model.metric, whole=True)
        if found is not None:
            _say_who_made(found)
        if found is not None or not mine:
            return found, False
        side = inputs.model(model, replicate, source, progress=progress)
        inputs.check_unchanged()
        entry = _model_entry(folder, inputs.settings, side, model, replicate)
        _record(Shards(folder / "shards"), unit, entry, inputs.by_position)
        return entry, True


def _say_who_made(entry: Entry) -> None:
    """A warning, where features that are there were made by other versions of libraries than are installed: they are kept."""
    others = []
    for name, was in (entry.meta or {}).get("versions", {}).items():
        with suppress(metadata.PackageNotFoundError):
            now_there = metadata.version(name)
            others += [f"{name} {was}, now {now_there}"] if now_there != was else []
    if others:
        warnings.warn(
            f"features of model {str(entry)!r} are those that were extracted by {', '.join(others)}; a new folder has new ones",
            stacklevel=2,
        )


def _model_entry(folder: Path, settings: Settings, side: Embedding | RDM, model: Model, replicate: int) -> Entry:
    which = f", replicate {replicate}," if model.seeds > 1 else ""
    return _entry(
        folder, settings, f"model {model.name!r}{which}", side, model.name, model.family, replicate, model.metric
    )


def _entry(
    folder: Path,
    settings: Settings,
    who: str,
    side: Embedding | RDM,
    name: str,
    family: str,
    replicate: int,
    metric: str,
) -> Entry:
    """A side on disk; what it could not be compared or written down with shows before the work begins."""
    embedded = isinstance(side, Embedding)
    try:
        rdm = side.rdm(metric) if isinstance(side, Embedding) else side  # type: ignore[arg-type]  # checked with the settings
    except ValueError as error:  # a row without direction
        raise ValueError(f"{who} must have dissimilarities: {error}") from error
    check_varied(who, rdm.dissimilarities, settings.statistics.rsa)
    meta = dict(side.meta) if isinstance(side, Embedding) and side.meta else None
    other = next((what for what, value in (meta or {}).items() if not _in_json(value)), None)
    if meta is not None and other is not None:
        raise ValueError(
            f"{who} must have meta that JSON can hold, whose numbers are finite, got {other!r} = {meta[other]!r}"
        )
    key = save_side(folder / "sides", side)
    return Entry(name, family, replicate, metric if embedded else "precomputed", key, meta)


def _in_json(value: Any) -> bool:  # noqa: ANN401
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError):
        return False
    return True


def _human_unit(settings: Settings, hashes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """All that determines the human side."""
    h = settings.human
    files = (h.embedding, h.rdm, h.triplets, h.calibrate, h.items or settings.items, settings.objects)
    return _representation(h, files, hashes)


def _model_unit(
    settings: Settings, model: Model, replicate: int, human: Entry, hashes: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """All that determines a replicate of a model."""
    known: dict[str, Any] = {"seed": replicate, "human": human.side}
    if model.extract is not None:
        # Files by what is in them, wherever they are.
        shown = {"shown": model.texts or settings.images.root, "checkpoint": model.checkpoint}
        files = {what: hashes[path]["sha256"] for what, path in shown.items() if path is not None}
        unit = _representation(replace(model, texts=None, checkpoint=None), (), hashes)
        return unit | known | {"unit": "extraction", "files": files}
    given = model.embedding or model.rdm
    unit = _representation(
        model, [given and given.replace("{seed}", str(replicate)), model.items or settings.items], hashes
    )
    return unit | known | {"unit": "representation"}


def _representation(side: Human | Model, files: Collection[str | None], hashes: dict[str, Any]) -> dict[str, Any]:
    # What does not change the numbers of a side.
    apart = {"name", "family", "seeds", "metric", "split"}
    plain = {name: value for name, value in asdict(side).items() if name not in apart}
    return {
        "unit": "human",
        "store": STORE,
        "gwrsa": __version__,
        "model": plain,
        "files": {p: hashes[p]["sha256"] for p in files if p is not None},
    }


def _record(records: Shards, unit: dict[str, Any], entry: Entry, positions: Collection[str]) -> None:
    result = {
        "side": entry.side,
        "meta": entry.meta,
        "embedded": entry.metric != "precomputed",
        "by_position": entry.name in positions,
    }
    if records.load(key_of(unit)) != result:
        records.save(unit, result)


def _found(
    folder: Path, unit: dict[str, Any], name: str, family: str, replicate: int, metric: str, *, whole: bool = False
) -> Entry | None:
    """A side on disk; whole: as its digest says."""
    found = Shards(folder / "shards").load(key_of(unit))
    if found is None:
        return None
    path = folder / "sides" / f"{found['side']}.npz"
    try:
        if whole:
            load_side(path, name)
    except (ValueError, FileNotFoundError):
        return None
    known = metric if found.get("embedded", True) else "precomputed"
    return Entry(name, family, replicate, known, found["side"], found["meta"]) if path.is_file() else None


def all_runs(folder: Path, mine: dict[str, Any]) -> list[dict[str, Any]]:
    """Runs before this one, and those beside it, which have written since it began; of one that was killed nobody knows when it ended."""
    found: dict[str, dict[str, Any]] = {}
    for run in [*mine["earlier"], *_runs_of(load_provenance(folder))]:
        if run["started"] != mine["started"] and (run["finished"] or run["started"] not in found):
            found[run["started"]] = run
    return sorted(found.values(), key=lambda run: str(run["started"]))


def _runs_of(provenance: dict[str, Any] | None) -> list[dict[str, Any]]:
    """All runs that a provenance tells of."""
    return [] if provenance is None else [*provenance.get("earlier", []), {name: provenance[name] for name in RUN}]


def _holds_results(folder: Path) -> bool:
    return any((folder / "shards").glob("*.json"))


def _versions(settings: Settings) -> dict[str, str]:
    names = ["numpy", "scipy", "pandas", "pyarrow"]
    if any(m.extract for m in settings.models):
        names += ["torch", "torchvision", "timm", "open_clip_torch", "sentence-transformers"]
    elif backends.chosen(settings.alignment.backend, settings.alignment.device) == "torch":
        names += ["torch"]
    found = {"gwrsa": __version__, "python": platform.python_version()}
    for name in names:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def now() -> str:
    """Time, as provenance says it."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
