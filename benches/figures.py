"""The figures of docs/benchmarks.md."""

import numpy as np

from table import SIZES
from targets import rows

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"
PHASES = ("products", "kernel", "sweeps", "summary")
FLOOR = 1e-7
PANELS = {"limit": 2, "planted_limits": 3}


def draw(results, folder):
    """All figures whose results are there, and none that would be an older one."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    got = {name: r["result"] for name, r in results.items() if "result" in r}
    folder.mkdir(parents=True, exist_ok=True)
    style = {"axes.spines.top": False, "axes.spines.right": False, "font.size": 9, "savefig.dpi": 130}
    with mpl.rc_context(style):
        for name, needs, size, plot in (
            ("ratios", (), (7.6, 5.2), lambda axes: _ratios(axes, rows(results))),
            ("limit", ("r1_limit", "r3_limit"), (7.6, 2.9), lambda axes: _limit(axes, got)),
            ("size", tuple(f"r5_{n}" for n in SIZES), (4.8, 3.1), lambda axes: _size(axes, got)),
            ("one_start", ("r1_pot_5e-3", "r1_solves_5e-3"), (5.6, 3.1), lambda axes: _one_start(axes, got)),
            ("search", ("loss_against_time",), (5.6, 3.1), lambda axes: _search(axes, got)),
            ("planted", ("planted",), (4.8, 3.1), lambda axes: _planted(axes, got)),
            (
                "planted_limits",
                ("planted_limits",),
                (8.4, 2.8),
                lambda axes: planted_limits(axes, got["planted_limits"]),
            ),
        ):
            path = folder / f"bench_{name}.png"
            path.unlink(missing_ok=True)
            if not set(needs) <= set(got):
                continue
            figure, axes = plt.subplots(1, PANELS.get(name, 1), figsize=size, layout="constrained")
            try:
                plot(axes)
            except KeyError:
                # A file of an older form; the table says so.
                plt.close(figure)
                continue
            figure.savefig(path)
            plt.close(figure)


def _ratios(axes, table):
    shown = [r for r in table if ": times " in r.what and r.number is not None and r.like]
    at = np.arange(len(shown))[::-1]
    colours = [GREY if r.bound is None else BLUE for r in shown]
    bars = axes.barh(at, [r.number for r in shown], 0.6, color=colours, edgecolor="white", lw=0)
    for bar, row in zip(bars, shown, strict=True):
        bar.set_hatch("///" if row.extrapolated else None)
    for y, row in zip(at, shown, strict=True):
        axes.text(
            max(row.number, 1) * 1.06,
            y,
            f"{row.number:{'.0f' if row.number >= 100 else '.3g'}}",
            va="center",
            fontsize=8,
        )
        if row.bound is not None:
            axes.plot([row.bound] * 2, [y - 0.42, y + 0.42], color=ORANGE, lw=2)
    axes.set_yticks(at, [r.what for r in shown], fontsize=8)
    axes.set_xscale("log")
    axes.set_xlim(1, 2.5 * max([10.0, *(max(r.number, r.bound or 0) for r in shown)]))
    axes.set_xlabel("times faster (orange: target)")


def _limit(both, got):
    for axes, name in zip(both, ("r1", "r3"), strict=True):
        for i, run in enumerate(got[f"{name}_limit"]):
            colour = (BLUE, ORANGE)[i]
            at = np.arange(len(PHASES)) + 0.46 * i
            taken, limit = ([1e3 * run[key][p] for p in PHASES] for key in ("seconds", "seconds_at_limit"))
            label = f"{run['threads']} thread{'s' * i}"
            axes.bar(at - 0.1, taken, 0.2, color=colour, alpha=0.45, label=f"{label}: taken")
            axes.bar(at + 0.1, limit, 0.2, color=colour, label="at the limit")
            for x, a, b in zip(at, taken, limit, strict=True):
                axes.text(x, max(a, b), f"{100 * b / a:.0f}%", ha="center", va="bottom", fontsize=7)
        axes.set_xticks(np.arange(len(PHASES)) + 0.23, PHASES)
        axes.set_title(f"{name.upper()}: time of the phases")
    both[0].set_ylabel("milliseconds a solve")
    both[1].legend(frameon=False, fontsize=8)


def _size(axes, got):
    sizes = [got[f"r5_{n}"] for n in SIZES]
    n, taken = (np.array([s[key] for s in sizes]) for key in ("n", "seconds_a_step"))
    limit = np.array([sum(s["limit"]["seconds_at_limit"].values()) / s["limit"]["outer_steps"] for s in sizes])
    axes.loglog(n, taken, "o-", color=BLUE, label="gwrsa, rank 66")
    axes.loglog(n, limit, "s--", ms=4, color=ORANGE, label="its flops and bytes at the measured peaks")
    axes.loglog(n, taken[-1] * (n / n[-1]) ** 2, ":", color=GREY, label="n squared")
    cache = np.sqrt(sizes[0]["cache_mib"] * 2**20 / 4)
    if n[0] < cache < n[-1]:
        axes.axvline(cache, color=GREY, lw=0.8)
        axes.text(cache * 1.04, taken[0], "kernel larger than\nthe last cache", color=GREY, fontsize=7, va="bottom")
    axes.set_xticks(n, [f"{x:,}" for x in n], fontsize=7)
    axes.minorticks_off()
    axes.set_xlabel("objects")
    axes.set_ylabel("seconds an outer step")
    axes.legend(frameon=False, fontsize=8)


def _one_start(axes, got):
    end = got["r1_pot_5e-3"]["pot"]["loss"]

    def away(loss):
        return np.maximum(np.abs(np.asarray(loss, dtype=float) / end - 1), FLOOR)

    for name, key, colour, label in (
        ("r1_pot_5e-3", "pot", ORANGE, "POT"),
        ("r1_torch", "torch", GREEN, "plain torch"),
    ):
        if name in got:
            seconds, losses = zip(*((s, loss) for s, loss, _ in got[name][key]["curve"] if loss), strict=True)
            axes.loglog(seconds, away(losses), color=colour, label=label)
            axes.plot(seconds[-1], away(losses[-1]), "o", ms=4, color=colour)
    if "r1_ott" in got:
        ott = got["r1_ott"]["ott"]
        axes.loglog(ott["seconds"], away(ott["loss"]), "s", color=GREY, label="OTT, default stop")
    solves = got["r1_solves_5e-3"]
    for key, marker, label in (("one", "o", "gwrsa"), ("float64", "^", "gwrsa, float64")):
        run = solves[key]
        axes.loglog(
            run["seconds_a_start"] + solves["building"], away(run["losses"][0]), marker, color=BLUE, label=label
        )
    axes.set_xlabel("seconds")
    axes.set_ylabel("|GW loss / POT's at its fixed point - 1|")
    axes.set_title("R1, epsilon 5e-3: one start")
    axes.legend(frameon=False, fontsize=8)


def _search(axes, got):
    r = got["loss_against_time"]
    several = r["multistart"]
    # Starts ran two at a time: their own seconds, scaled to the time of all.
    seconds = np.cumsum(several["start_seconds"]) * several["seconds"] / np.sum(several["start_seconds"])
    losses = np.minimum.accumulate(several["start_losses"])
    axes.step(seconds, losses, where="post", color=ORANGE, label=f"gwrsa, {len(losses)} random starts: lowest so far")
    # Its starts go down together: none has a loss at this epsilon before the end.
    axes.plot(r["anneal"]["seconds"], r["anneal"]["loss"], "*", ms=11, color=BLUE, label="gwrsa, anneal (defaults)")
    curve = _pot_curve(got, r["epsilon"])
    if curve:
        axes.plot(*zip(*curve, strict=True), "-.", color=GREEN, label="POT, the first of them on its way")
        a_start = _pot_seconds(got, r["epsilon"])
        ends = a_start * np.arange(1, len(losses) + 1)
        label = f"POT, the same starts at {a_start:.0f} s each{_extrapolated(got, r['epsilon'])}"
        axes.step(ends, losses, ":", where="post", color=GREEN, label=label)
    axes.set_ylim(0.98 * min(r["anneal"]["loss"], losses[-1]), 1.12 * losses[0])
    axes.set_xscale("log")
    axes.set_xlabel("seconds")
    axes.set_ylabel("GW loss")
    axes.set_title(f"R1, epsilon {r['epsilon']:g}: search")
    axes.legend(frameon=False, fontsize=8)


def _pot(got, epsilon):
    """POT on R1 at this epsilon, where it was measured."""
    return next((got[n] for n in got if n.startswith("r1_pot_") and float(n.removeprefix("r1_pot_")) == epsilon), None)


def _pot_curve(got, epsilon):
    """(seconds, loss) of its way, where it was followed."""
    pot = _pot(got, epsilon)
    return [(s, loss) for s, loss, _ in pot["pot"]["curve"] if loss is not None] if pot else []


def _pot_seconds(got, epsilon):
    """To its fixed point: measured, or extrapolated where it was cut off."""
    pot = _pot(got, epsilon)
    return pot.get("pot_extrapolated", pot["pot"])["seconds"]


def _extrapolated(got, epsilon):
    return "" if _pot(got, epsilon)["pot"]["converged"] else ", extrapolated"


def _planted(axes, got):
    r = got["planted"]
    noise = [x["noise"] for x in r["rows"]]
    axes.plot(
        noise,
        [100 * x["nearest_neighbour"] for x in r["rows"]],
        "--",
        color=GREY,
        label="told the frame: nearest neighbour",
    )
    axes.plot(noise, [100 * x["matching"] for x in r["rows"]], "o-", color=BLUE, label="gwrsa, without labels")
    axes.set_ylim(-3, 125)
    axes.set_yticks(range(0, 101, 20))
    axes.set_xlabel("noise, in units of the points' spread")
    axes.set_ylabel("objects found (%)")
    axes.set_title(f"A planted permutation, n = {r['n']}")
    axes.legend(frameon=False, loc="upper right", fontsize=8)


def planted_limits(panels, result):
    """Share found against noise, a panel a problem, beside what is found from the answer and by chance."""
    for axes, kind in zip(panels, dict.fromkeys(x["kind"] for x in result["rows"]), strict=True):
        mine = [x for x in result["rows"] if x["kind"] == kind]
        noise = sorted({x["noise"] for x in mine})
        for key, label, style in (
            ("told", "from the answer", {"color": GREY, "ls": "--"}),
            ("search", "gwrsa, without labels", {"color": BLUE, "marker": "o", "ms": 4}),
            ("chance", "chance", {"color": ORANGE, "ls": ":"}),
        ):
            axes.plot(
                noise, [100 * np.mean([x[key] for x in mine if x["noise"] == v]) for v in noise], label=label, **style
            )
        axes.set_title(f"{kind}, n = {result['n']}")
        axes.set_xlabel("noise")
        axes.set_ylim(-3, 103)
    panels[0].set_ylabel("found (%)")
    panels[-1].legend(frameon=False, fontsize=8)
