"""Whether two solvers whose times are compared ended at the same loss; and what of POT's end is POT's own."""

from table import SHARDS

# Relative difference of loss, as the page says it, up to which two ends are taken for the same.
SAME = 1e-4
POT_RUNS = ("r1_pot_5e-3", "r1_pot_1e-3", "r2_pot_5e-3", "r3_pot", "r6_pot")


def pot_end(run):
    """Loss at POT's fixed point, and whether POT itself came there; where it was cut off, that of the plain iteration or None."""
    if run["pot"]["converged"]:
        return run["pot"]["loss"], True
    return run.get("pot_extrapolated", {}).get("loss"), False


def unlike(ours, loss):
    """Why gwrsa's start 0 in `ours` is not known to have ended where the other did, at `loss`; empty: it has."""
    others = [status for status in ours["status"] if status != "converged"]
    if others:
        return f"gwrsa ended as {', '.join(others)}"
    return _apart_too_far([(ours["losses"][0], loss)])


def _apart_too_far(pairs):
    """Of pairs of losses, the other's second."""
    if any(other is None for _, other in pairs):
        return "the other's loss is not known"
    apart = max(abs(one / other - 1) for one, other in pairs)
    return "" if apart <= SAME else f"losses are {apart:.1e} apart"


def many_unlike(r):
    """The same of many starts, of which POT made some."""
    if r["converged"] < r["starts"]:
        return f"{r['starts'] - r['converged']:,} of gwrsa's starts did not converge"
    sample = r["pot_sample"]
    if any(row.get("pot", row)["failed"] for row in sample):
        return "POT failed"
    if "loss_differences" not in r:
        return _apart_too_far([(row["ours"], pot_end(row)[0]) for row in sample])
    if not all(row["converged"] for row in sample):
        return "POT was cut off"
    apart = max(r["loss_differences"])
    return "" if apart <= SAME else f"losses are {apart:.1e} apart"


def section(got):
    """Losses, POT's and gwrsa's."""
    rows = [*_one_start(got), *_default_of_pot(got), *_few_of_many(got), *_multistart(got)]
    if not rows:
        return []
    return [
        "## Losses at the ends that are compared",
        "",
        "Where POT was cut off there is no end of its own: gwrsa is then held against the end of POT's iteration as gwrsa makes it,",
        "plainly and in float64, so gwrsa against gwrsa, and the loss at which POT was cut off stands beside it. A ratio with a",
        "target counts as met only where gwrsa converged and the two losses are within 1e-4 of each other.",
        "",
        "| problem | loss at POT's end | whose it is | gwrsa's loss | relative difference | gwrsa's status |",
        "|---|---|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
    ]


def problem(name):
    """Of a measurement against POT: its problem and epsilon, for people."""
    arguments = next(s.arguments for s in SHARDS if s.name == name)
    return f"{arguments['name']}, epsilon {arguments['epsilon']:g}"


def _row(what, run, loss, status):
    """`run` has POT's end, `loss` is gwrsa's."""
    if run["pot"]["failed"]:
        return what, "POT failed", "", f"{loss:.7g}", "", status
    end, own = pot_end(run)
    stopped = run["pot"]["loss"]
    whose = "POT's own" if own else f"gwrsa's plain iteration (POT cut off at {stopped:.7g})"
    if end is None:
        return what, "not known", f"(POT cut off at {stopped:.7g})", f"{loss:.7g}", "", status
    return what, f"{end:.7g}", whose, f"{loss:.7g}", f"{loss / end - 1:+.1e}", status


def _one_start(got):
    for name in POT_RUNS:
        if name not in got:
            continue
        sides = {"": got[name]["ours"]}
        solves = got.get(name.replace("pot", "solves"))
        if solves:
            sides[", float64"] = solves["float64"]
        for said, ours in sides.items():
            yield _row(problem(name) + said, got[name], ours["losses"][0], ", ".join(ours["status"]))


def _default_of_pot(got):
    if "r3_published" in got:
        r = got["r3_published"]
        pot, ours = r["pot"]["loss"], r["ours"]
        whose = "POT's own at its default, to a change of 1e-4, marginals off" + (
            "" if r["pot"]["converged"] else ", cut off"
        )
        yield (
            "R3, epsilon 2",
            f"{pot:.7g}",
            whose,
            f"{ours['loss']:.7g}",
            f"{ours['loss'] / pot - 1:+.1e}",
            ours["status"],
        )


def _few_of_many(got):
    if "r4_overhead" in got:
        r = got["r4_overhead"]
        sample = r["pot_sample"]
        losses = [row["loss"] for row in sample if row["loss"]] or [float("nan")]
        ended = sum(row["converged"] for row in sample)
        yield (
            f"R4, epsilon {r['epsilon']:.2g}, starts 0 to {len(sample) - 1}",
            f"{min(losses):.7g} to {max(losses):.7g}",
            f"POT's own, {ended} of {len(sample)} at their end",
            "(not kept)",
            f"at most {max(r['loss_differences'], default=float('nan')):.1e}",
            f"converged: {r['converged']:,} of {r['starts']:,}",
        )


def _multistart(got):
    r = got.get("multistart", {})
    for row in r.get("pot_sample", ()):
        what = f"R1, epsilon {row['epsilon']:.2g}, start {row['start']} of multistart"
        yield _row(what, row, row["ours"], f"converged: {r['converged']:,} of {r['starts']:,}")


def largest_apart(got):
    """Largest relative difference of loss between gwrsa and POT's own ends, of one start each; and of how many."""
    pairs = [(got[name]["ours"]["losses"][0], got[name]) for name in POT_RUNS if name in got and "ours" in got[name]]
    pairs += [(row["ours"], row) for row in got.get("multistart", {}).get("pot_sample", ()) if "ours" in row]
    apart = [abs(ours / run["pot"]["loss"] - 1) for ours, run in pairs if run["pot"]["converged"]]
    many = got.get("r4_overhead")
    if many and all(row["converged"] for row in many["pot_sample"]):
        apart += many["loss_differences"]
    return max(apart, default=0.0), len(apart)
