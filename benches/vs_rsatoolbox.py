"""RSA beside rsatoolbox: the same two RDMs of 1,854 objects (1,717,731 pairs), all six methods, numbers and seconds.

python benches/vs_rsatoolbox.py [--objects N] [--repeats R]      (writes results/rsatoolbox.json and the table of its page)

Human against CLIP, cosine distances. Each method is computed by both in turn; the first call of either is not counted. Both use one thread.
`tied`: the difference of both where dissimilarities are rounded to two decimals, so that most pairs are tied.
"""

import argparse
import json
import os
import re
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

import gwrsa
from _results import FOLDER, save
from cases import embedding

PAGE = Path(__file__).resolve().parents[1] / "docs" / "from-rsatoolbox.md"
BETWEEN = re.compile(r"(<!-- measured -->\n)(.*?)(\n<!-- /measured -->)", re.DOTALL)
METHODS = ("corr", "cosine", "spearman", "rho-a", "kendall", "tau-a")


def measured(a, b, method, repeats):
    """Both values, and the seconds of each repeat of both, in turn."""
    from rsatoolbox.rdm import compare

    theirs, ours = (a.to_rsatoolbox(), b.to_rsatoolbox()), (a, b)
    calls = {"gwrsa": lambda: gwrsa.rsa(*ours, method), "rsatoolbox": lambda: float(compare(*theirs, method)[0, 0])}
    values, seconds = {}, {name: [] for name in calls}
    for i in range(repeats + 1):
        for name, call in calls.items():
            began = time.perf_counter()
            values[name] = call()
            if i:
                seconds[name].append(round(time.perf_counter() - began, 4))
    return {"values": values, "seconds": seconds, "difference": abs(values["gwrsa"] - values["rsatoolbox"])}


def load():
    """What was measured."""
    return json.loads((FOLDER / "rsatoolbox.json").read_text())


def table(measured):
    """As the page shows it."""
    found = measured["result"]
    times = "; times under load: only their ratio says something" if found["load_before"] > 1 else ""
    size = f"{found['objects']:,} objects, {found['pairs']:,} pairs, human against CLIP"
    where = f"one thread of an {measured['machine']['processor']}, load {found['load_before']}{times}"
    repeats = len(found["methods"]["corr"]["seconds"]["gwrsa"])
    lines = [
        f"{size}; median of {repeats} runs in turn, {where}; rsatoolbox {found['rsatoolbox']}.",
        "",
        "| method | RSA | difference | with ties | gwrsa, s | rsatoolbox, s |",
        "|---|---|---|---|---|---|",
    ]
    for method, row in found["methods"].items():
        ours, theirs = (np.median(row["seconds"][name]) for name in ("gwrsa", "rsatoolbox"))
        lines.append(
            f"| {method} | {row['values']['gwrsa']:.10f} | {row['difference']:.0e} | {row['tied']:.0e} | {ours:.2f} | {theirs:.2f} |"
        )
    return "\n".join(lines)


def main():
    """Measure all six, print a table, write it down."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--objects", type=int, help="so many, drawn at random; by default all 1,854")
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--table", action="store_true", help="write the table of what was measured into the page only")
    given = options.parse_args()
    if not given.table:
        measure(given)
    page = PAGE.read_text()
    PAGE.write_text(BETWEEN.sub(lambda found: found[1] + table(load()) + found[3], page))


def measure(given):
    """Both packages in turn."""
    a, b = (embedding(name, given.objects).rdm() for name in ("human_spose66", "model_clip_vitb32"))
    tied = [gwrsa.RDM(np.round(side.dissimilarities, 2)) for side in (a, b)]
    out, load = {}, os.getloadavg()[0]
    print(f"{'method':<10}{'gwrsa':>14}{'difference':>12}{'tied':>12}{'gwrsa, s':>10}{'rsatoolbox, s':>15}")
    with threadpool_limits(1):
        for method in METHODS:
            found = out[method] = measured(a, b, method, given.repeats)
            found["tied"] = measured(*tied, method, 0)["difference"]
            ours, theirs = (float(np.median(found["seconds"][name])) for name in ("gwrsa", "rsatoolbox"))
            print(
                f"{method:<10}{found['values']['gwrsa']:>14.10f}{found['difference']:>12.1e}{found['tied']:>12.1e}{ours:>10.3f}{theirs:>15.3f}",
                flush=True,
            )
    print(
        save(
            "rsatoolbox",
            {
                "objects": len(a),
                "pairs": len(a.dissimilarities),
                "rsatoolbox": version("rsatoolbox"),
                "load_before": round(load, 2),
                "methods": out,
            },
        )
    )


if __name__ == "__main__":
    main()
