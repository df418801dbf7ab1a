"""What a result was measured on, and what that machine gives at most."""

import os
import platform
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

PACKAGES = ("gwrsa", "numpy", "scipy", "POT", "ott-jax", "jax", "torch")


def describe():
    """Processor and versions; a peer that is not installed has none."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "last_level_cache_mib": last_level_cache() / 2**20,
        "platform": platform.platform(terse=True),
        "versions": {name: _version(name) for name in PACKAGES} | {"python": platform.python_version()},
    }


def peak(threads, n_entries=1854 * 1854, repeats=8):
    """Float32 matrix products (Gflop/s, the better of numpy and torch), and reading of float32 arrays of `n_entries` in all (GB/s).

    The best of `repeats`.
    """
    from threadpoolctl import threadpool_limits

    n = 2000
    a = np.random.default_rng(0).standard_normal((n, n), dtype=np.float32)
    with threadpool_limits(threads):
        gflops = max(2 * n**3 / _seconds(lambda: a @ a) / 1e9 for _ in range(repeats))
    try:
        import torch
    except ImportError:
        pass
    else:
        torch.set_num_threads(threads)
        b = torch.from_numpy(a)
        gflops = max(gflops, *(2 * n**3 / _seconds(lambda: b @ b) / 1e9 for _ in range(repeats)))
    parts = [np.ones(n_entries // threads, dtype=np.float32) for _ in range(threads)]
    loops = max(2, min(10_000, 2**28 // n_entries))

    def read(part):
        for _ in range(loops):
            np.dot(part, part)

    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        list(pool.map(read, parts))
        seconds = min(_seconds(lambda: list(pool.map(read, parts))) for _ in range(repeats))
    return {
        "threads": threads,
        "gflops": round(gflops, 1),
        "gb_per_s": round(loops * sum(p.nbytes for p in parts) / seconds / 1e9, 3),
    }


def last_level_cache():
    """Bytes, as Linux says; 0 where it does not. A virtual machine may share it with others."""
    found = 0
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        with suppress(OSError, ValueError):
            found = max(found, int(path.read_text().strip().removesuffix("K")) * 1024)
    return found


def _seconds(call):
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor():
    try:
        out = subprocess.run(["lscpu"], capture_output=True, text=True, check=True).stdout  # noqa: S607
    except (OSError, subprocess.CalledProcessError):
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in out.splitlines() if line.startswith("Model name")), "unknown"
    )
