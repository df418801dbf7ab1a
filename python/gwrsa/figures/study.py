"""All figures of a study: which there are, what each says, and how it is drawn from the study's `Results`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gwrsa import _validate as check
from gwrsa import tables
from gwrsa.figures.bars import rate_bars, rsa_bars
from gwrsa.figures.categories import category_rates
from gwrsa.figures.matrices import rdm, sorted_by
from gwrsa.figures.objects import image_files, pictures
from gwrsa.figures.scatter import fine_vs_coarse, loss_against_epsilon, rdm_histograms
from gwrsa.figures.study_models import of_models, of_pairs
from gwrsa.figures.study_parts import Drawing, categorised, given_rdms, groups_of, images_of, several, showcase, sorting
from gwrsa.figures.style import save
from gwrsa.figures.workflow import workflow

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gwrsa.store import Results

_CHOICES = {"lowest_loss": "the start chosen without labels", "highest_matching": "the start that matches most objects"}


def draw(results: Results, out: str | Path | None = None, *, only: Collection[str] | None = None) -> list[Path]:
    """Draw every figure of a study.

    Parameters
    ----------
    results : Results
        A finished study.
    out : path, optional
        Folder for them. None: `figures` in the folder of the study.
    only : collection of str, optional
        Names of those that are wanted, such as "figure_2_rsa". None: all.

    Returns
    -------
    list of Path
        What was written, PNG, SVG and PDF of each figure; where all are drawn, figures of an earlier run that are no longer of the
        study are removed from the folder of the study.

    Raises
    ------
    ValueError
        If the study has no figure of a name.
    ImportError
        If matplotlib is missing.
    """
    folder = results.folder / "figures" if out is None else Path(out)
    every = {drawing.name: drawing for drawing in drawings(results)}
    wanted = [check.choice("only", name, tuple(every)) for name in (every if only is None else only)]
    written = [path for name in wanted for path in save(every[name].make(), folder / name, close=True)]
    if out is None and only is None:
        remove_others(results, every)
    return written


def remove_others(results: Results, names: Collection[str]) -> None:
    """Remove figures of an earlier run, which are none of these, from the folder of a study."""
    for old in (results.folder / "figures").glob("figure_*"):
        if old.stem not in names:
            old.unlink()


def drawings(results: Results) -> list[Drawing]:
    """Every figure of a study in the order of its paper; those of one model follow each other."""
    return [*_of_all(results), *of_pairs(results), *of_models(results)]


def _of_all(results: Results) -> Iterator[Drawing]:
    human = results.human.name or "human"
    first = showcase(results)
    if first is not None:
        yield Drawing(
            "figure_1_workflow",
            "Figure 1. The study in one picture",
            f"The dissimilarities of {human} and of {first['target']}, the model that matches most objects by its start chosen without "
            "labels. The plan between them is found without labels. RSA is told which object is which.",
            lambda: _workflow(results, first),
        )
    rsa, rates = tables.summarise_rsa(results.rsa), tables.summarise(results.rates)
    replicates = " Of several initialisations: their mean, 5th to 95th percentile." if several(results) else ""
    yield Drawing(
        "figure_2_rsa",
        "Figure 2. RSA, told which object is which",
        f"Agreement of each model's dissimilarities with those of {human}.{replicates}{_of_ceilings(results)}",
        lambda: rsa_bars(rsa, results.noise_ceilings, human=human, method=results.settings["statistics"]["rsa"]),
    )
    by = groups_of(results)
    alone, order = sorting(by)
    yield Drawing(
        "figure_3_rdm_human",
        f"Figure 3. Dissimilarities of {human}",
        f"All pairs of objects{order}.{alone}",
        lambda: rdm(results.human.square(), by),
    )
    measures = ["matching"] + (["category"] if (results.rates["measure"] == "category").any() else [])
    for measure, figure in zip(measures, (4, 5), strict=False):
        what = "their own counterpart" if measure == "matching" else "an object of their category"
        of = "objects" if measure == "matching" else categorised(results)
        for choice, letter in zip(_CHOICES, "ab", strict=True):
            chosen_by_answer = (
                " That start is chosen by the answer: an upper end; by chance too the best of several starts lies above one plan's."
                if letter == "b"
                else ""
            )
            yield Drawing(
                f"figure_{figure}{letter}_{measure}_{choice}",
                f"Figure {figure}{letter}. {'Fine' if figure == 4 else 'Coarse'}-grained match, {_CHOICES[choice]}",
                f"Share of {of} with {what} among their most probable targets. Lines on the bars: 95 % over objects.{replicates} "
                f"Grey bands: 5th to 95th percentile of chance, of one plan. At the right: the rate of the smallest k.{chosen_by_answer}",
                lambda c=choice, m=measure: rate_bars(rates, results.chance, choice=c, measure=m),  # type: ignore[misc]
            )
    if len(measures) == 2:
        smallest = int(results.rates["k"].min())
        for choice, letter in zip(_CHOICES, "ab", strict=True):
            yield Drawing(
                f"figure_6{letter}_fine_vs_coarse_{choice}",
                f"Figure 6{letter}. Fine against coarse, {_CHOICES[choice]}",
                f"A point a model, {_within(smallest)}. To the right and low: human categories without the human objects. Dotted: chance.",
                lambda c=choice: fine_vs_coarse(rates, results.chance, choice=c, k=smallest),  # type: ignore[misc]
            )
    several_epsilons = (results.results.groupby(["target", "replicate"])["epsilon"].nunique() > 1).any()
    on_the_way = " Each is at the epsilon at which its annealing ended; losses on the way there are not kept."
    annealed = on_the_way if results.settings["alignment"]["search"] == "anneal" else ""
    yield Drawing(
        "figure_s1_loss_against_epsilon",
        "Figure S1. GW loss against epsilon",
        f"Every start of every model{'; lines join the lowest at each epsilon' if several_epsilons else ''}.{annealed}",
        lambda: loss_against_epsilon(results.results),
    )
    yield Drawing(
        "figure_s2_rdm_histograms",
        "Figure S2. Distributions of the dissimilarities",
        "Of the representations as they were given, before histograms were matched; first replicates. Where metrics differ each is less "
        "its mean, in its standard deviations.",
        lambda: _histograms(results),
    )
    fine = results.categories
    if len(fine):
        k = int(fine["k"].min())
        fine = fine[(fine["choice"] == "lowest_loss") & (fine["measure"] == "matching") & (fine["k"] == k)]
        mean = fine.groupby(["target", "family", "category"], sort=False, as_index=False).agg(
            n=("n", "first"), rate=("rate", "mean")
        )
        reached = mean.groupby("category")["rate"].transform("max") > 0
        empty = mean.loc[~reached & mean["rate"].notna(), "category"].nunique() if reached.any() else 0
        mean = mean[reached] if empty else mean
        left_out = (
            f" Not shown: {empty} in which no object of any model {'meets itself' if k == 1 else 'does'}."
            if empty
            else ""
        )
        meet = "meet themselves" if k == 1 else f"have themselves {_within(k)}"
        yield Drawing(
            "figure_s3_category_rates",
            "Figure S3. Fine-grained match, category by category",
            f"Share of the objects of each category that {meet}, start chosen without labels; a point a model; in brackets, how "
            f"many objects.{left_out}",
            lambda: category_rates(mean, label=f"matching rate, top-{k} (%)"),
        )


def _within(k: int) -> str:
    return "by the most probable target" if k == 1 else f"within the {k} most probable targets"


def _workflow(results: Results, best: dict[Any, Any]) -> Axes:
    by = groups_of(results)
    order = None
    if by is not None:
        # Objects without a category come last.
        sorted_ones = sorted_by(by, len(by))[0]
        order = [*sorted_ones.tolist(), *(i for i, c in enumerate(by) if c is None)]
    target = str(best["target"])
    category = best.get("category")
    return workflow(
        results.human.square(),
        results.model(target, int(best["replicate"])).square(),
        results.plan(str(best["key"])),
        names=(results.human.name or "human", target),
        family=str(best["family"]),
        rsa=float(best["rsa"]),
        matching=float(best["top1"]),
        category=None if category is None or np.isnan(category) else float(category),
        categorised=categorised(results) != "objects",
        order=order,
        pictures=_some_pictures(results, order),
    )


def _some_pictures(results: Results, order: list[int] | None) -> list[Any]:
    """Images of a few objects, evenly taken in an order; none where the study has no images, or not of these."""
    items = list(results.objects["item"])
    folder = images_of(results, items)[0]
    if folder is None:
        return []
    files = image_files(folder, items)
    there = [label for label in (items if order is None else [items[i] for i in order]) if label in files]
    places = np.linspace(0, len(there) - 1, 6).round().astype(int).tolist() if there else []
    return [p for p in pictures(folder, dict.fromkeys(there[i] for i in places)).values() if p is not None]


def _histograms(results: Results) -> Axes:
    given = list(given_rdms(results))
    return rdm_histograms(
        {entry["name"]: of.dissimilarities for entry, of in given},
        {entry["name"]: entry["family"] for entry, _ in given},
        metrics={entry["name"]: of.metric for entry, of in given},
    )


def _of_ceilings(results: Results) -> str:
    """What the caption of figure 2 says of the bands, where groups of people say how they were split."""
    if not any(m.get("split") for m in results.settings["models"]):
        return ""
    return (
        " Grey bands: noise ceilings of the groups of people, within which the mean RSA of the best possible model with the "
        f"groups lies; RSA with {results.human.name or 'human'}, another RDM, is not bounded by them."
    )
