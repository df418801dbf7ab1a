"""One study of several: their models against the human side that they share."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gwrsa.shards import key_of, replace_text, sweep
from gwrsa.shards import replace as replaced
from gwrsa.store import Results, need, save_categories, save_provenance
from gwrsa.study import FIGURES, finish, sides_of
from gwrsa.study_plan import Entry
from gwrsa.study_prepare import checked_folder, record_sides
from gwrsa.study_settings import Model, Settings
from gwrsa.study_work import Work

_NAME = re.compile(r"(sides|shards|plans)/[0-9a-f]+(-[0-9]+)?\.(npz|json)")


def merge(folders: Sequence[str | Path], out: str | Path, *, figures: bool = True, progress: bool = True) -> Results:
    """Merge finished studies of one human side, objects, categories, alignment and statistics into one.

    Nothing is computed again but the tables: p-values are corrected over all models. What two of them share is taken once. Model
    against model is left out, for pairs across the studies are missing: `gwrsa study OUT/study.toml --out OUT --all-pairs` adds it.

    Parameters
    ----------
    folders : sequence of path
        Two or more.
    out : path
        A new folder, or one merged before, and not one of `folders`.
    figures : bool
        Draw the figures and write the report.
    progress : bool
        Say on stderr which of the two is being made.

    Raises
    ------
    ValueError
        If they differ in what has to agree, hold two different models of one name, or `out` holds a study that was run there; the
        message names it.
    """
    need("pyarrow", "tomli_w", *(FIGURES if figures else ()))
    folder = Path(out)
    _check_apart(folders, folder)
    parts = [_part(Path(f)) for f in folders]
    first = parts[0]
    for part in parts[1:]:
        _check_same(first, part)
    models, entries = _joined(parts)
    settings = replace(first.settings, models=tuple(models.values()), all_pairs=False)
    found = [Results.open(part.folder).provenance for part in parts]
    inputs = {
        path: seen
        for p, part in zip(found, parts, strict=True)
        for path, seen in _absolute(p["inputs"], p["base"]).items()
    }
    _check_not_run_there(folder, checked_folder(folder, inputs))
    order = sorted(entries.values(), key=lambda e: (list(models).index(e.name), e.replicate))
    work = Work(folder, settings, first.human, tuple(order), first.categories)
    provenance = found[0] | {
        "inputs": inputs,
        "settings": settings.plain(),
        "base": "",
        **sides_of(work),
        "by_position": sorted({name for p in found for name in p["by_position"]}),
        "started": min(p["started"] for p in found),
        "finished": max(p["finished"] for p in found),
        "seconds": sum(p["seconds"] for p in found),
        "earlier": [],
        "merged": [str(f) for f in folders],
    }
    sweep(folder)
    save_provenance(folder, provenance | {"finished": None})
    head = "".join(f"# merged from {f}\n" for f in folders)
    replace_text(folder / "study.toml", head + settings.toml())
    for part in parts:
        _copy(part, folder)
    if work.categories is not None:
        save_categories(folder, work.categories)
    record_sides(work, inputs, provenance["by_position"])
    return finish(work, provenance, figures=figures, progress=progress)


def _check_apart(folders: Sequence[str | Path], out: Path) -> None:
    distinct = {Path(f).resolve() for f in folders}
    if len(folders) < 2 or len(distinct) < len(folders):
        raise ValueError(f"folders must be at least 2 distinct studies, got {', '.join(map(str, folders)) or 'none'}")
    if out.resolve() in distinct:
        raise ValueError(f"out must be a folder of its own, got {str(out)!r}, which is one of those to be merged")


def _check_not_run_there(out: Path, before: dict[str, Any] | None) -> None:
    if before is not None and "merged" not in before:
        raise ValueError(
            f"out must be new, empty, or hold merged studies, got {str(out)!r}, which holds a study that was run there"
        )


def _joined(parts: Sequence[Work]) -> tuple[dict[str, Model], dict[tuple[str, int], Entry]]:
    """Models by name, with the most replicates that there are, and the sides of them by name and replicate."""
    models: dict[str, Model] = {}
    entries: dict[tuple[str, int], Entry] = {}
    for part in parts:
        for entry in part.models:
            known = entries.setdefault((entry.name, entry.replicate), entry)
            if (known.side, known.metric, known.family) != (entry.side, entry.metric, entry.family):
                raise ValueError(
                    f"models must have distinct names, got two different {entry.name!r}, one in {str(part.folder)!r}"
                )
        for model in part.settings.models:
            known_model = models.setdefault(model.name, model)
            if model.seeds > known_model.seeds:
                models[model.name] = model
    return models, entries


def _part(folder: Path) -> Work:
    """A finished study as work that is done; its paths absolute."""
    results = Results.open(folder)
    provenance = results.provenance
    settings = Settings.restored(results.settings).relative_to(Path(provenance["base"]))
    entries = tuple(Entry(**m) for m in provenance["models"])
    work = Work(folder, settings, Entry(**provenance["human"]), entries, results.members)
    for m in entries:
        if work.alignment(work.human, m) is None or work.rsa(work.human, m) is None:
            raise ValueError(
                f"folders must hold whole shards of this version of gwrsa, got {str(folder)!r} without those of "
                f"{m.name!r}, written by gwrsa {provenance['versions']['gwrsa']}; run that study again"
            )
    return work


def _check_same(a: Work, b: Work) -> None:
    for name, left, right in (
        ("human", (a.human.side, a.human.metric), (b.human.side, b.human.metric)),
        ("categories", _groups(a), _groups(b)),
        ("alignment", a.settings.alignment, b.settings.alignment),
        ("statistics", a.settings.statistics, b.settings.statistics),
    ):
        if left != right:
            raise ValueError(
                f"{name} must be the same in all studies, got another in {str(b.folder)!r} than in {str(a.folder)!r}"
            )


def _groups(work: Work) -> object:
    unit = work.alignment_unit(work.human, work.human)
    return unit["categories"], unit["others"]


def _absolute(inputs: dict[str, dict[str, object]], base: str) -> dict[str, dict[str, object]]:
    return {str(Path(base) / path): seen for path, seen in inputs.items()}


def _copy(part: Work, folder: Path) -> None:
    names = [f"sides/{e.side}.npz" for e in (part.human, *part.models)]
    for m in part.models:
        found = part.alignment(part.human, m) or {"rows": [], "plans": {}}
        keys = [key_of(part.rsa_unit(part.human, m)), *(row["pair_key"] for row in found["rows"])]
        names += [*(f"shards/{key}.json" for key in keys), *(f"plans/{key}.npz" for key in found["plans"])]
    for name in dict.fromkeys(names):
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"folders must hold files named by hashes, got {name!r} in {str(part.folder)!r}; was a shard changed?"
            )
        with (part.folder / name).open("rb") as source:
            replaced(folder / name, lambda target, source=source: shutil.copyfileobj(source, target))  # type: ignore[misc]
