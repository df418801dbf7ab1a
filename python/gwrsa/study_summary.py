"""The outcome of a study as a table in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gwrsa import tables

if TYPE_CHECKING:
    import pandas as pd

    from gwrsa.store import Results

_SHORT = {"matching": "top", "category": "cat."}


def summary(results: Results) -> str:
    """A row a model: RSA with its adjusted p-value, then the rates of the start chosen without labels, and of the highest matching.

    Rates are in percent. Several replicates are their mean.
    """
    import pandas as pd

    rates = tables.summarise(results.rates)
    heads = [f"{_SHORT[m]} {k}" for m, k in _measures(results)]
    rows = []
    for row in tables.summarise_rsa(results.rsa).to_dict("records"):
        name = row["target"]
        of = rates[rates["target"] == name]
        n = int(row["n_replicates"])
        rows.append(
            {
                "model": f"{name} (mean of {n})" if n > 1 else str(name),
                "family": row["family"],
                "RSA": f"{round(row['value'], 3) + 0.0:.3f}",
                "p adj.": _p(row["p_adjusted"]),
                **_rates(of[of["choice"] == "lowest_loss"], results),
                "best top 1": _rates(of[of["choice"] == "highest_matching"], results).get("top 1", ""),
            }
        )
    chance = dict.fromkeys(("model", "family", "RSA", "p adj.", "best top 1"), "") | {"model": "chance"}
    for r in results.chance.to_dict("records"):
        chance[f"{_SHORT[r['measure']]} {r['k']}"] = _percent(r["value"])
    table = pd.DataFrame([*rows, chance], columns=["model", "family", "RSA", "p adj.", *heads, "best top 1"]).fillna("")
    lines = _aligned(table, left=("model", "family"))
    s = results.settings
    human, search = s["human"]["name"], s["alignment"]["search"]
    matched = ", histogram-matched" if s["alignment"]["match_histogram"] else ""
    note = (
        f"{s['name']}: {len(results.objects)} objects; {human} against each model ({search}{matched}); "
        "rates in percent, of the start chosen without labels; best top 1: of the one that matches most, of those that converged"
    )
    failed = _without_plan(results)
    lost = f"\nno start of these had a plan, and no rate counts them: {', '.join(failed)}" if failed else ""
    position = results.provenance["by_position"]
    rows_by = f"\nrows matched by position, for want of labels: {', '.join(position)}" if position else ""
    return "\n".join([note, "", *lines]) + lost + rows_by + _pairs(results)


def _without_plan(results: Results) -> list[str]:
    """Models, or replicates of models that have several, none of whose starts has a plan."""
    had = set(zip(results.chosen["target"], results.chosen["replicate"], strict=True))
    several = results.rsa["target"].value_counts()
    lost = [pair for pair in zip(results.rsa["target"], results.rsa["replicate"], strict=True) if pair not in had]
    return sorted(
        f"{target}, replicate {replicate}" if several[target] > 1 else str(target) for target, replicate in lost
    )


def _pairs(results: Results) -> str:
    """What was found of all pairs: how many, the ends of RSA and rates, and where the others are."""
    if results.pairs is None or results.pairs.empty:
        return ""
    said = f"\n\nall pairs, {len(results.pairs)} of them, start chosen without labels:"
    for column, what in (("rsa", "RSA"), ("top1", "top 1"), ("category", "cat. 1")):
        if column not in results.pairs or results.pairs[column].isna().all():
            continue
        ranked = results.pairs.dropna(subset=[column]).sort_values(column, kind="stable").to_dict("records")
        low, high = (
            f"{f'{r[column]:.3f}' if column == 'rsa' else f'{_percent(r[column])} %'} ({r['source']} and {r['target']})"
            for r in (ranked[0], ranked[-1])
        )
        said += f"\n{what:<6} from {low} to {high}"
    return f"{said}\nevery pair: {results.folder / 'tables' / 'pairs.parquet'}"


def _measures(results: Results) -> list[tuple[str, int]]:
    return [(str(r["measure"]), int(r["k"])) for r in results.chance.to_dict("records")]


def _rates(rates: pd.DataFrame, results: Results) -> dict[str, Any]:
    found = {(r["measure"], r["k"]): r["value"] for r in rates.to_dict("records")}
    return {f"{_SHORT[m]} {k}": _percent(found[m, k]) for m, k in _measures(results) if (m, k) in found}


def _percent(rate: float) -> str:
    return f"{100 * rate:.2f}"


def _p(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}"


def _aligned(table: pd.DataFrame, left: tuple[str, ...]) -> list[str]:
    cells = [list(table.columns), *table.astype(str).to_numpy().tolist()]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    sides = ["<" if name in left else ">" for name in table.columns]
    lines = ["  ".join(f"{c:{s}{w}}" for c, s, w in zip(row, sides, widths, strict=True)).rstrip() for row in cells]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]
