"""A folder as GWTune left it: eight trials on 14 colours, judged against measured, of which two were completed."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from gwrsa import _colours

HERE = Path(__file__).parent / "gwtune"


def sides():
    """The RDMs that were aligned."""
    return _colours.human(), _colours.chromaticity().rdm("euclidean")


def write(folder):
    """The folder, below this one; its database is in git as text."""
    inside = folder / "colours_judged_vs_measured" / "random"
    shutil.copytree(HERE / "data", inside / "data")
    with closing(sqlite3.connect(inside / "colours_judged_vs_measured_random.db")) as connection:
        connection.executescript((HERE / "study.sql").read_text())
    return inside.parent
