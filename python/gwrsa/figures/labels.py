"""Where names go: along an axis without touching, beside points without covering them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from gwrsa._validate import FloatArray
from gwrsa.figures.style import INK, QUIET, owner

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Directions from a point to its name, the reader's favourite first.
_AROUND = ((1, 0), (1, 1), (1, -1), (-1, 0), (-1, 1), (-1, -1), (0, 1), (0, -1), (1, 2), (1, -2), (-1, 2), (-1, -2))


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
    """Write each name beside its point, where it covers least of the points, bars and names before it.

    Bars are boxes to keep clear, shape (n_bars, 4): x and y of one corner, x and y of the other.
    """
    figure = owner(ax)
    figure.draw_without_rendering()  # the layout settles where points are
    scale = figure.dpi / 72
    points = ax.transData.transform(np.column_stack([np.asarray(x, float), np.asarray(y, float)]))
    inside = ax.get_window_extent()
    taken = [(px - 3 * scale, py - 3 * scale, px + 3 * scale, py + 3 * scale) for px, py in points]
    corners = ax.transData.transform(np.asarray(bars, dtype=np.float64).reshape(-1, 2)).reshape(-1, 2, 2)
    taken += [(*(box.min(axis=0) - scale), *(box.max(axis=0) + scale)) for box in corners]
    height = size * scale * 1.15
    for i in np.argsort(points[:, 0], kind="stable"):
        width = (_text_width(names[i], size) + 3) * scale
        best = None
        for reach in (5.0, 11.0, 18.0, 26.0):
            for rank, (dx, dy) in enumerate(_AROUND):
                cx = points[i, 0] + dx * (reach * scale + width / 2) * (1 if dy == 0 else 0.85)
                cy = points[i, 1] + dy * (reach * scale * 0.7 + height / 3)
                box = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
                covered = sum(_overlap(box, other) for other in taken)
                outside = width * height - _overlap(box, (inside.x0, inside.y0, inside.x1, inside.y1))
                cost = covered + 2 * outside + (rank * 0.02 + reach * 0.02) * height**2
                if best is None or cost < best[0]:
                    best = (cost, cx, cy, box, reach)
        assert best is not None  # noqa: S101  # there is always a first place
        _, cx, cy, box, reach = best
        taken.append(box)
        offset = ((cx - points[i, 0]) / scale, (cy - points[i, 1]) / scale)
        written = ax.annotate(
            names[i],
            (float(np.asarray(x)[i]), float(np.asarray(y)[i])),
            offset,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=size,
            color=INK,
            arrowprops={"arrowstyle": "-", "color": QUIET, "linewidth": 0.4, "shrinkB": 3} if reach > 5 else None,
        )
        written.set_in_layout(False)  # or the layout would move the points


def _text_width(text: str, size: float) -> float:
    """Points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    return float(TextPath((0, 0), text, size=size, prop=FontProperties()).get_extents().width) if text.strip() else 0.0


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
