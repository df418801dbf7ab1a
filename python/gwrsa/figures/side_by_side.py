"""Figures of a study drawn by several processes of this machine, each some of them: matplotlib has one thread, and one style, a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from threading import Thread

from gwrsa.figures import study as figures
from gwrsa.figures.study_parts import Drawing
from gwrsa.store import Results

_WORTH = 8
"""Figures of a process: it takes about as long to begin as to draw one or two."""
_MOST_CELLS = 100_000_000
"""Of the dissimilarities that all processes hold: each has some gigabytes at 10,000 objects."""
_PIPE = subprocess.PIPE
# An interrupt of a terminal reaches all processes; the one that began the others ends them.
_BEGIN = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); from gwrsa.figures import side_by_side; side_by_side.draw_told()"
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)


def draw(results: Results, processes: int) -> None:
    """Draw all figures into the folder of a study, by so many processes at most; by this one where that is one, or where others fail.

    Parameters
    ----------
    results : Results
        A finished study.
    processes : int
        Fewer are begun where there are few figures, or many objects.
    """
    every = figures.drawings(results)
    n = min(processes, len(every) // _WORTH, _MOST_CELLS // max(len(results.objects) ** 2, 1))
    # Where Python is part of another program, that would be started.
    alone = n < 2 or not Path(sys.executable or "").name.lower().startswith("py")
    said = None if alone else _by_others(results.folder, portions(every, n))
    if said is None:
        figures.draw(results)
        return
    figures.remove_others(results, {drawing.name for drawing in every})
    for message in dict.fromkeys(said):
        warnings.warn(message, stacklevel=2)


def portions(every: Sequence[Drawing], n: int) -> list[list[str]]:
    """Names of all figures in at most `n` parts; those of one model stay together, for they share its plan."""
    groups: list[list[str]] = []
    for model, drawn in groupby(every, key=lambda drawing: drawing.model):
        names = [drawing.name for drawing in drawn]
        groups += [[name] for name in names] if model is None else [names]
    parts = [[name for group in groups[i::n] for name in group] for i in range(n)]
    return [part for part in parts if part]


def _by_others(folder: Path, parts: Sequence[Sequence[str]]) -> list[str] | None:
    """What was warned of while other processes drew all figures; None where one of them failed."""
    there = {**os.environ, **_ONE_THREAD, "MPLBACKEND": "Agg", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    began: list[subprocess.Popen[str]] = []
    try:
        for names in parts:
            command = [sys.executable, "-c", _BEGIN, str(folder.resolve()), *names]
            # Its stdin is open for as long as this process lives.
            one = subprocess.Popen(  # noqa: S603  # this Python
                command, stdin=_PIPE, stdout=_PIPE, stderr=subprocess.DEVNULL, text=True, env=there
            )
            began.append(one)
        said = [one.stdout.read() for one in began if one.stdout is not None]
        if any(one.wait() != 0 for one in began):
            return None
        return [message for told in said for message in json.loads(told)]
    except (OSError, ValueError):
        return None
    finally:
        for one in began:
            one.kill()
            one.communicate()


def draw_told() -> None:
    """In another process: draw the figures of a study that its arguments name, and write what was warned of to stdout."""
    _, folder, *names = sys.argv

    def end_with_the_first() -> None:
        sys.stdin.read()
        os._exit(1)

    Thread(target=end_with_the_first, daemon=True).start()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        figures.draw(Results.open(folder), only=names)
    sys.stdout.write(json.dumps([str(w.message) for w in caught if issubclass(w.category, UserWarning)]))
    sys.stdout.flush()
    # The thread holds stdin, which Python would close first.
    os._exit(0)
