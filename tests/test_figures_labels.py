"""Names beside points: apart, with lines that cross nothing."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from gwrsa.figures.labels import name_points, spread

pytestmark = pytest.mark.usefixtures("no_figure_left")


def test_spread_keeps_names_apart_and_in_order():
    at = spread([0.0, 0.1, 0.2, 5.0], 1.0, 0.0, 9.0)
    assert (np.diff(at) >= 1 - 1e-9).all()
    assert at[3] == 5.0
    np.testing.assert_allclose(spread([4.9, 5.0, 5.1], 1.0, 0.0, 9.0), [4, 5, 6])
    np.testing.assert_allclose(spread([1.0, 1.0, 1.0], 9.0, 0.0, 4.0), [0, 2, 4])


def test_names_of_points_do_not_overlap():
    axes = Figure(figsize=(4, 4)).subplots()
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 15))
    axes.scatter(x, y)
    name_points(axes, x, y, [f"model {i}" for i in range(15)])
    axes.figure.draw_without_rendering()
    boxes = [t.get_window_extent() for t in axes.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_lines_from_names_to_points_cross_no_name_and_no_line():
    """A crowd, whose names have to go far; ends of the lines are read off the drawing."""
    axes = Figure(figsize=(4, 4)).subplots()
    x, y = np.random.default_rng(3).normal(0.5, 0.07, (2, 16))
    axes.scatter(x, y)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    name_points(axes, x, y, [f"a model {i}" for i in range(16)])
    axes.figure.draw_without_rendering()
    boxes = [Text.get_window_extent(t) for t in axes.texts]
    lines = {}
    for i, text in enumerate(axes.texts):
        if text.arrow_patch is not None:
            ends = text.arrow_patch.get_transform().transform_path(text.arrow_patch.get_path()).vertices
            lines[i] = ends[0] + (ends[-1] - ends[0]) * np.linspace(0, 1, 200)[:, None]
    assert len(lines) > 1
    for i, on in lines.items():
        for j, box in enumerate(boxes):
            inside = (on > [box.x0 + 1, box.y0 + 1]) & (on < [box.x1 - 1, box.y1 - 1])
            assert i == j or not inside.all(axis=1).any()
        for j, other in lines.items():
            apart = np.hypot(*(on[:, None] - other[None]).transpose(2, 0, 1)).min()
            assert i == j or apart > 0.5


def test_a_name_beside_its_point_is_not_as_near_to_another():
    """Two points above each other, with bars that leave the left side only."""
    axes = Figure(figsize=(3.5, 3.3)).subplots()
    x, y = [75.0, 74.8], [33.5, 31.2]
    axes.set(xlim=(0, 80), ylim=(-3, 38))
    bars = [b for px, py in zip(x, y, strict=True) for b in ((px - 3, py, px + 3, py), (px, py - 2, px, py + 2))]
    name_points(axes, x, y, ["group 1", "group 2"], bars=bars)
    axes.figure.draw_without_rendering()
    places = axes.transData.transform(np.column_stack([x, y]))
    for text in axes.texts:
        box = Text.get_window_extent(text)
        far = np.hypot(*(places - np.clip(places, (box.x0, box.y0), (box.x1, box.y1))).T)
        own = int(text.get_text()[-1]) - 1
        assert text.arrow_patch is None
        assert far[own] * 1.3 < far[1 - own]


def test_a_name_that_stands_alone_needs_no_line():
    axes = Figure(figsize=(4, 4)).subplots()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    # A bar on either side drives the name away from its point.
    name_points(axes, [0.5, 0.05], [0.5, 0.05], ["here", "far"], bars=[(0.3, 0.5, 0.7, 0.5), (0.5, 0.3, 0.5, 0.7)])
    assert [t.arrow_patch for t in axes.texts] == [None, None]
