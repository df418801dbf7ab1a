"""A study as a job array on a real Slurm, whose nodes are virtual ones on this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster_files import wait_for
from gwrsa.study_gather import gather
from study_files import TABLES, assert_same, run, write_longer

pytestmark = pytest.mark.slurm
HERE = Path(__file__).parent / "slurm"
LONGER = tuple(t for t in TABLES if t != "tables/categories")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Runs a program of Slurm against three virtual nodes."""
    if not os.environ.get("GWRSA_SLURM"):
        pytest.skip("daemons are started by make test-slurm only")
    folder = tmp_path_factory.mktemp("slurm")
    up = subprocess.run([HERE / "up", folder, "3"], check=False, capture_output=True, text=True)
    if up.returncode:
        subprocess.run([HERE / "down", folder], check=True)
        pytest.fail(up.stderr)
    here = {**os.environ, "SLURM_CONF": up.stdout.split()[-1]}

    def call(*args):
        return subprocess.run(
            [str(a) for a in args], check=False, capture_output=True, text=True, env=here, timeout=300
        )

    yield call
    subprocess.run([HERE / "down", folder], check=True)


def script(folder, path, of):
    """A batch script: the part of its index."""
    code = "from gwrsa.cli import main; main()"
    file = folder / "study.sh"
    file.write_text(
        "#!/bin/bash\n"
        f'exec {sys.executable} -c "{code}" study {path} --out {folder}/out --shard "$SLURM_ARRAY_TASK_ID/{of}" --no-progress\n'
    )
    return file


def test_a_job_array_is_the_study(tmp_path, slurm):
    path = write_longer(tmp_path)
    undisturbed = run(path, tmp_path / "alone").folder
    batch = script(tmp_path, path, 5)
    submit = ("sbatch", "--parsable", f"--output={tmp_path}/%a.txt", "--cpus-per-task=1")
    # Parts 2 and 4 are not run, as if their nodes had failed.
    done = slurm(*submit, "--wait", "--array=1,3,5", batch)
    printed = {p.name: p.read_text() for p in tmp_path.glob("*.txt")}
    assert done.returncode == 0, (done.stderr, printed)
    assert set(printed) == {"1.txt", "3.txt", "5.txt"}
    assert all(f"part {name[0]} of 5: " in text for name, text in printed.items())
    with pytest.raises(ValueError, match=r"6 of 16 units are missing, of the parts 2,4 of 5"):
        gather(tmp_path / "out")
    done = slurm(*submit, "--wait", "--array=2,4", batch)
    assert done.returncode == 0, done.stderr
    assert_same(gather(tmp_path / "out", figures=False).folder, undisturbed, LONGER)


def test_a_part_that_is_cancelled_and_run_again_loses_nothing(tmp_path, slurm):
    path = write_longer(tmp_path)
    undisturbed = run(path, tmp_path / "alone").folder
    batch, out = script(tmp_path, path, 1), tmp_path / "out"
    submit = ("sbatch", "--parsable", f"--output={tmp_path}/%a.txt", "--cpus-per-task=1", "--array=1")
    job = slurm(*submit, batch).stdout.strip()
    wait_for(lambda: len(list((out / "plans").glob("*.npz"))) > 2)
    assert slurm("scancel", "--signal=KILL", "--full", job).returncode == 0
    wait_for(lambda: not slurm("squeue", "-h", "-j", job).stdout.strip())
    before = {p: p.stat().st_mtime_ns for p in (out / "plans").glob("*.npz")}
    with pytest.raises(ValueError, match=r"of 16 units are missing, of the parts 1 of 1"):
        gather(out)
    done = slurm(*submit, "--wait", batch)
    assert done.returncode == 0, done.stderr
    assert_same(gather(out, figures=False).folder, undisturbed, LONGER)
    same = [p for p, t in before.items() if p.stat().st_mtime_ns == t]
    # A pair whose plans were there without its shard was not whole.
    assert len(same) >= len(before) - 2
