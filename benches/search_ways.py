"""Ways to look for a lower optimum: each a generator of starts (first plan, values of epsilon), told how the ones before it ended."""

from functools import cached_property

import numpy as np
from scipy.cluster.vq import kmeans2

import gwrsa
from gwrsa import _core, schedule
from gwrsa.solve import build_problem

NEARLY = 1e-4


class Pair:
    """A pair at one epsilon: its problem, what ways need to know of it, and the steps spent on it."""

    def __init__(self, source, target, epsilon):
        self.problem = build_problem(source, target)
        self.epsilon, self.critical = epsilon, self.problem.critical_epsilon()
        self.squares = tuple((s.rdm() if isinstance(s, gwrsa.Embedding) else s).square() for s in (source, target))
        self.n = len(source)
        self.weights = np.full(self.n, 1 / self.n)
        self.sides = (source, target)
        self.steps = 0

    @cached_property
    def axes(self):
        """Of classical scaling: of either side the coordinates (n, 96), largest axis first, each turned by its skewness."""
        found = []
        for c in self.squares:
            centred = c - c.mean(0)
            w, v = np.linalg.eigh(-(centred - centred.mean(1, keepdims=True)) / 2)
            w, v = w[::-1][:96], v[:, ::-1][:, :96]
            found.append(v * np.sqrt(np.maximum(w, 0)) * np.sign((v**3).sum(0)))
        return found

    @cached_property
    def centred(self):
        """The costs, float32, for the search for swaps: a constant taken off."""
        return tuple((c - c.mean()).astype(np.float32) for c in self.squares)

    def ladder(self, top):
        """Down from `top` (absolute)."""
        return schedule.ladder(top, self.epsilon)

    def solve(self, starts, *, tol=NEARLY, max_outer=200):
        """Ends of the starts; their outer steps are counted."""
        ends = self.problem.solve(
            starts,
            precision="mixed",
            tol=tol,
            max_outer=max_outer,
            max_sinkhorn=1000,
            level_tol=schedule.LEVEL_TOL,
            level_max_outer=schedule.LEVEL_MAX_OUTER,
            threads=1,
        )
        # Of a merged start these are the steps of its own.
        self.steps += sum(end.n_outer for end in ends)
        return ends

    def feasible(self, positive):
        """A positive matrix scaled onto the marginals."""
        plan = np.array(positive)
        for _ in range(30):
            plan *= (self.weights / plan.sum(1))[:, None]
            plan *= self.weights / plan.sum(0)
        return _core.round_to_marginals(plan, self.weights, self.weights)


def more_starts(pair, ends, rng):
    """The portfolio continued: random permutations and matrices, other signs, from three heights."""
    del ends
    planned = schedule.plan(
        "anneal", pair.epsilon, 200, int(rng.integers(2**31)), critical=pair.critical, absolute=True
    )[8:]
    yield from ((start.init, start.epsilons) for start in planned)


def other_schedules(pair, ends, rng):
    """The portfolio's starts from other tops, in steps of 0.92 or 0.7 instead of 0.85."""
    del ends
    starts = [("spectral", 0, 0), ("profile", 0, 0), ("spectral", 0, 1), ("cocluster", int(rng.integers(2**31)), 0)]
    for ratio, top in ((0.7, 0.5), (0.92, 0.3), (0.7, 0.8), (0.85, 0.12), (0.92, 0.5), (0.7, 0.3), (0.85, 0.25)):
        for start in starts:
            levels = max(0, int(np.log(top * pair.critical / pair.epsilon) / -np.log(ratio)))
            yield start, [pair.epsilon / ratio**k for k in range(levels, -1, -1)]


def more_axes(pair, ends, rng):
    """Spectral starts on 2 to 8 axes, with random signs."""
    del ends
    a, b = (x[:, :8] / x[:, :8].std(0) for x in pair.axes)
    while True:
        k = int(rng.integers(2, 9))
        signs = rng.choice([-1.0, 1.0], k)
        plan = np.exp(np.clip(0.5 * (a[:, :k] * signs) @ b[:, :k].T, -30, 30))
        yield pair.feasible(plan), pair.ladder(rng.choice([0.5, 0.2, 0.08]) * pair.critical)


def coarse_to_fine(pair, ends, rng):
    """Centres of 12, 24, 48 or 96 groups: their problem from 24 starts, its best plans lifted."""
    del ends
    for k in (12, 24, 48, 96) * 20:
        grouped = [_groups(x[:, :12], k, rng) for x in pair.axes]
        coarse = _coarse(pair, grouped)
        for plan in _best(coarse, grouped, 2, rng):
            yield _lift(pair, plan, grouped), pair.ladder(0.4 * pair.critical)


def cascade(pair, ends, rng):
    """12 groups, then 24, 48 and 96: the plan of each lifted to the next, then to the objects."""
    del ends
    while True:
        grouped = [_groups(x[:, :12], 12, rng) for x in pair.axes]
        for plan in _best(_coarse(pair, grouped), grouped, 2, rng):
            at, of = plan, grouped
            for k in (24, 48, 96):
                finer = [_groups(x[:, :12], k, rng) for x in pair.axes]
                coarse = _coarse(pair, finer)
                # Mass between finer groups, by way of the objects.
                whole = _lift(pair, at, of)
                start = np.stack([whole[finer[0] == a].sum(0) for a in range(finer[0].max() + 1)])
                start = np.stack([start[:, finer[1] == b].sum(1) for b in range(finer[1].max() + 1)], axis=1)
                critical = coarse.critical_epsilon()
                at = _small(coarse, [(start, [0.15 * critical, 0.05 * critical])])[0].plan()
                of = finer
            yield _lift(pair, at, of), pair.ladder(0.2 * pair.critical)


def growing_rank(pair, ends, rng):
    """First only the leading axes of either side (3, 6, 12, 24, 48), then all; from the portfolio's starts."""
    del ends
    for first, start in (
        (6, ("spectral", 0, 0)),
        (3, ("spectral", 0, 0)),
        (6, ("profile", 0, 0)),
        (12, ("cocluster", int(rng.integers(2**31)), 0)),
        (6, ("spectral", 0, 1)),
        (12, ("profile", 0, 0)),
        (3, ("spectral", 0, 2)),
    ):
        plan, rank = start, first
        while rank <= 48:
            few = build_problem(*(gwrsa.Embedding(x[:, :rank]) for x in pair.axes), metric="sqeuclidean")
            whole, pair.problem = pair.problem, few
            end = pair.solve([(plan, [0.2 * few.critical_epsilon()])], tol=1e-2, max_outer=25)[0]
            pair.problem, plan, rank = whole, end.plan(), 2 * rank
        yield plan, pair.ladder(2 * pair.epsilon)


def noise(pair, ends, rng):
    """The lowest plan so far times log-normal noise (sigma 1 to 4)."""
    while True:
        sigma = rng.uniform(1, 4)
        plan = ends[0].plan() + 1e-12
        yield pair.feasible(plan * np.exp(sigma * rng.standard_normal(plan.shape))), [pair.epsilon]


def smooth_noise(pair, ends, rng):
    """The lowest plan so far, its objects' images moved along the axes of the target by a random smooth field, and spread."""
    b = pair.axes[1][:, :12] / pair.axes[1][:, 0].std()
    a = pair.axes[0][:, :12] / pair.axes[0][:, 0].std()
    while True:
        plan = ends[0].plan() + 1e-12
        field = a @ rng.standard_normal((12, 12)) * rng.uniform(0.5, 4)
        yield pair.feasible(plan * np.exp(np.clip(field @ b.T, -30, 30))), pair.ladder(2 * pair.epsilon)


def reheating(pair, ends, rng):
    """The lowest plan so far, with noise of sigma 1, annealed again from 2, 4, 8 ... times epsilon (basin hopping)."""
    heats = [h for h in (2, 4, 8, 16, 32) if h * pair.epsilon < 0.9 * pair.critical] or [1.5]
    for turn in range(1000):
        plan = ends[0].plan() + 1e-12
        noisy = pair.feasible(plan * np.exp(rng.standard_normal(plan.shape)))
        yield noisy, pair.ladder(heats[turn % len(heats)] * pair.epsilon)


def branches(pair, ends, rng):
    """Both directions of the least stable mode, at values of epsilon on the way down in the order of the mode's growth.

    The mode is the leading eigenvector of the outer step's Jacobian, by power iteration on differences of steps (4 a level).
    """
    del ends
    found = []
    for start in (("spectral", 0, 0), ("profile", 0, 0)):
        plan, levels = start, pair.ladder(0.5 * pair.critical)
        thinned = sorted({*levels[:: max(1, len(levels) // 4)], pair.epsilon}, reverse=True)
        mode = rng.standard_normal((pair.n, pair.n))
        for epsilon in thinned:
            plan = pair.solve([(plan, [epsilon])], tol=1e-3, max_outer=40)[0].plan()
            mode, rate = _mode(pair, plan, epsilon, mode)
            found.append((rate, epsilon, plan, mode))
    for _, epsilon, plan, mode in sorted(found, key=lambda x: -x[0]):
        for sign in (1, -1):
            slope = mode / (plan + 1e-3 * plan.max())
            slope *= 3 / np.sqrt((plan * slope**2).sum())
            moved = pair.feasible((plan + 1e-12) * np.exp(np.clip(sign * slope, -20, 20)))
            yield moved, pair.ladder(epsilon)


def group_swaps(pair, ends, rng):
    """Of the lowest plan so far the images of two groups of source objects exchanged: the pairs that raise the loss least or lower it."""
    c1, c2 = pair.centred
    while True:
        k = int(rng.choice([12, 24, 48]))
        of = _groups(pair.axes[0][:, :12], k, rng)
        plan = ends[0].plan().astype(np.float32)
        pull = c1 @ plan @ c2
        order = pair.axes[0][:, 0]
        members = [g[np.argsort(order[g])] for g in (np.flatnonzero(of == a) for a in range(of.max() + 1))]
        swaps = []
        for a in range(len(members)):
            for b in range(a):
                size = min(len(members[a]), len(members[b]))
                left, right = (g[np.linspace(0, len(g) - 1, size).astype(int)] for g in (members[a], members[b]))
                moved = plan[left] - plan[right]
                first = 4 * float(((pull[left] - pull[right]) * moved).sum())
                at = c1[np.ix_(left, left)] + c1[np.ix_(right, right)] - c1[np.ix_(left, right)]
                at = at - c1[np.ix_(right, left)]
                swaps.append((first - 2 * float((at * (moved @ c2 @ moved.T)).sum()), left, right))
        for _, left, right in sorted(swaps, key=lambda s: s[0])[:4]:
            swapped = ends[0].plan()
            swapped[left], swapped[right] = swapped[right], swapped[left]
            yield swapped, [pair.epsilon]


def polish_again(pair, ends, rng):
    """The lowest plan so far polished to a permutation, which is solved again from epsilon, and from 2, 4 times epsilon."""
    del rng
    permutation = gwrsa.polish(ends[0].plan(), *pair.sides).plan
    for heat in (1, 2, 4):
        yield permutation, pair.ladder(heat * pair.epsilon)


def crossing(pair, ends, rng):
    """Of two basins the mean of their plans, then of each row the plan in which it costs less, then rows of groups at random."""
    distinct = [end for k, end in enumerate(ends) if all(abs(end.gw_loss / e.gw_loss - 1) > 1e-4 for e in ends[:k])]
    c1, c2 = pair.centred
    for other in distinct[1:]:
        x, y = ends[0].plan(), other.plan()
        yield (x + y) / 2, [pair.epsilon]
        cost = [-(((c1 @ t.astype(np.float32)) @ c2) * t).sum(1) for t in (x, y)]
        yield pair.feasible(np.where((cost[0] <= cost[1])[:, None], x, y) + 1e-12), [pair.epsilon]
        for _ in range(2):
            groups = _groups(pair.axes[0][:, :12], 24, rng)
            mine = rng.random(groups.max() + 1) < 0.5
            yield pair.feasible(np.where(mine[groups][:, None], x, y) + 1e-12), pair.ladder(1.5 * pair.epsilon)


WAYS = {
    "more starts": more_starts,
    "other schedules": other_schedules,
    "more axes and signs": more_axes,
    "coarse-to-fine": coarse_to_fine,
    "cascade 12-24-48-96": cascade,
    "growing rank": growing_rank,
    "both branches": branches,
    "noise": noise,
    "smooth noise": smooth_noise,
    "reheating": reheating,
    "group swaps": group_swaps,
    "polish, entropy again": polish_again,
    "crossing": crossing,
}
FROM_A_PLAN = {"noise", "smooth noise", "reheating", "group swaps", "polish, entropy again", "crossing"}
"""Those that go on from what was found before."""


def _mode(pair, plan, epsilon, mode, steps=4):
    """Leading eigenvector and eigenvalue of the Jacobian of the outer step at a plan, from `mode` on."""

    def image(x):
        return pair.solve([(x, [epsilon])], tol=1e-12, max_outer=1)[0].plan()

    here, rate = image(plan), 0.0
    for _ in range(steps):
        # Within the plan's support, and positive.
        direction = np.clip(mode, -1, 1) if rate == 0 else mode
        direction = direction * plan if rate == 0 else direction
        small = 0.1 / np.abs(direction / (plan + 1e-3 * plan.max())).max()
        moved = pair.feasible(np.maximum(plan + small * direction, 1e-3 * plan + 1e-15))
        mode = image(moved) - here
        rate = float(np.linalg.norm(mode) / np.linalg.norm(moved - plan))
    return mode, rate


def _groups(x, k, rng):
    """Group of each object; none is empty."""
    of = kmeans2(x, k, iter=30, minit="++", rng=rng)[1]
    return np.unique(of, return_inverse=True)[1]


def _coarse(pair, grouped):
    """The problem of the groups' mean dissimilarities."""
    sides = []
    for c, of in zip(pair.squares, grouped, strict=True):
        share = np.eye(of.max() + 1)[of] / np.bincount(of)
        sides.append(share.T @ c @ share)
    return build_problem(*sides, *(np.bincount(of) / len(of) for of in grouped))


def _small(problem, starts):
    settings = {"precision": "float64", "tol": 1e-4, "max_outer": 300, "max_sinkhorn": 1000}
    return problem.solve(starts, **settings, level_tol=1e-2, level_max_outer=50, threads=1)


def _best(problem, grouped, count, rng):
    """Plans of the lowest of 24 starts of a coarse problem, `count` of distinct loss."""
    del grouped
    seed, critical = int(rng.integers(2**31)), problem.critical_epsilon()
    starts = [("permutation", seed, i) for i in range(16)] + [("spectral", 0, i) for i in range(8)]
    ends = _small(problem, [(start, [0.2 * critical, 0.1 * critical, 0.05 * critical]) for start in starts])
    plans, losses = [], []
    for end in sorted(ends, key=lambda e: e.gw_loss):
        if all(abs(end.gw_loss / loss - 1) > 1e-4 for loss in losses) and end.status != "numerical_error":
            plans.append(end.plan())
            losses.append(end.gw_loss)
    return plans[:count]


def _lift(pair, plan, grouped):
    a, b = grouped
    density = plan / np.outer(np.bincount(a), np.bincount(b))
    return pair.feasible(density[np.ix_(a, b)] + 1e-3 / pair.n**2)
