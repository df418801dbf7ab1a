"""What the torch backend says where the memory of a device is not enough, outside a batch, which is made smaller; and what it counts."""

import numpy as np
import pytest
import torch

import gwrsa
from gwrsa.backends.torch import memory, solution
from gwrsa.backends.torch import problem as torch_problem
from gwrsa.backends.torch.operator import Operator
from gwrsa.solve import build_problem
from problems import asymmetric, distances, points

SIDES = {
    "dense": lambda: (distances(30, seed=1), distances(25, seed=2)),
    "asymmetric": lambda: (asymmetric(30, 1), asymmetric(25, 2)),
    "factored": lambda: (gwrsa.Embedding(points(60, 5, 1)), gwrsa.Embedding(points(50, 6, 2))),
    "exchanged": lambda: (gwrsa.Embedding(points(50, 6, 2)), gwrsa.Embedding(points(60, 5, 1))),
}
GB = r"\d+\.\d\d GB on cpu, where \d+\.\d\d GB are free; use a device with more memory, or factored costs"


def full(*_, **__):
    raise torch.OutOfMemoryError("as if")


def problem_of(sides="factored"):
    return build_problem(*SIDES[sides](), backend="torch")


def solve(problem, *epsilons, precision="mixed"):
    """Two starts."""
    args = {"precision": precision, "tol": 1e-4, "max_outer": 50, "max_sinkhorn": 300}
    starts = [(("random", 1, i), [e * problem.critical_epsilon() for e in epsilons]) for i in range(2)]
    return problem.solve(starts, level_tol=1e-2, level_max_outer=25, threads=0, **args)


@pytest.mark.parametrize(
    ("epsilons", "where", "said"),
    [
        ((0.3,), (torch_problem, "Operator"), "costs of 60 x 50 objects need"),
        ((0.3,), (torch_problem.Weights, "of"), "costs of 60 x 50 objects need"),
        ((0.3,), (torch_problem, "finished"), "a start of 60 x 50 objects needs"),
        ((0.5, 0.3), (torch_problem._Search, "state"), "losses of 60 x 50 objects, and 2 starts that wait, need"),  # noqa: SLF001
        ((0.5, 0.3), (torch_problem, "finished"), "losses of 60 x 50 objects, and 2 starts that wait, need"),
        ((0.5, 0.3), (torch_problem, "merge"), "losses of 60 x 50 objects, and 2 starts that wait, need"),
    ],
)
def test_wherever_a_solve_runs_out_of_memory_it_says_what_it_needs(epsilons, where, said, monkeypatch):
    problem = problem_of()
    monkeypatch.setattr(*where, full)
    with pytest.raises(MemoryError, match=f"^{said} {GB}$") as told:
        solve(problem, *epsilons)
    assert isinstance(told.value.__cause__, torch.OutOfMemoryError)


def test_a_plan_and_top_targets_that_do_not_fit_say_what_they_need(monkeypatch):
    end = solve(problem_of(), 0.3)[0]
    monkeypatch.setattr(Operator, "rows", full)
    for derive in (end.plan, end.plan_tensor):
        with pytest.raises(MemoryError, match=f"^a plan of 60 x 50 objects needs {GB}$"):
            derive()
    with pytest.raises(MemoryError, match=f"^top targets of 60 x 50 objects need {GB}$"):
        end.top(3)


@pytest.mark.parametrize("sides", ["factored", "exchanged"])
def test_a_plan_is_formed_by_blocks(sides, monkeypatch):
    end, cat, longest = solve(problem_of(sides), 0.3, precision="float64")[0], torch.cat, []
    whole = end.plan()
    assert whole.flags.c_contiguous
    # Four rows a block.
    monkeypatch.setattr(solution, "_BLOCK_BYTES", {"cpu": 4 * 8 * 60, "cuda": 4 * 8 * 60})
    monkeypatch.setattr(
        torch, "cat", lambda parts, *how: longest.append(sum(x.numel() for x in parts)) or cat(parts, *how)
    )
    found, there = end.plan(), end.plan_tensor()
    assert isinstance(there, torch.Tensor)
    assert there.is_contiguous()
    assert found.shape == whole.shape == end.problem.shape
    assert np.abs(found - whole).sum() < 1e-9
    assert np.array_equal(there.numpy(), found)
    # Nothing of the size of a plan was put together from its blocks.
    assert max(longest) <= 60


@pytest.mark.parametrize("sides", SIDES)
def test_costs_are_counted(sides):
    problem = problem_of(sides)
    dtypes = {torch.float32, torch.float64}

    def held(x):
        return (
            x.untyped_storage().nbytes()
            if isinstance(x, torch.Tensor)
            else sum(map(held, x))
            if isinstance(x, (tuple, list))
            else 0
        )

    taken = sum(held(x) for dtype in dtypes for x in vars(problem.operator(dtype)).values())
    assert taken <= memory.costs_bytes(problem._arrays, dtypes) < 1.2 * taken + 8 * 4 * (60 + 50)  # noqa: SLF001
