"""Files that are whole or not there: written under another name, synced, renamed; keyed by what determines them."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import struct
import tempfile
import time
import zipfile
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from gwrsa.bounds import parsed, read_npz
from gwrsa.claims import lock

PART = ".part"
_STALE = 3600.0
# Of a member's header in an archive: without its name, with its length in 64 bits and the head of the padding; what padding is known by.
_MEMBER, _PADDING = 30 + 20 + 4, 0xD935
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


def digest(what: Any) -> str:  # noqa: ANN401
    """SHA-256 of JSON values, whatever the order of the keys."""
    return hashlib.sha256(json.dumps(what, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def key_of(what: Mapping[str, Any]) -> str:
    """Name of the shard of what a mapping says."""
    return digest(dict(what))[:32]


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        sha = hashlib.sha256()
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def replace(path: Path, write: Callable[[BinaryIO], object]) -> Path:
    """Write a file that is seen whole or not at all, also after a kill or a loss of power; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file, temporary = _begun(path)
    try:
        with file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in _FULL:
            hint = "no room for this file; nothing that is whole is lost: make room and run again"
            raise OSError(error.errno, f"{error.strerror}, {hint}", str(path)) from error
        raise
    return path


def _begun(path: Path) -> tuple[BinaryIO, Path]:
    """A temporary file to write `path` to, which `sweep` leaves alone, whatever the clock says."""
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PART)
        file, temporary = os.fdopen(handle, "wb"), Path(name)
        # By a clock that is ahead it is old from its first moment: a sweep may have come before the lock.
        if lock(file, wait=False) and temporary.exists():
            return file, temporary
        file.close()


def replace_text(path: Path, text: str) -> Path:
    """`replace` with a text."""
    return replace(path, lambda file: file.write(text.encode()))


def sweep(folder: Path) -> None:
    """Remove what a killed run left half written: temporary files that nobody has written to for an hour, or is writing."""
    for path in folder.rglob(f".*{PART}"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE:
                with path.open("ab") as file:
                    if lock(file, wait=False):
                        path.unlink()


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], *, compressed: bool = False) -> Path:
    """Write an .npz file, whole or not at all; one that is not compressed can be mapped into memory."""
    if compressed:
        return replace(path, lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]  # names are strings
    return replace(path, lambda file: _store(file, arrays))


def _store(file: BinaryIO, arrays: Mapping[str, NDArray[Any]]) -> None:
    """What `np.savez` writes, with each member where memory that is mapped has to begin."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f"{name}.npy")
            ends = file.tell() + _MEMBER + len(info.filename.encode())
            pad = -ends % npy.ARRAY_ALIGN
            info.extra = struct.pack("<HH", _PADDING, pad) + bytes(pad)
            with archive.open(info, "w", force_zip64=True) as member:
                npy.write_array(member, np.asanyarray(array), allow_pickle=False)


def load_arrays(path: Path, mapped: Collection[str] = ()) -> dict[str, NDArray[Any]]:
    """Read an .npz file; pickled objects are refused. `mapped` is that of `read_npz`.

    Raises
    ------
    ValueError
        If the file is torn.
    FileNotFoundError
        If it is not there.
    """
    with parsed(f"{path} is not a whole .npz file"):
        return read_npz(path, mapped=mapped)


def stored_texts(path: Path, *names: str) -> tuple[str, ...] | None:
    """Texts of these names in an .npz file; None where one is not there."""
    with parsed(f"{path} is not a whole .npz file"):
        arrays = read_npz(path, lambda there: [name for name in names if name in there])
    return tuple(str(arrays[name]) for name in names) if len(arrays) == len(names) else None


@dataclass(frozen=True)
class Shards:
    """Results of units of work, one JSON file each.

    Attributes
    ----------
    folder : Path
        Made when first written to.
    """

    folder: Path

    def path(self, key: str) -> Path:
        """Where the result of this key is, or will be."""
        return self.folder / f"{key}.json"

    def load(self, key: str) -> dict[str, Any] | None:
        """A result; None where there is none, or the file is torn or was edited."""
        try:
            shard = json.loads(self.path(key).read_text(encoding="utf-8"))
            what, result, seal = shard["what"], shard["result"], shard["seal"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        whole = isinstance(result, dict) and isinstance(what, dict) and key == key_of(what)
        return result if whole and seal == digest([key, result]) else None

    def save(self, what: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        """Write a result, beside what it is of."""
        key = key_of(what)
        shard = {"what": dict(what), "result": dict(result), "seal": digest([key, dict(result)])}
        replace_text(self.path(key), json.dumps(shard, allow_nan=False) + "\n")
