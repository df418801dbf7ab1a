"""All models against each other: one number a pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from gwrsa import _validate as check
from gwrsa.figures.style import INK, PALE, blank, family_colour, family_handles, family_order, plain, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# More models than this, and a number in a cell is too small to read.
_MOST_NUMBERS = 16
# Inches: of a cell, and of all cells together.
_CELL, _WIDEST = 0.36, 5.0


@styled
def matrix_of_models(
    values: ArrayLike,
    names: Sequence[str],
    families: Sequence[str],
    *,
    label: str = "",
    percent: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """One number for each pair of models, such as their RSA or matching rate; models sorted by family.

    Parameters
    ----------
    values : array-like, shape (n, n)
        Symmetric; the diagonal is not shown. NaN: a pair without a number, which stays grey.
    names, families : sequence of str, length n
        Of the models; a name has the colour of its family.
    label : str
        What the number is.
    percent : bool
        Write 0.5 as 50, and "(%)" behind the label.
    ax : matplotlib Axes, optional
        None: a new figure.

    Raises
    ------
    ValueError
        If the array is not square and symmetric, or names or families do not fit.
    """
    given = np.array(values, dtype=np.float64)
    blanks = np.isnan(given)
    square = check.square("values", np.where(blanks, 0.0, given))
    n = len(square)
    if not (np.array_equal(blanks, blanks.T) and np.allclose(square, square.T)):
        raise ValueError("values must be symmetric, got two values for a pair")
    for name, value in (("names", names), ("families", families)):
        if len(value) != n:
            raise ValueError(f"{name} must have length {n}, one a model, got {len(value)}")
    by = family_order(families)
    order = sorted(range(n), key=lambda i: by.index(families[i]))
    shown = np.where(blanks | np.eye(n, dtype=bool), np.nan, square * (100 if percent else 1))[np.ix_(order, order)]
    side = min(max(_CELL * n, 1.0), _WIDEST)
    axes = blank(ax, side + 1.9, side + 1.4)
    axes.set_facecolor(PALE)
    there = shown[np.isfinite(shown)]
    low, high = float(there.min(initial=0.0)), float(there.max(initial=0.0))
    image = axes.imshow(shown, cmap="viridis", vmin=low, vmax=high if high > low else low + 1)
    if n <= _MOST_NUMBERS:
        for i, j in np.argwhere(np.isfinite(shown)):
            colour = INK if shown[i, j] > low + 0.6 * (high - low) else "white"
            text = _written(float(shown[i, j]), percent=percent)
            axes.text(j, i, text, ha="center", va="center", fontsize=6, color=colour)
    told = [plain(names[i]) for i in order]
    axes.set_xticks(range(n), told, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(n), told)
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        for tick, i in zip(ticks, order, strict=True):
            tick.set_color(family_colour(families[i]))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.figure.colorbar(image, cax=axes.inset_axes((1.03, 0, 0.04, 1)), label=f"{label} (%)" if percent else label)
    axes.figure.legend(handles=family_handles(families, markers=False), loc="outside lower center", ncols=4)
    return axes


def _written(value: float, *, percent: bool) -> str:
    """As few digits as tell the cells apart."""
    if not percent:
        return f"{round(value, 2) + 0.0:.2f}".replace("0.", ".", 1)
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"
