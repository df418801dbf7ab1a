"""The torch backend: python benches/gpu.py [--device cuda] [--only NAME ...] [--quick].

One JSON file, benches/results/gpu_DEVICE.json, written after each measurement; one that is made again takes the place of the old one.
Without a CUDA device the same code runs on the CPU, with the sizes of `--quick` unless `--full` is given: then with the objects of a card,
but fewer starts and steps, and `larger`, which needs 15 GB, only where --only names it.

model       bytes and flops of an outer step as counted, and what they would take on an H200: no measurement
agreement   loss and plan against the Rust core, human vs CLIP, in both precisions
small       the same for 464 objects of every pair, and the seconds of two of them in turn with the Rust core
paired      human vs CLIP, one start, this device and the Rust core in turn, two threads
starts      human vs CLIP, many random starts at once: 500; on a CPU 8
large       factored costs of rank 66, 20,000 objects, 150 outer steps, after 2 that are not counted; on a CPU 5
larger      the same, 40,000 objects, 20 outer steps; on a CPU 2

A share of what the device can do is left out where other work was going on before, or the measurement itself had not ended: the load of one
minute above 0.5. Measured one at a time, with some minutes between, there is none.
"""

import argparse
import json
import os
import time
from pathlib import Path
from statistics import median

# Before torch is imported: threads that wait in loops for a core that others have make seconds minutes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch

import _results
import cases
import ours
from _machine import describe
from gwrsa.backends.torch import kernels, memory
from gwrsa.solve import build_problem

EPSILON = 5e-3
# Data sheet: GB/s of memory, and Tflop/s of float32 outside the tensor cores; bytes of its cache, and multiprocessors.
H200 = {"bytes_per_s": 4.8e12, "flops": 60e12}
CACHE, PROCESSORS = 50e6, 132
ROWS = 16
"""Of a program of the fused passes."""
BUSY = 0.5
"""Load of one minute from which on other work would be part of a share."""
TOLERANCES = {"mixed": cases.TOL, "float64": 1e-9}
STEPS = {"starts": 32, "large": 150, "larger": 20}
PHASES = {
    "products": "products with the costs",
    "exponent": "exponent M + f + g",
    "kernel": "exp and first sweep",
    "sweeps": "further sweeps",
    "summary": "summary",
}


def counted(n, m, r, r2, *, sweeps, dtype_bytes=4, fused=True):
    """Flops and bytes of one outer step of one start with `sweeps` sweeps, the first among them, by phase.

    Products: summary times C2, 2 r m^2 (dense) or 4 r m r2. Exponent: a product of r + 3 columns that writes M + f + g. Kernel: exp, row
    and column sums in one pass that reads and writes it; in plain torch exp is a pass of its own and each sum reads once. Sweeps: one
    reading each, or two. Summary: 2 r n m flops and one reading. Fused passes write and read the column sums of 16 rows in float64; what a
    program reads again comes from the cache where that holds the rows of one program on each multiprocessor, and else from memory.
    """
    size = dtype_bytes * n * m
    again = dtype_bytes * m * min(n, ROWS * PROCESSORS) > CACHE
    sums = 2 * 8 / (ROWS * dtype_bytes)
    readings = 1 + again + sums if fused else 2
    return {
        "products": {
            "flops": 2 * r * m * m if r2 >= m else 4 * r * m * r2,
            "bytes": dtype_bytes * (m * m if r2 >= m else 2 * m * r2),
        },
        "exponent": {"flops": 2 * (r + 3) * n * m, "bytes": size},
        "kernel": {"flops": 12 * n * m, "bytes": size * (1 if fused else 2) + size * readings},
        "sweeps": {"flops": 4 * n * m * (sweeps - 1), "bytes": size * readings * (sweeps - 1)},
        "summary": {"flops": 2 * r * n * m, "bytes": size},
    }


def at_limit(phases, limit):
    """Seconds at the limits of a device, each phase bound by the slower of the two; and which that is."""
    out = {}
    for name, phase in phases.items():
        flops, moved = phase["flops"] / limit["flops"], phase["bytes"] / limit["bytes_per_s"]
        out[name] = {"seconds": max(flops, moved), "bound_by": "products" if flops > moved else "bandwidth"}
    return {"phases": out, "seconds": sum(phase["seconds"] for phase in out.values())}


def measured_limit(device, n=4096):
    """Float32 products and reading of memory as this device does them, best of 5."""
    a = torch.randn(n, n, device=device)
    entries = 2**28 if device.type == "cuda" else 2**25
    x = torch.ones(entries, device=device)

    def best(call):
        call()
        seconds = []
        for _ in range(5):
            _wait(device)
            began = time.perf_counter()
            call()
            _wait(device)
            seconds.append(time.perf_counter() - began)
        return min(seconds)

    torch.set_float32_matmul_precision("highest")
    return {"bytes_per_s": 4 * entries / best(x.sum), "flops": 2 * n**3 / best(lambda: a @ a)}


def _wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def share(ends, shape, ranks, seconds, limit, *, fused):
    """Share of the limit that solves of so many seconds in all have reached."""
    n, m = shape
    r, r2 = sorted(ranks)
    at = 0.0
    for end in ends:
        steps = end.n_outer
        phases = counted(n, m, r, r2, sweeps=end.n_sinkhorn / steps, fused=fused)
        at += steps * at_limit(phases, limit)["seconds"]
    return at / seconds


def sweeps_a_step(n):
    """Of the Rust core on as many objects, as benches/run.py has measured it."""
    limit = json.loads((_results.FOLDER / f"r5_{n}.json").read_text())["result"]["limit"]
    return limit["sweeps"] / limit["outer_steps"]


def table(found):
    """What `model` counts, as docs/gpu.md shows it."""
    small, large, larger = (found[name]["fused"] for name in ("starts", "large", "larger"))
    lines = [
        "| phase | bound by | 1,854: Gflop, MB | µs | 20,000: Gflop, GB | ms | 40,000: ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, title in PHASES.items():
        one, other = (x["an_outer_step_of_one_start"][name] for x in (small, large))
        limits = [x["on_an_h200"]["phases"][name] for x in (small, large, larger)]
        (bound,) = {limit["bound_by"] for limit in limits}
        at = [limit["seconds"] for limit in limits]
        columns = f"{one['flops'] / 1e9:.2f}, {one['bytes'] / 1e6:.0f} | {1e6 * at[0]:.1f}"
        columns += f" | {other['flops'] / 1e9:.1f}, {other['bytes'] / 1e9:.2f} | {1e3 * at[1]:.2f} | {1e3 * at[2]:.2f}"
        lines.append(f"| {title} | {bound} | {columns} |")
    whole = [x["on_an_h200"]["seconds"] for x in (small, large, larger)]
    lines.append(f"| in all | | | {1e6 * whole[0]:.0f} | | {1e3 * whole[1]:.1f} | {1e3 * whole[2]:.1f} |")
    return "\n".join(lines)


def whole_seconds(found, name, how="fused"):
    """Of all steps of all starts at the limit."""
    return STEPS[name] * found[name][how]["on_an_h200_all_starts_ms"] / 1e3


def model(_device, *, quick):  # noqa: ARG001
    """What is counted for the two problems, and the least time on an H200."""
    out = {}
    for name, (n, r, r2, sweeps, starts) in {
        "starts": (1854, 66, 1854, 8.1, 500),
        "large": (20_000, 66, 66, sweeps_a_step(20_000), 1),
        "larger": (40_000, 66, 66, sweeps_a_step(40_000), 1),
    }.items():
        out[name] = {"n": n, "ranks": (r, r2), "sweeps_an_outer_step": sweeps, "starts": starts}
        for how, fused in (("fused", True), ("plain", False)):
            phases = counted(n, n, r, r2, sweeps=sweeps, fused=fused)
            out[name][how] = {
                "an_outer_step_of_one_start": phases,
                "on_an_h200": at_limit(phases, H200),
                "on_an_h200_all_starts_ms": 1e3 * starts * at_limit(phases, H200)["seconds"],
            }
    return out


def agreement(device, *, quick):
    """Against the Rust core."""
    sides = cases.pair("R1", 400 if quick else None)
    rust, here = build_problem(*sides), build_problem(*sides, backend="torch", device=str(device))
    out = {"n": rust.shape[0]}
    for precision in TOLERANCES:
        out[precision] = _compared(rust, here, EPSILON, precision)
    return out


def _compared(rust, here, epsilon, precision):
    """Ends of the same start by either."""
    one, two = (
        ours.solve(p, ours.random_starts(1), [epsilon], precision=precision, tol=TOLERANCES[precision])[0][0]
        for p in (rust, here)
    )
    return {
        "loss": two.gw_loss,
        "loss_relative": abs(two.gw_loss / one.gw_loss - 1),
        "plan_l1": float(np.abs(two.plan() - one.plan()).sum()),
        "outer_steps": (one.n_outer, two.n_outer),
        "sweeps": (one.n_sinkhorn, two.n_sinkhorn),
    }


def small(device, *, quick):
    """Against the Rust core on 464 objects drawn at random: all pairs and epsilons, and the seconds of two of them in turn."""
    n = 100 if quick else 464
    out = {"n": n, "mixed": {}, "float64": {}, "ratio": {}}
    for name in (*cases.LOWEST_KNOWN, "R3"):
        sides = cases.pair(name, n)
        rust, here = build_problem(*sides), build_problem(*sides, backend="torch", device=str(device))
        for epsilon in cases.SEARCH_EPSILONS if name != "R3" else (2.0,):
            out["mixed"][f"{name}, {epsilon}"] = _compared(rust, here, epsilon, "mixed")
        out["float64"][name] = _compared(rust, here, EPSILON if name != "R3" else 2.0, "float64")
        if "CLIP" in name:
            turns = [
                [ours.solve(p, ours.random_starts(1), [EPSILON])[1] for p in (here, rust)]
                for _ in range(3 if quick else 9)
            ]
            out["ratio"][name] = median(t / r for t, r in turns)
    return out


def paired(device, *, quick):
    """Seconds of one start, in turn; the median ratio."""
    sides = cases.pair("R1", 400 if quick else None)
    problems = {
        "rust": build_problem(*sides),
        "torch": build_problem(*sides, backend="torch", device=str(device)),
    }
    seconds, ends = {name: [] for name in problems}, {}
    for repeat in range(4 if quick else 12):
        for name, problem in problems.items():
            (end,), spent = ours.solve(problem, ours.random_starts(1), [EPSILON])
            if repeat:
                seconds[name].append(spent)
            ends[name] = end
    return {
        "n": problems["rust"].shape[0],
        "seconds": {name: median(s) for name, s in seconds.items()},
        "seconds_least": {name: min(s) for name, s in seconds.items()},
        "ratio": median(t / r for t, r in zip(seconds["torch"], seconds["rust"], strict=True)),
        "phases": {name: dict(end.phases) for name, end in ends.items()},
        "losses": {name: end.gw_loss for name, end in ends.items()},
        "steps_and_sweeps": {name: (end.n_outer, end.n_sinkhorn) for name, end in ends.items()},
    }


def starts(device, *, quick):
    """Many starts of human vs CLIP."""
    load = os.getloadavg()[0]
    sides = cases.pair("R1", 400 if quick else None)
    n_starts = 6 if quick else 500 if device.type == "cuda" else 8
    problem = build_problem(*sides, backend="torch", device=str(device))
    if device.type == "cuda":
        ours.solve(problem, ours.random_starts(4), [EPSILON] * 4)
    ends, seconds = ours.solve(problem, ours.random_starts(n_starts), [EPSILON] * n_starts)
    return _solved(problem, ends, seconds, device, load) | {
        "starts": n_starts,
        "batch": min(n_starts, memory.batch_size(problem.operator(torch.float32), 0)),
        "starts_a_second": n_starts / seconds,
    }


def large(device, *, quick):
    """A large problem of low rank."""
    return _large(device, 2000 if quick else 20_000, 10 if quick else 150 if device.type == "cuda" else 5)


def larger(device, *, quick):
    """A larger one."""
    return _large(device, 3000 if quick else 40_000, 5 if quick else 20 if device.type == "cuda" else 2)


def _large(device, n, steps):
    load = os.getloadavg()[0]
    began = time.perf_counter()
    problem = build_problem(*cases.simulated(n), backend="torch", device=str(device))
    epsilon = 0.1 * problem.critical_epsilon()
    built = time.perf_counter() - began
    operator = problem.operator(torch.float32)
    start = [("spectral", 0, 0)], [epsilon]
    if device.type == "cuda":
        # What torch and Triton load and compile is not part of it.
        ours.solve(problem, *start, tol=1e-12, max_outer=2)
    before = _forget_peak(device)
    ends, seconds = ours.solve(problem, *start, tol=1e-12, max_outer=steps)
    return {
        "n": n,
        "outer_steps": ends[0].n_outer,
        "seconds_to_build": built,
        "counted_gb": {
            "start": memory.start_bytes(operator) / 1e9,
            "evaluation": memory.evaluation_bytes(operator) / 1e9,
        },
        "peak_gb": (_peak(device) - before) / 1e9,
        **_solved(problem, ends, seconds, device, load),
    }


def _forget_peak(device):
    """Bytes in use now; the highest so far is forgotten."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    Path("/proc/self/clear_refs").write_text("5")
    return _peak(device)


def _peak(device):
    """Most bytes in use since `_forget_peak`: of the card, or resident of this process (Linux)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


def _solved(problem, ends, seconds, device, load):
    loop = sum(s for end in ends for name, s in end.phases if name not in {"start", "evaluation"})
    losses = [end.gw_loss for end in ends]
    out = {
        "seconds": seconds,
        "phases": {name: sum(dict(end.phases)[name] for end in ends) for name in ours.PHASES},
        "sweeps": sum(end.n_sinkhorn for end in ends),
        "steps": sum(end.n_outer for end in ends),
        "status": {s: [end.status for end in ends].count(s) for s in sorted({end.status for end in ends})},
        "loss_lowest_median": (min(losses), median(losses)),
    }
    return out | _shares(problem, ends, seconds, loop, device, load)


def _shares(problem, ends, seconds, loop, device, load):
    """Of what the device can do; refused where `load`, of the minute before, says that it was not alone."""
    if load > BUSY:
        return {"share_left_out": f"the load before was {load:.2f}, above {BUSY}"}
    limit = measured_limit(device)
    fused = kernels.chosen(device) is not kernels
    out = {
        "measured_limit": limit,
        "fused": fused,
        "share_of_measured_limit": share(ends, problem.shape, problem.ranks, loop, limit, fused=fused),
        "share_with_start_and_evaluation": share(ends, problem.shape, problem.ranks, seconds, limit, fused=fused),
    }
    if device.type == "cuda" and "H200" in torch.cuda.get_device_name(device):
        out["share_of_data_sheet"] = share(ends, problem.shape, problem.ranks, loop, H200, fused=fused)
    return out


MEASUREMENTS = {f.__name__: f for f in (model, agreement, small, paired, starts, large, larger)}


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--only", nargs="*", choices=MEASUREMENTS, help="by default all")
    parser.add_argument("--quick", action="store_true", help="small sizes: a test of the bench (on a CPU the default)")
    parser.add_argument("--full", action="store_true", help="the sizes of a card also on a CPU")
    args = parser.parse_args()
    device = torch.device(args.device)
    quick = args.quick or (device.type == "cpu" and not args.full)
    name = f"gpu_{device.type}" + ("_quick" if quick else "")
    path = _results.FOLDER / f"{name}.json"
    found = json.loads(path.read_text())["result"] if path.exists() else {}
    found["device"] = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    for only in args.only or [m for m in MEASUREMENTS if m != "larger" or quick or device.type == "cuda"]:
        began = time.perf_counter()
        load = round(os.getloadavg()[0], 2)
        # Parts of the file may be of different days and machines.
        where = {"processor": describe()["processor"], "measured_at": time.strftime("%Y-%m-%d"), "load_before": load}
        found[only] = where | MEASUREMENTS[only](device, quick=quick)
        _results.save(name, found)
        print(f"{only}: {time.perf_counter() - began:.1f} s", flush=True)
        print(json.dumps(found[only], indent=1))


if __name__ == "__main__":
    main()
