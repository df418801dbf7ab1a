"""A study of a few objects on disk, for tests."""

import numpy as np

import gwrsa

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
