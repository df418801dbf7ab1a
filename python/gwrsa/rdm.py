"""Representational dissimilarity matrices: the pairwise dissimilarities of labelled objects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from gwrsa import _validate as check
from gwrsa import labelled
from gwrsa._validate import FloatArray
from gwrsa.condensed import condense, n_objects
from gwrsa.factored import Factored, factor, unit_rows
from gwrsa.shards import save_arrays, stored_texts

if TYPE_CHECKING:
    from gwrsa.embedding import Embedding
    from gwrsa.labelled import Labelled

Metric: TypeAlias = Literal["cosine", "correlation", "euclidean", "sqeuclidean", "inner_product", "choice"]
METRICS: tuple[Metric, ...] = ("cosine", "correlation", "euclidean", "sqeuclidean", "inner_product", "choice")


@dataclass(frozen=True, eq=False)
class RDM:
    """Dissimilarities of all pairs of n objects.

    Parameters
    ----------
    dissimilarities : array-like, shape (n (n - 1) / 2,) or (n, n)
        Condensed upper triangle, row by row, as scipy's `squareform`; or a symmetric square array with a zero diagonal.
        Kept condensed, as read-only float64; condensed float64 of a file that is mapped with mode "r" is not copied. A square pandas
        DataFrame or xarray DataArray brings its labels, the same on both sides.
    items : sequence of str, length n, optional
        Labels, distinct. None: those of a DataFrame or DataArray; otherwise no labels, and objects are matched by position.
    metric : str
        What the dissimilarities are; only a label.
    name : str
        Shown in tables and figures.

    Raises
    ------
    ValueError
        If the values are not finite, not symmetric, have a diagonal (a similarity matrix has), or the labels do not fit.

    Notes
    -----
    Transforms return a new RDM.

    Examples
    --------
    >>> rdm = gwrsa.RDM([[0, 1, 2], [1, 0, 3], [2, 3, 0]], items=["cat", "dog", "car"])
    >>> rdm
    RDM('rdm', 3 objects, precomputed, labelled)
    >>> rdm.dissimilarities.tolist()
    [1.0, 2.0, 3.0]
    """

    dissimilarities: FloatArray
    items: tuple[str, ...] | None = None
    metric: str = "precomputed"
    name: str = "rdm"
    factored: Factored | None = field(default=None, repr=False)
    """Exact factors, where the RDM came from an embedding by a metric that has them; a solver starts from these."""

    def __post_init__(self) -> None:
        given, items = labelled.pairs("dissimilarities", self.dissimilarities, self.items)
        values = check.array("dissimilarities", given, (1, 2))
        condensed = condense(values) if values.ndim == 2 else check.kept(values, given)
        n = n_objects(len(condensed))
        condensed.flags.writeable = False
        object.__setattr__(self, "dissimilarities", condensed)
        object.__setattr__(self, "items", check.labels("items", items, n))

    def __len__(self) -> int:
        return n_objects(len(self.dissimilarities))

    def __repr__(self) -> str:
        labelled = "labelled" if self.items else "no labels"
        return f"RDM({self.name!r}, {len(self)} objects, {self.metric}, {labelled})"

    def square(self) -> FloatArray:
        """The n x n matrix, float64, zero diagonal.

        Examples
        --------
        >>> gwrsa.RDM([1, 2, 3]).square().tolist()
        [[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 3.0, 0.0]]
        """
        from scipy.spatial.distance import squareform

        square: FloatArray = squareform(self.dissimilarities, checks=False)
        return square

    def select(self, items: Iterable[object]) -> RDM:
        """The named objects, in this order; by position (int) where there are no labels.

        Parameters
        ----------
        items : iterable of str, or of int
            Labels, or positions where there are no labels; none twice.

        Returns
        -------
        RDM

        Raises
        ------
        ValueError
            If an object is not there, or named twice, or fewer than two are named.

        Examples
        --------
        >>> rdm = gwrsa.RDM([1, 2, 3], ["cat", "dog", "car"])
        >>> rdm.select(["car", "cat"]).dissimilarities.tolist()
        [2.0]
        """
        rows = check.positions(self.items, items, len(self))
        if len(rows) < 2:
            raise ValueError("items must name at least 2 objects for an RDM, got 1")
        chosen = tuple(self.items[i] for i in rows) if self.items else None
        factored = self.factored and Factored(
            self.factored.values[rows], self.factored.weights, self.factored.offset[rows]
        )
        return RDM(self.square()[np.ix_(rows, rows)], chosen, self.metric, self.name, factored)

    def sort_by(self, categories: Iterable[object]) -> RDM:
        """Objects grouped by category.

        Parameters
        ----------
        categories : sequence of str, length n
            One an object.

        Returns
        -------
        RDM
            Groups in sorted order; inside a group the order is kept.

        Raises
        ------
        ValueError
            If there are more or fewer than n.

        Examples
        --------
        >>> rdm = gwrsa.RDM([1, 2, 3], ["car", "cat", "dog"])
        >>> rdm.sort_by(["vehicle", "animal", "animal"]).items
        ('cat', 'dog', 'car')
        """
        if isinstance(categories, str) or not isinstance(categories, Iterable):
            raise ValueError(f"categories must be a sequence of labels, one an object, got {categories!r}")
        labels = [str(c) for c in categories]
        if len(labels) != len(self):
            raise ValueError(f"categories must have length {len(self)}, got {len(labels)}")
        order = sorted(range(len(labels)), key=lambda i: labels[i])
        return self.select([self.items[i] for i in order] if self.items else order)

    def match_histogram(self, to: RDM | Labelled) -> RDM:
        """The order of these dissimilarities with the values of another RDM: the k-th smallest becomes its k-th smallest.

        Parameters
        ----------
        to : RDM, or DataFrame or DataArray of one
            Whose values are taken. Of another number of objects: its quantiles, linearly interpolated.

        Returns
        -------
        RDM
            Ties stay ties: tied dissimilarities get the mean of the values they would be given.

        Raises
        ------
        ValueError
            If `to` is anything else, such as an embedding, which has many RDMs.

        Examples
        --------
        >>> values = gwrsa.RDM([0.9, 0.1, 0.5])
        >>> gwrsa.RDM([1, 2, 3]).match_histogram(values).dissimilarities.tolist()
        [0.1, 0.5, 0.9]
        """
        wanted = np.sort(labelled.rdm("to", to).dissimilarities)
        n_pairs = len(self.dissimilarities)
        if len(wanted) != n_pairs:
            wanted = np.maximum.accumulate(np.quantile(wanted, (np.arange(n_pairs) + 0.5) / n_pairs))
        order = np.argsort(self.dissimilarities, kind="stable")
        ordered = self.dissimilarities[order]
        group = np.concatenate([[0], np.cumsum(ordered[1:] != ordered[:-1])])
        values = np.empty(n_pairs)
        if group[-1] == n_pairs - 1:  # no ties: nothing is averaged, so nothing is rounded
            values[order] = wanted
        else:
            # Rounding must not carry the mean of equal values beyond them, nor below the mean before.
            means = np.bincount(group, wanted) / np.bincount(group)
            values[order] = np.maximum.accumulate(np.clip(means, wanted[0], wanted[-1]))[group]
        return self._transformed(values, f"{self.metric}, histogram-matched")

    def rank(self) -> RDM:
        """Ranks 1 ... n (n - 1) / 2 of the dissimilarities; ties get their mean rank.

        Examples
        --------
        >>> gwrsa.RDM([0.3, 0.1, 0.3]).rank().dissimilarities.tolist()
        [2.5, 1.0, 2.5]
        """
        from scipy.stats import rankdata

        return self._transformed(rankdata(self.dissimilarities), f"{self.metric}, ranked")

    def normalise(self) -> RDM:
        """Scaled to [0, 1]: `(d - min) / (max - min)`.

        Raises
        ------
        ValueError
            If all dissimilarities are equal.

        Examples
        --------
        >>> gwrsa.RDM([1, 2, 3]).normalise().dissimilarities.tolist()
        [0.0, 0.5, 1.0]
        """
        low, high = self.dissimilarities.min(), self.dissimilarities.max()
        if low == high:
            raise ValueError(f"dissimilarities must differ to be normalised, got all {low}")
        return self._transformed((self.dissimilarities - low) / (high - low), f"{self.metric}, normalised")

    def save(self, path: str | Path) -> Path:
        """Write dissimilarities, labels, metric and name to an .npz file, which `load` reads back; returns its path."""
        out = Path(path)
        if out.suffix != ".npz":
            raise ValueError(f"path must end in .npz, got {str(path)!r}")
        arrays: dict[str, Any] = {"dissimilarities": self.dissimilarities}
        if self.items is not None:
            arrays["items"] = np.array(self.items)
        arrays |= {"metric": np.array(self.metric), "name": np.array(self.name)}
        return save_arrays(out, arrays, compressed=True)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        items: Iterable[object] | str | Path | None = None,
        key: str | None = None,
        name: str | None = None,
    ) -> RDM:
        """Read an RDM: what `save` wrote, or a file that holds a square or condensed array.

        Parameters
        ----------
        path : path
            .npy, .npz, .csv, .tsv, .txt, .mat or .h5; an HDF5 file of rsatoolbox too, where it holds one RDM.
        items : sequence of str or path, optional
            Labels, or a file of labels. None: those in the file, if any.
        key : str, optional
            Name of the array in a file that holds several. None: the only one.
        name : str, optional
            None: the stored name, or the file's name without its suffix.

        Raises
        ------
        ValueError
            If the file does not hold one RDM, or the labels do not fit.

        Examples
        --------
        >>> gwrsa.RDM([1, 2, 3], name="kept").save("rdm.npz").name
        'rdm.npz'
        >>> gwrsa.RDM.load("rdm.npz")
        RDM('kept', 3 objects, precomputed, no labels)
        """
        from gwrsa import loaders, rsatoolbox_files
        from gwrsa import loaders_files as files

        metric, stored = "precomputed", None
        if key is None and rsatoolbox_files.is_rdms(path):
            values, own, metric, stored = rsatoolbox_files.read(path, None, "items")
        else:
            loaded = loaders.load_array(path, key=key)
            values, own = loaded.values, loaded.items
            # A square table may have its labels over the columns alone; numbers that count them are none.
            columns = loaded.columns or ()
            if (
                own is None
                and columns
                and values.shape == (len(columns),) * 2
                and list(columns) != files.counted(len(columns))
            ):
                own = columns
        if Path(path).suffix.lower() == ".npz":
            metric, stored = stored_texts(Path(path), "metric", "name") or (metric, stored)
        labels = loaders.load_items(items) if isinstance(items, (str, Path)) else items
        with files.named(path, items):
            return cls(
                values,
                own if labels is None else tuple(str(x) for x in labels),
                metric,
                name or stored or Path(path).stem,
            )

    def to_rsatoolbox(self) -> Any:  # noqa: ANN401
        """As `rsatoolbox.rdm.RDMs` with one RDM; labels become the pattern descriptor "items". Needs `gwrsa[rsatoolbox]`.

        `.to_rsatoolbox().save("rdm.hdf5")` writes its file.
        """
        from rsatoolbox.rdm import RDMs

        return RDMs(
            self.dissimilarities[None].copy(),
            dissimilarity_measure=self.metric,
            rdm_descriptors={"name": [self.name]},
            pattern_descriptors={"items": list(self.items)} if self.items else None,
        )

    @classmethod
    def from_rsatoolbox(cls, rdms: Any, index: int | None = None, items: str = "items") -> RDM:  # noqa: ANN401
        """One RDM of an `rsatoolbox.rdm.RDMs`, or of the HDF5 file it was saved in, which is read without rsatoolbox.

        Parameters
        ----------
        rdms : rsatoolbox.rdm.RDMs or path
            Where to take it from. A file needs `gwrsa[h5]`; no pickle is read.
        index : int, optional
            Which one. None: the only one, or of several the first, with a warning.
        items : str
            Pattern descriptor that holds the labels; no labels where there is none of this name.

        Warns
        -----
        UserWarning
            Where there are several RDMs and none is named; it says how many.

        Raises
        ------
        ValueError
            If there is no RDM of this index, or the file has another layout; the message names the file.
        """
        from gwrsa import rsatoolbox_files

        if isinstance(rdms, (str, Path)):
            stored = rsatoolbox_files.read(rdms, index, items, first=True)
            return cls(stored.values, stored.items, stored.metric, stored.name or Path(rdms).stem)
        values = rdms.get_vectors()
        i = check.integer("index", 0 if index is None else index, 0, len(values) - 1)
        if index is None and len(values) > 1:
            rsatoolbox_files.warn_of_several("rdms", len(values), stacklevel=2)
        labels = rdms.pattern_descriptors.get(items)
        names = rdms.rdm_descriptors.get("name")
        return cls(
            values[i],
            None if labels is None else tuple(str(x) for x in labels),
            metric=rdms.dissimilarity_measure or "precomputed",
            name="rdm" if names is None else str(names[i]),
        )

    def _transformed(self, values: FloatArray, metric: str) -> RDM:
        return RDM(values, self.items, metric, self.name)


def from_embedding(embedding: Embedding | Labelled, metric: Metric = "cosine") -> RDM:
    """Dissimilarities of all pairs of rows x, y of an embedding.

    Parameters
    ----------
    embedding : Embedding, or DataFrame or DataArray of one
        The vectors.
    metric : str
        "cosine" (1 - cos), "correlation" (1 - Pearson's r over dimensions), "euclidean", "sqeuclidean",
        "inner_product" (-<x, y>; the diagonal of an RDM is 0 all the same), or "choice" (1 - the probability that two objects are
        kept together in the odd-one-out task, `gwrsa.choice_similarity`; only for an embedding on the scale of the choices,
        `gwrsa.calibrate`).

    Raises
    ------
    ValueError
        If the metric has another name, a row has no direction (all zeros; constant for correlation), or it is no embedding.

    Examples
    --------
    >>> embedding = gwrsa.Embedding([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]])
    >>> gwrsa.rdm.from_embedding(embedding).dissimilarities.tolist()
    [1.0, 0.0, 1.0]
    """
    name = check.choice("metric", metric, METRICS)
    embedding = labelled.embedding("embedding", embedding)
    if len(embedding) < 2:
        raise ValueError("values must have at least 2 rows for an RDM, got 1")
    from scipy.spatial.distance import pdist, squareform

    if name in ("cosine", "correlation"):
        unit = unit_rows(embedding, name)
        condensed = np.maximum(1.0 - squareform(unit @ unit.T, checks=False), 0.0)
    elif name == "choice":
        from gwrsa.choice import choice_similarity

        condensed = 1.0 - squareform(choice_similarity(embedding), checks=False)
    elif name == "inner_product":
        with np.errstate(over="ignore", invalid="ignore"):  # out of range is an error of `RDM`, not a warning
            condensed = -squareform(embedding.values @ embedding.values.T, checks=False)
    else:
        condensed = pdist(embedding.values, name)
    return RDM(condensed, embedding.items, name, embedding.name, factor(embedding, name))
