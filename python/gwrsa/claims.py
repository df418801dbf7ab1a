"""Who computes what, where several processes share a folder: a lock on a file, which the system lets go when its holder dies."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TypeVar

try:
    import fcntl
except ImportError:  # not a Unix: nothing is claimed, and two processes may do the same work
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
"""File, in the folder of a study, that is held while its provenance is written."""

# File systems without locks: work may be done twice there, but each result is still whole.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}

_PATIENCE = 0.5
"""Seconds between looks at what another process is busy with."""

T = TypeVar("T")


def share(left: Sequence[T], attempt: Callable[[Sequence[T]], tuple[list[T], list[T]]]) -> None:
    """Do what is left, beside others who may be at some of it.

    `attempt` passes over what another process is at; it says what has come due, and what it passed over, which is looked at again, after
    a while where there is nothing else.
    """
    while left:
        due, busy = attempt(left)
        if busy and not due:
            time.sleep(_PATIENCE)
        left = [*due, *busy]


@contextmanager
def claim(folder: Path, key: str) -> Iterator[bool]:
    """Hold the claim on a key in the folder of shards while the block runs; False where another process, or thread, holds it.

    A file that is let go is removed. One who opened it before may then hold a file without a name, beside the next holder of
    the name: what is claimed has to be looked at again, once it is held.
    """
    path = folder / f".{key}.claim"
    with _held(path, wait=False) as mine:
        try:
            yield mine
        finally:
            if mine:
                with suppress(OSError):
                    path.unlink()


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """Wait until nobody else is in such a block, then run it; the file stays."""
    with _held(path, wait=True):
        yield


def lock(file: IO[bytes], *, wait: bool) -> bool:
    """Lock an open file until it is closed; False where another holds it. A file system without locks gives every one that is asked for."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


@contextmanager
def _held(path: Path, *, wait: bool) -> Iterator[bool]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        yield lock(file, wait=wait)
