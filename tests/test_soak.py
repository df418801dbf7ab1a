"""Calls from many threads and after fork have the bits of a lone run; a short soak, and that its judge can say no."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import soak

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads /proc")

FLAT = [soak.Sample(float(i), 200 << 20, 3, 10, 0.1) for i in range(50)]


@pytest.fixture(scope="module")
def work():
    made = soak.tasks()
    return made, {name: soak.bits(call()) for name, call in made.items()}


def test_many_threads_have_the_bits_of_a_lone_run(work):
    assert soak.from_threads(*work) == []


def python(code):
    """In a process of its own: what other tests have imported may not survive a fork."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_forked_child_has_the_bits_of_its_parent(work):
    code = (
        "import soak; w = soak.tasks(); b = {n: soak.bits(c()) for n, c in w.items()}; print(soak.after_fork(w, b, w))"
    )
    done = python(code)
    assert done.stdout.strip() == "[]", done.stderr


def test_other_bits_are_seen(work):
    made, wanted = work
    other = {**wanted, "rsa": ["0.5"]}
    assert soak.from_threads({"rsa": made["rsa"]}, other) == ["rsa"]
    done = python("import soak; w = {'rsa': soak.tasks()['rsa']}; print(soak.after_fork(w, {'rsa': ['0.5']}, ['rsa']))")
    assert done.stdout.strip() == "['rsa after fork']", done.stderr


def test_a_short_soak():
    """Of three rounds the first warms up, and the judge compares the others; resident memory takes longer to settle."""
    code = "import json, soak; s, w = soak.run(rounds=3); print(json.dumps([len(s), w, soak.judge(s)]))"
    done = python(code)
    assert done.returncode == 0, done.stderr
    rounds, wrong, grew = json.loads(done.stdout)
    assert rounds == 3
    assert wrong == []
    assert [said for said in grew if "memory" not in said] == []


def test_the_judge():
    assert soak.judge(FLAT) == []
    assert "memory grew" in soak.judge([replace(s, resident=s.resident + (i << 20)) for i, s in enumerate(FLAT)])[0]
    assert "threads grew from 3 to 4" in soak.judge([*FLAT[:-1], replace(FLAT[-1], threads=4)])[0]
    assert "threads grew from 3 to 4" in soak.judge([*FLAT[:2], replace(FLAT[2], threads=4)])[0]
    assert "files grew" in soak.judge([*FLAT[:2], replace(FLAT[2], files=11)])[0]
    assert "files grew" in soak.judge([*FLAT[:-1], replace(FLAT[-1], files=11)])[0]
    assert "interrupted" in soak.judge([replace(FLAT[0], interrupt=60.0), *FLAT[1:]])[0]
