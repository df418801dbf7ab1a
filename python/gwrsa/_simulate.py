"""Simulated studies, whose ground truth is known. Nothing here is data: it shows what the measures can tell apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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


def study(seed: int = 0, n_objects: int = N_OBJECTS, n_categories: int = N_CATEGORIES) -> Simulated:
    """Draw the study. Categories differ in size and in how widely they spread, and some lie closer to each other than others do."""
    world = _World.drawn(np.random.default_rng(seed), n_objects, n_categories)
    only_coarse = world.coarse + _FINE * world.width * _directions(world.rng, n_objects)
    neither = world.stranger()
    models = (
        world.model(world.human, "fine and coarse kept"),
        world.model(only_coarse, "only coarse kept"),
        world.model(neither, "neither kept"),
    )
    return Simulated(Embedding(world.human, world.items, name="simulated human"), models, world.categories())


# Name and family; share of the fine structure that is the human one's, of the coarse one; its own noise.
_MODELS = (
    ("CLIP-like A", "clip", 0.92, 0.92, 0.6),
    ("CLIP-like B", "clip", 0.85, 0.9, 0.6),
    ("supervised-like A", "supervised", 0.7, 0.88, 0.6),
    ("supervised-like B", "supervised", 0.6, 0.85, 0.6),
    ("self-supervised-like A", "self-supervised", 0.3, 0.85, 0.6),
    ("self-supervised-like B", "self-supervised", 0.15, 0.8, 0.6),
)
N_UNTRAINED = 3

_TOML = """\
# SIMULATION, not data: a made-up human embedding and made-up models whose relation to it is known.
name = "simulated study"

[human]
name = "simulated human"
embedding = "human.npz"
{models}
[categories]
file = "categories.tsv"

[alignment]
search = "multistart"
epsilon = [0.05, 0.5]
n_starts = 12
match_histogram = true

[statistics]
bootstrap = 200
chance = 200
permutations = 200
"""
_MODEL = """
[[models]]
name = "{name}"
family = "{family}"
embedding = "{file}"
"""


def write(folder: Path, seed: int, n_objects: int, n_categories: int) -> Path:
    """Write a study with four families of models, the shape of the reference study; returns its study.toml."""
    world = _World.drawn(np.random.default_rng(seed), n_objects, n_categories)
    folder.mkdir(parents=True, exist_ok=True)
    Embedding(world.human, world.items, name="simulated human").save(folder / "human.npz")
    models = ""
    for name, family, fine, coarse, noise in _MODELS:
        file = name.lower().replace(" ", "_") + ".npz"
        world.model(world.mixed(fine, coarse), name, noise).save(folder / file)
        models += _MODEL.format(name=name, family=family, file=file)
    for replicate in range(N_UNTRAINED):
        world.model(world.stranger(), "untrained").save(folder / f"untrained{replicate}.npz")
    models += (
        _MODEL.format(name="untrained", family="untrained", file="untrained{seed}.npz") + f"seeds = {N_UNTRAINED}\n"
    )
    rows = [f"{item}\tcategory {label:02d}" for item, label in zip(world.items, world.label, strict=True)]
    (folder / "categories.tsv").write_text("item\tcategory\n" + "\n".join(rows) + "\n", encoding="utf-8")
    path = folder / "study.toml"
    path.write_text(_TOML.format(models=models), encoding="utf-8")
    return path


@dataclass(frozen=True)
class _World:
    """The human side and its parts, and the stream that what follows is drawn from."""

    rng: np.random.Generator
    n_categories: int
    label: np.ndarray[tuple[int], np.dtype[np.int64]]
    coarse: FloatArray
    width: FloatArray
    fine: FloatArray
    items: tuple[str, ...]

    @classmethod
    def drawn(cls, rng: np.random.Generator, n_objects: int, n_categories: int) -> _World:
        label = _labels(rng, n_objects, n_categories)
        centres, width = _centres(rng, n_categories), _widths(rng, n_categories)
        fine = _directions(rng, n_objects)
        items = tuple(f"object {i:04d}" for i in range(n_objects))
        return cls(rng, n_categories, label, _COARSE * centres[label], width[label, None], fine, items)

    @property
    def human(self) -> FloatArray:
        return self.coarse + _FINE * self.width * self.fine

    def mixed(self, fine: float, coarse: float) -> FloatArray:
        """Shares of the human structure, the rest its own: categories that lie elsewhere, objects elsewhere in them."""
        own = _COARSE * _centres(self.rng, self.n_categories)[self.label]
        ways = fine * self.fine + np.sqrt(1 - fine**2) * _directions(self.rng, len(self.items))
        mixed: FloatArray = coarse * self.coarse + np.sqrt(1 - coarse**2) * own + _FINE * self.width * ways
        return mixed

    def stranger(self) -> FloatArray:
        """Other categories of the same objects, and other objects in them."""
        n, c = len(self.items), self.n_categories
        label = _labels(self.rng, n, c)
        coarse = _COARSE * _centres(self.rng, c)[label]
        return coarse + _FINE * _widths(self.rng, c)[label, None] * _directions(self.rng, n)

    def model(self, values: FloatArray, name: str, noise: float = _NOISE) -> Embedding:
        """Turned into other axes, with noise: no dimension of a model means what a human one means."""
        turn = np.linalg.qr(self.rng.standard_normal((_MODEL_DIMS, _HUMAN_DIMS)))[0]
        added = noise * self.rng.standard_normal((len(values), _MODEL_DIMS)) / np.sqrt(_MODEL_DIMS)
        return Embedding(values @ turn.T + added, self.items, name=name)

    def categories(self) -> Categories:
        members = np.zeros((len(self.items), self.n_categories), dtype=np.bool_)
        members[np.arange(len(self.items)), self.label] = True
        return Categories(tuple(f"category {c:02d}" for c in range(self.n_categories)), self.items, members)


def _labels(rng: np.random.Generator, n: int, n_categories: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    share = np.linspace(1.0, 4.0, n_categories)
    return rng.permutation(rng.choice(n_categories, n, p=share / share.sum()))


def _directions(rng: np.random.Generator, n: int) -> FloatArray:
    """Unit-size deviations, few dimensions carrying most of them, as in real embeddings."""
    scale = 1.0 / np.sqrt(np.arange(1, _HUMAN_DIMS + 1))
    return rng.standard_normal((n, _HUMAN_DIMS)) * scale / np.linalg.norm(scale)


def _centres(rng: np.random.Generator, n_categories: int) -> FloatArray:
    """Three super-categories, skewed along every axis, so that the arrangement has no symmetry."""
    groups = rng.exponential(1.0, (3, _HUMAN_DIMS)) - 1.0
    own = rng.exponential(1.0, (n_categories, _HUMAN_DIMS)) - 1.0
    centres = 0.7 * groups[rng.integers(0, 3, n_categories)] + own
    scale = 1.0 / np.sqrt(np.arange(1, _HUMAN_DIMS + 1))
    return centres * scale / np.linalg.norm(scale)


def _widths(rng: np.random.Generator, n_categories: int) -> FloatArray:
    return rng.uniform(0.6, 1.4, n_categories)
