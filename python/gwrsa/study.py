"""A whole study by one call: many models against one human RDM, resumable; docs/study.md describes file, folder and tables."""

from __future__ import annotations

import sys
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gwrsa import _validate as check
from gwrsa import backends
from gwrsa.shards import file_digest
from gwrsa.store import TABLES, Results, load_provenance, need, save_provenance, write_table
from gwrsa.study_compute import compute, cores, on_threads
from gwrsa.study_inputs import Inputs
from gwrsa.study_plan import Unit, planned
from gwrsa.study_prepare import RUN, all_runs, begin, by_position, now, prepare
from gwrsa.study_settings import Settings
from gwrsa.study_tables import assemble
from gwrsa.study_work import Work

if TYPE_CHECKING:
    from distributed import Client

FIGURES = ("matplotlib", "jinja2")
"""Packages that figures and report need."""
MOST_SHARDS = 1_000_000
# More of them in a row, and nobody reads them.
_MOST_SAID = 6


@dataclass(frozen=True)
class Study:
    """Models against a human RDM, as a study.toml says.

    Examples
    --------
    >>> path = gwrsa.demo.write_study("made-up", n_objects=40, n_categories=5)
    >>> study = gwrsa.Study.from_toml(path)
    >>> study
    Study('simulated study', 7 models against 'simulated human')
    >>> results = study.run("made-up/results", figures=False, progress=False)
    >>> sorted(results.rates["family"].unique())
    ['clip', 'self-supervised', 'supervised', 'untrained']
    """

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
            If it is not there, or a file that it names; the message says by which key.
        ValueError
            If it is no TOML, a key is unknown or missing, or a value is not what it has to be.
        """
        settings, text = Settings.read(path)
        study = cls(settings, Path(path).parent if base is None else Path(base), text)
        Inputs(settings, study.base).check_there()
        return study

    def run(
        self,
        out: str | Path,
        *,
        workers: int | None = None,
        client: Client | None = None,
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
            goes on where it was, and a model added to the file costs that model only. Several runs may share it: each takes what
            none of the others is at. `gwrsa.store` describes it.
        workers : int, optional
            Threads, and processes that draw figures. None: one a core, or as many as Slurm gave. The outcome does not depend on it.
            Processes that compute are a `client` of `distributed.LocalCluster`, which is what `gwrsa study --workers` makes.
        client : distributed.Client, optional
            Of a Dask cluster whose workers see `out`: they compute, this process reads the inputs and makes the tables. A worker
            does one unit at a time, on its own number of threads, so that `workers` must be None.
        all_pairs : bool
            Model against model too, first replicates, noise left out; as `all_pairs = true` in the file.
        backend, device : str, optional
            Of `gwrsa.align`, in place of those of the file. None: those.
        figures : bool
            Draw the figures and write the report.
        progress : bool
            A line a unit of starts and a bar, on stderr.

        Returns
        -------
        Results

        Raises
        ------
        ValueError
            If a representation cannot be read or lacks objects, the folder holds something else, a study of another version, or
            one whose inputs have changed since; client is no Client; or a worker does not see the folder or has another version.
        ImportError
            If pyarrow, matplotlib and jinja2 for figures and report, or what extraction needs is missing.
        """
        if client is not None and not (hasattr(client, "submit") and hasattr(client, "nthreads")):
            raise ValueError(
                f"client must be a distributed.Client, got {client!r}; gwrsa.cluster.connect makes one of an address"
            )
        if client is not None and workers is not None:
            raise ValueError(
                f"workers must be None with a client, whose workers have their own threads, got {workers!r}"
            )
        threads = check.threads("workers", workers) or cores()
        need("pyarrow", *(FIGURES if figures else ()))
        clock = time.perf_counter()
        inputs = self._inputs(all_pairs, backend, device)
        folder = Path(out)
        before, provenance = begin(folder, inputs, self.text)
        _say_who_left(before, inputs.settings)
        _say_what_changed(before, inputs.settings, drawn=figures)
        work, extracted = prepare(folder, inputs, progress=progress)
        if client is None:
            computed = compute(work, work.units(), on_threads(work, threads), progress=progress)
        else:
            from gwrsa.cluster import on_client

            computed = compute(work, work.units(), on_client(work, client), progress=progress)
        positions = by_position(folder, inputs.settings, work.human, inputs.hashes)
        provenance |= sides_of(work) | {"by_position": positions}
        anew = True
        if (
            before
            and before["finished"]
            and not (computed or extracted)
            and before["settings"] == provenance["settings"]
        ):
            # Nothing was done: the study is as old as it was, and so are its figures.
            anew = False
            provenance |= {name: before[name] for name in RUN} | {"earlier": before.get("earlier", [])}
        else:
            provenance |= {"finished": now(), "seconds": time.perf_counter() - clock}
            provenance["earlier"] = all_runs(folder, provenance)
        return finish(work, provenance, figures=figures, anew=anew, processes=threads, progress=progress)

    def run_shard(
        self,
        out: str | Path,
        number: int,
        of: int,
        *,
        workers: int | None = None,
        all_pairs: bool = False,
        backend: str | None = None,
        device: str | None = None,
        progress: bool = True,
    ) -> int:
        """Compute one of several parts of a study, for a job array; `gwrsa.study_gather.gather` makes the tables of all parts.

        Parameters
        ----------
        out : path
            As in `run`; all parts share it, at the same time or one after the other.
        number, of : int
            Which part, from 1 to `of`. The outcome does not depend on the number of parts.
        workers, all_pairs, backend, device, progress
            As in `run`.

        Returns
        -------
        int
            How many units were computed; those that were there are not.

        Raises
        ------
        ValueError, ImportError
            As `run`, or if there is no such part.
        """
        of = check.integer("of", of, 1, MOST_SHARDS)
        number = check.integer("number", number, 1, of)
        threads = check.threads("workers", workers) or cores()
        need("pyarrow")
        inputs = self._inputs(all_pairs, backend, device)
        folder = Path(out)
        before, _ = begin(folder, inputs, self.text, array=of)
        _say_what_changed(before, inputs.settings)
        mine = planned(inputs.settings)[number - 1 :: of]
        needed = sorted({at for _, a, b, _ in mine for at in (a, b) if at is not None})
        work, _ = prepare(folder, inputs, progress=progress, only=needed)
        entries = dict(zip(needed, work.models, strict=True))
        units = work.distinct(
            Unit(what, work.human if a is None else entries[a], entries[b], batch=batch) for what, a, b, batch in mine
        )
        return compute(work, units, on_threads(work, threads), progress=progress)

    def _inputs(self, all_pairs: bool, backend: str | None, device: str | None) -> Inputs:  # noqa: FBT001
        settings = replace(self.settings, all_pairs=self.settings.all_pairs or all_pairs).solved_by(backend, device)
        backends.check_device(settings.alignment.backend, settings.alignment.device)
        inputs = Inputs(settings, self.base)
        inputs.hash_all()
        return inputs


def finish(
    work: Work,
    provenance: dict[str, Any],
    *,
    figures: bool,
    anew: bool = True,
    processes: int | None = None,
    progress: bool = True,
) -> Results:
    """Tables, then the provenance that says it is finished, then figures and report; not anew: where they are not there."""
    made = assemble(work)
    folder = work.folder
    for name in ("objects", "results"):
        write_table(folder / f"{name}.parquet", made[name], csv=False)
    for name in (*TABLES, "pairs"):
        path = folder / "tables" / f"{name}.parquet"
        if name in made:
            write_table(path, made[name])
        else:  # of an earlier run, with model against model
            path.unlink(missing_ok=True)
            path.with_suffix(".csv").unlink(missing_ok=True)
    named = [f"tables/{name}.{kind}" for name in (*TABLES, "pairs") if name in made for kind in ("parquet", "csv")]
    written = ("study.toml", "objects.parquet", "results.parquet", *named)
    digests = {name: file_digest(folder / name) for name in written}
    report = folder / "report.html"
    # They would be of other tables than are there from now on.
    if (load_provenance(folder) or {}).get("tables") != digests:
        if report.is_file() and not figures:
            warnings.warn(
                f"figures and report in {str(folder)!r} were of other tables and are removed; `gwrsa report {folder}` makes new ones",
                stacklevel=3,
            )
        for old in (report, *(folder / "figures").glob("figure_*")):
            old.unlink(missing_ok=True)
    save_provenance(folder, provenance | {"tables": digests})
    results = Results.open(folder)
    if figures and (anew or not _is_drawn(results)):
        publish(results, processes=processes, progress=progress)
    elif figures and progress:
        sys.stderr.write(f"figures and report are as they were; `gwrsa report {folder}` draws them again\n")
    return results


def _is_drawn(results: Results) -> bool:
    """Whether report and all figures are there."""
    from gwrsa.figures.study import drawings
    from gwrsa.figures.style import FORMATS

    files = {path.name for path in (results.folder / "figures").glob("figure_*")}
    wanted = {f"{drawing.name}.{suffix}" for drawing in drawings(results) for suffix in FORMATS}
    return (results.folder / "report.html").is_file() and wanted <= files


def publish(results: Results, *, processes: int | None = None, progress: bool = True) -> None:
    """Draw the figures of a study and write its report, into its folder.

    Parameters
    ----------
    results : Results
        A finished study.
    processes : int, optional
        That draw, at most. None: one a core.
    progress : bool
        Say on stderr what is being made.
    """
    from gwrsa import report
    from gwrsa.figures import side_by_side

    def say(what: str) -> None:
        if progress:
            sys.stderr.write(f"{what} ...\n")

    say("figures")
    side_by_side.draw(results, cores() if processes is None else processes)
    say("report")
    report.write(results)


def _say_who_left(before: dict[str, Any] | None, settings: Settings) -> None:
    """A warning that names the models of an earlier run that are no longer in the file."""
    names = {model.name for model in settings.models}
    left = sorted({entry["name"] for entry in (before or {}).get("models", ())} - names)
    if left:
        warnings.warn(
            f"no longer in the study, and so left out of its tables: {', '.join(map(repr, left))}", stacklevel=3
        )


def _say_what_changed(before: dict[str, Any] | None, settings: Settings, *, drawn: bool = True) -> None:
    """A warning that names the settings by which the tables that are there were made, where they are to be others."""
    if before is None or not before["finished"]:
        return
    was, wanted = _flat(before["settings"]), _flat(settings.plain())
    # Models that come and go, and pairs that are added, leave the other rows as they are.
    changed = [
        f"{name} {was[name]!r}, now {value!r}"
        for name, value in wanted.items()
        if name in was and was[name] != value and not (name == "all_pairs" and value)
    ]
    if changed:
        more = f" and {len(changed) - _MOST_SAID} more" if len(changed) > _MOST_SAID else ""
        warnings.warn(
            f"the tables{', figures and report' if drawn else ''} that are there were made with other settings and are replaced: "
            f"{'; '.join(changed[:_MOST_SAID])}{more}",
            stacklevel=3,
        )


def _flat(plain: dict[str, Any]) -> dict[str, Any]:
    """Settings by their place in the file, `alignment.n_starts`; those of a model by its name."""
    flat: dict[str, Any] = {}
    for section, value in plain.items():
        parts = {f"models.{m['name']}": m for m in value} if section == "models" else {section: value}
        for name, part in parts.items():
            flat |= {f"{name}.{key}": v for key, v in part.items()} if isinstance(part, dict) else {name: part}
    return flat


def sides_of(work: Work) -> dict[str, Any]:
    """What provenance says of the representations."""
    return {"human": work.human.plain(), "models": [m.plain() for m in work.models]}
