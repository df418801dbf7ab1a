"""The verbs study, merge and report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from gwrsa import _validate as check
from gwrsa.cli.options import Backend, one_of

NoReport = Annotated[bool, typer.Option("--no-report", help="Tables only, no figures and no report.")]


def study(
    settings: Annotated[Path, typer.Argument(help="The study, a TOML file; see docs/study.md.")],
    out: Annotated[Path, typer.Option(help="Folder for all that comes out; of an earlier run: it goes on.")],
    data: Annotated[
        Optional[Path], typer.Option(help="Folder that paths are relative to; by default that of the file.")
    ] = None,
    workers: Annotated[
        Optional[int],
        typer.Option(
            help="Processes of this machine, where Dask is installed and there are models enough, otherwise threads; by default "
            "threads, one a core, or as many as Slurm gave."
        ),
    ] = None,
    shard: Annotated[
        Optional[str],
        typer.Option(
            metavar="I/N", help="Compute the I-th of N parts only, without tables: gwrsa merge OUT makes them."
        ),
    ] = None,
    scheduler: Annotated[
        Optional[str], typer.Option(help="Compute on a Dask cluster: address or file of its scheduler.")
    ] = None,
    all_pairs: Annotated[bool, typer.Option("--all-pairs", help="Model against model too, noise left out.")] = False,
    backend: Annotated[Optional[Backend], one_of(Backend, "What solves; by default as in the file.")] = None,
    device: Annotated[Optional[str], typer.Option(help="cpu, cuda or cuda:N; by default as in the file.")] = None,
    no_report: NoReport = False,
    progress: Annotated[bool, typer.Option(help="Show a progress bar.")] = True,
) -> None:
    """Align every model of a study with its human side; tables, figures and report. Run again, it computes what is missing.

    Example: gwrsa study study.toml --out results
    """
    from contextlib import AbstractContextManager, nullcontext

    from gwrsa.study import Study
    from gwrsa.study_summary import summary

    began = time.perf_counter()
    if shard is not None and scheduler is not None:
        raise ValueError(f"shard must not be given with a scheduler, got {shard!r} and {scheduler!r}")
    if scheduler is not None and workers is not None:
        raise ValueError(
            f"workers must not be given with a scheduler, whose workers have their own threads, got {workers}"
        )
    found = Study.from_toml(settings, base=data)
    if shard is not None:
        number, of = _part(shard)
        computed = found.run_shard(
            out, number, of, workers=workers, all_pairs=all_pairs, backend=backend, device=device, progress=progress
        )
        took = time.perf_counter() - began
        typer.echo(
            f"part {number} of {of}: {computed} units computed in {took:.1f} s; after all parts: gwrsa merge {out}"
        )
        return
    cluster: AbstractContextManager[Any] = nullcontext()
    if scheduler is not None:
        from gwrsa.cluster import connect

        cluster = connect(scheduler)
    elif workers is not None:
        from gwrsa.cluster import local, shares

        asked = found.settings.solved_by(backend, device)
        processes, threads = shares(asked, check.threads("workers", workers))
        if processes > 1:
            cluster, workers = local(processes, threads), None
    with cluster as client:
        results = found.run(
            out,
            workers=workers,
            client=client,
            all_pairs=all_pairs,
            backend=backend,
            device=device,
            figures=not no_report,
            progress=progress,
        )
    typer.echo(summary(results))
    _tell(out, report=not no_report)
    typer.echo(f"{time.perf_counter() - began:.1f} s in all")


def merge(
    folders: Annotated[
        list[Path], typer.Argument(help="One folder, of all parts of a study; or finished studies of one human side.")
    ],
    out: Annotated[
        Optional[Path], typer.Option(help="Folder for the study of all their models, where there are several.")
    ] = None,
    no_report: NoReport = False,
) -> None:
    """Make the tables of a study from its parts; or one study of several: the same human side and settings, other models.

    Nothing is computed again but the tables.

    Example: gwrsa merge results; gwrsa merge first second --out both
    """
    from gwrsa.study_summary import summary

    if len(folders) == 1:
        if out not in {None, folders[0]}:
            raise ValueError(f"out must not be given with one folder, whose tables are made in it, got {str(out)!r}")
        from gwrsa.study_gather import gather

        results = gather(folders[0], figures=not no_report)
    else:
        if out is None:
            raise ValueError(f"out must be given with {len(folders)} folders, got none")
        from gwrsa.study_merge import merge as merged

        results = merged(folders, out, figures=not no_report)
    typer.echo(summary(results))
    _tell(results.folder, report=not no_report)


def report(
    folder: Annotated[Path, typer.Argument(help="Folder of a finished study.")],
) -> None:
    """Draw the figures of a study again, and write its report.

    Example: gwrsa report results
    """
    from gwrsa.store import Results
    from gwrsa.study import publish

    publish(Results.open(folder), progress=True)
    _tell(folder, report=True)


def _part(shard: str) -> tuple[int, int]:
    """I and N of I/N."""
    number, slash, of = shard.partition("/")
    if not (slash and number.isascii() and number.isdecimal() and of.isascii() and of.isdecimal()):
        raise ValueError(f"shard must be I/N, such as 3/16, got {shard!r}")
    if not 1 <= int(number) <= int(of):
        raise ValueError(f"shard must be I/N with I from 1 to N, got {shard!r}")
    return int(number), int(of)


def _tell(folder: Path, *, report: bool) -> None:
    made = f"; report: {folder / 'report.html'}" if report else ""
    typer.echo(f"written to {folder}{made}")
