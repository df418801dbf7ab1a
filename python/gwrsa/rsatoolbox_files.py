"""HDF5 files of rsatoolbox, `RDMs.save`, read without it: dissimilarities, descriptors as groups, text as bytes or attributes.

https://rsatoolbox.readthedocs.io; the layout is that of its versions 0.2 to 0.3.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gwrsa import _validate as check
from gwrsa import bounds
from gwrsa import loaders_files as files
from gwrsa._validate import FloatArray
from gwrsa.bounds_h5 import array, attribute, fitting

SUFFIXES = (".h5", ".hdf5")


class Stored(NamedTuple):
    """What a file holds of one RDM."""

    values: FloatArray
    """Condensed, shape (n (n - 1) / 2,)."""
    items: tuple[str, ...] | None
    """The pattern descriptor that was asked for; None where there is none of this name."""
    metric: str
    name: str | None
    """Of its RDM descriptor "name"."""


def is_rdms(path: str | Path) -> bool:
    """Whether an HDF5 file has the layout of rsatoolbox's RDMs; False for any other file, or without h5py."""
    file = Path(path)
    if file.suffix.lower() not in SUFFIXES or not file.is_file():
        return False
    try:
        import h5py

        with h5py.File(file, "r") as content:
            return "dissimilarities" in content and "pattern_descriptors" in content and "rdm_descriptors" in content
    except (ImportError, *bounds.BROKEN):
        return False


def warn_of_several(where: str, n: int, *, stacklevel: int) -> None:
    """Say that the first of `n` RDMs was taken without having been named; `stacklevel` counts from what calls this."""
    text = f"{where} holds {n} RDMs, and the first is taken; index, 0 to {n - 1}, names one"
    warnings.warn(text, UserWarning, stacklevel=stacklevel + 1)


def read(path: str | Path, index: int | None, items: str, *, first: bool = False) -> Stored:
    """One RDM of a file.

    Parameters
    ----------
    path : path
        .h5 or .hdf5.
    index : int, optional
        Which one. None: the only one.
    items : str
        Pattern descriptor that holds the labels.
    first : bool
        Where no index is given and there are several: take the first, with a warning at the line that called the caller.

    Raises
    ------
    FileNotFoundError, ImportError
        If there is no such file, or no h5py.
    ValueError
        If the file has another layout, several RDMs where one is taken, or none of this index.
    """
    with files.opened(path, SUFFIXES) as (file, _):
        if not is_rdms(file):
            found = ", ".join(map(repr, files.read_h5(file, None))) or "nothing"
            raise ValueError(f"the file must hold RDMs of rsatoolbox, with their descriptors, got {found}")
        with bounds.parsed("the file is not whole"), files.h5(file) as content:
            fitting(file, {"dissimilarities": content["dissimilarities"]})
            values = np.atleast_2d(array(file, content["dissimilarities"]))
            labels = _texts(file, content["pattern_descriptors"], items)
            names = _texts(file, content["rdm_descriptors"], "name")
            measure = _texts(file, content, "dissimilarity_measure")
            metric = "precomputed" if measure is None else measure[0]
        several = index is None and len(values) > 1
        if several and not first:
            raise ValueError(
                f"the file holds {len(values)} RDMs; RDM.from_rsatoolbox(path, index) takes one, 0 to {len(values) - 1}"
            )
        i = check.integer("index", 0 if index is None else index, 0, len(values) - 1)
        if names is not None and len(names) <= i:
            raise ValueError(f"the file must hold a name an RDM, got {len(names)} for {len(values)}")
        stored = Stored(
            check.array("dissimilarities", values[i], 1),
            None if labels is None else tuple(labels),
            metric,
            None if names is None else names[i],
        )
    if several:
        warn_of_several(Path(path).name, len(values), stacklevel=3)
    return stored


def _texts(file: Path, group: Any, name: str) -> list[str] | None:  # noqa: ANN401
    """A descriptor, which text makes an attribute and a list of several types a group of numbered entries; None where there is none."""
    value = attribute(file, group, name)
    if value is not None:
        return _as_text(value)
    node = group.get(name)
    if node is None or getattr(node, "shape", ()) is None:
        return None
    entries = [node[str(i)] for i in range(len(node))] if hasattr(node, "keys") else [node]
    fitting(file, {f"{name} {i}": entry for i, entry in enumerate(entries)})
    found: list[str] = []
    n_characters = 0
    for entry in entries:  # which may all be one in the file
        found += (added := _as_text(array(file, entry)))
        n_characters += sum(map(len, added))
        bounds.fits(f"the text of {name!r}", n_characters, bounds.FREE)
    return found


def _as_text(value: Any) -> list[str]:  # noqa: ANN401
    return [x.decode() if isinstance(x, bytes) else str(x) for x in np.ravel(np.asarray(value, dtype=object))]
