"""What happens category by category."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from gwrsa import _validate as check
from gwrsa.figures.style import COLUMN, QUIET, blank, family_look, model_faces, model_handles, plain, styled
from gwrsa.tables import require

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@styled
def category_rates(table: pd.DataFrame, *, label: str = "matching rate, top-1 (%)", ax: Axes | None = None) -> Axes:
    """A rate in each category: a row a category, a point a model, in the order of the mean over models.

    The models of a row stand one below the other, so that equal rates do not hide each other; of several models of a family each has
    markers of another fill, from full to empty.

    Parameters
    ----------
    table : DataFrame
        target, family, category, n (objects), rate in [0, 1], as from `gwrsa.statistics.rate_by_category`; a missing rate is not drawn.
    label : str
        Of the axis.
    ax : matplotlib Axes, optional
        None: a new figure.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    require("table", table, ("target", "family", "category", "n", "rate"))
    drawn = table.dropna(subset=["rate"])
    order = list(drawn.groupby("category")["rate"].mean().sort_values(ascending=False, kind="stable").index)
    size = drawn.groupby("category")["n"].first()
    models = list(drawn[["target", "family"]].drop_duplicates().itertuples(index=False, name=None))
    faces = model_faces(models)
    axes = blank(ax, COLUMN, 0.9 + (0.155 + 0.01 * min(len(models), 10)) * max(len(order), 3))
    axes.hlines(range(len(order)), 0, 100 * drawn["rate"].max() if len(drawn) else 1, color="#DDDDDD", linewidth=0.5)
    below = np.linspace(-0.3, 0.3, len(models)) if len(models) > 1 else [0.0]
    for (target, family), offset in zip(models, below, strict=False):
        mine = drawn[drawn["target"] == target]
        look = family_look(str(family))
        y = [order.index(c) + offset for c in mine["category"]]
        axes.scatter(
            100 * mine["rate"],
            y,
            s=16 * look.area,
            facecolors=[faces[target]],
            marker=look.marker,
            alpha=0.85,
            edgecolors=look.colour,
            linewidths=0.5,
            zorder=3,
        )
    axes.set_yticks(range(len(order)), [f"{plain(c)} ({size[c]})" for c in order])
    axes.set_ylim(max(len(order), 1) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(label)
    if len(drawn):
        axes.figure.legend(handles=model_handles(models), loc="outside lower center", ncols=3, columnspacing=1.0)
    return axes


@styled
def plan_by_category(plan: ArrayLike, categories: Sequence[str], *, ax: Axes | None = None) -> Axes:
    """Draw the mass that goes from each category to each, as a share of the source category's mass.

    Parameters
    ----------
    plan : array-like, shape (n, n)
        Transport plan.
    categories : sequence of str, length n
        One an object, on both sides.
    ax : matplotlib Axes, optional
        Where to draw. None: a new figure.
    """
    values = check.square("plan", plan)
    names, index = np.unique(np.asarray(categories), return_inverse=True)
    member = np.eye(len(names))[index]
    mass = member.T @ values @ member
    mass /= np.maximum(mass.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    axes = blank(ax, COLUMN * 1.2, COLUMN)
    image = axes.imshow(mass, cmap="Blues", vmin=0.0, vmax=1.0, interpolation="nearest")
    axes.figure.colorbar(image, ax=axes, label="share of the source category's mass", fraction=0.046)
    size = 6.5 if len(names) <= 12 else 5
    told = [plain(name) for name in names]
    axes.set_xticks(range(len(names)), told, rotation=90, fontsize=size)
    axes.set_yticks(range(len(names)), told, fontsize=size)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color(QUIET)
    axes.set_xlabel("target category")
    axes.set_ylabel("source category")
    return axes
