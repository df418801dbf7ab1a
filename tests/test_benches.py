"""What the benches say of another solver is true of it, and their table says what was not measured or failed."""

import json
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from problems import points

ot = pytest.importorskip("ot")


BENCHES = Path(__file__).resolve().parents[1] / "benches"
MODULES = ("ours", "peers", "plain", "report", "run", "shards", "table", "targets")


@pytest.fixture(scope="module")
def benches():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHES))
        yield {name: import_module(name) for name in MODULES}


def distances(n, seed):
    x = points(n, 3, seed=seed)
    return np.linalg.norm(x[:, None] - x, axis=2)


def test_pot_is_followed_on_its_own_way(benches):
    from gwrsa.solve import build_problem

    c1, c2 = distances(30, 1), distances(30, 2)
    problem = build_problem(c1, c2)
    start = problem.initial_plan("random", 0, 0)
    p = np.full(30, 1 / 30)
    epsilon = 0.1 * problem.critical_epsilon()
    seen = []
    run = benches["peers"].pot(
        c1, c2, start, epsilon, problem, max_steps=4, visit=lambda step, plan: seen.append((step, plan))
    )
    assert run["outer_steps"] == len(run["curve"]) == 4
    assert not run["converged"]
    for step, plan in seen:
        alone = ot.gromov.entropic_gromov_wasserstein(
            c1, c2, p, p, "square_loss", epsilon=epsilon, symmetric=True, G0=start, max_iter=step, tol=0.0, warn=False
        )
        assert np.array_equal(plan, alone)


def test_at_its_fixed_point_pot_has_our_loss(benches):
    from gwrsa.solve import build_problem

    rng = np.random.default_rng(6)
    x = rng.standard_normal((60, 2)) * (1.0, 0.6)
    c1 = np.linalg.norm(x[:, None] - x, axis=2) * (1 + 0.5 * np.tanh(x[:, 0][:, None] - x[:, 0]))
    order = rng.permutation(60)
    c2 = c1[np.ix_(order, order)] + 0.05 * rng.random((60, 60))
    problem = build_problem(c1, c2)
    epsilon = 0.2 * problem.critical_epsilon()
    start = problem.initial_plan("random", 0, 0)
    run = benches["peers"].pot(c1, c2, start, epsilon, problem, symmetric=False, inner=(20_000, 1e-10))
    end = benches["ours"].solve(problem, benches["ours"].random_starts(1), [epsilon])[0][0]
    assert run["converged"]
    assert end.status == "converged"
    assert end.gw_loss == pytest.approx(run["loss"], rel=1e-4)
    # A problem with something to find: the plan is far from the uniform one.
    assert end.plan().max() * 60**2 > 5


def test_steps_of_pot_are_counted_by_plain_steps(benches):
    from gwrsa.solve import build_problem

    c1, c2 = distances(40, 1), distances(40, 2)
    problem = build_problem(c1, c2)
    start = problem.initial_plan("random", 0, 0)
    epsilon = 0.3 * problem.critical_epsilon()
    seen = {}
    run = benches["peers"].pot(c1, c2, start, epsilon, problem, inner=(20_000, 1e-10), visit=seen.__setitem__)
    assert run["converged"]
    counted = benches["plain"].to_fixed_point(problem, epsilon)
    assert abs(counted["outer_steps"] - run["outer_steps"]) <= 1
    assert counted["loss"] == pytest.approx(run["loss"], rel=1e-5)
    # Without extrapolation, which would take fewer; and on POT's way, not only to its end.
    assert benches["ours"].solve(problem, [("random", 0, 0)], [epsilon])[0][0].n_outer < run["outer_steps"]
    here = benches["plain"].solution(problem, epsilon, 6)
    assert here.n_outer == 6
    assert np.linalg.norm(here.plan() - seen[6]) < 1e-2 * np.linalg.norm(seen[6])
    # Cut off after a third, its end is where it would have been.
    cut = benches["peers"].pot(
        c1,
        c2,
        start,
        epsilon,
        problem,
        inner=(20_000, 1e-10),
        max_steps=run["outer_steps"] // 3,
        visit=seen.__setitem__,
    )
    end = benches["plain"].pot_to_the_end(problem, epsilon, cut, seen[cut["outer_steps"]])
    assert abs(end["outer_steps"] - run["outer_steps"]) <= 1
    assert end["seconds"] == cut["seconds"] + (end["outer_steps"] - cut["outer_steps"]) * cut["seconds_a_late_step"]


def test_the_table_says_what_failed_and_what_is_missing(benches):
    ended = {"seconds": 8.0, "loss": 1.0, "converged": True, "failed": False, "outer_steps": 4}
    one_solve = {"seconds_a_start": 0.03, "losses": [1.0], "status": ["converged"]}
    solves = dict.fromkeys(("one", "eight", "float64"), one_solve) | {"building": 0.01}
    solves["two_threads_over_one"] = {"one_solve": 1.5, "eight_solves": 1.9}

    def table(pot, **more):
        shards = {"r1_solves_1e-3": solves, "r1_solves_5e-3": solves, "r1_pot_1e-3": {"pot": pot} | more}
        records = {name: {"result": result} for name, result in shards.items()}
        records["polished"] = {"status": "given up", "reason": "not ready after its limit of 183 s"}
        return {row.what: row for row in benches["targets"].rows(records)}

    one = "R1, epsilon 1e-3, one solve: times POT to the fixed point"
    assert table(ended)[one].measured == "200 x (267 x once built)"
    assert table(ended)[one].met is True
    cut = ended | {"converged": False}
    end = {"seconds": 16.0, "outer_steps": 9, "at_least": False, "loss": 1.00001}
    row = table(cut, pot_extrapolated=end)[one]
    assert (row.number, row.met, row.extrapolated) == (400, True, True)
    assert row.measured.endswith("; POT cut off after 4 of 9 steps, as gwrsa's plain iteration counts them)")
    beyond = {"seconds": 16.0, "outer_steps": 9, "at_least": True}
    row = table(cut, pot_extrapolated=beyond)[one]
    assert (row.number, row.met) == (400, False)
    assert "; POT cut off after 4 of over 9 steps" in row.measured
    assert row.measured.endswith(", but not known to be to the same end: the other's loss is not known")
    assert table(ended | {"failed": True, "converged": False})[one].measured == "the other solver failed"
    assert table(ended)["R1: two threads over one, one solve"].met is False
    assert table(ended)["R1: two threads over one, eight solves"].met is True
    assert table(ended)["Polish, 1,854 objects"].measured == "given up: not ready after its limit of 183 s"
    assert table(ended)["R1: times plain torch to the fixed point"].measured == "not measured"
    assert table(ended)["R1: times plain torch to the fixed point"].met is None
    # A target without a figure is one that is not met.
    assert table(ended)["Polish, 1,854 objects"].met is False
    assert table(ended | {"failed": True, "converged": False})[one].met is False
    searches = [name for name in table(ended) if name.startswith("Search, ")]
    assert len(searches) == 12
    assert {table(ended)[name].met for name in searches} == {False}
    assert table(ended)["Search: longest run of 0 of 12 searches"].met is False


def test_the_growth_with_n_is_judged_from_5_000_on(benches):
    def size(n):
        parts = dict.fromkeys(("products", "kernel", "sweeps", "summary"), 1.0 * n * n)
        return {
            "n": n,
            "seconds_a_step": n**2 * max(1.0, n / 5_000) ** 0.3,
            "seconds_first_step": 3.0 * n**2.1,
            "seconds_a_later_step": n**2.1,
            "kernel_mib": 4 * n * n / 2**20,
            "cache_mib": 32,
            "peak_gib": 1.0,
            "limit": {"sweeps": 100, "outer_steps": 20, "seconds": parts, "seconds_at_limit": parts},
        }

    targets = benches["targets"]
    rows = {row.what: row for row in targets.rows({f"r5_{n}": {"result": size(n)} for n in targets.SIZES})}
    whole = rows["R5: exponent of n in the seconds an outer step, from 1,250 on"]
    late = rows["R5: exponent of n in the seconds an outer step, 5,000 to 40,000 objects"]
    assert late.number == pytest.approx(2.3)
    assert 2 < whole.number < late.number
    assert late.target == "<= 2.15"
    assert not whole.target
    assert late.met is False
    later = next(row for what, row in rows.items() if "in a step after the first" in what)
    assert later.number == pytest.approx(2.1)
    assert later.measured == "2.10 (the first step of 40,000: 3.0 times a later one)"
    # The target is that of all steps; beside it this one is there to be read.
    assert later.met is None
    assert not later.target
    assert sum(bool(row.target) for what, row in rows.items() if "exponent of n" in what) == 1


def test_only_what_the_run_measured_is_read(benches, tmp_path):
    (tmp_path / "r1_pot.json").write_text('{"measured_at": "2026-01-01 00:00", "result": {"a": 1}}')
    (tmp_path / "spose_recovery.json").write_text('{"result": {"a": 2}}')
    assert list(benches["report"].load(tmp_path)) == ["r1_pot"]


def test_the_page_says_what_was_tried_for_a_miss(benches):
    row, missed = benches["targets"].Row, benches["report"]._missed  # noqa: SLF001
    assert missed([row("R1, epsilon 1e-3", "200 x", ">= 100 x", met=True), row("R2", "60 x")]) == []
    page = "\n".join(missed([row("R1, epsilon 1e-3", "80 x", ">= 100 x", met=False), row("Search", "9 s", met=False)]))
    assert "- R1, epsilon 1e-3: Anderson acceleration" in page
    assert "- Search: nothing that is on record." in page


def test_what_pot_did_not_finish_is_not_called_its_loss(benches):
    ended = {"failed": False, "converged": True, "loss": 1.0}
    cut = {"ours": 2.0, "pot": ended | {"converged": False}, "pot_extrapolated": {"loss": 2.0}}
    near = {"ours": 1 + 1e-6, "pot": ended}
    apart = benches["targets"]._apart  # noqa: SLF001

    def row(sample):
        rows = benches["targets"].rows({"multistart": {"result": {"pot_sample": sample}}})
        return next(row for row in rows if row.what.startswith("Multistart: largest relative difference"))

    # Judged by POT's own ends, and only by all of them.
    assert apart([near, near]).number == pytest.approx(1e-6)
    assert (row([near, near]).measured, row([near, near]).met) == ("1.0e-06 (2 of 2 POT's own)", True)
    assert row([near, {"ours": 1.001, "pot": ended}]).met is False
    mixed = row([near, cut | {"ours": 2.00001}])
    said = "1 of 2 POT's own; the others, cut off, from gwrsa's plain iteration in float64"
    assert mixed.measured == f"1.0e-06 ({said}: 5.0e-06)"
    assert mixed.met is False
    failed = row([near, {"ours": 1.0, "pot": ended | {"failed": True}}])
    assert (failed.measured, failed.met) == ("1.0e-06 (1 of 2 POT's own; of 1 no end is known)", False)
    alone = row([cut])
    assert (alone.number, alone.met) == (None, False)
    assert alone.measured.startswith("0 of 1 POT's own; ")
    assert "POT is not waited for" in "\n".join(benches["report"]._missed([mixed]))  # noqa: SLF001
    sample = [{"epsilon": e} for e in (0.0057, 0.0118)]
    notes = benches["report"]._notes({"multistart": {"epsilons": [0.0013, 0.0132], "pot_sample": sample}})  # noqa: SLF001
    assert "of epsilon 0.0057, 0.012, all are drawn between 0.0013 and 0.013" in "\n".join(notes)


@pytest.mark.slow
def test_tests_of_pot_are_counted_as_they_end(tmp_path):
    (tmp_path / "test_made_up.py").write_text(
        "import ot, pytest\n"
        "def call(): return ot.sinkhorn([0.5, 0.5], [0.5, 0.5], [[0.0, 1.0], [1.0, 0.0]], 1.0)\n"
        "def test_calls(): assert call().shape == (2, 2)\n"
        "def test_calls_none(): pass\n"
        "@pytest.mark.parametrize('n', [1, 2])\n"
        "def test_is_pot_s(n): assert ot.sinkhorn.__module__.startswith('ot.'), call()\n"
        "@pytest.mark.xfail(raises=ValueError)\n"
        "def test_is_meant_to_fail(): call(), int('a')\n"
        "@pytest.mark.parametrize('backend', ['tf'])\n"
        "def test_is_left_out(backend): pytest.skip('not here')\n"
        "@pytest.fixture\n"
        "def broken(): raise ValueError('it')\n"
        "def test_is_not_begun(broken): pass\n"
    )
    found = {}
    for side in ("pot", "twins"):
        out = tmp_path / f"{side}.json"
        command = [sys.executable, str(BENCHES / "pot_tests.py"), "--one", "test_made_up.py", side, str(out)]
        subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
        found[side] = json.loads(out.read_text())
    assert found["pot"] == {
        "all": {"passed": 4, "xfailed": 1, "skipped": 1, "failed": 1},
        "calling": {},
        "failed": ["test_is_not_begun"],
        "skipped": ["test_is_left_out[tf]"],
    }
    assert found["twins"] == {
        "all": {"passed": 2, "xfailed": 1, "skipped": 1, "failed": 3},
        "calling": {"passed": 1, "xfailed": 1, "failed": 2},
        "failed": ["test_is_not_begun", "test_is_pot_s[1]", "test_is_pot_s[2]"],
        "skipped": ["test_is_left_out[tf]"],
    }


def test_what_measures_the_machine_is_in_the_key_of_what_uses_it(benches, tmp_path, monkeypatch):
    run = benches["run"]
    for path in BENCHES.glob("*.py"):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(run, "HERE", tmp_path)
    before = {name: run.key(name, {})["bench"] for name in ("size", "polished")}
    with (tmp_path / "_machine.py").open("a") as file:
        file.write("# read twice\n")
    after = {name: run.key(name, {})["bench"] for name in before}
    assert after["size"] != before["size"]
    assert after["polished"] == before["polished"]


def test_a_shard_that_fails_or_takes_too_long_leaves_a_record_and_is_tried_again(benches, tmp_path, monkeypatch):
    run, shard = benches["run"], benches["table"].Shard("r5_7", "size", {"n": 7}, 1)
    outcomes = iter(
        [
            subprocess.CompletedProcess([], 1, stderr="Traceback\nValueError: no\n"),
            subprocess.TimeoutExpired([], shard.limit),
        ]
    )

    def ended(*_args, **_kwargs):
        found = next(outcomes)
        if isinstance(found, Exception):
            raise found
        return found

    stand_in = SimpleNamespace(run=ended, TimeoutExpired=subprocess.TimeoutExpired, PIPE=subprocess.PIPE)
    monkeypatch.setattr(run, "subprocess", stand_in)
    for status, reason in (("failed", "ValueError: no"), ("given up", f"not ready after its limit of {shard.limit} s")):
        assert status.upper() in run.attempt(tmp_path, shard, [])
        record = json.loads((tmp_path / "r5_7.json").read_text())
        assert (record["status"], record["reason"]) == (status, reason)
        assert not run.present(tmp_path, shard)
    run.write(tmp_path, shard, {"status": "ok", "result": {}}, 1.0)
    assert run.present(tmp_path, shard)
    assert not run.present(tmp_path, benches["table"].Shard("r5_7", "size", {"n": 8}, 1))


def test_a_run_goes_on_where_it_was_left(benches, things_dir, tmp_path):
    command = [
        sys.executable,
        str(BENCHES / "run.py"),
        "--quick",
        "--quiet",
        "--results",
        str(tmp_path),
        "--only",
        "planted",
    ]
    first, second = (subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2))
    assert "0 of 2 are there" in first
    assert "planted: " in first
    assert "2 of 2 are there" in second
    assert "planted: " not in second
    found = json.loads((tmp_path / "planted.json").read_text())["result"]
    assert found["rows"][0]["matching"] == 1.0


@pytest.mark.things
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_shard_runs_small_and_every_row_has_its_figure(benches, things_dir, tmp_path):
    for package in ("ott", "torch", "matplotlib"):
        pytest.importorskip(package)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    shards = benches["table"].all_shards(quick=True)
    for shard in shards:
        benches["run"].write(tmp_path, shard, benches["run"].measure(shard), 1.0)
    benches["report"].main(tmp_path, tmp_path / "docs")
    rows = benches["targets"].rows(benches["report"].load(tmp_path))
    # So small a problem may have a lower optimum for the peer; and POT, cut off so early, may have ended none of its starts.
    without = [
        row.what
        for row in rows
        if row.number is None and "to the same loss" not in row.what and not row.measured.startswith("0 of 2 POT's own")
    ]
    assert without in (
        ["R5: exponent of n in the seconds an outer step where the kernel is larger than the last cache"],
        ["R5: exponent of n where the kernel fits the last cache"],
    )
    assert {p.stem for p in (tmp_path / "docs" / "figures").iterdir()} >= {
        f"bench_{name}" for name in ("ratios", "limit", "size", "one_start", "search", "planted")
    }
    page = (tmp_path / "docs" / "benchmarks.md").read_text()
    assert all(row.what in page for row in rows)
    assert "Not shown" not in page
    assert "Not measured" not in page


@pytest.mark.slow
def test_the_bench_of_a_cluster_runs_and_is_told(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.syspath_prepend(str(BENCHES))
    command = [sys.executable, BENCHES / "cluster.py", "speed", "whole", "store", "--quick"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    words = import_module("cluster_words")
    told = {}
    for name in ("speed", "whole", "store"):
        text = done.stdout[done.stdout.index(f"{name}: {{\n") + len(name) + 2 :]
        told[name], _ = json.JSONDecoder().raw_decode(text)
        assert all(getattr(words, name)(told[name]))
    assert told["speed"]["same_tables"]
    assert told["whole"]["same_tables"]
    assert told["store"]["starts"] == 200


def test_the_page_of_cards_shows_what_is_counted(benches):
    pytest.importorskip("torch")
    gpu = import_module("gpu")
    found = gpu.model(None, quick=False)
    page = (BENCHES.parent / "docs" / "gpu.md").read_text(encoding="utf-8")
    assert gpu.table(found) in page
    starts, large = (gpu.whole_seconds(found, name) for name in ("starts", "large"))
    assert f"500 starts of 32 steps are at least {starts:.1f} s of the card" in page
    assert f"150 steps of 20,000 objects {large:.1f} s" in page
    assert f"without the fused kernels {gpu.whole_seconds(found, 'starts', 'plain'):.1f} s for the starts" in page
    measured = json.loads((BENCHES / "results" / "gpu_cpu.json").read_text())["result"]["paired"]
    ours, rust = (measured["seconds_least"][name] for name in ("torch", "rust"))
    assert f"| {measured['ratio']:.2f} ({ours:.2f} s against {rust:.2f} s at the least) | 3 |" in page
    assert measured["ratio"] < 3
    assert "{}, {} (float64".format(*measured["steps_and_sweeps"]["torch"]) in page
    small = json.loads((BENCHES / "results" / "gpu_cpu.json").read_text())["result"]["small"]
    mixed, double = small["mixed"].values(), small["float64"].values()
    loss, plan = (max(x[of] for x in mixed) for of in ("loss_relative", "plan_l1"))
    assert f"on {len(mixed)} problems of {small['n']} THINGS objects" in page
    assert f"losses to {loss:.1e} and plans to {plan:.1e} in L1" in page
    same, exact = (
        sum(all(len(set(x[of])) == 1 for of in ("outer_steps", "sweeps")) for x in some) for some in (mixed, double)
    )
    assert f"were the same on {same} of the {len(mixed)}" in page
    assert f"{exact} of the {len(double)} pairs agreed in every step and sweep" in page
    assert "took {:.1f} times (human vs CLIP, matched) and {:.1f} times (raw)".format(*small["ratio"].values()) in page
    assert max(abs(x["outer_steps"][0] - x["outer_steps"][1]) for x in mixed) == 1
    # A program's rows are read again from the cache, or where there are too many objects from memory.
    for n, readings in ((1854, 1), (20_000, 2)):
        one, two = (gpu.counted(n, n, 66, 66, sweeps=k)["sweeps"]["bytes"] for k in (1, 2))
        assert two - one == pytest.approx(4 * n * n * (readings + 4 / 16))
