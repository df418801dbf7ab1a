"""The two sides of a study's pairs: a representation in a file of its own, and what of it is aligned."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gwrsa.embedding import Embedding
from gwrsa.rdm import RDM, from_embedding
from gwrsa.shards import load_arrays, save_arrays


def side_digest(side: Embedding | RDM) -> str:
    """SHA-256 of values and labels; names play no part in a result."""
    values = side.values if isinstance(side, Embedding) else side.dissimilarities
    sha = hashlib.sha256(f"{type(side).__name__} {values.shape} ".encode())
    sha.update("\0".join(side.items or ()).encode())
    sha.update(np.ascontiguousarray(values, dtype="<f8").data)
    return sha.hexdigest()[:40]


def save_side(folder: Path, side: Embedding | RDM) -> str:
    """Write a side, if it is not there; returns its digest, which is its name."""
    key = side_digest(side)
    path = folder / f"{key}.npz"
    if path.is_file() and _whole(path, key):
        return key
    arrays: dict[str, NDArray[Any]]
    if isinstance(side, Embedding):
        small = side.values.astype(np.float32)
        arrays = {"embedding": small if np.array_equal(small, side.values) else side.values}
    else:
        arrays = {"rdm": side.dissimilarities}  # as it is used: so it can be mapped
    if side.items is not None:
        arrays["items"] = np.array(side.items)
    save_arrays(path, arrays)
    return key


def load_side(path: Path, name: str) -> Embedding | RDM:
    """A side, its numbers mapped into memory where they are in float64: processes of a machine share them.

    They are compared with their digest here, and not again: as `save_side` puts another file in the place of a damaged one, those that have
    it mapped keep what they had.

    Raises
    ------
    ValueError
        If the file is torn, or not what its name says.
    """
    arrays = load_arrays(path, mapped=("embedding", "rdm"))
    items = tuple(str(x) for x in arrays["items"]) if "items" in arrays else None
    side: Embedding | RDM
    if "embedding" in arrays:
        side = Embedding(arrays["embedding"], items, name=name)
    elif "rdm" in arrays:
        side = RDM(arrays["rdm"], items, name=name)
    else:
        raise ValueError(f"{path} must hold 'embedding' or 'rdm', got {', '.join(arrays)}")
    if side_digest(side) != path.stem:
        raise ValueError(f"{path} must hold what its name says, got values or labels of another digest")
    return side


def aligned(side: Embedding | RDM, metric: Any, histogram: RDM | None = None) -> RDM:  # noqa: ANN401
    """Dissimilarities of a side as they are aligned: with their factors where they have some; or with another RDM's histogram.

    Parameters
    ----------
    side : Embedding or RDM
        As loaded.
    metric : str
        Of an embedding; unused for an RDM.
    histogram : RDM, optional
        Whose values are taken, by rank. None: as they are.
    """
    rdm = from_embedding(side, metric) if isinstance(side, Embedding) else side
    return rdm if histogram is None else rdm.match_histogram(histogram)


def _whole(path: Path, key: str) -> bool:
    try:
        return side_digest(load_side(path, key)) == key
    except ValueError:
        return False
