"""gwrsa doctor and gwrsa bench: what they say of a machine that is well, of one that is slow, and of a wrong answer."""

import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import gwrsa
from gwrsa import _core, cli, doctor, machine, quick_bench
from problems import distances


def call(*args):
    return CliRunner().invoke(cli.app, list(args), catch_exceptions=False)


def test_doctor_says_what_is_there_and_tests_it():
    said = call("doctor", "--no-speed")
    assert said.exit_code == 0
    for part in (
        f"gwrsa {gwrsa.__version__}",
        f"numpy {np.__version__}",
        _core.simd,
        "100.0% of 300",
        "Answers are right",
    ):
        assert part in said.output
    assert said.output.count("[ok]") == 2


def test_a_wrong_answer_ends_with_status_1(monkeypatch):
    # A solver that couples every object with the first target.
    whole = doctor.GWSolution.top
    monkeypatch.setattr(doctor.GWSolution, "top", lambda self, k: np.zeros_like(whole(self, k)))
    said = call("doctor", "--no-speed")
    assert said.exit_code == 1
    assert "[wrong]" in said.output
    assert "WRONG answer" in said.output


@pytest.mark.parametrize(
    ("times", "blas", "line", "advice"),
    [
        ({1: (2e-3, 1e-3), 2: (1e-3, 5e-4)}, 1e-3, 0, ""),
        ({1: (2e-3, 1e-3), 2: (1e-3, 5e-4)}, 1e-4, 0, "less than half as fast as numpy's"),
        ({1: (1e-3, 1e-3), 2: (2e-3, 5e-4)}, 1e-3, 0, "2 threads on 2 cores are only 0.5 times as fast as one"),
        ({1: (1e-6, 1e-6), 2: (5e-7, 5e-7)}, 1e-7, 2, "times what its parts do"),
    ],
)
def test_slow_parts_are_named(monkeypatch, times, blas, line, advice):
    found = measured(monkeypatch, 2, 2, times, blas)[line]
    assert (found.verdict == "look") == bool(advice)
    assert advice in found.advice


def measured(monkeypatch, cores, physical, times, blas):
    monkeypatch.setattr(machine, "usable_cores", lambda: cores)
    monkeypatch.setattr(machine, "physical_cores", lambda: physical)
    monkeypatch.setattr(doctor, "N_OBJECTS", 200)
    monkeypatch.setattr(doctor, "_time_blas", lambda: blas)
    monkeypatch.setattr(_core, "time_machine", lambda *args: times[args[-1]])
    return doctor.how_fast()


@pytest.mark.parametrize(
    ("cores", "physical", "gain", "well"),
    [
        (16, 16, 4.5, True),
        (16, 16, 3.5, False),
        (16, 8, 4.5, True),
        (8, 4, 2.5, True),  # two threads a core: of 8 cores it would be less than half
        (8, 4, 1.5, False),
        (8, 8, 2.5, False),
        (128, 64, 6.0, True),  # a product of this size keeps no 64 cores busy
        (128, 64, 3.0, False),
        (2, 1, 0.9, True),
    ],
)
def test_threads_are_judged_by_physical_cores(monkeypatch, cores, physical, gain, well):
    times = {1: (1e-3 * gain, 1e-3), cores: (1e-3, 1e-3)}
    found = measured(monkeypatch, cores, physical, times, 1e-3)[0]
    assert found.verdict == ("ok" if well else "look")
    assert well or f"{cores} threads on {physical} cores are only {gain} times as fast as one" in found.advice


@pytest.mark.parametrize(
    ("bound", "siblings", "share", "expected"),
    [
        (range(4), {0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}, 4, 2),
        (range(4), {0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"}, 4, 2),
        (range(4), {i: str(i) for i in range(4)}, 4, 4),
        ((1, 3), {i: f"{i % 4},{i % 4 + 4}" for i in range(8)}, 2, 2),  # bound to one thread of each
        ((1, 5), {i: f"{i % 4},{i % 4 + 4}" for i in range(8)}, 2, 1),  # bound to both threads of one
        (range(8), {i: f"{i % 4},{i % 4 + 4}" for i in range(8)}, 3, 3),  # a share of three cores' time
        (range(4), {0: "0"}, 4, 4),  # it does not say of all
        (range(4), {}, 4, 4),
    ],
)
def test_physical_cores_are_those_of_the_bound_threads(tmp_path, monkeypatch, bound, siblings, share, expected):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(bound), raising=False)
    monkeypatch.setattr(machine, "usable_cores", lambda: share)
    monkeypatch.setattr(machine, "_TOPOLOGY", tmp_path)
    for cpu, text in siblings.items():
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{text}\n")
    assert machine.physical_cores() == expected
    monkeypatch.delattr("os.sched_getaffinity")
    assert machine.physical_cores() == share


def test_threads_of_one_core_are_told(monkeypatch):
    monkeypatch.setattr(machine, "usable_cores", lambda: 8)
    monkeypatch.setattr(machine, "physical_cores", lambda: 4)
    cores = next(line for line in doctor.what_is_there() if line.what == "cores")
    assert ", 4 physical" in cores.said


def test_the_machine_is_measured():
    product, reading = _core.time_machine(256, 32, 256, 3, 1)
    assert 0 < product < 1
    assert 0 < reading < 1
    assert machine.usable_cores() >= 1
    assert "installed" in machine.blas() or "threads" in machine.blas()
    assert {extra for extra, _, _ in machine.extras()} == set(machine.GIVES)


SLICE = "job.slice/a:b.scope"
"""A name may hold a colon."""


@pytest.mark.skipif(
    sys.platform == "win32", reason="control groups are Linux's, and a folder's name holds no colon there"
)
@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        (None, {"cpu.max": "200000 100000"}, 16),  # not Linux, or no control groups
        ("0::/", {}, 16),
        ("0::/", {"cpu.max": "max 100000"}, 16),
        ("0::/", {"cpu.max": "200000 100000"}, 2),
        ("0::/", {"cpu.max": "250000 100000"}, 2),
        ("0::/", {"cpu.max": "50000 100000"}, 1),
        ("0::/", {"cpu.max": "6400000 100000"}, 16),
        ("0::/", {"cpu.max": "what is this"}, 16),
        ("0::/", {"cpu.max": "200000 0"}, 16),
        (f"0::/{SLICE}", {f"{SLICE}/cpu.max": "300000 100000", "job.slice/cpu.max": "max 100000"}, 3),
        (f"0::/{SLICE}", {f"{SLICE}/cpu.max": "max 100000", "job.slice/cpu.max": "500000 100000"}, 5),
        (f"0::/{SLICE}", {f"{SLICE}/cpu.max": "300000 100000", "job.slice/cpu.max": "200000 100000"}, 2),
        ("0::/job.slice", {"other.slice/cpu.max": "100000 100000"}, 16),
        # Of version 1, the container's own group being the root of what it sees.
        ("3:memory:/\n2:cpu,cpuacct:/docker/1f", {"cpu,cpuacct/cpu.cfs_quota_us": "400000"}, 4),
        ("2:cpu:/job", {"cpu/job/cpu.cfs_quota_us": "150000", "cpu/cpu.cfs_quota_us": "-1"}, 1),
        ("2:cpu:/job", {"cpu/job/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_quota_us": "700000"}, 7),
        ("2:cpuset:/job", {"cpuset/job/cpu.cfs_quota_us": "100000"}, 16),
        # Both, version 2 without the processor.
        ("1:cpu:/\n0::/", {"cpu/cpu.cfs_quota_us": "600000", "unified/cgroup.procs": "1"}, 6),
    ],
)
def test_a_share_of_the_cores_is_kept_to(tmp_path, monkeypatch, own, files, expected):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)), raising=False)
    monkeypatch.setattr(machine, "_OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(machine, "_GROUPS", tmp_path / "groups")
    if own is not None:
        (tmp_path / "own").write_text(own + "\n")
    for name, text in files.items():
        file = tmp_path / "groups" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
        if file.name == "cpu.cfs_quota_us":
            file.with_name("cpu.cfs_period_us").write_text("100000\n")
    assert machine.usable_cores() == expected


def test_bench_compares_from_one_start_by_one_loss():
    pytest.importorskip("ot")
    c1, c2 = distances(30, seed=1), distances(30, seed=2)
    ours, pot = quick_bench.paired(c1, c2, rounds=2)
    assert (ours.name, len(ours.seconds), len(pot.seconds)) == ("gwrsa", 2, 2)
    assert pot.name.startswith("POT ")
    assert ours.gw_loss == pytest.approx(pot.gw_loss, rel=1e-3)


def test_bench_of_a_machine_without_pot(monkeypatch):
    monkeypatch.setattr(machine, "installed", lambda _: None)
    said = call("bench", "--objects", "40", "--rounds", "1", "--no-search")
    assert said.exit_code == 0
    assert "POT is not installed" in said.output
    assert "SIMULATION" in said.output
    with pytest.raises(ValueError, match="n must be between 10 and 1854, got 5"):
        call("bench", "--objects", "5")


def test_the_loss_is_pot_s():
    plan = np.random.default_rng(0).random((5, 6))
    plan /= plan.sum()
    c1, c2 = distances(5), distances(6)
    slow = sum(
        (c1[i, k] - c2[j, m]) ** 2 * plan[i, j] * plan[k, m]
        for i in range(5)
        for j in range(6)
        for k in range(5)
        for m in range(6)
    )
    assert quick_bench.gw_loss(c1, c2, plan) == pytest.approx(slow, rel=1e-12)
    assert quick_bench.gw_loss(c1, c2, np.zeros((5, 6))) == np.inf
