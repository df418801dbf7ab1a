"""What each figure shows, in a sentence or two made from the numbers, and what the reference study found there.

The reference study is Takahashi et al. (2025), arXiv:2505.16419. It is set beside families of models that are in the study at hand only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gwrsa.figures.study_parts import categorised, given_rdms, showcase, shown_plan, slugs
from gwrsa.figures.style import percent
from gwrsa.report.numbers import having, model_rows, two, value_of
from gwrsa.statistics import matching_hits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gwrsa.rdm import RDM
    from gwrsa.store import Results

# Fewer points, and a correlation of ranks says nothing.
_ENOUGH = 4
# More names in a row, and nobody reads them.
_MOST_NAMED = 3
# What the reference study found of a family: object by object, and by category.
_FINE = {
    "clip": "CLIP models match objects, at best about 20 % of them",
    "self-supervised": "self-supervised models of images hardly match objects",
    "untrained": "untrained models are at chance",
}
_COARSE = {
    "clip": "CLIP models match categories strongly",
    "self-supervised": "self-supervised models of images form human-like categories although they hardly match objects",
    "untrained": "untrained models are at chance",
}


def readings(results: Results) -> dict[str, str]:
    """A text for each figure that has one, by the figure's name."""
    said = _Readings(results)
    return {name: text for name, text in [*said.of_all(), *said.of_pairs(), *said.of_models()] if text}


class _Readings:
    """The numbers, put together once."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.rows = model_rows(results)
        self.human = results.human.name or "human"
        self.k = min((int(k) for k in results.rates["k"]), default=1)
        self.chance = {r["measure"]: r for r in results.chance.to_dict("records") if int(r["k"]) == self.k}

    # ---- of all models

    def of_all(self) -> Iterator[tuple[str, str]]:
        """Figures 1, 2, 4 to 6 and S1 to S3, and the human RDM of figure 3."""
        yield "figure_1_workflow", self._workflow()
        yield "figure_2_rsa", self._rsa()
        yield "figure_3_rdm_human", self._blocks(self.results.human)
        for figure, measure, reference in (("4", "matching", _FINE), ("5", "category", _COARSE)):
            yield f"figure_{figure}a_{measure}_lowest_loss", self._rate(measure, reference)
            yield f"figure_{figure}b_{measure}_highest_matching", self._gain(measure)
        yield "figure_6a_fine_vs_coarse_lowest_loss", self._grains()
        yield "figure_s1_loss_against_epsilon", self._losses()
        yield "figure_s2_rdm_histograms", self._histograms()
        yield "figure_s3_category_rates", self._categories()

    def _workflow(self) -> str:
        best = showcase(self.results)
        if best is None:
            return ""
        coarse = best.get("category")
        category = ""
        if coarse is not None and not np.isnan(coarse):
            category = f"; {percent(float(coarse))} of {categorised(self.results)} have one of their category"
        return (
            f"RSA is {two(float(best['rsa']))}; of {len(self.results.objects):,} objects {percent(float(best['top1']))} have themselves "
            f"as most probable counterpart{category}."
        )

    def _rsa(self) -> str:
        ends = self._families("rsa", lambda r: r["rsa"]["value"], two)
        rho = self._rank_agreement([r["rsa"]["value"] for r in having(self.rows, "matching", self.k)], "matching")
        beside = "" if rho is None else f" Spearman's rho between RSA and matching rate, over models, is {two(rho)}."
        ceilings = ", ".join(
            f"{name} {two(c.lower)} to {two(c.upper)}" for name, c in self.results.noise_ceilings.items()
        )
        between = f" Noise ceilings: {ceilings}." if ceilings else ""
        return (
            f"Highest of each family: {ends}.{beside}{between} The reference study takes RSA as its baseline: one number, "
            "in which both grains are mixed."
        )

    def _rate(self, measure: str, reference: dict[str, str]) -> str:
        rows = having(self.rows, measure, self.k)
        if not rows or measure not in self.chance:
            return ""
        chance = self.chance[measure]
        above = [r for r in rows if value_of(r, measure, self.k) > chance["high"]]
        ends = self._families(measure, lambda r: value_of(r, measure, self.k), percent)
        return (
            f"Top-{self.k}, highest of each family: {ends}; chance is {percent(chance['value'])}, and {len(above)} of the "
            f"{len(rows)} in the figure exceed its 95th percentile.{_reference(reference, (r['family'] for r in rows))}"
        )

    def _gain(self, measure: str) -> str:
        found = [
            (r["rates"]["highest_matching", measure, self.k]["value"] - value_of(r, measure, self.k), r["target"])
            for r in having(self.rows, measure, self.k)
            if ("highest_matching", measure, self.k) in r["rates"]
        ]
        if not found:
            return ""
        same = sum(g == 0 for g, _ in found)
        if same == len(found):
            return "No rate differs from that of the start chosen without labels."
        # Chosen by objects, this start can also have fewer in their category.
        # Lowest and highest; of models that change alike one stands for them.
        ends = {g: target for g, target in (min(found), max(found)) if g != 0}
        changes = [f"{100 * g:+.2g} points ({target})" for g, target in ends.items()]
        against = "Against the start chosen without labels the rate changes"
        if len(found) == 1:
            return f"{against} by {changes[0]}."
        if len(found) - same == 1:
            span = f"by {changes[0]}"
        else:
            span = f"by {changes[0]} at most" if len(changes) == 1 else f"between {changes[0]} and {changes[1]}"
        return f"{against} {span}; {same} of {len(found)} do not change."

    def _grains(self) -> str:
        if not {"matching", "category"} <= set(self.chance):
            return ""
        above = {
            m: {r["target"] for r in having(self.rows, m, self.k) if value_of(r, m, self.k) > self.chance[m]["high"]}
            for m in ("matching", "category")
        }
        both, coarse = above["matching"] & above["category"], above["category"] - above["matching"]
        text = (
            f"Above the 95th percentile of chance in both grains: {len(both)} of {len(self.rows)}; in the coarse grain only: "
            f"{_names(coarse) or 'none'}."
        )
        if any(r["family"].lower() in ("clip", "self-supervised") for r in self.rows):
            text += " In the reference study CLIP models are high in both, self-supervised models of images in the coarse grain only."
        return text

    def _losses(self) -> str:
        rows = having(self.rows, "matching", self.k)
        if not rows:
            return ""
        by = sorted(rows, key=lambda r: r["starts"]["lowest_loss"]["gw_loss"])
        loss = [r["starts"]["lowest_loss"]["gw_loss"] for r in by]
        least, most = (f"{loss[i]:.3g} ({by[i]['target']})" for i in (0, -1))
        text = f"GW losses of the starts chosen without labels go from {least} to {most}."
        if not self.results.settings["alignment"]["match_histogram"]:
            return f"{text} Histograms were not matched, so that losses of different models cannot be compared."
        rho = self._rank_agreement([r["starts"]["lowest_loss"]["gw_loss"] for r in rows], "matching")
        return (
            text
            if rho is None
            else f"{text} Spearman's rho between loss and matching rate, over models, is {two(rho)}."
        )

    def _histograms(self) -> str:
        medians, metrics = {}, set()
        for entry, of in given_rdms(self.results):
            medians[entry["name"]] = float(np.median(of.dissimilarities))
            metrics.add(of.metric)
        low, high = min(medians, key=lambda n: medians[n]), max(medians, key=lambda n: medians[n])
        after = (
            f"Each model was given the distribution of {self.human} before it was aligned."
            if self.results.settings["alignment"]["match_histogram"]
            else "They were aligned as they are."
        )
        if len(metrics) > 1:
            return f"Metrics differ ({', '.join(sorted(metrics))}), so that widths and shapes can be compared, values cannot. {after}"
        return f"Medians go from {medians[low]:.2g} ({low}) to {medians[high]:.2g} ({high}). {after}"

    def _categories(self) -> str:
        table = self.results.categories
        if not len(table):
            return ""
        one = table[
            (table["choice"] == "lowest_loss") & (table["measure"] == "matching") & (table["k"] == table["k"].min())
        ]
        # First over the replicates of a model, or one of many would count as many.
        mean = (
            one.groupby(["target", "category"], sort=False)["rate"]
            .mean()
            .groupby("category", sort=False)
            .mean()
            .dropna()
        )
        if not len(mean) or mean.min() == mean.max():
            return ""
        best, worst = (_listed([str(c) for c in mean.index[mean == end]]) for end in (mean.max(), mean.min()))
        return (
            f"On average over models the highest rate is that of {best} ({percent(float(mean.max()))} of the objects), the lowest that of "
            f"{worst} ({percent(float(mean.min()))})."
        )

    # ---- of all pairs

    def of_pairs(self) -> Iterator[tuple[str, str]]:
        """Maps and matrices of the models."""
        pairs = self.results.pairs
        if pairs is None or not len(pairs):
            return
        mine = pairs[pairs["source"] == self.human]
        for name, column, sign in (
            ("figure_s5_map_of_models_gw_loss", "gw_loss", 1),
            ("figure_s6_map_of_models_matching", "top1", -1),
        ):
            far = (sign * mine[column]).to_numpy(dtype=float)
            if len(far) and np.isfinite(far).all():
                near, last = (_listed([str(t) for t in mine["target"][far == end]]) for end in (far.min(), far.max()))
                ends = f"Nearest to {self.human} by this number is {near}"
                text = f"{ends}, farthest {last}." if far.min() < far.max() else f"{ends}."
                chance = self.chance.get("matching")
                # Among rates of chance the order is one of luck.
                if column == "top1" and self.k == 1 and chance is not None and -far.min() <= chance["high"]:
                    text = (
                        f"No matching rate with {self.human} exceeds the 95th percentile of chance ({percent(float(chance['high']))}): "
                        "distances from it on this map tell no models apart."
                    )
                yield name, text
        for name, column, write in (
            ("figure_s7a_pairs_rsa", "rsa", two),
            ("figure_s7b_pairs_top1", "top1", percent),
            ("figure_s7c_pairs_category", "category", percent),
        ):
            if column in pairs and pairs[column].notna().any():
                ranked = pairs.dropna(subset=[column]).sort_values(column, kind="stable").to_dict("records")
                low, high = (
                    f"{r['source']} and {r['target']}, {write(float(r[column]))}" for r in (ranked[0], ranked[-1])
                )
                yield name, f"Highest: {high}; lowest: {low}."

    # ---- of one model

    def of_models(self) -> Iterator[tuple[str, str]]:
        """Figures 3, 4c and S4 of each model."""
        n = len(self.results.objects)
        for target, slug in slugs(self.results).items():
            best = shown_plan(self.results, target)
            if best is None:
                continue
            replicate = int(best["replicate"])
            top, mass = self.results.top(str(best["key"]))
            k = min(5, top.shape[1])
            yield f"figure_3_rdm_{slug}", self._blocks(self.results.model(target, replicate))
            own = top == np.arange(n)[:, None]
            sure = float(mass[:, 0].mean())
            yield (
                f"figure_3_plan_{slug}",
                (
                    f"{percent(float(own[:, 0].mean()))} of objects have themselves as most probable counterpart; the most probable one "
                    f"holds {percent(sure)} of an object's mass on average.{_reference(_FINE, [str(best['family'])])}"
                ),
            )
            yield (
                f"figure_3_top_{slug}",
                f"Of all {n:,} objects, {percent(float(matching_hits(top, k).mean()))} are among their own {k} most probable counterparts.",
            )
            yield f"figure_4c_local_optima_{slug}", self._optima(target, replicate)
            yield (
                f"figure_s4_map_{slug}",
                "Where the plan keeps neighbours together, lines that begin side by side end side by side; where it does not, they cross.",
            )

    def _optima(self, target: str, replicate: int) -> str:
        table = self.results.results
        mine = table[(table["target"] == target) & (table["replicate"] == replicate) & ~table["failed"].astype(bool)]
        converged = int((mine["status"] == "converged").sum())
        some = "all converged" if converged == len(mine) else f"{converged} of them converged"
        text = f"{len(mine)} starts with a plan, {some}, end at losses from {mine['gw_loss'].min():.4g} to {mine['gw_loss'].max():.4g}"
        if "top1" in mine:
            text += (
                f", and match {percent(float(mine['top1'].min()))} to {percent(float(mine['top1'].max()))} of objects"
            )
        chosen = self.results.chosen
        keys = chosen[(chosen["target"] == target) & (chosen["replicate"] == replicate)]["key"]
        same = " Both choices are the same start." if keys.nunique() == 1 and len(keys) > 1 else ""
        return f"{text}.{same}"

    # ---- what they share

    def _families(self, measure: str, number: Callable[[dict[str, Any]], float], write: Callable[[float], str]) -> str:
        best: dict[str, dict[str, Any]] = {}
        for r in self.rows:
            if measure != "rsa" and ("lowest_loss", measure, self.k) not in r["rates"]:
                continue
            if r["family"] not in best or number(r) > number(best[r["family"]]):
                best[r["family"]] = r
        by = sorted(best.items(), key=lambda item: -number(item[1]))
        return ", ".join(f"{_family(family)} {write(number(r))} ({r['target']})" for family, r in by)

    def _rank_agreement(self, x: list[float], measure: str) -> float | None:
        """Spearman's, of x with the rates of the models that have one."""
        from scipy.stats import spearmanr

        y = [value_of(r, measure, self.k) for r in having(self.rows, measure, self.k)]
        if len(y) < _ENOUGH or len(x) != len(y) or min(np.ptp(x), np.ptp(y)) == 0:
            return None
        return float(spearmanr(x, y).statistic)

    @cached_property
    def _same_category(self) -> NDArray[np.bool_] | None:
        """Of each pair of objects, condensed, whether they share a category; None where no pair or every pair does."""
        members = self.results.members
        if members is None:
            return None
        inside = np.asarray(members.members, dtype=np.float32)
        shared = (inside @ inside.T > 0)[np.triu_indices(len(inside), 1)]
        return shared if 0 < shared.sum() < len(shared) else None

    def _blocks(self, rdm: RDM) -> str:
        shared = self._same_category
        if shared is None:
            return ""
        within, between = (float(rdm.dissimilarities[which].mean()) for which in (shared, ~shared))
        return f"Two objects that share a category are {within:.2g} apart on average, two others {between:.2g}."


def _reference(found: dict[str, str], families: Any) -> str:  # noqa: ANN401
    """What the reference study says of those families that are here."""
    here = {str(f).lower() for f in families}
    said = [text for family, text in found.items() if family in here]
    return f" In the reference study {'; '.join(said)}." if said else ""


def _family(name: str) -> str:
    return "CLIP" if name.lower() == "clip" else name


def _names(names: set[str]) -> str:
    return ", ".join(sorted(names))


def _listed(names: list[str]) -> str:
    """Those that share a place; of many, how many."""
    return ", ".join(names) if len(names) <= _MOST_NAMED else f"{names[0]} and {len(names) - 1} others"
