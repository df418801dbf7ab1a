"""What `align(n_kicks=...)` gains: python benches/kicks.py [--every N ...] [--parts N] [--minutes M].

Every pair of `search_study` at epsilon 1e-3 on one object in `--every`: the lowest loss of the defaults, of three times as many starts, and
with 16 kicks, with their outer steps. Rows are added to benches/results/study/kicks.json; those that are there are not measured again.
"""

import argparse
import json
import os
import time

import gwrsa
from _machine import describe
from search_study import PAIRS, RESULTS, sides

SEARCHES = {"align": {}, "n_starts=24": {"n_starts": 24}, "n_kicks=16": {"n_kicks": 16}}


def measure(name, every, part, epsilon=1e-3):
    """One row: loss, outer steps and CPU seconds of each search."""
    row = {"pair": name, "every": every, "part": part, "epsilon": epsilon}
    pair = sides(name, every, part)
    for label, settings in SEARCHES.items():
        began = time.process_time()
        found = gwrsa.align(
            *pair, epsilon=epsilon, absolute=True, seed=part, workers=1, progress=False, **settings
        )
        row[label] = {
            "loss": found.lowest_loss.gw_loss,
            "init": found.lowest_loss.init,
            "steps": int(found.table["n_outer"].sum()),
            "top1": found.lowest_loss.matching[1],
            "cpu_seconds": round(time.process_time() - began, 2),
        }
    return row


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, nargs="*", default=[12, 4], help="one object in so many (default 12 4)")
    parser.add_argument("--parts", type=int, default=3, help="disjoint choices of objects, at most every (default 3)")
    parser.add_argument("--minutes", type=float, default=20, help="no row is begun after (default 20)")
    args = parser.parse_args()
    os.nice(19)
    began = time.monotonic()
    path = RESULTS / "kicks.json"
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    there = {(r["pair"], r["every"], r["part"]) for r in rows}
    for every in args.every:
        for part in range(min(args.parts, every)):
            for name in PAIRS:
                if (name, every, part) in there or time.monotonic() - began > 60 * args.minutes:
                    continue
                rows.append(measure(name, every, part))
                unfinished = path.with_suffix(".unfinished")
                unfinished.write_text(json.dumps({"machine": describe(), "rows": rows}, indent=1) + "\n")
                unfinished.replace(path)
                print(name, every, part, {k: round(rows[-1][k]["loss"], 6) for k in SEARCHES}, flush=True)


if __name__ == "__main__":
    main()
