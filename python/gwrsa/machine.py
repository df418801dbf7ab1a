"""What there is: processor, threads, memory, BLAS, GPU, packages. Nothing here is measured, and no CUDA context is made."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path, PurePosixPath

import numpy as np

GIVES = {
    "plot": "figures",
    "study": "studies with report, figures and tables",
    "h5": "HDF5, and .mat of version 7.3",
    "rsatoolbox": "RDMs to and from rsatoolbox",
    "dask": "studies on a Dask cluster",
    "slurm": "that cluster as jobs of Slurm",
    "torch": "the torch backend, for GPUs",
    "extract": "networks: images and texts to embeddings",
}
"""What the extras are for; those of developers are left out."""
_CORE = ("numpy", "scipy", "pandas", "tqdm", "typer")


def python() -> str:
    """Version of Python and what it runs on."""
    libc = " ".join(platform.libc_ver()).strip()
    system = f"{platform.system()} {platform.machine()}" + (f", {libc}" if libc else "")
    return f"Python {platform.python_version()}, {system}"


def processor() -> str:
    """The processor's name, as the system says it."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    if found:
        return found[1]
    if sys.platform == "darwin":
        return _said("/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string") or platform.machine()
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Cores that this process may use: those it is bound to, or fewer where a container or a job has a share of them."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Of a share of 2.5 cores two, as Rust's own count has it: with a third thread all would be stopped in turn.
    return max(1, min([bound, *(int(share) for share in _shares())]))


_TOPOLOGY = Path("/sys/devices/system/cpu")


def physical_cores() -> int:
    """Of the usable cores those that are no second thread of another; all of them where the system does not say (Linux does)."""
    usable = usable_cores()
    if not hasattr(os, "sched_getaffinity"):
        return usable
    # The threads of a core name the same threads, themselves included.
    files = (_TOPOLOGY / f"cpu{cpu}" / "topology" / "thread_siblings_list" for cpu in os.sched_getaffinity(0))
    try:
        return min(usable, len({file.read_text(encoding="utf-8").strip() for file in files}))
    except OSError:
        return usable


_OWN_GROUPS, _GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def _shares() -> Iterator[float]:
    """How many cores' time this process's control group (Linux) may take, and each group above it; nothing where there is no limit."""
    try:
        lines = _OWN_GROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for _, controllers, name in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if controllers and "cpu" not in controllers.split(","):
            continue
        # Version 2 has one tree, version 1 one for each controller, or for several.
        roots = [_GROUPS / place for place in (("cpu", controllers) if controllers else ("", "unified"))]
        files = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if controllers else ("cpu.max",)
        group = PurePosixPath(name.lstrip("/"))
        # To the root of the tree, which in a container may be its own group, whose name here is then not to be found.
        for folder in (root / above for root in roots for above in (group, *group.parents)):
            with suppress(OSError, ValueError):  # no such file, or "max"
                quota, period = (int(n) for file in files for n in (folder / file).read_text(encoding="utf-8").split())
                if quota > 0 and period > 0:
                    yield quota / period


def load() -> float | None:
    """Mean number of runnable processes over the last minute; None where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def memory() -> tuple[float, float] | None:
    """GiB in all and available; None where the system does not say (Linux does)."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines) if rest.split()}
    return (kib["MemTotal"] / 2**20, kib["MemAvailable"] / 2**20) if "MemAvailable" in kib else None


def blas() -> str:
    """Numpy's BLAS and its threads, which threadpoolctl tells."""
    try:
        known = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        name = f"{known['name']} {known['version']}"
    except (KeyError, TypeError):
        name = "not known"
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        named = [f"{name}={os.environ[name]}" for name in _THREADS if name in os.environ]
        return f"{name}, {', '.join(named) or 'threads: its default'} (threadpoolctl, not installed, would tell)"
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas" and "numpy" in pool["filepath"]]
    threads = pools[0]["num_threads"] if pools else "its own"
    return f"{name}, {threads} threads"


_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def gpus() -> list[str]:
    """GPUs as NVIDIA's driver lists them: name, memory, driver. CUDA is not called."""
    said = _said("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
    return said.splitlines() if said else []


def torch() -> tuple[str | None, bool]:
    """What is to be said of torch, None without it, and whether it sees a CUDA device; it is asked only where there is a GPU."""
    version = installed("torch")
    if version is None:
        return None, False
    if not gpus():
        return f"torch {version}", False
    # Asked of the driver's library, not by making a context.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    import torch as module

    return f"torch {version}, CUDA {module.version.cuda or 'not built in'}", bool(module.cuda.is_available())


def core_packages() -> str:
    """Versions of what the core needs."""
    return ", ".join(f"{name} {installed(name) or 'missing'}" for name in _CORE)


def extras() -> Iterator[tuple[str, list[str], list[str]]]:
    """Each extra that users want: its name, packages that are there, with their versions, and packages that are not."""
    try:
        wanted = metadata.requires("gwrsa") or []
    except metadata.PackageNotFoundError:
        return
    for extra in GIVES:
        marked = re.compile(rf"extra\s*==\s*['\"]{extra}['\"]")
        names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in wanted if marked.search(line)]
        there = [f"{name} {installed(name)}" for name in names if installed(name)]
        yield extra, there, [name for name in names if not installed(name)]


def installed(name: str) -> str | None:
    """Version of a package; None where there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
