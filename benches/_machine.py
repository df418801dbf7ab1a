"""What a result was measured on, and where results go."""

import json
import os
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results"


def describe(threads=2):
    """Processor, versions, and what the machine gives at most: float32 matrix products and memory bandwidth, measured now."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(threads):
        n = 2000
        a = np.random.default_rng(0).standard_normal((n, n), dtype=np.float32)
        gflops = max(2 * n**3 / _seconds(lambda: a @ a) / 1e9 for _ in range(5))
        b = np.zeros(40_000_000)
        c = np.ones_like(b)
        bandwidth = max(2 * b.nbytes / _seconds(lambda: np.copyto(b, c)) / 1e9 for _ in range(5))
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "platform": platform.platform(terse=True),
        "versions": {name: version(name) for name in ("gwrsa", "numpy", "scipy", "POT")}
        | {"python": platform.python_version()},
        "sgemm_gflops": round(gflops, 1),
        "copy_gb_per_s_one_thread": round(bandwidth, 1),
    }


def save(name, result):
    """Write a result as JSON; returns its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    return path


def _seconds(call):
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _processor():
    try:
        out = subprocess.run(["lscpu"], capture_output=True, text=True, check=True).stdout  # noqa: S607
    except (OSError, subprocess.CalledProcessError):
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in out.splitlines() if line.startswith("Model name")), "unknown"
    )
