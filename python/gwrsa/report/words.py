"""What the page says in words and rows, all of it made from the numbers and settings of the study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gwrsa import backends
from gwrsa.figures.study_parts import categorised
from gwrsa.figures.style import percent
from gwrsa.report.numbers import having, model_rows, two, value_of

if TYPE_CHECKING:
    import pandas as pd

    from gwrsa.store import Results

# A difference of RSA that nobody would call one.
_SAME_RSA = 0.05
_ENOUGH_MODELS = 4


def question(results: Results) -> str:
    """The question, for a reader who knows none of the terms."""
    sides = results.rsa.drop_duplicates("target")
    people, noise = sides["family"].str.lower() == "human", sides["target"].isin(_noise(results))
    whom = [
        _counted(int((~people & ~noise).sum()), "model"),
        _counted(int(people.sum()), "group of people", "groups of people"),
        _counted(int(noise.sum()), "baseline of noise", "baselines of noise"),
    ]
    others = " and ".join(text for text in whom if text)
    return (
        f"How similar {len(results.objects):,} objects are to each other is known for the reference ({results.human.name or 'human'}) and "
        f"for {others}. If all names were taken off, could objects be recognised by their similarities alone: each one as itself (the "
        "fine grain), or at least as one of its category (the coarse grain)?"
    )


def findings(results: Results) -> list[str]:
    """Headlines: RSA, the fine grain, the coarse grain, where they part, and how far the search can be trusted."""
    rows = model_rows(results)
    k = min(int(x) for x in results.rates["k"]) if len(results.rates) else 1
    chance = {r["measure"]: r for r in results.chance.to_dict("records") if int(r["k"]) == k}
    people = [r for r in rows if r["family"].lower() == "human"]
    noise = _noise(results)
    models = [r for r in rows if r["family"].lower() != "human" and r["target"] not in noise] or rows
    statistics = results.settings["statistics"]
    # Benjamini and Hochberg's smallest p is not multiplied where all are as small.
    n_tests = len(rows) if statistics["correction"] == "holm" else 1
    said = [_of_rsa(models, statistics["permutations"], n_tests)]
    for measure, what, meets in (
        ("matching", "Fine grain", "of objects are found as themselves"),
        ("category", "Coarse grain", f"of {categorised(results)} are found in their category"),
    ):
        found = having(models, measure, k)
        if not found or measure not in chance:
            continue
        c = chance[measure]
        best = found[0]
        above = [r for r in found if value_of(r, measure, k) > c["high"]]
        text = (
            f"{what}: {best['target']} comes out highest: {percent(value_of(best, measure, k))} {meets} without labels (top-{k}; "
            f"chance {percent(c['value'])}). {len(above)} of {len(found)} models exceed the 95th percentile of "
            "chance, as 1 in 20 random assignments does."
        )
        lifted = [r for r in having(rows, measure, k) if r["target"] in noise and value_of(r, measure, k) > c["high"]]
        if lifted and models is not rows:
            text += (
                f" So does noise, with {percent(value_of(lifted[0], measure, k))}, which knows nothing of the objects: what a model has "
                "beyond that counts."
            )
        others = having(people, measure, k) if models is not rows else []
        if others:
            low, high = (percent(value_of(others[i], measure, k)) for i in (-1, 0))
            text += f" Groups of people reach {high if low == high else f'{low} to {high}'}."
        said.append(text)
    said += _parting(models, chance, k)
    said += _by_the_answer(models, k)
    said.append(_search(results))
    return said


def _of_rsa(models: list[dict[str, Any]], n_permutations: int, n_tests: int) -> str:
    by = sorted(models, key=lambda r: -r["rsa"]["value"])
    significant = sum(r["p"] < 0.05 for r in by)
    number = {r["target"]: two(r["rsa"]["value"]) for r in by}
    ends = f"from {number[by[0]['target']]} ({by[0]['target']}) to {number[by[-1]['target']]} ({by[-1]['target']})"
    what = "RSA, which is told the correspondence,"
    found = f"{what} goes {ends}" if len(by) > 1 else f"{what} is {number[by[0]['target']]} ({by[0]['target']})"
    # Holm multiplies the smallest of m p-values by m: too few permutations can reach nothing.
    smallest = n_tests / (1 + n_permutations)
    weak = (
        f" {n_permutations} permutations cannot give less than {smallest:.2g} for the first."
        if smallest >= 0.05
        else ""
    )
    return f"{found}; {significant} of {len(by)} have an adjusted p below 0.05.{weak}"


def _parting(models: list[dict[str, Any]], chance: dict[str, Any], k: int) -> list[str]:
    """Where the two grains part, and where RSA does not see what the plan sees."""
    said = []
    if {"matching", "category"} <= set(chance):
        coarse = [
            r
            for r in having(models, "category", k)
            if value_of(r, "category", k) > chance["category"]["high"]
            and value_of(r, "matching", k) <= chance["matching"]["high"]
        ]
        if coarse:
            names = ", ".join(r["target"] for r in coarse)
            said.append(f"The grains part: categories above the 95th percentile of chance, objects not, in {names}.")
    found = having(models, "matching", k)
    pairs = [
        (abs(value_of(a, "matching", k) - value_of(b, "matching", k)), a, b)
        for i, a in enumerate(found)
        for b in found[i + 1 :]
        if abs(a["rsa"]["value"] - b["rsa"]["value"]) < _SAME_RSA and _apart(a, b, k)
    ]
    if pairs:
        _, a, b = max(pairs, key=lambda p: p[0])
        said.append(
            f"Alike for RSA, not for the plan: {a['target']} ({two(a['rsa']['value'])}) and {b['target']} ({two(b['rsa']['value'])}) match "
            f"{percent(value_of(a, 'matching', k))} and {percent(value_of(b, 'matching', k))} of objects."
        )
    if len(found) >= _ENOUGH_MODELS:
        from scipy.stats import spearmanr

        x, y = [r["rsa"]["value"] for r in found], [value_of(r, "matching", k) for r in found]
        if min(np.ptp(x), np.ptp(y)) > 0:
            rho = spearmanr(x, y).statistic
            said.append(f"Across {len(found)} models, Spearman's rho between RSA and matching rate is {rho:.2f}.")
    return said


def _apart(higher: dict[str, Any], lower: dict[str, Any], k: int) -> bool:
    """Whether the intervals of two matching rates do not overlap."""
    low, high = (r["rates"]["lowest_loss", "matching", k][end] for r, end in ((higher, "low"), (lower, "high")))
    return low is not None and high is not None and low > high


def _by_the_answer(models: list[dict[str, Any]], k: int) -> list[str]:
    gains = [
        (r["rates"]["highest_matching", "matching", k]["value"] - value_of(r, "matching", k), r)
        for r in having(models, "matching", k)
        if ("highest_matching", "matching", k) in r["rates"]
    ]
    if not gains:
        return []
    gain, r = max(gains, key=lambda g: g[0])
    if gain <= 0:
        return ["For every model no eligible start matches more objects than the one chosen without labels."]
    end = r["rates"]["highest_matching", "matching", k]["value"]
    return [
        (
            f"If of each model's starts that converged the one that matches most objects is taken, for which the right answer has to be known, in place of "
            f"the one chosen without labels, the matching rate rises most for {r['target']}: from {percent(value_of(r, 'matching', k))} to "
            f"{percent(end)}. That is an upper end, not an estimate."
        )
    ]


def _search(results: Results) -> str:
    table = results.results
    counts = table["status"].value_counts()
    ended = ", ".join(f"{n} {_ENDED.get(str(status), status)}" for status, n in counts.items())
    lost = [str(t) for t in dict.fromkeys(results.rsa["target"]) if t not in set(results.chosen["target"])]
    none = f" No start of these had a plan, so they are in no rate: {', '.join(lost)}." if lost else ""
    merged = int(table["merged_into"].notna().sum())
    return f"The search made {len(table)} starts: {ended}; {merged} of them met another on the way, and share its end.{none}"


def methods(results: Results) -> list[str]:
    """The methods of a paper, a paragraph an entry, with the parameters that were used."""
    s = results.settings
    a, t, c = s["alignment"], s["statistics"], s["categories"]
    starts = results.results.groupby(["target", "replicate"], sort=False).size()
    n_starts = f"{starts.min()}" if starts.min() == starts.max() else f"{starts.min()} to {starts.max()}"
    epsilon, ratio = _range(results.results["epsilon"]), _range(results.results["epsilon_ratio"])
    how = {
        "anneal": "each annealed from a high epsilon down to the one at which its solution is read",
        "multistart": "each solved at its own epsilon",
    }[a["search"]]
    device = a.get("device", "cpu")
    solver = f", on {device} by torch" if backends.chosen(a.get("backend", "auto"), device) == "torch" else ""
    metrics = sorted({_metric(m) for m in s["models"]})
    matched = (
        f"The dissimilarities of each model were given the distribution of those of {results.human.name} by rank (histogram matching). "
        if a["match_histogram"]
        else "The dissimilarities of models were used as they are, without histogram matching. "
    )
    replicates = results.rsa.groupby("target", sort=False).size()
    several = [f"{name} ({n})" for name, n in replicates.items() if n > 1]
    said = [
        f"Representations. Dissimilarities of {len(results.objects):,} objects: {results.human.name} by {_metric(s['human'])}, "
        f"models by {', '.join(metrics)}. {matched}"
        + (f"Of several initialisations or draws: {', '.join(several)}." if several else ""),
        (
            "Alignment. Entropic Gromov-Wasserstein optimal transport with square loss and uniform weights: the plan T minimises "
            "sum (C1_ik - C2_jl)^2 T_ij T_kl - epsilon H(T) over all couplings, by projected mirror descent whose inner step is Sinkhorn's. "
            f"Search {a['search']!r}: {n_starts} starts a pair, {how}; final epsilon {epsilon} (absolute), {ratio} in units of the pair's critical "
            f"epsilon; seed {a['seed']}; precision {a['precision']!r}{solver}; tolerance {a['tol']:g} (relative change of the plan), at most {a['max_outer']} "
            f"outer steps and {a['max_sinkhorn']} Sinkhorn iterations. Starts that did not converge are not eligible unless none of a pair did; "
            "those that failed never are."
        ),
        (
            "Two solutions are shown of each pair. One is chosen without labels: of starts that end at one epsilon the one of lowest objective, "
            "GW loss - epsilon H(T), which they minimise, and of several epsilons, of these the one of lowest GW loss; a start of lower GW "
            "loss can therefore be among the others. The other is the start of highest matching rate among those that converged, chosen by the answer."
        ),
        (
            f"Rates. Matching rate, top-k: share of objects whose own counterpart is among their k most probable targets, k = "
            f"{', '.join(map(str, t['top_k']))}. Intervals: 95 %, bootstrap over objects, {t['bootstrap']} resamples, the plan taken as given. Over "
            "replicates: mean, 5th and 95th percentile. Chance: closed form, and percentiles of "
            f"{t['chance']} simulated assignments that draw the targets of every object at random (seed {t['seed']}). A plan couples "
            "neighbours together, so that rates of one that knows nothing scatter more widely than these, those of categories above all."
        ),
    ]
    if results.members is not None:
        none = results.members.n_uncategorised
        treated = {
            "exclude": "are not counted",
            "category": "count as one category more",
            "miss": "count as never matched",
        }[c["others"]]
        dropped = f" Columns that are no categories: {', '.join(c['drop'])}." if c["drop"] else ""
        said.append(
            f"Categories. {len(results.members.names)} categories; an object can be in several, and a target counts if it shares any; {none:,} "
            f"objects without one {treated}.{dropped} In figures sorted by category, an object of several stands in the smallest."
        )
    said.append(
        f"RSA. {_RSA.get(t['rsa'], t['rsa'])} of the upper triangles before histogram matching; one-sided p-values from {t['permutations']} "
        f"relabellings of the objects (of the mean where there are replicates), corrected for the number of models by {_CORRECTION[t['correction']]}."
    )
    if results.provenance["by_position"]:
        said.append(
            "Without labels, and therefore matched by position: " + ", ".join(results.provenance["by_position"]) + "."
        )
    return said


_ENDED = {
    "max_outer": "ran out of outer steps (max_outer)",
    "max_sinkhorn": "ran out of Sinkhorn iterations (max_sinkhorn)",
    "stopped": "stopped early, out of reach of the lowest loss",
    "numerical_error": "failed numerically",
}
_RSA = {"corr": "Pearson correlation", "spearman": "Spearman correlation", "cosine": "Cosine similarity"}
_CORRECTION = {"holm": "Holm's method", "bh": "Benjamini and Hochberg's method"}


def _metric(side: dict[str, Any]) -> str:
    """How dissimilarities of a side came about; a metric is of embeddings only."""
    if side.get("triplets") is not None:
        return "odd-one-out answers"
    if side["rdm"] is not None or side.get("noise") == "dissimilarities":
        return "dissimilarities as given"
    return str(side["metric"])


def _noise(results: Results) -> set[str]:
    """Baselines that no one takes for a model."""
    return {side["name"] for side in results.settings["models"] if side.get("noise") is not None}


def _counted(n: int, noun: str, nouns: str | None = None) -> str:
    return f"{n} {noun if n == 1 else nouns or f'{noun}s'}" if n else ""


def _range(values: pd.Series[float]) -> str:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return "unknown"
    low, high = float(finite.min()), float(finite.max())
    return f"{low:.4g}" if f"{low:.4g}" == f"{high:.4g}" else f"{low:.4g} to {high:.4g}"
