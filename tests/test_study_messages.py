"""What a study says of itself while it runs, and as one line."""

import json
import re
import sys
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import gwrsa
from gwrsa import study, study_compute
from gwrsa.figures.study import drawings
from gwrsa.report.words import findings
from gwrsa.study import Study
from gwrsa.study_compute import cores
from gwrsa.study_gather import Opened, gather
from gwrsa.study_summary import summary
from study_files import TOML, N, run, write


def test_settings_that_replace_the_tables_are_named(tmp_path):
    path = write(tmp_path)
    first = run(path, tmp_path / "out")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(path, tmp_path / "out")
        run(path, tmp_path / "out", all_pairs=True)
    starts = first.settings["alignment"]["n_starts"]
    path.write_text(re.sub(r"n_starts = \d+", f"n_starts = {starts + 1}", TOML))
    with pytest.warns(UserWarning, match="with other settings and are replaced") as said:
        run(path, tmp_path / "out", all_pairs=True)
    (told,) = (str(w.message) for w in said)
    assert told.endswith(f"replaced: alignment.n_starts {starts}, now {starts + 1}")


def test_the_end_of_all_pairs_is_said(made):
    _, found = made
    said = summary(found).split("all pairs, ")[1]
    assert said.startswith(f"{len(found.pairs)} of them")
    best = found.pairs.loc[found.pairs["rsa"].idxmax()]
    assert f"to {best['rsa']:.3f} ({best['source']} and {best['target']})" in said
    assert "all pairs" not in summary(replace(found, pairs=None))


def test_a_model_that_left_is_named(tmp_path):
    path = write(tmp_path)
    run(path, tmp_path / "out")
    path.write_text(TOML.replace('"near"', '"nearest"'))
    with pytest.warns(UserWarning, match="no longer in the study, and so left out of its tables: 'near'"):
        found = run(path, tmp_path / "out")
    assert "near" not in set(found.rsa["target"])


def test_study_and_results_are_one_line(made):
    path, found = made
    assert repr(Study.from_toml(path)) == "Study('small', 4 models against 'people')"
    n_starts = len(found.results)
    assert repr(found) == f"Results({str(found.folder)!r}, 4 models, {N} objects, {n_starts} starts)"


def test_an_rsa_that_rounds_to_zero_has_no_sign(made):
    found = replace(made[1], rsa=made[1].rsa.assign(value=-0.0001))
    assert "-0.000" not in summary(found)
    assert "  0.000" in summary(found)


def test_figures_and_report_are_said_while_they_are_made(made, monkeypatch, capsys):
    monkeypatch.setattr("gwrsa.figures.side_by_side.draw", lambda _, n: sys.stderr.write(f"(drawn by {n})\n"))
    monkeypatch.setattr("gwrsa.report.write", lambda _: sys.stderr.write("(written)\n"))
    study.publish(made[1], progress=True)
    assert capsys.readouterr().err == f"figures ...\n(drawn by {cores()})\nreport ...\n(written)\n"
    study.publish(made[1], processes=3, progress=False)
    assert capsys.readouterr().err == "(drawn by 3)\n(written)\n"


def test_a_run_that_computes_nothing_leaves_figures_as_they_are(tmp_path, monkeypatch, capsys):
    drawn, path, out = [], write(tmp_path), tmp_path / "out"

    def publish(results, processes, **_):
        drawn.append(processes)
        (out / "figures").mkdir(exist_ok=True)
        for drawing in drawings(results):
            for suffix in ("png", "svg", "pdf"):
                (out / "figures" / f"{drawing.name}.{suffix}").write_text("drawn")
        (out / "report.html").write_text("drawn")

    monkeypatch.setattr(study, "publish", publish)
    again = f"figures and report are as they were; `gwrsa report {out}` draws them again\n"

    def finished(text=TOML):
        path.write_text(text)
        Study.from_toml(path).run(out, workers=1, progress=True)
        return again in capsys.readouterr().err, len(drawn)

    assert finished() == (False, 1)
    assert finished() == (True, 1)
    gather(out)
    assert again in capsys.readouterr().err
    (out / "figures" / "figure_2_rsa.svg").unlink()
    assert finished() == (False, 2)
    (out / "report.html").unlink()
    assert finished() == (False, 3)
    # Units that are computed again, and tables of other models, also where a run without figures made them.
    next((out / "shards").glob("*.json")).unlink()
    assert finished() == (False, 4)
    more = [
        TOML.replace("[categories]", f'[[models]]\nname = "{x}"\nfamily = "clip"\nembedding = "near.npy"\n[categories]')
        for x in "ab"
    ]
    assert finished(more[0]) == (False, 5)
    path.write_text(more[1])
    with (
        pytest.warns(UserWarning, match="no longer in"),
        pytest.warns(UserWarning, match="were of other tables and are removed"),
    ):
        run(path, out)
    assert finished(more[1]) == (False, 6)
    assert drawn == [1] * 6


def test_how_starts_ended_is_said_in_words(made):
    ended = made[1].results.assign(status="max_outer")
    said = findings(replace(made[1], results=ended))[-1]
    assert f"{len(ended)} ran out of outer steps (max_outer)" in said


def test_captions_say_what_is_drawn(made):
    found = made[1]
    one = found.results.assign(epsilon=0.01)
    two = pd.concat([one, one.assign(epsilon=0.02)])
    for rows, lines in ((one, False), (two, True)):
        (s1,) = (d for d in drawings(replace(found, results=rows)) if d.name.startswith("figure_s1"))
        assert ("lines join" in s1.caption) == lines


def test_categories_that_no_model_meets_leave_the_figure_and_are_counted(made):
    found = made[1]
    rates = found.categories.assign(rate=(found.categories["category"] == "tool").astype(float))
    (s3,) = (d for d in drawings(replace(found, categories=rates)) if d.name.startswith("figure_s3"))
    assert "Not shown: 2 in which no object of any model meets itself." in s3.caption
    (label,) = s3.make().get_yticklabels()
    assert label.get_text().startswith("tool (")


def test_tests_on_their_way_are_told_of_an_interrupt(tmp_path, monkeypatch):
    asked = []

    def attempt(_, job, threads, stopped=None):
        asked.append(stopped)
        return study_compute.Outcome(done=len(job), there=0, busy=())

    monkeypatch.setattr(study_compute, "attempt", attempt)
    Study.from_toml(write(tmp_path)).run_shard(tmp_path / "out", 1, 1, progress=False)
    work = Opened.of(tmp_path / "out").work
    tests = [unit for unit in work.units() if unit.what == "test"]
    asked.clear()
    going = study_compute.on_threads(work, 2)(tests, study_compute.Progress("x", tests, shown=False))
    next(going)
    assert not asked[0]()
    going.close()
    assert all(stopped() for stopped in asked)


def test_files_that_are_not_there_are_said_when_the_study_is_read(tmp_path):
    path = write(tmp_path)
    Study.from_toml(path)
    for name, key in (
        ("near.npy", r"models\[0\].embedding"),
        ("categories.csv", "categories.file"),
        ("items.txt", "items"),
    ):
        kept = (tmp_path / name).rename(tmp_path / "elsewhere")
        with pytest.raises(FileNotFoundError, match=f"{key} must be there, got '{name}': there is no .*{name}"):
            Study.from_toml(path)
        kept.rename(tmp_path / name)
    Study.from_toml(path)


def test_a_human_side_without_labels_is_what_lacks_them(tmp_path):
    path = write(tmp_path)
    for model in ("near", "far"):
        assert f'{model}.npy"' in TOML
    path.write_text(TOML.replace('items = "items.txt"\n', ""))
    lines = (tmp_path / "categories.csv").read_text().splitlines()
    (tmp_path / "categories.csv").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(
        ValueError, match=f"human side 'people' must have labels, .* got {N} without labels and {N - 1}; give items"
    ):
        run(path, tmp_path / "out")


@pytest.mark.parametrize(
    ("file", "kind", "made", "message"),
    [
        (
            "far.npy",
            "model 'far'",
            lambda _: np.ones((N, N)) - np.eye(N),
            "must have dissimilarities that differ for method 'corr', got a constant RDM, all 1.0",
        ),
        ("near.npy", "model 'near'", lambda _: np.eye(N), "must have dissimilarities that differ for method 'corr'"),
        ("human.npy", "the human side 'people'", lambda _: np.eye(N), "must have dissimilarities that differ"),
        (
            "near.npy",
            "model 'near'",
            lambda x: x * (np.arange(N) != 3)[:, None],
            "must have dissimilarities: .* .row 3",
        ),
    ],
)
def test_what_cannot_be_compared_is_named_before_anything_is_computed(tmp_path, file, kind, made, message):
    path = write(tmp_path)
    np.save(tmp_path / file, made(np.load(tmp_path / file)))
    with pytest.raises(ValueError, match=f"^{kind} {message}"):
        run(path, tmp_path / "out")
    assert not [p for p in (tmp_path / "out" / "shards").glob("*") if p.suffix == ".json"]


def test_a_constant_rdm_is_compared_by_its_cosine(tmp_path):
    path = write(tmp_path, TOML.replace("bootstrap = 50", 'rsa = "cosine"\nbootstrap = 50'))
    np.save(tmp_path / "far.npy", np.ones((N, N)) - np.eye(N))
    assert run(path, tmp_path / "out").rsa.query("target == 'far'")["value"].item() > 0


def test_numbers_of_meta_that_json_has_not_are_named(tmp_path):
    path = write(tmp_path, TOML.replace('"near.npy"', '"meta.npz"'))
    near = gwrsa.Embedding(np.load(tmp_path / "near.npy"), [f"object {i}" for i in range(N)])
    for i, value in enumerate((float("nan"), [1.0, float("-inf")])):
        # Another program may write what `save` does not.
        provenance = np.array(json.dumps({"name": "near", "meta": {"layer": "fc", "loss": value}}))
        np.savez(tmp_path / "meta.npz", values=near.values, items=near.items, provenance=provenance)
        with pytest.raises(ValueError, match=r"model 'near' must have meta .* finite, got 'loss' = .*(nan|inf)"):
            run(path, tmp_path / f"out{i}")
    replace(near, meta={"layer": "fc", "loss": 0.5}).save(tmp_path / "meta.npz")
    assert run(path, tmp_path / "out").provenance["models"][0]["meta"] == {"layer": "fc", "loss": 0.5}


def test_a_list_of_objects_that_are_not_there_is_named(tmp_path):
    path = write(tmp_path, 'objects = "some.txt"\n' + TOML)
    (tmp_path / "some.txt").write_text("object 1\nobjekt 2\n")
    with pytest.raises(
        ValueError, match=r"objects must be a file of objects of the human side, got 'some.txt': .*'objekt 2'"
    ):
        run(path, tmp_path / "out")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'file = "categories.csv"',
            'file = "categories.csv"\ndrop = ["animal", "tool", "food"]',
            r"categories.drop must name categories of 'categories.csv' and leave one: .* got 'food', the only one",
        ),
        ('file = "categories.csv"', 'file = "categories.csv"\ndrop = ["tol"]', "categories.drop must name .*'tol'"),
        (
            'file = "categories.csv"',
            'file = "some.csv"',
            "categories.file must hold all objects of the study, got 'some.csv': .*'object 3'",
        ),
        (
            "[alignment]",
            '[images]\nroot = "."\n\n[alignment]',
            "out must not be images.root or in it, got '.*out' and '.'",
        ),
    ],
)
def test_what_does_not_fit_together_is_named_by_its_keys(tmp_path, old, new, message):
    path = write(tmp_path, TOML.replace(old, new))
    (tmp_path / "some.csv").write_text("item,category\nobject 0,animal\nobject 1,tool\nobject 2,food\n")
    with pytest.raises(ValueError, match=message):
        run(path, tmp_path / "out")


def test_labels_cannot_choose_where_there_are_none():
    with pytest.raises(
        ValueError, match="items must be positions where there are no labels, got 'ant'; give the labels first"
    ):
        gwrsa.Embedding([[1.0, 2.0], [3.0, 4.0]]).select(["ant"])
