"""Figure 1: what this very study does, with its own matrices as thumbnails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from gwrsa import _validate as check
from gwrsa._validate import FloatArray
from gwrsa.figures.matrices import binned
from gwrsa.figures.style import INK, PAGE, QUIET, blank, family_colour, percent, plain, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

# Between the names of the two sides is room for so many.
_MOST_PICTURES, _IN_A_ROW = 6, 3


@styled
def workflow(
    source: ArrayLike,
    target: ArrayLike,
    plan: ArrayLike,
    *,
    names: tuple[str, str] = ("human", "model"),
    family: str = "supervised",
    rsa: float,
    matching: float,
    category: float | None = None,
    categorised: bool = False,
    order: Sequence[int] | None = None,
    pictures: Sequence[ArrayLike] = (),
    ax: Axes | None = None,
) -> Axes:
    """Two RDMs, the plan that is found between them without labels, and what is read from it; beside RSA.

    Parameters
    ----------
    source, target : array-like, shape (n, n)
        Dissimilarities of the same objects.
    plan : array-like, shape (n, n)
        Transport plan between them.
    names : pair of str
        Of the two sides.
    family : str
        Of the model, for its colour.
    rsa, matching, category : float
        The numbers of this pair: correlation, and rates in [0, 1] (None: not shown).
    categorised : bool
        Whether the category rate is that of the objects which have a category, not of all.
    order : sequence of int, length n, optional
        Order of the objects in the thumbnails, such as by category. None: as they are.
    pictures : sequence of array-like, shape (height, width, 3)
        Images of some objects, as matplotlib's imshow takes them; the first six are shown. Empty: none.
    ax : matplotlib Axes, optional
        None: a new figure.

    Raises
    ------
    ValueError
        If the arrays are not square, not finite or differ in size.
    """
    c1, c2, t = (check.square(name, v) for name, v in (("source", source), ("target", target), ("plan", plan)))
    n = len(c1)
    if not len(c2) == len(t) == n:
        raise ValueError(f"source, target and plan must be of the same objects, got {n}, {len(c2)} and {len(t)}")
    rows = np.arange(n) if order is None else np.asarray(order)
    c1, c2, t = (m[np.ix_(rows, rows)] for m in (c1, c2, t))
    axes = blank(ax, PAGE, 2.75)
    axes.set_xlim(0, 7.2)
    axes.set_ylim(0, 2.75)
    axes.set_axis_off()
    colour = family_colour(family)
    for y, values, name, edge in ((1.53, c1, names[0], family_colour("human")), (0.15, c2, names[1], colour)):
        _rdm(axes, (1.05, y, 1.0, 1.0), values, edge)
        axes.text(
            0.95, y + 0.5, f"{plain(name)}\nRDM of\n{n:,} objects", ha="right", va="center", color=edge, linespacing=1.4
        )
    for i, picture in enumerate(pictures[:_MOST_PICTURES]):
        row, column = divmod(i, _IN_A_ROW)
        _picture(axes, (0.95 - 0.31 * (_IN_A_ROW - column), 1.35 - 0.31 * row, 0.29, 0.29), picture)
    _arrow(axes, (2.15, 2.03), (3.1, 1.5))
    _arrow(axes, (2.15, 0.65), (3.1, 1.2))
    axes.text(3.9, 2.5, "Gromov-Wasserstein", ha="center", va="center", fontsize=8, weight="bold")
    axes.text(3.9, 2.3, "which object is which is not told", ha="center", va="center", color=QUIET)
    density = binned(t, 60) * n / max(t.sum() / n, np.finfo(float).tiny)
    inset = axes.inset_axes((3.2, 0.65, 1.4, 1.4), transform=axes.transData)
    inset.imshow(np.log10(np.maximum(density, 0.3)), cmap="Blues", interpolation="nearest")
    _bare(inset, INK)
    axes.text(
        3.9, 0.6, "plan: row $i$ says where\nobject $i$ was found", ha="center", va="top", color=QUIET, fontsize=6.5
    )
    lines = [("Fine-grained", percent(matching), "of objects meet themselves")]
    if category is not None:
        those = "of those with a category meet it" if categorised else "of objects meet their category"
        lines.append(("Coarse-grained", percent(category), those))
    for i, (title, number, text) in enumerate(lines):
        y = 1.62 - 0.75 * i
        _arrow(axes, (4.7, 1.35), (5.25, y))
        _result(axes, y, title, number, text, colour)
    _arrow(axes, (1.55, 1.5), (1.55, 1.18), both=True)
    axes.text(1.7, 1.34, f"RSA {rsa:.2f}\n(told which is which)", ha="left", va="center", color=INK, fontsize=6.5)
    return axes


def _result(axes: Axes, y: float, title: str, number: str, text: str, colour: str) -> None:
    axes.text(5.35, y + 0.19, title, va="center", fontsize=8, weight="bold")
    axes.text(5.35, y - 0.02, number, va="center", fontsize=11, color=colour, weight="bold")
    axes.text(5.35, y - 0.23, text, va="center", color=QUIET)


def _rdm(axes: Axes, where: tuple[float, float, float, float], values: FloatArray, edge: str) -> None:
    inset = axes.inset_axes(where, transform=axes.transData)
    off = values[~np.eye(len(values), dtype=bool)]
    low, high = np.percentile(off, (1, 99)) if len(off) else (0.0, 1.0)
    inset.imshow(values, cmap="viridis", vmin=low, vmax=high)
    _bare(inset, edge)


def _picture(axes: Axes, where: tuple[float, float, float, float], picture: ArrayLike) -> None:
    inset = axes.inset_axes(where, transform=axes.transData)
    inset.imshow(np.asarray(picture))
    inset.set_axis_off()


def _bare(inset: Axes, edge: str) -> None:
    inset.set_xticks([])
    inset.set_yticks([])
    inset.spines[:].set_visible(True)
    inset.spines[:].set_color(edge)
    inset.spines[:].set_linewidth(1.0)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], *, both: bool = False) -> None:
    axes.annotate(
        "",
        end,
        start,
        arrowprops={"arrowstyle": "<->" if both else "-|>", "color": INK, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0},
    )
