"""Folders in thingsvision's layout: features.npy, .txt, .mat, .hdf5 or .pt, whole or in parts, beside file_names.txt.

https://vicco-group.github.io/thingsvision; its versions 2.x. A line of file_names.txt is the path of the image of that row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePath, PureWindowsPath
from typing import BinaryIO, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gwrsa import _validate as check
from gwrsa import bounds
from gwrsa import loaders_files as files
from gwrsa._validate import FloatArray
from gwrsa.bounds_h5 import array, fitting
from gwrsa.shards import replace, replace_text
from gwrsa.tensors import host
from gwrsa.torch_files import load_tensors

By: TypeAlias = Literal["image", "object"]
FileFormat: TypeAlias = Literal["npy", "txt", "mat", "hdf5"]
FORMATS: tuple[FileFormat, ...] = ("npy", "txt", "mat", "hdf5")
NAMES = "file_names.txt"
# Whole, or a part: numbered, or by its first and last image.
_FEATURES = re.compile(r"features(?:_(\d+)(?:-(\d+))?)?\.(npy|txt|mat|hdf5|h5|pt)")


def read(folder: str | Path, by: By, names: str | Path | None) -> tuple[FloatArray, tuple[str, ...] | None]:
    """Features and labels; see `gwrsa.Embedding.from_thingsvision`."""
    root = Path(folder)
    check.choice("by", by, ("image", "object"))
    if not root.is_dir():
        raise ValueError(f"folder must be a folder with features and {NAMES}, got {str(folder)!r}")
    values, parts = _features(root)
    listed = root / NAMES if names is None else Path(names)
    # Features of one module of several lie in a folder of their own, below that of the names.
    if names is None and not listed.is_file() and (root.parent / NAMES).is_file():
        listed = root.parent / NAMES
    if not listed.is_file():
        if names is not None or by == "object":
            raise ValueError(
                f"names must be a file with the path of an image a line, got {str(listed)!r}, which is not there"
            )
        return values, None
    with bounds.parsed(f"{listed} is no text"):
        paths = [line.strip() for line in listed.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    if len(paths) != len(values):
        raise ValueError(f"{listed} must name {len(values)} images, one a row of {parts}, got {len(paths)}")
    # The path may be of another system.
    split = [PureWindowsPath(path) if "\\" in path else Path(path) for path in paths]
    if by == "image":
        labels = tuple(map(_label, split))
        if len(set(labels)) < len(labels):
            twice = next(label for label in labels if labels.count(label) > 1)
            raise ValueError(f"{listed} must name distinct images for by='image', got {twice!r} more than once")
        return values, labels
    bare = next((path for path in split if not path.parent.name), None)
    if bare is not None:
        raise ValueError(f"{listed} must name images in folders, one an object, for by='object', got {str(bare)!r}")
    folders = [path.parent.name for path in split]
    objects = tuple(dict.fromkeys(folders))
    number = {name: i for i, name in enumerate(objects)}
    rows = np.array([number[name] for name in folders])
    sums = np.zeros((len(objects), values.shape[1]))
    np.add.at(sums, rows, values)
    return sums / np.bincount(rows)[:, None], objects


def write(folder: str | Path, values: FloatArray, names: tuple[str, ...], file_format: FileFormat) -> Path:
    """Features and names; see `gwrsa.Embedding.to_thingsvision`."""
    check.choice("file_format", file_format, FORMATS)
    broken = next((name for name in names if not name.strip() or "\n" in name or "\r" in name), None)
    if broken is not None:
        raise ValueError(f"items must be one line of text each to be names of files, got {broken!r}")
    moved = next((name for name in names if "\\" in name or _label(Path(name)) != name or name.strip() != name), None)
    if moved is not None:
        raise ValueError(
            f"items must be names of files that are read back as they are, without a folder or suffix, got {moved!r}"
        )
    root = Path(folder)
    there = [path.name for path in sorted(root.glob("features*")) if _FEATURES.fullmatch(path.name)]
    out = root / f"features.{file_format}"
    if set(there) - {out.name}:
        raise ValueError(f"folder must hold no other features, got {', '.join(there)} in {str(folder)!r}")
    replace(out, lambda stream: _write(stream, values, file_format))
    replace_text(root / NAMES, "".join(f"{name}\n" for name in names))
    return root


def _label(path: PurePath) -> str:
    """Of an image; a dot may also be part of a name."""
    return path.stem if path.suffix.lower() in files.IMAGE_SUFFIXES else path.name


def _write(stream: BinaryIO, values: FloatArray, file_format: FileFormat) -> None:
    if file_format == "npy":
        np.save(stream, values, allow_pickle=False)
    elif file_format == "txt":
        np.savetxt(stream, values, fmt="%.17g")
    elif file_format == "mat":
        from scipy.io import savemat

        savemat(stream, {"features": values})  # type: ignore[arg-type]  # files that are open are taken too
    else:
        with files.h5(stream, "w") as content:
            content.create_dataset("features", data=values)


def _features(root: Path) -> tuple[FloatArray, str]:
    """All rows, in order, and the names of the files they come from."""
    matches = [(match, path) for path in sorted(root.iterdir()) if (match := _FEATURES.fullmatch(path.name))]
    whole = [path for match, path in matches if match[1] is None]
    if not matches or len(whole) > 1 or (not whole and len({match[3] for match, _ in matches}) > 1):
        found = ", ".join(path.name for _, path in matches) or "none"
        raise ValueError(
            f"{root} must hold features in one file, or the parts of one, features.npy or the like, got {found}"
        )
    if whole:
        chosen = whole
    else:
        parts = sorted(matches, key=lambda pair: int(pair[0][1]))
        numbers = [int(match[1]) for match, _ in parts]
        ends = [match[2] for match, _ in parts]
        # By first and last image each begins where the one before ended; numbers go on from 1.
        expected = [0, *(int(end or 0) for end in ends[:-1])] if ends[0] is not None else list(range(1, len(parts) + 1))
        if numbers != expected:
            raise ValueError(
                f"{root} must hold every part of the features, got {', '.join(path.name for _, path in parts)}"
            )
        chosen = [path for _, path in parts]
    arrays = [part for path in chosen for part in _arrays(path)]
    shapes = {part.shape[1:] for part in arrays}
    if len(shapes) > 1 or arrays[0].ndim < 2:
        raise ValueError(f"{root} must hold features with as many columns in every row, got shapes {sorted(shapes)}")
    values = np.concatenate(arrays)
    if values.ndim > 2:
        raise ValueError(
            f"{root} must hold one vector an image, got shape {values.shape}; flatten them: "
            "gwrsa.Embedding(features.reshape(len(features), -1), names)"
        )
    return check.array("features", values, 2), ", ".join(path.name for path in chosen)


def _arrays(path: Path) -> list[NDArray[np.float64]]:
    """The features of a file, in parts where it holds some."""
    with files.opened(path, (".npy", ".txt", ".mat", ".hdf5", ".h5", ".pt")) as (file, suffix):
        if suffix == ".npy":
            return [files.read_npy(file)]
        if suffix == ".txt":
            return [np.loadtxt(file, ndmin=2)]
        if suffix == ".pt":
            return [tensor(file)]
        if suffix == ".mat":
            content = files.read_mat(file)
            if content is None:
                raise ValueError("the file must be of version 5 to 7, got one of 7.3")
            if "features" in content:
                return [content["features"]]
            # One variable an image, in the order of the rows.
            return [np.reshape(values, (1, -1)) for values in content.values()]
        with bounds.parsed("the file is not HDF5"), files.h5(file) as content:
            keys = _keys(content)
            fitting(file, {key: content[key] for key in keys})
            return [array(file, content[key]) for key in keys]


def _keys(content: Iterable[str]) -> list[str]:
    """Names of the features in an HDF5 file: 'features', or its numbered parts in order."""
    names = list(content)
    # 'features_100' comes after 'features_99', and among texts after 'features_10'.
    parts = sorted((int(match[1]), name) for name in names if (match := re.fullmatch(r"features_(\d+)", name)))
    whole = "features" in names
    numbered = [number for number, _ in parts] == list(range(1, len(parts) + 1))
    if whole == bool(parts) or not numbered:
        raise ValueError(
            f"the file must hold 'features', or every part of them from 'features_01' on, got {', '.join(map(repr, names)) or 'nothing'}"
        )
    return ["features"] if whole else [name for _, name in parts]


def tensor(file: Path) -> NDArray[np.float64]:
    """The only tensor of a .pt file; nothing else is unpickled."""
    try:
        import torch
    except ImportError as error:
        raise ImportError(f"{file}: to read tensors, install torch: pip install 'gwrsa[torch]'") from error
    must = "the file must hold one tensor"
    loaded = load_tensors(file, must)
    if not isinstance(loaded, torch.Tensor):
        raise ValueError(f"{must}, got a {type(loaded).__name__}")
    with bounds.parsed(must):  # one of a kind that numpy has not, such as quantized
        values = host(loaded)
    return check.array("features", values, tuple(range(2, 6)))
