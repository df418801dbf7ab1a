"""A whole study by one call: many models against one human RDM, resumable; docs/study.md describes file, folder and tables."""

from __future__ import annotations

import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gwrsa import _validate as check
from gwrsa import backends
from gwrsa._core import __version__
from gwrsa.embedding import Embedding
from gwrsa.rdm import RDM
from gwrsa.shards import Shards, replace_text, sweep
from gwrsa.sides import load_side, save_side
from gwrsa.store import (
    STORE,
    TABLES,
    Results,
    load_provenance,
    need,
    save_categories,
    save_provenance,
    write_table,
)
from gwrsa.study_inputs import Inputs
from gwrsa.study_settings import Model, Settings
from gwrsa.study_tables import assemble
from gwrsa.study_work import Entry, Work, key_of

if TYPE_CHECKING:
    from tqdm import tqdm


FIGURES = ("matplotlib", "jinja2")
"""Packages that figures and report need."""


@dataclass(frozen=True)
class Study:
    """Models against a human RDM, as a study.toml says."""

    settings: Settings
    """Every setting, defaults filled in."""
    base: Path
    """Folder that the paths of the settings are relative to."""
    text: str
    """The TOML."""

    def __repr__(self) -> str:
        return f"Study({self.settings.name!r}, {len(self.settings.models)} models against {self.settings.human.name!r})"

    @classmethod
    def from_toml(cls, path: str | Path, *, base: str | Path | None = None) -> Study:
        """Read a study.

        Parameters
        ----------
        path : path
            A TOML file; docs/study.md has an annotated one.
        base : path, optional
            Folder that the paths in it are relative to. None: that of the file.

        Raises
        ------
        FileNotFoundError
            If it is not there.
        ValueError
            If it is no TOML, a key is unknown or missing, or a value is not what it has to be.
        """
        settings, text = Settings.read(path)
        return cls(settings, Path(path).parent if base is None else Path(base), text)

    def run(
        self,
        out: str | Path,
        *,
        workers: int | None = None,
        all_pairs: bool = False,
        backend: str | None = None,
        device: str | None = None,
        figures: bool = True,
        progress: bool = True,
    ) -> Results:
        """Compute what is missing in a folder, then its tables, figures and report.

        Parameters
        ----------
        out : path
            Folder of the study, new or of an earlier run: what is there and whole is not computed again, so that a killed run
            goes on where it was, and a model added to the file costs that model only. `gwrsa.store` describes it.
        workers : int, optional
            Threads. None: one a core. The outcome does not depend on it.
        all_pairs : bool
            Model against model too, as `all_pairs = true` in the file.
        backend, device : str, optional
            Of `gwrsa.align`, in place of those of the file. None: those.
        figures : bool
            Draw the figures and write the report.
        progress : bool
            One line on stderr.

        Returns
        -------
        Results

        Raises
        ------
        ValueError
            If a representation cannot be read or lacks objects, or the folder holds something else, a study of another version, or
            one whose inputs have changed since.
        ImportError
            If pyarrow, matplotlib and jinja2 for figures and report, or what extraction needs is missing.
        """
        threads = check.threads("workers", workers) or _cores()
        need("pyarrow", *(FIGURES if figures else ()))
        clock, began = time.perf_counter(), _now()
        settings = replace(self.settings, all_pairs=self.settings.all_pairs or all_pairs).solved_by(backend, device)
        backends.check_device(settings.alignment.backend, settings.alignment.device)
        folder, inputs = Path(out), Inputs(settings, self.base)
        inputs.hash_all()
        before = checked_folder(folder, inputs.hashes)
        provenance: dict[str, Any] = {
            "store": STORE,
            "versions": _versions(settings),
            "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
            "inputs": (before or {}).get("inputs", {}) | inputs.hashes,
            "base": str(self.base.resolve()),
            "settings": settings.plain(),
            "human": None,
            "models": [],
            "by_position": [],
            "started": began,
            "finished": None,
            "seconds": None,
        }
        _say_who_left(before, settings)
        sweep(folder)
        save_provenance(folder, provenance)
        replace_text(folder / "study.toml", self.text)
        work, extracted = self._prepare(folder, settings, inputs, progress=progress)
        computed = _compute(work, threads, progress=progress)
        provenance |= sides_of(work) | {"inputs": inputs.hashes, "by_position": inputs.by_position}
        if (
            before
            and before["finished"]
            and not (computed or extracted)
            and before["settings"] == provenance["settings"]
        ):
            # Nothing was done: the study is as old as it was.
            provenance |= {name: before[name] for name in ("started", "finished", "seconds", "versions", "machine")}
        else:
            provenance |= {"finished": _now(), "seconds": time.perf_counter() - clock}
        return finish(work, provenance, figures=figures, progress=progress)

    def _prepare(self, folder: Path, settings: Settings, inputs: Inputs, *, progress: bool) -> tuple[Work, int]:
        """Every side on disk; the work that is to be done with them, and how many networks were run for it."""
        source = inputs.human()
        groups = inputs.categories(source)
        if max(settings.statistics.top_k) > len(source):
            raise ValueError(
                f"statistics.top_k must be at most the number of objects, {len(source)}, got {list(settings.statistics.top_k)}"
            )
        human = _entry(folder, source, settings.human.name, "human", 0, settings.human.metric)
        runs = [(model, i) for model in settings.models for i in range(model.seeds)]
        entries, extracted = [], 0
        # What can be read at once is read first: a typing error shows before hours of extraction.
        for model, i in sorted(runs, key=lambda run: run[0].extract is not None):
            entry = _kept(folder, model, i, human, inputs)
            if entry is None:
                side = inputs.model(model, i, source, progress=progress)
                entry = _entry(folder, side, model.name, model.family, i, model.metric)
                if model.extract is not None:
                    extracted += 1
                    _keep(folder, model, i, human, inputs, entry)
            entries.append(entry)
        order = {(model.name, i): at for at, (model, i) in enumerate(runs)}
        entries.sort(key=lambda e: order[e.name, e.replicate])
        return Work(folder, settings, human, tuple(entries), groups), extracted


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
        if folder.is_dir() and any(folder.iterdir()):
            raise ValueError(
                f"out must be new, empty, or hold a study, got {str(folder)!r}, which holds something else"
            )
        folder.mkdir(parents=True, exist_ok=True)
        return None
    changed = [
        p for p, now in hashes.items() if p in before["inputs"] and before["inputs"][p]["sha256"] != now["sha256"]
    ]
    if changed:
        now, then = hashes[changed[0]]["sha256"], before["inputs"][changed[0]]["sha256"]
        raise ValueError(
            f"out must hold a study of the same inputs, but {', '.join(map(repr, changed))} changed since {str(folder)!r} was "
            f"begun (sha256 {then[:12]}... then, {now[:12]}... now); use a new folder"
        )
    return before


def finish(work: Work, provenance: dict[str, Any], *, figures: bool, progress: bool) -> Results:
    """Tables, then the provenance that says it is finished, then figures and report."""
    made = assemble(work)
    folder = work.folder
    if work.categories is not None:
        save_categories(folder, work.categories)
    for name in ("objects", "results"):
        write_table(folder / f"{name}.parquet", made[name], csv=False)
    for name in (*TABLES, "pairs"):
        path = folder / "tables" / f"{name}.parquet"
        if name in made:
            write_table(path, made[name])
        else:  # of an earlier run, with model against model
            path.unlink(missing_ok=True)
            path.with_suffix(".csv").unlink(missing_ok=True)
    save_provenance(folder, provenance)
    results = Results.open(folder)
    if figures:
        publish(results, progress=progress)
    return results


def publish(results: Results, *, progress: bool) -> None:
    """Draw the figures of a study and write its report, into its folder; with progress each is said on stderr."""
    from gwrsa import report
    from gwrsa.figures import study as drawings

    for what, make in (("figures", drawings.draw), ("report", report.write)):
        if progress:
            sys.stderr.write(f"{what} ...\n")
        make(results)


def sides_of(work: Work) -> dict[str, Any]:
    """What provenance says of the representations."""
    return {"human": work.human.plain(), "models": [m.plain() for m in work.models]}


def _say_who_left(before: dict[str, Any] | None, settings: Settings) -> None:
    """A warning that names the models of an earlier run that are no longer in the file."""
    names = {model.name for model in settings.models}
    left = sorted({entry["name"] for entry in (before or {}).get("models", ())} - names)
    if left:
        warnings.warn(
            f"no longer in the study, and so left out of its tables: {', '.join(map(repr, left))}", stacklevel=3
        )


def _compute(work: Work, workers: int, *, progress: bool) -> int:
    """Every missing unit; how many there were."""
    from tqdm import tqdm

    tests, simple, pairs = work.missing()
    todo = len(tests) + len(simple) + len(pairs)
    with tqdm(total=todo, disable=not progress or not todo, unit="unit", desc=work.settings.name) as bar:
        if tests:
            bar.set_postfix_str(f"RSA of {len(tests)} representations with {work.human.name}")
        for _ in work.test(tests, workers) if tests else ():
            bar.update()
        _each(bar, simple, "RSA", work.compare)
        _each(bar, pairs, "aligning", lambda a, b: work.align(a, b, workers))
    return todo


def _each(
    bar: tqdm[Any], pairs: Sequence[tuple[Entry, Entry]], doing: str, do: Callable[[Entry, Entry], object]
) -> None:
    for source, target in pairs:
        number = f" ({target.replicate})" if target.replicate else ""
        bar.set_postfix_str(f"{doing} {source.name} vs {target.name}{number}")
        do(source, target)
        bar.update()


def _entry(folder: Path, side: Embedding | RDM, name: str, family: str, replicate: int, metric: str) -> Entry:
    embedded = isinstance(side, Embedding)
    if embedded:
        side.rdm(metric)  # type: ignore[union-attr, arg-type]  # a row without direction shows before the work begins
    meta = dict(side.meta) if isinstance(side, Embedding) and side.meta else None
    key = save_side(folder / "sides", side)
    return Entry(name, family, replicate, metric if embedded else "precomputed", key, meta)


def _extraction(model: Model, replicate: int, human: Entry, inputs: Inputs) -> dict[str, Any]:
    """All that determines extracted features; files by what is in them, wherever they are."""
    files = {"shown": model.texts or inputs.settings.images.root, "checkpoint": model.checkpoint}
    no_part = {"name", "family", "seeds", "metric", "texts", "checkpoint"}
    plain = {name: value for name, value in asdict(model).items() if name not in no_part}
    return {
        "unit": "extraction",
        "store": STORE,
        "gwrsa": __version__,
        "model": plain,
        "seed": replicate,
        "files": {what: inputs.hashes[path]["sha256"] for what, path in files.items() if path is not None},
        "human": human.side,
    }


def _kept(folder: Path, model: Model, replicate: int, human: Entry, inputs: Inputs) -> Entry | None:
    """A side that an earlier run has extracted."""
    if model.extract is None:
        return None
    found = Shards(folder / "shards").load(key_of(_extraction(model, replicate, human, inputs)))
    if found is None:
        return None
    try:
        load_side(folder / "sides" / f"{found['side']}.npz", model.name)
    except (ValueError, FileNotFoundError):
        return None
    return Entry(model.name, model.family, replicate, model.metric, found["side"], found["meta"])


def _keep(folder: Path, model: Model, replicate: int, human: Entry, inputs: Inputs, entry: Entry) -> None:
    unit = _extraction(model, replicate, human, inputs)
    Shards(folder / "shards").save(key_of(unit), unit, {"side": entry.side, "meta": entry.meta})


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


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
