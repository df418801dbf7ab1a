"""Compare representations of the same objects without being told which object is which.

`align` couples two sets of dissimilarities by entropic Gromov-Wasserstein optimal transport; `matching_rate` and
`category_matching_rate` then say how often an object meets itself or its category, beside `rsa` and `chance_level`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gwrsa import demo, figures, gwtune, loaders, metrics, pot, report, statistics, store, study, tables
    from gwrsa._core import __version__
    from gwrsa.aligning import align
    from gwrsa.alignment import Alignment, Start
    from gwrsa.chance import Chance, chance_level
    from gwrsa.choice import (
        calibrate,
        choice_similarity,
        odd_one_out_accuracy,
        odd_one_out_probabilities,
        sample_triplets,
    )
    from gwrsa.compare import NoiseCeiling, noise_ceiling, rsa
    from gwrsa.embedding import Embedding
    from gwrsa.extraction.preprocessing import Preprocessing
    from gwrsa.extraction.run import extract
    from gwrsa.interrupts import Interrupted
    from gwrsa.loaders import Categories, load_categories, load_items
    from gwrsa.metrics import category_matching_rate, matching_rate
    from gwrsa.polishing import Polished, polish
    from gwrsa.rdm import RDM
    from gwrsa.solution import GWSolution, OTSolution
    from gwrsa.solve import entropic_gw, sinkhorn
    from gwrsa.spose import fit_spose
    from gwrsa.store import Results
    from gwrsa.study import Study
    from gwrsa.triplets import PairCounts, Triplets

__all__ = [
    "RDM",
    "Alignment",
    "Categories",
    "Chance",
    "Embedding",
    "GWSolution",
    "Interrupted",
    "NoiseCeiling",
    "OTSolution",
    "PairCounts",
    "Polished",
    "Preprocessing",
    "Results",
    "Start",
    "Study",
    "Triplets",
    "__version__",
    "align",
    "calibrate",
    "category_matching_rate",
    "chance_level",
    "choice_similarity",
    "demo",
    "entropic_gw",
    "extract",
    "figures",
    "fit_spose",
    "gwtune",
    "load_categories",
    "load_items",
    "loaders",
    "matching_rate",
    "metrics",
    "noise_ceiling",
    "odd_one_out_accuracy",
    "odd_one_out_probabilities",
    "polish",
    "pot",
    "report",
    "rsa",
    "sample_triplets",
    "sinkhorn",
    "statistics",
    "store",
    "study",
    "tables",
]

# Imported when first used: `import gwrsa` costs little more than numpy.
_HOME = {
    "RDM": "rdm",
    "Alignment": "alignment",
    "Categories": "loaders",
    "Chance": "chance",
    "Embedding": "embedding",
    "GWSolution": "solution",
    "Interrupted": "interrupts",
    "NoiseCeiling": "compare",
    "OTSolution": "solution",
    "PairCounts": "triplets",
    "Polished": "polishing",
    "Preprocessing": "extraction.preprocessing",
    "Results": "store",
    "Start": "alignment",
    "Study": "study",
    "Triplets": "triplets",
    "__version__": "_core",
    "align": "aligning",
    "calibrate": "choice",
    "category_matching_rate": "metrics",
    "chance_level": "chance",
    "choice_similarity": "choice",
    "entropic_gw": "solve",
    "extract": "extraction.run",
    "fit_spose": "spose",
    "load_categories": "loaders",
    "load_items": "loaders",
    "matching_rate": "metrics",
    "noise_ceiling": "compare",
    "odd_one_out_accuracy": "choice",
    "odd_one_out_probabilities": "choice",
    "polish": "polishing",
    "rsa": "compare",
    "sample_triplets": "choice",
    "sinkhorn": "solve",
}
_MODULES = (
    "demo",
    "figures",
    "gwtune",
    "loaders",
    "metrics",
    "pot",
    "report",
    "statistics",
    "store",
    "study",
    "tables",
)


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in _MODULES:
        return import_module(f"gwrsa.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'gwrsa' has no attribute {name!r}")
    value = getattr(import_module(f"gwrsa.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
