"""A study on a Dask cluster."""

import os
import platform
import signal
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cluster_files import GWRSA, aligned, at_work, dask, ended, kept, start, wait_for
from gwrsa import cluster, study_plan, study_work
from gwrsa.cli import app
from gwrsa.study import Study
from gwrsa.study_compute import Outcome, Progress, cores
from gwrsa.study_gather import Opened
from study_files import LONGER, TABLES, TOML, assert_same, run, shards, write, write_longer

distributed = pytest.importorskip("distributed")
# What Dask warns of when it closes is not ours.
pytestmark = [pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as made,
        distributed.Client(made, set_as_default=False) as found,
    ):
        yield found


@pytest.fixture
def three_threads():
    """A worker with three threads, in this process: what is patched here is patched there."""
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=3, processes=False, dashboard_address=None) as made,
        distributed.Client(made, set_as_default=False) as found,
    ):
        yield found


def test_workers_compute_what_this_process_would_bit_for_bit(tmp_path, made, client):
    run(write(tmp_path), tmp_path / "out", client=client, all_pairs=True)
    assert_same(tmp_path / "out", made[1].folder, (*TABLES, "tables/pairs"))
    before = shards(tmp_path / "out")
    run(write(tmp_path), tmp_path / "out", client=client, all_pairs=True)
    assert shards(tmp_path / "out") == before


def test_a_worker_does_one_pair_at_a_time_on_its_own_threads(tmp_path, made, three_threads, monkeypatch):
    from threadpoolctl import threadpool_info

    seen, at_once, real = [], [], study_work.align

    def align(*args, workers, **how):
        at_once.append(1)
        blas = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
        seen.append((workers, len(at_once), max(blas, default=1) == 1))
        found = real(*args, workers=workers, **how)
        at_once.pop()
        return found

    monkeypatch.setattr(study_work, "align", align)
    run(write(tmp_path), tmp_path / "out", client=three_threads)
    assert set(seen) == {(3, 1, True)}
    assert_same(tmp_path / "out", made[1].folder)


def test_jobs_that_meet_on_a_worker_take_turns(tmp_path, three_threads, monkeypatch):
    lock, most = threading.Lock(), []

    def attempt(work, job, threads):
        most.append(lock.acquire(blocking=False))
        threading.Event().wait(0.05)
        lock.release()
        return 1

    monkeypatch.setattr(cluster, "attempt", attempt)
    monkeypatch.setattr(cluster, "_opened", lambda _: None)
    (tmp_path / "provenance.json").write_text("")
    common = cluster.Common(str(tmp_path), None, None, None)
    futures = [three_threads.submit(cluster.do, common, (), pure=False) for _ in range(6)]
    assert three_threads.gather(futures) == [1] * 6
    assert most == [True] * 6


def test_progress_counts_units_and_starts(tmp_path, client, capsys):
    Study.from_toml(write(tmp_path)).run(tmp_path / "out", client=client, figures=False)
    line = capsys.readouterr().err.split("\r")[-1]
    # near and shuffled are the same values: 5 pairs of 3 starts, and 5 tests.
    assert "small: 100%" in line
    assert "10/10" in line
    assert "15 starts" in line


def test_a_folder_that_a_worker_does_not_see_is_named(tmp_path, client):
    path, out = write(tmp_path), tmp_path / "out"
    Study.from_toml(path).run_shard(out, 1, 1, progress=False)
    work = Opened.of(out).work
    common = cluster.Common(str(tmp_path / "elsewhere"), replace(work.settings, models=()), work.human, None)
    with pytest.raises(
        ValueError, match=r"a folder that every worker sees, got .*elsewhere.*, which tcp://.* does not"
    ):
        client.submit(cluster.do, common, ()).result()


def test_a_worker_of_another_version_is_refused(tmp_path, monkeypatch):
    path, out = write(tmp_path), tmp_path / "out"
    Study.from_toml(path).run_shard(out, 1, 1, progress=False)
    work = Opened.of(out).work
    unit = work.units()[0]
    common = cluster.Common(str(out), replace(work.settings, models=()), work.human, work.categories_digest)
    sent = (cluster.Sent(unit, work.key(unit)),)
    assert cluster.do_sent(common, sent, 1).there == 1
    monkeypatch.setattr(study_work, "__version__", "9.9")
    with pytest.raises(
        ValueError, match="workers must run what the driver runs, but alignment of people with near is another"
    ):
        cluster.do_sent(common, sent, 1)


def test_what_is_no_client_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"client must be a distributed.Client, got 'tcp://1.2.3.4:5'; gwrsa.cluster.connect"
    ):
        run(write(tmp_path), tmp_path / "out", client="tcp://1.2.3.4:5")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("held", ["{}", "[]", '{"address": null}', "no json"])
def test_a_file_that_no_scheduler_wrote_is_refused(tmp_path, held):
    (tmp_path / "dask.json").write_text(held)
    with pytest.raises(
        ValueError, match=r"scheduler must be the address or the file of a running scheduler, got '.*dask.json'"
    ):
        cluster.connect(str(tmp_path / "dask.json"))


def test_an_error_on_a_worker_is_raised_here(tmp_path, three_threads, monkeypatch):
    def align(*args, **how):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(study_work, "align", align)
    with pytest.raises(OSError, match="No space left"):
        run(write(tmp_path), tmp_path / "out", client=three_threads)


@contextmanager
def only_worker_killed(out):
    """A client of one worker, which is killed at its second unit; its nanny starts another, at another address."""
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as made,
        distributed.Client(made, set_as_default=False) as found,
        ThreadPoolExecutor(1) as pool,
    ):
        (pid,) = found.run(os.getpid).values()

        def kill():
            wait_for(lambda: aligned(out) >= 1 and at_work(out))
            os.kill(pid, signal.SIGKILL)

        killed = pool.submit(kill)
        yield found
        killed.result()


@pytest.mark.skipif(sys.platform != "linux", reason="signals are those of Linux")
def test_a_pair_that_kills_every_worker_is_named(tmp_path, longer):
    from dask.config import set as configured

    path, out = write_longer(tmp_path), tmp_path / "out"
    given_up = r"of human with m\d was given up, for every worker that began it died"
    with (
        configured({"distributed.scheduler.allowed-failures": 0}),
        only_worker_killed(out) as found,
        pytest.raises(ChildProcessError, match=given_up),
    ):
        run(path, out, client=found)
    before = shards(out)
    run(path, out)
    assert kept(before, out)
    assert_same(out, longer, LONGER)


@pytest.mark.skipif(sys.platform != "linux", reason="signals are those of Linux")
@pytest.mark.timeout(120)
def test_a_job_that_was_lost_with_the_only_worker_goes_to_the_next(tmp_path, longer):
    path, out = write_longer(tmp_path), tmp_path / "out"
    with only_worker_killed(out) as found:
        run(path, out, client=found)
    assert_same(out, longer, LONGER)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"workers": 2}, "workers must be None with a client, whose workers have their own threads, got 2"),
    ],
)
def test_threads_are_not_given_twice(tmp_path, client, how, message):
    with pytest.raises(ValueError, match=message):
        run(write(tmp_path), tmp_path / "out", client=client, **how)


def test_a_scheduler_that_does_not_answer_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_CONNECT", "0.2s")
    got = CliRunner().invoke(
        app, ["study", str(write(tmp_path)), "--out", str(tmp_path / "o"), "--scheduler", "127.0.0.1:9"]
    )
    assert "scheduler must be the address or the file of a running scheduler, got '127.0.0.1:9'" in str(got.exception)
    assert not (tmp_path / "o").exists()


def test_the_verb_runs_on_a_scheduler_by_its_file(tmp_path, made):
    path, out = write(tmp_path), tmp_path / "out"
    with dask(tmp_path, workers=1, threads=2) as (file, _):
        status, printed, err = ended(start(*GWRSA, "study", path, "--out", out, "--scheduler", file, "--no-report"))
    assert status == 0, err
    assert "written to" in printed
    assert_same(out, made[1].folder)


two_cores = pytest.mark.skipif(cores() < 2, reason="one core, one process")


@two_cores
def test_workers_of_the_verb_are_processes_of_one_thread_that_compute_the_same(tmp_path, made):
    path, out = write(tmp_path), tmp_path / "out"
    began = start(*GWRSA, "study", path, "--out", out, "--workers", "2", "--no-report")
    status, printed, err = ended(began)
    assert status == 0, err
    assert "at work on 2 workers" in err
    assert "written to" in printed
    assert_same(out, made[1].folder)


@two_cores
@pytest.mark.skipif(sys.platform != "linux", reason="signals are those of Linux")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_processes_of_the_verb_end_with_it(tmp_path, longer, how):
    path, out = write_longer(tmp_path), tmp_path / "out"
    command = [*GWRSA, "study", path, "--out", out, "--workers", "2", "--no-report"]
    driver = start(*command, start_new_session=True)
    wait_for(lambda: aligned(out) >= 1 and at_work(out) >= 2)
    if how == signal.SIGINT:
        os.killpg(driver.pid, how)  # as a terminal does
    else:
        driver.kill()
    status, _, err = ended(driver, 60)
    wait_for(lambda: not group(driver.pid), 60)
    assert status == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert "Traceback" not in err
    before = shards(out)
    run(path, out)
    assert kept(before, out)
    assert_same(out, longer, LONGER)


def group(leader):
    """Processes of a session that have not ended."""
    there = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, _, session = entry.read_text().rpartition(")")[2].split()[:4]
            there += [entry] if int(session) == leader and state != "Z" else []
    return there


@pytest.mark.parametrize(
    ("workers", "there", "toml", "expected"),
    [
        (2, 16, "", (2, 1)),
        (16, 16, "", (6, 2)),  # of 6 replicates
        (5, 4, "", (4, 1)),
        (1, 16, "", (1, 1)),
        (16, 16, 'backend = "torch"', (1, 16)),
    ],
)
def test_workers_are_shared_out_to_processes(tmp_path, monkeypatch, workers, there, toml, expected):
    monkeypatch.setattr(cluster, "cores", lambda: there)
    path = write(tmp_path, TOML.replace("[alignment]", f"[alignment]\n{toml}"))
    settings = Study.from_toml(path).settings
    assert cluster.shares(settings, workers) == expected
    monkeypatch.setattr(cluster, "find_spec", lambda _: None)
    assert cluster.shares(settings, workers) == (1, workers)


FAULTS = """
import resource
import numpy as np
from gwrsa.cluster import keep_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        np.ones(1 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = faults()
keep_memory()
print(first, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that is told")
def test_a_worker_keeps_the_memory_of_large_arrays_that_nannies_have_given_back(tmp_path):
    told = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536"}  # as Dask's nannies do
    status, printed, err = ended(start(sys.executable, "-c", FAULTS, env=told))
    assert status == 0, err
    before, after = map(int, printed.split())
    assert after < before / 5


def test_progress_says_what_a_pair_came_to_how_many_failed_and_how_long_the_rest_takes(capsys, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("gwrsa.study_compute.time.monotonic", lambda: clock[0])
    sides = [study_plan.Entry(name, "clip", 0, "cosine", name) for name in ("people", "a", "b", "c", "d", "e")]
    units = [study_plan.Unit("test", sides[0], side) for side in sides[1:]]
    units += [study_plan.Unit("align", sides[0], side) for side in sides[1:]]
    with Progress("tried", units, shown=True) as shown:
        clock[0] = 100.0
        shown.done(tuple(units[:5]), Outcome(done=5))
        clock[0] = 130.0
        shown.done((units[5],), Outcome(done=1, starts=8, failed=2, lowest=0.0123456789))
        shown.done((units[6],), Outcome(busy=("x",)))
        shown.add([replace(units[5], round=1)])
        clock[0] = 160.0
        shown.done((units[7],), Outcome(done=1, starts=8, failed=8))
        shown.doing("2 at work on 2 workers")
        line = capsys.readouterr().err
    assert "alignment of people with a: lowest loss 0.0123457, 8 starts, 2 failed\n" in line.replace("\r", "")
    assert "alignment of people with c: every start failed, 8 starts, 8 failed\n" in line.replace("\r", "")
    # Two of six pairs in 60 seconds, after the tests.
    assert "7/11 RSAs and alignments, " in line.split("\r")[-1]
    assert "16 starts (10 failed), about 02:00 left; 2 at work on 2 workers" in line.split("\r")[-1]


def test_the_dashboard_has_a_page_that_counts_by_pair(tmp_path, client, capsys):
    toml = TOML.replace('name = "small"', 'name = "small <b>"').replace('name = "far"', 'name = "far-off <i>"')
    found = Study.from_toml(write(tmp_path, toml)).run(tmp_path / "out", client=client, figures=False)
    address = next(line for line in capsys.readouterr().err.split() if line.endswith("/gwrsa"))
    with urllib.request.urlopen(address) as answer:  # noqa: S310  # of this machine
        page = answer.read().decode()
    assert "<h1>small &lt;b&gt;</h1><p>10 of 10 units, 15 starts, 0 failed." in page
    rows = found.results.query("target == 'far-off <i>' and replicate == 0")
    numbers = "".join(f'<td class="n">{x}</td>' for x in (len(rows), 0, f"{rows['gw_loss'].min():.6g}"))
    assert f"<tr><td>people with far-off &lt;i&gt;</td>{numbers}</tr>" in page
    groups = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.task_prefixes))
    assert "people with far\N{NON-BREAKING HYPHEN}off <i>" in groups


def test_a_scheduler_that_takes_no_page_does_without(tmp_path, made, client, monkeypatch):
    def refuse(*_):
        raise ValueError("not allowed")

    monkeypatch.setattr(type(client), "register_plugin", refuse)
    run(write(tmp_path), tmp_path / "out", client=client)
    assert_same(tmp_path / "out", made[1].folder)


def test_the_page_sums_what_drivers_tell_and_forgets_old_studies():
    from gwrsa.cluster_page import Page

    page = Page()
    assert "No unit of a study is done yet" in page.html()
    told = {"run": "a", "study": "s", "units": 1, "of": 4, "left": 3725.0, "pair": "x with y", "starts": 5, "failed": 1}
    page.log_event("gwrsa", told | {"lowest": None})
    assert '<td>x with y</td><td class="n">5</td><td class="n">1</td><td class="n"></td>' in page.html()
    page.log_event("gwrsa", told | {"units": 2, "lowest": 0.5})
    page.log_event("gwrsa", told | {"units": 3, "lowest": 0.75})
    page.log_event("gwrsa", told | {"units": 4, "left": None, "pair": None, "starts": 0, "failed": 0, "lowest": None})
    page.log_event("another", {"run": "b"})
    assert "<p>4 of 4 units, 15 starts, 3 failed." in page.html()
    assert '<td>x with y</td><td class="n">15</td><td class="n">3</td><td class="n">0.5</td>' in page.html()
    for i in range(8):
        page.log_event("gwrsa", told | {"run": str(i), "lowest": 0.5})
    assert page.html().count("<h1>") == 8
    assert "about 1:02:05 left" in page.html()
    assert "a" not in page.studies
