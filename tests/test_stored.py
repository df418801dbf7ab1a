"""What is in the folder of a study: listed, filtered, checked."""

import io
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import store_files
from gwrsa import store
from gwrsa.cli import app
from gwrsa.study import Study
from gwrsa.study_check import check
from gwrsa.study_gather import gather
from gwrsa.study_listing import listing
from study_files import write


def call(*args):
    return CliRunner().invoke(app, [str(a) for a in args])


@pytest.fixture
def copied(tmp_path, made):
    """The small study, to be damaged; its inputs where they were."""
    shutil.copytree(made[1].folder, tmp_path / "out")
    return tmp_path / "out"


# ---- results


def test_all_starts_are_listed_as_they_are_in_the_table(made):
    table, words = listing(made[1].folder)
    pd.testing.assert_frame_equal(table, made[1].results)
    assert words == "finished"
    for flag, read in (("--csv", pd.read_csv), ("--json", None)):
        got = call("results", made[1].folder, flag)
        assert got.exit_code == 0, got.output
        again = read(io.StringIO(got.stdout)) if read else pd.DataFrame(json.loads(got.stdout))
        assert again["gw_loss"].tolist() == made[1].results["gw_loss"].tolist()
        assert list(again) == list(made[1].results)


def test_starts_are_filtered_sorted_and_cut(made):
    out, results = made[1].folder, made[1].results
    got = json.loads(
        call("results", out, "--model", "noise", "--model", "far", "--sort", "gw_loss", "--limit", 4, "--json").stdout
    )
    wanted = results[results["target"].isin(["noise", "far"])].sort_values("gw_loss", kind="stable").head(4)
    assert [(r["target"], r["replicate"], r["start"]) for r in got] == list(
        zip(wanted["target"], wanted["replicate"], wanted["start"], strict=True)
    )
    for status in ("converged", "stopped", "interrupted"):
        table, _ = listing(out, status=status, sort="top1", descending=True)
        assert len(table) == (results["status"] == status).sum()
        assert table["top1"].is_monotonic_decreasing
    printed = call("results", out, "--model", "near", "--limit", 1).stdout.splitlines()
    assert printed[0].split()[:3] == ["target", "replicate", "start"]
    assert printed[-1] == f"3 starts, 1 shown; {out} is finished"


def test_a_study_that_is_not_finished_lists_what_it_has(tmp_path, made):
    path, out = write(tmp_path), tmp_path / "out"
    Study.from_toml(path).run_shard(out, 3, 6, progress=False)
    table, words = listing(out)
    wanted = made[1].results[made[1].results["target"] == "far"]
    assert table["gw_loss"].tolist() == wanted["gw_loss"].tolist()
    assert table["rsa"].tolist() == wanted["rsa"].tolist()
    assert words.startswith(
        "not finished: 10 of 12 units are missing, of the parts 1,2,4,5,6 of 6: alignment of people with near"
    )


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"models": ["nobody"]}, "model must be one of 'near', 'shuffled', 'far', 'noise', got 'nobody'"),
        ({"status": "lost"}, "status must be one of 'converged'"),
        ({"sort": "loss"}, "sort must be one of 'source'.*got 'loss'; did you mean 'gw_loss'\\?"),
    ],
)
def test_what_is_not_there_is_named(made, how, message):
    with pytest.raises(ValueError, match=message):
        listing(made[1].folder, **how)


def test_another_layout_is_refused_with_the_reason(copied):
    file = copied / "provenance.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"store": 99}))
    for verb in ("results", "check", "merge"):
        assert "must hold a study of layout 3, got layout 99, written by gwrsa" in str(call(verb, copied).exception)
    for verb in ("results", "check", "merge"):
        assert "no provenance.json" in str(call(verb, copied / "plans").exception)


# ---- check


def test_a_whole_study_is_said_to_be_whole(made):
    got = call("check", made[1].folder)
    assert got.exit_code == 0
    assert got.output.endswith("inputs\n")
    assert "whole; looked at" in got.output


@pytest.mark.parametrize(
    ("damage", "named", "consequence"),
    [
        (lambda out: cut(next((out / "shards").glob("*.json"))), "shards/", "gwrsa study computes it again"),
        (lambda out: cut(next((out / "plans").iterdir())), "plans/", "gwrsa study aligns this pair again"),
        (lambda out: next((out / "plans").iterdir()).unlink(), "plans/", "gwrsa study aligns this pair again"),
        (lambda out: cut(next((out / "sides").iterdir())), "sides/", "gwrsa study makes it again from its input"),
        (lambda out: cut(out / "categories.npz"), "categories.npz", "gwrsa study makes it again"),
        (lambda out: np.savez(out / "categories.npz", names=["a"]), "categories.npz", "gwrsa study makes it again"),
        (lambda out: cut(out / "tables" / "rates.parquet"), "tables/rates.parquet", "gwrsa merge write it again"),
        (lambda out: flip(out / "results.parquet"), "results.parquet", "gwrsa merge write it again"),
        (lambda out: flip(out / "tables" / "rates.csv"), "tables/rates.csv", "gwrsa merge write it again"),
        (lambda out: (out / "tables" / "chance.csv").unlink(), "tables/chance.csv", "gwrsa merge write it again"),
        (lambda out: flip(out / "study.toml"), "study.toml", "gwrsa merge write it again"),
        (lambda out: next((out / "shards").glob("*.json")).unlink(), "shards", "gwrsa study computes them"),
    ],
)
def test_a_damaged_file_is_named_with_what_becomes_of_it(copied, damage, named, consequence):
    damage(copied)
    got = call("check", copied)
    assert got.exit_code == 1
    (line,) = [x for x in got.output.splitlines() if x.startswith("bad: ")]
    assert line.startswith(f"bad: {named}")
    assert consequence in line
    assert "not whole" in got.output.splitlines()[-1]


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def flip(path):
    """One bit, in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_changed_inputs_are_bad_and_missing_ones_are_a_note(tmp_path):
    path, out = write(tmp_path), tmp_path / "out"
    Study.from_toml(path).run(out, figures=False, progress=False)
    (tmp_path / "far.npy").unlink()
    found = check(out)
    assert found.whole
    assert [(f.path, f.bad) for f in found.findings] == [("far.npy", False)]
    (tmp_path / "near.npy").write_bytes(b"other")
    assert [(f.path, f.bad) for f in check(out).findings] == [("near.npy", True), ("far.npy", False)]


def test_an_unfinished_study_is_whole_as_far_as_it_goes(tmp_path):
    path, out = write(tmp_path), tmp_path / "out"
    Study.from_toml(path).run_shard(out, 1, 6, progress=False)
    (out / "shards" / ".x.json.y.part").touch()
    found = check(out)
    assert found.whole
    assert "of 12 units are missing" in found.findings[0].what
    assert found.findings[1].path == "shards/.x.json.y.part"


# ---- many starts


def test_a_store_of_many_starts_is_listed_and_merged(tmp_path):
    out = store_files.write(tmp_path / "out", models=5, starts=400)
    table, _ = listing(out, sort="gw_loss")
    assert len(table) == 2000
    found = gather(out, figures=False)
    assert len(found.results) == 2000
    assert listing(out)[0].equals(found.results)
    assert check(out).whole


def test_a_table_whose_text_is_none_is_refused(tmp_path):
    path = tmp_path / "table.parquet"
    store.write_table(path, pd.DataFrame({"item": ["Ölkäfer", "ant"]}), csv=False)
    path.write_bytes(path.read_bytes().replace("Ölkäfer".encode(), b"\xff\xfflk" + "äfer".encode()))
    with pytest.raises(ValueError, match=r"table\.parquet is not a whole table"):
        store.read_table(path)
