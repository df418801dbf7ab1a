"""What the figures of a study share: one that is not yet drawn, which plan is shown, names of files, what captions say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gwrsa.figures.objects import image_files

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gwrsa.rdm import RDM
    from gwrsa.store import Results


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


def shown_plan(results: Results, target: str, choice: str = "lowest_loss") -> dict[Any, Any] | None:
    """Row of `chosen` of a model's first replicate that has a plan; None where every start failed."""
    rows = results.chosen[(results.chosen["target"] == target) & (results.chosen["choice"] == choice)]
    return rows.sort_values("replicate").to_dict("records")[0] if len(rows) else None


def showcase(results: Results) -> dict[Any, Any] | None:
    """Row of `chosen`, without labels, of the model that matches most objects; a group of people only where there is nothing else."""
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


def given_rdms(results: Results) -> Iterator[tuple[dict[str, Any], RDM]]:
    """The RDM of the human side and of each model's first replicate before histograms were matched, and what the provenance says of it."""
    from gwrsa.sides import aligned

    human = results.provenance["human"]
    for entry in [human, *results.provenance["models"]]:
        if entry["replicate"] == 0:
            yield entry, aligned(results.representation(None if entry is human else entry["name"]), entry["metric"])


def images_of(results: Results, items: list[str]) -> tuple[Path | None, str]:
    """Folder of the study's images, where it has one, and what captions say of objects without an image."""
    images = results.settings["images"]["root"]
    if images is None:
        return None, ""
    folder = Path(results.provenance["base"]) / images
    if not folder.is_dir():
        return None, " The images of the study are not where they were."
    bare = len(items) - len(image_files(folder, items))
    return folder, f" {bare:,} of {len(items):,} objects have no image." if bare else ""


def groups_of(results: Results) -> list[str | None] | None:
    """The category by which objects are sorted; None where there are none."""
    groups = [str(c) if c else None for c in results.objects["one"]]
    return groups if any(groups) else None


def sorting(groups: list[str | None] | None) -> tuple[str, str]:
    """What captions say of objects without a category, and of the order."""
    if groups is None:
        return "", ""
    return " Objects without a category are left out." if None in groups else "", ", sorted by category"


def several(results: Results, target: str | None = None) -> bool:
    """Whether a model, or any, has more than one replicate."""
    rows = results.rsa if target is None else results.rsa[results.rsa["target"] == target]
    return bool((rows["replicate"] > 0).any())


def categorised(results: Results) -> str:
    """The objects that category rates are of, in words."""
    members = results.members
    some = members is not None and members.n_uncategorised and results.settings["categories"]["others"] == "exclude"
    return "those that have a category" if some else "objects"
