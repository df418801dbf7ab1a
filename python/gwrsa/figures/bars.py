"""One bar a model: RSA, matching rates, category matching rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gwrsa import _validate as check
from gwrsa.figures.style import (
    COLUMN,
    INK,
    PAGE,
    QUIET,
    blank,
    family_colour,
    family_handles,
    family_order,
    percent,
    plain,
    styled,
)
from gwrsa.tables import require

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

_CHANCE_STYLES = (":", "--", "-", "-.")
_CEILING_STYLES = ("-", "--", ":", "-.")
_EMPTY = None
_METHODS = {"corr": "Pearson correlation", "spearman": "Spearman correlation", "cosine": "cosine similarity"}
_TITLES = {"lowest_loss": "Chosen without labels", "highest_matching": "Highest matching rate"}
_LABELS = {"matching": "matching rate (%)", "category": "category matching rate (%)"}


@styled
def rsa_bars(
    table: pd.DataFrame,
    ceilings: Mapping[str, tuple[float, float]] | None = None,
    *,
    human: str = "human",
    method: str = "corr",
    ax: Axes | None = None,
) -> Axes:
    """RSA of every model, a horizontal bar each, families together; the line at a bar's end is its interval.

    Parameters
    ----------
    table : DataFrame
        A row a model: target, family, value, low, high (nothing is drawn where these are missing values); p_adjusted, if there,
        marks with a star what is below 0.05.
    ceilings : mapping of name to (lower, upper), optional
        Noise ceilings, as from `gwrsa.noise_ceiling`, by how people were divided into groups: a band each, behind the bars, its ends
        in the legend.
    human : str
        Name of the RDM that the models are compared with.
    method : str
        As of `gwrsa.rsa`.
    ax : matplotlib Axes, optional
        None: a new figure, as tall as the models need.

    Raises
    ------
    ValueError
        If a column is missing, or a ceiling is no range.
    """
    require("table", table, ("target", "family", "value", "low", "high"))
    rows = _by_family(table, table["value"].to_numpy(dtype=float))
    axes = blank(ax, COLUMN, _height(len(rows)))
    y = np.arange(len(rows))
    axes.barh(y, rows["value"], 0.72, color=[family_colour(f) for f in rows["family"]])
    _intervals(axes, rows, y)
    if "p_adjusted" in rows:
        ends = rows[["value", "high"]].max(axis=1)
        for at, end, p in zip(y, ends, rows["p_adjusted"], strict=True):
            if p < 0.05:
                axes.annotate("*", (max(end, 0.0), at), (3, -1.5), textcoords="offset points", va="center", fontsize=8)
    axes.axvline(0, color=INK, linewidth=0.6, zorder=6)  # above the outlines of intervals near it
    axes.spines["left"].set_visible(False)
    _name_models(axes, rows, extra=_ceilings(axes, ceilings or {}))
    star = "\n* adjusted p < 0.05" if "p_adjusted" in rows else ""
    how = _METHODS.get(method, method)
    axes.set_xlabel(f"RSA ({how} with the RDM of {plain(human)}){star}")
    return axes


@styled
def rate_bars(
    table: pd.DataFrame,
    chance: pd.DataFrame | None = None,
    *,
    choice: Literal["lowest_loss", "highest_matching"] = "lowest_loss",
    measure: Literal["matching", "category"] = "matching",
    ax: Axes | None = None,
) -> Axes:
    """Rates of every model within the k most probable targets, bars inside each other: the darkest is the smallest k.

    That of the smallest k stands in numbers at the right, since beside people a network's can be too short to see.

    Parameters
    ----------
    table : DataFrame
        A row a model, choice, measure and k: target, family, choice, measure, k, value, low, high, in [0, 1].
    chance : DataFrame, optional
        measure, k, value, low, high, as from `gwrsa.tables.chance_table`: a vertical line each, on its percentiles.
    choice : str
        Of which solution: "lowest_loss" or "highest_matching".
    measure : str
        "matching" or "category".
    ax : matplotlib Axes, optional
        None: a new figure, as tall as the models need.

    Raises
    ------
    ValueError
        If a column is missing, or choice or measure has another name.
    """
    require("table", table, ("target", "family", "choice", "measure", "k", "value", "low", "high"))
    check.choice("choice", choice, tuple(_TITLES))
    check.choice("measure", measure, tuple(_LABELS))
    mine = table[(table["choice"] == choice) & (table["measure"] == measure)]
    ks = sorted({int(k) for k in mine["k"]})
    first = mine[mine["k"] == ks[0]] if ks else mine
    models = _by_family(first, first["value"].to_numpy(dtype=float))
    axes = blank(ax, COLUMN, _height(len(models)) + 0.2)
    y = np.arange(len(models))
    for shade, k in reversed(list(enumerate(ks))):
        rows = models[["target", "family"]].merge(mine[mine["k"] == k].drop(columns="family"), on="target", how="left")
        colours = [_lighten(family_colour(f), _step(ks) * shade) for f in rows["family"]]
        axes.barh(y, 100 * rows["value"], 0.72, color=colours, label=f"top-{k}")
        # One below the other, or intervals that overlap would look like one.
        _intervals(axes, rows, y + 0.6 * ((shade + 0.5) / len(ks) - 0.5), scale=100)
    lines: list[Line2D] = []
    if chance is not None:
        require("chance", chance, ("measure", "k", "value", "low", "high"))
        for i, k in enumerate(ks):
            here = chance[(chance["measure"] == measure) & (chance["k"] == k)]
            for low, value, high in 100 * here[["low", "value", "high"]].to_numpy(dtype=float):
                # Behind the bars: where rates are low it is as wide as they are long, and would hide them.
                axes.axvspan(low, high, color=QUIET, alpha=0.2, linewidth=0, zorder=0.5)
                dashes = _CHANCE_STYLES[i % len(_CHANCE_STYLES)]
                label = f"chance, top-{k}"
                lines.append(axes.axvline(value, color=INK, linewidth=0.6, linestyle=dashes, label=label, zorder=4))
    _name_models(axes, models, shades=ks, extra=lines)
    axes.set_xlim(0, min(axes.get_xlim()[1], 101))
    if ks:
        _numbers(axes, f"top-{ks[0]}", models["value"].to_numpy(dtype=float), y)
    axes.spines["left"].set_visible(chance is None)  # it would hide a chance near 0
    axes.set_xlabel(_LABELS[measure])
    axes.set_title(_TITLES[choice], loc="left")
    return axes


@styled
def rates(table: Mapping[str, Mapping[str, float]], chance: Mapping[str, float], *, ax: Axes | None = None) -> Axes:
    """Draw a few measures of a few models as groups of bars, with chance as a line across each group.

    Parameters
    ----------
    table : mapping of model name to mapping of measure name to value
        Values in [0, 1]; every model has the same measures.
    chance : mapping of measure name to value
        Drawn where a measure has one.
    ax : matplotlib Axes, optional
        Where to draw. None: a new figure.
    """
    axes = blank(ax, PAGE, 2.6)
    models = list(table)
    measures = list(table[models[0]])
    width = 0.8 / len(models)
    for m, model in enumerate(models):
        x = np.arange(len(measures)) + (m - (len(models) - 1) / 2) * width
        colour = _lighten(family_colour("supervised"), 0.7 * m / max(len(models) - 1, 1))
        bars = axes.bar(x, [table[model][k] for k in measures], width, label=plain(model), color=colour)
        axes.bar_label(bars, fmt=lambda v: f"{v:.2f}", fontsize=6, padding=1)
    for i, measure in enumerate(measures):
        if measure in chance:
            label = "chance" if measure == next(k for k in measures if k in chance) else None
            axes.plot([i - 0.45, i + 0.45], [chance[measure]] * 2, "--", color=INK, linewidth=0.8, label=label)
    axes.set_xticks(range(len(measures)), [plain(measure) for measure in measures])
    low = min((value for model in models for value in table[model].values()), default=0.0)
    if low < 0:  # an RSA can be
        axes.axhline(0, color=INK, linewidth=0.6)
    # Below a negative bar its number has room.
    bottom = low - 0.12 if low < 0 else 0.0
    axes.set_ylim(bottom, 1.2)
    axes.set_yticks(np.arange(np.ceil(5 * bottom), 6) / 5)
    axes.legend(loc="upper center", ncols=len(models) + 1)
    return axes


def _by_family(table: pd.DataFrame, value: np.ndarray) -> pd.DataFrame:
    """Rows in the order of their families, inside one by value, the largest first."""
    order = family_order(table["family"])
    keyed = table.assign(_family=[order.index(f) for f in table["family"]], _value=-value)
    return keyed.sort_values(["_family", "_value"], kind="stable").drop(columns=["_family", "_value"]).reset_index()


def _intervals(axes: Axes, rows: pd.DataFrame, y: np.ndarray, scale: float = 1.0) -> None:
    low, high = (scale * rows[c].to_numpy(dtype=float) for c in ("low", "high"))
    there = np.isfinite(low) & np.isfinite(high)
    # A mean can lie outside its percentiles; the line is drawn from one to the other all the same.
    for at, left, right in zip(y[there], low[there], high[there], strict=True):
        for colour, width in (("white", 2.0), (INK, 0.8)):  # outlined, to be seen on dark bars
            axes.plot([left, right], [at, at], color=colour, linewidth=width, solid_capstyle="butt", zorder=5)


def _numbers(axes: Axes, heading: str, rates: np.ndarray, y: np.ndarray) -> None:
    """A column of percentages right of the axes, in the digits of a text."""
    along = axes.get_yaxis_transform()
    beside: dict[str, Any] = {"xycoords": along, "textcoords": "offset points", "fontsize": 6, "annotation_clip": False}
    for at, rate in zip(y, rates, strict=True):
        text = percent(rate).removesuffix(" %") if np.isfinite(rate) else ""
        axes.annotate(text, (1, at), (24, 0), ha="right", va="center", color=INK, **beside)
    axes.annotate(f"{heading}\n(%)", (1, -0.6), (24, 2), ha="right", va="bottom", color=QUIET, **beside)


def _ceilings(axes: Axes, ceilings: Mapping[str, tuple[float, float]]) -> list[Line2D]:
    """Draw them, and return their legend entries. Bands can lie on each other, so that their ends are written out."""
    entries = []
    for i, (name, ends) in enumerate(ceilings.items()):
        values = check.array(f"ceilings[{name!r}]", ends, 1).tolist()
        if len(values) != 2 or values[0] > values[1]:
            raise ValueError(f"ceilings[{name!r}] must be (lower, upper) with lower <= upper, got {tuple(values)}")
        low, high = values
        dashes = _CEILING_STYLES[i % len(_CEILING_STYLES)]
        axes.axvspan(low, high, color=QUIET, alpha=0.2, linewidth=0, zorder=0.5)
        label = f"noise ceiling, {plain(name)}: {low:.2f} to {high:.2f}"
        lines = [
            axes.axvline(end, color=QUIET, linewidth=0.6, linestyle=dashes, label=label, zorder=0.6)
            for end in (low, high)
        ]
        entries.append(lines[0])
    return entries


def _name_models(
    axes: Axes, rows: pd.DataFrame, shades: list[int] | None = None, extra: list[Line2D] | None = None
) -> None:
    from matplotlib.patches import Patch

    axes.set_yticks(np.arange(len(rows)), [plain(name) for name in rows["target"]])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    handles = family_handles(rows["family"], markers=False)
    ks = shades or []
    greys = [Patch(color=_lighten("#444444", _step(ks) * i), label=f"top-{k}") for i, k in enumerate(ks)]
    # A column holds one kind of entry; families take two where there are many.
    half = (len(handles) + 1) // 2 if len(handles) > 3 else len(handles)
    columns = [c for c in (handles[:half], handles[half:], greys, extra or []) if c]
    if columns:
        depth = max(len(c) for c in columns)
        filled = [entry for c in columns for entry in [*c, *[_EMPTY] * (depth - len(c))]]
        axes.figure.legend(
            handles=[Patch(alpha=0, label=" ") if e is _EMPTY else e for e in filled],
            loc="outside lower center",
            ncols=len(columns),
            columnspacing=1.0,
            handlelength=1.4,
            handletextpad=0.5,
        )


def _height(n: int) -> float:
    return 0.9 + 0.17 * max(n, 3)


def _step(ks: list[int]) -> float:
    """By how much the bars of each k are lighter than those of the one before."""
    return min(0.36, 0.8 / max(len(ks) - 1, 1))


def _lighten(colour: str, share: float) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    r, g, b = (1 - (1 - share) * (1 - c) for c in to_rgb(colour))
    return r, g, b
