"""RDMs, plans and tables of objects, as they are drawn."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from gwrsa import figures
from gwrsa.figures.matrices import binned, sorted_by
from problems import distances

pytestmark = pytest.mark.usefixtures("no_figure_left")


def test_rdm_is_sorted_with_a_line_between_categories():
    square = distances(12)
    axes = figures.rdm(square, ["b", "a", None] * 4)
    order = [1, 4, 7, 10, 0, 3, 6, 9]
    np.testing.assert_array_equal(axes.images[0].get_array(), square[np.ix_(order, order)])
    assert [t.get_text() for t in axes.texts] == ["a", "b"]
    across = [line.get_ydata()[0] for line in axes.lines if list(line.get_xdata()) == [0, 1]]
    assert across == [3.5]


def test_plan_shows_density_and_diagonal():
    plan = np.full((4, 4), 1 / 16)
    plan[0] = [1 / 4, 0, 0, 0]
    axes = figures.plan(plan)
    np.testing.assert_allclose(axes.images[0].get_array(), np.maximum(plan * 16, 1e-3))
    strip = axes.child_axes[0]
    assert [p.get_width() for p in strip.patches] == pytest.approx([100, 25, 25, 25])


def test_cells_of_a_large_plan_keep_its_mass():
    values = np.random.default_rng(0).random((700, 700))
    small = binned(values, 300)
    assert small.shape == (300, 300)
    assert small[:1, :1] == pytest.approx(values[:2, :2].mean())
    assert binned(np.full((700, 700), 0.3), 300) == pytest.approx(0.3)


def test_one_category_takes_the_smallest():
    members = np.array([[1, 1], [1, 0], [1, 0], [0, 0], [0, 1], [1, 0]])
    assert figures.one_category(members, ["big", "small"]) == ["small", "big", "big", None, "small", "big"]


def test_sorting_leaves_out_objects_without_a_category():
    order, bounds, names = sorted_by(["b", None, "a", "b"], 4)
    assert (order.tolist(), bounds.tolist(), names) == ([2, 0, 3], [0, 1, 3], ["a", "b"])


def test_top_table_marks_own_and_category():
    from gwrsa.figures.objects import OWN, SAME

    top = np.array([[0, 1], [2, 0], [0, 1]])
    axes = figures.top_table(top, ["ant", "bee", "hammer"], categories=[[1, 0], [1, 0], [0, 1]], k=2)
    words = {"object", "1", "2"}
    assert [t.get_text() for t in axes.texts if t.get_text() not in words] == [
        *("ant", "ant", "bee"),
        *("bee", "hammer", "ant"),
        *("hammer", "ant", "bee"),
    ]
    colours = [to_hex(p.get_facecolor()).upper() for p in axes.patches]
    assert [c for c in colours if c in (OWN, SAME)] == [OWN, SAME, SAME]


def test_top_table_shows_images_where_there_are_any(tmp_path):
    from PIL import Image

    Image.new("RGB", (30, 20), "red").save(tmp_path / "ant.png")
    (tmp_path / "bee").mkdir()
    Image.new("L", (20, 40), 255).save(tmp_path / "bee" / "2.png")
    Image.new("L", (20, 40), 0).save(tmp_path / "bee" / "1.jpg")
    axes = figures.top_table(np.array([[1], [0], [0]]), ["ant", "bee", "cat"], k=1, images=tmp_path)
    pixels = [child.images[0].get_array() for child in axes.child_axes]
    assert [tuple(p[0, 0]) for p in pixels] == [(255, 0, 0), (0, 0, 0), (0, 0, 0), (255, 0, 0), (255, 0, 0)]


def test_top_table_names_and_counts_broken_images(tmp_path):
    from PIL import Image

    Image.new("RGB", (30, 20), "red").save(tmp_path / "ant.PNG")
    whole = (tmp_path / "ant.PNG").read_bytes()
    (tmp_path / "bee.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "cat.tif").write_bytes(b"no image")
    (tmp_path / "not shown.png").write_bytes(b"no image")
    labels = ["ant", "bee", "cat", "dog", "not shown"]
    with pytest.warns(UserWarning, match=r"images must be whole, got 2 of 3 shown that are not: .*bee\.png.*cat\.tif"):
        axes = figures.top_table(np.array([[1], [2], [3], [0], [4]]), labels, k=1, rows=[0, 1, 2], images=tmp_path)
    drawn = [[t.get_text() for t in child.texts] or child.images[0].get_array().shape for child in axes.child_axes]
    broken = ["broken\nimage"]
    assert drawn == [(20, 20, 3), broken, broken, broken, broken]
    named = [t.get_text() for t in axes.texts]
    assert [named.count(label) for label in labels[:4]] == [1, 2, 2, 1]
