"""The iteration that POT makes, made by gwrsa: how many of its steps a fixed point takes, where waiting for POT would take too long.

One value of epsilon twice: gwrsa does not extrapolate before the last level, and none of the last level's two steps is an extrapolated
one. In float64, with Sinkhorn solved to a tenth of the last change, the plan after k steps is POT's after k steps; `against_pot` says how
far apart the two are where POT was stopped, and where POT arrives, both numbers of steps.
"""

import numpy as np

import ours
from cases import TOL

MOST = 4000


def solution(problem, epsilon, steps, *, start=0, precision="float64", tol=1e-12):
    """After so many plain steps (at least 3), or fewer where the summary of the plan changes by less than `tol`."""
    return problem.solve(
        [(("random", 0, start), [epsilon, epsilon])],
        precision=precision,
        tol=tol,
        max_outer=2,
        max_sinkhorn=1000,
        level_tol=tol,
        level_max_outer=steps - 2,
        threads=2,
    )[0]


def to_fixed_point(problem, epsilon, *, start=0, tol=TOL):
    """Plain steps until the plan's relative change is `tol`, the criterion of the peers, and the loss there; None: not within `MOST`.

    A solve stops by the change of the plan's summary, a little earlier. From there the plan's own change is measured, and brought to
    `tol` by the rate at which it falls.
    """
    end = solution(problem, epsilon, MOST, start=start, tol=tol)
    steps = end.path[0][1]
    if steps >= MOST - 2:
        return None
    for _ in range(2):
        steps = max(steps, 4)
        before, after = (solution(problem, epsilon, k, start=start) for k in (steps - 1, steps))
        one, two = before.plan(), after.plan()
        change = float(np.linalg.norm(two - one) / np.linalg.norm(two))
        rate = min(after.change / before.change, 0.999) if before.change > 0 else 0.5
        missing = int(np.ceil(np.log(max(change, 1e-300) / tol) / -np.log(rate)))
        steps += missing
        if abs(missing) <= 3:
            break
    return {"outer_steps": steps, "loss": after.gw_loss, "change": change}


def to_loss(problem, epsilon, loss, most, *, start=0):
    """Plain steps until the loss is at most `loss`; None: not within `most`."""

    def reached(steps):
        return solution(problem, epsilon, max(steps, 3), start=start, precision="mixed").gw_loss <= loss

    return ours.first(reached, 2 * most)


def pot_to_the_end(problem, epsilon, run, plan=None, *, start=0):
    """POT's `run` that was cut off, to its fixed point: plain steps, and seconds by its last quarter of steps.

    Errs low, in POT's favour, where its Sinkhorn goes on slowing down. `plan`: where it was stopped.
    """
    found = to_fixed_point(problem, epsilon, start=start)
    done = run["outer_steps"]
    late = run["seconds_a_late_step"]
    if found is None:
        steps = MOST
        return {"outer_steps": steps, "seconds": run["seconds"] + (steps - done) * late, "at_least": True}
    steps = max(found["outer_steps"], done)
    out = {
        "outer_steps": steps,
        "seconds": run["seconds"] + (steps - done) * late,
        "at_least": False,
        "loss": found["loss"],
    }
    if plan is not None and done >= 3:
        here = solution(problem, epsilon, done, start=start).plan()
        out["plans_apart_where_stopped"] = float(np.linalg.norm(plan - here) / np.linalg.norm(here))
    return out
