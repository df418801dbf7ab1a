"""Compare representations of the same objects without being told which object is which.

`align` couples two sets of dissimilarities by entropic Gromov-Wasserstein optimal transport; `matching_rate` and
`category_matching_rate` then say how often an object meets itself or its category, beside `rsa` and `chance_level`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gwrsa._core import __version__

if TYPE_CHECKING:
    from gwrsa.alignment import Alignment, Start, align
    from gwrsa.chance import Chance, chance_level
    from gwrsa.compare import rsa
    from gwrsa.embedding import Embedding
    from gwrsa.extraction.preprocessing import Preprocessing
    from gwrsa.extraction.run import extract
    from gwrsa.loaders import Categories, load_categories, load_items
    from gwrsa.metrics import category_matching_rate, matching_rate
    from gwrsa.polishing import Polished, polish
    from gwrsa.rdm import RDM
    from gwrsa.solve import GWSolution, OTSolution, entropic_gw, sinkhorn

__all__ = [
    "RDM",
    "Alignment",
    "Categories",
    "Chance",
    "Embedding",
    "GWSolution",
    "OTSolution",
    "Polished",
    "Preprocessing",
    "Start",
    "__version__",
    "align",
    "category_matching_rate",
    "chance_level",
    "entropic_gw",
    "extract",
    "load_categories",
    "load_items",
    "matching_rate",
    "polish",
    "rsa",
    "sinkhorn",
]

# Imported when first used: `import gwrsa` costs little more than numpy.
_HOME = {
    "RDM": "rdm",
    "Alignment": "alignment",
    "Categories": "loaders",
    "Chance": "chance",
    "Embedding": "embedding",
    "GWSolution": "solve",
    "OTSolution": "solve",
    "Polished": "polishing",
    "Preprocessing": "extraction.preprocessing",
    "Start": "alignment",
    "align": "alignment",
    "category_matching_rate": "metrics",
    "chance_level": "chance",
    "entropic_gw": "solve",
    "extract": "extraction.run",
    "load_categories": "loaders",
    "load_items": "loaders",
    "matching_rate": "metrics",
    "polish": "polishing",
    "rsa": "compare",
    "sinkhorn": "solve",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _HOME:
        raise AttributeError(f"module 'gwrsa' has no attribute {name!r}")
    value = getattr(import_module(f"gwrsa.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
