"""Figures of a study that show one model, or every representation with every other."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from gwrsa.figures.maps import map_of_models, map_of_spaces
from gwrsa.figures.matrices import plan, rdm
from gwrsa.figures.objects import top_table
from gwrsa.figures.pairs import matrix_of_models
from gwrsa.figures.scatter import local_optima
from gwrsa.figures.study_parts import Drawing, groups_of, images_of, several, shown_plan, slugs, sorting
from gwrsa.mds import kept

if TYPE_CHECKING:
    import pandas as pd

    from gwrsa.store import Results


def of_models(results: Results) -> Iterator[Drawing]:
    """Figures 3, 4c and S4 of every model that has a plan; those of one follow each other."""
    human = results.human.name or "human"
    by = groups_of(results)
    alone, order = sorting(by)
    items = list(results.objects["item"])
    members = None if results.members is None else results.members.members
    folder, bare = images_of(results, items)

    @lru_cache(maxsize=1)
    def coupling(key: str) -> Any:  # noqa: ANN401
        return results.plan(key)

    for target, name in slugs(results).items():
        best = shown_plan(results, target)
        if best is None:
            continue
        key, replicate = str(best["key"]), int(best["replicate"])
        which = f" Replicate {replicate}." if several(results, target) else ""
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
            f"Start chosen without labels{order}; at its right, the share of each object's mass on its own counterpart.{alone}{which}",
            lambda key=key, target=target: plan(coupling(key), by, source=human, target=target),  # type: ignore[misc]
            target,
        )
        yield Drawing(
            f"figure_3_top_{name}",
            f"Figure 3. Objects and their counterparts in {target}",
            f"Ten objects, evenly taken, and their {k} most probable counterparts; start chosen without labels.{bare}{which}",
            lambda top=top, k=k: top_table(top, items, categories=members, k=k, images=folder),  # type: ignore[misc]
            target,
        )
        mine = results.results[(results.results["target"] == target) & (results.results["replicate"] == replicate)]
        yield Drawing(
            f"figure_4c_local_optima_{name}",
            f"Figure 4c. Local optima of {target}",
            "Every start: GW loss against matching rate; starts that met lie on each other. Circles: the two solutions that are "
            f"shown.{_by_objective(mine)}{which}",
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


def _by_objective(starts: pd.DataFrame) -> str:
    """What a caption says where the start that is chosen without labels does not lie farthest left."""
    converged = starts[starts["status"] == "converged"]
    if not len(converged) or (converged["epsilon"] != converged["epsilon"].iloc[0]).any():
        return ""
    if converged["gw_loss"].idxmin() == converged["objective"].idxmin():
        return ""
    return " At one epsilon starts are compared by the entropic objective: the one chosen has not the lowest GW loss."


def of_pairs(results: Results) -> Iterator[Drawing]:
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
            f"Classical MDS of the {title} of all pairs; start chosen without labels, first replicates.{held}",
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
        told = "told which object is which" if column == "rsa" else "top-1, start chosen without labels"
        yield Drawing(
            f"figure_s7{letter}_pairs_{column}",
            f"Figure S7{letter}. {title[0].upper()}{title[1:]} of all pairs",
            f"Every representation with every other, {told}; first replicates. Grey: not a pair, or one without a plan.",
            lambda between=between, title=title, percent=percent: matrix_of_models(  # type: ignore[misc]
                between, names, of, label=title, percent=percent
            ),
        )
