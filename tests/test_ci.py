"""What CI leaves out it says with the right reason, and where it may leave out nothing a skip is a failure."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CI = HERE.parent / ".ci" / "run"


@pytest.mark.skipif(sys.platform != "linux", reason="CI runs on Linux")
@pytest.mark.parametrize(
    ("user", "there", "verb", "reason"),
    [
        (1001, (), None, "are skipped: they need root"),
        (1001, ("slurmctld",), None, "are skipped: they need root"),
        (0, (), None, "are skipped: it is not here, and cannot be installed"),
        (0, ("slurmctld",), "make test-slurm", None),
    ],
)
def test_what_ci_skips_is_said_with_its_reason(tmp_path, user, there, verb, reason):
    programs = {"id": f"echo {user}", "make": 'echo "make $1"', "apt-get": "exit 1", **dict.fromkeys(there, "exit 0")}
    for name, line in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    for name in ("sh", "dirname", "timeout"):
        (tmp_path / name).symlink_to(shutil.which(name))
    done = subprocess.run(
        [tmp_path / "sh", CI], env={"PATH": str(tmp_path)}, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    *verbs, last = done.stdout.splitlines()
    assert verbs == ["make lint", "make test", "make docs"]
    assert last == verb if verb else reason in last


@pytest.mark.parametrize("allowed", [True, False])
def test_a_skip_is_a_failure_where_nothing_may_be_skipped(allowed):
    said = {} if allowed else {"GWRSA_NO_SKIPS": "1"}
    kept = {name: value for name, value in os.environ.items() if name not in {"GWRSA_NO_SKIPS", "GWRSA_SLURM"}}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "-m",
        "slurm",
        "tests/test_slurm.py",
    ]
    done = subprocess.run(command, cwd=HERE.parent, env=kept | said, check=False, capture_output=True, text=True)
    assert ("daemons are started by make test-slurm only" in done.stdout) is not allowed
    assert done.returncode == (0 if allowed else 1), done.stdout
