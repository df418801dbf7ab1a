"""The verbs study, merge and report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal, Optional

import typer


def study(
    settings: Annotated[Path, typer.Argument(help="The study, a TOML file; see docs/study.md.")],
    out: Annotated[Path, typer.Option(help="Folder for all that comes out; of an earlier run: it goes on.")],
    data: Annotated[
        Optional[Path], typer.Option(help="Folder that paths are relative to; by default that of the file.")
    ] = None,
    workers: Annotated[Optional[int], typer.Option(help="Threads; by default one a core.")] = None,
    all_pairs: Annotated[bool, typer.Option("--all-pairs", help="Model against model too.")] = False,
    backend: Annotated[
        Optional[Literal["auto", "rust", "torch"]], typer.Option(help="What solves; by default as in the file.")
    ] = None,
    device: Annotated[Optional[str], typer.Option(help="cpu, cuda or cuda:N; by default as in the file.")] = None,
    no_report: Annotated[bool, typer.Option("--no-report", help="Tables only, no figures and no report.")] = False,
    progress: Annotated[bool, typer.Option(help="Show a progress bar.")] = True,
) -> None:
    """Align every model of a study with its human side; tables, figures and report. Run again, it computes what is missing.

    Example: gwrsa study study.toml --out results
    """
    from gwrsa.study import Study
    from gwrsa.study_summary import summary

    began = time.perf_counter()
    found = Study.from_toml(settings, base=data).run(
        out,
        workers=workers,
        all_pairs=all_pairs,
        backend=backend,
        device=device,
        figures=not no_report,
        progress=progress,
    )
    typer.echo(summary(found))
    _tell(out, report=not no_report)
    typer.echo(f"{time.perf_counter() - began:.1f} s in all")


def merge(
    folders: Annotated[list[Path], typer.Argument(help="Folders of finished studies of one human side.")],
    out: Annotated[Path, typer.Option(help="Folder for the study of all their models.")],
    no_report: Annotated[bool, typer.Option("--no-report", help="Tables only, no figures and no report.")] = False,
) -> None:
    """Make one study of several: the same human side and settings, other models. Nothing is computed again but the tables.

    Example: gwrsa merge first second --out both
    """
    from gwrsa.study_merge import merge as merged
    from gwrsa.study_summary import summary

    typer.echo(summary(merged(folders, out, figures=not no_report)))
    _tell(out, report=not no_report)


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


def _tell(folder: Path, *, report: bool) -> None:
    made = f"; report: {folder / 'report.html'}" if report else ""
    typer.echo(f"written to {folder}{made}")
