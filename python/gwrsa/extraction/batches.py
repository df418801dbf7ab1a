"""Features of many stimuli, batch by batch; knows arrays and an encoder, not what the encoder is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gwrsa.extraction.cache import Batches
from gwrsa.extraction.inputs import BrokenImageError, Stimulus, decode

Encoder = Callable[[list[Any]], NDArray[np.float32]]


def encode(
    shown: Sequence[Stimulus],
    encoder: Encoder,
    *,
    batch_size: int,
    cache: Batches | None = None,
    progress: bool = False,
) -> tuple[NDArray[np.float32], NDArray[np.bool_], list[str]]:
    """Features of the stimuli, in their order.

    Parameters
    ----------
    shown : sequence of Stimulus, length n
        Files are decoded to RGB images; texts are passed on.
    encoder : callable
        From a list of b images or texts to features, float32, shape (b, d).
    batch_size : int
        Stimuli an encoder call.
    cache : Batches, optional
        Where whole batches are kept. None: nowhere.
    progress : bool
        Show a progress bar.

    Returns
    -------
    values : float32, shape (n_whole, d)
        Features of the stimuli that were whole.
    whole : bool, shape (n,)
        Which were.
    broken : list of str
        What is wrong with each that was not, by name.

    Raises
    ------
    ValueError
        If the encoder returns another number of rows, or numbers that are not finite.
    """
    from tqdm import tqdm

    values: list[NDArray[np.float32]] = []
    whole = np.ones(len(shown), dtype=np.bool_)
    broken: list[str] = []
    with tqdm(total=len(shown), unit="image", disable=not progress) as bar:
        for start in range(0, len(shown), batch_size):
            batch = shown[start : start + batch_size]
            features, mask, complaints = _batch(batch, encoder, cache)
            if len(features):
                values.append(features)
            whole[start : start + len(batch)] = mask
            broken += complaints
            bar.update(len(batch))
    return np.concatenate(values) if values else np.empty((0, 0), np.float32), whole, broken


def _batch(
    batch: Sequence[Stimulus], encoder: Encoder, cache: Batches | None
) -> tuple[NDArray[np.float32], NDArray[np.bool_], list[str]]:
    read = [_attempt(stimulus.read) for stimulus in batch]
    hashes = ["unread" if isinstance(r, BrokenImageError) else r[0] for r in read]
    if "unread" in hashes:  # it may be readable the next time: such a batch is not kept
        cache = None
    if cache is not None and (kept := cache.load(hashes)) is not None:
        values, mask = kept
        return values, mask, [f"{s.name}: not a whole image" for s, good in zip(batch, mask, strict=True) if not good]
    decoded = [
        r if isinstance(r, BrokenImageError) else _attempt(partial(_content, s, r[1]))
        for s, r in zip(batch, read, strict=True)
    ]
    mask = np.array([not isinstance(d, BrokenImageError) for d in decoded])
    values = np.empty((0, 0), np.float32)
    if mask.any():
        names = [s.name for s, good in zip(batch, mask, strict=True) if good]
        values = _checked(encoder([d for d in decoded if not isinstance(d, BrokenImageError)]), names)
    if cache is not None:
        cache.save(hashes, values, mask)
    return values, mask, [str(d) for d in decoded if isinstance(d, BrokenImageError)]


def _attempt(action: Callable[[], Any]) -> Any:  # noqa: ANN401
    try:
        return action()
    except BrokenImageError as error:
        return error


def _content(stimulus: Stimulus, data: Any) -> Any:  # noqa: ANN401
    return data if isinstance(data, str) else decode(stimulus.name, data)


def _checked(features: NDArray[np.float32], names: list[str]) -> NDArray[np.float32]:
    values = np.asarray(features, dtype=np.float32)
    if values.ndim != 2 or len(values) != len(names):
        raise ValueError(f"module must give one row of features a stimulus, got shape {values.shape} for {len(names)}")
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        raise ValueError(f"module must give finite features, got others for {names[int(bad.argmax())]}")
    return values


def average(values: NDArray[np.float32], labels: Sequence[str]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Means over the stimuli of each object, in float64, and the labels; objects in the order of their labels."""
    names, where = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, where, values.astype(np.float64))
    return sums / np.bincount(where)[:, None], tuple(str(n) for n in names)
