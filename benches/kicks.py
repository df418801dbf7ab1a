"""What `align(n_kicks=...)` gains: python benches/kicks.py [--every N ...] [--parts N] [--minutes M].

Every pair of `search_study` at epsilon 1e-3 on one object in `--every`, and 60 planted points with noise at 0.03 of the critical
epsilon: the lowest loss of the defaults, of three times as many starts, and with 16 kicks, with their outer steps. Rows are added to
benches/results/study/kicks.json; those that are there are not measured again.
"""

import argparse
import json
import time

import numpy as np

import gwrsa
from _machine import describe
from _results import write
from search_study import PAIRS, RESULTS, sides

SEARCHES = {"align": {}, "n_starts=24": {"n_starts": 24}, "n_kicks=16": {"n_kicks": 16}}


PLANTED, N_PLANTED = "planted, noise 0.5", 10


def planted(seed):
    """Uniform points in six dimensions, and the same with noise of 0.5 of a coordinate's range, turned: distances."""
    rng = np.random.default_rng(seed)
    x = rng.random((60, 6))
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    y = (x + 0.5 / 12**0.5 * rng.standard_normal(x.shape)) @ turn
    return tuple(gwrsa.Embedding(v).rdm("euclidean") for v in (x, y))


def measure(name, every, part):
    """One row: loss, outer steps and CPU seconds of each search."""
    row = {"pair": name, "every": every, "part": part}
    pair = planted(part) if name == PLANTED else sides(name, every, part)
    at = {"epsilon": 0.03} if name == PLANTED else {"epsilon": 1e-3, "absolute": True}
    for label, settings in SEARCHES.items():
        began = time.process_time()
        found = gwrsa.align(*pair, **at, seed=part, workers=1, progress=False, **settings)
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
    began = time.monotonic()
    path = RESULTS / "kicks.json"
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    there = {(r["pair"], r["every"], r["part"]) for r in rows}
    wanted = [(PLANTED, 1, seed) for seed in range(N_PLANTED)]
    wanted += [(name, n, part) for n in args.every for part in range(min(args.parts, n)) for name in PAIRS]
    for row in wanted:
        if row in there or time.monotonic() - began > 60 * args.minutes:
            continue
        rows.append(measure(*row))
        write(path, {"machine": describe(), "rows": rows})
        print(*row, {k: round(rows[-1][k]["loss"], 6) for k in SEARCHES}, flush=True)


if __name__ == "__main__":
    main()
