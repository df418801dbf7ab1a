"""From the shards of a study to its tables; nothing is searched here, so that it is quick and always the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from gwrsa import metrics, statistics, tables
from gwrsa._validate import FloatArray
from gwrsa.memberships import BoolArray
from gwrsa.metrics import IntArray
from gwrsa.shards import load_arrays
from gwrsa.store import restored_plan
from gwrsa.study_plan import Entry
from gwrsa.study_work import Work, rows_of

if TYPE_CHECKING:
    import pandas as pd

_Hits: TypeAlias = "tuple[dict[str, Any], FloatArray | BoolArray, BoolArray]"


def assemble(work: Work) -> dict[str, pd.DataFrame]:
    """All tables by name; every shard has to be there."""
    results = results_table(work)
    chosen = tables.chosen(results)
    if len(chosen):
        chosen["key"] = chosen["pair_key"] + "-" + chosen["start"].astype(str)
    else:
        chosen["key"] = ""
    hits = list(_hits(work, chosen))
    members = None if work.categories is None else work.categories.members
    s = work.settings
    made = {
        "results": results,
        "chosen": chosen,
        "rates": rates_table(work, hits),
        "rsa": rsa_table(work),
        "chance": tables.chance_table(
            len(work.source),
            members,
            ks=s.statistics.top_k,
            uncategorised=s.categories.others,  # type: ignore[arg-type]  # checked with the settings
            n_simulations=s.statistics.chance,
            seed=s.statistics.seed,
        ),
        "categories": categories_table(work, hits),
        "objects": objects_table(work),
    }
    if s.all_pairs:
        made["pairs"] = pairs_table(work, chosen)
    return made


def results_table(work: Work, *, whole: bool = True) -> pd.DataFrame:
    """A row a start; whole: every model has to be there with all its rounds. Of 100,000 starts columns take less than rows would."""
    import pandas as pd

    columns: dict[str, list[Any]] = {}
    for m in work.models:
        found, test = work.alignment(work.human, m, whole=whole), work.rsa(work.human, m)
        if found is None and not whole:
            continue
        pair = {"source": work.human.name, "target": m.name, "family": m.family, "replicate": m.replicate}
        pair["rsa"] = np.nan if test is None and not whole else _there(test)["statistic"]
        for start in rows_of(_there(found)):
            for name, value in {**pair, **start}.items():
                columns.setdefault(name, []).append(value)
    made = pd.DataFrame(columns)
    return made if made.empty else made.astype({"merged_into": "Int64", "stopped_by": "Int64"})


def rsa_table(work: Work) -> pd.DataFrame:
    """A row a model and replicate.

    The p-value is the model's: of the mean over its replicates, against the mean of the same relabellings.
    """
    import pandas as pd

    rows, p_values = [], {}
    for name in dict.fromkeys(m.name for m in work.models):
        entries = [m for m in work.models if m.name == name]
        tests = [_there(work.rsa(work.human, m)) for m in entries]
        mean, null = (np.mean([t[what] for t in tests], axis=0) for what in ("statistic", "null"))
        p_values[name] = statistics.exceedance(float(mean), null)
        low, high = (float(x) for x in np.percentile(null, (5, 95)))
        rows += [
            {
                "target": m.name,
                "family": m.family,
                "replicate": m.replicate,
                "value": t["statistic"],
                "low": np.nan,
                "high": np.nan,
                "p_value": p_values[name],
                "null_low": low,
                "null_high": high,
            }
            for m, t in zip(entries, tests, strict=True)
        ]
    method = work.settings.statistics.correction
    adjusted = dict(zip(p_values, statistics.correct(list(p_values.values()), method), strict=True))  # type: ignore[arg-type]
    return pd.DataFrame(rows).assign(p_adjusted=lambda t: t["target"].map(adjusted))


def rates_table(work: Work, hits: list[_Hits]) -> pd.DataFrame:
    """A row a model, replicate, choice, measure and k, with its interval over objects."""
    import pandas as pd

    s = work.settings.statistics
    rows = []
    for what, hit, counted in hits:
        interval = statistics.bootstrap(hit[counted], n_resamples=s.bootstrap, seed=s.seed)
        rows.append({**what, "value": interval.estimate, "low": interval.low, "high": interval.high})
    return pd.DataFrame(rows, columns=[*_WHAT, "value", "low", "high"])


def categories_table(work: Work, hits: list[_Hits]) -> pd.DataFrame:
    """A row a model, replicate, choice, measure, k and category; none without categories."""
    import pandas as pd

    columns = [*_WHAT, "category", "n", "rate"]
    if work.categories is None or not hits:
        return pd.DataFrame(columns=columns)
    groups = work.categories
    found = [statistics.rate_by_category(hit, groups.members, groups.names).assign(**what) for what, hit, _ in hits]
    return pd.concat(found, ignore_index=True)[columns]


def objects_table(work: Work) -> pd.DataFrame:
    """A row an object, in the order of all arrays."""
    import pandas as pd

    from gwrsa.figures.matrices import one_category

    n = len(work.source)
    items = work.source.items or tuple(str(i) for i in range(n))
    if work.categories is None:
        return pd.DataFrame({"item": items, "categories": "", "one": ""})
    names, members = work.categories.names, work.categories.members
    joined = ["; ".join(name for name, inside in zip(names, row, strict=True) if inside) for row in members]
    one = [c or "" for c in one_category(members, names)]
    return pd.DataFrame({"item": items, "categories": joined, "one": one})


def pairs_table(work: Work, chosen: pd.DataFrame) -> pd.DataFrame:
    """A row a pair of the human side and the models that are compared with each other: the start chosen without labels."""
    import pandas as pd

    def row(source: Entry, target: Entry, start: Any, statistic: float) -> dict[str, Any]:  # noqa: ANN401
        rates = {c: start[c] for c in ("top1", "top5", "top10", "category", "category5", "category10") if c in start}
        return {
            "source": source.name,
            "target": target.name,
            "source_family": source.family,
            "target_family": target.family,
            "gw_loss": start["gw_loss"],
            "rsa": statistic,
            **rates,
        }

    best = chosen[(chosen["choice"] == "lowest_loss") & (chosen["replicate"] == 0)]
    human = {str(r["target"]): r for r in best.to_dict("records")}
    rows = [row(work.human, m, human[m.name], human[m.name]["rsa"]) for m in work.compared if m.name in human]
    for a, b in work.pairs():
        starts = pd.DataFrame(rows_of(_there(work.alignment(a, b)))).assign(source=a.name, target=b.name)
        lowest = tables.chosen(starts).to_dict("records")[:1]
        rows += [row(a, b, r, _there(work.rsa(a, b))["statistic"]) for r in lowest]
    return pd.DataFrame(rows)


_WHAT = ("target", "family", "replicate", "choice", "measure", "k")


def _hits(work: Work, chosen: pd.DataFrame) -> Iterator[_Hits]:
    """Of each chosen start, measure and k: what it is, how probably each object hits (0 or 1 without ties), and which count."""
    entries = {(m.name, m.replicate): m for m in work.models}
    # Both choices may be one start.
    for _, rows in chosen.groupby("key", sort=False):
        chosen_as: list[dict[str, Any]] = rows.to_dict("records")  # type: ignore[assignment]  # columns have names
        entry = entries[chosen_as[0]["target"], chosen_as[0]["replicate"]]
        found = list(_start_hits(work, entry, chosen_as[0]))
        for row in chosen_as:
            what = {name: row[name] for name in ("target", "family", "replicate", "choice")}
            for measure, hit, counted in found:
                yield what | measure, hit, counted


def _start_hits(work: Work, entry: Entry, row: dict[str, Any]) -> Iterator[_Hits]:
    """The same of one start, but for what it is."""
    s = work.settings
    arrays = load_arrays(work.plan_path(row["key"]))
    found: IntArray | FloatArray = arrays["top"]
    matching: Callable[..., BoolArray | FloatArray] = statistics.matching_hits
    category: Callable[..., tuple[BoolArray | FloatArray, BoolArray]] = statistics.category_hits
    if arrays["tied"]:
        model = work.rdm(entry, matched=s.alignment.match_histogram)
        found = restored_plan(work.source, model, arrays, row)
        matching, category = metrics.matching_probabilities, metrics.category_probabilities
    for k in s.statistics.top_k:
        hit = matching(found, k)
        yield {"measure": "matching", "k": k}, hit, np.ones(len(hit), dtype=np.bool_)
    if work.categories is None:
        return
    for k in s.statistics.top_k:
        hit, counted = category(found, work.categories.members, k, uncategorised=s.categories.others)
        yield {"measure": "category", "k": k}, hit, counted


def _there(result: dict[str, Any] | None) -> dict[str, Any]:
    if result is None:
        raise ValueError("shards must hold every unit of the study, got one that is missing; run the study again")
    return result
