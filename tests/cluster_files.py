"""Real processes of a cluster on this machine, for tests: a scheduler, workers, drivers."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

from study_files import shards

GWRSA = [sys.executable, "-c", "from gwrsa.cli import main; main()"]


def wait_for(condition, seconds=120):
    """Until it holds; an error if it never does."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("this did not come about")
        time.sleep(0.01)


def aligned(out):
    """Pairs that are whole."""
    return len({p.stem.rsplit("-", 1)[0] for p in (out / "plans").glob("*.npz")}) if (out / "plans").is_dir() else 0


def at_work(out):
    return len(list((out / "shards").glob(".*.claim")))


def kept(before, out):
    """Whether what was whole is untouched: shards, and the plans of those."""
    there = {p.stem for p in before if p.suffix == ".json"}
    now = shards(out)
    return all(now.get(p) == content for p, content in before.items() if p.stem.rsplit("-", 1)[0] in there)


def start(*args, **how):
    return subprocess.Popen([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how)


def ended(process, seconds=300):
    """Exit status, stdout and stderr."""
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


@contextmanager
def dask(folder, workers=2, threads=1):
    """Scheduler and workers, each a process without a nanny; yields the scheduler's file and the processes, it first."""
    file = folder / "scheduler.json"
    here = {**os.environ, "PYTHONWARNINGS": "ignore"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, "env": here}

    def module(name, *args):
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                f"distributed.cli.dask_{name}",
                "--scheduler-file",
                str(file),
                "--no-dashboard",
                *args,
            ],
            **quiet,
        )

    started = [module("scheduler", "--host", "127.0.0.1", "--port", "0")]
    try:
        wait_for(file.is_file)
        one = ("--host", "127.0.0.1", "--nthreads", str(threads), "--no-nanny", "--death-timeout", "120")
        started += [module("worker", *one, "--local-directory", str(folder)) for _ in range(workers)]
        yield file, started
    finally:
        for process in reversed(started):
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
