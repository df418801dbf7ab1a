"""What docs/cluster.md says of benches/results/cluster_*.json, in words and a table: python benches/cluster_words.py."""

import json
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
NAMES = ("speed", "whole", "small", "store")
# Of `speed`, in the order of the table.
WAYS = {
    "one process of one thread": "one process",
    "Dask, one worker of one thread": "dask, 1",
    "Dask, two workers of one thread": "dask, 2",
    "`gwrsa study --workers 1`": "gwrsa study --workers 1",
    "two of it at once, that share a folder": "two of it at once",
    "`gwrsa study --workers 2`": "gwrsa study --workers 2",
    "`gwrsa study`: one process of two threads": "gwrsa study, two threads",
}


def speed(found):
    """The ways to compute six models."""
    table = ["| | units | whole run |", "|---|---|---|"]
    for label, name in WAYS.items():
        of = found["seconds"][name]
        units = f" {of['units']:.1f} " if "units" in of else " "
        table.append(f"| {label} |{units}| {of['whole']:.1f} |")
    two, plain, over = (
        found[name] for name in ("speedup_of_two_workers", "speedup_of_two_processes", "overhead_of_dask")
    )
    said = (
        f"Two workers do the units at {two['units']:.2f} times the speed of one ({two['cpu_units']:.2f} by processor time), and the whole "
        f"run at {two['whole']:.2f}; two processes without an engine are {plain['whole']:.2f} times as fast as one. Dask costs "
        f"{over['units']:.1%} by the clock, {over['cpu_units']:.1%} by processor time. Tables: {_tables(found)}. On disk a start takes "
        f"{found['bytes_a_start'] / 1000:.0f} kB, the representations apart; the largest chosen plan "
        f"{found['largest_plan_bytes'] / 1e6:.2f} MB."
    )
    return ["\n".join(table), said]


def whole(found, where=""):
    """The example as it is, and killed."""
    two, again, one = (found["seconds"][name] for name in ("two workers", "gone on with", "one worker"))
    how = f"Killed (SIGKILL) after {found['killed_after']:.0f} s" if found["status"] < 0 else "NOT killed"
    said = (
        f"{where}{found['pairs']} pairs, {found['starts']} starts, figures and report: {one['whole']:,.0f} s by one worker on one core, "
        f"{two['whole']:,.0f} s by two on two, {found['speedup_of_two_workers']['whole']:.2f} times as fast (processor time "
        f"{one['cpu'][0]:,.0f} and {two['cpu'][0]:,.0f} s). {how}, with {found['shards_that_were_whole']} units done, and run again: "
        f"{again['whole']:,.0f} s more. Tables: {_tables(found)}."
    )
    return [said]


def small(found):
    """5,000 units on Slurm."""
    seconds = found["seconds"]
    once = ", so none twice" if found["computed_by_parts"] == found["units"] else ", SOME MORE THAN ONCE OR NOT AT ALL"
    said = (
        f"by a job array of {found['parts']} parts in {seconds['array']:.0f} s, merged in {seconds['merge']:.0f} s; by a `SLURMCluster` of "
        f"{len(found['nodes'])} jobs in {seconds['SLURMCluster']:.0f} s, its start and tables included. The parts computed "
        f"{found['computed_by_parts']:,} units of {found['units']:,} together{once}; tables: {_tables(found)}."
    )
    return [said]


def store(found):
    """100,000 starts."""
    before, merged, after = (found[name] for name in ("list, unfinished", "merge", "list, finished"))
    said = (
        f"{found['shards']:,} shards and {found['plans']:,} plans of {found['plan_bytes'] / 1e9:.1f} GB: listed before their tables "
        f"are made in {before['seconds']:.1f} s, merged in {merged['seconds']:.1f} s, listed after in {after['seconds']:.2f} s, "
        f"with at most {max(of['peak_mb'] for of in (before, merged, after))} MB of memory."
    )
    return [said]


def _tables(found):
    return "the same in all" if found["same_tables"] else "NOT the same"


def told():
    """All pieces of text."""
    found = {name: json.loads((RESULTS / f"cluster_{name}.json").read_text()) for name in NAMES}
    results = {name: of["result"] for name, of in found.items()}
    one, other = (found[name]["machine"]["processor"] for name in ("speed", "whole"))
    return [
        *speed(results["speed"]),
        *whole(results["whole"], "" if one == other else f"On another machine ({other}): "),
        *small(results["small"]),
        *store(results["store"]),
    ]


if __name__ == "__main__":
    sys.stdout.write("\n\n".join(told()) + "\n")
