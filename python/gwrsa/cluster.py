"""A study on a Dask cluster: the driver hands out units, workers read and write the shared folder and send back numbers only."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import platform
import signal
import socket
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING
from uuid import uuid4

from gwrsa._core import __version__
from gwrsa.backends import chosen
from gwrsa.sides import load_side
from gwrsa.store import CATEGORIES, read_categories
from gwrsa.study_compute import Execute, Job, Outcome, Progress, attempt, cores, jobs, one_blas_thread
from gwrsa.study_plan import Entry, Unit, batches, runs
from gwrsa.study_settings import Settings
from gwrsa.study_work import Work

if TYPE_CHECKING:
    from distributed import Client, Future

_LOOK = 1.0
"""Seconds after which the driver looks for workers that have joined."""
_CONNECT = "30s"
_MOST_LOST = 3
"""How often a job may be lost with all workers, as often as Dask itself lets one be lost with some."""
# malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

# Workers are threads of one process in some clusters: each has a turn of its own.
_turns: defaultdict[str, Lock] = defaultdict(Lock)


@dataclass(frozen=True)
class Common:
    """What all jobs of a study share: where it is, and what of it their keys depend on."""

    folder: str
    settings: Settings
    human: Entry
    categories: str | None
    """Digest."""


@dataclass(frozen=True)
class Sent:
    """A unit on its way to a worker, with the key that the driver expects its result under."""

    unit: Unit
    key: str


def connect(scheduler: str) -> Client:
    """A client of a running scheduler.

    Parameters
    ----------
    scheduler : str
        Its address, such as "tcp://10.0.0.1:8786", or the file that it wrote (`dask scheduler --scheduler-file`).

    Raises
    ------
    ValueError
        If nobody answers.
    ImportError
        If distributed is missing.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ImportError("a Dask cluster needs distributed; install gwrsa[dask]") from error
    try:
        at = _address_in(Path(scheduler)) if Path(scheduler).is_file() else scheduler
        return Client(at, timeout=_CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"scheduler must be the address or the file of a running scheduler, got {scheduler!r}: {error}"
        ) from error


def _address_in(file: Path) -> str:
    """Of a scheduler, in the file that it wrote."""
    told = json.loads(file.read_text(encoding="utf-8"))
    address = told.get("address") if isinstance(told, dict) else None
    if not isinstance(address, str):
        raise ValueError("no address in it")
    return address


def shares(settings: Settings, workers: int) -> tuple[int, int]:
    """Processes on this machine, and threads of each, that make so many workers; one process where several gain nothing.

    A batch of starts of a replicate keeps one process at work, so there are no more than batches, nor than cores. Torch has threads of its
    own, and its results depend on how many: it stays in one process. So does all where distributed is missing.
    """
    solver = chosen(settings.alignment.backend, settings.alignment.device)
    if solver == "torch" or find_spec("distributed") is None:
        return 1, workers
    processes = max(1, min(workers, cores(), len(runs(settings)) * len(batches(settings))))
    return processes, workers // processes


@contextmanager
def local(processes: int, threads: int) -> Iterator[Client]:
    """A client of worker processes of this machine, with so many threads each. They end with this process, whatever ends it."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=processes,
            threads_per_worker=threads,
            processes=True,
            memory_limit=None,  # nothing is kept for Dask, so nothing could be let go
            dashboard_address="127.0.0.1:0",
            # A worker whose heart beats while all end would print a traceback; what goes wrong with tasks is told by their futures.
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.run(_leave_interrupts)
        yield client


def _leave_interrupts() -> None:
    """Ctrl-C reaches every process of a terminal; the driver ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def on_client(work: Work, client: Client) -> Execute:
    """On the workers of a client: one job at a time each, on its own number of threads.

    A job whose worker dies is done again by another. Workers may join and leave.
    """
    if getattr(client, "asynchronous", False):
        raise ValueError("client must not be asynchronous, got one that is")
    from gwrsa.cluster_page import page_of

    page, tell = page_of(client)

    def execute(units: Sequence[Unit], shown: Progress) -> Iterator[tuple[Job, Outcome]]:
        if page is not None and not shown.n_done:
            shown.say(f"progress, pair by pair: {page}")
        dispatcher = _Dispatcher(work, client, shown)
        try:
            for job, outcome in dispatcher.run(units):
                yield job, outcome
                tell(shown, job, outcome)
        finally:
            dispatcher.cancel()

    return execute


class _Dispatcher:
    """Hands out jobs, and knows which worker is at which."""

    def __init__(self, work: Work, client: Client, shown: Progress) -> None:
        self.work, self.client, self.shown = work, client, shown
        self.common = Common(
            str(work.folder.resolve()), replace(work.settings, models=()), _bare(work.human), work.categories_digest
        )
        self.flying: list[tuple[Future, Job, str]] = []
        self.landed = Event()
        self.lost: Counter[str] = Counter()

    def run(self, units: Sequence[Unit]) -> Iterator[tuple[Job, Outcome]]:
        """Each job when it is done; how many there are depends on the workers that are there when the first joins."""
        left: deque[Job] | None = None
        # Noise takes longest: begun last, it would keep one worker at work alone.
        noise = {model.name for model in self.work.settings.models if model.noise}
        units = sorted(units, key=lambda unit: unit.target.name not in noise)
        workers = self.client.nthreads()
        while left is None or left or self.flying:
            if left is None and workers:
                left = deque(jobs(units, len(workers)))
            busy = {address for _, _, address in self.flying}
            for address in workers:
                if left and address not in busy:
                    self._submit(left.popleft(), address)
            self._say(workers, begun=left is not None)
            self.landed.wait(_LOOK)
            self.landed.clear()
            # Before the scheduler is asked: that it is gone, the futures know at once.
            ended = {future.key: (job, _outcome(future, job)) for future, job, _ in self.flying if future.done()}
            workers = self.client.nthreads()
            self._say_who_left(workers)
            self.flying = [one for one in self.flying if one[0].key not in ended]
            yield from ended.values()
            if left is not None and workers:
                left.extendleft(self._stranded())

    def _stranded(self) -> list[Job]:
        """Jobs of workers that are gone which no other has: where none was left, the scheduler keeps them from those that join later."""
        gone = [one for one in self.flying if not one[2] and not one[0].done()]
        if not gone:
            return []
        taken = {str(key) for keys in self.client.processing().values() for key in keys}
        found = [one for one in gone if one[0].key not in taken and not one[0].done()]
        for future, job, _ in found:
            key = self.work.key(job[0])
            self.lost[key] += 1
            if self.lost[key] > _MOST_LOST:
                raise ChildProcessError(_given_up(job))
            self.client.cancel([future])
        self.flying = [one for one in self.flying if one not in found]
        return [job for _, job, _ in found]

    def cancel(self) -> None:
        """Let go of what is not done."""
        if self.flying:
            self.client.cancel([future for future, _, _ in self.flying])

    def _submit(self, job: Job, address: str) -> None:
        sent = tuple(Sent(replace(u, source=_bare(u.source), target=_bare(u.target)), self.work.key(u)) for u in job)
        # Dask groups what it shows by what is before the first dash: by pairs, all batches and rounds of one together.
        group = job[0].names if job[0].what == "align" else job[0].what
        name = group.replace("-", "\N{NON-BREAKING HYPHEN}") + f"-{uuid4()}"
        future = self.client.submit(
            do, self.common, sent, key=name, workers=[address], allow_other_workers=True, pure=False
        )
        future.add_done_callback(lambda _: self.landed.set())
        self.flying.append((future, job, address))

    def _say(self, workers: Collection[str], *, begun: bool) -> None:
        if workers:
            self.shown.doing(f"{len(self.flying)} at work on {len(workers)} workers")
        else:
            self.shown.doing("no worker is left; one has to join" if begun else "no worker has joined yet")

    def _say_who_left(self, workers: Collection[str]) -> None:
        for i, (future, job, address) in enumerate(self.flying):
            if address and address not in workers:
                self.shown.say(
                    f"worker {address} is gone: {job[0]}, which it was at, is done again by another where it was not ready"
                )
                self.flying[i] = future, job, ""


def _outcome(future: Future, job: Job) -> Outcome:
    """What became of a job; an error of a worker is raised here, with the job that it was at."""
    if future.status in {"cancelled", "lost"}:
        raise ConnectionError("the scheduler is gone, or let go of its work; what is on disk stays: run again")
    error = future.exception()
    if error is None:
        found: Outcome = future.result()
        return found
    if type(error).__name__ == "KilledWorker":
        raise ChildProcessError(f"{_given_up(job)}: {error}")
    raise error


def _given_up(job: Job) -> str:
    return f"{job[0]} was given up, for every worker that began it died (is there memory enough?)"


def _bare(entry: Entry) -> Entry:
    """Without what no result depends on."""
    return replace(entry, meta=None)


# ---- on the worker


def do(common: Common, sent: tuple[Sent, ...]) -> Outcome:
    """Do a job on a worker of the cluster."""
    from distributed import get_worker

    keep_memory()
    worker = get_worker()
    threads = int(worker.state.nthreads)
    # One at a time: what a worker with several threads could do at once shares these threads.
    with _turns[worker.address], one_blas_thread():
        return do_sent(common, sent, threads, worker.address)


@lru_cache(maxsize=1)
def keep_memory() -> None:
    """Undo what Dask's nannies set for glibc (MALLOC_TRIM_THRESHOLD_), with which every large array is asked of the system anew.

    The thresholds are those that glibc itself comes to where nothing is set.
    """
    if platform.libc_ver()[0] != "glibc" or "MALLOC_TRIM_THRESHOLD_" not in os.environ:
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_M_MMAP_THRESHOLD, 32 << 20)
    mallopt(_M_TRIM_THRESHOLD, 64 << 20)


def do_sent(common: Common, sent: tuple[Sent, ...], threads: int, address: str = "this process") -> Outcome:
    """Check that this process sees what the driver sees, and do a job."""
    if not (Path(common.folder) / "provenance.json").is_file():
        raise ValueError(
            f"out must be a folder that every worker sees, got {common.folder!r}, which {address} on "
            f"{socket.gethostname()} does not"
        )
    work = _opened(common)
    for one in sent:
        if work.key(one.unit) != one.key:
            raise ValueError(
                f"workers must run what the driver runs, but {one.unit} is another unit on {address} "
                f"on {socket.gethostname()}, with gwrsa {__version__}"
            )
    return attempt(work, tuple(one.unit for one in sent), threads)


@lru_cache(maxsize=2)
def _opened(common: Common) -> Work:
    """The study, its human side and categories read once a worker."""
    folder = Path(common.folder)
    categories = None
    if common.categories is not None:
        if not (folder / CATEGORIES).is_file():
            raise ValueError(f"out must hold {CATEGORIES}, got {common.folder!r}, where it is missing")
        side = load_side(folder / "sides" / f"{common.human.side}.npz", common.human.name)
        categories = read_categories(folder, side.items)
    return Work(folder, common.settings, common.human, (), categories)
