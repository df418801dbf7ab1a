"""What the page needs to explore a plan: objects, categories, and of each model the most probable counterparts."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from gwrsa.figures.study_parts import showcase, shown_plan

if TYPE_CHECKING:
    from gwrsa.store import Results

_CHOICES = ("lowest_loss", "highest_matching")
# Of an object: more than the table shows, so that the map is not bare.
_TARGETS = 10


def explorer(results: Results, names: dict[str, str]) -> dict[str, Any]:
    """Plain data, keyed by the model's id on the page.

    Targets are uint16 (uint32 from 65,536 objects on) and shares uint16 in units of 1 / 65,535, both little-endian in base64, row by row.
    """
    n = len(results.objects)
    integer = "<u2" if n <= np.iinfo(np.uint16).max else "<u4"
    categories = [c for c in dict.fromkeys(sorted(results.objects["one"])) if c]
    at = {c: i for i, c in enumerate(categories)}
    models = {}
    for target, name in names.items():
        plans = {}
        for choice in _CHOICES:
            best = shown_plan(results, target, choice)
            if best is None:
                continue
            top, mass = (a[:, :_TARGETS] for a in results.top(str(best["key"])))
            plans[choice] = {
                "k": top.shape[1],
                "top": _packed(top, integer),
                "mass": _packed(np.round(np.clip(mass, 0, 1) * 65535), "<u2"),
            }
        if len(plans) == len(_CHOICES) and plans["lowest_loss"] == plans["highest_matching"]:
            del plans["highest_matching"]
        models[name] = {"name": target, "plans": plans}
    best = showcase(results)
    first = names[str(best["target"])] if best else next(iter(names.values()))
    return {
        "human": results.human.name or "human",
        "items": [str(i) for i in results.objects["item"]],
        "memberships": [str(c) for c in results.objects["categories"]],
        "categories": categories,
        "group": [at.get(c, -1) for c in results.objects["one"]],
        "width": int(integer[-1]),
        "models": models,
        "first": first,
    }


def _packed(values: ArrayLike, kind: str) -> str:
    return b64encode(np.ascontiguousarray(values, dtype=np.dtype(kind)).tobytes()).decode()
