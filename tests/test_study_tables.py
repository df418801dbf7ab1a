"""Tables of a study: pairs of models, and rates of tied targets."""

from dataclasses import replace

import pytest

from gwrsa.figures.study import drawings
from gwrsa.report.numbers import model_rows
from gwrsa.store import Results
from gwrsa.study_summary import summary
from study_files import TOML, N, run, write


def test_model_against_model_holds_every_pair_once(made):
    pairs = made[1].pairs
    names = ["people", "near", "shuffled", "far"]  # noise is left out
    wanted = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    assert sorted(zip(pairs["source"], pairs["target"], strict=True)) == sorted(wanted)
    twin = pairs[(pairs["source"] == "near") & (pairs["target"] == "shuffled")].iloc[0]
    assert (twin["rsa"], twin["top1"]) == (pytest.approx(1), 1.0)
    assert twin["gw_loss"] < pairs["gw_loss"].drop(twin.name).min()


def test_noise_alone_has_no_pairs(tmp_path):
    path = write(tmp_path)
    head, noise = TOML.split("[[models]]")[0], TOML.split("[[models]]")[-1]
    path.write_text(f"{head}[[models]]{noise}")
    found = run(path, tmp_path / "out", all_pairs=True)
    assert found.results["target"].unique().tolist() == ["noise"]
    assert len(found.pairs) == 0
    names = [drawing.name for drawing in drawings(Results.open(found.folder))]
    assert "figure_2_rsa" in names
    assert not [name for name in names if name.startswith(("figure_s5", "figure_s6", "figure_s7"))]


def test_tied_targets_share_their_rates_in_every_table(tmp_path):
    """Of a plan that is uniform the most probable targets are the first by number, which are of one category here."""
    path = write(tmp_path)
    path.write_text(
        path.read_text().replace("[alignment]\n", '[alignment]\nsearch = "multistart"\nepsilon = [1e8, 1e9]\n')
    )
    with pytest.warns(UserWarning, match="above the critical epsilon"):
        found = run(path, tmp_path / "out")
    rows = found.chosen
    assert (rows["top1"] * N).tolist() == pytest.approx([1.0] * len(rows))
    for measure, columns in (
        ("matching", {1: "top1", 5: "top5", 10: "top10"}),
        ("category", {1: "category", 5: "category5", 10: "category10"}),
    ):
        rates = found.rates[found.rates["measure"] == measure]
        for k, column in columns.items():
            assert rates.loc[rates["k"] == k, "value"].tolist() == pytest.approx(rows[column].tolist(), abs=1e-12), (
                measure,
                k,
            )
    chance = found.chance.set_index(["measure", "k"])["value"]
    for (measure, k), rates in found.rates.groupby(["measure", "k"]):
        assert rates["value"].tolist() == pytest.approx([chance[measure, k]] * len(rates))


def test_replicates_without_a_plan_are_named_and_not_counted(made):
    found = made[1]
    lost = (found.chosen["target"] == "noise") & (found.chosen["replicate"] == 1) | (found.chosen["target"] == "far")
    some = replace(found, chosen=found.chosen[~lost])
    assert "had a plan" not in summary(found)
    assert "no start of these had a plan, and no rate counts them: far, noise, replicate 1" in summary(some)
    counts = {row["target"]: (row["n"], row["planned"]) for row in model_rows(some)}
    assert counts == {"near": (1, 1), "shuffled": (1, 1), "far": (1, 0), "noise": (3, 2)}
