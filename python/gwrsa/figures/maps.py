"""Maps: both spaces joined by the plan, and all models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from gwrsa import _validate as check
from gwrsa._validate import FloatArray
from gwrsa.figures.labels import name_points
from gwrsa.figures.style import COLUMN, PAGE, QUIET, blank, family_handles, family_look, plain, styled
from gwrsa.mds import classical_mds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

# Okabe & Ito's, without grey: as many groups as can be told apart.
_GROUPS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_REST = "#CCCCCC"


@styled
def map_of_spaces(
    source: ArrayLike,
    target: ArrayLike,
    plan: ArrayLike,
    categories: Sequence[str | None] | None = None,
    *,
    names: tuple[str, str] = ("source", "target"),
    n_lines: int = 150,
    ax: Axes | None = None,
) -> Axes:
    """Both spaces in two dimensions of classical MDS, and lines from objects to their most probable counterparts.

    The map of the target is turned (and mirrored) to lie as the plan says, by an orthogonal Procrustes fit of
    the source's map to the mean place of each object's counterparts.

    Parameters
    ----------
    source, target : array-like, shapes (n, n) and (m, m)
        Dissimilarities.
    plan : array-like, shape (n, m)
        Transport plan between them.
    categories : sequence, length n, optional
        Of the source objects, and where m == n of the target's; the six largest have colours, the rest are grey.
    names : pair of str
        Of the spaces.
    n_lines : int
        How many objects have a line, evenly taken; 0 for none.
    ax : matplotlib Axes, optional
        None: a new figure.

    Raises
    ------
    ValueError
        If an array is not finite, or shapes do not fit.
    """
    from matplotlib.collections import LineCollection
    from scipy.linalg import orthogonal_procrustes

    c1, c2, t = check.square("source", source), check.square("target", target), check.array("plan", plan, 2)
    if t.shape != (len(c1), len(c2)):
        raise ValueError(f"plan must have shape ({len(c1)}, {len(c2)}), as source and target say, got {t.shape}")
    left, right = _unit(classical_mds(c1)), _unit(classical_mds(c2))
    counterpart = t @ right / np.maximum(t.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    right = right @ orthogonal_procrustes(counterpart, left)[0]
    # A row of the plan is most probable where it is largest.
    best = t.argmax(axis=1)
    # Beside the source's map, with a gap; both are centred on 0.
    right[:, 0] += left[:, 0].max() - right[:, 0].min() + 0.8
    colours, legend = _group_colours(categories, len(c1))
    axes = blank(ax, PAGE, 3.0)
    n_drawn = check.integer("n_lines", n_lines, 0)
    chosen: list[int] = (
        np.unique(np.linspace(0, len(c1) - 1, min(n_drawn, len(c1))).round().astype(int)).tolist() if n_drawn else []
    )
    ends = np.array([[left[i], right[best[i]]] for i in chosen]).reshape(-1, 2, 2)
    axes.add_collection(
        LineCollection(list(ends), colors=[colours[i] for i in chosen], linewidths=0.4, alpha=0.6, zorder=1)
    )
    for points, painted in ((left, colours), (right, colours if len(c1) == len(c2) else [QUIET] * len(c2))):
        # The grey ones first, below those with a colour.
        order = np.argsort([c != _REST for c in painted], kind="stable")
        axes.scatter(points[order, 0], points[order, 1], s=5, c=[painted[i] for i in order], linewidths=0, zorder=2)
    for points, name in ((left, names[0]), (right, names[1])):
        middle = (points[:, 0].min() + points[:, 0].max()) / 2
        axes.text(middle, 1.0, plain(name), transform=axes.get_xaxis_transform(), ha="center", va="bottom", fontsize=8)
    axes.set_aspect("equal")
    axes.set_axis_off()
    if legend:
        axes.figure.legend(handles=legend, loc="outside lower center", ncols=len(legend))
    return axes


@styled
def map_of_models(
    dissimilarities: ArrayLike,
    names: Sequence[str],
    families: Sequence[str],
    *,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Models as points of a two-dimensional classical MDS.

    Parameters
    ----------
    dissimilarities : array-like, shape (n, n)
        Between models: the root of the GW loss (a loss is a squared distance), or 1 - matching rate; symmetric.
    names, families : sequence of str, length n
        Of the models.
    title : str
        Which dissimilarity it is.
    ax : matplotlib Axes, optional
        None: a new figure.

    Raises
    ------
    ValueError
        If the array is not square or symmetric, or names or families do not fit.
    """
    d = check.square("dissimilarities", dissimilarities)
    for name, value in (("names", names), ("families", families)):
        if len(value) != len(d):
            raise ValueError(f"{name} must have length {len(d)}, one a model, got {len(value)}")
    points = classical_mds(d)
    axes = blank(ax, COLUMN, 3.3)
    for (x, y), family in zip(points, families, strict=True):
        look = family_look(family)
        axes.scatter(
            x, y, s=30 * look.area, color=look.colour, marker=look.marker, edgecolors="white", linewidths=0.4, zorder=3
        )
    axes.margins(0.12)
    axes.set_aspect("equal", adjustable="datalim")
    axes.locator_params(nbins=6)  # of five characters each, and a column is narrow
    axes.set_xlabel("MDS 1")
    axes.set_ylabel("MDS 2")
    axes.set_title(title, loc="left")
    axes.figure.legend(
        handles=family_handles(families, markers=True), loc="outside lower center", ncols=4, columnspacing=1.0
    )
    name_points(axes, points[:, 0], points[:, 1], list(names))
    return axes


def _unit(points: FloatArray) -> FloatArray:
    """Scaled to a root mean square of 1; the spaces' own scales are not compared."""
    size = np.sqrt((points**2).sum(axis=1).mean())
    return points / size if size > 0 else points


def _group_colours(categories: Sequence[str | None] | None, n: int) -> tuple[list[str], list[Line2D]]:
    from matplotlib.lines import Line2D

    if categories is None:
        return [QUIET] * n, []
    if len(categories) != n:
        raise ValueError(f"categories must have length {n}, one an object, got {len(categories)}")
    largest = [c for c, _ in Counter(c for c in categories if c is not None).most_common(len(_GROUPS))]
    colour = dict(zip(largest, _GROUPS, strict=False))
    legend = [Line2D([], [], linestyle="", marker="o", markersize=4, color=colour[c], label=plain(c)) for c in largest]
    painted = [_REST if c is None else colour.get(c, _REST) for c in categories]
    if _REST in painted:
        legend.append(Line2D([], [], linestyle="", marker="o", markersize=4, color=_REST, label="other"))
    return painted, legend
