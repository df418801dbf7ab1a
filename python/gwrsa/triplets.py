"""Odd-one-out triplets: three objects were shown, one was named as the odd one, the other two were kept together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gwrsa import _validate as check
from gwrsa._validate import FloatArray

if TYPE_CHECKING:
    from gwrsa.rdm import RDM

IntArray: TypeAlias = NDArray[np.int64]
Missing: TypeAlias = Literal["raise", "chance", "shrink"]
MISSING: tuple[Missing, ...] = ("raise", "chance", "shrink")
# What positions, and counts of all pairs, are set aside for: an index is a number in a file, and may be any.
_MOST_ITEMS = 10_000_000
_MOST_COUNTED = 100_000
CHANCE = 1 / 3
"""Probability that a given pair of three objects is kept together by someone who chooses at random."""


@dataclass(frozen=True, eq=False)
class Triplets:
    """Answers to the odd-one-out task.

    Parameters
    ----------
    indices : array-like of whole numbers, shape (n_triplets, 3)
        Positions of the objects, from 0: columns 0 and 1 were kept together (their order means nothing), column 2 is the odd
        one out. Kept as read-only int64.
    items : sequence of str, optional
        Labels, distinct: `items[i]` is the object that is i in `indices`. The public THINGS triplets exist in two orders of the
        objects that differ in 21 rows; only labels tell them apart. None: no labels, objects are matched by position.
    n_items : int
        Number of objects. 0: that of the labels, or without labels the largest index plus 1.
    name : str
        Shown in tables and figures.

    Raises
    ------
    ValueError
        If indices are not whole numbers, of another shape, negative, too large, or not distinct in a row, or labels do not fit.

    Examples
    --------
    >>> labels = ["cat", "dog", "car", "bus"]
    >>> answers = gwrsa.Triplets([[0, 1, 2], [0, 1, 3], [2, 3, 0]], items=labels)
    >>> answers
    Triplets('triplets', 3 of 4 objects, labelled)
    >>> answers.counts()
    PairCounts('triplets', 6 pairs, 0 never shown)
    """

    indices: IntArray
    items: tuple[str, ...] | None = None
    n_items: int = 0
    name: str = "triplets"

    def __post_init__(self) -> None:
        n_items = check.integer("n_items", self.n_items, 0, _MOST_ITEMS)
        labels = None if self.items is None or isinstance(self.items, str) else tuple(self.items)
        n_items = n_items or len(labels or ())
        indices = _whole_numbers("indices", self.indices)
        top = (n_items or _MOST_ITEMS) - 1
        outside = (indices < 0) | (indices > top)
        if outside.any():
            row, column = (int(i) for i in np.argwhere(outside)[0])
            raise ValueError(
                f"indices must be between 0 and {top}, counted from 0, got {indices[row, column]} at ({row}, {column})"
            )
        first, second, odd = indices.T
        same = (first == second) | (first == odd) | (second == odd)
        if same.any():
            row = int(same.argmax())
            raise ValueError(f"indices must be three distinct objects a row, got {indices[row].tolist()} in row {row}")
        indices.flags.writeable = False
        object.__setattr__(self, "indices", indices)
        object.__setattr__(self, "n_items", n_items or int(indices.max()) + 1)
        object.__setattr__(self, "items", check.labels("items", self.items, self.n_items))

    def __len__(self) -> int:
        return len(self.indices)

    def __repr__(self) -> str:
        labelled = "labelled" if self.items else "no labels"
        return f"Triplets({self.name!r}, {len(self)} of {self.n_items} objects, {labelled})"

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        items: Iterable[object] | str | Path | None = None,
        n_items: int = 0,
        key: str | None = None,
        name: str | None = None,
    ) -> Triplets:
        """Read triplets from a file of one m x 3 array of whole numbers; formats as `Embedding.load`.

        Parameters
        ----------
        path : path
            The file.
        items : sequence of str or path, optional
            Labels of the objects in the order of the indices, or a file of them (`gwrsa.load_items`).
        n_items : int
            Number of objects where there are no labels. 0: the largest index plus 1.
        key : str, optional
            Name of the array in a file that holds several. None: the only one.
        name : str, optional
            None: the file's name without its suffix.

        Raises
        ------
        ValueError
            As the constructor.
        """
        from gwrsa import loaders
        from gwrsa import loaders_files as files

        loaded = loaders.load_array(path, key=key)
        labels = loaders.load_items(items) if isinstance(items, (str, Path)) else items
        chosen = None if labels is None else tuple(str(x) for x in labels)
        with files.named(path, items):
            return cls(loaded.values, chosen, n_items, name or Path(path).stem)  # type: ignore[arg-type]  # converted

    def select(self, items: Iterable[object]) -> Triplets:
        """The triplets among these objects only, which are then counted in this order; by position (int) without labels.

        All objects in another order: the same triplets, with other indices.

        Raises
        ------
        ValueError
            If an object is not there, or named twice, or no triplet is among them.
        """
        chosen = check.positions(self.items, items, self.n_items)
        new = np.full(self.n_items, -1, dtype=np.int64)
        new[chosen] = np.arange(len(chosen))
        kept = new[self.indices]
        kept = kept[(kept >= 0).all(axis=1)]
        if not len(kept):
            raise ValueError(
                f"items must hold all three objects of a triplet, got {len(chosen)} objects of which none do"
            )
        labels = tuple(self.items[i] for i in chosen) if self.items else None
        return Triplets(kept, labels, len(chosen), self.name)

    def split(self, share: float, seed: int = 0) -> tuple[Triplets, Triplets]:
        """Two disjoint random parts, the second with `round(share n)` triplets; order is kept in both.

        Raises
        ------
        ValueError
            If the share is not between 0 and 1, or one part would be empty.
        """
        return split("share", self, share, seed)

    def counts(self) -> PairCounts:
        """How often each pair was shown, with any third object, and how often it was kept together.

        Raises
        ------
        ValueError
            If there are more than 100,000 objects.
        """
        first, second, odd = self.indices.T
        n = self.n_items
        if n > _MOST_COUNTED:
            raise ValueError(f"n_items must be at most {_MOST_COUNTED} to count all pairs, got {n}")
        size = n * (n - 1) // 2
        together = np.bincount(condensed_index(first, second, n), minlength=size)
        apart = np.concatenate([condensed_index(first, odd, n), condensed_index(second, odd, n)])
        return PairCounts(together, together + np.bincount(apart, minlength=size), self.items, self.name)

    def rdm(self, missing: Missing = "raise") -> RDM:
        """1 - the share of its triplets in which a pair was kept together; see `PairCounts.rdm`."""
        return self.counts().rdm(missing)


@dataclass(frozen=True, eq=False)
class PairCounts:
    """Counts for all pairs of objects, condensed as an RDM: upper triangle, row by row.

    Attributes
    ----------
    together : int64, shape (n (n - 1) / 2,)
        Triplets in which the pair was kept together.
    shown : int64, shape (n (n - 1) / 2,)
        Triplets that hold the pair.
    items : tuple of str, optional
        Labels of the objects.
    name : str
        That of the triplets.
    """

    together: IntArray
    shown: IntArray
    items: tuple[str, ...] | None
    name: str

    def __repr__(self) -> str:
        return f"PairCounts({self.name!r}, {len(self.shown)} pairs, {self.n_missing} never shown)"

    @property
    def n_missing(self) -> int:
        """Number of pairs that were never shown."""
        return int(np.count_nonzero(self.shown == 0))

    def probability(self, missing: Missing = "raise") -> FloatArray:
        """Probability that a pair is kept together, over third objects as they were drawn; shape (n (n - 1) / 2,).

        Parameters
        ----------
        missing : str
            What a pair is that was never shown:

            - "raise": an error.
            - "chance": 1/3, other pairs `together / shown`.
            - "shrink": 1/3, and every other pair is drawn towards it by what three more answers at chance would do,
              `(together + 1) / (shown + 3)`; better where most pairs were shown once or twice.

        Raises
        ------
        ValueError
            If a pair was never shown and missing is "raise".
        """
        check.choice("missing", missing, MISSING)
        if missing == "raise" and self.n_missing:
            raise ValueError(
                f"missing must be 'chance' or 'shrink' for triplets that do not show every pair, got 'raise' and "
                f"{self.n_missing} of {len(self.shown)} pairs never shown"
            )
        if missing == "shrink":
            return np.asarray((self.together + 1) / (self.shown + 3), dtype=np.float64)
        return np.where(self.shown > 0, self.together / np.maximum(self.shown, 1), CHANCE)

    def standard_error(self) -> FloatArray:
        """Standard error of each probability, and so of each dissimilarity; shape (n (n - 1) / 2,).

        `sqrt(s (1 - s) / (shown + 4))` with `s = (together + 1) / (shown + 3)`: the standard deviation of the probability given
        the counts, under a Beta(1, 2) prior, whose mean is chance. It tends to the binomial `sqrt(p (1 - p) / shown)`, but is not 0
        for a pair that was always kept together, and is 0.236 for one that was never shown. Answers are taken as independent.
        """
        s = self.probability("shrink")
        return np.asarray(np.sqrt(s * (1 - s) / (self.shown + 4)), dtype=np.float64)

    def rdm(self, missing: Missing = "raise") -> RDM:
        """1 - `probability(missing)` as an RDM."""
        from gwrsa.rdm import RDM

        return RDM(1 - self.probability(missing), self.items, "odd-one-out", self.name)


def split(name: str, triplets: Triplets, share: float, seed: int) -> tuple[Triplets, Triplets]:
    """`Triplets.split`; `name` is that of the share in messages."""
    n_second = round(check.positive(name, share) * len(triplets))
    if not 0 < n_second < len(triplets):
        raise ValueError(f"{name} must leave triplets in both parts, got {share} of {len(triplets)}")
    second = np.zeros(len(triplets), dtype=np.bool_)
    second[np.random.default_rng(check.integer("seed", seed, 0)).permutation(len(triplets))[:n_second]] = True
    return replace(triplets, indices=triplets.indices[~second]), replace(triplets, indices=triplets.indices[second])


def condensed_index(i: IntArray, j: IntArray, n: int) -> IntArray:
    """Position of pair (i, j), in either order, in the condensed upper triangle of n objects."""
    low, high = np.minimum(i, j), np.maximum(i, j)
    return np.asarray(low * n - low * (low + 1) // 2 + high - low - 1, dtype=np.int64)


def is_triplets(values: FloatArray) -> bool:
    """Whether an array can be read as triplets, of fewer objects than there are rows."""
    if values.ndim != 2 or values.shape[1] != 3 or (values < 0).any() or (values != np.floor(values)).any():
        return False
    first, second, odd = values.T
    return bool(values.max() < len(values) and ((first != second) & (first != odd) & (second != odd)).all())


def as_triplets(name: str, value: Any) -> Triplets:  # noqa: ANN401
    """Triplets as they are; an array of indices without labels."""
    if isinstance(value, Triplets):
        return value
    try:
        return Triplets(value)
    except ValueError as error:
        raise ValueError(f"{name} must be Triplets or their indices: {error}") from error


def _whole_numbers(name: str, value: Any) -> IntArray:  # noqa: ANN401
    """Int64 copy of an m x 3 array of whole numbers of any real dtype."""
    raw = np.asarray(value)
    if raw.dtype.kind == "b":
        raise ValueError(f"{name} must be whole numbers, got dtype bool")
    numbers = check.array(name, raw, 2)
    if numbers.shape[1] != 3:
        raise ValueError(f"{name} must have shape (n_triplets, 3), got {numbers.shape}")
    # Beyond 2^53 float64 skips whole numbers; no set of objects is that large.
    broken = (numbers != np.floor(numbers)) | (np.abs(numbers) > 2**53)
    if broken.any():
        row, column = (int(i) for i in np.argwhere(broken)[0])
        raise ValueError(f"{name} must be whole numbers, got {numbers[row, column]} at ({row}, {column})")
    return numbers.astype(np.int64)
