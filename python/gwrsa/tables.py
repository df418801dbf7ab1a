"""The tables between a study and its figures; docs/study.md describes their columns."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from gwrsa.chance import chance_level
from gwrsa.memberships import Uncategorised
from gwrsa.statistics import band

if TYPE_CHECKING:
    import pandas as pd

PAIR = ("source", "target", "replicate")
CHOICES = ("lowest_loss", "highest_matching")


def chosen(results: pd.DataFrame) -> pd.DataFrame:
    """The starts that the figures show: of each pair the one chosen without labels and the one that matches most items.

    Without labels as in `Alignment.lowest_loss`: at one epsilon by objective, across epsilons by GW loss.

    Parameters
    ----------
    results : DataFrame
        A row a start, as `results.parquet`; `replicate` may be missing. Without `epsilon` and `objective` only the GW loss counts.

    Returns
    -------
    DataFrame
        Rows of `results`, up to two a pair, with a column `choice`: "lowest_loss" or "highest_matching" (by top1; of equal ones the
        lower loss; left out where there is no column top1). Only starts that converged are eligible; if none of a pair did, all that
        did not fail; if all failed, the pair has no row.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    import pandas as pd

    require("results", results, ("source", "target", "gw_loss", "status", "failed"))
    rows = []
    for _, starts in results.groupby([c for c in PAIR if c in results], sort=False):
        usable = starts[~starts["failed"].astype(bool)]
        converged = usable[usable["status"] == "converged"]
        eligible = converged if len(converged) else usable
        if eligible.empty:
            continue
        by_loss = eligible.sort_values("gw_loss", kind="stable")
        best = by_loss
        if {"epsilon", "objective"} <= set(results):
            best = by_loss.sort_values("objective", kind="stable").drop_duplicates("epsilon")
        rows.append(best.sort_values("gw_loss", kind="stable").head(1).assign(choice=CHOICES[0]))
        if "top1" in eligible:
            rows.append(by_loss.sort_values("top1", ascending=False, kind="stable").head(1).assign(choice=CHOICES[1]))
    return pd.concat(rows, ignore_index=True) if rows else results.head(0).assign(choice="")


def summarise(values: pd.DataFrame, *, percentiles: tuple[float, float] = (5, 95)) -> pd.DataFrame:
    """One row a model: where a model has several replicates, the mean over them and its percentiles.

    Parameters
    ----------
    values : DataFrame
        Columns value, low, high, and replicate if any model has several; rows that agree in all other columns are replicates.
    percentiles : pair of float
        Over replicates.

    Returns
    -------
    DataFrame
        Without replicate, and with n_replicates. A single replicate keeps its own interval.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    import pandas as pd

    require("values", values, ("value", "low", "high"))
    keys = [c for c in values if c not in {"replicate", "value", "low", "high"}]
    rows = []
    for key, same in values.groupby(keys, sort=False, dropna=False):
        low, value, high = (float(same[c].iloc[0]) for c in ("low", "value", "high"))
        if len(same) > 1:
            over = band(same["value"].to_numpy(), percentiles=percentiles)
            low, value, high = over.low, over.estimate, over.high
        rows.append((*key, value, low, high, len(same)))
    return pd.DataFrame(rows, columns=[*keys, "value", "low", "high", "n_replicates"])


def summarise_rsa(rsa: pd.DataFrame) -> pd.DataFrame:
    """`summarise` of the RSA table of a study, with the columns p_value and p_adjusted, which are a model's."""
    made = summarise(rsa[["target", "family", "replicate", "value", "low", "high"]])
    return made.join(rsa.drop_duplicates("target").set_index("target")[["p_value", "p_adjusted"]], on="target")


def chance_table(
    n: int,
    categories: ArrayLike | None = None,
    *,
    ks: Collection[int] = (1, 5, 10),
    uncategorised: Uncategorised = "exclude",
    n_simulations: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Chance of every rate that the figures show.

    Parameters
    ----------
    n : int
        Number of objects.
    categories, uncategorised, n_simulations, seed
        As in `gwrsa.chance_level`, with its errors. Without categories there are no rows of their rates.
    ks : collection of int
        How many targets an item may name.

    Returns
    -------
    DataFrame
        Columns measure ("matching" or "category"), k, value (closed form), low, high (5th and 95th percentile of the simulation).
    """
    import pandas as pd

    rows = []
    for measure, groups in (("matching", None), ("category", categories)):
        if measure == "category" and groups is None:
            continue
        for k in ks:
            c = chance_level(n, k, groups, uncategorised=uncategorised, n_simulations=n_simulations, seed=seed)
            rows.append((measure, k, c.exact, c.low, c.high))
    return pd.DataFrame(rows, columns=["measure", "k", "value", "low", "high"])


def require(name: str, table: pd.DataFrame, columns: Collection[str]) -> None:
    """Raise a ValueError that names the columns a table lacks."""
    missing = [c for c in columns if c not in table]
    if missing:
        raise ValueError(f"{name} must have the columns {', '.join(columns)}, got a table without {', '.join(missing)}")
