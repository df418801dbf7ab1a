"""The numbers of a study as the page speaks of them: a row a model, and how a number is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gwrsa import tables

if TYPE_CHECKING:
    from gwrsa.store import Results


def model_rows(results: Results) -> list[dict[str, Any]]:
    """A row a model, for the table: RSA, and by (choice, measure, k) the rates; missing is None."""
    rates = tables.summarise(results.rates)
    starts = {}
    for (target, choice), some in results.chosen.groupby(["target", "choice"], sort=False):
        first = some.sort_values("replicate").iloc[0]
        starts[target, choice] = {"gw_loss": float(first["gw_loss"]), "epsilon_ratio": float(first["epsilon_ratio"])}
    rows = []
    for r in tables.summarise_rsa(results.rsa).to_dict("records"):
        mine = rates[rates["target"] == r["target"]].to_dict("records")
        rows.append(
            {
                "target": str(r["target"]),
                "family": str(r["family"]),
                "n": int(r["n_replicates"]),
                "planned": _with_plan(results, str(r["target"])),
                "rsa": _interval(r),
                "p": float(r["p_adjusted"]),
                "rates": {(x["choice"], x["measure"], int(x["k"])): _interval(x) for x in mine},
                "starts": {choice: s for (target, choice), s in starts.items() if target == r["target"]},
            }
        )
    return rows


def _with_plan(results: Results, target: str) -> int:
    """How many replicates of a model have a plan, over which its rates are averaged."""
    return int(results.chosen.loc[results.chosen["target"] == target, "replicate"].nunique())


def having(rows: list[dict[str, Any]], measure: str, k: int) -> list[dict[str, Any]]:
    """Those that have the rate of the start chosen without labels, the highest first."""
    return sorted(
        (r for r in rows if ("lowest_loss", measure, k) in r["rates"]), key=lambda r: -value_of(r, measure, k)
    )


def value_of(row: dict[str, Any], measure: str, k: int) -> float:
    """The rate of the start chosen without labels."""
    return float(row["rates"]["lowest_loss", measure, k]["value"])


def _interval(row: dict[Any, Any]) -> dict[str, float | None]:
    return {c: float(row[c]) if np.isfinite(row[c]) else None for c in ("value", "low", "high")}


def two(value: float) -> str:
    """Two decimals, and no minus before a zero."""
    return f"{round(value, 2) + 0.0:.2f}"
