"""Starts on their way, several at once: the outer loop at one epsilon of each, as the core's `descent`."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from gwrsa.backends import Status
from gwrsa.backends.torch import sinkhorn
from gwrsa.backends.torch.anderson import Anderson
from gwrsa.backends.torch.devices import Clock
from gwrsa.backends.torch.forecast import Forecast
from gwrsa.backends.torch.momentum import Momentum
from gwrsa.backends.torch.operator import Operator
from gwrsa.backends.torch.sinkhorn import Scaling, Weights
from gwrsa.backends.torch.slots import Slots

# As in the core, where they are explained.
_LOOSEST_INNER = 1e-3
_INNER_NOISE = {torch.float32: 2e-7, torch.float64: 2e-14}
_FORMED = 0.3
_SCALE_FLOOR = 1e-2
_STALLED = 20

PHASES = ("start", "products", "kernel", "sweeps", "summary", "evaluation")


@dataclass(frozen=True)
class Level:
    """One epsilon of a schedule, and when to leave it."""

    epsilon: float
    tol: float
    max_outer: int
    last: bool
    """Whether steps have momentum, and are extrapolated near the end."""


@dataclass
class State:
    """Where a start is; its tensors are on the device of the solve."""

    x: Tensor
    """Summary of the plan."""
    y: Tensor | None = None
    """Exponent of the last outer step."""
    potentials: tuple[Tensor, Tensor] | None = None
    epsilon: float = math.nan
    status: Status = "max_outer"
    n_outer: int = 0
    n_sinkhorn: int = 0
    change: float = math.inf
    error: float = math.inf
    path: list[tuple[float, int, float]] = field(default_factory=list)
    phases: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))


@dataclass
class Task:
    """A start that is to go through one level."""

    begin: Callable[[], State]
    """Its state, asked for when it comes into the batch."""
    level: Level
    ended: Callable[[State], None]
    ready: Callable[[], bool] = lambda: True
    """Whether the state is there; the others do not wait for it."""
    left: Callable[[State], None] = lambda _: None
    """Told in place of `ended` what an interrupt left of it, in the memory of the host, if it has made a step of this level."""


class Exponents(Slots):
    """Exponents y of a batch, beside the potentials, so that one product gives `M + f + g`."""

    def __init__(self, operator: Operator, b: int) -> None:
        self.operator = operator
        n, m, r = operator.n, operator.m, operator.r
        new: dict[str, Any] = {"dtype": operator.dtype, "device": operator.device}
        if operator.factored:
            # (A1, a1, f, 1) and (y, 1, g).
            self.left = torch.ones(b, n, r + 3, **new)
            self.left[:, :, : r + 1] = operator.left
            self.right = torch.ones(b, r + 3, m, **new)
        else:
            self.right = torch.zeros(b, n, m, **new)

    @property
    def y(self) -> Tensor:
        """(b, r + 1, m), or (b, n, m)."""
        return self.right[:, : self.operator.exponent_shape[0]]

    def fill(self, out: Tensor, at: slice, rows: slice, f: Tensor, g: Tensor) -> None:
        """Write `M + f + g` of some starts and rows."""
        if self.operator.factored:
            r = self.operator.r
            self.left[at, rows, r + 1] = f[:, rows].to(out.dtype)
            self.right[at, r + 2] = g.to(out.dtype)
            torch.bmm(self.left[at, rows], self.right[at], out=out)
        else:
            torch.add(self.right[at, rows], f[:, rows, None].to(out.dtype), out=out)
            out += g[:, None].to(out.dtype)


class Batch:
    """So many starts at once; when one ends the next comes in, and the batch shrinks when there is none."""

    def __init__(self, operator: Operator, weights: Weights, kernel: Tensor, max_sinkhorn: int) -> None:
        b = len(kernel)
        self.operator, self.max_sinkhorn = operator, max_sinkhorn
        self.device = operator.device
        self.scale = _SCALE_FLOOR * operator.summary_scale(weights.p.exact)
        self.x = torch.zeros(b, *operator.summary_shape, dtype=operator.dtype, device=self.device)
        self.next = torch.zeros_like(self.x)
        self.exponents = Exponents(operator, b)
        self.scaling = Scaling(kernel, weights, self.exponents)
        self.momentum = Momentum(self.x)
        self.forecast = Forecast(self.x, operator.n + operator.m)
        self.anderson: Anderson | None = None
        self.clock = Clock(self.device)
        self.tasks: list[Task | None] = [None] * b
        self.states: list[State | None] = [None] * b
        self.steps = [0] * b
        self.change = [math.inf] * b
        # Of steps that stand still without their marginals: the least error, and how many since it was halved.
        self.stalled = [(math.inf, 0)] * b
        # Slots whose level has ended, until that is told; and whether their states have been written back.
        self.over: dict[int, bool] = {}
        # What an interrupt would find half done.
        self.half_done: Literal["exponents", "slots"] | None = None

    def run(self, todo: deque[Task]) -> None:
        """Take tasks until there are none; what has ended is told, and no longer in `todo` or in `tasks`."""
        try:
            self._run(todo)
        except KeyboardInterrupt:
            # Which a full card must not turn into a smaller batch.
            with suppress(torch.OutOfMemoryError):
                self._leave()
            raise

    def _run(self, todo: deque[Task]) -> None:
        while True:
            for slot, task in enumerate(self.tasks):
                if task is None and todo and (todo[0].ready() or not self.unfinished()):
                    self._load(slot, todo.popleft())
            left = [slot for slot, task in enumerate(self.tasks) if task is not None]
            if not left:
                return
            if not todo and len(left) <= len(self.tasks) // 2:
                self._keep(left)
            self._step()

    def unfinished(self) -> list[Task]:
        """Tasks that are in the batch."""
        return [task for task in self.tasks if task is not None]

    def _load(self, slot: int, task: Task) -> None:
        self.tasks[slot] = task
        self.clock.mark("start")
        first = task.begin()
        self.clock.mark("")
        # It goes on with a copy: a level that runs out of memory begins again.
        task.begin, task.ready = (lambda: first), (lambda: True)
        self.states[slot] = state = State(**vars(first) | {"path": [*first.path], "phases": {**first.phases}})
        state.phases["start"] += self.clock.read().get("start", 0.0)
        self.x[slot] = state.x
        self.scaling.load(slot, state.potentials, state.epsilon / task.level.epsilon)
        here = torch.zeros(len(self.tasks), dtype=torch.bool, device=self.device)
        here[slot] = True
        self.momentum.clear(here)
        self.forecast.clear(slot)
        if self.anderson is not None:
            self.anderson.clear(slot)
        state.epsilon, state.change, state.status = task.level.epsilon, math.inf, "max_outer"
        self.steps[slot], self.change[slot], self.stalled[slot] = 0, math.inf, (math.inf, 0)

    def _keep(self, left: list[int]) -> None:
        self.half_done = "slots"
        index = torch.tensor(left, device=self.device)
        self.x, self.next = self.x[index], self.next[index]
        for part in (self.exponents, self.scaling, self.momentum, self.forecast, self.anderson):
            if part is not None:
                part.take(index)
        for name in ("tasks", "states", "steps", "change", "stalled"):
            old = getattr(self, name)
            setattr(self, name, [old[slot] for slot in left])
        self.half_done = None

    def _per_slot(self, value: Callable[[Task], float]) -> Tensor:
        """Of an empty slot 1."""
        return torch.tensor(
            [1.0 if task is None else value(task) for task in self.tasks], dtype=torch.float64, device=self.device
        )

    def _form_exponents(self) -> None:
        steps = self._per_slot(lambda t: self.operator.step(t.level.epsilon))
        self.half_done = "exponents"
        self.operator.exponent(self.x, steps, self.exponents.y)
        self.half_done = None

    def _step(self) -> None:
        """One outer step of each."""
        mark = self.clock.mark
        mark("products")
        self._form_exponents()
        mark("summary")
        if self.operator.factored:
            known = [
                not fresh and change < _FORMED for fresh, change in zip(self.scaling.fresh, self.change, strict=True)
            ]
            self.scaling.shift(self.forecast.shift(self.x), torch.tensor(known, device=self.device))
        tol = torch.tensor(
            [
                math.inf if task is None else max(min(0.1 * change, _LOOSEST_INNER), 0.3 * task.level.tol)
                for task, change in zip(self.tasks, self.change, strict=True)
            ],
            dtype=torch.float64,
            device=self.device,
        )
        # Where sweeps are slow, a small marginal error is left by potentials that are still far off.
        tol = torch.maximum(tol * (2 - self.scaling.relaxation.omega), tol.clamp(max=_INNER_NOISE[self.operator.dtype]))
        mark("kernel")
        ended, sweeps, errors = self.scaling.project(tol, self.max_sinkhorn, mark)
        mark("summary")
        self.operator.summarise(self.scaling.kernel, self.scaling.u, self.scaling.v, self.next)
        self.change = self._relative_change().tolist()
        done, failed = [], []
        for slot, (task, state) in enumerate(zip(self.tasks, self.states, strict=True)):
            if task is None or state is None:
                continue
            self.steps[slot] += 1
            state.n_outer += 1
            state.n_sinkhorn += sweeps[slot]
            state.error = errors[slot]
            if ended[slot] == sinkhorn.NUMERICAL_ERROR:
                state.status = "numerical_error"
                failed.append(slot)
                continue
            state.change = self.change[slot]
            # The loop that ran out last: without marginals the outer loop cannot end.
            without = ended[slot] == sinkhorn.MAX_SWEEPS and state.error > task.level.tol
            state.status = "max_sinkhorn" if without else "max_outer"
            if state.change <= task.level.tol:
                state.status = "converged" if state.error <= task.level.tol else "max_sinkhorn"
                least, since = self.stalled[slot]
                self.stalled[slot] = (state.error, 0) if state.error < 0.5 * least else (least, since + 1)
            over = state.status == "converged" or self.stalled[slot][1] >= _STALLED
            if over or self.steps[slot] >= task.level.max_outer:
                done.append(slot)
        self._advance()
        mark("")
        spent, active = self.clock.read(), len(self.unfinished())
        for state in self.states:
            if state is not None:
                for phase, seconds in spent.items():
                    state.phases[phase] += seconds / active
        self._tell(done + failed, failed)

    def _advance(self) -> None:
        """The next iterates."""
        self.forecast.learn(self.x, self.scaling.potentials())
        converged = [self._status(slot) == "converged" for slot in range(len(self.tasks))]
        last = [task is not None and task.level.last for task in self.tasks]
        extrapolated: list[int] = []
        on_the_way: list[int] = []
        for slot, is_last in enumerate(last):
            if not is_last or converged[slot] or self._status(slot) == "numerical_error":
                continue
            if self.anderson is None:
                self.anderson = Anderson(self.x)
            (extrapolated if self.anderson.takes(slot, self.change[slot]) else on_the_way).append(slot)
        new = self.next
        if on_the_way:
            change = torch.tensor(self.change, dtype=torch.float64, device=self.device)
            new = self.momentum.advance(self.x, self.next, change, self._mask(on_the_way))
        if extrapolated and self.anderson is not None:
            mine = self._mask(extrapolated)
            self.momentum.clear(mine)
            new = torch.where(mine[:, None, None], self.anderson.advance(self.x, self.next, extrapolated), new)
        self.x.copy_(new)

    def _mask(self, slots: list[int]) -> Tensor:
        chosen = set(slots)
        return torch.tensor([slot in chosen for slot in range(len(self.tasks))], device=self.device)

    def _status(self, slot: int) -> str | None:
        state = self.states[slot]
        return None if state is None else state.status

    def _tell(self, slots: list[int], failed: list[int]) -> None:
        """Write states back, and say that their level has ended."""
        if not slots:
            return
        self.over = dict.fromkeys(slots, False)
        f, g = self.scaling.potentials()
        for slot in slots:
            task, state = self._written(slot, f, g)
            if slot not in failed:
                state.x = self.x[slot].clone()
            task.ended(state)
            self._empty(slot)
        self.over = {}

    def _written(self, slot: int, f: Tensor, g: Tensor) -> tuple[Task, State]:
        """A task and its state, with the exponent and these potentials, where those are."""
        task, state = self.tasks[slot], self.states[slot]
        assert task is not None  # noqa: S101
        assert state is not None  # noqa: S101
        state.potentials = f[slot].clone(), g[slot].clone()
        state.y = self.exponents.y[slot].to(f.device, copy=True)
        state.path.append((task.level.epsilon, self.steps[slot], state.change))
        if slot in self.over:
            self.over[slot] = True
        return task, state

    def _leave(self) -> None:
        """After an interrupt, which comes at any moment: tell what there is of those that have made a step."""
        if self.half_done == "slots":
            return
        if self.half_done == "exponents":
            self._form_exponents()
        f, g = (x.cpu() for x in self.scaling.potentials())
        known = self.scaling.column_potentials().cpu()
        # Of a kernel that is being formed anew, scalings are already in the potentials of its rows, or not yet.
        unknown = torch.full_like(f, math.nan)
        for slot, (task, state) in enumerate(zip(self.tasks, self.states, strict=True)):
            if task is None or state is None or not self.steps[slot]:
                continue
            if slot not in self.over:
                state.status = "interrupted"
                self._written(slot, unknown, known)
            elif not self.over[slot]:
                self._written(slot, f, g)
            task.left(state)

    def _empty(self, slot: int) -> None:
        """Nothing there: a uniform plan, whose projection ends at once."""
        self.tasks[slot] = self.states[slot] = None
        self.steps[slot] = 0
        self.x[slot] = 0
        self.scaling.load(slot, None, 1.0)

    def _relative_change(self) -> Tensor:
        """`|next - x| / max(|next|, scale)` of each, Frobenius, summed in float64."""

        def norm(x: Tensor) -> Tensor:
            found: Tensor = torch.linalg.vector_norm(x.flatten(1), dim=1, dtype=torch.float64)
            return found

        whole = norm(self.next).clamp(min=self.scale)
        return torch.where(whole > 0, norm(self.next - self.x) / whole, 0.0)
