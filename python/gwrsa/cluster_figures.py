"""Figures of a study drawn by the workers of a Dask cluster, each some of them."""

from __future__ import annotations

import os
import socket
import warnings
from importlib.util import find_spec
from itertools import groupby
from threading import Event
from typing import TYPE_CHECKING
from uuid import uuid4

from gwrsa.cluster import turn
from gwrsa.figures import study as figures
from gwrsa.store import Results

if TYPE_CHECKING:
    from distributed import Client

_LOOK = 1.0
"""Seconds after which the driver looks for workers that are gone."""

Place = tuple[str, int]
"""Host and number of a process."""


def draw(results: Results, client: Client) -> None:
    """Draw all figures into the folder of a study: on those workers that can, or here where they are fewer than two or one is lost."""
    from distributed import CancelledError

    try:
        said = _on_workers(results, client)
    except (OSError, ImportError, CancelledError):
        said = None
    if said is None:
        figures.draw(results)
        return
    figures.remove_others(results)
    for message in dict.fromkeys(said):
        warnings.warn(message, stacklevel=2)


def _on_workers(results: Results, client: Client) -> list[str] | None:
    """What was warned of while figures were drawn; None where they have to be drawn here."""
    able = client.run(_able, on_error="ignore")
    # Figures are drawn one at a time in a process, for their style is set in all of it.
    places = {at: address for address, at in able.items() if at is not None and at != place()}
    shares = portions(results, len(places))
    if len(shares) < 2:
        return None
    addresses = list(places.values())[: len(shares)]
    folder = str(results.folder.resolve())
    futures = [
        client.submit(_draw_some, folder, names, workers=[address], pure=False, key=f"figures-{uuid4()}")
        for names, address in zip(shares, addresses, strict=True)
    ]
    drawn = Event()
    for future in futures:
        future.add_done_callback(lambda _: drawn.set())
    while not all(future.done() for future in futures):
        # The scheduler would keep what is bound to a worker that is gone.
        if not set(addresses) <= set(client.nthreads()):
            client.cancel(futures)
            return None
        drawn.wait(_LOOK)
        drawn.clear()
    return [message for said in client.gather(futures) for message in said]


def portions(results: Results, n: int) -> list[list[str]]:
    """Names of all figures in at most `n` parts; those of one model stay together, for they share its plan."""
    groups: list[list[str]] = []
    for model, drawn in groupby(figures.drawings(results), key=lambda drawing: drawing.model):
        names = [drawing.name for drawing in drawn]
        groups += [[name] for name in names] if model is None else [names]
    parts = [[name for group in groups[i::n] for name in group] for i in range(n)]
    return [part for part in parts if part]


def place() -> Place:
    """Of this process."""
    return socket.gethostname(), os.getpid()


# ---- on the worker


def _able() -> Place | None:
    """Where this worker is, if it can draw."""
    return place() if find_spec("matplotlib") is not None else None


def _draw_some(folder: str, names: list[str]) -> list[str]:
    """Draw figures of a study; what was warned of."""
    import matplotlib as mpl

    with turn(), warnings.catch_warnings(record=True) as caught:
        # Off the main thread no window may be opened, nor is one wanted.
        mpl.use("Agg")
        warnings.simplefilter("always", UserWarning)
        figures.draw(Results.open(folder), only=names)
    return [str(w.message) for w in caught if issubclass(w.category, UserWarning)]
