"""Rounds of starts: later ones go to the pairs whose lowest loss still moves, however the work is cut up."""

import math

import numpy as np
import pandas as pd
import pytest

import gwrsa
from cluster_files import GWRSA, dask, ended, start
from gwrsa import study_work
from gwrsa.store import Results, load_provenance, save_provenance
from gwrsa.study import Study
from gwrsa.study_check import check
from gwrsa.study_gather import Opened, gather
from gwrsa.study_listing import listing
from gwrsa.study_merge import merge
from study_files import TOML, assert_same, run, shards, write

ROUNDS = TOML.replace(
    "n_starts = 3", 'search = "multistart"\nepsilon = [0.05, 0.3]\nn_starts = 2\nrounds = 5\nmin_improvement = 0.002'
)
FEWER = ROUNDS.replace("rounds = 5", "rounds = 2")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rounds")
    return run(write(folder, ROUNDS), folder / "out")


def slow_twin(results):
    """How many rounds each pair should have had, by its table."""
    made = {}
    for pair, rows in results.groupby(["target", "replicate"], sort=False):
        rounds = [part for _, part in rows.groupby(rows["start"] // 2)]
        best = [
            part.loc[part["status"] == "converged", "gw_loss"].min()
            if (part["status"] == "converged").any()
            else part["gw_loss"].min()
            for part in rounds
        ]
        expected = 2
        while expected < 5 and best[expected - 1] < min(best[: expected - 1]) * (1 - 0.002):
            expected += 1
        made[pair] = (len(rounds), expected)
    return made


def test_a_pair_gets_rounds_while_its_lowest_loss_moves(whole):
    made = slow_twin(whole.results)
    assert all(n == expected for n, expected in made.values()), made
    # The example is one where pairs differ.
    assert len({n for n, _ in made.values()}) > 1
    assert max(n for n, _ in made.values()) > 2


def test_rounds_are_the_starts_of_one_long_list(whole):
    rows = whole.results[whole.results["target"] == "near"]
    assert rows["start"].tolist() == list(range(len(rows)))
    long = gwrsa.align(
        whole.human,
        whole.model("near"),
        search="multistart",
        epsilon=(0.05, 0.3),
        n_starts=len(rows),
        progress=False,
    ).table
    assert rows["epsilon"].tolist() == long["epsilon"].tolist()
    assert rows["init"].tolist() == long["init"].tolist()
    np.testing.assert_allclose(rows["gw_loss"], long["gw_loss"], rtol=1e-3)


def test_starts_left_out_are_those_made_before():
    rng = np.random.default_rng(3)
    a, b = (gwrsa.Embedding(rng.standard_normal((30, 4))) for _ in range(2))
    for search, epsilon in (("multistart", (0.1, 0.3)), ("anneal", 0.2)):
        how = {"search": search, "epsilon": epsilon, "progress": False, "seed": 4}
        first, more, long = (
            gwrsa.align(a, b, n_starts=n, first_start=at, **how).table for n, at in ((4, 0), (9, 4), (13, 0))
        )
        both = pd.concat([first, more], ignore_index=True)
        for column in ("start", "init", "epsilon"):
            assert both[column].tolist() == long[column].tolist()
        others = more["merged_into"].dropna()
        assert ((others >= 4) & (others < 13)).all()
    with pytest.raises(ValueError, match=r"first_start must be an integer between 0 and 999996, got 1\.5"):
        gwrsa.align(a, b, n_starts=4, first_start=1.5, progress=False)


@pytest.mark.parametrize("of", [2, 7])
def test_parts_make_the_same_rounds(tmp_path, whole, of):
    path, out = write(tmp_path, ROUNDS), tmp_path / "out"
    for i in range(of, 0, -1):
        Study.from_toml(path).run_shard(out, i, of, progress=False)
    assert_same(gather(out, figures=False).folder, whole.folder)
    assert check(out).whole


def test_dask_makes_the_same_rounds(tmp_path, whole):
    pytest.importorskip("distributed")
    path, out = write(tmp_path, ROUNDS), tmp_path / "out"
    with dask(tmp_path) as (file, _):
        status, _, err = ended(start(*GWRSA, "study", path, "--out", out, "--scheduler", file, "--no-report"))
    assert status == 0, err
    assert_same(out, whole.folder)
    assert ", round 2: lowest loss " in err


def test_more_rounds_add_to_those_that_are_there(tmp_path, whole):
    path, out = write(tmp_path, FEWER), tmp_path / "out"
    assert set(run(path, out).results["start"]) == {0, 1, 2, 3}
    before = shards(out)
    path.write_text(ROUNDS)
    with pytest.warns(UserWarning, match="are replaced: alignment.rounds 2, now 5"):
        run(path, out)
    assert_same(out, whole.folder)
    assert {p: now for p, now in shards(out).items() if p in before} == before


def test_a_round_that_is_lost_is_named_and_made_again(tmp_path, whole):
    path, out = write(tmp_path, ROUNDS), tmp_path / "out"
    run(path, out)
    rows = Results.open(out).results
    last = rows[rows["target"] == "near"].iloc[-1]
    (out / "shards" / f"{last['pair_key']}.json").unlink()
    (lost,) = [m for m in Opened.of(out).missing() if m.what.startswith("alignment of people with near")]
    assert lost.what == f"alignment of people with near, round {last['start'] // 2 + 1}"
    before = shards(out)
    save_provenance(out, load_provenance(out) | {"finished": None})  # as while it runs
    there, words = listing(out, models=["near"])
    wanted = rows[(rows["target"] == "near") & (rows["pair_key"] != last["pair_key"])]
    assert len(wanted) >= 2  # of the rounds before it
    pd.testing.assert_frame_equal(there, wanted)
    assert lost.what in words
    run(path, out)
    assert_same(out, whole.folder)
    assert {p: now for p, now in shards(out).items() if p in before and last["pair_key"] not in p.name} == {
        p: now for p, now in before.items() if last["pair_key"] not in p.name
    }


def test_studies_with_rounds_are_merged(tmp_path, whole):
    models = ROUNDS.split("[[models]]")
    tail = "[categories]" + models[-1].split("[categories]")[1]
    parts = []
    for i, chosen in enumerate(([1, 2], [3])):
        toml = models[0] + "".join("[[models]]" + models[at] for at in chosen) + tail
        parts.append(run(write(tmp_path / str(i), toml), tmp_path / str(i) / "out").folder)
    found = merge(parts, tmp_path / "both", figures=False, progress=False).results
    names = ("near", "shuffled", "far")
    expected = whole.results[whole.results["target"].isin(names)].reset_index(drop=True)
    pd.testing.assert_frame_equal(found.drop(columns="seconds"), expected.drop(columns="seconds"), check_exact=True)


@pytest.mark.parametrize(
    ("lowest", "goes_on"),
    [
        ([], True),
        ([1.0], True),
        ([math.inf], True),
        ([1.0, 0.98], True),
        ([1.0, 0.995], False),
        ([1.0, 1.0], False),
        ([1.0, 0.5, 0.6], False),
        ([math.inf, 1.0], True),
        ([math.inf, math.inf], False),
        ([1.0, math.inf], False),
        ([0.0, 0.0], False),
    ],
)
def test_what_moves(lowest, goes_on):
    assert study_work.moves(lowest, 0.01) is goes_on


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("rounds = 0", "alignment.rounds must be between 1 and 1000, got 0"),
        ("min_improvement = -1", "alignment.min_improvement must be positive"),
        ("rounds = 1000\nn_starts = 2000", "alignment.rounds must be at most 1000000 starts a pair, got 1000 of 2000"),
    ],
)
def test_settings_of_rounds_are_checked(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        Study.from_toml(write(tmp_path, TOML.replace("n_starts = 3", change)))
