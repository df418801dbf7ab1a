"""What of a study is missing, computed: by threads here, or by whatever else runs jobs; another process may do the same."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any, TypeAlias

from gwrsa.claims import claim, share
from gwrsa.machine import usable_cores
from gwrsa.study_plan import Unit
from gwrsa.study_work import Work

if TYPE_CHECKING:
    from tqdm import tqdm
    from typing_extensions import Self

# Models whose permutation tests share their relabellings, and are lost together by a kill.
_MOST_TESTS = 4

Job: TypeAlias = tuple[Unit, ...]
"""Units that are done in one go: tests that share their relabellings, or a single other one."""


@dataclass(frozen=True)
class Outcome:
    """What became of a job: numbers only, for it may cross a network."""

    done: int = 0
    """Units computed."""
    there: int = 0
    """Units that another process had computed."""
    busy: tuple[str, ...] = ()
    """Keys of units that another process computes."""
    starts: int = 0
    failed: int = 0
    """Of the starts."""
    lowest: float = math.inf
    """GW loss, of the starts."""


Execute: TypeAlias = Callable[[Sequence[Unit], "Progress"], Iterator[tuple[Job, Outcome]]]
"""Does units, in an order of its own, and yields each job when it is on disk."""


def attempt(work: Work, job: Job, threads: int, stopped: Callable[[], bool] | None = None) -> Outcome:
    """Do those units of a job that are neither there nor claimed by another process; `stopped` is that of `permutation_tests`."""
    free, there, busy = [], 0, []
    with ExitStack() as held:
        for unit in job:
            key = work.key(unit)
            if not held.enter_context(claim(work.shards.folder, key)):
                busy.append(key)
            elif work.result(unit) is not None:
                there += 1
            else:
                free.append(unit)
        rows = [row for result in work.do(free, threads, stopped) for row in result.get("rows", ())]
    return Outcome(
        done=len(free),
        there=there,
        busy=tuple(busy),
        starts=len(rows),
        failed=sum(bool(row["failed"]) for row in rows),
        lowest=min((row["gw_loss"] for row in rows if row["gw_loss"] is not None), default=math.inf),
    )


def compute(work: Work, units: Sequence[Unit], execute: Execute, *, progress: bool) -> int:
    """Do the units that are missing, and the rounds that come due by them; returns how many were computed here.

    Parameters
    ----------
    work : Work
        Whose sides are on disk.
    units : sequence of Unit
        Distinct.
    execute : callable
        `on_threads`, or `gwrsa.cluster.on_client`.
    progress : bool
        A line a unit of starts and a bar, on stderr.
    """
    first = work.due(units)
    more = work.settings.alignment.rounds > 1
    computed = 0
    with one_blas_thread(), Progress(work.settings.name, first, shown=progress) as shown:

        def once(left: Sequence[Unit]) -> tuple[list[Unit], list[Unit]]:
            nonlocal computed
            keys: set[str] = set()
            for job, outcome in execute(left, shown):
                computed += outcome.done
                keys.update(outcome.busy)
                shown.done(job, outcome)
            busy = [unit for unit in left if work.key(unit) in keys] if keys else []
            done = [unit for unit in left if more and unit.what == "align" and unit not in busy]
            due = work.due(done)
            shown.add(due)
            if busy and not due:
                shown.doing(f"another process computes {len(busy)} of the rest")
            return due, busy

        share(first, once)
    return computed


def one_blas_thread() -> AbstractContextManager[object]:
    """BLAS has one thread, in the whole process: the last bits of its sums depend on how many it has, and the work has its own."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return nullcontext()
    return threadpool_limits(1, user_api="blas")  # type: ignore[no-any-return]


def cores() -> int:
    """Cores that this process may use; as many as Slurm gave, where it does not bind."""
    usable = usable_cores()
    given = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE") or ""
    return min(usable, max(int(given), 1)) if given.isdecimal() else usable


def on_threads(work: Work, threads: int) -> Execute:
    """In this process: tests side by side, then one unit after the other, its starts side by side."""

    def execute(units: Sequence[Unit], shown: Progress) -> Iterator[tuple[Job, Outcome]]:
        batches = jobs([u for u in units if u.what == "test"], threads)
        pool, stop = ThreadPoolExecutor(min(threads, max(len(batches), 1))), Event()
        if batches:
            shown.doing(f"RSA of {sum(map(len, batches))} representations with {work.human.name}")
        try:
            yield from zip(batches, pool.map(lambda job: attempt(work, job, 1, stop.is_set), batches), strict=True)
        finally:
            stop.set()  # an interrupt does not wait for the batches on their way
            pool.shutdown(wait=False, cancel_futures=True)
        for job in jobs([u for u in units if u.what != "test"], threads):
            shown.doing(str(job[0]))
            yield job, attempt(work, job, threads)

    return execute


def jobs(units: Sequence[Unit], workers: int) -> list[Job]:
    """Units in the jobs that so many workers can share: first the tests, in batches, then model against model, then alignments.

    Those of a pair are next to each other, for its sides stay in memory.
    """
    tests, simple, pairs = ([u for u in units if u.what == what] for what in ("test", "compare", "align"))
    place = {unit.pair: i for i, unit in reversed(list(enumerate(pairs)))}
    pairs.sort(key=lambda unit: place[unit.pair])
    size = min(_MOST_TESTS, max(1, math.ceil(len(tests) / workers)))
    batches = [tuple(tests[i : i + size]) for i in range(0, len(tests), size)]
    return [*batches, *((u,) for u in [*simple, *pairs])]


def duration(seconds: float) -> str:
    """Hours, minutes and seconds."""
    from tqdm import tqdm

    return tqdm.format_interval(seconds)


class Progress:
    """On stderr, a line a unit of starts, and a bar: units, by what they are; starts, how many failed, about how long it will take."""

    def __init__(self, name: str, units: Sequence[Unit], *, shown: bool) -> None:
        from tqdm import tqdm

        self.name, self.n_done, self.n_units = name, 0, len(units)
        self._bar: tqdm[Any] = tqdm(
            total=self.n_units,
            disable=not shown or not units,
            desc=name,
            bar_format="{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} RSAs and alignments, {elapsed}{postfix}",
        )
        self._starts = self._failed = self._aligned = 0
        self._lowest: dict[str, float] = {}
        self._pairs = sum(unit.what == "align" for unit in units)
        self._began, self._what = time.monotonic(), ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def add(self, units: Sequence[Unit]) -> None:
        """Units that came due."""
        self.n_units += len(units)
        self._bar.total = self.n_units
        self._pairs += len(units)

    def left(self) -> float | None:
        """About how many seconds the rest takes; None before that can be told, and when nothing is left."""
        if not 0 < self._aligned < self._pairs:
            return None
        return (time.monotonic() - self._began) * (self._pairs / self._aligned - 1)

    def say(self, what: str) -> None:
        """A line above the bar."""
        if not self._bar.disable:
            self._bar.write(what, file=self._bar.fp)

    def doing(self, what: str) -> None:
        """Say what is being done."""
        self._what = what
        self._show(refresh=True)

    def done(self, job: Job, outcome: Outcome) -> None:
        """Count what was done."""
        self._starts += outcome.starts
        self._failed += outcome.failed
        if job[0].what == "align":
            self._aligned += not outcome.busy
        elif not self._aligned:  # what comes first is short: how long the rest takes is judged by alignments
            self._began = time.monotonic()
        self.n_done += outcome.done + outcome.there
        if outcome.starts:
            before = self._lowest.get(job[0].names, math.inf)
            self._lowest[job[0].names] = min(before, outcome.lowest)
            lowest = f"lowest loss {outcome.lowest:.6g}" if math.isfinite(outcome.lowest) else "every start failed"
            lowest += f" (of the pair so far {min(before, outcome.lowest):.6g})" if math.isfinite(before) else ""
            failed = f", {outcome.failed} failed" if outcome.failed else ""
            self.say(f"{job[0]}: {lowest}, {outcome.starts} starts{failed}")
        self._show(refresh=False)
        self._bar.update(outcome.done + outcome.there)

    def _show(self, *, refresh: bool) -> None:
        failed = f" ({self._failed} failed)" if self._failed else ""
        seconds = self.left()
        left = "" if seconds is None else f", about {duration(seconds)} left"
        self._bar.set_postfix_str(f"{self._starts} starts{failed}{left}; {self._what}", refresh=refresh)
