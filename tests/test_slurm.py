"""A study on a real Slurm, whose nodes are virtual ones on this machine: as a job array, and on Dask workers that are its jobs."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cluster_files import aligned, at_work, ended, kept, start, wait_for
from gwrsa.study_gather import gather
from study_files import LONGER, assert_same, shards, write_longer

pytestmark = pytest.mark.slurm
HERE = Path(__file__).parent / "slurm"
NODES = 4


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Runs a program of Slurm against virtual nodes; `folder` is theirs, `environment` what makes programs find them."""
    if not os.environ.get("GWRSA_SLURM"):
        pytest.skip("daemons are started by make test-slurm only")
    folder = tmp_path_factory.mktemp("slurm")
    up = subprocess.run([HERE / "up", folder, str(NODES)], check=False, capture_output=True, text=True)
    if up.returncode:
        subprocess.run([HERE / "down", folder], check=True)
        pytest.fail(up.stderr)
    here = {**os.environ, "SLURM_CONF": up.stdout.split()[-1]}

    def call(*args):
        return subprocess.run(
            [str(a) for a in args], check=False, capture_output=True, text=True, env=here, timeout=300
        )

    call.folder, call.environment = folder, here
    yield call
    call("scancel", "--partition=virtual")
    subprocess.run([HERE / "down", folder], check=True)


def script(folder, path, of):
    """A batch script: the part of its index, in a process whose number is written down."""
    code = "from gwrsa.cli import main; main()"
    file = folder / "study.sh"
    file.write_text(
        "#!/bin/bash\n"
        f"echo $$ $PPID $SLURMD_NODENAME > {folder}/$SLURM_ARRAY_TASK_ID.process\n"
        f'exec {sys.executable} -c "{code}" study {path} --out {folder}/out --shard "$SLURM_ARRAY_TASK_ID/{of}" --no-progress\n'
    )
    return file


def submit(slurm, folder, batch, array, *how):
    """Number of a job array."""
    done = slurm(
        "sbatch", "--parsable", f"--output={folder}/%a.txt", "--cpus-per-task=1", f"--array={array}", *how, batch
    )
    assert done.returncode == 0, (done.stderr, {p.name: p.read_text() for p in folder.glob("*.txt")})
    return done.stdout.strip()


def wait_until_gone(slurm, job):
    wait_for(lambda: not slurm("squeue", "-h", "-j", job).stdout.strip(), 300)


def amid(out):
    """Wait until some pairs are whole, and another is at work."""
    wait_for(lambda: aligned(out) >= 2 and at_work(out))
    return shards(out)


def test_a_job_array_is_the_study(tmp_path, slurm, longer):
    path = write_longer(tmp_path)
    batch = script(tmp_path, path, 5)
    # Parts 2 and 4 are not run, as if their nodes had failed.
    submit(slurm, tmp_path, batch, "1,3,5", "--wait")
    printed = {p.name: p.read_text() for p in tmp_path.glob("*.txt")}
    assert set(printed) == {"1.txt", "3.txt", "5.txt"}
    assert all(f"part {name[0]} of 5: " in text for name, text in printed.items())
    with pytest.raises(ValueError, match=r"6 of 16 units are missing, of the parts 2,4 of 5"):
        gather(tmp_path / "out")
    submit(slurm, tmp_path, batch, "2,4", "--wait")
    assert_same(gather(tmp_path / "out", figures=False).folder, longer, LONGER)


def test_a_part_that_is_cancelled_and_submitted_again_loses_nothing(tmp_path, slurm, longer):
    batch, out = script(tmp_path, write_longer(tmp_path), 1), tmp_path / "out"
    job = submit(slurm, tmp_path, batch, "1")
    before = amid(out)
    assert slurm("scancel", "--signal=KILL", "--full", job).returncode == 0
    wait_until_gone(slurm, job)
    with pytest.raises(ValueError, match=r"of 16 units are missing, of the parts 1 of 1"):
        gather(out)
    submit(slurm, tmp_path, batch, "1", "--wait")
    assert kept(before, out)
    assert_same(gather(out, figures=False).folder, longer, LONGER)


def test_a_part_that_is_requeued_goes_on_where_it_was(tmp_path, slurm, longer):
    batch, out = script(tmp_path, write_longer(tmp_path), 1), tmp_path / "out"
    job = submit(slurm, tmp_path, batch, "1")
    before = amid(out)
    assert slurm("scontrol", "requeue", f"{job}_1").returncode == 0
    wait_until_gone(slurm, job)
    assert kept(before, out)
    assert len(before) < len(shards(out))
    assert_same(gather(out, figures=False).folder, longer, LONGER)


def test_a_node_that_dies_takes_nothing_with_it(tmp_path, slurm, longer):
    batch, out = script(tmp_path, write_longer(tmp_path), 2), tmp_path / "out"
    job = submit(slurm, tmp_path, batch, "1,2")
    before = amid(out)
    process, step, node = (tmp_path / "1.process").read_text().split()
    # As when its power fails: the daemon, the job's step and the job.
    for pid in ((slurm.folder / f"{node}.pid").read_text(), step, process):
        os.kill(int(pid), signal.SIGKILL)
    wait_for(lambda: "down" in slurm("sinfo", "-h", "-n", node, "-o", "%T").stdout)
    wait_until_gone(slurm, job)
    assert kept(before, out)
    elsewhere = (tmp_path / "1.process").read_text().split()[2]
    assert elsewhere != node
    assert_same(gather(out, figures=False).folder, longer, LONGER)
    again = subprocess.run(["slurmd", "-f", slurm.environment["SLURM_CONF"], "-N", node], check=False)  # noqa: S607
    assert again.returncode == 0
    wait_for(lambda: "idle" in slurm("sinfo", "-h", "-n", node, "-o", "%T").stdout)


CLUSTER = """
import sys
from dask_jobqueue import SLURMCluster
from distributed import Client
from gwrsa.study import Study

path, out, logs = sys.argv[1:]
with SLURMCluster(
    queue="virtual", cores=1, processes=1, memory="400MB", interface="lo", walltime="01:00:00", log_directory=logs
) as cluster, Client(cluster) as client:
    cluster.scale(jobs=3)
    Study.from_toml(path).run(out, client=client, figures=False, progress=False)
"""


def test_jobs_of_a_slurm_cluster_are_dask_workers_and_one_of_them_may_be_cancelled(tmp_path, slurm, longer):
    pytest.importorskip("dask_jobqueue")
    path, out = write_longer(tmp_path), tmp_path / "out"
    driver = start(sys.executable, "-c", CLUSTER, path, out, tmp_path / "logs", env=slurm.environment)
    before = amid(out)
    first = slurm("squeue", "-h", "-t", "R", "-n", "dask-worker", "-o", "%i").stdout.split()[0]
    assert slurm("scancel", first).returncode == 0
    status, _, err = ended(driver)
    assert status == 0, err
    assert kept(before, out)
    assert_same(out, longer, LONGER)


RUNNER = """
import sys
from dask_jobqueue.slurm import SLURMRunner
from distributed import Client
from gwrsa.study import Study

path, out, file = sys.argv[1:]
with SLURMRunner(
    scheduler_file=file, scheduler_options={"interface": "lo", "dashboard": False}, worker_options={"nthreads": 1}
) as runner, Client(runner) as client:
    Study.from_toml(path).run(out, client=client, figures=False, progress=False)
"""


def test_tasks_of_one_job_are_scheduler_driver_and_workers(tmp_path, slurm, longer):
    pytest.importorskip("dask_jobqueue")
    path, out, program = write_longer(tmp_path), tmp_path / "out", tmp_path / "program.py"
    program.write_text(RUNNER)
    done = slurm("srun", f"--ntasks={NODES}", sys.executable, program, path, out, tmp_path / "scheduler-{job_id}.json")
    assert (done.returncode, (out / "results.parquet").is_file()) == (0, True), done.stderr
    assert_same(out, longer, LONGER)
