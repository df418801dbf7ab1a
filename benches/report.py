"""Tables and figures from benches/results: docs/benchmarks.md and docs/figures/*.png."""

import json
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).resolve().parents[1] / "docs"
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"


def load():
    """Every result there is, by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}


def rows(results):
    """(what, measured, target, met) of every figure that has a target; what was not measured says so."""
    got = {name: r["result"] for name, r in results.items()}
    table = []

    def row(what, needs, target, value, met, form="{:.3g} x"):
        if any(n not in got for n in needs):
            table.append((what, "not measured", target, None))
            return
        number = value(*(got[n] for n in needs))
        if number is None:
            table.append((what, "the other solver failed", target, None))
            return
        table.append((what, form.format(number), target, met(number)))

    at_least = lambda bound: lambda x: x >= bound  # noqa: E731
    at_most = lambda bound: lambda x: x <= bound  # noqa: E731
    for epsilon in ("5e-3", "1e-3"):
        needs = [f"r1_solves_{epsilon}", f"r1_pot_{epsilon}"]
        note = "" if epsilon == "5e-3" else " (POT extrapolated)"
        for key, label, target in (
            ("one", "one solve", 100),
            ("eight", "eight at once, a start", 100),
            ("float64", "one solve, float64", 25),
        ):
            row(
                f"R1, epsilon {epsilon}, {label}: times POT to the fixed point{note}",
                needs,
                f">= {target} x",
                lambda s, p, key=key: _times(p, s[key]),
                at_least(target),
            )
    row(
        "R1: times POT to its loss (1e-4)",
        ["r1_pot_5e-3"],
        "",
        lambda p: p["pot"]["seconds_to_loss"] / p["ours_to_same_loss"]["seconds"],
        lambda _: None,
    )
    row(
        "R1: times OTT at its default stop and loss",
        ["r1_ott"],
        ">= 10 x",
        lambda o: o["ott"]["seconds"] / o["ours_to_same_loss"]["seconds"],
        at_least(10),
    )
    row(
        "R1: times plain torch to the fixed point",
        ["r1_torch"],
        "",
        lambda t: t["torch"]["seconds"] / t["ours"]["seconds_a_start"],
        lambda _: None,
    )
    row(
        "R2: times POT to the fixed point",
        ["r2_pot_5e-3", "r2_solves_5e-3"],
        "",
        lambda p, s: _times(p, s["one"]),
        lambda _: None,
    )
    row(
        "R3: times POT with marginals reached, to the fixed point (POT extrapolated)",
        ["r3_pot", "r3_published"],
        ">= 60 x",
        lambda p, r: _times(p, r["timed"]),
        at_least(60),
    )
    row(
        "R3: times POT at its default, marginals 7e-3 off, to a change of 1e-4",
        ["r3_published"],
        "",
        lambda r: r["pot"]["seconds"] / r["timed"]["seconds_a_start"],
        lambda _: None,
    )
    row(
        "R4: times POT, 1,000 starts (POT: 5, extrapolated)",
        ["r4_overhead"],
        ">= 20 x",
        lambda r: r["pot_seconds_extrapolated"] / r["seconds"],
        at_least(20),
    )
    row(
        "R6: times POT to the fixed point (POT extrapolated)",
        ["r6_pot"],
        ">= 10 x",
        lambda p: _times(p, p["ours"]),
        at_least(10),
    )
    row(
        "R1: two threads over one, one solve",
        ["r1_solves_5e-3"],
        ">= 1.8 x",
        lambda s: s["two_threads_over_one"]["one_solve"],
        at_least(1.8),
    )
    row(
        "R1: two threads over one, eight solves",
        ["r1_solves_5e-3"],
        ">= 1.8 x",
        lambda s: s["two_threads_over_one"]["eight_solves"],
        at_least(1.8),
    )
    for name in ("r1", "r3"):
        for index, threads in enumerate(("one thread", "two threads")):
            row(
                f"{name.upper()}: share of the limit, outer loop, {threads}",
                [f"{name}_limit"],
                ">= 70 %",
                lambda s, index=index: 100 * s[index]["share_of_outer_loop"],
                at_least(70),
                "{:.0f} %",
            )
    row("R5: n = 40,000, peak memory", ["r5_40000"], "<= 24 GiB", lambda s: s["peak_gib"], at_most(24), "{:.1f} GiB")
    sizes = [f"r5_{n}" for n in (5_000, 10_000, 20_000, 40_000)]
    row(
        "R5: exponent of n in the seconds an outer step, 5,000 to 40,000",
        sizes,
        "2",
        lambda *s: _slope(s),
        lambda x: abs(x - 2) <= 0.15,
        "{:.2f}",
    )
    row(
        "Multistart, R1, 100 starts: times POT (5, extrapolated)",
        ["multistart"],
        ">= 300 x",
        lambda r: r["pot_seconds_extrapolated"] / r["seconds"],
        at_least(300),
    )
    row(
        "Multistart: largest relative difference of loss from POT's, of 5 starts those that POT finished",
        ["multistart"],
        "<= 1e-4",
        lambda r: _apart(r["pot_sample"]),
        at_most(1e-4),
        "{:.1e}",
    )
    searches = sorted(name for name in got if name.startswith("search_"))
    for name in searches:
        r = got[name]
        row(
            f"Search, {r['pair']}, epsilon {r['epsilon']:g}: worst of {len(r['runs'])} seeds over {r['known']}",
            [name],
            "<= +0.2 %",
            lambda r: 100 * (r["worst_ratio"] - 1),
            at_most(0.2),
            "{:+.2f} %",
        )
    if searches:
        row(
            "Search: longest run",
            searches,
            "<= 60 s",
            lambda *rs: max(x["seconds"] for r in rs for x in r["runs"]),
            at_most(60),
            "{:.0f} s",
        )
    row("Polish, 1,854 objects", ["polished"], "<= 30 s", lambda r: r["seconds"], at_most(30), "{:.1f} s")
    row(
        "Polish: loss over the entropic plan's",
        ["polished"],
        "<= 1",
        lambda r: r["polished_loss"] / r["entropic_loss"],
        at_most(1),
        "{:.4f}",
    )
    row(
        "Polish: loss over that of POT's conditional gradient, same start",
        ["polished"],
        "<= 1",
        lambda r: r["polished_loss"] / r["pot_loss"],
        at_most(1 + 1e-9),
        "{:.6f}",
    )
    return table


def _times(run, ours):
    """POT's time to the fixed point over ours; None for a run of POT that failed, whose time would be that of something else."""
    if run["pot"]["failed"]:
        return None
    pot = run["pot"] if run["pot"]["converged"] else run["pot_extrapolated"]
    return pot["seconds"] / ours["seconds_a_start"]


def _apart(sample):
    """Largest relative difference of loss over the starts that POT brought to their fixed point; None when there is none."""
    arrived = [s for s in sample if s["pot"]["converged"] and not s["pot"]["failed"]]
    return max((abs(s["ours"] / s["pot"]["loss"] - 1) for s in arrived), default=None)


def _slope(sizes):
    n, s = np.log([[x["n"], x["seconds_a_step"]] for x in sizes]).T
    return float(np.polyfit(n, s, 1)[0])


def tabulate(table, results):
    """The page; also printed."""
    newest = max(results.values(), key=lambda r: r["measured_at"])
    machine = newest["machine"]
    lines = [
        "# Benchmarks",
        "",
        "Made by `make bench` from [benches/results](../benches/results); each file there holds machine, versions, losses, curves.",
        "[benches/cases.py](../benches/cases.py) says what is solved. Times are of a shared machine: read the ratios.",
        "",
        f"{machine['processor']}, {machine['cores']} cores; "
        + ", ".join(f"{k} {v}" for k, v in machine["versions"].items() if v)
        + f"; {newest['measured_at'][:10]}.",
        "",
        "| figure | measured | target | met |",
        "|---|---|---|---|",
    ]
    lines += [f"| {w} | {v} | {t} | {'' if met is None else 'yes' if met else 'no'} |" for w, v, t, met in table]
    lines += [
        "",
        *_solvers(results),
        *(f"![{p.stem}](figures/{p.name})\n" for p in sorted((DOCS / "figures").glob("bench_*.png"))),
    ]
    (DOCS / "benchmarks.md").write_text("\n".join(lines).rstrip() + "\n")
    width = max(len(w) for w, *_ in table)
    for what, value, target, met in table:
        print(f"{what:<{width}}  {value:>13}  {target:>10}  {'' if met is None else 'yes' if met else 'NO'}")


def _solvers(results):
    """R1 at 5e-3: seconds and loss of each solver."""
    got = {name: r["result"] for name, r in results.items()}
    if not {"r1_pot_5e-3", "r1_solves_5e-3"} <= set(got):
        return []
    pot, solves = got["r1_pot_5e-3"]["pot"], got["r1_solves_5e-3"]
    lines = [
        "R1, epsilon 5e-3, the same random start:",
        "",
        "| solver | seconds a start | outer steps | GW loss |",
        "|---|---|---|---|",
    ]
    lines.append(f"| POT, float64 | {pot['seconds']:.1f} | {pot['outer_steps']} | {pot['loss']:.6f} |")
    if "r1_torch" in got:
        t = got["r1_torch"]["torch"]
        lines.append(f"| plain torch, float32 | {t['seconds']:.1f} | {t['outer_steps']} | {t['loss']:.6f} |")
    if "r1_ott" in got:
        o = got["r1_ott"]["ott"]
        lines.append(
            f"| OTT-JAX, float32, at its default stop | {o['seconds']:.2f} | {o['outer_steps']} | {o['loss']:.6f} |"
        )
    for key, label in (("one", "gwrsa"), ("eight", "gwrsa, eight at once"), ("float64", "gwrsa, float64")):
        s = solves[key]
        lines.append(f"| {label} | {s['seconds_a_start']:.3f} | {s['outer_steps'][0]} | {s['losses'][0]:.6f} |")
    return [*lines, ""]


def draw(results):
    """All figures whose results are there."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    got = {name: r["result"] for name, r in results.items()}
    folder = DOCS / "figures"
    folder.mkdir(exist_ok=True)
    plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9, "savefig.dpi": 130})

    def save(figure, name):
        figure.tight_layout()
        figure.savefig(folder / f"bench_{name}.png")
        plt.close(figure)

    if "r1_limit" in got:
        figure, axes = plt.subplots(figsize=(6.8, 2.8))
        phases = ("products", "kernel", "sweeps", "summary")
        for i, run in enumerate(got["r1_limit"]):
            at = np.arange(len(phases)) + 0.4 * i
            axes.bar(
                at,
                [1e3 * run["seconds"][p] for p in phases],
                0.36,
                color=(BLUE, ORANGE)[i],
                alpha=0.45,
                label=f"{run['threads']} thread{'s' * i}: taken",
            )
            axes.bar(
                at,
                [1e3 * run["seconds_at_limit"][p] for p in phases],
                0.36,
                color=(BLUE, ORANGE)[i],
                label="at the limit",
            )
        axes.set_xticks(np.arange(len(phases)) + 0.2, phases)
        axes.set_ylabel("milliseconds a solve")
        axes.set_title("R1: time of the phases, and what flops and bytes would take")
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
        save(figure, "limit")
    sizes = [got[f"r5_{n}"] for n in (5_000, 10_000, 20_000, 40_000) if f"r5_{n}" in got]
    if len(sizes) > 1:
        figure, axes = plt.subplots(figsize=(4.2, 2.8))
        n = np.array([s["n"] for s in sizes])
        t = np.array([s["seconds_a_step"] for s in sizes])
        axes.loglog(n, t, "o-", color=BLUE, label="gwrsa, rank 66")
        axes.loglog(n, t[0] * (n / n[0]) ** 2, "--", color=GREY, label="n squared")
        axes.set_xticks(n, [f"{x:,}" for x in n])
        axes.minorticks_off()
        axes.set_xlabel("objects")
        axes.set_ylabel("seconds an outer step")
        axes.legend(frameon=False)
        save(figure, "size")
    if "r1_pot_5e-3" in got:
        figure, axes = plt.subplots(figsize=(5.2, 2.8))
        end = got["r1_pot_5e-3"]["pot"]["loss"]
        for name, key, colour, label in (
            ("r1_pot_5e-3", "pot", ORANGE, "POT"),
            ("r1_torch", "torch", GREEN, "plain torch"),
        ):
            if name in got:
                curve = [(s, loss) for s, loss, _ in got[name][key]["curve"] if loss]
                axes.loglog(
                    [s for s, _ in curve], [max(loss / end - 1, 1e-7) for _, loss in curve], color=colour, label=label
                )
        if "r1_ott" in got:
            o = got["r1_ott"]["ott"]
            axes.loglog(o["seconds"], o["loss"] / end - 1, "s", color=GREY, label="OTT, default stop")
        for key, marker in (("one", "o"), ("float64", "^")):
            s = got["r1_solves_5e-3"][key] if "r1_solves_5e-3" in got else None
            if s:
                axes.loglog(
                    s["seconds_a_start"],
                    max(s["losses"][0] / end - 1, 1e-7),
                    marker,
                    color=BLUE,
                    label="gwrsa" + (", float64" if key == "float64" else ""),
                )
        axes.set_xlabel("seconds")
        axes.set_ylabel("GW loss / final loss - 1")
        axes.set_title("R1, epsilon 5e-3: one start")
        axes.legend(frameon=False)
        save(figure, "one_start")
    if "loss_against_time" in got:
        r = got["loss_against_time"]
        figure, axes = plt.subplots(figsize=(5.2, 2.8))
        several = r["multistart"]
        seconds = np.cumsum(several["start_seconds"]) * several["seconds"] / np.sum(several["start_seconds"])
        losses = np.minimum.accumulate(several["start_losses"])
        axes.step(seconds, losses, where="post", color=ORANGE, label="gwrsa, random starts: lowest so far")
        # Its starts go down together: none has a loss at this epsilon before the end.
        axes.plot(r["anneal"]["seconds"], r["anneal"]["loss"], "*", ms=11, color=BLUE, label="gwrsa, anneal (defaults)")
        curve = _pot_curve(got, r["epsilon"])
        if curve:
            axes.plot(*zip(*curve, strict=True), "-.", color=GREEN, label="POT, one random start")
        axes.set_ylim(0.98 * min(r["anneal"]["loss"], losses[-1]), 1.1 * losses[0])
        axes.set_xscale("log")
        axes.set_xlabel("seconds")
        axes.set_ylabel("lowest GW loss")
        axes.set_title(f"R1, epsilon {r['epsilon']:g}: search")
        axes.legend(frameon=False)
        save(figure, "search")
    if "planted" in got:
        r = got["planted"]
        figure, axes = plt.subplots(figsize=(4.6, 2.8))
        noise = [x["noise"] for x in r["rows"]]
        axes.plot(
            noise,
            [100 * x["nearest_neighbour"] for x in r["rows"]],
            "--",
            color=GREY,
            label="nearest neighbour, told the frame",
        )
        axes.plot(noise, [100 * x["matching"] for x in r["rows"]], "o-", color=BLUE, label="gwrsa, without labels")
        axes.set_xlabel("noise, in units of the points' spread")
        axes.set_ylabel("objects found (%)")
        axes.set_title(f"A planted permutation, n = {r['n']}")
        axes.legend(frameon=False, loc="upper right")
        save(figure, "planted")
    ratios = [
        (what.replace(" to the fixed point", ""), float(value.split()[0]), target)
        for what, value, target, _ in rows(results)
        if "times" in what and value.endswith(" x")
    ]
    if ratios:
        figure, axes = plt.subplots(figsize=(6.4, 0.3 * len(ratios) + 1))
        at = np.arange(len(ratios))[::-1]
        axes.barh(at, [v for _, v, _ in ratios], 0.6, color=BLUE)
        for y, (_, _, target) in zip(at, ratios, strict=True):
            if target:
                bound = float(target.split()[1])
                axes.plot([bound, bound], [y - 0.4, y + 0.4], color=ORANGE, lw=2)
        axes.set_yticks(at, [w for w, _, _ in ratios])
        axes.set_xscale("log")
        axes.set_xlim(left=1)
        axes.set_xlabel("times faster (orange: target)")
        save(figure, "ratios")


def _pot_curve(got, epsilon):
    """(seconds, loss) of POT's way on R1 at this epsilon, where it was followed."""
    for name in (n for n in got if n.startswith("r1_pot_")):
        if float(name.removeprefix("r1_pot_")) == epsilon:
            return [(s, loss) for s, loss, _ in got[name]["pot"]["curve"] if loss is not None]
    return []


def main():
    """Draw, then write and print the table."""
    results = load()
    draw(results)
    tabulate(rows(results), results)


if __name__ == "__main__":
    main()
