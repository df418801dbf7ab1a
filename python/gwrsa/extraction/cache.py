"""Features on disk: one file a batch, named by a hash of all that determines what is in it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gwrsa.shards import digest, load_arrays, save_arrays, sweep

FORMAT = 1


def default_folder() -> Path:
    """`$GWRSA_CACHE`, or `gwrsa` in the user's cache folder."""
    if given := os.environ.get("GWRSA_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gwrsa"


@dataclass(frozen=True)
class Batches:
    """Shards of one network's features.

    A shard is seen whole or not at all; a file that is torn all the same is computed again.

    Attributes
    ----------
    folder : Path
        Made when first written to.
    network : mapping
        What determines the features beside the stimuli: model, hash of the weights, module, preprocessing, versions.
    """

    folder: Path
    network: Mapping[str, Any]

    def path(self, hashes: Sequence[str]) -> Path:
        """Where the features of stimuli of these hashes are, or will be."""
        key = digest({"format": FORMAT, "network": dict(self.network), "stimuli": list(hashes)})
        return self.folder / key[:2] / f"{key}.npz"

    def load(self, hashes: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.bool_]] | None:
        """Features (n_whole, d) and which stimuli were whole (n,); None where there is no whole shard."""
        try:
            shard = load_arrays(self.path(hashes))
            values, whole = shard["values"], shard["whole"]
        except (OSError, ValueError, KeyError):
            return None
        if values.ndim != 2 or whole.shape != (len(hashes),) or int(whole.sum()) != len(values):
            return None
        return values.astype(np.float32), whole.astype(np.bool_)

    def save(self, hashes: Sequence[str], values: NDArray[np.float32], whole: NDArray[np.bool_]) -> None:
        """Write a shard."""
        path = save_arrays(self.path(hashes), {"values": values, "whole": whole})
        sweep(path.parent)  # the cache is the user's, and nothing else ever tidies it
