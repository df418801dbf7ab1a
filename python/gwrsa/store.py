"""A study on disk: `Results` reads what `gwrsa.Study.run` wrote. The folder is its own: the inputs are not needed again.

==========================  ===========================================================================================
``study.toml``              as run, verbatim
``provenance.json``         store (version of this layout), versions, machine, base and inputs (sha256 and bytes of every file), settings
                            (all of them, defaults filled in), human and models (which side is in which file), started, finished (null
                            while it runs), seconds, array (in how many parts it was cut, or null), earlier (of each run before
                            the last: started, finished or null, seconds or null, versions, machine); once it is finished tables
                            (sha256 of study.toml and of every table)
``.lock``                   held while the provenance is written
``sides/<digest>.npz``      a representation as it was read or extracted, its rows in the order of the study's objects;
                            the numbers of an RDM in float64, where they can be mapped into memory
``shards/<key>.json``       a unit of work: starts of one pair, or the permutation test of one RSA; or which side came of which
                            input. The key is a hash of all that determines it
``plans/<key>.npz``         a chosen start: ``top`` (n, 10), ``mass`` (n, 10), ``tied`` (whether its rates need the plan), and what
                            its plan is derived from again
``categories.npz``          names (c,) and members (n, c), where there are categories
``objects.parquet``         item, categories (joined by "; "), one (the one that figures sort by)
``results.parquet``         a row a start
``tables/``                 chosen, rates, rsa, chance, categories and, with model against model, pairs; .parquet and .csv
==========================  ===========================================================================================

The columns are those of docs/study.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gwrsa._validate import FloatArray
from gwrsa.bounds import parsed
from gwrsa.bounds_parquet import check_parquet
from gwrsa.compare import NoiseCeiling, noise_ceiling
from gwrsa.embedding import Embedding
from gwrsa.loaders import Categories
from gwrsa.rdm import RDM
from gwrsa.shards import load_arrays, replace, replace_text, save_arrays
from gwrsa.sides import aligned, load_side
from gwrsa.solve import build_problem

if TYPE_CHECKING:
    import pandas as pd

STORE = 3
"""Version of the layout; a folder of another one is refused."""
CATEGORIES = "categories.npz"
TABLES = ("chosen", "rates", "rsa", "chance", "categories")

_PROVENANCE: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("versions", "inputs", "settings"), (dict,)),
    **dict.fromkeys(("models", "by_position"), (list,)),
    "human": (dict, type(None)),
    "finished": (str, type(None)),
    "base": (str,),
}

# A plan that is derived again has the loss that was written down but for rounding; other inputs change it by far more.
_SAME_LOSS = 1e-5


@dataclass(frozen=True, eq=False)
class Results:
    """A finished study."""

    folder: Path
    """Where it is."""
    results: pd.DataFrame
    """A row a start; `pair_key` names the shard."""
    chosen: pd.DataFrame
    """The rows of `results` that are shown, two a pair (`choice`); `key` names the plan."""
    rates: pd.DataFrame
    """Matching and category matching rates of the chosen starts, with intervals over objects."""
    rsa: pd.DataFrame
    """RSA of every model and replicate, as given (before histogram matching); p_value and p_adjusted are the model's."""
    chance: pd.DataFrame
    """What a plan that knows nothing reaches."""
    categories: pd.DataFrame
    """Rates category by category, for each choice, measure and k; empty without categories."""
    pairs: pd.DataFrame | None
    """Model against model; None without."""
    objects: pd.DataFrame
    """Labels and categories, in the order of all arrays."""
    provenance: dict[str, Any]
    """What was run, on what, with what."""

    def __repr__(self) -> str:
        n_models = self.rsa["target"].nunique()
        return (
            f"Results({str(self.folder)!r}, {n_models} models, {len(self.objects)} objects, {len(self.results)} starts)"
        )

    @classmethod
    def open(cls, folder: str | Path) -> Results:
        """Read a finished study.

        Raises
        ------
        ValueError
            If the folder holds none, an unfinished one, or one of another version of the layout.
        ImportError
            If pyarrow is missing.

        Examples
        --------
        >>> path = gwrsa.demo.write_study("kept", n_objects=40, n_categories=5)
        >>> study = gwrsa.Study.from_toml(path)
        >>> results = study.run("kept/results", figures=False, progress=False)
        >>> gwrsa.Results.open("kept/results")
        Results('kept/results', 7 models, 40 objects, 108 starts)
        >>> results.chosen[["target", "choice", "top1"]].shape
        (18, 3)
        """
        root = Path(folder)
        provenance = load_provenance(root)
        if provenance is None:
            raise ValueError(f"folder must hold a study, got {str(root)!r}, where there is no provenance.json")
        if provenance["finished"] is None:
            raise ValueError(f"folder must hold a finished study, got {str(root)!r}; run it again to finish it")
        return cls(
            root,
            read_table(root / "results.parquet"),
            **{name: read_table(root / "tables" / f"{name}.parquet") for name in TABLES},
            pairs=read_table(root / "tables" / "pairs.parquet") if provenance["settings"]["all_pairs"] else None,
            objects=read_table(root / "objects.parquet"),
            provenance=provenance,
        )

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting of the study, defaults filled in; see docs/study.md."""
        settings: dict[str, Any] = self.provenance["settings"]
        return settings

    @cached_property
    def human(self) -> RDM:
        """Dissimilarities of the human side, the source of every alignment."""
        return self._rdm(self.provenance["human"], matched=False)

    def model(self, target: str, replicate: int = 0) -> RDM:
        """Dissimilarities of a model as they were aligned: after histogram matching, where there was.

        Raises
        ------
        ValueError
            If there is no such model or replicate.
        """
        return self._rdm(self._entry(target, replicate), matched=self.settings["alignment"]["match_histogram"])

    def representation(self, target: str | None = None, replicate: int = 0) -> Embedding | RDM:
        """A model as it was given, an Embedding where it is one; None: the human side.

        Raises
        ------
        ValueError
            If there is no such model or replicate.
        """
        return self._side(self.provenance["human"] if target is None else self._entry(target, replicate))

    @cached_property
    def noise_ceilings(self) -> dict[str, NoiseCeiling]:
        """Of each `split` of the study's groups of people, by `statistics.rsa` of the dissimilarities as given; first replicates.

        It bounds the mean RSA with the groups. RSA with the human side, whose RDM has less noise than that of a group, can be higher.
        """
        groups: dict[str, list[RDM]] = {}
        for model in self.settings["models"]:
            if (split := model.get("split")) is not None:
                groups.setdefault(split, []).append(self._rdm(self._entry(model["name"], 0), matched=False))
        return {split: noise_ceiling(rdms, self.settings["statistics"]["rsa"]) for split, rdms in groups.items()}

    @cached_property
    def members(self) -> Categories | None:
        """Which object is in which categories; None without."""
        if self.settings["categories"]["file"] is None:
            return None
        return read_categories(self.folder, tuple(self.objects["item"]))

    def top(self, key: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The most probable targets of each source item of a chosen start, and the share of the item's mass on each.

        Parameters
        ----------
        key : str
            Of the column `key` of `chosen`.

        Returns
        -------
        top : ndarray, shape (n, min(10, n)), int64
            Most probable first.
        mass : ndarray, the same shape, float32
            In [0, 1].

        Raises
        ------
        ValueError
            If there is no such plan, or its file is torn.
        """
        arrays = self._plan_file(key)
        return arrays["top"], arrays["mass"]

    def plan(self, key: str) -> FloatArray:
        """The plan (n, n) of a chosen start, float64, derived again from its potentials.

        Raises
        ------
        ValueError
            If there is no such plan, or what it is derived from does not give the loss that was written down.
        """
        arrays = self._plan_file(key)
        row = self.chosen[self.chosen["key"] == key].iloc[0]
        return restored_plan(self.human, self.model(str(row["target"]), int(row["replicate"])), arrays, row)

    def _plan_file(self, key: str) -> dict[str, NDArray[Any]]:
        if key not in set(self.chosen["key"]):
            raise ValueError(f"key must be one of the column 'key' of chosen, got {key!r}")
        return load_arrays(self.folder / "plans" / f"{key}.npz")

    def _entry(self, target: str, replicate: int) -> dict[str, Any]:
        models: list[dict[str, Any]] = self.provenance["models"]
        for entry in models:
            if (entry["name"], entry["replicate"]) == (target, replicate):
                return entry
        there = ", ".join(dict.fromkeys(repr(entry["name"]) for entry in models))
        raise ValueError(f"target and replicate must be of the models {there}, got {target!r}, {replicate!r}")

    def _side(self, entry: dict[str, Any]) -> Embedding | RDM:
        return load_side(self.folder / "sides" / f"{entry['side']}.npz", entry["name"])

    def _rdm(self, entry: dict[str, Any], *, matched: bool) -> RDM:
        return aligned(self._side(entry), entry["metric"], self.human if matched else None)


def load_provenance(folder: Path) -> dict[str, Any] | None:
    """Provenance of the study in a folder, finished or not; None where there is none.

    Raises
    ------
    ValueError
        If it is of another version of the layout, or torn.
    """
    path = folder / "provenance.json"
    if not path.is_file():
        return None
    try:
        provenance = json.loads(path.read_text(encoding="utf-8"))
        version = provenance["store"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} must be the provenance of a study, got {error!r}") from error
    if version != STORE:
        versions = provenance.get("versions")
        wrote = versions.get("gwrsa") if isinstance(versions, dict) else None
        raise ValueError(
            f"folder {str(folder)!r} must hold a study of layout {STORE}, got layout {version!r}, "
            f"written by gwrsa {wrote}; use that version, or another folder"
        )
    for key, kinds in _PROVENANCE.items():
        if not isinstance(provenance.get(key), kinds):
            raise ValueError(f"{path} must be the provenance of a study, got {key} = {provenance.get(key)!r:.80}")
    return provenance  # type: ignore[no-any-return]


def save_provenance(folder: Path, provenance: dict[str, Any]) -> None:
    """Write the provenance."""
    replace_text(folder / "provenance.json", json.dumps(provenance, indent=2, allow_nan=False) + "\n")


def restored_plan(
    source: RDM, target: RDM, arrays: Mapping[str, NDArray[Any]], row: Mapping[Any, Any] | pd.Series[Any]
) -> FloatArray:
    """The plan (n, m) that `arrays` of its file are the state of, float64; `row` is that of the start in `chosen`.

    Raises
    ------
    ValueError
        If the state does not give the loss that was written down.
    """
    restored = build_problem(source, target).restore(
        arrays["exponent"], arrays["f"], arrays["g"], float(row["epsilon"])
    )
    loss = float(row["gw_loss"])
    if not abs(restored.gw_loss - loss) <= _SAME_LOSS * max(abs(loss), abs(float(row["objective"]))):
        raise ValueError(
            f"plan {row['key']!r} must have the GW loss {loss}, got {restored.gw_loss}; was a file changed?"
        )
    return restored.plan()


def save_categories(folder: Path, categories: Categories) -> None:
    """Write the categories of the objects."""
    save_arrays(folder / CATEGORIES, {"names": np.array(categories.names), "members": categories.members})


def read_categories(folder: Path, items: tuple[str, ...] | None) -> Categories:
    """Read them; items: the labels of the objects, their numbers where there are none."""
    arrays = load_arrays(folder / CATEGORIES)
    if missing := {"names", "members"} - arrays.keys():
        raise ValueError(
            f"{folder / CATEGORIES} must hold names and members, got no {' and no '.join(sorted(missing))}"
        )
    labels = items or tuple(str(i) for i in range(len(arrays["members"])))
    return Categories(tuple(str(n) for n in arrays["names"]), labels, arrays["members"])


def need(*packages: str) -> None:
    """Raise an ImportError that names the extra, where one of the packages is missing."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise ImportError(f"a study needs {' and '.join(missing)}; pip install 'gwrsa[study]'")


def read_table(path: Path) -> pd.DataFrame:
    """Read a table that `write_table` wrote.

    Raises
    ------
    ValueError
        If the file is torn, or claims to hold more than a file of its size can.
    """
    need("pyarrow")
    import pandas as pd
    from pyarrow import parquet

    with parsed(f"{path} is not a whole table"):
        check_parquet(path)
        # Text that is none is otherwise found by whoever looks at it.
        parquet.read_table(path).validate(full=True)
        return pd.read_parquet(path)


def write_table(path: Path, table: pd.DataFrame, *, csv: bool = True) -> None:
    """Write a table as Parquet, and beside it as CSV."""
    replace(path, lambda file: table.to_parquet(file, index=False))
    if csv:
        replace_text(path.with_suffix(".csv"), table.to_csv(index=False))
