import pandas as pd
import pytest
from typer.testing import CliRunner

from gwrsa.cli import app
from gwrsa.study_merge import merge
from study_files import TOML, assert_same, run, shards, write


def parts(folder):
    first = TOML.index('[[models]]\nname = "shuffled"')
    second, rest = TOML.index("[[models]]"), TOML.index("[categories]")
    for name, toml in (("a", TOML[:first] + TOML[rest:]), ("b", TOML[:second] + TOML[first:])):
        run(write(folder, toml), folder / name)


def test_merged_studies_are_the_study_of_all_models(tmp_path, made):
    parts(tmp_path)
    both = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "both", figures=False)
    assert_same(both.folder, made[1].folder)
    before = shards(both.folder)
    # Its study.toml runs, and finds everything there; pairs are added.
    again = run(both.folder / "study.toml", both.folder, all_pairs=True)
    assert all(shards(both.folder)[p] == content for p, content in before.items())
    pd.testing.assert_frame_equal(again.pairs, made[1].pairs, check_exact=True)
    # It is one of merged studies all the same.
    assert_same(merge([tmp_path / "a", tmp_path / "b"], both.folder, figures=False).folder, made[1].folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("n_starts = 3", "n_starts = 2", "alignment must be the same"),
        ("permutations = 40", "permutations = 41", "statistics must be the same"),
        ('file = "categories.csv"', 'file = "categories.csv"\nothers = "miss"', "categories must be the same"),
        ('embedding = "human.npy"', 'embedding = "near.npy"', "human must be the same"),
        ('embedding = "near.npy"', 'embedding = "human.npy"', "two different 'near'"),
    ],
)
def test_studies_that_do_not_fit_are_not_merged(tmp_path, made, old, new, message):
    run(write(tmp_path, TOML.replace(old, new)), tmp_path / "other")
    with pytest.raises(ValueError, match=message):
        merge([made[1].folder, tmp_path / "other"], tmp_path / "both", figures=False)


def test_a_study_that_was_run_is_not_written_over(tmp_path):
    parts(tmp_path)
    first, second = tmp_path / "a", tmp_path / "b"
    before = {p: p.read_bytes() for p in first.rglob("*") if p.is_file()}
    with pytest.raises(ValueError, match=r"out must be a folder of its own, got .* one of those to be merged"):
        merge([first, second], tmp_path / "." / "a", figures=False)
    merge([first, second], tmp_path / "both", figures=False)
    merge([first, second], tmp_path / "both", figures=False)
    with pytest.raises(ValueError, match=r"out must be new, empty, or hold merged studies, got .* was run there"):
        merge([tmp_path / "both", second], first, figures=False)
    assert {p: p.read_bytes() for p in first.rglob("*") if p.is_file()} == before


def test_one_study_twice_is_refused(tmp_path, made):
    with pytest.raises(ValueError, match="folders must be at least 2 distinct studies"):
        merge([made[1].folder, made[1].folder], tmp_path / "both", figures=False)


def test_the_verb_merge_prints_the_table_of_all_models(tmp_path):
    parts(tmp_path)
    got = CliRunner().invoke(
        app, ["merge", *(str(tmp_path / x) for x in "ab"), "--out", str(tmp_path / "c"), "--no-report"]
    )
    assert got.exit_code == 0, got.output
    assert [line.split()[0] for line in got.output.splitlines()[4:9]] == ["near", "shuffled", "far", "noise", "chance"]
