"""Figures of a study that the workers of a Dask cluster draw."""

import shutil
import warnings

import pytest

from gwrsa import cluster_figures
from gwrsa.figures import study as figures
from gwrsa.store import Results

distributed = pytest.importorskip("distributed")
# What Dask warns of when it closes is not ours.
pytestmark = [pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def results(tmp_path, made):
    shutil.copytree(made[1].folder, tmp_path / "out")
    return Results.open(tmp_path / "out")


def drawn(results):
    return {path.name: path.read_bytes() for path in (results.folder / "figures").iterdir()}


def refused(*_, **__):
    raise AssertionError("drawn here")


def test_workers_draw_what_this_process_would_to_the_last_byte(results, monkeypatch):
    figures.draw(results)
    expected = drawn(results)
    shutil.rmtree(results.folder / "figures")
    (results.folder / "figures").mkdir()
    (results.folder / "figures" / "figure_3_rdm_gone.png").write_text("of an earlier run")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        monkeypatch.setattr(figures, "draw", refused)
        cluster_figures.draw(results, client)
    assert drawn(results) == expected


@pytest.mark.parametrize("n", [1, 2, 3, 100])
def test_each_figure_is_drawn_once_and_those_of_a_model_together(results, n):
    parts = cluster_figures.portions(results, n)
    every = figures.drawings(results)
    assert len(parts) == min(n, len({d.name if d.model is None else d.model for d in every}))
    assert sorted(name for part in parts for name in part) == sorted(d.name for d in every)
    for model in {d.model for d in every} - {None}:
        assert sum(any(d.name in part for d in every if d.model == model) for part in parts) == 1


class Client:
    """Of two workers, who can draw or not, and may leave before they have."""

    def __init__(self, places, there=()):
        self.places, self.there, self.cancelled = places, there, False

    def run(self, *_, **__):
        return self.places

    def submit(self, *_, **__):
        return self

    def nthreads(self):
        return dict.fromkeys(self.there, 1)

    def done(self):
        return False

    def add_done_callback(self, _):
        pass

    def cancel(self, _):
        self.cancelled = True


def gone(*_, **__):
    raise OSError("the scheduler is gone")


@pytest.mark.parametrize(
    ("client", "cancelled"),
    [
        (Client({}), False),
        (Client({"a": ("host", 1), "b": None}), False),
        (Client({"a": cluster_figures.place(), "b": cluster_figures.place()}), False),
        (Client({"a": ("host", 1), "b": ("host", 2)}, there=("a",)), True),
        (type("Gone", (Client,), {"run": gone})({}), False),
    ],
)
def test_where_workers_cannot_figures_are_drawn_here(results, monkeypatch, client, cancelled):
    calls = []
    monkeypatch.setattr(figures, "draw", calls.append)
    cluster_figures.draw(results, client)
    assert calls == [results]
    assert client.cancelled == cancelled


def test_what_workers_warn_of_is_said_once(results, monkeypatch):
    monkeypatch.setattr(cluster_figures, "_on_workers", lambda *_: ["broken", "broken", "lost"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cluster_figures.draw(results, None)
    assert [str(w.message) for w in caught] == ["broken", "lost"]


def test_some_figures_are_drawn_alone(results, tmp_path):
    written = figures.draw(results, tmp_path / "some", only=["figure_2_rsa"])
    assert sorted(p.name for p in written) == [f"figure_2_rsa.{kind}" for kind in ("pdf", "png", "svg")]
    with pytest.raises(ValueError, match=r"only must be one of .*, got 'figure_2_rsaa'; did you mean 'figure_2_rsa'\?"):
        figures.draw(results, only=["figure_2_rsaa"])
