"""Ctrl-C, what is left after it, and how many threads are used."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import gwrsa
from problems import distances, pair
from solvers import SOLVERS


@pytest.fixture(params=SOLVERS)
def solver(request):
    return request.param


@pytest.fixture
def interrupt():
    """Ctrl-C after so many seconds."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the parent ignores it
    timers = []

    def after(seconds):
        timers.append(threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)))
        timers[-1].start()

    yield after
    for timer in timers:
        timer.join()
    signal.signal(signal.SIGINT, before)


def endless(n):
    """A pair, and settings with which no start ends."""
    return gwrsa.RDM(distances(n, seed=1)), gwrsa.RDM(distances(n, seed=2)), {"tol": 1e-300, "max_outer": 10**7}


def is_whole(solution, shape):
    assert np.isfinite(solution.gw_loss)
    assert np.isfinite(solution.objective)
    assert solution.plan.shape == shape
    assert np.abs(solution.plan.sum(1) - 1 / shape[0]).max() < 1e-12


def test_an_interrupted_solve_has_its_last_plan(interrupt):
    a, b, never = endless(300)
    interrupt(2.0)
    with pytest.raises(gwrsa.Interrupted) as stop:
        gwrsa.entropic_gw(a, b, epsilon=0.05, init="random", **never)
    found = stop.value.found
    assert stop.value.found is found
    assert found.status == "interrupted"
    assert found.n_outer > 1
    is_whole(found, (300, 300))


@pytest.mark.parametrize("search", ["anneal", "multistart"])
def test_an_interrupted_search_keeps_what_it_has(interrupt, search):
    a, b, never = endless(250)
    interrupt(3.0)
    with pytest.raises(KeyboardInterrupt) as stop:
        gwrsa.align(a, b, search=search, epsilon=0.2, n_starts=4, workers=2, progress=False, **never)
    found = stop.value.found
    assert [s.number for s in found.starts] == [0, 1, 2, 3]
    ends = set(found.table["status"])
    assert "interrupted" in ends
    assert ends <= {"interrupted", "stopped"}
    begun = [s for s in found.starts if not s.solution.failed]
    assert begun
    for start in begun:
        is_whole(start.solution, (250, 250))
        assert start.top.shape == (250, 10)
    if search == "multistart":
        # Two at a time: the others had not begun.
        assert len(begun) == 2
        left = next(s for s in found.starts if s.solution.failed)
        assert left.gw_loss == float("inf")
        with pytest.raises(ValueError, match="status 'interrupted' and has no plan"):
            _ = left.plan
    with pytest.warns(UserWarning, match="none of 4 starts converged"):
        best = found.lowest_loss
    assert best in begun
    assert not found.table.drop(columns=["merged_into", "stopped_by"]).isna().to_numpy().any()


def test_starts_that_had_ended_stay_as_they_are(monkeypatch, solver):
    a, b = pair(40)
    args = {"search": "multistart", "n_starts": 4, "workers": 1, "progress": False, **solver}
    whole = gwrsa.align(a, b, **args)
    seen = []

    class Bar:
        """Ctrl-C when the third start has ended."""

        def __init__(self, **_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return False

        def update(self, _):
            seen.append(1)
            if len(seen) == 3:
                raise KeyboardInterrupt

        def set_postfix_str(self, *_, **__):
            pass

    monkeypatch.setattr("tqdm.tqdm", Bar)
    with pytest.raises(gwrsa.Interrupted) as stop:
        gwrsa.align(a, b, **args)
    found = stop.value.found
    assert [s.number for s in found.starts] == [0, 1, 2, 3]
    kept = [s for s in found.starts if s.solution.converged]
    assert len(kept) >= 3
    for start in kept:
        assert start.gw_loss == whole.starts[start.number].gw_loss
        assert np.array_equal(start.plan, whole.starts[start.number].plan)
    assert {s.status for s in found.starts} <= {"converged", "interrupted"}
    assert found.lowest_loss in kept


def test_where_nothing_has_begun_there_is_no_plan():
    end = gwrsa.GWSolution.unbegun(0.1)
    assert end.failed
    assert not end.converged
    with pytest.raises(ValueError, match="this solve ended with status 'interrupted' and has no plan"):
        _ = end.plan


# Processor time from the signal to the exception, which other processes do not change.
LARGE = """
import os, signal, sys, threading, time, numpy as np, gwrsa
from gwrsa.solve import build_problem
at = []
def interrupt():
    at.append(time.process_time())
    os.kill(os.getpid(), signal.SIGINT)
signal.signal(signal.SIGINT, signal.default_int_handler)
rng = np.random.default_rng(0)
x = rng.standard_normal((12_000, 20))
problem = build_problem(gwrsa.Embedding(x), gwrsa.Embedding(x + 0.1 * rng.standard_normal(x.shape)))
start = (sys.argv[1], 0)
threading.Timer(float(sys.argv[2]), interrupt).start()
try:
    problem.solve([((*start, i), [0.05, 0.02]) for i in range(8)], precision="mixed", tol=1e-5, max_outer=1000, max_sinkhorn=1000,
        level_tol=1e-2, level_max_outer=25, threads=2)
except KeyboardInterrupt:
    print(time.process_time() - at[0])
"""


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.2, 1.0])
@pytest.mark.parametrize("start", ["random", "spectral", "profile", "cocluster"])
def test_first_plans_of_a_large_problem_are_left_at_once(start, after):
    said = subprocess.run([sys.executable, "-c", LARGE, start, str(after)], stdout=subprocess.PIPE, check=True).stdout
    # On two threads.
    assert float(said) < 2 * 0.6


def test_workers_bind_all_that_is_asked_of_a_search():
    code = """
import json, os, numpy as np, gwrsa
rng = np.random.default_rng(0)
a, b = (gwrsa.Embedding(rng.random((300, 20))) for _ in range(2))
before = len(os.listdir("/proc/self/task"))
found = gwrsa.align(a, b, n_starts=3, workers=1, progress=False)
found.lowest_loss.plan, found.lowest_loss.solution.top(3), found.near_ties()
gwrsa.entropic_gw(a, b, epsilon=0.02, threads=1).plan
print(json.dumps([before, len(os.listdir("/proc/self/task"))]))
"""
    if not Path("/proc/self/task").is_dir():
        pytest.skip("threads are counted in /proc")
    # The threads of a pool that is not bound would stay, so many; those that libraries start are few.
    many = os.environ | {"RAYON_NUM_THREADS": "40", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    said = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, env=many).stdout
    before, after = json.loads(said)
    assert after < before + 40
