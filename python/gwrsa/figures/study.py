"""All figures of a study: which there are, what each says, and how it is drawn from the study's `Results`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gwrsa import tables
from gwrsa.figures.bars import rate_bars, rsa_bars
from gwrsa.figures.categories import category_rates
from gwrsa.figures.maps import map_of_models, map_of_spaces
from gwrsa.figures.matrices import plan, rdm, sorted_by
from gwrsa.figures.objects import image_files, pictures, top_table
from gwrsa.figures.pairs import matrix_of_models
from gwrsa.figures.scatter import fine_vs_coarse, local_optima, loss_against_epsilon, rdm_histograms
from gwrsa.figures.style import save
from gwrsa.figures.workflow import workflow
from gwrsa.mds import kept

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gwrsa.rdm import RDM
    from gwrsa.store import Results

_CHOICES = {"lowest_loss": "the start of lowest GW loss", "highest_matching": "the start that matches most objects"}


@dataclass(frozen=True)
class Drawing:
    """One figure of a study, not yet drawn."""

    name: str
    """Of its files, without a suffix."""
    title: str
    caption: str
    make: Callable[[], Axes]
    model: str | None = None
    """Of which model; None: of all."""


def draw(results: Results, out: str | Path | None = None) -> list[Path]:
    """Draw every figure of a study.

    Parameters
    ----------
    results : Results
        A finished study.
    out : path, optional
        Folder for them. None: `figures` in the folder of the study.

    Returns
    -------
    list of Path
        What was written, PNG, SVG and PDF of each figure; figures of an earlier run that are no longer of the study are removed
        from the folder of the study.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    """
    folder = results.folder / "figures" if out is None else Path(out)
    written = [path for d in drawings(results) for path in save(d.make(), folder / d.name, close=True)]
    if out is None:
        for old in set(folder.glob("figure_*")) - set(written):
            old.unlink()
    return written


def drawings(results: Results) -> list[Drawing]:
    """Every figure of a study in the order of its paper; those of one model follow each other."""
    return [*_of_all(results), *_of_pairs(results), *_of_models(results)]


def shown_plan(results: Results, target: str, choice: str = "lowest_loss") -> dict[Any, Any] | None:
    """Row of `chosen` of a model's first replicate that has a plan; None where every start failed."""
    rows = results.chosen[(results.chosen["target"] == target) & (results.chosen["choice"] == choice)]
    return rows.sort_values("replicate").to_dict("records")[0] if len(rows) else None


def showcase(results: Results) -> dict[Any, Any] | None:
    """Row of `chosen`, lowest loss, of the model that matches most objects; a group of people only where there is nothing else."""
    rows = results.chosen[results.chosen["choice"] == "lowest_loss"]
    models = rows[rows["family"].str.lower() != "human"]
    best = (models if len(models) else rows).sort_values("top1", ascending=False, kind="stable").to_dict("records")
    return best[0] if best else None


def slug(name: str) -> str:
    """A name as part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "model"


def slugs(results: Results) -> dict[str, str]:
    """Of every model, all different."""
    found: dict[str, str] = {}
    for target in dict.fromkeys(results.rsa["target"]):
        base = made = slug(str(target))
        nth = 1
        while made in found.values():
            nth += 1
            made = f"{base}_{nth}"
        found[str(target)] = made
    return found


def _of_all(results: Results) -> Iterator[Drawing]:
    human = results.human.name or "human"
    first = showcase(results)
    if first is not None:
        yield Drawing(
            "figure_1_workflow",
            "Figure 1. The study in one picture",
            f"The dissimilarities of {human} and of {first['target']}, the model that matches most objects by its start of lowest GW loss. "
            "The plan between them is found without labels. RSA is told which object is which.",
            lambda: _workflow(results, first),
        )
    rsa, rates = tables.summarise_rsa(results.rsa), tables.summarise(results.rates)
    several = " Of several initialisations: their mean, 5th to 95th percentile." if _several(results) else ""
    yield Drawing(
        "figure_2_rsa",
        "Figure 2. RSA, told which object is which",
        f"Agreement of each model's dissimilarities with those of {human}.{several}{_of_ceilings(results)}",
        lambda: rsa_bars(rsa, results.noise_ceilings, human=human, method=results.settings["statistics"]["rsa"]),
    )
    by = _groups(results)
    alone, order = _sorting(by)
    yield Drawing(
        "figure_3_rdm_human",
        f"Figure 3. Dissimilarities of {human}",
        f"All pairs of objects{order}.{alone}",
        lambda: rdm(results.human.square(), by),
    )
    measures = ["matching"] + (["category"] if (results.rates["measure"] == "category").any() else [])
    for measure, figure in zip(measures, (4, 5), strict=False):
        what = "their own counterpart" if measure == "matching" else "an object of their category"
        for choice, letter in zip(_CHOICES, "ab", strict=True):
            chosen_by_answer = " That start is chosen by the answer: an upper end." if letter == "b" else ""
            yield Drawing(
                f"figure_{figure}{letter}_{measure}_{choice}",
                f"Figure {figure}{letter}. {'Fine' if figure == 4 else 'Coarse'}-grained match, {_CHOICES[choice]}",
                f"Share of objects with {what} among their most probable targets. Lines on the bars: 95 % over objects.{several} "
                f"Grey bands: 5th to 95th percentile of chance.{chosen_by_answer}",
                lambda c=choice, m=measure: rate_bars(rates, results.chance, choice=c, measure=m),  # type: ignore[misc]
            )
    if len(measures) == 2:
        for choice, letter in zip(_CHOICES, "ab", strict=True):
            yield Drawing(
                f"figure_6{letter}_fine_vs_coarse_{choice}",
                f"Figure 6{letter}. Fine against coarse, {_CHOICES[choice]}",
                "A point a model. To the right and low: human categories without the human objects. Dotted: chance.",
                lambda c=choice: fine_vs_coarse(rates, results.chance, choice=c),  # type: ignore[misc]
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
    top1 = results.categories
    if len(top1):
        top1 = top1[
            (top1["choice"] == "lowest_loss") & (top1["measure"] == "matching") & (top1["k"] == top1["k"].min())
        ]
        mean = top1.groupby(["target", "family", "category"], sort=False, as_index=False).agg(
            n=("n", "first"), rate=("rate", "mean")
        )
        reached = mean.groupby("category")["rate"].transform("max") > 0
        empty = mean.loc[~reached & mean["rate"].notna(), "category"].nunique() if reached.any() else 0
        mean = mean[reached] if empty else mean
        left_out = f" Not shown: {empty} in which no object of any model meets itself." if empty else ""
        yield Drawing(
            "figure_s3_category_rates",
            "Figure S3. Fine-grained match, category by category",
            "Share of the objects of each category that meet themselves, start of lowest GW loss; a point a model; in brackets, how many "
            f"objects.{left_out}",
            lambda: category_rates(mean),
        )


def _of_models(results: Results) -> Iterator[Drawing]:
    human = results.human.name or "human"
    by = _groups(results)
    alone, order = _sorting(by)
    items = list(results.objects["item"])
    members = None if results.members is None else results.members.members
    folder, bare = _images(results, items)

    @lru_cache(maxsize=1)
    def coupling(key: str) -> Any:  # noqa: ANN401
        return results.plan(key)

    for target, name in slugs(results).items():
        best = shown_plan(results, target)
        if best is None:
            continue
        key, replicate = str(best["key"]), int(best["replicate"])
        which = f" Replicate {replicate}." if _several(results, target) else ""
        top = results.top(key)[0]
        k = min(5, top.shape[1])

        def square(target: str = target, replicate: int = replicate) -> Any:  # noqa: ANN401
            return results.model(target, replicate).square()

        yield Drawing(
            f"figure_3_rdm_{name}",
            f"Figure 3. Dissimilarities of {target}",
            f"As they were aligned: all pairs of objects{order}.{alone}{which}",
            lambda square=square: rdm(square(), by),  # type: ignore[misc]
            target,
        )
        yield Drawing(
            f"figure_3_plan_{name}",
            f"Figure 3. Plan between {human} and {target}",
            f"Start of lowest GW loss{order}; at its right, the share of each object's mass on its own counterpart.{alone}{which}",
            lambda key=key, target=target: plan(coupling(key), by, source=human, target=target),  # type: ignore[misc]
            target,
        )
        yield Drawing(
            f"figure_3_top_{name}",
            f"Figure 3. Objects and their counterparts in {target}",
            f"Ten objects, evenly taken, and their {k} most probable counterparts; start of lowest GW loss.{bare}{which}",
            lambda top=top, k=k: top_table(top, items, categories=members, k=k, images=folder),  # type: ignore[misc]
            target,
        )
        mine = results.results[(results.results["target"] == target) & (results.results["replicate"] == replicate)]
        yield Drawing(
            f"figure_4c_local_optima_{name}",
            f"Figure 4c. Local optima of {target}",
            f"Every start: GW loss against matching rate. Circles: the two solutions that are shown.{which}",
            lambda mine=mine: local_optima(mine),  # type: ignore[misc]
            target,
        )
        yield Drawing(
            f"figure_s4_map_{name}",
            f"Figure S4. Both spaces, joined by the plan: {target}",
            "Two dimensions of classical MDS of each space, the second turned as the plan says; lines join some objects with their most "
            f"probable counterparts.{which}",
            lambda square=square, key=key, target=target: map_of_spaces(  # type: ignore[misc]
                results.human.square(), square(), coupling(key), by, names=(human, target)
            ),
            target,
        )


def _of_pairs(results: Results) -> Iterator[Drawing]:
    """All models against each other, the human side among them: maps, then the numbers."""
    if results.pairs is None or not len(results.pairs):
        return
    pairs = results.pairs
    families = dict(zip(pairs["source"], pairs["source_family"], strict=True))
    families |= dict(zip(pairs["target"], pairs["target_family"], strict=True))
    names, of = list(families), list(families.values())
    at = {name: i for i, name in enumerate(names)}
    rows, columns = pairs["source"].map(at).to_numpy(), pairs["target"].map(at).to_numpy()

    def square(values: Any) -> Any:  # noqa: ANN401
        made = np.full((len(names), len(names)), np.nan)
        made[rows, columns] = made[columns, rows] = values
        np.fill_diagonal(made, 0.0)
        return made

    for nth, what, title, values in (
        (5, "gw_loss", "root of the GW loss", np.sqrt(np.maximum(pairs["gw_loss"].to_numpy(dtype=float), 0.0))),
        (6, "matching", "1 - matching rate", 1.0 - pairs["top1"].to_numpy(dtype=float)),
    ):
        between = square(values)
        if not np.isfinite(between).all():
            continue  # a pair without a plan has no place on a map
        r = kept(between)
        held = "" if r is None else f" Distances on the map correlate with it by r = {r:.2f}."
        yield Drawing(
            f"figure_s{nth}_map_of_models_{what}",
            f"Figure S{nth}. Map of the models by {title}",
            f"Classical MDS of the {title} of all pairs; start of lowest GW loss, first replicates.{held}",
            lambda between=between, title=title: map_of_models(between, names, of, title=title),  # type: ignore[misc]
        )
    for letter, column, title, percent in (
        ("a", "rsa", "RSA", False),
        ("b", "top1", "matching rate", True),
        ("c", "category", "category matching rate", True),
    ):
        if column not in pairs:
            continue
        between = square(pairs[column].to_numpy(dtype=float))
        told = "told which object is which" if column == "rsa" else "top-1, start of lowest GW loss"
        yield Drawing(
            f"figure_s7{letter}_pairs_{column}",
            f"Figure S7{letter}. {title[0].upper()}{title[1:]} of all pairs",
            f"Every representation with every other, {told}; first replicates. Grey: not a pair, or one without a plan.",
            lambda between=between, title=title, percent=percent: matrix_of_models(  # type: ignore[misc]
                between, names, of, label=title, percent=percent
            ),
        )


def _workflow(results: Results, best: dict[Any, Any]) -> Axes:
    by = _groups(results)
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
        order=order,
        pictures=_some_pictures(results, order),
    )


def _some_pictures(results: Results, order: list[int] | None) -> list[Any]:
    """Images of a few objects, evenly taken in an order; none where the study has no images, or not of these."""
    items = list(results.objects["item"])
    folder = _images(results, items)[0]
    if folder is None:
        return []
    files = image_files(folder, items)
    there = [label for label in (items if order is None else [items[i] for i in order]) if label in files]
    places = np.linspace(0, len(there) - 1, 6).round().astype(int).tolist() if there else []
    return [p for p in pictures(folder, dict.fromkeys(there[i] for i in places)).values() if p is not None]


def given_rdms(results: Results) -> Iterator[tuple[dict[str, Any], RDM]]:
    """The RDM of the human side and of each model's first replicate before histograms were matched, and what the provenance says of it."""
    from gwrsa.sides import aligned

    human = results.provenance["human"]
    for entry in [human, *results.provenance["models"]]:
        if entry["replicate"] == 0:
            yield entry, aligned(results.representation(None if entry is human else entry["name"]), entry["metric"])


def _histograms(results: Results) -> Axes:
    given = list(given_rdms(results))
    return rdm_histograms(
        {entry["name"]: of.dissimilarities for entry, of in given},
        {entry["name"]: entry["family"] for entry, _ in given},
        metrics={entry["name"]: of.metric for entry, of in given},
    )


def _images(results: Results, items: list[str]) -> tuple[Path | None, str]:
    """Folder of the study's images, where it has one, and what captions say of objects without an image."""
    images = results.settings["images"]["root"]
    if images is None:
        return None, ""
    folder = Path(results.provenance["base"]) / images
    if not folder.is_dir():
        return None, " The images of the study are not where they were."
    bare = len(items) - len(image_files(folder, items))
    return folder, f" {bare:,} of {len(items):,} objects have no image." if bare else ""


def _groups(results: Results) -> list[str | None] | None:
    """The category by which objects are sorted; None where there are none."""
    groups = [str(c) if c else None for c in results.objects["one"]]
    return groups if any(groups) else None


def _sorting(groups: list[str | None] | None) -> tuple[str, str]:
    """What captions say of objects without a category, and of the order."""
    if groups is None:
        return "", ""
    return " Objects without a category are left out." if None in groups else "", ", sorted by category"


def _of_ceilings(results: Results) -> str:
    """What the caption of figure 2 says of the bands, where groups of people say how they were split."""
    if not any(m.get("split") for m in results.settings["models"]):
        return ""
    return (
        " Grey bands: noise ceilings of the groups of people, within which the best model's mean RSA with the groups lies; RSA with "
        f"{results.human.name or 'human'}, another RDM, is not bounded by them."
    )


def _several(results: Results, target: str | None = None) -> bool:
    rows = results.rsa if target is None else results.rsa[results.rsa["target"] == target]
    return bool((rows["replicate"] > 0).any())
