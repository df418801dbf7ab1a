"""A problem on a device: checked, centred, factored and started by the core; solved here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from gwrsa import _core
from gwrsa.backends.torch import devices, memory
from gwrsa.backends.torch.ahead import Ahead, workers
from gwrsa.backends.torch.descent import Batch, Level, State, Task
from gwrsa.backends.torch.devices import settled
from gwrsa.backends.torch.operator import Operator
from gwrsa.backends.torch.search import Runner, levels, merge, stop
from gwrsa.backends.torch.sinkhorn import Weights
from gwrsa.backends.torch.solution import Solution, finished, kept
from gwrsa.machine import usable_cores

if TYPE_CHECKING:
    from gwrsa._validate import FloatArray
    from gwrsa.backends import Cost, Exponent, Init, PlannedStart, RawSolution

Done = Callable[[int, Any], Any]
# Of the largest: a scaling is about as small as the weight, and is absorbed from 1e-10 on.
_LEAST_WEIGHT = 1e-8
_DTYPES = {"mixed": torch.float32, "float64": torch.float64}


class Problem:
    """Two costs and two weights."""

    def __init__(
        self, c1: Cost, c2: Cost, p: FloatArray, q: FloatArray, device: torch.device, threads: int = 0
    ) -> None:
        self.core = _core.Problem(c1, c2, p, q, threads=threads)
        self.device = device
        self._arrays = self.core.operator()
        self.swapped: bool = self._arrays["swapped"]
        self.constant: float = self._arrays["constant"]
        self._operators: dict[torch.dtype, Operator] = {}
        self._weights: dict[torch.dtype, Weights] = {}

    @property
    def shape(self) -> tuple[int, int]:
        """N and m, as given."""
        return self.core.shape

    @property
    def ranks(self) -> tuple[int, int]:
        """Ranks of the centred costs; n or m for a dense one."""
        return self.core.ranks

    def critical_epsilon(self) -> float:
        """Epsilon above which the uniform plan is a stable fixed point."""
        return self.core.critical_epsilon()

    def restore(self, exponent: Exponent, f: FloatArray, g: FloatArray, epsilon: float) -> RawSolution:
        """A solution again; the core's, on the CPU."""
        return self.core.restore(exponent, f, g, epsilon)

    def _check_single(self) -> None:
        """Single precision holds every weight; the core, which keeps little ones apart, takes them down to 1e-32."""
        for name, inner in zip("pq", "qp" if self.swapped else "pq", strict=True):
            weights = self._arrays[inner]
            least = _LEAST_WEIGHT * weights.max()
            light = (weights > 0) & (weights < least)
            if light.any():
                i = int(light.argmax())
                raise ValueError(
                    f"{name} must be 0 or at least {least:.3g} in mixed precision, got {weights[i]} at position {i}; "
                    "use float64, or backend 'rust'"
                )

    def operator(self, dtype: torch.dtype) -> Operator:
        """The costs in this precision, made when first asked for."""
        if dtype not in self._operators:
            self._operators[dtype] = Operator(self._arrays, dtype, self.device)
        return self._operators[dtype]

    def weights(self, dtype: torch.dtype) -> Weights:
        """The weights in this precision."""
        if dtype not in self._weights:
            p, q = (torch.as_tensor(self._arrays[name]).to(self.device) for name in "pq")
            self._weights[dtype] = Weights.of(p, q, dtype)
        return self._weights[dtype]

    def solve(
        self,
        starts: list[PlannedStart],
        *,
        precision: str,
        tol: float,
        max_outer: int,
        max_sinkhorn: int,
        level_tol: float,
        level_max_outer: int,
        threads: int,
        done: Done | None = None,
    ) -> Sequence[RawSolution]:
        """From every start, several at once; as the core's `search`."""
        if precision == "mixed":
            self._check_single()
            least = min(epsilon for _, epsilons in starts for epsilon in epsilons)
            precision = "mixed" if self.core.resolves(least) else "float64"
        rough = Level(0.0, max(level_tol, tol), level_max_outer, last=False)
        exact = Level(0.0, tol, max_outer, last=True)
        n, m = self.shape
        dtypes = {_DTYPES[precision], torch.float64}
        with settled(self.device, threads, n * m):
            with memory.enough(
                f"costs of {n} x {m} objects need", memory.costs_bytes(self._arrays, dtypes), self.device
            ):
                search = _Search(self, _DTYPES[precision], max_sinkhorn, threads, done or (lambda _, __: None))
            if all(len(epsilons) == 1 for _, epsilons in starts):
                with search.enough(0):
                    return search.independent([(init, replace(exact, epsilon=e)) for init, (e,) in starts])
            with search.enough(len(starts)):
                states = search.begun([init for init, _ in starts])
                runners = [
                    Runner(number, state, levels(epsilons, rough, exact))
                    for number, (state, (_, epsilons)) in enumerate(zip(states, starts, strict=True))
                ]
                try:
                    return search.together(runners)
                except KeyboardInterrupt:
                    search.interrupted(runners)
                    raise


class _Search:
    """Many starts of one problem."""

    def __init__(self, problem: Problem, dtype: torch.dtype, max_sinkhorn: int, threads: int, done: Done) -> None:
        self.problem, self.max_sinkhorn, self.threads, self.done = problem, max_sinkhorn, threads, done
        self.operator, self.weights = problem.operator(dtype), problem.weights(dtype)
        # Losses are evaluated with it; here, so that it is there when free memory is asked for.
        problem.operator(torch.float64)

    def enough(self, n_states: int) -> AbstractContextManager[None]:
        """Where the memory is not there beside a batch, which is made smaller, it is said what was needed for so many states and a loss."""
        n, m = self.problem.shape
        needs = f"losses of {n} x {m} objects, and {n_states} starts that wait, need"
        return memory.enough(needs, memory.waiting_bytes(self.operator, n_states), self.operator.device)

    def draw(self, init: Init, threads: int) -> FloatArray:
        """Summary of an initial plan, by the core; the same on any number of threads."""
        return self.problem.core.initial_summary(init, threads)

    def drawn(self, inits: Sequence[Init]) -> Ahead[FloatArray]:
        """Their summaries, several drawn at once, each on one thread where there are as many starts as threads."""
        threads = self.threads or usable_cores()
        plan, summary = (8 * rows * self.operator.m for rows in (self.operator.n, self.operator.summary_shape[0]))
        at_once = workers(min(threads, len(inits)), plan)
        return Ahead([partial(self.draw, init, threads // at_once) for init in inits], summary, at_once)

    def state(self, summary: FloatArray) -> State:
        """There, on the device."""
        return State(torch.as_tensor(summary).to(device=self.operator.device, dtype=self.operator.dtype))

    def begin(self, init: Init) -> State:
        """The state at an initial plan."""
        return self.state(self.draw(init, self.threads))

    def begun(self, inits: Sequence[Init]) -> list[State]:
        """The states at initial plans."""
        if self.operator.device.type == "cpu":
            return [self.begin(init) for init in inits]
        with self.drawn(inits) as drawn:
            return [drawn.take(self.state) for _ in inits]

    def independent(self, starts: list[tuple[Init, Level]]) -> list[Solution]:
        """Each at its one epsilon: nothing of one is kept while another runs."""
        ends: dict[int, Solution] = {}

        def ended(number: int, state: State) -> None:
            ends[number] = finished(self.problem, state)
            self.done(number, ends[number])

        def left(number: int, state: State) -> None:
            if number not in ends:
                self.done(number, kept(self.problem, state))

        def task(number: int, begin: Callable[[], State], ready: Callable[[], bool] = lambda: True) -> Task:
            return Task(begin, starts[number][1], partial(ended, number), ready, partial(left, number))

        if self.operator.device.type == "cpu":
            self.go([task(i, partial(self.begin, init)) for i, (init, _) in enumerate(starts)], 0)
        else:
            # The card solves while the CPU draws the next starts.
            with self.drawn([init for init, _ in starts]) as drawn:
                begin = partial(drawn.take, self.state)
                self.go([task(i, begin, drawn.ready) for i in range(len(starts))], 0)
        return [ends[i] for i in range(len(starts))]

    def together(self, runners: list[Runner]) -> list[Solution]:
        """Starts that come down a schedule, level by level; those that meet are merged, those out of reach stopped."""
        uniform = self.begin(("uniform", 0, 0)).x
        scale = self.operator.summary_scale(self.weights.p.exact)
        while longest := max((len(r.ahead) for r in runners if r.runs), default=0):

            def ended(runner: Runner, state: State) -> None:
                runner.state = state
                runner.at += 1
                if state.status == "numerical_error":
                    runner.at = len(runner.levels)
                self.done(runner.number, None)

            round_ = [r for r in runners if r.runs and len(r.ahead) == longest]
            tasks = [
                Task(partial(getattr, r, "state"), r.levels[r.at], partial(ended, r), left=partial(setattr, r, "state"))
                for r in round_
            ]
            self.go(tasks, len(runners))
            merge(runners, uniform, scale)
            if longest == 2:
                stop(runners, partial(finished, self.problem), self.problem.constant)
        own = [replace(finished(self.problem, r.state), stopped_by=r.stopped_by) for r in runners]
        ends = []
        for runner, end in zip(runners, own, strict=True):
            into = runner.merged_into
            merged = end if into is None else end.merged(own[into], into)
            self.done(runner.number, merged)
            ends.append(merged)
        return ends

    def interrupted(self, runners: list[Runner]) -> None:
        """Tell of every start that has a plan; losses are evaluated when they are asked for."""
        own: dict[int, Solution] = {}
        for r in runners:
            if r.state.y is not None:
                end = kept(self.problem, r.state)
                own[r.number] = replace(end, stopped_by=r.stopped_by, status="interrupted" if r.runs else end.status)
        for r in runners:
            if r.number in own:
                mine, into = own[r.number], r.merged_into
                self.done(r.number, mine if into is None else mine.merged(own[into], into))

    def go(self, tasks: list[Task], n_states: int) -> None:
        """Through their levels, as many at once as the memory holds."""
        todo = deque(tasks)
        if memory.start_bytes(self.operator) > devices.free_memory(self.operator.device):
            raise MemoryError(memory.start_message(self.operator))
        size = min(len(todo), memory.batch_size(self.operator, n_states))
        while todo and not self._fits(todo, size):
            # Out here nothing holds the batch that did not fit: neither a frame nor the error's trace.
            size = max(1, size // 2)
            if self.operator.device.type == "cuda":
                torch.cuda.empty_cache()

    def _fits(self, todo: deque[Task], size: int) -> bool:
        """Do them, so many at once; whether the memory was enough. If not, what is left is in `todo`."""
        batch = None
        try:
            kernel = torch.empty(
                size, self.operator.n, self.operator.m, dtype=self.operator.dtype, device=self.operator.device
            )
            batch = Batch(self.operator, self.weights, kernel, self.max_sinkhorn)
            batch.run(todo)
        except torch.OutOfMemoryError as error:
            if size == 1:
                raise MemoryError(memory.start_message(self.operator)) from error
            if batch is not None:
                todo.extendleft(reversed(batch.unfinished()))
            return False
        return True
