"""Embeddings: one vector an object, with the objects' labels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gwrsa import _validate as check
from gwrsa import labelled
from gwrsa._validate import FloatArray
from gwrsa.condensed import is_dissimilarity
from gwrsa.shards import save_arrays, stored_texts

if TYPE_CHECKING:
    from gwrsa.rdm import RDM, Metric
    from gwrsa.thingsvision_files import By, FileFormat


@dataclass(frozen=True, eq=False)
class Embedding:
    """Vectors of the same objects in one representation: a network's layer, or a fitted human space.

    Parameters
    ----------
    values : array-like, DataFrame or DataArray, shape (n_items, n_dims)
        Real and finite; kept as read-only float64 (that of a file that is mapped with mode "r" is not copied). A pandas DataFrame or
        xarray DataArray brings the labels of its rows.
    items : sequence of str, length n_items, optional
        Labels, distinct. Two labelled objects are compared only when their labels agree. None: those of a DataFrame or DataArray;
        otherwise no labels, and rows are matched by position.
    name : str
        Shown in tables and figures.
    meta : mapping, optional
        Provenance, such as model and layer; has to be JSON to be saved. None: empty.

    Raises
    ------
    ValueError
        If values are not a 2-D array of finite real numbers, or the labels are too few, too many or not distinct.

    Examples
    --------
    >>> labels = ["cat", "car", "cart"]
    >>> gwrsa.Embedding([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], items=labels, name="toy")
    Embedding('toy', 3 objects x 2, labelled)
    """

    values: FloatArray
    items: tuple[str, ...] | None = None
    name: str = "embedding"
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given, items = labelled.rows("values", self.values, self.items)
        values = check.kept(check.array("values", given, 2), given)
        values.flags.writeable = False
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "items", check.labels("items", items, len(values)))
        if not isinstance(self.meta or {}, Mapping):
            raise ValueError(f"meta must be a mapping, got {self.meta!r}")
        object.__setattr__(self, "meta", dict(self.meta or {}))

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        labelled = "labelled" if self.items else "no labels"
        return f"Embedding({self.name!r}, {len(self)} objects x {self.values.shape[1]}, {labelled})"

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        items: Iterable[object] | str | Path | None = None,
        key: str | None = None,
        name: str | None = None,
    ) -> Embedding:
        """Read an embedding: what `save` wrote, or a plain .npy, .npz, .csv, .tsv, .txt, .mat or .h5 file; or thingsvision's folder.

        Parameters
        ----------
        path : path
            The file, or a folder of `from_thingsvision`, a row an image.
        items : sequence of str or path, optional
            Labels, or a file of labels (`gwrsa.loaders.load_items`). None: those in the file, if any.
        key : str, optional
            Name of the array in a file that holds several. None: the only one.
        name : str, optional
            None: the stored name, or the file's name without its suffix.

        Raises
        ------
        ValueError
            If the file does not hold one 2-D array of finite numbers, or the labels do not fit; or if the array is symmetric with a
            zero diagonal, as an RDM is, in a file that `save` did not write.

        Examples
        --------
        >>> gwrsa.Embedding.load("human.npy", items="names.txt", name="human")
        Embedding('human', 60 objects x 40, labelled)
        """
        made = read(path, items=items, key=key, name=name)
        if looks_like_rdm(path, made.values):
            raise ValueError(
                f"{path} must hold an embedding, got a symmetric array of shape {made.values.shape} with a zero diagonal, which is an "
                "RDM: read it by gwrsa.RDM.load, in a study as rdm, at the command line with --kind rdm. If it is an embedding all "
                "the same, make it by gwrsa.Embedding(values), whose save is read back, or say --kind embedding"
            )
        return made

    def save(self, path: str | Path) -> Path:
        """Write values, labels, name and meta to an .npz file, which `load` reads back; returns its path.

        Raises
        ------
        ValueError
            If the path does not end in .npz, or meta is not JSON with finite numbers.

        Examples
        --------
        >>> embedding = gwrsa.Embedding([[1.0], [2.0]], ["a", "b"], meta={"layer": "fc"})
        >>> path = embedding.save("kept.npz")
        >>> gwrsa.Embedding.load(path).meta
        {'layer': 'fc'}
        """
        out = Path(path)
        if out.suffix != ".npz":
            raise ValueError(f"path must end in .npz, got {str(path)!r}")
        arrays: dict[str, Any] = {"values": self.values}
        if self.items is not None:
            arrays["items"] = np.array(self.items)
        try:
            provenance = json.dumps({"name": self.name, "meta": self.meta}, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"meta must be JSON with finite numbers to be saved, got {self.meta!r:.200}: {error}"
            ) from error
        return save_arrays(out, {**arrays, "provenance": np.array(provenance)}, compressed=True)

    @classmethod
    def from_thingsvision(
        cls, folder: str | Path, *, by: By = "image", names: str | Path | None = None, name: str | None = None
    ) -> Embedding:
        """Features that thingsvision extracted: features.npy, .txt, .mat, .hdf5 or .pt, whole or in parts, beside file_names.txt.

        Parameters
        ----------
        folder : path
            Where the features are.
        by : str
            "image": a row an image, labelled by its file's name without folder and suffix. "object": images of one folder are
            averaged, and labelled by it.
        names : path, optional
            The list of files, one a line. None: file_names.txt in the folder or the one above; no labels where there is none.
        name : str, optional
            None: that of the folder.

        Raises
        ------
        ValueError
            If a part is missing, names and rows differ in number, labels are not distinct, or features are not one vector an image.

        Examples
        --------
        >>> e = gwrsa.Embedding([[1, 0], [0, 1], [1, 1]], ["ant_01", "ant_02", "bee_01"])
        >>> gwrsa.Embedding.from_thingsvision(e.to_thingsvision("layer4"))
        Embedding('layer4', 3 objects x 2, labelled)
        """
        from gwrsa import thingsvision_files

        values, items = thingsvision_files.read(folder, by, names)
        return cls(values, items, name=name or Path(folder).resolve().name)

    def to_thingsvision(self, folder: str | Path, file_format: FileFormat = "npy") -> Path:
        """Write features.npy and file_names.txt, a label a line, as thingsvision does; returns the folder.

        Parameters
        ----------
        folder : path
            Made where it is not there; may hold no other features.
        file_format : str
            "npy", "txt", "mat" (the array `features`) or "hdf5" (needs `gwrsa[h5]`).

        Raises
        ------
        ValueError
            If the embedding has no labels, a label is not one line of text, or the folder holds features of another format.

        Examples
        --------
        >>> embedding = gwrsa.Embedding([[1, 0], [0, 1]], ["ant", "bee"])
        >>> folder = embedding.to_thingsvision("layer3", "txt")
        >>> sorted(path.name for path in folder.iterdir())
        ['features.txt', 'file_names.txt']
        """
        from gwrsa import thingsvision_files

        if self.items is None:
            raise ValueError(f"items must be there to be written as names of files, got none in {self.name!r}")
        return thingsvision_files.write(folder, self.values, self.items, file_format)

    def select(self, items: Iterable[object]) -> Embedding:
        """The named objects, in this order; by position (int) where there are no labels.

        Parameters
        ----------
        items : iterable of str, or of int
            Labels, or positions where there are no labels; none twice.

        Returns
        -------
        Embedding

        Raises
        ------
        ValueError
            If an object is not there, or named twice.

        Examples
        --------
        >>> embedding = gwrsa.Embedding([[1.0], [2.0], [3.0]], ["a", "b", "c"])
        >>> embedding.select(["c", "a"]).values.tolist()
        [[3.0], [1.0]]
        """
        rows = check.positions(self.items, items, len(self))
        chosen = tuple(self.items[i] for i in rows) if self.items else None
        return Embedding(self.values[rows], chosen, name=self.name, meta=self.meta)

    def rdm(self, metric: Metric = "cosine") -> RDM:
        """Dissimilarities of all pairs.

        Parameters
        ----------
        metric : str
            "cosine", "correlation", "euclidean", "sqeuclidean", "inner_product" or "choice"; see `gwrsa.rdm.from_embedding`, whose errors
            these are.

        Returns
        -------
        RDM
            Of n_items objects, with the labels and the name; its exact factors beside it, where the metric has them.

        Examples
        --------
        >>> gwrsa.Embedding([[0.0, 0.0], [3.0, 4.0]]).rdm("euclidean").square().tolist()
        [[0.0, 5.0], [5.0, 0.0]]
        """
        from gwrsa import rdm

        return rdm.from_embedding(self, metric)


def read(
    path: str | Path,
    *,
    items: Iterable[object] | str | Path | None = None,
    key: str | None = None,
    name: str | None = None,
) -> Embedding:
    """As `Embedding.load`, also of what looks like an RDM: for those who have said that it is an embedding."""
    from gwrsa import loaders
    from gwrsa import loaders_files as files

    if Path(path).is_dir() and key is None:
        made = Embedding.from_thingsvision(path, name=name)
        given = loaders.load_items(items) if isinstance(items, (str, Path)) else items
        return made if given is None else Embedding(made.values, tuple(given), name=made.name)  # type: ignore[arg-type]
    loaded = loaders.load_array(path, key=key)
    if loaded.values.ndim != 2:
        raise ValueError(f"{path} must hold a 2-D array to be an embedding, got shape {loaded.values.shape}")
    stored_name, meta = _provenance(Path(path))
    labels = loaders.load_items(items) if isinstance(items, (str, Path)) else items
    with files.named(path, items):
        return Embedding(
            loaded.values,
            tuple(str(x) for x in labels) if labels is not None else loaded.items,
            name=name or stored_name or Path(path).stem,
            meta=meta,
        )


def looks_like_rdm(path: str | Path, values: FloatArray) -> bool:
    """Whether what a file holds is to be taken for dissimilarities: zeros are not, nor what `Embedding.save` wrote."""
    if not values.any() or not is_dissimilarity(values):
        return False
    return Path(path).is_dir() or _provenance(Path(path))[0] is None


def _provenance(path: Path) -> tuple[str | None, dict[str, Any]]:
    """Name and meta that `save` wrote; nothing for other files."""
    if path.suffix.lower() != ".npz":
        return None, {}
    arrays = stored_texts(path, "provenance")
    if arrays is None:
        return None, {}
    (text,) = arrays
    try:
        stored = json.loads(text)
        return str(stored["name"]), dict(stored.get("meta", {}))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path}: provenance must be JSON with a name and meta, got {text[:80]!r}") from error
