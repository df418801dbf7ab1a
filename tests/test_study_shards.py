"""A study cut into parts, as a job array does, and put together."""

import shutil

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from gwrsa.cli import app
from gwrsa.shards import Shards
from gwrsa.store import Results
from gwrsa.study import Study
from gwrsa.study_compute import cores
from gwrsa.study_gather import Opened, gather
from study_files import TABLES, TOML, assert_same, fake_networks, run, shards, write


def part(path, out, number, of, **how):
    return Study.from_toml(path).run_shard(out, number, of, progress=False, **how)


def call(*args):
    return CliRunner().invoke(app, [str(a) for a in args])


@pytest.mark.parametrize("of", [1, 3, 40])
def test_parts_put_together_are_the_study_bit_for_bit(tmp_path, made, of):
    path, out = write(tmp_path), tmp_path / "out"
    counts = [part(path, out, i, of, all_pairs=True) for i in range(of, 0, -1)]
    opened = Opened.of(out)
    assert sum(counts) == len(opened.work.units())
    assert opened.missing() == []
    with pytest.raises(ValueError, match="finished study"):
        Results.open(out)
    # The parts are put together without the inputs.
    for name in ("human.npy", "near.npy", "shuffled.npz", "far.npy", "categories.csv", "items.txt"):
        (tmp_path / name).unlink()
    found = gather(out, figures=False)
    assert_same(out, made[1].folder, (*TABLES, "tables/pairs"))
    assert found.provenance["by_position"] == []
    for key in found.chosen["key"]:
        np.testing.assert_array_equal(found.plan(key), made[1].plan(key))
    assert found.provenance["seconds"] > 0


def test_a_run_after_parts_computes_what_is_missing_only(tmp_path, made):
    path, out = write(tmp_path), tmp_path / "out"
    part(path, out, 2, 3)
    before = shards(out)
    run(path, out)
    assert {p: now for p, now in shards(out).items() if p in before} == before
    assert_same(out, made[1].folder)
    assert part(path, out, 1, 7) == 0
    assert Results.open(out).provenance["finished"]


def test_a_part_reads_its_own_sides_only(tmp_path):
    path, out = write(tmp_path), tmp_path / "out"
    part(path, out, 1, 12)
    # The human side, and the first model.
    assert len(list((out / "sides").iterdir())) == 2


def test_what_is_missing_is_named_with_the_parts_to_run_again(tmp_path):
    path, out = write(tmp_path), tmp_path / "out"
    for i in (1, 2, 4):
        part(path, out, i, 4)
    with pytest.raises(
        ValueError, match=r"2 of 12 units are missing, of the parts 3 of 4: alignment of people with far; .*run those"
    ):
        gather(out)
    assert part(path, out, 3, 4) > 0
    (plan,) = [p for p in (out / "plans").iterdir() if p.name.startswith(far_key(out))][:1]
    plan.unlink()
    got = call("merge", out, "--no-report")
    assert got.exit_code == 1
    assert "1 of 12 units are missing, of the parts 3 of 4: alignment of people with far;" in str(got.exception)


def far_key(out):
    opened = Opened.of(out)
    far = next(e for e in opened.entries.values() if e.name == "far")
    return next(opened.work.key(u) for u in opened.work.units() if u.what == "align" and u.target == far)


def test_the_folder_of_another_version_says_so(tmp_path, monkeypatch):
    path, out = write(tmp_path), tmp_path / "out"
    part(path, out, 1, 1)
    for module in ("study_prepare", "study_work", "study_gather"):
        monkeypatch.setattr(f"gwrsa.{module}.__version__", "9.9")
    with pytest.raises(
        ValueError, match=r"12 of 12 units are missing.*written by gwrsa 0.*; this is 9.9, which reads no other"
    ):
        gather(out)


@pytest.mark.parametrize("shard", ["0/3", "4/3", "3", "a/b", "1/0", "-1/3", "1/3/5", "", "1/", "1.0/3", "²/3"])
def test_a_part_that_is_none_is_refused_before_anything_is_read(tmp_path, shard):
    got = call("study", write(tmp_path), "--out", tmp_path / "out", "--shard", shard)
    assert isinstance(got.exception, ValueError)
    assert "shard must be I/N" in str(got.exception)
    assert repr(shard) in str(got.exception)
    assert not (tmp_path / "out").exists()


def test_parts_and_merge_from_the_command_line(tmp_path, made):
    path, out = write(tmp_path), tmp_path / "out"
    for i in (1, 2):
        got = call("study", path, "--out", out, "--shard", f"{i}/2", "--workers", 1, "--no-progress")
        assert got.exit_code == 0, got.output
        assert got.output.startswith(f"part {i} of 2: ")
    got = call("merge", out, "--no-report")
    assert got.exit_code == 0, got.output
    assert f"written to {out}" in got.output
    assert_same(out, made[1].folder)
    for wrong, message in (
        (("merge", out, "--out", tmp_path / "other"), "out must not be given with one folder"),
        (("merge", out, out), "out must be given with 2 folders"),
        (
            ("study", path, "--out", out, "--shard", "1/2", "--scheduler", "x"),
            "shard must not be given with a scheduler",
        ),
        (
            ("study", path, "--out", out, "--workers", 2, "--scheduler", "x"),
            "workers must not be given with a scheduler",
        ),
    ):
        assert message in str(call(*wrong).exception)


def test_slurm_says_how_many_threads_there_are(tmp_path, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr("gwrsa.machine._OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr("gwrsa.machine._GROUPS", tmp_path)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    monkeypatch.delenv("SLURM_CPUS_ON_NODE", raising=False)
    assert cores() == 64
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "8")
    assert cores() == 8
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    assert cores() == 3
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "100")
    assert cores() == 64
    # A container's share holds, whatever Slurm says.
    (tmp_path / "own").write_text("0::/\n")
    (tmp_path / "cpu.max").write_text("400000 100000\n")
    assert cores() == 4
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    assert cores() == 3
    monkeypatch.delenv("SLURM_CPUS_PER_TASK")
    monkeypatch.delenv("SLURM_CPUS_ON_NODE")
    assert cores() == 4


def test_networks_are_run_by_the_part_that_needs_them(tmp_path, monkeypatch):
    calls = []

    def fake(images, model, *, seed, progress, **how):
        import gwrsa

        calls.append(seed)
        items = [f"object {i}" for i in range(24)]
        return gwrsa.Embedding(np.random.default_rng(seed).standard_normal((24, 6)), items, name=model)

    fake_networks(monkeypatch, fake)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "object 1.png").write_bytes(b"one")
    network = '[[models]]\nname = "network"\nfamily = "untrained"\nextract = "timm/resnet18"\nseeds = 3\n[images]\nroot = "images"\n'
    path, out = write(tmp_path, TOML + network), tmp_path / "out"
    # Six other sides come first: 7 to 9 are its alignments, 16 to 18 its tests.
    part(path, out, 7, 9)
    assert calls == [0]
    part(path, out, 8, 9)
    part(path, out, 7, 9)
    assert calls == [0, 1]
    lost = Opened.of(out).complaint(Opened.of(out).missing())
    assert "alignment of people with network (2)" in "; ".join(m.what for m in Opened.of(out).missing())
    assert lost.startswith("14 of 18 units are missing, of the parts 1,2,3,4,5,6,9 of 9")
    run(path, out)
    assert calls == [0, 1, 2]


def test_another_process_that_is_at_a_unit_is_waited_for(tmp_path, made, monkeypatch):
    path, out = write(tmp_path), tmp_path / "out"
    part(path, out, 1, 1)
    whole = tmp_path / "whole"
    shutil.copytree(out, whole)
    key = far_key(out)
    Shards(out / "shards").path(key).unlink()
    from gwrsa.claims import claim

    waits = []

    def other_finishes(_):
        waits.append(1)
        held.__exit__(None, None, None)
        shutil.copy(whole / "shards" / f"{key}.json", out / "shards")

    held = claim(out / "shards", key)
    assert held.__enter__()
    monkeypatch.setattr("gwrsa.claims.time.sleep", other_finishes)
    monkeypatch.setattr("gwrsa.study_work.align", None)
    assert part(path, out, 1, 1) == 0
    assert waits == [1]
    assert not list(out.rglob("*.claim"))
    pd.testing.assert_frame_equal(
        gather(out, figures=False).results, gather(whole, figures=False).results, check_exact=True
    )
