"""`gwrsa doctor`: what is installed, whether it gives the right answer, and whether this machine is as fast as its parts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gwrsa import _core, machine
from gwrsa.embedding import Embedding
from gwrsa.solution import GWSolution
from gwrsa.solve import entropic_gw

Verdict = Literal["", "ok", "look", "wrong"]

N_OBJECTS, N_DIMS = 1854, 40
"""Of the speed check: the size of THINGS, and a rank like that of a human embedding."""
PLANTED = 300
REPEATS = 12
_STEPS = 20
# What a part has to reach of what it is compared with. A quiet machine reaches 0.8 or more; half says that something is in the way.
ENOUGH = 0.5
# Past so many cores a product of this size, and the memory's bandwidth, keep threads from being so many times as fast as one.
MOST_CORES = 8


@dataclass(frozen=True)
class Line:
    """A line of the report."""

    what: str
    said: str
    verdict: Verdict = ""
    advice: str = ""
    """What to do about it; said at the end."""


def run(say: Callable[[str], object] = print, *, speed: bool = True) -> bool:
    """Say what is there, test it, measure it; False where an answer is wrong.

    Parameters
    ----------
    say : callable
        Takes a line of text.
    speed : bool
        Measure too; False: versions and the self-test only.
    """
    lines: list[Line] = []

    def section(title: str, found: list[Line]) -> None:
        say(f"\n{title}" if title else "")
        for line in found:
            say(f"  {line.what:<14}{line.said}{f'   [{line.verdict}]' if line.verdict else ''}")
        lines.extend(found)

    say(f"gwrsa {_core.__version__}, {machine.python()}")
    say(machine.core_packages())
    section("Machine", what_is_there())
    section("Extras", what_is_extra())
    section("Self-test", [planted(), agreement()])
    if speed:
        section("Speed (float32)", how_fast())
    advice = [f"  {line.what.strip()}: {line.advice}" for line in lines if line.advice]
    wrong = any(line.verdict == "wrong" for line in lines)
    slow = any(line.verdict == "look" for line in lines)
    say("")
    if wrong:
        say("Something gives a WRONG answer: please report all of the above.")
    elif slow:
        say("Answers are right. This machine does not do all that it should:")
    else:
        say("This machine does what it should." if speed else "Answers are right.")
    for line in advice:
        say(line)
    return not wrong


def what_is_there() -> list[Line]:
    """Processor, instructions, threads, memory, GPU."""
    cores, all_cores, load = machine.usable_cores(), os.cpu_count() or 1, machine.load()
    physical = machine.physical_cores()
    shared = f" of {all_cores}" if all_cores != cores else ""
    threads = f", {physical} physical" if physical != cores else ""
    busy = load is not None and load > all_cores + 1
    lines = [
        Line("processor", machine.processor()),
        Line("instructions", f"{_core.simd} (here: {', '.join(_core.simd_available)}; GWRSA_SIMD forces one)"),
        Line(
            "cores",
            f"{cores}{shared}{threads}" + ("" if load is None else f", load {load:.1f}"),
            "look" if busy else "",
            f"{load:.0f} processes want {all_cores} cores; measure again when it is quiet" if busy else "",
        ),
        Line("BLAS", f"numpy's: {machine.blas()}; solves do not use it"),
    ]
    known = machine.memory()
    if known is not None:
        lines.append(Line("memory", f"{known[0]:.1f} GiB, {known[1]:.1f} available"))
    gpus = machine.gpus()
    said, usable = machine.torch()
    device = "; ".join(gpus) if gpus else "none"
    text = f"{device} ({said or 'torch is not installed'}{', usable' if usable else ''})"
    blocked = bool(gpus) and not usable
    advice = "there is one, and torch cannot use it: install a torch built for this driver, pip install 'gwrsa[torch]'"
    return [*lines, Line("GPU", text, "look" if blocked else "", advice if blocked else "")]


def what_is_extra() -> list[Line]:
    """Extras that are there, and what those that are not would give."""
    lines = []
    for extra, there, missing in machine.extras():
        gives = machine.GIVES[extra]
        needs = f"missing {', '.join(missing)}: {gives}; pip install 'gwrsa[{extra}]'"
        lines.append(Line(extra, needs if missing else f"{', '.join(there)}: {gives}"))
    return lines


def planted(n: int = PLANTED) -> Line:
    """Objects turned into other axes and shuffled are found again, each of them."""
    rng = np.random.default_rng(0)
    values = rng.exponential(size=(n, 8)) * 0.8 ** np.arange(8)
    order = rng.permutation(n)
    turned = values @ np.linalg.qr(rng.standard_normal((8, 8)))[0]
    from gwrsa.aligning import align

    began = time.perf_counter()
    found = align(
        Embedding(values, name="planted"),
        Embedding(turned[order], name="turned"),
        metric="sqeuclidean",
        n_starts=4,
        epsilon=0.02,
        progress=False,
    ).lowest_loss
    seconds = time.perf_counter() - began
    right = float(np.mean(order[found.top[:, 0]] == np.arange(n)))
    text = f"{right:.1%} of {n} shuffled objects found again, in {seconds:.1f} s"
    return Line("answer", text, "ok" if right == 1 else "wrong")


def agreement(n: int = 200) -> Line:
    """Single precision, with the chosen instructions, ends where float64 does."""
    rng = np.random.default_rng(1)
    sides = [Embedding(rng.standard_normal((n, 6)) * 0.7 ** np.arange(6)) for _ in range(2)]
    settings = {"epsilon": 0.5, "init": "spectral", "metric": "sqeuclidean"}
    mixed, exact = (entropic_gw(*sides, precision=p, **settings) for p in ("mixed", "float64"))  # type: ignore[arg-type]
    off = abs(mixed.gw_loss / exact.gw_loss - 1)
    moved = float(np.abs(mixed.plan - exact.plan).sum())
    good = mixed.converged and exact.converged and off < 1e-3 and moved < 1e-3
    text = f"loss of float32 and float64 {off:.0e} apart, plans {moved:.0e}"
    return Line("precision", text, "ok" if good else "wrong")


def how_fast() -> list[Line]:
    """Products, passes over a kernel, and a solve against what those two let expect."""
    cores, physical = machine.usable_cores(), machine.physical_cores()
    flops, size = 2 * N_OBJECTS**2 * N_DIMS, 4 * N_OBJECTS**2
    one, both = (_core.time_machine(N_OBJECTS, N_DIMS, N_OBJECTS, REPEATS, threads) for threads in (1, cores))
    blas = _time_blas()
    lines = []
    share, gain = blas / both[0], one[0] / both[0]
    rates = [f"{flops / seconds / 1e9:.0f}" for seconds in (both[0], one[0], blas)]
    text = f"{rates[0]} GFLOP/s on {cores} threads, {rates[1]} on one; numpy's BLAS {rates[2]}"
    slow = share < ENOUGH
    # Two threads of one core share its arithmetic.
    shared = gain < ENOUGH * min(physical, MOST_CORES)
    advice = ""
    if slow:
        advice = "products are less than half as fast as numpy's: is GWRSA_SIMD set, or is this a build for another processor?"
    elif shared:
        advice = (
            f"{cores} threads on {physical} cores are only {gain:.1f} times as fast as one: other work, or fewer cores than the "
            "system says"
        )
    lines.append(Line("products", text, "look" if slow or shared else "ok", advice))
    text = f"{size / both[1] / 1e9:.0f} GB/s on {cores} threads, {size / one[1] / 1e9:.0f} on one, {size / 1e6:.0f} MB"
    lines.append(Line("passes", text))
    # The fastest of a few, as the parts are.
    solved, seconds = min(((s, _of_parts(s)) for s in (timed_solve() for _ in range(3))), key=lambda pair: pair[1])
    expected = _expected(solved, both[0] / flops, both[1] / size)
    ratio = seconds / expected
    text = (
        f"{seconds:.2f} s for {solved.n_outer} outer steps and {solved.n_sinkhorn} passes of {N_OBJECTS:,} objects; "
        f"products and passes at those rates take {expected:.2f} s"
    )
    advice = (
        f"a solve takes {ratio:.1f} times what its parts do: other work on these cores?" if ratio > 1 / ENOUGH else ""
    )
    return [*lines, Line("solve", text, "look" if advice else "ok", advice)]


def timed_solve(steps: int = _STEPS) -> GWSolution:
    """So many outer steps of a problem of the size of THINGS, on all threads."""
    rng = np.random.default_rng(2)
    a, b = (Embedding(rng.standard_normal((N_OBJECTS, N_DIMS)) * 0.95 ** np.arange(N_DIMS)) for _ in range(2))
    # A tolerance that is out of reach: exactly so many steps.
    return entropic_gw(a, b, epsilon=0.02, init="spectral", tol=1e-12, max_outer=steps, max_sinkhorn=20)


def _of_parts(solved: GWSolution) -> float:
    """Seconds of what is done in every outer step: without the first plan and the loss of the last."""
    return sum(seconds for phase, seconds in solved.phases.items() if phase not in ("start", "evaluation"))


def _expected(solved: GWSolution, per_flop: float, per_byte: float) -> float:
    """Seconds of the products (two an outer step with the plan, two with small matrices) and passes that a solve made."""
    n, r = N_OBJECTS, N_DIMS + 1
    flops = solved.n_outer * (2 * 2 * r * n * n + 2 * 2 * r * r * n)
    # Each pass reads the kernel; forming it reads and writes it, and takes the exponential.
    passes = solved.n_sinkhorn + 3 * solved.n_outer
    return flops * per_flop + passes * 4 * n * n * per_byte


def _time_blas() -> float:
    rng = np.random.default_rng(3)
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((N_OBJECTS, N_DIMS), (N_DIMS, N_OBJECTS)))
    best = np.inf
    for _ in range(REPEATS):
        began = time.perf_counter()
        np.matmul(a, b)
        best = min(best, time.perf_counter() - began)
    return float(best)
