"""Figures: each from one function, which takes arrays or tables and returns the axes it drew on. Needs `gwrsa[plot]`.

Without `ax` a function makes a figure of its own with pyplot, and never closes one; sizes are those of a journal's columns.
`save` writes a figure as PNG, SVG and PDF. The columns of the tables are those of docs/study.md.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gwrsa.figures.bars import rate_bars, rates, rsa_bars
from gwrsa.figures.categories import category_rates, plan_by_category
from gwrsa.figures.maps import map_of_models, map_of_spaces
from gwrsa.figures.matrices import one_category, plan, plan_in_colours, rdm
from gwrsa.figures.objects import top_table
from gwrsa.figures.pairs import matrix_of_models
from gwrsa.figures.scatter import fine_vs_coarse, local_optima, loss_against_epsilon, rdm_histograms
from gwrsa.figures.style import FAMILIES, family_colour, save, style
from gwrsa.figures.workflow import workflow

if TYPE_CHECKING:
    from gwrsa.figures import study

__all__ = [
    "FAMILIES",
    "category_rates",
    "family_colour",
    "fine_vs_coarse",
    "local_optima",
    "loss_against_epsilon",
    "map_of_models",
    "map_of_spaces",
    "matrix_of_models",
    "one_category",
    "plan",
    "plan_by_category",
    "plan_in_colours",
    "rate_bars",
    "rates",
    "rdm",
    "rdm_histograms",
    "rsa_bars",
    "save",
    "study",
    "style",
    "top_table",
    "workflow",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name == "study":  # imported when first used: it reads whole studies
        return import_module("gwrsa.figures.study")
    raise AttributeError(f"module 'gwrsa.figures' has no attribute {name!r}")
