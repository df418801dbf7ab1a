"""First plans drawn while a card solves: several at once, in their order, no more than the memory holds."""

import threading
import time

import numpy as np
import pytest
import torch

import gwrsa
from gwrsa.backends.torch import ahead
from gwrsa.backends.torch import problem as torch_problem
from gwrsa.backends.torch.ahead import Ahead, workers
from gwrsa.solve import build_problem
from problems import distances, points

INITS = [("random", 3, i) for i in range(9)]


def search(threads, sides=None):
    a, b = sides or (gwrsa.Embedding(points(60, 5, 1)), gwrsa.Embedding(points(50, 6, 2)))
    problem = build_problem(a, b, backend="torch")
    return torch_problem._Search(problem, torch.float32, 100, threads, lambda *_: None)  # noqa: SLF001


def test_as_many_work_as_there_are_cores_and_memory():
    assert workers(16, 8 * 1854**2) == 16
    assert workers(64, 8 * 1854**2) == 39
    assert workers(16, 8 * 20_000**2) == 1
    assert workers(1, 1) == 1


@pytest.mark.parametrize("sides", [None, (distances(30, seed=1), distances(25, seed=2))])
def test_starts_are_drawn_several_at_once_and_are_the_same(sides, monkeypatch):
    here = search(4, sides)
    together, told = threading.Barrier(4), []
    draw = torch_problem._Search.draw  # noqa: SLF001

    def watched(self, init, threads):
        told.append(threads)
        if init[2] < 4:
            # Broken, and an error, unless four are at work.
            together.wait(60)
        else:
            time.sleep(0.01 * (9 - init[2]))
        return draw(self, init, threads)

    monkeypatch.setattr(torch_problem._Search, "draw", watched)  # noqa: SLF001
    with here.drawn(INITS) as drawn:
        found = [drawn.take(lambda x: x) for _ in INITS]
    assert set(told) == {1}
    core = here.problem.core
    for summary, init in zip(found, INITS, strict=True):
        assert np.array_equal(summary, core.initial_summary(init, 0))


@pytest.mark.parametrize(("threads", "inits", "each"), [(4, INITS, 4), (6, INITS[:2], 3), (1, INITS, 1)])
def test_threads_are_shared_out(threads, inits, each, monkeypatch):
    told = []
    monkeypatch.setattr(torch_problem._Search, "draw", lambda _, __, n: told.append(n) or np.zeros(1))  # noqa: SLF001
    if len(inits) > threads:
        # One plan at a time.
        monkeypatch.setattr(ahead, "_BYTES", 8 * 60 * 50)
    with search(threads).drawn(inits) as drawn:
        for _ in inits:
            drawn.take(lambda x: x)
    assert told == [each] * len(inits)


def test_no_more_is_drawn_ahead_than_the_memory_holds():
    begun = []

    def call(i):
        begun.append(i)
        return i

    def settle(n):
        until = time.monotonic() + 60
        while len(begun) < n and time.monotonic() < until:
            time.sleep(0.001)
        # So that one too many would be seen.
        time.sleep(0.02)

    calls = [lambda i=i: call(i) for i in range(40)]
    with Ahead(calls, 1 << 28, 3) as coming:
        for taken in range(5):
            # Four fit beside those that were taken.
            settle(taken + 4)
            assert sorted(begun) == list(range(taken + 4))
            assert coming.take(lambda i: i) == taken


def test_what_has_not_begun_is_left_when_the_search_ends():
    begun, go = [], threading.Event()

    def call(i):
        begun.append(i)
        assert go.wait(60)

    with Ahead([lambda i=i: call(i) for i in range(40)], 1 << 20, 2):
        while len(begun) < 2:
            time.sleep(0.001)
    go.set()
    time.sleep(0.05)
    assert sorted(begun) == [0, 1]
