"""Calls made by other threads before their results are asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

_T = TypeVar("_T")
_U = TypeVar("_U")
_BYTES = 1 << 30


def workers(cores: int, size: int) -> int:
    """How many may work at once: one a core, but no more than take 1 GiB, of `size` bytes each while it works."""
    return max(1, min(cores, _BYTES // size))


class Ahead(Generic[_T]):
    """Results of calls, in their order, made by so many workers; as many are ready beforehand as 1 GiB holds, of `size` bytes each."""

    def __init__(self, calls: Iterable[Callable[[], _T]], size: int, workers: int = 1) -> None:
        self._calls = iter(calls)
        self._pool = ThreadPoolExecutor(workers)
        self._coming: deque[Future[_T]] = deque()
        for _ in range(max(workers, min(64, _BYTES // size))):
            self._call()

    def _call(self) -> None:
        call = next(self._calls, None)
        if call is not None:
            self._coming.append(self._pool.submit(call))

    def ready(self) -> bool:
        """Whether the next result is there."""
        return self._coming[0].done()

    def take(self, use: Callable[[_T], _U]) -> _U:
        """What `use` makes of the next result; where it fails, as for want of memory, the result stays the next."""
        made = use(self._coming[0].result())
        self._coming.popleft()
        self._call()
        return made

    def __enter__(self) -> Ahead[_T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
