"""Does another way to search find a lower loss? python benches/search_study.py [--every N] [--parts N] [--minutes M] [--only NAME ...].

`align`'s starts are solved first. Then each way of `search_ways` gets the same number of outer steps again, from the lowest plan or from
scratch; those that go on from a plan also have to escape from the lowest of the *other* basins. "more starts" is the control: the
portfolio continued. Every fourth object (`--every 4`, from the first, second ...: parts) makes problems of which many can be solved;
`--every 1` takes all 1,854. A JSON file a pair in benches/results, resumed level by level, on one thread.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

import cases
from _machine import describe
from _results import write
from gwrsa import schedule
from search_ways import FROM_A_PLAN, WAYS, Pair

RESULTS = Path(__file__).parent / "results" / "study"

# Source, target, and whether the target's dissimilarities are histogram-matched to the source's.
PAIRS = {
    "spose66 vs CLIP, histogram-matched": ("human_spose66", "model_clip_vitb32", True),
    "spose66 vs CLIP, raw": ("human_spose66", "model_clip_vitb32", False),
    "group1 vs group2, raw": ("human_group1", "human_group2", False),
    "male vs female, raw": ("human_male", "human_female", False),
    "spose66 vs MiniLM, histogram-matched": ("human_spose66", "model_minilm_definition", True),
    "spose66 vs MiniLM, raw": ("human_spose66", "model_minilm_definition", False),
    "female vs CLIP, raw": ("human_female", "model_clip_vitb32", False),
}


def sides(name, every, part):
    """Source and target on every so-manieth object."""
    source, target, matched = PAIRS[name]
    source, target = (cases.embedding(side) for side in (source, target))
    chosen = source.items[part::every]
    source, target = source.select(chosen), target.select(chosen)
    return (source.rdm(), target.rdm().match_histogram(source.rdm())) if matched else (source, target)


def portfolio(pair):
    """Ends of `align`'s starts, the lowest first, and their steps."""
    planned = schedule.plan("anneal", pair.epsilon, None, 0, critical=pair.critical, absolute=True)
    pair.steps = 0
    ends = pair.solve([(start.init, start.epsilons) for start in planned], tol=1e-5, max_outer=1000)
    return sorted(ends, key=lambda end: end.gw_loss), pair.steps


def spend(pair, way, known, budget, seed):
    """`budget` outer steps on a way; the lowest loss, the steps to it, and what was spent."""
    rng = np.random.default_rng([seed, len(way)])
    began, pair.steps = time.process_time(), 0
    ends, trials, at = list(known), 0, 0
    lowest = ends[0].gw_loss if way in FROM_A_PLAN else np.inf
    for start in WAYS[way](pair, ends, rng):
        if pair.steps >= budget:
            break
        end = pair.solve([start])[0]
        trials += 1
        if end.status != "numerical_error" and end.gw_loss < lowest * (1 - 1e-5):
            lowest, at = end.gw_loss, pair.steps
            if way in FROM_A_PLAN:
                ends.insert(0, end)
    return {
        "way": way,
        "loss": float(lowest) if np.isfinite(lowest) else None,
        "steps_to_it": at,
        "steps": pair.steps,
        "trials": trials,
        "cpu_seconds": round(time.process_time() - began, 2),
    }


def level(source, target, epsilon, seed):
    """All ways on a pair at one epsilon."""
    pair = Pair(source, target, epsilon)
    began = time.process_time()
    ends, budget = portfolio(pair)
    out = {
        "epsilon": epsilon,
        "critical_epsilon": pair.critical,
        "n": pair.n,
        "align": {
            "loss": ends[0].gw_loss,
            "steps": budget,
            "cpu_seconds": round(time.process_time() - began, 2),
            "basins": sorted({round(end.gw_loss, 6) for end in ends}),
        },
        "runs": [spend(pair, way, ends, budget, seed) for way in WAYS],
    }
    others = [end for end in ends if end.gw_loss > ends[0].gw_loss * (1 + 1e-3)]
    if others:
        runs = [spend(pair, way, others, budget, seed) for way in WAYS if way in FROM_A_PLAN]
        out["escape"] = {"from": others[0].gw_loss, "runs": runs}
    return out


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=4, help="one object in so many (default 4)")
    parser.add_argument("--parts", type=int, default=2, help="disjoint choices of objects, at most --every (default 2)")
    parser.add_argument("--minutes", type=float, default=30, help="no level is begun after (default 30)")
    parser.add_argument("--only", nargs="*", default=None, help="beginnings of the names of pairs")
    args = parser.parse_args()
    os.nice(19)
    began = time.monotonic()
    for part in range(min(args.parts, args.every)):
        for epsilon in cases.SEARCH_EPSILONS[::-1]:
            for name in PAIRS:
                if args.only is not None and not any(name.startswith(o) for o in args.only):
                    continue
                path = RESULTS / f"{''.join(c if c.isalnum() else '_' for c in name)}.json"
                found = json.loads(path.read_text()) if path.exists() else {"pair": name, "levels": {}}
                key = f"every {args.every}, part {part}, epsilon {epsilon:g}"
                if key in found["levels"]:
                    continue
                if time.monotonic() - began > 60 * args.minutes:
                    print("time is up; call again to go on")
                    return
                found["machine"] = describe()
                found["levels"][key] = level(*sides(name, args.every, part), epsilon, part)
                write(path, found)
                print(f"{name}, {key}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
