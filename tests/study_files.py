"""A study of a few objects on disk, for tests."""

import numpy as np
import pandas as pd

import gwrsa
from gwrsa.extraction.registry import LIBRARIES
from gwrsa.study import Study

N = 24

TOML = """
name = "small"
items = "items.txt"

[human]
name = "people"
embedding = "human.npy"

[[models]]
name = "near"
family = "clip"
embedding = "near.npy"

[[models]]
name = "shuffled"
family = "language"
embedding = "shuffled.npz"

[[models]]
name = "far"
family = "supervised"
rdm = "far.npy"

[[models]]
name = "noise"
family = "untrained"
noise = "features"
seeds = 3

[categories]
file = "categories.csv"

[alignment]
n_starts = 3

[statistics]
bootstrap = 50
chance = 50
permutations = 40
"""


def write(folder, toml=TOML):
    """Files of a study in a folder: `near` in the order of the human side, `shuffled` the same objects in another; its path."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(5)
    items = [f"object {i}" for i in range(N)]
    human = rng.standard_normal((N, 4)).astype(np.float32)
    near = human + 0.1 * rng.standard_normal((N, 4))
    order = rng.permutation(N)
    (folder / "items.txt").write_text("\n".join(items) + "\n")
    np.save(folder / "human.npy", human)
    np.save(folder / "near.npy", near)
    gwrsa.Embedding(near[order], [items[i] for i in order]).save(folder / "shuffled.npz")
    np.save(folder / "far.npy", gwrsa.Embedding(rng.standard_normal((N, 30))).rdm("euclidean").square())
    lines = [f"{item},{('animal', 'tool', 'food')[i % 3] if i > 3 else ''}" for i, item in enumerate(items)]
    (folder / "categories.csv").write_text("item,category\n" + "\n".join(lines) + "\n")
    path = folder / "study.toml"
    path.write_text(toml)
    return path


TABLES = ("objects", "results", "tables/chosen", "tables/rates", "tables/rsa", "tables/chance", "tables/categories")


# Of a study without categories.
LONGER = tuple(t for t in TABLES if t != "tables/categories")


def run(path, out, **how):
    return Study.from_toml(path).run(out, figures=False, progress=False, **how)


def assert_same(a, b, names=TABLES):
    for name in names:
        left, right = (pd.read_parquet(folder / f"{name}.parquet") for folder in (a, b))
        timed = [c for c in left if c == "seconds"]
        pd.testing.assert_frame_equal(left.drop(columns=timed), right.drop(columns=timed), check_exact=True)


def shards(folder):
    return {
        p: (p.stat().st_mtime_ns, p.read_bytes()) for name in ("shards", "plans") for p in (folder / name).glob("[!.]*")
    }


def write_longer(folder, models=8, n=200):
    """Files of a study that takes some seconds, long enough to be disturbed; its path."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(8)
    human = rng.standard_normal((n, 6)).astype(np.float32)
    np.save(folder / "human.npy", human)
    toml = 'name = "longer"\n[human]\nembedding = "human.npy"\n[alignment]\nn_starts = 4\n'
    toml += "[statistics]\nbootstrap = 20\nchance = 20\npermutations = 20\n"
    for i in range(models):
        np.save(folder / f"m{i}.npy", human + (0.2 + 0.2 * i) * rng.standard_normal(human.shape))
        toml += f'[[models]]\nname = "m{i}"\nfamily = "clip"\nembedding = "m{i}.npy"\n'
    path = folder / "study.toml"
    path.write_text(toml)
    return path


def fake_networks(monkeypatch, extract):
    """Where the libraries are not: every name is in their registries, and `extract` is this."""
    monkeypatch.setattr("gwrsa.extraction.run.extract", extract)
    monkeypatch.setattr("gwrsa.extraction.registry._IN_REGISTRY", dict.fromkeys(LIBRARIES, lambda *_: None))
