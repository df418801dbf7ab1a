"""What a study costs on several processes.

    python benches/cluster.py [speed] [whole] [small] [store] [--quick]; without a name, all of them.

speed   the six models of examples/things/study.toml: in one process, on Dask with one and two workers, by two processes that share
        a folder, by --workers 2, by two threads; how long, how much processor time each process took, and whether the tables are the
        same to the last bit
whole   examples/things/study.toml as it is, with figures and report, by --workers 1 bound to one core, by --workers 2, and by --workers 2
        killed at a random moment and gone on with: how long, and whether all tables are the same to the last bit
small   5,000 small units on a real Slurm of 8 virtual nodes, by job array and by SLURMCluster (root, slurm-wlm, munge, dask-jobqueue)
store   listing and merging of 100,000 starts (tests/store_files.py), and bytes a start on disk of what `speed` left

Each writes benches/results/cluster_NAME.json, with the load (of one minute) that it found. The machine should do nothing else; where it
did, processor time says more than the clock. --quick: each on something small, once, which is printed and written nowhere: a test of it.
"""
# ruff: noqa: S603, S607  # programs of this project, and of Slurm

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from _results import save
from gwrsa import demo
from gwrsa import study as studies
from gwrsa.study import Study
from gwrsa.study_gather import gather

ROOT = Path(__file__).resolve().parents[1]
THINGS = ROOT.parent / "shared" / "data" / "things"
# Alignments, parts and nodes; pairs, and starts of each.
SMALL, QUICK_SMALL = (2500, 100, 8), (10, 4, 2)
STORED, QUICK_STORED = (100, 1000), (4, 50)
# Before Dask adds its own for its workers (MALLOC_TRIM_THRESHOLD_ makes a verb that inherits it a third slower).
ENVIRONMENT = dict(os.environ)


def models_only(folder):
    """The study of the example without its noise and with fewer relabellings, in a folder; its path."""
    text = (ROOT / "examples" / "things" / "study.toml").read_text()
    head, tail = text.split('[[models]]\nname = "noise"')
    tail = "[statistics]\npermutations = 200\n[categories]" + tail.split("[categories]")[1]
    path = folder / "study.toml"
    path.write_text(head + tail)
    return path


class Clock:
    """Seconds of wall and of this process's processor time that `run` took, and those of them that went into units."""

    def __init__(self):
        self.units, self._compute = [0.0, 0.0], studies.compute

    def __enter__(self):
        def timed(*args, **how):
            began = now()
            computed = self._compute(*args, **how)
            self.units = since(began)
            return computed

        studies.compute = timed
        self._began = now()
        return self

    def __exit__(self, *_):
        self.whole = since(self._began)
        studies.compute = self._compute

    def seconds(self):
        """As JSON takes it."""
        return {"whole": self.whole[0], "units": self.units[0], "cpu": [self.whole[1]], "cpu_units": [self.units[1]]}


def now():
    """Wall and processor time."""
    return time.perf_counter(), time.process_time()


def since(began):
    """Seconds of both since then."""
    return [round(b - a, 2) for a, b in zip(began, now(), strict=True)]


def begun(path, data, out, *how, core=None):
    """A command that computes the study in a folder, bound to a `core` where one is given."""
    verb = [sys.executable, "-c", "from gwrsa.cli import main; main()", "study", path, "--data", data, "--out", out]
    if core is not None:
        verb = ["taskset", "-c", str(core), *verb]
    return subprocess.Popen([*map(str, verb), "--no-progress", *how], stdout=subprocess.DEVNULL, env=ENVIRONMENT)


def by_verb(path, data, out, n=1, *how, core=None):
    """Seconds of n commands at once that compute the study in one folder, and processor time of each with its own processes."""
    began = time.perf_counter()
    started = [begun(path, data, out, *how, core=core) for _ in range(n)]
    cpu = []
    for process in started:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"a process ended with status {process.returncode}")
        cpu.append(round(used.ru_utime + used.ru_stime, 2))
    return {"whole": round(time.perf_counter() - began, 2), "cpu": cpu}


def shown(name, seconds):
    """The seconds, printed as soon as they are there."""
    sys.stdout.write(f"{name}: {seconds}\n")
    sys.stdout.flush()
    return seconds


def same(a, b):
    """Whether the tables of two studies are the same but for the seconds of their starts."""
    names, others = (
        {"results.parquet", *(f"tables/{path.name}" for path in (folder / "tables").glob("*.parquet"))}
        for folder in (a, b)
    )
    pairs = (
        [pd.read_parquet(folder / name).drop(columns="seconds", errors="ignore") for folder in (a, b)] for name in names
    )
    return names == others and all(left.equals(right) for left, right in pairs)


def speed(folder, quick):
    """Each way twice, in turn, of which the faster; whether all made the same tables."""
    from distributed import Client, LocalCluster

    path, data = (
        (demo.write_study(folder / "demo", n_objects=40), folder / "demo") if quick else (models_only(folder), THINGS)
    )
    study = Study.from_toml(path, base=data)
    found, tables, load = {}, [], os.getloadavg()[0]

    def keep(name, seconds, out):
        tables.append(out)
        found.setdefault(name, []).append(shown(name, seconds))

    def here(out, client=None):
        with Clock() as clock:
            how = {"workers": 1} if client is None else {"client": client}
            study.run(out, figures=False, progress=False, **how)
        return clock.seconds()

    for turn in ("first", "second")[: 1 if quick else 2]:
        out = folder / f"one process, {turn}"
        keep("one process", here(out), out)
        for n in (1, 2):
            out = folder / f"dask {n}, {turn}"
            with (
                LocalCluster(n_workers=n, threads_per_worker=1, dashboard_address=None) as cluster,
                Client(cluster, set_as_default=False) as client,
            ):
                client.run(__import__, "gwrsa.study_work")  # what a worker of a running cluster has done before
                before = client.run(time.process_time)
                seconds = here(out, client)
                after = client.run(time.process_time)
                seconds["cpu_units"] = [round(after[w] - before[w], 2) for w in after]
                keep(f"dask, {n}", seconds, out)
        for name, n, how in (
            ("gwrsa study --workers 1", 1, ("--workers", "1")),
            ("two of it at once", 2, ("--workers", "1")),
            ("gwrsa study --workers 2", 1, ("--workers", "2")),
            ("gwrsa study, two threads", 1, ()),
        ):
            out = folder / f"{name}, {turn}"
            keep(name, by_verb(path, data, out, n, "--no-report", *how), out)
    size = sum(p.stat().st_size for p in tables[0].rglob("*") if p.is_file() and "sides" not in p.parts)
    starts = pd.read_parquet(tables[0] / "results.parquet")
    best = {name: min(runs, key=lambda seconds: seconds["whole"]) for name, runs in found.items()}
    one, two = best["dask, 1"], best["dask, 2"]
    return {
        "seconds": best,
        "of_two_runs": {name: [seconds["whole"] for seconds in runs] for name, runs in found.items()},
        "load_before": round(load, 2),
        "pairs": len(starts[["target", "replicate"]].drop_duplicates()),
        "starts": len(starts),
        "same_tables": all(same(tables[0], other) for other in tables),
        "speedup_of_two_workers": {
            "units": round(one["units"] / two["units"], 3),
            "whole": round(one["whole"] / two["whole"], 3),
            "cpu_units": round(one["cpu_units"][0] / max(two["cpu_units"]), 3),
        },
        "speedup_of_two_processes": {
            "whole": round(best["gwrsa study --workers 1"]["whole"] / best["two of it at once"]["whole"], 3),
            "cpu": round(best["gwrsa study --workers 1"]["cpu"][0] / max(best["two of it at once"]["cpu"]), 3),
        },
        "overhead_of_dask": {
            "units": round(one["units"] / best["one process"]["units"] - 1, 4),
            "cpu_units": round(one["cpu_units"][0] / best["one process"]["cpu_units"][0] - 1, 4),
        },
        "bytes_a_start": round(size / len(starts)),
        "largest_plan_bytes": max(p.stat().st_size for p in (tables[0] / "plans").glob("*.npz")),
    }


def example(folder, quick):
    """The study of the documentation, where its data are, and options: something small has no figures."""
    if quick:
        return demo.write_study(folder / "demo", n_objects=40), folder / "demo", ["--no-report"]
    return ROOT / "examples" / "things" / "study.toml", THINGS, []


def whole(folder, quick):
    """The example on one core and on two, and killed at a random moment and gone on with."""
    path, data, drawn = example(folder, quick)
    found, load = {}, os.getloadavg()[0]
    two = ("--workers", "2", *drawn)
    found["two workers"] = shown("two workers", by_verb(path, data, folder / "two", 1, *two))
    after = found["two workers"]["whole"] * float(np.random.default_rng().uniform(0.1, 0.9))
    process = begun(path, data, folder / "killed", *two)
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.kill()
    status, shards = process.wait(), len(list((folder / "killed" / "shards").glob("*.json")))
    # It waits for the workers of the killed to end.
    found["gone on with"] = shown("gone on with", by_verb(path, data, folder / "killed", 1, *two))
    core = min(os.sched_getaffinity(0))
    one = by_verb(path, data, folder / "one", 1, "--workers", "1", *drawn, core=core)
    found["one worker"] = shown("one worker", one)
    starts = pd.read_parquet(folder / "one" / "results.parquet")
    return {
        "seconds": found,
        "load_before": round(load, 2),
        "pairs": len(starts[["target", "replicate"]].drop_duplicates()),
        "starts": len(starts),
        "killed_after": round(after, 1),
        "status": status,
        "shards_that_were_whole": shards,
        "same_tables": all(same(folder / "one", folder / other) for other in ("two", "killed")),
        "speedup_of_two_workers": {"whole": round(found["one worker"]["whole"] / found["two workers"]["whole"], 3)},
    }


DRIVER = """
import sys
from dask_jobqueue import SLURMCluster
from distributed import Client
from gwrsa.study import Study

path, out, logs, nodes = sys.argv[1:]
with SLURMCluster(
    queue="virtual", cores=1, processes=1, memory="400MB", interface="lo", walltime="02:00:00", log_directory=logs,
    worker_extra_args=["--no-nanny"],
) as cluster, Client(cluster) as client:
    cluster.scale(jobs=int(nodes))
    client.wait_for_workers(int(nodes), timeout=300)
    Study.from_toml(path).run(out, client=client, figures=False, progress=False)
"""


def small(folder, quick):
    """5,000 units: 2,500 alignments and 2,500 tests of 20 objects."""
    alignments, parts, n_nodes = QUICK_SMALL if quick else SMALL
    rng = np.random.default_rng(0)
    np.save(folder / "human.npy", rng.standard_normal((20, 4)))
    path = folder / "study.toml"
    path.write_text(
        f'[human]\nembedding = "human.npy"\n[[models]]\nname = "noise"\nfamily = "noise"\nnoise = "features"\nseeds = {alignments}\n'
        "[alignment]\nn_starts = 1\n[statistics]\npermutations = 10\nbootstrap = 10\nchance = 10\n"
    )
    virtual, load = folder / "slurm", os.getloadavg()[0]
    up = subprocess.run(
        [ROOT / "tests" / "slurm" / "up", virtual, str(n_nodes)], check=True, stdout=subprocess.PIPE, text=True
    )
    here = {**os.environ, "SLURM_CONF": up.stdout.split()[-1]}
    try:
        batch = folder / "part.sh"
        batch.write_text(
            f'#!/bin/bash\necho "on $SLURMD_NODENAME"\nexec {sys.executable} -c "from gwrsa.cli import main; main()" study {path} '
            f"--out {folder}/array --shard $SLURM_ARRAY_TASK_ID/{parts} --no-progress\n"
        )
        began = time.perf_counter()
        command = ["sbatch", "--wait", "--cpus-per-task=1", f"--array=1-{parts}", f"--output={folder}/%a.txt"]
        subprocess.run([*command, batch], check=True, env=here, stdout=subprocess.DEVNULL)
        array = time.perf_counter() - began
        printed = [(folder / f"{i}.txt").read_text() for i in range(1, parts + 1)]
        computed = sum(int(text.split(": ")[1].split()[0]) for text in printed)
        nodes = {text.split()[1] for text in printed}
        began = time.perf_counter()
        gather(folder / "array", figures=False)
        merging = time.perf_counter() - began
        sys.stdout.write(f"array: {array:.1f} s, {computed} units on {len(nodes)} nodes, merged in {merging:.1f} s\n")
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", DRIVER, path, folder / "dask", folder / "logs", str(n_nodes)],
            check=True,
            env=here,
            timeout=1200,
        )
        cluster = time.perf_counter() - began
        sys.stdout.write(f"SLURMCluster: {cluster:.1f} s\n")
        return {
            "units": 2 * alignments,
            "parts": parts,
            "nodes": sorted(nodes),
            "computed_by_parts": computed,
            "seconds": {"array": round(array, 1), "merge": round(merging, 1), "SLURMCluster": round(cluster, 1)},
            "load_before": round(load, 2),
            "same_tables": same(folder / "array", folder / "dask"),
        }
    finally:
        subprocess.run(["scancel", "--partition=virtual"], check=False, env=here)
        subprocess.run([ROOT / "tests" / "slurm" / "down", virtual], check=True)


def store(folder, quick):
    """100,000 starts that nobody solved."""
    n_pairs, n_starts = QUICK_STORED if quick else STORED
    program = [sys.executable, str(ROOT / "tests" / "store_files.py"), str(folder / "out")]
    subprocess.run([*program, str(n_pairs), str(n_starts)], check=True)
    load = os.getloadavg()[0]
    done = subprocess.run(program, check=True, stdout=subprocess.PIPE, text=True)
    sys.stdout.write(done.stdout)
    names = ("list, unfinished", "merge", "list, finished")
    rows = [line.split() for line in done.stdout.splitlines()]
    return {
        "starts": n_pairs * n_starts,
        "shards": len(list((folder / "out" / "shards").iterdir())),
        "plans": len(list((folder / "out" / "plans").iterdir())),
        "plan_bytes": sum(path.stat().st_size for path in (folder / "out" / "plans").iterdir()),
        "load_before": round(load, 2),
        **{n: {"seconds": float(r[0]), "peak_mb": int(r[4])} for n, r in zip(names, rows, strict=True)},
    }


def main():
    """Command line."""
    parts = {"speed": speed, "whole": whole, "small": small, "store": store}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="*", help="which; all of them by default")
    parser.add_argument("--quick", action="store_true", help="something small, written nowhere")
    given = parser.parse_args()
    for name in given.name or parts:
        if name not in parts:
            parser.error(f"{name!r} is none of {', '.join(parts)}")
        with tempfile.TemporaryDirectory(prefix="cluster.") as folder:
            found = parts[name](Path(folder), given.quick)
        if given.quick:
            sys.stdout.write(f"{name}: {json.dumps(found, indent=1)}\n")
        else:
            save(f"cluster_{name}", found)


if __name__ == "__main__":
    main()
