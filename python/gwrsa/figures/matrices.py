"""RDMs and plans, sorted by category."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from gwrsa import _validate as check
from gwrsa._validate import FloatArray
from gwrsa.figures.labels import spread
from gwrsa.figures.style import COLUMN, INK, PAGE, PALE, QUIET, blank, owner, plain, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A journal's column has about this many dots; a plan of more objects is summed into cells, so that no mass is lost on the way.
_CELLS = 300


@styled
def rdm(
    square: ArrayLike,
    categories: Sequence[str | None] | None = None,
    *,
    percentiles: tuple[float, float] = (1, 99),
    label: str = "dissimilarity",
    ax: Axes | None = None,
) -> Axes:
    """An RDM, its objects sorted by category, with a line between categories and their names beside it.

    Parameters
    ----------
    square : array-like, shape (n, n)
        Dissimilarities.
    categories : sequence, length n, optional
        One label an object, such as from `gwrsa.figures.one_category`; objects that have None are left out. None: no sorting.
    percentiles : pair of float
        Of the dissimilarities off the diagonal: where colours begin and end.
    label : str
        Of the colour bar.
    ax : matplotlib Axes, optional
        None: a new figure.

    Raises
    ------
    ValueError
        If the array is not square or not finite, or categories do not fit it.
    """
    values = check.square("square", square)
    order, bounds, names = sorted_by(categories, len(values))
    shown = values[np.ix_(order, order)]
    axes = blank(ax, *((0.68 * PAGE, 3.7) if names else (1.2 * COLUMN, COLUMN)))
    off = shown[~np.eye(len(shown), dtype=bool)]
    low, high = np.percentile(off, percentiles) if len(off) else (0.0, 1.0)
    image = axes.imshow(shown, cmap="viridis", vmin=low, vmax=high)
    axes.figure.colorbar(image, cax=axes.inset_axes((1.03, 0, 0.035, 1)), label=label, extend="both", extendfrac=0.02)
    _frame(axes, bounds, names, len(shown), "white")
    return axes


@styled
def plan(
    coupling: ArrayLike,
    categories: Sequence[str | None] | None = None,
    *,
    source: str = "source",
    target: str = "target",
    ax: Axes | None = None,
) -> Axes:
    """A plan between the same objects, sorted by category on both sides, and what lies on its diagonal.

    Parameters
    ----------
    coupling : array-like, shape (n, n)
        Transport plan. Colour is how many times the uniform plan's mass a cell has, on a logarithmic scale.
    categories : sequence, length n, optional
        One label an object; objects that have None are left out. None: no sorting.
    source, target : str
        Names of the sides.
    ax : matplotlib Axes, optional
        None: a new figure. The share of each object's mass that lies on the diagonal, T_ii / p_i, is drawn in a strip at its right.

    Raises
    ------
    ValueError
        If the array is not square or not finite, or categories do not fit it.
    """
    from matplotlib.colors import LogNorm

    values = check.square("coupling", coupling)
    order, bounds, names = sorted_by(categories, len(values))
    own = (np.diag(values) / np.maximum(values.sum(axis=1), np.finfo(float).tiny))[order]
    shown = values[np.ix_(order, order)]
    n = len(shown)
    density = binned(shown) * n / max(shown.sum() / n, np.finfo(float).tiny)
    axes = blank(ax, *((0.78 * PAGE, 3.9) if names else (1.4 * COLUMN, COLUMN)))
    image = axes.imshow(
        np.maximum(density, 1e-3),
        cmap="Blues",
        norm=LogNorm(0.3, max(float(density.max()), 3.0)),
        extent=(-0.5, n - 0.5, n - 0.5, -0.5),
    )
    axes.set_title(f"rows: {plain(source)}, columns: {plain(target)}", fontsize=7)
    strip = axes.inset_axes((1.02, 0, 0.14, 1), sharey=axes)
    edges = np.linspace(0, n, min(n, _CELLS) + 1).round().astype(int)
    height = np.add.reduceat(own, edges[:-1]) / np.diff(edges) if n else own
    strip.barh((edges[:-1] + edges[1:] - 1) / 2, 100 * height, np.diff(edges), color=INK, linewidth=0)
    strip.tick_params(axis="y", labelleft=False, length=0)
    strip.set_xlabel("on diagonal\n(% of row)")
    strip.set_xlim(left=0)
    strip.spines["left"].set_linewidth(0.4)
    bar = axes.figure.colorbar(
        image, cax=axes.inset_axes((1.22, 0, 0.035, 1)), label="mass, times uniform", extend="min", extendfrac=0.02
    )
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    bar.ax.yaxis.set_minor_formatter(lambda _value, _: "")
    _frame(axes, bounds, names, n, PALE)
    return axes


@styled
def plan_in_colours(plan: ArrayLike, colours: ArrayLike, labels: Sequence[str], *, ax: Axes | None = None) -> Axes:
    """Draw a plan between few objects, each row in the colour of its source object.

    Parameters
    ----------
    plan : array-like, shape (n, m)
        Transport plan; a row's cells are as opaque as their share of the row.
    colours : array-like, shape (n, 3)
        Red, green, blue in [0, 1], one an object.
    labels : sequence of str, length n
        Of the ticks on both axes.
    ax : matplotlib Axes, optional
        Where to draw. None: a new figure.
    """
    values = check.array("plan", plan, 2)
    rgb = check.array("colours", colours, 2)
    n, m = values.shape
    axes = blank(ax, COLUMN, COLUMN)
    share = values / values.max(axis=1, keepdims=True)
    image = 1.0 - share[:, :, None] * (1.0 - rgb[:, None, :])
    axes.imshow(image, interpolation="nearest")
    best = values.argmax(axis=1)
    for i, j in enumerate(best):
        axes.plot(j, i, "o" if i == j else "x", color="black", markersize=4, markerfacecolor="none")
    for axis, size in ((axes.xaxis, m), (axes.yaxis, n)):
        axis.set_ticks(range(size), [plain(label) for label in labels[:size]])
    axes.tick_params(axis="x", rotation=60)
    axes.set_xlabel("coupled with (nm)")
    axes.set_ylabel("colour (nm)")
    # A strip of the true colours beside each axis says which is which.
    for position, strip_image in (((0, 1.01, 1, 0.03), rgb[None, :m]), ((1.01, 0, 0.03, 1), rgb[:, None])):
        strip = axes.inset_axes(position)
        strip.imshow(strip_image, aspect="auto", interpolation="nearest")
        strip.set_axis_off()
    return axes


def one_category(members: ArrayLike, names: Sequence[str]) -> list[str | None]:
    """One category an object, for sorting: of several the smallest, so that none is swallowed; None for an object without.

    Parameters
    ----------
    members : array-like, shape (n, c)
        0/1 membership.
    names : sequence of str, length c
        Of the categories.
    """
    inside = check.array("members", members, 2) > 0
    if inside.shape[1] != len(names):
        raise ValueError(f"names must have length {inside.shape[1]}, one a category, got {len(names)}")
    size = inside.sum(axis=0)
    smallest = np.where(inside, size, size.max(initial=0) + 1).argmin(axis=1)
    return [names[c] if row.any() else None for row, c in zip(inside, smallest, strict=True)]


def sorted_by(categories: Sequence[str | None] | None, n: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Order of the objects, the bounds of the categories in it (one more than names), and their names."""
    if categories is None:
        return np.arange(n), np.array([0, n]), []
    if len(categories) != n:
        raise ValueError(f"categories must have length {n}, one an object, got {len(categories)}")
    kept = [i for i, c in enumerate(categories) if c is not None]
    if not kept:
        raise ValueError(f"categories must give at least one of the {n} objects a category, got none")
    order = np.array(sorted(kept, key=lambda i: str(categories[i])))
    names, counts = np.unique([str(categories[i]) for i in order], return_counts=True)
    return order, np.concatenate([[0], np.cumsum(counts)]), [str(x) for x in names]


def binned(values: FloatArray, cells: int = _CELLS) -> FloatArray:
    """Mean over blocks, at most `cells` a side; blocks differ in size by one object at most."""
    n = len(values)
    edges = np.linspace(0, n, min(n, cells) + 1).round().astype(int)
    total = np.add.reduceat(np.add.reduceat(values, edges[:-1], axis=0), edges[:-1], axis=1)
    return np.asarray(total / np.outer(np.diff(edges), np.diff(edges)))


def _frame(axes: Axes, bounds: np.ndarray, names: list[str], n: int, colour: str) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    for at in bounds[1:-1] - 0.5:
        axes.axhline(at, color=colour, linewidth=0.3)
        axes.axvline(at, color=colour, linewidth=0.3)
    if not names:
        return
    owner(axes).draw_without_rendering()  # the layout settles how tall the axes are
    height = axes.get_window_extent().height / owner(axes).dpi * 72
    size = float(np.clip(height / len(names) / 1.4, 4.0, 6.5))
    middle = (bounds[:-1] + bounds[1:] - 1) / 2
    at = spread(middle, 1.1 * size / height * n, 0, n - 1)
    along = axes.get_yaxis_transform()
    for name, true, moved in zip(names, middle, at, strict=True):
        axes.plot(
            [-0.004, -0.02, -0.045, -0.055],
            [true, true, moved, moved],
            transform=along,
            color=QUIET,
            linewidth=0.4,
            clip_on=False,
        )
        axes.text(-0.065, moved, plain(name), transform=along, ha="right", va="center", fontsize=size)
