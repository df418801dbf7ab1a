"""The trials of a pair as GWTune keeps them, in Optuna's SQLite database, read without either."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from gwrsa import _validate as check
from gwrsa import bounds

# User attributes that are read, as they have to be.
_TOLD: dict[str, Callable[[Any], Any]] = {"best_seed": int, "iteration": int, "error": float}


@dataclass(frozen=True)
class Trial:
    """A row of Optuna's tables."""

    number: int
    state: str
    value: float | None
    epsilon: float
    seconds: float
    told: dict[str, Any]
    """User attributes: error, iteration, best_seed."""


def find(folder: Path) -> Path:
    """The only database in a folder.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If it holds none, or several.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no {folder}; folder must be that of the pair, and init_mat_plan that of the run"
        )
    found = sorted(folder.glob("*.db"))
    if len(found) != 1:
        raise ValueError(
            f"{folder} must hold one .db, or database must name one, got {', '.join(p.name for p in found) or 'none'}"
        )
    return found[0]


def trials(path: Path, study: str | None) -> Iterator[Trial]:
    """The trials of a study, in the order of their numbers; None: of the only one.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not Optuna's, or has no such study, or several where none is named.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no database {path}")
    # Read only: a database that is being written to, or is not ours to write, stays as it is.
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            studies = dict(connection.execute("select study_name, study_id from studies"))
            if study is None and len(studies) == 1:
                study = next(iter(studies))
            if study is None or study not in studies:
                named = "" if study is None else f", got {study!r}{check.nearest(study, studies)}"
                raise ValueError(f"{path}: study must be one of {', '.join(map(repr, studies)) or 'none'}{named}")
            rows = connection.execute(
                "select t.number, t.state, v.value, p.param_value, t.datetime_start, t.datetime_complete, t.trial_id from trials t "
                "left join trial_params p on p.trial_id = t.trial_id and p.param_name = 'eps' "
                "left join trial_values v on v.trial_id = t.trial_id where t.study_id = ? order by t.number",
                (studies[study],),
            ).fetchall()
            told: dict[int, dict[str, Any]] = {row[-1]: {} for row in rows}
            for trial, key, value in connection.execute("select trial_id, key, value_json from trial_user_attributes"):
                if trial in told and key in _TOLD:
                    with bounds.parsed(f"{path} must be an SQLite database of Optuna, {key!r} of a trial"):
                        told[trial][key] = _TOLD[key](json.loads(value))
        except sqlite3.Error as error:
            raise ValueError(f"{path} must be an SQLite database of Optuna: {error}") from error
    for number, state, value, epsilon, began, ended, trial in rows:
        if epsilon is not None:  # one that only waits has none
            with bounds.parsed(f"{path} must be an SQLite database of Optuna, trial {number!r}"):
                loss = None if value is None else float(value)
                made = Trial(int(number), state, loss, float(epsilon), _seconds(began, ended), told[trial])
            yield made


def _seconds(began: str | None, ended: str | None) -> float:
    if began is None or ended is None:
        return 0.0
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()
