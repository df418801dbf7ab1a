"""Ways to solve one inner problem, in passes over the kernel: python benches/inner_methods.py writes benches/results/inner_methods.json.

The problem of outer step k + 1 as it is met, with the potentials of step k: `K = T_k exp((4 / epsilon) C1 (T_k - T_(k-1)) C2)`, in float64.
A sweep is one pass, and so is a product with the Hessian of the dual, `diag(c) - T' diag(1 / p) T`.
"""

import numpy as np

import cases
import ours
from _machine import describe
from _results import FOLDER, write

TOLERANCES = (1e-2, 1e-4, 1e-6, 1e-9)
PROBLEMS = (("R1", 5e-3), ("R1", 1e-3), ("R3", 2.0), ("group1 vs group2, raw", 1e-3))
STEPS = (2, 12)
MOST = 300


def kernel(name, epsilon, step):
    """Of outer step `step + 1`, n x m."""
    problem = cases.problem(name)
    before, plan = (
        ours.solve(problem, ours.random_starts(1), [epsilon], max_outer=k)[0][0].plan() for k in (step - 1, step)
    )
    c1, c2 = cases.squares(name)
    moved = 4 / epsilon * c1 @ (plan - before) @ c2
    moved -= moved.mean(0)
    return plan * np.exp(moved - moved.mean(1, keepdims=True))


class Sweeps:
    """Sweeps over one kernel with uniform weights; the error after each pass is kept."""

    def __init__(self, k):
        """Nothing is done yet."""
        self.k, self.p, self.q = k, 1 / k.shape[0], 1 / k.shape[1]
        self.errors = []

    def __call__(self, y):
        """Image of the log scalings `y` of the columns; rows are then exact."""
        v = np.exp(y)
        self.u = self.p / (self.k @ v)
        self.held = v * (self.k.T @ self.u)
        self.errors.append(float(np.abs(self.held - self.q).sum()))
        return y + np.log(self.q / self.held)

    @property
    def over(self):
        """Whether the lowest tolerance is reached, or the passes are used up."""
        return self.errors[-1] <= TOLERANCES[-1] or len(self.errors) >= MOST


def plain(sweep, y):
    """Sinkhorn."""
    y = sweep(y)
    while not sweep.over:
        y = sweep(y)


def relaxed(sweep, y):
    """Over-relaxed by the rate of plain sweeps after ten of them (Thibault et al. 2021); plain again when it diverges."""
    for _ in range(10):
        y = sweep(y)
    rate = min(sweep.errors[-1] / sweep.errors[-2], 1.0)
    omega = min(2 / (1 + np.sqrt(1 - rate)), 1.985)
    log_u = np.log(sweep.u)
    least = sweep.errors[-1]
    while not sweep.over:
        row = np.log(sweep.p / (sweep.k @ np.exp(y)))
        log_u += omega * (row - log_u)
        held = np.exp(y) * (sweep.k.T @ np.exp(log_u))
        error = np.abs(held - sweep.q).sum() + np.abs(np.exp(log_u - row) - 1).sum() * sweep.p
        sweep.errors.append(float(error))
        y = y + omega * np.log(sweep.q / held)
        least = min(least, error)
        if error > 100 * least:
            omega = 1.0


def anderson(sweep, y, depth=8):
    """Extrapolated from the last `depth` differences; they are dropped when the error doubles."""
    residuals, images, last, least = [], [], None, np.inf
    image = sweep(y)
    while not sweep.over:
        residual = image - y
        if sweep.errors[-1] > 2 * least:
            residuals, images, last, least = [], [], None, np.inf
        least = min(least, sweep.errors[-1])
        if last:
            residuals, images = (
                [*old[1 - depth :], new] for old, new in ((residuals, residual - last[0]), (images, image - last[1]))
            )
        last, y = (residual, image), image
        if residuals:
            weights = np.linalg.lstsq(np.array(residuals).T, residual, rcond=1e-10)[0]
            step = -weights @ np.array(images)
            y = image + step * min(1, 4 / np.abs(step).max())
        image = sweep(y)


def newton(sweep, y):
    """Newton on the dual by conjugate gradients, as exact as the quadratic model is; the step is shortened while the slope turns."""
    sweep(y)
    while not sweep.over:
        u, held, v = sweep.u, sweep.held, np.exp(y)
        right = sweep.q - held
        rest, delta = right.copy(), np.zeros_like(y)
        d = rest / held
        old = rest @ d
        while len(sweep.errors) < MOST:
            product = held * d - v * (sweep.k.T @ (u**2 / sweep.p * (sweep.k @ (v * d))))
            sweep.errors.append(sweep.errors[-1])
            size = old / (d @ product)
            delta, rest = delta + size * d, rest - size * product
            if np.abs(rest).sum() <= max(0.5 * TOLERANCES[-1], 0.5 * delta @ (right - rest)):
                break
            new = rest @ (rest / held)
            d, old = rest / held + new / old * d, new
        share, slope = min(1, 8 / np.abs(delta).max()), right @ delta
        for _ in range(6):
            sweep(y + share * delta)
            there = delta @ (sweep.q - sweep.held)
            if there >= -0.5 * slope or sweep.over:
                break
            share *= np.clip(slope / (slope - there), 0.1, 0.7)
        y = y + share * delta


METHODS = {"plain": plain, "over-relaxed": relaxed, "Anderson": anderson, "Newton-CG": newton}


def compare(k):
    """Passes of each method to each tolerance; None where it takes more than `MOST`."""
    out = {}
    for name, method in METHODS.items():
        sweep = Sweeps(k)
        method(sweep, np.zeros(k.shape[1]))
        reached = [next((i + 1 for i, e in enumerate(sweep.errors) if e <= tol), None) for tol in TOLERANCES]
        out[name] = dict(zip(map(str, TOLERANCES), reached, strict=True))
    return out


def main():
    """All problems and steps; written after each."""
    out, rows = FOLDER / "inner_methods.json", []
    for name, epsilon in PROBLEMS:
        for step in STEPS:
            passes = compare(kernel(name, epsilon, step))
            rows.append({"problem": name, "epsilon": epsilon, "step": step, "passes": passes})
            write(out, {"machine": describe(), "rows": rows})
            print(name, epsilon, step, {method: list(p.values()) for method, p in passes.items()}, flush=True)


if __name__ == "__main__":
    main()
