"""A round of random starts in batches, each a unit of its own: several workers share a pair, whoever does what."""

import numpy as np
import pandas as pd
import pytest

from cluster_files import GWRSA, dask, ended, start
from gwrsa import study_plan
from gwrsa.study import Study
from gwrsa.study_check import check
from gwrsa.study_gather import Opened, gather
from gwrsa.study_tables import results_table
from study_files import TOML, assert_same, run, shards, write

STARTS = 5
CUT = TOML.replace("n_starts = 3", f'search = "multistart"\nepsilon = [0.05, 0.3]\nn_starts = {STARTS}\nrounds = 2')


@pytest.fixture
def in_twos(monkeypatch):
    monkeypatch.setattr(study_plan, "_BATCH", 2)


def test_random_starts_are_cut_and_others_are_not(tmp_path):
    def batches(text):
        return study_plan.batches(Study.from_toml(write(tmp_path, text)).settings)

    many = TOML.replace("n_starts = 3", 'search = "multistart"\nn_starts = 120')
    assert batches(many) == [(0, 50), (50, 50), (100, 20)]
    assert batches(many.replace("120", "50")) == [(0, 50)]
    assert batches(TOML.replace("n_starts = 3", "n_starts = 120")) == [(0, 120)]


def test_starts_are_those_of_a_round_in_one_piece(tmp_path, monkeypatch):
    path = write(tmp_path, CUT)
    whole = run(path, tmp_path / "whole").results
    monkeypatch.setattr(study_plan, "_BATCH", 2)
    found = run(path, tmp_path / "cut")
    assert whole.groupby(["target", "replicate"])["pair_key"].nunique().max() <= 2
    assert (found.results.groupby(["target", "replicate"])["pair_key"].nunique() == 6).all()
    for column in ("target", "replicate", "start", "seed", "init", "epsilon", "status"):
        assert found.results[column].tolist() == whole[column].tolist(), column
    np.testing.assert_allclose(found.results["gw_loss"], whole["gw_loss"], rtol=1e-6)
    assert check(tmp_path / "cut").whole
    # Chosen of all batches, and its plan is that of its own.
    for row in found.chosen.to_dict("records"):
        pair = found.results[
            (found.results["target"] == row["target"]) & (found.results["replicate"] == row["replicate"])
        ]
        if row["choice"] == "highest_matching":
            assert row["top1"] == pair["top1"].max()
        assert row["pair_key"] == pair.set_index("start")["pair_key"][row["start"]]
        assert found.plan(row["key"]).sum() == pytest.approx(1)


@pytest.mark.usefixtures("in_twos")
@pytest.mark.parametrize("of", [2, 7])
def test_parts_share_a_pair(tmp_path, of):
    path = write(tmp_path, CUT)
    whole, out = run(path, tmp_path / "whole"), tmp_path / "out"
    study = Study.from_toml(path)
    computed = [study.run_shard(out, i, of, progress=False) for i in range(of, 0, -1)]
    assert sum(computed) == len(list((out / "shards").glob("*.json"))) - len(Opened.of(out).entries) - 1
    assert_same(gather(out, figures=False).folder, whole.folder)
    # All there: nothing is made again.
    before = shards(out)
    assert [study.run_shard(out, i, of, progress=False) for i in range(1, of + 1)] == [0] * of
    assert shards(out) == before


@pytest.mark.usefixtures("in_twos")
def test_a_batch_that_is_lost_is_named_and_made_again(tmp_path):
    path, out = write(tmp_path, CUT), tmp_path / "out"
    found = run(path, out)
    rows = found.results[found.results["target"] == "far"]
    last = rows.iloc[-1]["pair_key"]
    before = pd.read_parquet(out / "results.parquet")
    (out / "shards" / f"{last}.json").unlink()
    (lost,) = Opened.of(out).missing()
    assert lost.what == "alignment of people with far, round 2, batch 3"
    # What is there of its round is listed all the same.
    assert len(results_table(Opened.of(out).work, whole=False)) == len(before) - 1
    study = Study.from_toml(path)
    assert study.run_shard(out, 1, 1, progress=False) == 1
    pd.testing.assert_frame_equal(
        gather(out, figures=False).results.drop(columns="seconds"), before.drop(columns="seconds"), check_exact=True
    )


def test_dask_shares_a_pair(tmp_path):
    pytest.importorskip("distributed")
    one = CUT.replace(f"n_starts = {STARTS}", "n_starts = 120").replace("rounds = 2", "rounds = 1")
    path = write(tmp_path, one)
    whole, out = run(path, tmp_path / "whole"), tmp_path / "out"
    with dask(tmp_path) as (file, _):
        status, _, err = ended(start(*GWRSA, "study", path, "--out", out, "--scheduler", file, "--no-report"))
    assert status == 0, err
    assert_same(out, whole.folder)
    assert "alignment of people with near, batch 3: lowest loss" in err
