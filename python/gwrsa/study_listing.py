"""The starts of a study, finished or not, as one table to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from gwrsa import _validate as check
from gwrsa.backends import Status
from gwrsa.store import load_provenance, need, read_table
from gwrsa.study_gather import Opened
from gwrsa.study_tables import results_table

if TYPE_CHECKING:
    import pandas as pd


def listing(
    folder: str | Path,
    *,
    models: Sequence[str] = (),
    status: str | None = None,
    sort: str | None = None,
    descending: bool = False,
) -> tuple[pd.DataFrame, str]:
    """A row a start, and in words how much of the study that is.

    Parameters
    ----------
    folder : path
        Of a study; of one that is not finished the starts that are there.
    models : sequence of str
        Of these models; none: of all.
    status : str, optional
        How the starts ended.
    sort : str, optional
        Column. None: as the settings order models and starts.
    descending : bool
        The highest first.

    Raises
    ------
    ValueError
        If the folder holds no study or one of another version of the layout, or there is no such model, status or column.
    """
    need("pyarrow")
    root = Path(folder)
    provenance = load_provenance(root)
    if provenance is None:
        raise ValueError(f"folder must hold a study, got {str(root)!r}, where there is no provenance.json")
    if provenance["finished"] is not None:
        table: pd.DataFrame | None = read_table(root / "results.parquet")
        words = "finished"
    else:
        opened = Opened.of(root)
        work, lost = opened.work, opened.missing()
        table = results_table(work, whole=False) if work is not None else None
        words = f"not finished: {opened.complaint(lost)}" if lost else "not finished: its tables are to be made"
    if table is None or table.empty:
        raise ValueError(f"folder must hold starts, got {str(root)!r}, {words}")
    known = [m["name"] for m in provenance["settings"]["models"]]
    for model in models:
        check.choice("model", model, known)
    if models:
        table = table[table["target"].isin(models)]
    if status is not None:
        table = table[table["status"] == check.choice("status", status, get_args(Status))]
    if sort is not None:
        check.choice("sort", sort, list(table.columns))
        table = table.sort_values(sort, ascending=not descending, kind="stable")
    return table, words
