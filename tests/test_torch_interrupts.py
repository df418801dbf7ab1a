"""Ctrl-C in the torch backend, at any moment of an outer step: what was found until then has a plan, and is not far from where it was."""

import numpy as np
import pytest
import torch

import gwrsa
from gwrsa.backends.torch import descent, sinkhorn
from gwrsa.backends.torch import problem as torch_problem
from gwrsa.backends.torch.anderson import Anderson
from gwrsa.backends.torch.forecast import Forecast
from gwrsa.backends.torch.graphs import Repeated
from gwrsa.backends.torch.operator import Operator
from gwrsa.backends.torch.solution import Rows
from problems import distances, points

N, M = 60, 50
SIDES = {
    "factored": lambda: (gwrsa.Embedding(points(N, 5, 1)), gwrsa.Embedding(points(M, 6, 2))),
    "exchanged": lambda: (gwrsa.Embedding(points(N, 6, 2)), gwrsa.Embedding(points(M, 5, 1))),
    "dense": lambda: (distances(N, seed=1), distances(M, seed=2)),
}
# Where Ctrl-C comes, before or after that is done.
MOMENTS = {
    "before the exponent": (Operator, "exponent", "before"),
    "after the exponent": (Operator, "exponent", "after"),
    "in the exponent": (Operator, "exponent", "within"),
    "after the potentials were absorbed": (sinkhorn.Scaling, "_absorb", "after"),
    "before the columns are reset": (sinkhorn.Scaling, "_reset_columns", "before"),
    "before the first sweep": (sinkhorn.Scaling, "_first_sweep", "before"),
    "after the first sweep": (sinkhorn.Scaling, "_first_sweep", "after"),
    "between sweeps": (Repeated, "__call__", "after"),
    "before the summary": (Operator, "summarise", "before"),
    "before the next iterate": (Forecast, "learn", "before"),
    "after the next iterate": (descent.Batch, "_advance", "after"),
}


def interrupted(monkeypatch, moment, after):
    """Ctrl-C there, when so many outer steps are over."""
    owner, name, when = MOMENTS[moment]
    method, step, begun, came = getattr(owner, name), descent.Batch._step, [], []  # noqa: SLF001

    def counted(self):
        begun.append(1)
        step(self)

    def stopped(self, *args):
        now = len(begun) > after and not came
        if now:
            came.append(1)
            if when == "before":
                raise KeyboardInterrupt
        result = method(self, *args)
        if now:
            if when == "within":
                args[-1].mul_(100)
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(descent.Batch, "_step", counted)
    monkeypatch.setattr(owner, name, stopped)
    return came


def is_whole(solution):
    assert np.isfinite(solution.gw_loss)
    assert np.isfinite(solution.objective)
    assert solution.plan.shape == (N, M)
    assert np.abs(solution.plan.sum(1) - 1 / N).max() < 1e-12
    assert np.abs(solution.plan.sum(0) - 1 / M).max() < 1e-12
    assert solution.top(3).shape == (N, 3)


@pytest.mark.parametrize("precision", ["mixed", "float64"])
@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interrupted_solve_is_about_where_it_was(moment, sides, precision, monkeypatch):
    c1, c2 = SIDES[sides]()
    epsilon = 0.3 * gwrsa.solve.build_problem(c1, c2).critical_epsilon()
    args = {"epsilon": epsilon, "init": "random", "seed": 5, "backend": "torch", "precision": precision, "tol": 1e-9}
    steps = 12
    near = [gwrsa.entropic_gw(c1, c2, **args, max_outer=n) for n in (steps - 1, steps, steps + 1)]
    came = interrupted(monkeypatch, moment, steps)
    with pytest.raises(gwrsa.Interrupted) as stop:
        gwrsa.entropic_gw(c1, c2, **args)
    assert came
    monkeypatch.undo()
    found = stop.value.found
    assert stop.value.found is found
    assert found.status == "interrupted"
    assert found.n_outer in {steps - 1, steps, steps + 1}
    assert found.path == [(epsilon, found.n_outer, found.change)]
    is_whole(found)
    # Its rows are exact before they are rounded: potentials of the moment can hold a scaling twice.
    raw = found._raw  # noqa: SLF001
    rows = Rows(raw.problem, raw.y, raw.f, raw.g)
    assert torch.allclose(torch.cat([block.sum(1) for _, block in rows.computed()]), rows.p, rtol=1e-4)
    # No farther from the steps around it than those are from each other, but for marginals that were not yet fitted.
    apart = max(np.abs(a.plan - b.plan).sum() for a in near for b in near)
    assert min(np.abs(found.plan - end.plan).sum() for end in near) < apart + 0.05


def test_before_its_first_step_a_solve_has_no_plan(monkeypatch):
    interrupted(monkeypatch, "before the first sweep", 0)
    with pytest.raises(gwrsa.Interrupted) as stop:
        gwrsa.entropic_gw(*SIDES["factored"](), epsilon=0.02, backend="torch")
    assert stop.value.found.failed
    assert (stop.value.found.status, stop.value.found.n_outer) == ("interrupted", 0)


def related(n=N):
    x = points(n, 5, 1)
    return gwrsa.Embedding(x), gwrsa.Embedding(x + 0.4 * np.random.default_rng(3).standard_normal(x.shape))


@pytest.mark.parametrize("moment", ["after the potentials were absorbed", "between sweeps", "after the next iterate"])
def test_starts_on_their_way_keep_their_plans(moment, monkeypatch):
    monkeypatch.setattr(torch_problem.memory, "batch_size", lambda *_: 2)
    came = interrupted(monkeypatch, moment, 6)
    args = {"search": "multistart", "epsilon": 0.3, "n_starts": 4, "backend": "torch", "tol": 1e-9, "progress": False}
    with pytest.raises(gwrsa.Interrupted) as stop:
        gwrsa.align(*related(), **args)
    assert came
    monkeypatch.undo()
    found = stop.value.found
    assert [s.status for s in found.starts] == ["interrupted"] * 4
    # Two at a time: the others had not begun.
    assert [s.solution.failed for s in found.starts] == [False, False, True, True]
    for start in found.starts[:2]:
        assert np.isfinite(start.gw_loss)
        assert start.plan.shape == (N, N)


@pytest.mark.parametrize("after", [3, 25, 60])
def test_starts_that_come_down_a_schedule_keep_their_plans(after, monkeypatch):
    came = interrupted(monkeypatch, "between sweeps", after)
    args = {"n_starts": 6, "backend": "torch", "tol": 1e-9, "precision": "float64", "progress": False}
    with pytest.raises(gwrsa.Interrupted) as stop:
        gwrsa.align(*related(), **args)
    assert came
    monkeypatch.undo()
    found = stop.value.found
    assert "interrupted" in set(found.table["status"])
    assert set(found.table["status"]) <= {"interrupted", "stopped"}
    for start in found.starts:
        if not start.solution.failed:
            assert np.isfinite(start.gw_loss)
            assert start.solution.n_outer == sum(steps for _, steps, _ in start.solution.path)
            assert start.plan.shape == (N, N)
    assert any(not start.solution.failed for start in found.starts)


def test_a_full_card_does_not_turn_an_interrupt_into_a_smaller_batch(monkeypatch):
    def full(self):
        raise torch.OutOfMemoryError("as if")

    monkeypatch.setattr(descent.Batch, "_leave", full)
    interrupted(monkeypatch, "between sweeps", 3)
    with pytest.raises(gwrsa.Interrupted) as stop:
        gwrsa.entropic_gw(*SIDES["factored"](), epsilon=0.02, init="random", backend="torch")
    assert stop.value.found.failed


def test_slots_that_are_being_moved_are_not_told_of(monkeypatch):
    """A plan must not come under the number of another start."""
    monkeypatch.setattr(torch_problem.memory, "batch_size", lambda *_: 4)
    take = Anderson.take

    def stopped(self, index):
        take(self, index)
        raise KeyboardInterrupt

    monkeypatch.setattr(Anderson, "take", stopped)
    args = {"search": "multistart", "epsilon": (0.3, 3.0), "n_starts": 4, "backend": "torch", "progress": False}
    with pytest.raises(gwrsa.Interrupted) as stop:
        gwrsa.align(*related(), **args)
    monkeypatch.undo()
    whole = gwrsa.align(*related(), **args)
    for start in stop.value.found.starts:
        if not start.solution.failed:
            assert start.gw_loss == pytest.approx(whole.starts[start.number].gw_loss, rel=1e-6)
