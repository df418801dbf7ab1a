"""A simulated study at THINGS size, whose ground truth is known. Nothing here is data: it shows what the measures can tell apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gwrsa._validate import FloatArray
from gwrsa.embedding import Embedding
from gwrsa.loaders import Categories

N_OBJECTS = 1854
N_CATEGORIES = 27
_HUMAN_DIMS, _MODEL_DIMS = 40, 128
# Spread of the categories' centres, of the objects in a category, and of a model's own noise.
_COARSE, _FINE, _NOISE = 1.0, 0.55, 0.6


@dataclass(frozen=True)
class Simulated:
    """A "human" embedding, three models of it, and the categories of the objects."""

    human: Embedding
    models: tuple[Embedding, Embedding, Embedding]
    """Fine and coarse structure kept; only coarse structure kept; neither."""
    categories: Categories


def study(seed: int = 0) -> Simulated:
    """Draw the study. Categories differ in size and in how widely they spread, and some lie closer to each other than others do."""
    rng = np.random.default_rng(seed)
    label = _labels(rng)
    centres, width = _centres(rng), _widths(rng)
    fine = _directions(rng, N_OBJECTS)
    items = tuple(f"object {i:04d}" for i in range(N_OBJECTS))
    coarse_part = _COARSE * centres[label]
    human = coarse_part + _FINE * width[label, None] * fine

    def model(values: FloatArray, name: str) -> Embedding:
        """Turned into other axes, with noise: no dimension of a model means what a human one means."""
        turn = np.linalg.qr(rng.standard_normal((_MODEL_DIMS, _HUMAN_DIMS)))[0]
        noise = _NOISE * rng.standard_normal((N_OBJECTS, _MODEL_DIMS)) / np.sqrt(_MODEL_DIMS)
        return Embedding(values @ turn.T + noise, items, name=name)

    own = coarse_part + _FINE * width[label, None] * _directions(rng, N_OBJECTS)
    stranger = _labels(rng)
    other = _COARSE * _centres(rng)[stranger] + _FINE * _widths(rng)[stranger, None] * _directions(rng, N_OBJECTS)
    members = np.zeros((N_OBJECTS, N_CATEGORIES), dtype=np.bool_)
    members[np.arange(N_OBJECTS), label] = True
    return Simulated(
        Embedding(human, items, name="simulated human"),
        (model(human, "fine and coarse kept"), model(own, "only coarse kept"), model(other, "neither kept")),
        Categories(tuple(f"category {c:02d}" for c in range(N_CATEGORIES)), items, members),
    )


def _labels(rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    share = np.linspace(1.0, 4.0, N_CATEGORIES)
    return rng.permutation(rng.choice(N_CATEGORIES, N_OBJECTS, p=share / share.sum()))


def _directions(rng: np.random.Generator, n: int) -> FloatArray:
    """Unit-size deviations, few dimensions carrying most of them, as in real embeddings."""
    scale = 1.0 / np.sqrt(np.arange(1, _HUMAN_DIMS + 1))
    return rng.standard_normal((n, _HUMAN_DIMS)) * scale / np.linalg.norm(scale)


def _centres(rng: np.random.Generator) -> FloatArray:
    """Three super-categories, skewed along every axis, so that the arrangement has no symmetry."""
    groups = rng.exponential(1.0, (3, _HUMAN_DIMS)) - 1.0
    own = rng.exponential(1.0, (N_CATEGORIES, _HUMAN_DIMS)) - 1.0
    centres = 0.7 * groups[rng.integers(0, 3, N_CATEGORIES)] + own
    scale = 1.0 / np.sqrt(np.arange(1, _HUMAN_DIMS + 1))
    return centres * scale / np.linalg.norm(scale)


def _widths(rng: np.random.Generator) -> FloatArray:
    return rng.uniform(0.6, 1.4, N_CATEGORIES)
