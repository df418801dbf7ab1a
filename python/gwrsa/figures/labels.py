"""Where names go: along an axis without touching, beside points without covering them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from gwrsa._validate import FloatArray
from gwrsa.figures.style import INK, QUIET, owner, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Directions from a point to its name, the reader's favourite first.
_AROUND = ((1, 0), (1, 1), (1, -1), (-1, 0), (-1, 1), (-1, -1), (0, 1), (0, -1), (1, 2), (1, -2), (-1, 2), (-1, -2))


# Points, of a name from its point: beside it; and how many times farther another point has to be for a name to need no line.
_BESIDE, _FARTHER = 5.0, 1.5
# How much more a bar counts than a point of its area.
_BAR = 3.0
# What a name costs, in squares of its height, of which the reader cannot tell whose it is: as much as two directions less liked. With
# more of it the names of a crowd go so far that their lines cross.
_DOUBT = 0.04
# How often each name is placed, given all others.
_SWEEPS = 3
_Box: TypeAlias = tuple[float, float, float, float]
_Line: TypeAlias = tuple[tuple[float, float], tuple[float, float]]


def spread(positions: ArrayLike, gap: float, low: float, high: float) -> FloatArray:
    """Positions moved least (in squares) so that neighbours are at least `gap` apart, and inside [low, high] if they fit.

    Pool-adjacent-violators: x_i - i gap has to grow, which is isotonic regression.
    """
    from scipy.optimize import isotonic_regression

    wanted = np.asarray(positions, dtype=np.float64)
    if len(wanted) == 0:
        return wanted
    order = np.argsort(wanted, kind="stable")
    gap = min(gap, (high - low) / max(len(wanted) - 1, 1))
    step = gap * np.arange(len(wanted))
    fitted = np.clip(isotonic_regression(wanted[order] - step).x, low, high - step[-1]) + step
    out = np.empty_like(wanted)
    out[order] = fitted
    return out


def name_points(
    ax: Axes, x: ArrayLike, y: ArrayLike, names: Sequence[str], *, bars: ArrayLike = (), size: float = 6.0
) -> None:
    """Write each name beside its point, where it covers least of the points, bars and other names.

    A line leads from a name to its point only where another point is as near; it crosses no point, name or other line if it can be helped.

    Bars are boxes to keep clear, shape (n_bars, 4): x and y of one corner, x and y of the other.
    """
    figure = owner(ax)
    figure.draw_without_rendering()  # the layout settles where points are
    scale = figure.dpi / 72
    points = ax.transData.transform(np.column_stack([np.asarray(x, float), np.asarray(y, float)]))
    inside = ax.get_window_extent()
    dots = [(px - 3 * scale, py - 3 * scale, px + 3 * scale, py + 3 * scale) for px, py in points]
    corners = ax.transData.transform(np.asarray(bars, dtype=np.float64).reshape(-1, 2)).reshape(-1, 2, 2)
    lines = [(*(box.min(axis=0) - scale), *(box.max(axis=0) + scale)) for box in corners]
    height = size * scale * 1.15
    placed: dict[int, tuple[_Box, _Line | None]] = {}

    def cost(i: int, box: _Box, leader: _Line | None) -> float:
        others = [there for j, there in placed.items() if j != i]
        # A bar is thin: a little of it behind a name is as hard to read as much of a point.
        covered = sum(_overlap(box, dot) for dot in dots) + _BAR * sum(_overlap(box, line) for line in lines)
        covered += 2 * sum(_overlap(box, name) for name, _ in others)
        crossed = sum(line is not None and _enters(line, box) for _, line in others)
        if leader is not None:
            crossed += sum(_enters(leader, name) for name, _ in others)
            crossed += sum(line is not None and _crosses(leader, line) for _, line in others)
            crossed += sum(_enters(leader, dot) for j, dot in enumerate(dots) if j != i)
        beyond = (box[2] - box[0]) * height - _overlap(box, (inside.x0, inside.y0, inside.x1, inside.y1))
        return covered + 2 * beyond + 2 * crossed * height**2

    order = np.argsort(points[:, 0], kind="stable").tolist()
    for i in order * _SWEEPS:
        width = (_text_width(plain(names[i]), size) + 3) * scale
        best = None
        for reach in (_BESIDE, 11.0, 18.0, 26.0, 36.0):
            for rank, (dx, dy) in enumerate(_AROUND):
                cx = points[i, 0] + dx * (reach * scale + width / 2) * (1 if dy == 0 else 0.85)
                cy = points[i, 1] + dy * (reach * scale * 0.7 + height / 3)
                box = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
                doubtful = _leader(box, points, i)
                leader = doubtful if reach > _BESIDE else None
                # Beside its point a name has no line, and must not be as near to another.
                unsaid = _DOUBT * height**2 if doubtful is not None and leader is None else 0.0
                price = cost(i, box, leader) + unsaid + (rank * 0.02 + reach * 0.02) * height**2
                if best is None or price < best[0]:
                    best = (price, box, leader)
        assert best is not None  # noqa: S101  # there is always a first place
        placed[i] = best[1:]
    for i in order:
        box, leader = placed[i]
        cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        offset = ((cx - points[i, 0]) / scale, (cy - points[i, 1]) / scale)
        written = ax.annotate(
            plain(names[i]),
            (float(np.asarray(x)[i]), float(np.asarray(y)[i])),
            offset,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=size,
            color=INK,
            arrowprops=None
            if leader is None
            else {
                "arrowstyle": "-",
                "color": QUIET,
                "linewidth": 0.4,
                "shrinkA": 0,
                "shrinkB": 3,
                "relpos": _towards(box, leader[0]),
            },
        )
        written.set_in_layout(False)  # or the layout would move the points


def _leader(box: _Box, points: FloatArray, i: int) -> _Line | None:
    """From the nearest place of a name's box to its point; None where no other point is as near to the name."""
    nearest = np.clip(points, box[:2], box[2:])
    far = np.hypot(*(points - nearest).T)
    if (np.delete(far, i) > _FARTHER * far[i]).all():
        return None
    return (float(nearest[i, 0]), float(nearest[i, 1])), (float(points[i, 0]), float(points[i, 1]))


def _towards(box: _Box, place: tuple[float, float]) -> tuple[float, float]:
    """A place on a box, as shares of its sides."""
    return (place[0] - box[0]) / (box[2] - box[0]), (place[1] - box[1]) / (box[3] - box[1])


def _crosses(one: _Line, other: _Line) -> bool:
    def side(line: _Line, at: tuple[float, float]) -> float:
        (ax, ay), (bx, by) = line
        return (bx - ax) * (at[1] - ay) - (by - ay) * (at[0] - ax)

    return side(one, other[0]) * side(one, other[1]) < 0 and side(other, one[0]) * side(other, one[1]) < 0


def _enters(line: _Line, box: _Box) -> bool:
    """Whether a line crosses a side of a box, or lies in it."""
    x0, y0, x1, y1 = box
    inside = any(x0 < x < x1 and y0 < y < y1 for x, y in line)
    return inside or _crosses(line, ((x0, y0), (x1, y1))) or _crosses(line, ((x0, y1), (x1, y0)))


def _text_width(text: str, size: float) -> float:
    """Points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    return float(TextPath((0, 0), text, size=size, prop=FontProperties()).get_extents().width) if text.strip() else 0.0


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
