"""The end of one solve: its loss, its plan and its top targets, from exponent and potentials by blocks of rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gwrsa.backends.torch import memory
from gwrsa.backends.torch.descent import State
from gwrsa.backends.torch.devices import settled

if TYPE_CHECKING:
    from gwrsa._validate import FloatArray
    from gwrsa.backends import Exponent, Status
    from gwrsa.backends.torch.problem import Problem

_BLOCK_BYTES = {"cpu": 1 << 23, "cuda": 1 << 27}
_MASS = 1e-6


@dataclass
class Solution:
    """As the core's, on a device; exponent and potentials are kept in the memory of the host."""

    problem: Problem = field(repr=False)
    gw_loss: float
    objective: float
    epsilon: float
    status: Status
    n_outer: int
    n_sinkhorn: int
    marginal_error: float
    change: float
    seconds: float
    path: list[tuple[float, int, float]]
    phases: list[tuple[str, float]]
    merged_into: int | None
    stopped_by: int | None
    y: Tensor = field(repr=False)
    f: Tensor = field(repr=False)
    g: Tensor = field(repr=False)

    def evaluated(self) -> Solution:
        """With its loss, which is left out of what an interrupt ended."""
        if math.isfinite(self.gw_loss) or self.status == "numerical_error":
            return self
        with self._there("the loss of {} x {} objects needs", kept=False) as (y, f, g):
            known = Rows(self.problem, y, f, g).exact_potentials() if f.isnan().any() else f
            loss, objective, status = _evaluation(self.problem, (y, known, g), self.epsilon, self.status)
        return replace(self, gw_loss=loss, objective=objective, status=status, f=known.cpu())

    def potentials(self) -> tuple[FloatArray, FloatArray]:
        """F of the source, g of the target."""
        f, g = self.f.numpy(), self.g.numpy()
        return (g, f) if self.problem.swapped else (f, g)

    def exponent(self) -> Exponent:
        """Y in the orientation in which the problem is solved."""
        return self.y.numpy()

    def plan(self) -> FloatArray:
        """(n, m), rounded onto the marginals; on the device there are only blocks of its rows."""
        plan = np.empty(self.problem.shape)
        with self._there("a plan of {} x {} objects needs", kept=False) as parts:
            self._write(torch.from_numpy(plan), *parts)
        return plan

    def plan_tensor(self) -> Tensor:
        """The same, on the device."""
        with self._there("a plan of {} x {} objects needs", kept=True) as parts:
            plan = torch.empty(self.problem.shape, dtype=torch.float64, device=self.problem.device)
            self._write(plan, *parts)
        return plan

    def _write(self, plan: Tensor, y: Tensor, f: Tensor, g: Tensor) -> None:
        """The plan, a block of rows after the other, wherever this tensor (n, m) is."""
        inner = plan.T if self.problem.swapped else plan
        rows = Rows(self.problem, y, f, g)
        for at, block in rows.rounded(rows.rounding()):
            inner[at] = block

    def top(self, k: int) -> NDArray[np.uint32]:
        """The k most probable targets of each source item; ties to the lower index."""
        out = []
        with self._there("top targets of {} x {} objects need", kept=False) as (y, f, g):
            operator, swapped = self.problem.operator(y.dtype), self.problem.swapped
            length, other = (operator.m, f) if swapped else (operator.n, g)
            for at in _blocks(length, len(other), y.device):
                logits = (operator.columns if swapped else operator.rows)(y, at.start, at.stop).double() + other
                # A stable sort of what could be among the first k: topk promises no order of ties.
                values, order = torch.sort(logits, dim=1, descending=True, stable=True)
                del values
                out.append(order[:, :k].cpu())
        return torch.cat(out).numpy().astype(np.uint32)

    def merged(self, other: Solution, number: int) -> Solution:
        """The end of `other`, the start numbered `number`, with the steps and the path that led into its basin."""
        own = ("n_outer", "n_sinkhorn", "path", "seconds", "phases")
        return replace(other, merged_into=number, **{name: getattr(self, name) for name in own})

    @contextmanager
    def _there(self, needs: str, *, kept: bool) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Exponent and potentials on the device, with torch settled; `needs` is said, with both numbers, where the memory is not enough."""
        device, (n, m) = self.problem.device, self.problem.shape
        needed = memory.plan_bytes(n, m, kept=kept)
        with settled(device, 0, n * m), memory.enough(needs.format(n, m), needed, device):
            yield self.y.to(device), self.f.to(device), self.g.to(device)


@dataclass
class Rounding:
    """`diag(s) K diag(t) + d e'`, d what the rows of the first term miss: Altschuler, Weed & Rigollet (2017), algorithm 2."""

    s: Tensor
    t: Tensor
    e: Tensor


class Rows:
    """Rows of `exp(M + f + g)` in float64, the exponent in the precision of the solve, whose marginals were fitted."""

    def __init__(self, problem: Problem, y: Tensor, f: Tensor, g: Tensor) -> None:
        self.y, self.f, self.g = y, f.to(y.dtype), g.to(y.dtype)
        self.operator = problem.operator(y.dtype)
        self.p, self.q = (side.exact for side in problem.weights(torch.float64))
        self.exact = problem.operator(torch.float64)

    def exact_potentials(self) -> Tensor:
        """Row potentials with which the rows have their weights."""
        found = []
        for at in _blocks(len(self.f), len(self.g), self.y.device):
            block = self.operator.rows(self.y, at.start, at.stop).double() + self.g
            found.append(self.p[at].log() - block.logsumexp(1))
        return torch.cat(found)

    def computed(self) -> Iterator[tuple[slice, Tensor]]:
        """Blocks of rows."""
        for at in _blocks(len(self.f), len(self.g), self.y.device):
            block = self.operator.rows(self.y, at.start, at.stop) + self.g
            block += self.f[at, None]
            # Above 0 only after a numerical error; the rounding bounds it.
            yield at, block.double().clamp_(max=0.0).exp_()

    def rounding(self) -> Rounding:
        """How the rows are rounded onto the weights."""
        s, columns = [], torch.zeros_like(self.q)
        for at, block in self.computed():
            shrunk = _shrink(self.p[at], block.sum(1))
            columns += shrunk @ block
            s.append(shrunk)
        t = _shrink(self.q, columns)
        e = (self.q - columns * t).clamp_(min=0.0)
        missing = e.sum()
        return Rounding(torch.cat(s), t, torch.where(missing > 0, e / missing, e))

    def rounded(self, rounding: Rounding) -> Iterator[tuple[slice, Tensor]]:
        """Blocks of rows of the rounded plan."""
        for at, block in self.computed():
            block.mul_(rounding.s[at, None]).mul_(rounding.t)
            missing = (self.p[at] - block.sum(1)).clamp_(min=0.0)
            yield at, block.addcmul_(missing[:, None], rounding.e)

    def loss_mass_entropy(self, constant: float) -> tuple[float, float, float]:
        """GW(T), `sum T` and `sum T log T` of the rounded plan."""
        x = self.p.new_zeros(self.exact.r + 1, self.exact.m)
        plan: list[Tensor] = []
        mass, entropy = self.p.new_zeros(2).unbind()
        for at, block in self.rounded(self.rounding()):
            mass = mass + block.sum()
            entropy = entropy + torch.xlogy(block, block).sum()
            if self.exact.factored:
                x += self.exact.left[at].T @ block
            else:
                plan.append(block)
        loss = max(constant - 2 * self.exact.overlap(x if self.exact.factored else torch.cat(plan)), 0.0)
        return loss, float(mass), float(entropy)


def kept(problem: Problem, state: State) -> Solution:
    """What is kept of a state, its loss not evaluated."""
    operator = problem.operator(state.x.dtype)
    y = torch.zeros(operator.exponent_shape, dtype=operator.dtype) if state.y is None else state.y
    f, g = state.potentials or (torch.zeros(operator.n), torch.zeros(operator.m))
    return Solution(
        problem=problem,
        gw_loss=math.inf,
        objective=math.inf,
        epsilon=state.epsilon,
        status=state.status,
        n_outer=state.n_outer,
        n_sinkhorn=state.n_sinkhorn,
        marginal_error=state.error,
        change=state.change,
        seconds=sum(state.phases.values()),
        path=state.path,
        phases=list(state.phases.items()),
        merged_into=None,
        stopped_by=None,
        y=y.cpu(),
        f=f.cpu(),
        g=g.cpu(),
    )


def finished(problem: Problem, state: State) -> Solution:
    """What is kept of a state, its loss evaluated in float64."""
    from time import perf_counter

    began = perf_counter()
    end = kept(problem, state)
    parts = (end.y, end.f, end.g) if state.y is None or state.potentials is None else (state.y, *state.potentials)
    loss, objective, status = _evaluation(problem, parts, state.epsilon, state.status)
    phases = state.phases | {"evaluation": state.phases["evaluation"] + perf_counter() - began}
    return replace(
        end,
        gw_loss=loss,
        objective=objective,
        status=status,
        seconds=sum(phases.values()),
        phases=list(phases.items()),
    )


def _evaluation(
    problem: Problem, parts: tuple[Tensor, Tensor, Tensor], epsilon: float, status: Status
) -> tuple[float, float, Status]:
    """Loss, objective and status of a plan from its exponent and potentials."""
    loss, mass, entropy = Rows(problem, *parts).loss_mass_entropy(problem.constant)
    objective = loss + epsilon * entropy
    if status == "numerical_error" or not (math.isfinite(objective) and abs(mass - 1) < _MASS):
        return math.inf, math.inf, "numerical_error"
    return loss, objective, status


def _shrink(weight: Tensor, sums: Tensor) -> Tensor:
    return torch.where(sums > weight, weight / sums, 1.0)


def _blocks(n: int, m: int, device: torch.device) -> list[slice]:
    rows = max(1, _BLOCK_BYTES[device.type] // (8 * m))
    return [slice(start, min(n, start + rows)) for start in range(0, n, rows)]


__all__: Any = ("Rows", "Solution", "finished", "kept")
