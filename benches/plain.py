"""The iteration that POT makes, made by gwrsa: how many of its steps a fixed point takes, where waiting for POT would take too long.

gwrsa extrapolates steps (Anderson) at the last value of epsilon only, and there not in the first two steps: with the value given twice
and the steps made at the first, all are plain ones. In float64, with Sinkhorn solved to a tenth of the last change, the plan after k
steps is POT's after k steps: `against_pot` says how far apart the two are where POT was stopped and, where POT arrives, both numbers of
steps.
"""

import numpy as np

from cases import TOL

MOST = 4000


def solution(problem, epsilon, steps, *, start=0, precision="float64", near=False):
    """After so many plain steps, at least 4; the last two solve Sinkhorn to 1e-3.

    `near`: to a tenth of the change also in the last step, which is possible where the change is below 5e-4.
    """
    return _solve(problem, epsilon, steps - (3 if near else 2), 2 if near else 1, 1e-12, start, precision)


def _solve(problem, epsilon, first, last, tol, start, precision):
    return problem.solve(
        [(("random", 0, start), [epsilon, epsilon])],
        precision=precision,
        tol=tol,
        max_outer=last,
        max_sinkhorn=1000,
        level_tol=tol,
        level_max_outer=first,
        threads=2,
    )[0]


def to_fixed_point(problem, epsilon, *, start=0, tol=TOL):
    """Plain steps until the plan's relative change is `tol`, the criterion of the peers, and the loss there; None: not within `MOST`.

    A solve stops by the change of the plan's summary, a little earlier. From there the plan's own change is measured, and brought to
    `tol` by the rate at which it falls.
    """
    steps = _solve(problem, epsilon, MOST, 1, tol, start, "float64").path[0][1]
    if steps == MOST:
        return None
    for _ in range(2):
        steps = max(steps, 5)
        before, after = (solution(problem, epsilon, k, start=start, near=True) for k in (steps - 1, steps))
        one, two = before.plan(), after.plan()
        change = float(np.linalg.norm(two - one) / np.linalg.norm(two))
        rate = min(after.change / before.change, 0.999) if before.change > 0 else 0.5
        missing = int(np.ceil(np.log(max(change, 1e-300) / tol) / -np.log(rate)))
        steps += missing
        if abs(missing) <= 3:
            break
    return {"outer_steps": steps, "loss": after.gw_loss}


def pot_to_the_end(problem, epsilon, run, plan, *, start=0):
    """POT's `run` that was cut off at `plan`, to its fixed point: plain steps, and seconds by its last quarter of steps.

    Errs low, in POT's favour, where its Sinkhorn goes on slowing down.
    """
    found = to_fixed_point(problem, epsilon, start=start)
    done, late = run["outer_steps"], run["seconds_a_late_step"]
    steps = MOST if found is None else max(found["outer_steps"], done)
    out = {"outer_steps": steps, "seconds": run["seconds"] + (steps - done) * late, "at_least": found is None}
    if found is not None:
        out["loss"] = found["loss"]
    if done >= 4:
        here = solution(problem, epsilon, done, start=start).plan()
        out["plans_apart_where_stopped"] = float(np.linalg.norm(plan - here) / np.linalg.norm(here))
    return out
