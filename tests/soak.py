"""Do bits, memory, threads and open files stay the same over hours of solves, cancels, errors, threads and forks?

make soak                                     half an hour; exit status 1 where something grew or differed
.venv/bin/python tests/soak.py --minutes 5
"""

import argparse
import contextlib
import gc
import os
import signal
import statistics
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import gwrsa
from problems import distances, points, weights

# What resident memory may grow by from one fifth of the run to the last: allocators keep pages of their own.
_GROWTH = 0.03
_SLACK = 8 << 20
_CALLERS = 8
# A call has to stop this long after Ctrl-C, in seconds of the clock, on a machine that others use too.
_STOPPED = 5.0


@dataclass(frozen=True)
class Sample:
    """The process after a round."""

    seconds: float
    resident: int
    threads: int
    files: int
    interrupt: float
    """Seconds from Ctrl-C to the end of the call."""


def tasks():
    """Name and call of every kind of work; each gives the same bits whenever it is called."""
    c1, c2, w = distances(90, seed=1), distances(80, seed=2), weights(90, seed=3, zeros=4)
    a, b = (gwrsa.Embedding(points(120, seed=s), [str(i) for i in range(120)]) for s in (4, 5))
    cost = np.random.default_rng(6).standard_normal((150, 130))
    how = {"n_starts": 3, "max_outer": 60, "progress": False}

    def solve(precision, init):
        found = gwrsa.entropic_gw(c1, c2, w, epsilon=0.05, precision=precision, init=init, max_outer=60)
        return [found.plan, *found.potentials, found.top(5), found.gw_loss]

    def aligned(**more):
        found = gwrsa.align(a, b, **how, **more)
        return [found.table.drop(columns="seconds").to_csv(), found.lowest_loss.plan]

    return {
        "mixed": lambda: solve("mixed", "random"),
        "float64": lambda: solve("float64", "cocluster"),
        "sinkhorn": lambda: [gwrsa.sinkhorn(cost, epsilon=0.05).plan],
        "align": lambda: aligned(n_kicks=2),
        "polish": lambda: aligned(search="multistart", polish="permutation"),
        "rsa": lambda: [gwrsa.rsa(a, b, method) for method in ("corr", "spearman", "kendall")],
        "choice": lambda: [gwrsa.choice_similarity(a)],
    }


def bits(found):
    """What a task returned, to be compared with `==`."""
    return [x.tobytes() if isinstance(x, np.ndarray) else repr(x) for x in found]


def from_threads(work, wanted):
    """Every task from many Python threads at once; the names of those whose bits differ from the lone run's."""
    names = list(work) * 2
    with ThreadPoolExecutor(_CALLERS) as callers:
        found = list(callers.map(lambda name: bits(work[name]()), names))
    return sorted({name for name, seen in zip(names, found, strict=True) if seen != wanted[name]})


def after_fork(work, wanted, names):
    """Tasks in a forked child; the names of those whose bits differ, or that killed it."""
    wrong = []
    for name in names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, which is what is tested
            child = os.fork()
        if child == 0:
            code = 1
            with contextlib.suppress(BaseException):
                code = int(bits(work[name]()) != wanted[name])
            os._exit(code)
        if os.waitpid(child, 0)[1] != 0:
            wrong.append(f"{name} after fork")
    return wrong


def interrupted():
    """Seconds from Ctrl-C to the end of a solve that would take minutes."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        raise AssertionError("SIGINT is ignored, as in background jobs of a plain shell: nothing could end the solve")
    c = distances(400, seed=7)
    sent = []

    def press():
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.1, press)
    try:
        timer.start()  # on a busy machine it can be over before this returns
        gwrsa.entropic_gw(c, c, epsilon=1e-3, tol=1e-300, max_outer=10**6, precision="float64")
    except KeyboardInterrupt:
        return time.monotonic() - sent[0]
    finally:
        timer.join()
    raise AssertionError("the solve ended before it could be interrupted")


def refused():
    """Calls that end in an error, whose arrays must be let go too."""
    for call in (
        lambda: gwrsa.entropic_gw(np.full((200, 200), np.nan), np.eye(3), epsilon=1.0),
        lambda: gwrsa.entropic_gw(np.zeros((200, 200)), np.eye(3), epsilon=1.0, init=np.ones((200, 3))),
        lambda: gwrsa.RDM(np.ones((200, 200))),
    ):
        try:
            call()
        except ValueError:
            continue
        raise AssertionError("what is invalid was not refused")


def sample(began, interrupt):
    """The process as it is now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return Sample(
        time.monotonic() - began,
        pages * os.sysconf("SC_PAGE_SIZE"),
        len(list(Path("/proc/self/task").iterdir())),
        len(list(Path("/proc/self/fd").iterdir())),
        interrupt,
    )


def judge(samples):
    """What grew, in words; nothing where all stayed flat. The first fifth is warming up."""
    fifth = max(len(samples) // 5, 1)
    early, late = samples[fifth : 2 * fifth] or samples[:1], samples[-fifth:]
    before, after = (statistics.median(s.resident for s in part) for part in (early, late))
    said = []
    if after - before > max(_SLACK, _GROWTH * before):
        said.append(f"resident memory grew from {before / 2**20:.1f} to {after / 2**20:.1f} MiB")
    for name in ("threads", "files"):
        low, high = (getattr(s, name) for s in (early[0], late[-1]))
        if high > low:
            said.append(f"open {name} grew from {low} to {high}")
    slowest = max(s.interrupt for s in samples)
    if slowest > _STOPPED:
        said.append(f"a call went on for {slowest:.1f} s after it was interrupted")
    return said


def run(minutes=None, rounds=None, *, log=print):
    """Rounds of everything until the time is over; (samples, what differed)."""
    work = tasks()
    wanted = {name: bits(call()) for name, call in work.items()}
    began, samples, wrong, told = time.monotonic(), [], [], 0.0
    while len(samples) < (rounds or 10**9) and (minutes is None or time.monotonic() - began < 60 * minutes):
        wrong += [name for name, call in work.items() if bits(call()) != wanted[name]]
        wrong += from_threads(work, wanted)
        wrong += after_fork(work, wanted, list(work)[len(samples) % 2 :: 2])
        refused()
        samples.append(sample(began, interrupted()))
        if samples[-1].seconds - told >= 60:
            told = samples[-1].seconds
            now = samples[-1]
            size = f"{now.resident / 2**20:.1f} MiB resident"
            log(f"{told:7.0f} s  {size}  {now.threads} threads  {now.files} files  {now.interrupt:.2f} s to stop")
    return samples, wrong


def main():
    """Run, say the figures, and judge them."""
    # A job in the background of a shell ignores it, and no solve here would ever be interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=30.0)
    samples, wrong = run(options.parse_args().minutes, log=lambda line: print(line, flush=True))  # noqa: T201
    said = judge(samples) + [f"other bits than alone: {name}" for name in sorted(set(wrong))]
    resident = [s.resident / 2**20 for s in samples]
    print(  # noqa: T201
        f"{len(samples)} rounds in {samples[-1].seconds:.0f} s; resident {resident[0]:.1f} MiB after the first, "
        f"{min(resident):.1f} to {max(resident):.1f}, {resident[-1]:.1f} at the end; "
        f"{samples[-1].threads} threads, {samples[-1].files} files; slowest stop {max(s.interrupt for s in samples):.2f} s"
    )
    print("\n".join(said) or "flat: the same bits, memory, threads and files")  # noqa: T201
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
