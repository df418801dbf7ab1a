"""Real processes and file systems that fail under a study: nothing is lost, nothing whole is done twice, and it is said what happened."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cluster_files import GWRSA, aligned, at_work, dask, ended, kept, start, wait_for
from gwrsa import claims
from gwrsa.shards import Shards, replace, sweep
from gwrsa.study import Study
from gwrsa.study_check import check
from gwrsa.study_inputs import Inputs
from study_files import LONGER, TABLES, assert_same, run, shards, write, write_longer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals, locks and mounts are those of Linux")


# ---- processes


def test_a_worker_that_is_killed_loses_nothing(tmp_path, longer):
    pytest.importorskip("distributed")
    path, out = write_longer(tmp_path), tmp_path / "out"
    with dask(tmp_path) as (file, (_, worker, _)):
        driver = start(*GWRSA, "study", path, "--out", out, "--scheduler", file, "--no-report")
        wait_for(lambda: aligned(out) >= 2 and at_work(out) >= 2)
        before = shards(out)
        worker.kill()
        status, _, err = ended(driver)
    assert status == 0, err
    assert re.search(
        r"worker tcp://\S+ is gone: (alignment|RSA) of human with m\d.*, which it was at, is done again by another", err
    )
    assert len(before) < len(shards(out))
    assert kept(before, out)
    assert_same(out, longer, LONGER)


def test_a_driver_that_is_killed_is_resumed(tmp_path, longer):
    pytest.importorskip("distributed")
    path, out = write_longer(tmp_path), tmp_path / "out"
    with dask(tmp_path) as (file, _):
        command = [*GWRSA, "study", path, "--out", out, "--scheduler", file, "--no-report"]
        driver = start(*command)
        wait_for(lambda: aligned(out) >= 2)
        driver.kill()
        driver.communicate()
        before = shards(out)
        status, _, err = ended(start(*command))
    assert status == 0, err
    assert kept(before, out)
    assert_same(out, longer, LONGER)


def test_a_scheduler_that_is_killed_is_named_and_its_study_resumed_on_another(tmp_path, longer):
    pytest.importorskip("distributed")
    path, out = write_longer(tmp_path), tmp_path / "out"
    with dask(tmp_path) as (file, (scheduler, *_)):
        driver = start(*GWRSA, "study", path, "--out", out, "--scheduler", file, "--no-report")
        wait_for(lambda: aligned(out) >= 2 and at_work(out) >= 2)
        scheduler.kill()
        status, _, err = ended(driver)
    assert status == 2, err
    assert "gwrsa: the scheduler is gone" in err
    assert "what is on disk stays: run again" in err
    file.unlink()
    before = shards(out)
    with dask(tmp_path) as (file, _):
        status, _, err = ended(start(*GWRSA, "study", path, "--out", out, "--scheduler", file, "--no-report"))
    assert status == 0, err
    assert kept(before, out)
    assert_same(out, longer, LONGER)


def test_two_drivers_share_the_work_of_one_folder(tmp_path, longer):
    path, out = write_longer(tmp_path), tmp_path / "out"
    # Both begin in the same moment, and say how much they did.
    code = """
import pathlib, sys, time
import gwrsa.study as s
compute = s.compute
s.compute = lambda *a, **k: print("computed", compute(*a, **k)) or 0
path, out, go, here = map(pathlib.Path, sys.argv[1:])
import gwrsa.study_tables, pyarrow
here.touch()
while not go.exists():
    time.sleep(0.001)
s.Study.from_toml(path).run(out, workers=1, figures=False, progress=False)
"""
    go = tmp_path / "go"
    drivers = [start(sys.executable, "-c", code, path, out, go, tmp_path / f"here{i}") for i in range(2)]
    wait_for(lambda: all((tmp_path / f"here{i}").exists() for i in range(2)))
    go.touch()
    done = [ended(d) for d in drivers]
    assert [status for status, _, _ in done] == [0, 0], done
    counts = [int(printed.split()[-1]) for _, printed, _ in done]
    assert sum(counts) == 16
    assert min(counts) > 0
    assert_same(out, longer, LONGER)
    assert not list(out.rglob("*.claim"))


def test_a_killed_run_without_an_engine_is_resumed(tmp_path, longer):
    path, out = write_longer(tmp_path), tmp_path / "out"
    command = [*GWRSA, "study", path, "--out", out, "--no-report", "--workers", 1]
    driver = start(*command)
    wait_for(lambda: aligned(out) >= 2 and at_work(out))
    driver.kill()
    driver.communicate()
    before = shards(out)
    status, _, err = ended(start(*command))
    assert status == 0, err
    assert kept(before, out)
    assert_same(out, longer, LONGER)


# A clock that is a day ahead, then a day behind, and so on.
JUMPING = """
import itertools, sys, time
now, jumps = time.time, itertools.cycle((86400, -86400))
time.time = lambda: now() + next(jumps)
from gwrsa.cli import main
main()
"""


def test_a_clock_that_jumps_changes_nothing(tmp_path, longer):
    path, out = write_longer(tmp_path), tmp_path / "out"
    drivers = [
        start(sys.executable, "-c", JUMPING, "study", path, "--out", out, "--no-report", "--workers", 1)
        for _ in range(2)
    ]
    done = [ended(d) for d in drivers]
    assert [status for status, _, _ in done] == [0, 0], done
    assert_same(out, longer, LONGER)
    assert not list(out.rglob("*.part"))


def test_what_is_being_written_is_not_swept_away_by_a_clock_that_is_ahead(tmp_path):
    begun, go = threading.Event(), threading.Event()

    def slowly(file):
        file.write(b"half ")
        file.flush()
        begun.set()
        assert go.wait(60)
        file.write(b"whole")

    torn = tmp_path / ".torn.json.x.part"
    torn.write_text("left by a killed run")
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(replace, tmp_path / "slow", slowly)
        assert begun.wait(60)
        ahead = time.time() - 2 * 86400
        for part in tmp_path.glob("*.part"):
            os.utime(part, (ahead, ahead))
        sweep(tmp_path)
        (left,) = tmp_path.glob("*.part")
        assert left != torn
        go.set()
        assert written.result().read_text() == "half whole"
    assert not list(tmp_path.glob("*.part"))


def test_what_is_swept_away_before_it_is_locked_is_begun_again(tmp_path, monkeypatch):
    locks, held = claims.lock, []

    def late(file, *, wait):
        if not held:  # by a clock a day ahead, another run sweeps here
            Path(f"/proc/self/fd/{file.fileno()}").resolve().unlink()
        held.append(locks(file, wait=wait))
        return held[-1]

    monkeypatch.setattr("gwrsa.shards.lock", late)
    assert replace(tmp_path / "whole", lambda file: file.write(b"whole")).read_bytes() == b"whole"
    assert held == [True, True]
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]


# ---- files


@pytest.mark.parametrize("how", ["truncated", "flipped"])
def test_damaged_files_are_named_and_made_again(tmp_path, made, how):
    path, out = write(tmp_path), tmp_path / "out"
    run(path, out, all_pairs=True)
    assert check(out).whole
    rng = random.Random(4)  # noqa: S311  # not for secrets
    files = sorted(
        p for name in ("shards", "plans", "sides") for p in (out / name).iterdir() if not p.name.startswith(".")
    )
    hurt = rng.sample(files, len(files) // 2)
    for file in hurt:
        content = bytearray(file.read_bytes())
        if how == "truncated":
            del content[rng.randrange(len(content)) :]
        else:
            # A bit in the last third: of a shard its result or seal, of an archive its values or directory.
            at = rng.randrange(2 * len(content) // 3, len(content) - 1)
            content[at] ^= 1 << rng.choice((0, 1, 2, 3, 4, 6, 7))
        file.write_bytes(content)
    untouched = {p: c for p, c in shards(out).items() if p not in hurt}
    named = {f.path for f in check(out).findings if f.bad}
    harmless = {p for p in hurt if p.suffix == ".json" and Shards(out / "shards").load(p.stem) is not None}
    readable = {
        p for p in hurt if p.parent.name == "sides" and how == "flipped"
    }  # bits that nothing reads, such as a date
    assert {str(p.relative_to(out)) for p in set(hurt) - harmless - readable} - named <= orphans(out, hurt)
    run(path, out, all_pairs=True)
    assert check(out).whole, check(out).findings
    assert_same(out, made[1].folder, (*TABLES, "tables/pairs"))
    again = shards(out)
    damaged_pairs = {p.stem.rsplit("-", 1)[0] for p in hurt if p.parent.name == "plans"}
    assert all(
        again[p] == c
        for p, c in untouched.items()
        if p.stem.rsplit("-", 1)[0] not in damaged_pairs | {h.stem for h in hurt}
    )


def orphans(out, hurt):
    """Plans whose shard is hurt too: nobody says what they should be."""
    torn = {p.stem for p in hurt if p.parent.name == "shards"}
    return {str(p.relative_to(out)) for p in hurt if p.parent.name == "plans" and p.stem.rsplit("-", 1)[0] in torn}


@pytest.fixture
def small_disk(tmp_path):
    """Mount and remount a file system of its own; needs root."""
    where = tmp_path / "disk"
    where.mkdir()
    if os.geteuid() or not Path("/bin/mount").exists():
        pytest.skip("only root may mount a small disk")

    def mount(options):
        done = subprocess.run(
            ["/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", str(where)],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
        return where

    yield mount
    subprocess.run(["/bin/umount", str(where)], check=False)


def test_a_full_disk_is_named_and_the_study_goes_on_when_there_is_room(tmp_path, made, small_disk):
    path = write(tmp_path)
    out = small_disk("size=72k") / "out"
    command = [*GWRSA, "study", path, "--out", out, "--no-report"]
    status, _, err = ended(start(*command))
    assert status == 2
    full = "No space left on device, no room for this file; nothing that is whole is lost"
    (line,) = [x for x in err.splitlines() if x.startswith("gwrsa: ") and full in x]
    assert str(out) in line
    assert not list(out.rglob("*.part"))
    before = shards(out)
    assert before
    small_disk("remount,size=50m")
    status, _, err = ended(start(*command))
    assert status == 0, err
    assert kept(before, out)
    assert_same(out, made[1].folder)


def test_a_folder_that_cannot_be_written_to_is_named_and_still_read(tmp_path, made, small_disk):
    path = write(tmp_path)
    out = small_disk("size=50m") / "out"
    shutil.copytree(made[1].folder, out)
    small_disk("remount,ro")
    status, _, err = ended(start(*GWRSA, "study", path, "--out", out, "--no-report"))
    assert status == 2
    assert err.startswith(f"gwrsa: out must be a folder that can be written to, got '{out}'")
    assert len(err.splitlines()) == 1
    for verb in ("results", "check"):
        status, printed, err = ended(start(*GWRSA, verb, out))
        assert status == 0, (printed, err)


# ---- inputs


def test_inputs_that_change_under_a_running_study_do_not_reach_it(tmp_path, longer):
    path, out = write_longer(tmp_path), tmp_path / "out"
    driver = start(*GWRSA, "study", path, "--out", out, "--no-report", "--workers", 1)
    wait_for(lambda: aligned(out) >= 1)
    np.save(tmp_path / "m7.npy", np.load(tmp_path / "m6.npy"))
    # A second driver, or a part of an array that begins late, would mix old and new.
    status, _, err = ended(start(*GWRSA, "study", path, "--out", out, "--shard", "1/2"))
    assert status == 2
    assert "out must hold a study of the same inputs, but 'm7.npy' changed since" in err
    status, _, err = ended(driver)
    assert status == 0, err
    assert_same(out, longer, LONGER)
    assert [f.path for f in check(out).findings if f.bad] == ["m7.npy"]


def test_inputs_that_change_between_hash_and_reading_are_refused(tmp_path, monkeypatch):
    path, human = write(tmp_path), Inputs.human

    def slow(self):
        np.save(tmp_path / "near.npy", np.load(tmp_path / "near.npy") * 2)
        return human(self)

    monkeypatch.setattr(Inputs, "human", slow)
    with pytest.raises(ValueError, match=r"'near.npy', which changed while it was read"):
        run(path, tmp_path / "out")
    assert not (tmp_path / "out" / "shards").exists()


def test_a_folder_that_two_begin_at_once_is_no_foreign_one(tmp_path):
    path, out = write(tmp_path), tmp_path / "out"
    out.mkdir()
    (out / ".lock").touch()
    (out / ".provenance.json.x.part").touch()
    assert Study.from_toml(path).run_shard(out, 1, 6, progress=False) == 2
    assert json.loads((out / "provenance.json").read_text())["array"] == 6
