"""The commands that align files, and the demo."""

import re

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import gwrsa
from gwrsa import _colours, _simulate, cli, demo
from problems import pair, points


def call(*args):
    return CliRunner().invoke(cli.app, [str(a) for a in args], catch_exceptions=False)


def test_commands_on_files(tmp_path):
    a, b = pair(30)
    a.save(tmp_path / "a.npz")
    np.save(tmp_path / "b.npy", b.values)
    (tmp_path / "names.txt").write_text("\n".join(b.items) + "\n")
    made = call("rdm", tmp_path / "a.npz", "--metric", "euclidean", "--out", tmp_path / "a_rdm.npz")
    assert made.exit_code == 0
    assert np.array_equal(gwrsa.RDM.load(tmp_path / "a_rdm.npz").dissimilarities, a.rdm("euclidean").dissimilarities)
    compared = call("rsa", tmp_path / "a.npz", tmp_path / "b.npy", "--items", tmp_path / "names.txt")
    assert f"{gwrsa.rsa(a.rdm(), b.rdm()):.6f}" in compared.output
    rows = [f"{name},{'even' if i % 2 == 0 else 'odd'}" for i, name in enumerate(b.items)]
    (tmp_path / "groups.csv").write_text("item,group\n" + "\n".join(rows) + "\n")
    aligned = call(
        *(
            "align",
            tmp_path / "a_rdm.npz",
            tmp_path / "b.npy",
            "--items",
            tmp_path / "names.txt",
            "--metric",
            "euclidean",
        ),
        *("--match-histogram", "--categories", tmp_path / "groups.csv", "--starts", 2, "--no-progress"),
        *("--out", tmp_path / "out"),
    )
    assert aligned.exit_code == 0
    assert "\nwithout labels" in aligned.output
    assert "without labels: the start of lowest objective, GW loss - epsilon x entropy" in aligned.output
    assert "chance" in aligned.output
    assert len(pd.read_csv(tmp_path / "out" / "results.csv")) == 2


@pytest.mark.parametrize(("epsilon", "one"), [("0.5", True), ("0.1,0.5", False)])
def test_it_is_said_how_the_start_without_labels_was_chosen(tmp_path, epsilon, one):
    """A pair that has starts of lower GW loss and higher objective at half the critical epsilon."""
    a, b = (side.save(tmp_path / f"{side.name}.npz") for side in pair(20, noise=0.3, seed=3))
    how = (
        "--metric",
        "euclidean",
        "--starts",
        12,
        "--seed",
        3,
        "--epsilon",
        epsilon,
        "--no-progress",
        "--out",
        tmp_path,
    )
    said = call("align", a, b, *how, "--search", "anneal" if one else "multistart").output
    table = pd.read_csv(tmp_path / "results.csv")
    row = next(line.split() for line in said.splitlines() if line.startswith("without labels "))
    best = table.loc[int(row[2])]
    # The column by which it was chosen stands in the table.
    assert f"{best.gw_loss:.6f} {best.objective:.6f}" in said
    assert row[3] == f"{best.gw_loss:.6f}"
    assert "start of lowest objective, GW loss - epsilon x entropy of the plan" in said
    assert ("one an epsilon" in said) is not one
    told = re.findall(r"not the lowest objective at its epsilon: start (.+)", said)
    lower = table.query("gw_loss < @best.gw_loss * (1 - 1e-4)")["start"]
    assert told == ([", ".join(map(str, lower))] if one else [])
    assert len(lower) == (3 if one else 0)


def test_errors_are_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["gwrsa", "rsa", str(tmp_path / "none.npy"), str(tmp_path / "none.npy")])
    with pytest.raises(SystemExit, match="2"):
        cli.main()
    said = capsys.readouterr().err
    assert said.startswith("gwrsa: ")
    assert "none.npy" in said
    assert "Traceback" not in said


def test_help_shows_an_example_each():
    for command in ("rdm", "rsa", "align", "demo"):
        assert f"Example: gwrsa {command}" in call(command, "--help").output


def test_eleven_of_fourteen_colours():
    found = demo.colour_alignment()
    best = found.lowest_loss
    assert found.rsa == pytest.approx(0.874, abs=5e-4)
    assert (best.top[:, 0] == np.arange(14)).sum() == 11


def test_colours_are_those_published(ekman_path):
    published = np.loadtxt(ekman_path, delimiter=",", skiprows=1)
    assert published[:, 0].tolist() == list(_colours.WAVELENGTHS)
    assert np.allclose(1 - _colours.human().square(), published[:, 1:], atol=1e-12)


@pytest.mark.slow
def test_simulation_shows_what_it_says():
    fine, coarse, neither = demo.simulation_alignments(_simulate.study())
    assert fine.lowest_loss.matching[1] > 0.3
    assert coarse.lowest_loss.matching[1] < 0.05
    assert coarse.lowest_loss.category[1] > 0.5
    assert neither.lowest_loss.matching[1] < 0.01
    assert neither.lowest_loss.category[1] < 0.15


@pytest.mark.slow
def test_demo_draws_and_says_that_it_simulates(tmp_path):
    said = call("demo", "--out", tmp_path, "--no-progress").output
    assert "11 of 14 colours" in said
    assert "SIMULATION" in said
    assert "source .venv/bin/activate" in said
    assert (tmp_path / "colours.png").stat().st_size > 10_000
    assert (tmp_path / "simulation.png").stat().st_size > 10_000


def test_chances_stand_under_their_headings_also_for_few_objects(tmp_path):
    rng = np.random.default_rng(0)
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", rng.standard_normal((6, 3)))
    (tmp_path / "names.txt").write_text("\n".join("uvwxyz") + "\n")
    (tmp_path / "groups.csv").write_text("item,group\n" + "\n".join(f"{x},{x in 'uvw'}" for x in "uvwxyz") + "\n")
    said = call(
        *("align", tmp_path / "a.npy", tmp_path / "b.npy", "--items", tmp_path / "names.txt", "--starts", 1),
        *("--categories", tmp_path / "groups.csv", "--no-progress"),
    )
    assert said.exit_code == 0, said.output
    lines = said.output.splitlines()
    head, chance = (next(line for line in lines if word in line) for word in ("cat. 10", "chance "))
    assert len(head) == len(chance)
    # All six targets within ten; of a category of three of six, one of the five others or itself.
    assert chance.split()[1:] == ["16.67%", "83.33%", "100.00%", "50.00%", "100.00%", "100.00%"]


@pytest.mark.parametrize(
    ("n", "how", "names"),
    [
        (20, (), {"plan", "local_optima"}),
        (20, ("--search", "multistart"), {"plan", "local_optima", "loss_against_epsilon"}),
        (15, (), {"loss_against_epsilon"}),
    ],
)
def test_an_alignment_is_drawn(tmp_path, n, how, names):
    a, _ = pair(20)
    a.save(tmp_path / "a.npz")
    gwrsa.Embedding(points(n, 6), a.items if n == 20 else None, name="other side").save(tmp_path / "b.npz")
    rows = [f"{name},{'' if i == 0 else 'even' if i % 2 == 0 else 'odd'}" for i, name in enumerate(a.items)]
    (tmp_path / "groups.csv").write_text("item,group\n" + "\n".join(rows) + "\n")
    how = (*how, *(("--categories", tmp_path / "groups.csv") if n == 20 else ()))
    command = ("align", tmp_path / "a.npz", tmp_path / "b.npz", "--starts", 2, "--no-progress", *how)
    said = call(*command, "--figures", tmp_path / "drawn").output
    assert {path.stem for path in (tmp_path / "drawn").iterdir()} == names
    assert {path.suffix for path in (tmp_path / "drawn").iterdir()} == {".png", ".svg", ".pdf"}
    shown = said.split("figures: ")[1].split(";")[0].split(", ")
    assert set(shown) == {str(tmp_path / "drawn" / f"{name}.png") for name in names}
    if "loss_against_epsilon" in names:
        assert ">other side<" in (tmp_path / "drawn" / "loss_against_epsilon.svg").read_text()
