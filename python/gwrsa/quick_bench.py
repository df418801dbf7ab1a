"""`gwrsa bench`: a solve of the built-in simulation, and POT's beside it where POT is installed, in turn, with the loss reached.

`make bench` in a checkout measures far more; this is for a machine that has only the package.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from gwrsa import _core, _simulate, machine
from gwrsa import _validate as check
from gwrsa._validate import FloatArray
from gwrsa.aligning import align
from gwrsa.solve import build_problem, entropic_gw

N_OBJECTS = 300
ROUNDS = 3
RATIO = 0.1
"""Epsilon, in units of the pair's critical one."""
TOL = 1e-5
"""Relative change of the plan at which a solve ends."""
_BUDGET = 40.0
SEARCH_STARTS = 4


@dataclass
class Entry:
    """One solver: what it took in each round, and where it ended."""

    name: str
    solve: Callable[[], tuple[FloatArray, int]] = field(repr=False)
    """Solves once; returns the plan and the number of outer steps."""
    seconds: list[float] = field(default_factory=list)
    steps: int = 0
    gw_loss: float = float("inf")
    said: str = ""
    """What it warned of."""


def run(
    say: Callable[[str], object] = print, *, n: int = N_OBJECTS, rounds: int = ROUNDS, search: bool = True
) -> list[Entry]:
    """Measure and say; returns what was measured.

    Parameters
    ----------
    say : callable
        Takes a line of text.
    n : int
        Objects of the solve that is compared, 10 to 1,854.
    rounds : int
        How often each solves, in turn; fewer, once 40 s have gone by.
    search : bool
        Also align all 1,854 objects.
    """
    check.integer("n", n, 10, _simulate.N_OBJECTS)
    check.integer("rounds", rounds, 1)
    simulated = _simulate.study(0)
    source, target = simulated.human, simulated.models[0]
    load = machine.load()
    say(
        f"gwrsa {_core.__version__}, {_core.simd}, {machine.usable_cores()} cores"
        + ("" if load is None else f", load {load:.1f}")
    )
    say(f"SIMULATION: {source.name} against {target.name!r}")
    say("")
    say(
        f"One solve of {n:,} objects, epsilon {RATIO} of the critical one, from the same random plan to a relative change of {TOL:g}"
    )
    entries = paired(*(side.rdm().square()[:n, :n] for side in (source, target)), rounds=rounds)
    say(f"  {'':<14}{'median s':>10}{'fastest':>10}{'slowest':>10}{'steps':>7}  GW loss")
    for e in entries:
        spread = (float(np.median(e.seconds)), min(e.seconds), max(e.seconds))
        say(f"  {e.name:<14}" + "".join(f"{s:>10.3f}" for s in spread) + f"{e.steps:>7}  {e.gw_loss:.8f}{e.said}")
    if len(entries) > 1:
        ours, pot = entries
        ratios = [b / a for a, b in zip(ours.seconds, pot.seconds, strict=True)]
        say(
            f"  POT takes {np.median(ratios):.0f} times as long ({min(ratios):.0f} to {max(ratios):.0f} in {len(ratios)} rounds); "
            f"gwrsa's loss is {ours.gw_loss / pot.gw_loss - 1:+.1e} of POT's"
        )
    else:
        say("  POT is not installed: pip install POT measures it beside this")
    if search:
        began = time.perf_counter()
        found = align(source, target, n_starts=SEARCH_STARTS, progress=False).lowest_loss
        say("")
        say(
            f"A search of {len(source):,} objects, {SEARCH_STARTS} annealed starts: {time.perf_counter() - began:.1f} s, "
            f"GW loss {found.gw_loss:.6f}, top-1 {found.matching[1]:.1%}"
        )
    return entries


def paired(c1: FloatArray, c2: FloatArray, *, rounds: int = ROUNDS) -> list[Entry]:
    """Time gwrsa and, where it is installed, POT: each in turn, from the same plan to the same change, losses by one formula.

    Parameters
    ----------
    c1, c2 : ndarray, shape (n, n)
        Symmetric dissimilarities.
    rounds : int
        At most so many.
    """
    n = len(c1)
    p = np.full(n, 1 / n)
    epsilon = RATIO * build_problem(c1, c2).critical_epsilon()
    start = _core.round_to_marginals(np.random.default_rng(0).random((n, n)), p, p)

    def ours() -> tuple[FloatArray, int]:
        found = entropic_gw(c1, c2, epsilon=epsilon, init=start, tol=TOL)
        return found.plan, found.n_outer

    entries = [Entry("gwrsa", ours)]
    version = machine.installed("POT")
    if version is not None:
        # POT's tolerance is absolute.
        norm = float(np.linalg.norm(ours()[0]))
        entries.append(Entry(f"POT {version}", lambda: _pot(c1, c2, p, epsilon, start, TOL * norm)))
    began = time.perf_counter()
    for done in range(rounds):
        for entry in entries:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                at = time.perf_counter()
                plan, entry.steps = entry.solve()
                entry.seconds.append(time.perf_counter() - at)
            entry.gw_loss = gw_loss(c1, c2, plan)
            entry.said = f"   ({caught[0].message})" if caught else ""
        if (time.perf_counter() - began) * (done + 2) / (done + 1) > _BUDGET:
            break
    return entries


def gw_loss(c1: FloatArray, c2: FloatArray, plan: FloatArray) -> float:
    """GW loss of a plan, by its formula and in float64; infinity for what is no plan."""
    p, q = plan.sum(axis=1), plan.sum(axis=0)
    if not abs(p.sum() - 1) < 1e-3:
        return float("inf")
    return float(p @ c1**2 @ p + q @ c2**2 @ q - 2 * np.sum((c1 @ plan @ c2) * plan))


def _pot(
    c1: FloatArray, c2: FloatArray, p: FloatArray, epsilon: float, start: FloatArray, tol: float
) -> tuple[FloatArray, int]:
    from ot.gromov import entropic_gromov_wasserstein

    plan, log = entropic_gromov_wasserstein(
        c1, c2, p, p, "square_loss", epsilon=epsilon, symmetric=True, G0=start, max_iter=1000, tol=tol, log=True
    )
    # It looks at the change every ten steps.
    return np.asarray(plan), 10 * len(log["err"])
