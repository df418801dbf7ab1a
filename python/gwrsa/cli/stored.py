"""The verbs results and check: what is in the folder of a study, and whether it is whole."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Optional

import typer

from gwrsa.cli.options import one_of

if TYPE_CHECKING:
    import pandas as pd

Ended = Literal["converged", "stopped", "max_outer", "max_sinkhorn", "numerical_error", "interrupted"]

_SHOWN = ("target", "replicate", "start", "init", "epsilon", "status", "gw_loss", "top1", "category", "seconds")
_ROWS = 40
_CHUNK = 10_000


def results(
    folder: Annotated[Path, typer.Argument(help="Folder of a study, finished or not.")],
    model: Annotated[Optional[list[str]], typer.Option(help="Of this model; may be given several times.")] = None,
    status: Annotated[Optional[Ended], one_of(Ended, "Starts that ended so.")] = None,
    sort: Annotated[Optional[str], typer.Option(help="Column, lowest first; see docs/study.md.")] = None,
    descending: Annotated[bool, typer.Option("--descending", help="Highest first.")] = False,
    limit: Annotated[
        Optional[int], typer.Option(min=0, help="So many rows; by default 40, with --json or --csv all.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="All columns, as one JSON array; no number is null.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="All columns, as CSV.")] = False,
) -> None:
    """List the starts of a study, a row each.

    Example: gwrsa results results --model CLIP --sort gw_loss
    """
    from gwrsa.study_listing import listing

    if json and csv:
        raise ValueError("json and csv must not be given together")
    table, words = listing(folder, models=model or (), status=status, sort=sort, descending=descending)
    n = len(table)
    cut = limit if limit is not None else n if json or csv else _ROWS
    table = table.head(cut)
    if json:
        _json(table)
    elif csv:
        table.to_csv(sys.stdout, index=False)
    elif n:
        typer.echo(table[[c for c in _SHOWN if c in table]].to_string(index=False))
    more = f", {len(table)} shown" if len(table) < n else ""
    typer.echo(f"{n} starts{more}; {folder} is {words}", err=json or csv)


def _json(table: pd.DataFrame) -> None:
    """An array, a row at a time; numbers to the last bit, what JSON does not know as null."""
    import numpy as np

    typer.echo("[", nl=False)
    for at in range(0, len(table), _CHUNK):
        part = table.iloc[at : at + _CHUNK].astype(object)
        rows = part.where(part.notna() & ~part.isin([np.inf, -np.inf]), None).to_dict("records")
        typer.echo((",\n " if at else "") + ",\n ".join(dumps(row, allow_nan=False) for row in rows), nl=False)
    typer.echo("]")


def check(
    folder: Annotated[Path, typer.Argument(help="Folder of a study, finished or not.")],
) -> None:
    """Compare every file of a study, and its inputs, with their hashes; exit status 1 where one is not what it was.

    Example: gwrsa check results
    """
    from gwrsa.study_check import check as checked

    found = checked(folder)
    for f in found.findings:
        typer.echo(f"{'bad' if f.bad else 'note'}: {f.path} {f.what}; {f.consequence}")
    looked = ", ".join(f"{n} {kind}" for kind, n in found.counts.items())
    typer.echo(f"{folder}: {'whole' if found.whole else 'not whole'}; looked at {looked}")
    if not found.whole:
        raise typer.Exit(1)
