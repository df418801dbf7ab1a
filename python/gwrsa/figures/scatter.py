"""A point a start, or a point a model; and the distributions behind them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from gwrsa import _validate as check
from gwrsa.figures.labels import name_points
from gwrsa.figures.style import (
    COLUMN,
    PAGE,
    QUIET,
    blank,
    family_handles,
    family_look,
    model_faces,
    model_handles,
    plain,
    styled,
)
from gwrsa.tables import chosen, require

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

# Of several RDMs of a family; a study can have a human side and four groups of people.
_DASHES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (7, 2, 1, 2, 1, 2)), (0, (1, 3)), (0, (9, 3)), (0, (3, 3, 1, 1)))


@styled
def local_optima(results: pd.DataFrame, *, rate: str = "top1", ax: Axes | None = None) -> Axes:
    """Every local optimum of one pair: GW loss against a rate, coloured by epsilon, with both choices of solution circled.

    Parameters
    ----------
    results : DataFrame
        The rows of one pair in `results.parquet`: source, target, gw_loss, epsilon, status, failed, and the rate. Starts that failed are
        not drawn; those that did not converge are crosses, in the legend as stopped early where the search stopped them all.
    rate : str
        Column of the rate: "top1", "top5", "top10", "category", "category5" or "category10".
    ax : matplotlib Axes, optional
        None: a new figure.

    Raises
    ------
    ValueError
        If a column is missing, or the rows are of more than one pair.
    """
    from matplotlib.colors import LogNorm

    require("results", results, ("source", "target", "gw_loss", "epsilon", "status", "failed", rate))
    pairs = results[[c for c in ("source", "target", "replicate") if c in results]].drop_duplicates()
    if len(pairs) > 1:
        raise ValueError(f"results must be of one pair, got {len(pairs)}; select its rows")
    drawn = results[~results["failed"].astype(bool)]
    axes = blank(ax, COLUMN, 2.7)
    ends = set(drawn["status"]) - {"converged"}
    crosses = "stopped early" if ends == {"stopped"} else "not converged"
    low, high = (drawn["epsilon"].min(), drawn["epsilon"].max()) if len(drawn) else (0.5, 1.0)
    norm = LogNorm(low, high) if high > low else LogNorm(low / 1.1, high * 1.1)
    for converged, marker in ((False, "x"), (True, "o")):
        some = drawn[(drawn["status"] == "converged") == converged]
        if some.empty:
            continue
        edge: dict[str, Any] = {"edgecolors": "white", "linewidths": 0.3} if converged else {"linewidths": 1.0}
        axes.scatter(
            some["gw_loss"],
            100 * some[rate],
            s=18,
            c=some["epsilon"],
            cmap="viridis",
            norm=norm,
            marker=marker,
            zorder=3,
            label=None if converged else crosses,
            **edge,
        )
    best = chosen(results)
    for choice, text, size, style in (
        ("lowest_loss", "chosen without labels", 60, "-"),
        ("highest_matching", "highest matching", 110, "--"),
    ):
        for row in best[best["choice"] == choice].to_dict("records"):
            axes.scatter(
                row["gw_loss"],
                100 * row[rate],
                s=size,
                facecolors="none",
                edgecolors="#D55E00",
                linewidths=1.2,
                linestyle=style,
                label=text,
                zorder=4,
            )
    axes.margins(0.1)
    if len(drawn):
        if high > low:
            colours = axes.figure.colorbar(_mappable(norm), ax=axes, label="epsilon", fraction=0.05, pad=0.02)
            _plain_log_ticks(colours.ax.yaxis, low, high)
        axes.figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, columnspacing=1.0)
    axes.set_xlabel("GW loss" if high > low or drawn.empty else f"GW loss, at epsilon {low:.3g}")
    axes.set_ylabel(_rate_label(rate))
    axes.locator_params(axis="x", nbins=5)
    return axes


@styled
def fine_vs_coarse(
    table: pd.DataFrame,
    chance: pd.DataFrame | None = None,
    *,
    choice: str = "lowest_loss",
    k: int = 1,
    names: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """A point a model: category matching rate against matching rate, both with their intervals.

    What lies right and low finds the human categories without the human objects.

    Parameters
    ----------
    table : DataFrame
        target, family, choice, measure ("matching" and "category"), k, value, low, high, in [0, 1].
    chance : DataFrame, optional
        measure, k, value: drawn as two lines.
    choice : str
        "lowest_loss" or "highest_matching".
    k : int
        Within how many targets.
    names : bool
        Write the models' names.
    ax : matplotlib Axes, optional
        None: a new figure.

    Raises
    ------
    ValueError
        If a column is missing, or choice has another name.
    """
    require("table", table, ("target", "family", "choice", "measure", "k", "value", "low", "high"))
    check.choice("choice", choice, ("lowest_loss", "highest_matching"))
    mine = table[(table["choice"] == choice) & (table["k"] == k)]
    both = mine[mine["measure"] == "category"].merge(
        mine[mine["measure"] == "matching"], on=["target", "family"], suffixes=("_x", "_y")
    )
    axes = blank(ax, *((COLUMN, 3.3) if len(both) <= 12 else (PAGE, 4.4)))
    bars = []
    for row in both.to_dict("records"):
        x, y = 100 * row["value_x"], 100 * row["value_y"]
        look = family_look(row["family"])
        for side, other, is_x in (("_x", y, True), ("_y", x, False)):
            ends = [100 * row[f"low{side}"], 100 * row[f"high{side}"]]
            if np.isfinite(ends).all():
                xs, ys = (ends, [other] * 2) if is_x else ([other] * 2, ends)
                bars.append((xs[0], ys[0], xs[1], ys[1]))
                axes.plot(xs, ys, color=look.colour, linewidth=0.8, alpha=0.7, zorder=2)
        axes.scatter(
            x, y, s=26 * look.area, color=look.colour, marker=look.marker, edgecolors="white", linewidths=0.4, zorder=3
        )
    if chance is not None:
        require("chance", chance, ("measure", "k", "value"))
        lines = {
            measure: 100 * chance.loc[(chance["measure"] == measure) & (chance["k"] == k), "value"]
            for measure in ("category", "matching")
        }
        axes.margins(0.08)
        quiet: dict[str, Any] = {"color": QUIET, "linewidth": 0.8, "linestyle": ":", "zorder": 1}
        for value in lines["category"]:
            axes.axvline(value, **quiet)
        for value in lines["matching"]:
            axes.axhline(value, **quiet)
        (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
        bars += [(x, low, x, high) for x in lines["category"]] + [(left, y, right, y) for y in lines["matching"]]
    axes.margins(0.08)
    axes.set_xlabel(f"coarse: category matching rate, top-{k} (%)")
    axes.set_ylabel(f"fine: matching rate, top-{k} (%)")
    if len(both):
        axes.figure.legend(
            handles=family_handles(both["family"], markers=True), loc="outside lower center", ncols=4, columnspacing=1.0
        )
        if names:
            name_points(axes, 100 * both["value_x"], 100 * both["value_y"], list(both["target"]), bars=bars)
    return axes


@styled
def loss_against_epsilon(results: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """GW loss of every start against its epsilon, in the colour of the model's family; lines join the lowest of a model and replicate.

    Of several models of a family each has markers of another fill, from full to empty.

    Parameters
    ----------
    results : DataFrame
        target, family, epsilon, gw_loss, failed; replicate, if there. Starts that failed are not drawn. Losses of models whose RDMs
        differ in scale can be compared only where histograms were matched.
    ax : matplotlib Axes, optional
        None: a new figure.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    require("results", results, ("target", "family", "epsilon", "gw_loss", "failed"))
    drawn = results[~results["failed"].astype(bool)]
    axes = blank(ax, COLUMN, 2.7)
    models = list(drawn[["target", "family"]].drop_duplicates().itertuples(index=False, name=None))
    faces = model_faces(models)
    for target, family in models:
        starts = drawn[drawn["target"] == target]
        look = family_look(str(family))
        axes.scatter(
            starts["epsilon"],
            starts["gw_loss"],
            s=12 * look.area,
            facecolors=[faces[target]],
            edgecolors=look.colour,
            marker=look.marker,
            alpha=0.75,
            linewidths=0.5,
            zorder=2,
        )
        # Each replicate has epsilons of its own, in units of its own critical one.
        for _, one in starts.groupby("replicate" if "replicate" in starts else "target"):
            lowest = one.groupby("epsilon")["gw_loss"].min()
            axes.plot(lowest.index, lowest, color=look.colour, linewidth=0.7, zorder=1)
    axes.set_xscale("log")
    if len(drawn):
        _plain_log_ticks(axes.xaxis, drawn["epsilon"].min(), drawn["epsilon"].max())
        axes.figure.legend(handles=model_handles(models), loc="outside lower center", ncols=3, columnspacing=1.0)
    axes.set_xlabel("epsilon")
    axes.set_ylabel("GW loss")
    return axes


@styled
def rdm_histograms(
    rdms: Mapping[str, ArrayLike],
    families: Mapping[str, str] | None = None,
    *,
    metrics: Mapping[str, str] | None = None,
    bins: int = 80,
    ax: Axes | None = None,
) -> Axes:
    """How the dissimilarities of each RDM are distributed.

    Parameters
    ----------
    rdms : mapping of name to array-like, shape (n (n - 1) / 2,)
        Condensed dissimilarities.
    families : mapping of name to family, optional
        For the colours; line styles tell apart the RDMs of one. A name that is not there is drawn as human.
    metrics : mapping of name to metric, optional
        Where they differ there is no common unit: each RDM is drawn less its mean, in its standard deviations, and the metric stands
        behind its name.
    bins : int
        Shared by all, between the 0.1th and the 99.9th percentile of all.
    ax : matplotlib Axes, optional
        None: a new figure.
    """
    values = {name: check.array(f"rdms[{name!r}]", value, 1) for name, value in rdms.items()}
    metric = {name: (metrics or {}).get(name, "") for name in values}
    mixed = len(set(metric.values())) > 1
    if mixed:
        values = {name: (v - v.mean()) / (v.std() or 1.0) for name, v in values.items()}
    axes = blank(ax, COLUMN, 2.3)
    family = {name: (families or {}).get(name, "human") for name in values}
    seen: dict[str, int] = {}
    if values:
        ends = np.array([np.percentile(v, (0.1, 99.9)) for v in values.values()])
        edges = np.linspace(ends[:, 0].min(), ends[:, 1].max(), check.integer("bins", bins, 1) + 1)
        if edges[0] == edges[-1]:
            edges = np.array([edges[0] - 0.5, edges[0] + 0.5])
    for name, value in values.items():
        nth = seen[family[name]] = seen.get(family[name], -1) + 1
        height = np.histogram(value, edges)[0] / (len(value) * np.diff(edges))
        axes.stairs(
            height,
            edges,
            color=family_look(family[name]).colour,
            linestyle=_DASHES[nth % len(_DASHES)],
            label=plain(f"{name} ({metric[name]})" if mixed else name),
        )
    axes.set_xlabel("dissimilarity less its mean (standard deviations)" if mixed else "dissimilarity")
    axes.set_ylabel("density")
    axes.set_ylim(bottom=0)
    if values:
        columns = 2 if mixed else 3
        axes.figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=columns)
    return axes


def _mappable(norm: LogNorm) -> ScalarMappable:
    from matplotlib.cm import ScalarMappable

    return ScalarMappable(norm, "viridis")


def _plain_log_ticks(axis: Axis, low: float, high: float) -> None:
    """A few round numbers inside a range that may be shorter than a decade."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    decades = range(int(np.floor(np.log10(low))) - 1, int(np.ceil(np.log10(high))) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        ticks = [s * 10.0**d for d in decades for s in steps if low <= s * 10.0**d <= high]
        if len(ticks) >= 3:
            break
    # A range of less than a tenth holds none of them, or one.
    spread = [float(x) for x in MaxNLocator(4).tick_values(low, high) if low <= x <= high]
    axis.set_major_locator(FixedLocator(ticks if len(ticks) > 1 else spread or [low]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))


def _rate_label(rate: str) -> str:
    measure = "category matching rate" if rate.startswith("category") else "matching rate"
    k = rate.removeprefix("category").removeprefix("top") or "1"
    return f"{measure}, top-{k} (%)"
