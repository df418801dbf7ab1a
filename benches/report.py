"""docs/benchmarks.md and its figures, from the JSON of benches/results."""

import json
from pathlib import Path

import agreement
from figures import draw
from table import SIZES, all_shards
from targets import SHARE, rows

HERE = Path(__file__).parent


# Name, the two sides, their dissimilarities.
PROBLEMS = (
    ("R1", "human_spose66 and CLIP ViT-B/32, 1,854 THINGS objects", "cosine, histogram-matched"),
    ("R2", "the same", "cosine"),
    ("R3", "human_male and human_female, 1,854 THINGS objects", "Euclidean"),
    ("R4", "200 objects of R1, drawn at random; 1,000 starts", "cosine, histogram-matched"),
    ("R5", f"simulated embeddings of rank 66, {SIZES[0]:,} to {SIZES[-1]:,} objects", "cosine"),
    ("R6", "1,000 points and their noisy permutation", "Euclidean, made asymmetric and of full rank"),
)

# Of the tables of measured figures: heading, words by which its rows are known (the first that fits), what a row is.
GROUPS = {
    "Times POT": (
        (": times POT",),
        """\
POT's seconds over gwrsa's, from the same start. To the fixed point: until it stands still, each by a measure of its own; to the same loss:
until the loss is first that of the fixed point. Where POT was cut off the rest of its time is extrapolated, by steps that gwrsa counts.""",
    ),
    "Times other solvers": (
        (": times ",),
        """\
Their seconds over gwrsa's, from the same start. Against OTT gwrsa is stopped by an oracle, at OTT's loss ([why](#how-to-read-it));
its own stop is in brackets.""",
    ),
    "Use of the machine": (
        ("two threads over one", "share of the limit"),
        """\
Seconds on one thread over seconds on two; and the time that this machine would need at least for the arithmetic and the memory traffic,
over the time taken. The target of a share is that of the outer loop alone: what a solve does before and after it is in brackets, counted
with its whole time. Shares below 70 % are named [below](#share-of-the-limit), also those without a target.""",
    ),
    "Growth with the number of objects": (
        ("R5",),
        "How the time of an outer step grows: 2 is a time that quadruples where the objects double.",
    ),
    "Losses and times of searches": (
        ("Search", "Multistart"),
        """\
How far the worst seed of a search ends above the lowest loss that was known before, which is in the row (below 0: a lower one was found).
Of the eight starts of a search six are the same for every seed. Where one of them finds the lowest loss, ten seeds that end at one loss are
one find and not ten: they show that the two others found nothing lower.
spose66, group1, group2, male and female are human embeddings of THINGS, fitted to the answers of all people or of some.""",
    ),
    "Polishing": (
        ("Polish",),
        "From the entropic plan of lowest loss down to a permutation: by Frank-Wolfe, as POT's conditional gradient, and then by swaps.",
    ),
    "Others": (("",), "What is in none of these groups."),
}

# Of each picture, by its name: what it is called; how it is read.
PICTURES = {
    "ratios": """\
Times faster than other solvers; on a logarithmic scale. Blue: there is a target, which is the orange line. Grey: there is none.
Hatched: POT was cut off, and its time to the end is extrapolated. Left out: what is not known to have come to the same end.""",
    "one_start": """\
Loss of one start against time; its distance from that of POT at its fixed point: the lower left is better. gwrsa is a point, its end,
with building the problem; what is nearer than 1e-7 is drawn there.""",
    "limit": """\
Time of each phase; what it takes in a solve (pale), and what its arithmetic and memory traffic would take at the measured peaks (full).
The number is the share.""",
    "size": """\
Time of an outer step against the number of objects; beside what its arithmetic and memory traffic would take at the measured peaks, and a
line that grows as the square.""",
    "search": """\
Lowest loss against time; gwrsa's default search, a star where it ends; random starts one after the other; POT on the same starts,
each at the time of the first of them, though they differ, and with the loss that gwrsa ends at.""",
    "planted": """\
Objects found of a planted permutation; the target is the source in another order, with noise. Beside what is found without labels: what
the nearest neighbour finds that is told the common frame.""",
    "planted_limits": """\
Objects found of planted points, blocks and ring; of a block any object counts, of the ring any of its symmetries. Beside what is found
without labels: what is reached from the answer itself, and by chance.""",
}


def load(folder=HERE / "results"):
    """Every record of `run`, by name; one without "result" says why. What other scripts leave there has no time of measurement."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    return {name: record for name, record in found.items() if "measured_at" in record}


def page(table, results, figures):
    """The page as text."""
    got = {name: r["result"] for name, r in results.items() if "result" in r}
    newest = max(results.values(), key=lambda r: r["measured_at"])
    machine = newest["machine"]
    judged = [row for row in table if row.target]
    without = sum(row.number is None for row in judged)
    resting = sum(bool(row.met and row.extrapolated) for row in judged)
    lines = [
        "# Benchmarks",
        "",
        "Made by `make bench` from [benches/results](../benches/results); each file there holds machine, versions, losses, curves.",
        "[benches/cases.py](../benches/cases.py) says what is solved. Times are of one machine: read the ratios. Targets are",
        "this project's own.",
        "",
        f"{machine['processor']}, {machine['cores']} cores; "
        + ", ".join(f"{k} {v}" for k, v in machine["versions"].items() if v)
        + f"; {newest['measured_at'][:10]}. {sum(r.met for r in judged)} of {len(judged)} targets are met"
        + (f"; {resting} of these by a time of POT that is extrapolated" if resting else "")
        + (f"; {without} have no figure." if without else "."),
        "",
        "## The problems",
        "",
        "| problem | source and target | dissimilarities |",
        "|---|---|---|",
        *(f"| {' | '.join(problem)} |" for problem in PROBLEMS),
        "",
        "## Every figure beside its target",
        "",
        "Rows without a target are there to be read beside the others; what the words mean exactly is [below](#how-to-read-it).",
        "",
        *_groups(table),
    ]

    def pictures(*names):
        """Those that were drawn."""
        for name in names:
            if (figures / f"bench_{name}.png").is_file():
                called, read = PICTURES[name].split("; ", 1)
                lines.extend([f"![{called}](figures/bench_{name}.png)", "", f"*{called}*: {read}", ""])

    pictures("ratios")
    lines += [*_missed(table), *_notes(got)]
    for section, names in (
        (_solvers, ("one_start",)),
        (agreement.section, ()),
        (_plain_steps, ()),
        (_phases, ("limit",)),
        (_sizes, ("size",)),
        (_searches, ("search", "planted", "planted_limits")),
    ):
        lines += _unless_older(section, got)
        pictures(*names)
    lines += _records(results, newest)
    return "\n".join(lines).rstrip() + "\n"


def _groups(table):
    """A table a group, each row in the first that fits it."""
    of = {row: next(g for g, (words, _) in GROUPS.items() if any(word in row.what for word in words)) for row in table}
    lines = []
    for heading, (_, said) in GROUPS.items():
        mine = [f"| {r.what} | {r.measured} | {r.target} | {_met(r)} |" for r in table if of[r] == heading]
        if mine:
            lines += [
                f"### {heading}",
                "",
                said,
                "",
                "| what | measured | target | met |",
                "|---|---|---|---|",
                *mine,
                "",
            ]
    return lines


def _unless_older(section, got):
    """Its lines; a file of an older form, which lacks a figure, leaves a word instead."""
    try:
        return section(got)
    except KeyError as key:
        return [f"{section.__doc__} Not shown: a file is of an older form, without {key}.", ""]


def _met(row):
    return "" if row.met is None else "yes" if row.met else "no"


NOTES = """\
## How to read it

- A ratio counts all that gwrsa does from two arrays or embeddings in memory, also finding ranks and factoring costs; in brackets the
  solve alone, for a problem that is built once and solved often. Eight at once share one building, and are the mean of starts 0 to 7, held
  against POT's start 0. All run on two threads. A solve of gwrsa is the median of two to five runs; many starts, and the other solvers, run
  once, OTT once compiled. Torch and OTT compute in float32, POT in float64, gwrsa in mixed precision where float64 is not said.
- Inner loops: POT solves its own to its default, a Euclidean norm of 1e-9 (R3: 1e-7); gwrsa and the plain torch theirs to a tenth of the
  last outer change, an L1 error of about 3e-6 at the closest. So part of each ratio to POT is closeness that the end does not need; that to
  the plain torch is without it.
- The fixed point: a relative change of at most 1e-5 in an outer step, but not of the same thing on both sides. POT and the plain torch are
  stopped by this bench, at the change of the plan (POT by itself would go on, to an absolute change of 1e-9). gwrsa stops by its own rule,
  at the change of the summary from which the next step is made ([method](method.md)): of the plan only where no side has a low rank,
  otherwise of its product with the factor of one side; relative to the summary or, near the uniform plan, to a hundredth of its scale; and
  only with marginals as good. Of the same plain steps gwrsa's rule ends a little earlier. What is known of the difference: {agree}
  ([losses](#losses-at-the-ends-that-are-compared)). How far apart the plans then are is not measured.
- The same loss: within 1e-4 of that of the fixed point, at the first step of either side that has it, where neither would stop by itself.
- POT cut off: its steps to the fixed point are counted by the same plain iteration made by gwrsa in float64{check}. Those that it did not
  make are charged at the mean of the last quarter that it made, which errs in POT's favour where its Sinkhorn goes on slowing down (R3),
  and against it where that would become quicker.
  Where its Sinkhorn ends without its marginals (R6) its iteration is another, and the number of steps an estimate that can err either way.
- Many starts: POT runs five, one after the other, their numbers spread over all (R4: the first five), and their mean stands for
  all{drawn}. A start at a low epsilon takes several times as long as one at a high one, so this can err either way.
- Multistart's losses are judged by those starts alone that POT brought to their end itself, and met only if these are all. Where POT was
  cut off there is no loss of its own: what gwrsa found is held against the end of the plain iteration as gwrsa makes it, in float64.
- R5: what is aimed at is an outer step whose cost grows as n^2. It is measured as the slope of log seconds over log n; 2.15 is the
  tolerance set for it. Sweeps a step, which differ from size to size, are in it; in brackets the slope at equally many.
- Searches: of the eight starts of a search two, co-clusters and the random one, differ from seed to seed. Where all seeds end at one
  loss, a start that is the same for all found it, as the row says: that ten seeds agree is then no sign of how surely it is found.
- OTT ends by its own test. For the figure gwrsa is stopped by an oracle: its time is that of the shortest solve whose loss is at most 1e-4
  above that of OTT's end, and how many steps that takes was found by trying (bisection). Nobody who does not know that loss could stop
  there: this favours gwrsa, and it is what the target is judged by. In brackets is what a user waits for, gwrsa's own stop{ends}.
- OTT's low-rank solver cannot take a plan as its start, only factors of its own, and has no epsilon in common with the others. It is in
  the table below, from its own random initialiser and with the loss of what it finds, and in no ratio. Its default of at least 10,000
  iterations is cut, in its favour in time and against it in loss.
- Share of the limit: flops over the measured peak of matrix products plus bytes over the measured bandwidth, over the time taken.
"""


# What was tried for rows that begin so; the figures are those of docs/method.md.
FASTER = """\
Anderson acceleration for over-relaxation in the inner loop (CPU time of R1 at 1e-3 5 % less, at 5e-3 and of R6 the same, of R3 more);
  the dense cost cut to rank 128 (one solve of R1 slower, 30 random starts as before)"""
FULL_RANK = """\
a step is four products of n x n matrices, made at nine tenths of the rate of a product alone, so that only fewer steps would help; the way
  has few straight parts (steps made longer from a cosine of 0.6 on instead of 0.8: no end within 1,000)"""
ONE_SOLVE = """\
on straight parts of the way every second step five times as long (a seventh fewer steps; momentum since); the dense cost centred on all
  threads in one pass"""
GROWTH = """\
rows padded to cache lines, which makes steps of 5,000 and 10,000 objects quicker, whose kernels the last cache holds here, and those of
  20,000 and 40,000 not; rows of more than 16,000 taken by fours and by twos in a sweep (a sweep of 40,000 objects a fifth quicker: kept);
  huge pages (no gain), the kernel formed tile by tile (3 %, not kept)"""
NOT_WAITED = """\
nothing: POT is not waited for where it takes longer than the limit of a start, and gwrsa's own iteration is no judge of gwrsa"""
SHARES = """\
products by tiles of our own in AVX-512, which fetch what they read next while they multiply and copy it on the way (R1's products and
  summaries a third quicker; kept); besides them, fetching ahead in sweeps, sweeps by fours, huge pages, fewer rows a task, terms of a sum
  by 64 to 512, a right side taken as it lies (no gain). On a machine of 190 Gflop/s a core and a last cache of 480 MiB, before momentum
  came into the outer loop and these tiles into the products, R1 was at 77 % on one thread and 75 % on two, R3 at 81 % and 77 %"""
TRIED = (
    (("R1: share", "R3: share"), SHARES),
    ("R5: exponent", GROWTH),
    (("R1, epsilon", "Multistart, R1"), FASTER),
    ("R6", FULL_RANK),
    ("Multistart: largest", NOT_WAITED),
    ("R1: times OTT", ONE_SOLVE),
)


def _missed(table):
    """Of each target that is not met, what was tried."""
    missed = [row.what for row in table if row.met is False]
    if not missed:
        return []
    tried = {}
    for what in missed:
        text = next((text for begins, text in TRIED if what.startswith(begins)), "nothing that is on record")
        tried.setdefault(text, []).append(what)
    lines = [f"- {'; '.join(whats)}: {text}." for text, whats in tried.items()]
    return ["## Not met", "", "What was tried without enough of a gain ([method](method.md)):", "", *lines, ""]


def _notes(got):
    """How the figures are to be read."""
    known = got.get("r1_pot_5e-3", {})
    counted, check = known.get("plain_steps"), ""
    if counted:
        check = f" (R1, epsilon 5e-3: {counted['outer_steps']} so counted, {known['pot']['outer_steps']} of POT itself)"
    many, drawn = got.get("multistart", {}), ""
    if "epsilons" in many:
        of = ", ".join(f"{s['epsilon']:.2g}" for s in many["pot_sample"])
        drawn = f" (multistart: of epsilon {of}, all are drawn between {min(many['epsilons']):.2g} and {max(many['epsilons']):.2g})"
    ends = ""
    if {"r1_ott", "r1_solves_5e-3"} <= set(got):
        ours, theirs = got["r1_solves_5e-3"]["one"]["losses"][0], got["r1_ott"]["ott"]["loss"]
        ends = f" (loss {ours:.6f}, OTT's {theirs:.6f})"
    apart, of = agreement.largest_apart(got)
    agree = "nothing here"
    if of:
        agree = f"the losses of the {of} starts that POT brought to their end differ by at most {apart:.1e}"
    return [*NOTES.format(check=check, drawn=drawn, ends=ends, agree=agree).splitlines(), ""]


def _solvers(got):
    """R1 at 5e-3: seconds and loss of each solver."""
    if not {"r1_pot_5e-3", "r1_solves_5e-3"} <= set(got):
        return []
    pot, solves = got["r1_pot_5e-3"]["pot"], got["r1_solves_5e-3"]
    lines = [
        "## One start, solver by solver",
        "",
        "R1 at epsilon 5e-3, each from the same random start but the low-rank solver. gwrsa and OTT end by their own tests, POT and",
        "the plain torch where this bench ends them, at a relative change of the plan of 1e-5. The seconds of gwrsa are without",
        "building the problem.",
        "",
        "| solver | seconds a start | outer steps | GW loss |",
        "|---|---|---|---|",
        f"| POT, float64 | {pot['seconds']:.1f} | {pot['outer_steps']} | {pot['loss']:.6f} |",
    ]
    if "r1_torch" in got:
        t = got["r1_torch"]["torch"]
        lines.append(f"| plain torch, float32 | {t['seconds']:.1f} | {t['outer_steps']} | {t['loss']:.6f} |")
    if "r1_ott" in got:
        o, low = got["r1_ott"]["ott"], got["r1_ott"]["low_rank"]
        lines += [
            f"| OTT-JAX, float32, at its default stop | {o['seconds']:.2f} | {o['outer_steps']} | {o['loss']:.6f} |",
            f"| OTT-JAX, low-rank, its own start, no entropy | {low['seconds']:.1f} | {low['iterations']} | {low['loss']:.6f} |",
        ]
    for key, label in (("one", "gwrsa"), ("eight", "gwrsa, eight at once"), ("float64", "gwrsa, float64")):
        s = solves[key]
        lines.append(f"| {label} | {s['seconds_a_start']:.3f} | {s['outer_steps'][0]} | {s['losses'][0]:.6f} |")
    return [*lines, f"| (gwrsa: building the problem, once) | {solves['building']:.3f} | | |", ""]


def _plain_steps(got):
    """POT's steps, counted and made."""
    lines = [
        "## Outer steps to the fixed point",
        "",
        "How many steps POT made, how many the same plain iteration needs, and how many gwrsa. Where POT was cut off, its plan is compared",
        "with that of the plain iteration after as many steps: their difference over their size.",
        "",
        "| problem | POT made | plain iteration, counted | gwrsa | plans apart where POT was stopped | POT's s a late step |",
        "|---|---|---|---|---|---|",
    ]
    for name in agreement.POT_RUNS:
        if name not in got or got[name]["pot"]["failed"]:
            continue
        r = got[name]
        pot, end = r["pot"], r.get("pot_extrapolated") or r["plain_steps"]
        made = f"{pot['outer_steps']}{'' if pot['converged'] else ', cut off'}"
        counted = "over 4,000" if end is None else end["outer_steps"]
        apart = f"{end['plans_apart_where_stopped']:.1e}" if end and "plans_apart_where_stopped" in end else ""
        steps = r["ours"]["outer_steps"][0]
        lines.append(
            f"| {agreement.problem(name)} | {made} | {counted} | {steps} | {apart} | {pot['seconds_a_late_step']:.2f} |"
        )
    return [*lines, ""]


def _phases(got):
    """Share of the limit a phase."""
    lines = [
        "## Share of the limit",
        "",
        "By phase: products with the costs, the kernel with its first sweep, the other sweeps, the summary of the new plan. Above 100 %",
        "the kernel is read faster than the bandwidth that was measured.",
        "",
        *_low_shares(got),
        "| problem | threads | products | kernel | sweeps | summary | outer loop | with start and evaluation | peak |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in ("r1_limit", "r3_limit"):
        for run in got.get(name, ()):
            shares = [run["share"].get(p) for p in ("products", "kernel", "sweeps", "summary")]
            whole = [run["share_of_outer_loop"], run["share_with_start_and_evaluation"]]
            cells = " | ".join("" if s is None else f"{100 * s:.0f} %" for s in (*shares, *whole))
            peak = f"{run['peak']['gflops']:.0f} Gflop/s, {run['peak']['gb_per_s']:.0f} GB/s"
            lines.append(f"| {name[:2].upper()} | {run['threads']} | {cells} | {peak} |")
    return [*lines, ""]


def _low_shares(got):
    """What is below the share that is asked of the outer loops of R1 and R3."""
    both = [(name[:2].upper(), run) for name in ("r1_limit", "r3_limit") for run in got.get(name, ())]
    runs = {f"{name}, threads: {run['threads']}": run for name, run in both}
    runs |= {f"R5, {n:,} objects": got[f"r5_{n}"]["limit"] for n in SIZES if f"r5_{n}" in got}
    lines = []
    for said, key in (("outer loop", "share_of_outer_loop"), ("whole solve", "share_with_start_and_evaluation")):
        low = [f"{what}: {100 * run[key]:.0f} %" for what, run in runs.items() if 100 * run[key] < SHARE]
        if low:
            lines += [f"Below {SHARE} % of the limit, {said}: {'; '.join(low)}.", ""]
    return lines


def _sizes(got):
    """R5 a size."""
    sizes = sorted((got[name] for name in got if name.startswith("r5_")), key=lambda s: s["n"])
    if not sizes:
        return []
    lines = [
        "## Growth with the number of objects, size by size",
        "",
        f"R5, 10 outer steps; the last cache is {sizes[0]['cache_mib']:.0f} MiB (a virtual machine may share it with others).",
        "",
        (
            "| n | kernel, MiB | seconds an outer step | sweeps a step | GB/s measured at this size "
            "| share of the limit (with start and evaluation) | peak memory, GiB |"
        ),
        "|---|---|---|---|---|---|---|",
    ]
    for s in sizes:
        limit = s["limit"]
        outer, whole = (100 * limit[key] for key in ("share_of_outer_loop", "share_with_start_and_evaluation"))
        lines.append(
            f"| {s['n']:,} | {s['kernel_mib']:.0f} | {s['seconds_a_step']:.3g} | {limit['sweeps'] / limit['outer_steps']:.1f} "
            f"| {s['peak']['gb_per_s']:.0f} | {outer:.0f} % ({whole:.0f} %) | {s['peak_gib']:.2f} |"
        )
    return [*lines, ""]


def _searches(got):
    """What a search finds."""
    if not {"loss_against_time", "planted", "planted_limits"} & set(got):
        return []
    return ["## What a search finds", "", "Against time, and against an answer that is known.", ""]


def _core(record):
    return record.get("key", {}).get("core")


def _records(results, newest):
    """What is not there, and what is of another build than the newest."""
    wanted = [s.name for s in all_shards()]
    missing = [n for n in wanted if n not in results]
    bad = [
        f"- `{n}`: {results[n]['status']}: {results[n]['reason']}"
        for n in wanted
        if n in results and "result" not in results[n]
    ]
    older = [n for n in wanted if n in results and _core(results[n]) != _core(newest)]
    seconds = sum(r.get("took_seconds", 0) for r in results.values())
    lines = ["## The measurements", "", f"All {len(results)} measurements took {seconds / 60:.0f} minutes.", ""]
    if bad:
        lines += ["Failed or given up:", "", *bad, ""]
    if missing:
        lines += ["Not measured: " + _files(missing) + ".", ""]
    if older:
        lines += ["Of an older build of the core: " + _files(older) + ".", ""]
    return lines


def _files(names):
    return ", ".join(f"`{name}`" for name in names)


def main(folder=HERE / "results", docs=HERE.parent / "docs"):
    """Draw, then write and print the table."""
    results = load(folder)
    if not results:
        print(f"nothing in {folder}")
        return
    table = rows(results)
    draw(results, docs / "figures")
    (docs / "benchmarks.md").write_text(page(table, results, docs / "figures"))
    width = max(len(row.what) for row in table)
    for row in table:
        print(f"{row.what:<{width}}  {row.target:>10}  {_met(row).replace('no', 'NO'):>3}  {row.measured}")


if __name__ == "__main__":
    main()
