"""The limit of recovery: a known answer under growing noise. python benches/planted.py [--repeats N]; JSON and a figure.

Three problems: points in another order (the answer is a permutation), blocks (which block goes to which), a ring (the answer is one of its
2 n symmetries). Each is searched with `align`'s defaults, and solved at the same epsilon from the answer itself: what lies
between the two is the search's to find, what lies above the second is lost to noise and entropy.
"""

import argparse
import time

import numpy as np

import gwrsa
from _machine import describe
from _results import FOLDER, write
from figures import planted_limits

NOISE = (0.0, 0.05, 0.1, 0.2, 0.3, 0.45, 0.7, 1.0, 1.5)
N = 96


def points(rng):
    """Gaussian points in six dimensions; noise in units of a coordinate's spread."""
    x = rng.standard_normal((N, 6)) * np.linspace(1.3, 0.7, 6)
    return x, lambda coupled: coupled.argmax(1) == np.arange(N)


def blocks(rng):
    """Eight blocks of twelve, their centres three times as far apart as their members, in three dimensions."""
    of = np.repeat(np.arange(8), N // 8)
    x = (3 * rng.standard_normal((8, 3)))[of] + rng.standard_normal((N, 3))
    return x, lambda coupled: of[coupled.argmax(1)] == of


def ring(rng):
    """A regular ring of radius 1: an object is found when the best of the 2 n symmetries, or a neighbour, names its target."""
    del rng
    angle = 2 * np.pi * np.arange(N) / N
    x = np.column_stack([np.cos(angle), np.sin(angle)])

    def found(coupled):
        best, at = coupled.argmax(1), np.arange(N)
        near = [np.abs((best - turn * at - shift + 1) % N) <= 2 for turn in (1, -1) for shift in range(N)]
        return max(near, key=np.sum)

    return x, found


KINDS = {"points": points, "blocks": blocks, "ring": ring}


def once(kind, noise, seed):
    """Share found by the search, from the answer, and by chance; losses of both."""
    rng = np.random.default_rng([seed, list(KINDS).index(kind)])
    x, correct = KINDS[kind](rng)
    other = x + noise * rng.standard_normal(x.shape)
    order = rng.permutation(N)
    source, target = (gwrsa.Embedding(v).rdm("euclidean") for v in (x, other[order]))
    best = gwrsa.align(source, target, epsilon=0.02, seed=seed, workers=1, progress=False).lowest_loss
    answer = np.zeros((N, N))
    answer[order, np.arange(N)] = 1 / N
    told = gwrsa.entropic_gw(source, target, epsilon=best.epsilon, init=answer, tol=1e-5, threads=1)
    back = np.argsort(order)

    def share(plan):
        return float(correct(plan[:, back]).mean())

    return {
        "search": share(best.plan),
        "told": share(told.plan),
        "chance": float(np.mean([share(rng.random((N, N))) for _ in range(5)])),
        "loss": best.gw_loss,
        "told_loss": told.gw_loss,
    }


def rows(repeats, noise=NOISE):
    """Every problem at every noise, so many times each."""
    return [
        {"kind": kind, "noise": level, "seed": seed} | once(kind, level, seed)
        for kind in KINDS
        for level in noise
        for seed in range(repeats)
    ]


def draw(result):
    """Share found against noise, a panel a problem."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(9, 3), sharey=True, layout="constrained")
    planted_limits(panels, result)
    figure.savefig(FOLDER.parents[1] / "docs" / "figures" / "planted_limits.png", dpi=120)


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="problems of each kind and noise (default 3)")
    repeats = parser.parse_args().repeats
    began = time.process_time()
    found = rows(repeats)
    result = {"n": N, "epsilon": 0.02, "repeats": repeats, "cpu_seconds": time.process_time() - began, "rows": found}
    out = {"machine": describe(), "measured_at": time.strftime("%Y-%m-%d %H:%M"), "result": result}
    write(FOLDER / "planted_limits.json", out)
    draw(result)


if __name__ == "__main__":
    main()
