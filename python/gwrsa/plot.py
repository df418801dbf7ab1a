"""Figures. Each function takes arrays and returns the axes it drew on; needs the extra `gwrsa[plot]`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from gwrsa import _validate as check

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito's palette: told apart by colour-blind readers.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#999999"


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
    axes = _axes(ax, (6.0, 5.6))
    share = values / values.max(axis=1, keepdims=True)
    image = 1.0 - share[:, :, None] * (1.0 - rgb[:, None, :])
    axes.imshow(image, interpolation="nearest")
    best = values.argmax(axis=1)
    for i, j in enumerate(best):
        axes.plot(j, i, "o" if i == j else "x", color="black", markersize=5, markerfacecolor="none")
    for axis, size in ((axes.xaxis, m), (axes.yaxis, n)):
        axis.set_ticks(range(size), labels[:size], fontsize=8)
    axes.tick_params(axis="x", rotation=60)
    axes.set_xlabel("coupled with (nm)")
    axes.set_ylabel("colour (nm)")
    # A strip of the true colours beside each axis says which is which.
    for position, strip_image in (((0, 1.01, 1, 0.03), rgb[None, :m]), ((1.01, 0, 0.03, 1), rgb[:, None])):
        strip = axes.inset_axes(position)
        strip.imshow(strip_image, aspect="auto", interpolation="nearest")
        strip.set_axis_off()
    return axes


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
    values = check.array("plan", plan, 2)
    names, index = np.unique(np.asarray(categories), return_inverse=True)
    member = np.eye(len(names))[index]
    mass = member.T @ values @ member
    mass /= np.maximum(mass.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    axes = _axes(ax, (6.0, 5.0))
    image = axes.imshow(mass, cmap="Blues", vmin=0.0, vmax=1.0, interpolation="nearest")
    axes.figure.colorbar(image, ax=axes, label="share of the source category's mass", fraction=0.046)
    axes.set_xlabel("target category")
    axes.set_ylabel("source category")
    return axes


def rates(table: Mapping[str, Mapping[str, float]], chance: Mapping[str, float], *, ax: Axes | None = None) -> Axes:
    """Draw measures of several models as groups of bars, with chance as a line across each group.

    Parameters
    ----------
    table : mapping of model name to mapping of measure name to value
        Values in [0, 1]; every model has the same measures.
    chance : mapping of measure name to value
        Drawn where a measure has one.
    ax : matplotlib Axes, optional
        Where to draw. None: a new figure.
    """
    axes = _axes(ax, (8.0, 4.0))
    models = list(table)
    measures = list(table[models[0]])
    width = 0.8 / len(models)
    colours = (BLUE, ORANGE, GREY, GREEN)
    for m, model in enumerate(models):
        x = np.arange(len(measures)) + (m - (len(models) - 1) / 2) * width
        bars = axes.bar(x, [table[model][k] for k in measures], width, label=model, color=colours[m % len(colours)])
        axes.bar_label(bars, fmt=lambda v: f"{v:.2f}", fontsize=7, padding=1)
    for i, measure in enumerate(measures):
        if measure in chance:
            label = "chance" if measure == next(k for k in measures if k in chance) else None
            axes.plot([i - 0.45, i + 0.45], [chance[measure]] * 2, "--", color="black", linewidth=1, label=label)
    axes.set_xticks(range(len(measures)), measures)
    axes.set_ylim(0, 1.2)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.legend(frameon=False, fontsize=8, loc="upper center", ncols=len(models) + 1)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("figures need matplotlib: pip install 'gwrsa[plot]'") from error
    axes: Axes = plt.subplots(figsize=size, layout="constrained")[1]
    return axes
