"""Figures of a study that several processes draw."""

import os
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from cluster_files import GWRSA, ended, start, wait_for
from gwrsa.figures import side_by_side
from gwrsa.figures import study as figures
from gwrsa.store import Results
from gwrsa.study_compute import cores


@pytest.fixture
def results(tmp_path, made):
    shutil.copytree(made[1].folder, tmp_path / "out")
    return Results.open(tmp_path / "out")


def drawn(results):
    return {path.name: path.read_bytes() for path in (results.folder / "figures").iterdir()}


def refused(*_, **__):
    raise AssertionError("drawn here")


def test_other_processes_draw_what_this_one_would_to_the_last_byte(results, monkeypatch):
    # Some of each part: all are drawn by tests of the report.
    parts = [part[:2] for part in side_by_side.portions(figures.drawings(results), 2)]
    figures.draw(results, only=[name for part in parts for name in part])
    expected = drawn(results)
    assert len(expected) == 12
    shutil.rmtree(results.folder / "figures")
    (results.folder / "figures").mkdir()
    (results.folder / "figures" / "figure_3_rdm_gone.png").write_text("of an earlier run")
    monkeypatch.setattr(side_by_side, "portions", lambda *_: parts)
    monkeypatch.setattr(figures, "draw", refused)
    side_by_side.draw(results, 2)
    assert drawn(results) == expected


@pytest.mark.parametrize("n", [1, 2, 3, 100])
def test_each_figure_is_drawn_once_and_those_of_a_model_together(results, n):
    every = figures.drawings(results)
    parts = side_by_side.portions(every, n)
    assert len(parts) == min(n, len({d.name if d.model is None else d.model for d in every}))
    assert sorted(name for part in parts for name in part) == sorted(d.name for d in every)
    for model in {d.model for d in every} - {None}:
        assert sum(any(d.name in part for d in every if d.model == model) for part in parts) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_BEGIN", "raise SystemExit(3)"),
        ("_BEGIN", "import os; os._exit(0)"),
        ("_MOST_CELLS", 24 * 24 * 2 - 1),
        ("_WORTH", 30),
    ],
)
def test_where_others_cannot_figures_are_drawn_here(results, monkeypatch, name, value):
    calls = []
    monkeypatch.setattr(side_by_side, name, value)
    monkeypatch.setattr(figures, "draw", calls.append)
    side_by_side.draw(results, 2)
    assert calls == [results]


@pytest.mark.parametrize("executable", ["/opt/blender", None, "/no/such/python"])
def test_no_other_program_is_begun(results, monkeypatch, executable):
    calls = []
    monkeypatch.setattr(sys, "executable", executable)
    monkeypatch.setattr(figures, "draw", calls.append)
    side_by_side.draw(results, 2)
    assert calls == [results]


def test_what_others_warn_of_is_said_once(results, monkeypatch):
    monkeypatch.setattr(side_by_side, "_by_others", lambda *_: ["broken", "broken", "lost"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        side_by_side.draw(results, 2)
    assert [str(w.message) for w in caught] == ["broken", "lost"]


def test_a_warning_of_another_process_reaches_this_one(results, monkeypatch):
    warned = "import warnings; from gwrsa.figures import side_by_side, study; "
    warned += "study.draw = lambda *_, **__: warnings.warn('an image is broken'); side_by_side.draw_told()"
    monkeypatch.setattr(side_by_side, "_BEGIN", warned)
    with pytest.warns(UserWarning, match="an image is broken") as said:
        side_by_side.draw(results, 2)
    assert len(said) == 1


@pytest.mark.skipif(sys.platform != "linux" or cores() < 2, reason="processes are those of Linux, one a core")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_other_processes_end_with_the_first(results, how):
    command = [*GWRSA, "report", results.folder]
    first = start(*command, start_new_session=True)

    def others():
        found = subprocess.run(["pgrep", "-P", str(first.pid)], capture_output=True, text=True, check=False)  # noqa: S607
        return [int(pid) for pid in found.stdout.split()]

    wait_for(lambda: len(others()) >= 2 and any((results.folder / "figures").glob("figure_*.png")))
    began = others()
    os.killpg(first.pid, how) if how == signal.SIGINT else first.kill()
    status, _, err = ended(first, 60)
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in began), 60)
    assert status == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert "Traceback" not in err


def test_some_figures_are_drawn_alone(results, tmp_path):
    written = figures.draw(results, tmp_path / "some", only=["figure_2_rsa"])
    assert sorted(p.name for p in written) == [f"figure_2_rsa.{kind}" for kind in ("pdf", "png", "svg")]
    with pytest.raises(ValueError, match=r"only must be one of .*, got 'figure_2_rsaa'; did you mean 'figure_2_rsa'\?"):
        figures.draw(results, only=["figure_2_rsaa"])
