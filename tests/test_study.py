import json
import re
import signal
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import gwrsa
from gwrsa import statistics, study_work, tables
from gwrsa.cli import app
from gwrsa.shards import file_digest
from gwrsa.store import Results, load_provenance, save_provenance
from gwrsa.study import Study
from study_files import TOML, N, assert_same, fake_networks, run, shards, write

# ---- what is computed


def test_a_study_is_what_its_parts_give_one_by_one(made):
    path, found = made
    folder = path.parent
    human = gwrsa.Embedding.load(folder / "human.npy", items=folder / "items.txt").rdm()
    near = gwrsa.Embedding.load(folder / "near.npy", items=folder / "items.txt").rdm()
    groups = gwrsa.load_categories(folder / "categories.csv")
    alone = gwrsa.align(human, near.match_histogram(human), n_starts=3, categories=groups, progress=False)
    rows = found.results[found.results["target"] == "near"]
    for column in (
        "init",
        "epsilon",
        "gw_loss",
        "objective",
        "status",
        "n_outer",
        "top1",
        "top10",
        "category",
        "category5",
    ):
        assert rows[column].tolist() == alone.table[column].tolist(), column
    test = statistics.permutation_test(human, near, n_permutations=40)
    assert rows["rsa"].tolist() == [test.statistic] * 3
    (rsa,) = found.rsa[found.rsa["target"] == "near"].to_dict("records")
    assert (rsa["value"], rsa["p_value"]) == (test.statistic, test.p_value)
    best = alone.lowest_loss
    hits, counted = statistics.category_hits(best.top, groups.members, 5)
    interval = statistics.bootstrap(hits[counted], n_resamples=50)
    (rate,) = found.rates.query(
        "target == 'near' and choice == 'lowest_loss' and measure == 'category' and k == 5"
    ).to_dict("records")
    assert (rate["value"], rate["low"], rate["high"]) == (interval.estimate, interval.low, interval.high)
    by = statistics.rate_by_category(statistics.matching_hits(best.top, 1), groups.members, groups.names)
    got = found.categories.query("target == 'near' and choice == 'lowest_loss' and measure == 'matching' and k == 1")
    assert got["rate"].tolist() == by["rate"].tolist()
    assert found.chance.equals(tables.chance_table(N, groups.members, n_simulations=50))


def test_rows_are_matched_by_label_not_by_position(made):
    found = made[1]
    near, shuffled = (found.results[found.results["target"] == name] for name in ("near", "shuffled"))
    assert near["gw_loss"].tolist() == shuffled["gw_loss"].tolist()
    assert near["top1"].max() == shuffled["top1"].max() > 0.9
    assert found.model("shuffled").items == found.human.items
    assert found.provenance["by_position"] == []


def test_replicates_are_kept_and_tested_as_one_model(made):
    found = made[1]
    noise = found.rsa[found.rsa["target"] == "noise"]
    assert noise["replicate"].tolist() == [0, 1, 2]
    assert noise["value"].nunique() == 3
    assert len(set(noise["p_value"])) == 1
    nulls = [
        statistics.permutation_test(found.human, found.representation("noise", i), n_permutations=40) for i in range(3)
    ]
    mean, null = np.mean([t.statistic for t in nulls]), np.mean([t.null for t in nulls], axis=0)
    assert noise["p_value"].iloc[0] == pytest.approx((1 + np.count_nonzero(null >= mean)) / 41)
    per_model = found.rsa.drop_duplicates("target")
    assert per_model["p_adjusted"].tolist() == statistics.correct(per_model["p_value"].to_numpy()).tolist()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (("[alignment]", "[alignment]\nmatch_histogram = false"), "alignment"),
        (("[alignment]", '[alignment]\nsearch = "multistart"\nepsilon = [0.1, 0.4]\nseed = 4'), "alignment"),
        (("[alignment]", '[alignment]\nprecision = "float64"'), "alignment"),
        (("[alignment]", '[alignment]\nbackend = "torch"\ndevice = "cpu"'), "alignment"),
    ],
)
def test_settings_of_the_alignment_arrive(tmp_path, change, what):
    toml = TOML[: TOML.index('[[models]]\nname = "shuffled"')] + TOML[TOML.index("[categories]") :]
    path = write(tmp_path, toml.replace(*change))
    found = run(path, tmp_path / "out")
    how = dict(found.settings[what])
    matched = how.pop("match_histogram")
    if what == "alignment":
        assert (how.pop("rounds"), how.pop("min_improvement")) == (1, 1e-4)
    how["epsilon"] = tuple(how["epsilon"]) if how["epsilon"] else None
    human, near = found.human, found.representation("near").rdm()
    alone = gwrsa.align(human, near.match_histogram(human) if matched else near, progress=False, **how)
    assert found.results["gw_loss"].tolist() == alone.table["gw_loss"].tolist()
    for choice, key in zip(found.chosen["choice"], found.chosen["key"], strict=True):
        best = alone.lowest_loss if choice == "lowest_loss" else alone.highest_matching()
        # A plan of torch is derived again by the core, in the same precision.
        np.testing.assert_allclose(found.plan(key), best.plan, rtol=0, atol=1e-6 if how["backend"] == "torch" else 0)


def test_blas_has_one_thread_whatever_it_had_before_so_that_its_last_bits_are_the_same(tmp_path, monkeypatch):
    from threadpoolctl import threadpool_info, threadpool_limits

    def blas():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    seen, real = [], study_work.align

    def align(*args, **how):
        seen.append(blas())
        return real(*args, **how)

    monkeypatch.setattr(study_work, "align", align)
    with threadpool_limits(2, user_api="blas"):
        if blas() != {2}:
            pytest.skip("BLAS cannot have two threads here")
        run(write(tmp_path), tmp_path / "out", workers=2)
        assert blas() == {2}
    assert seen
    assert all(threads == {1} for threads in seen)


def test_others_count_as_the_settings_say(tmp_path):
    rates = {}
    for others in ("exclude", "category", "miss"):
        toml = TOML.replace('file = "categories.csv"', f'file = "categories.csv"\nothers = "{others}"\ndrop = ["tool"]')
        found = run(write(tmp_path, toml), tmp_path / others)
        groups = gwrsa.load_categories(tmp_path / "categories.csv").without("tool")
        for r in found.rates.query("measure == 'category' and k == 1").to_dict("records"):
            key = found.chosen.query(
                "target == @r['target'] and replicate == @r['replicate'] and choice == @r['choice']"
            )["key"]
            wanted = gwrsa.category_matching_rate(found.plan(key.iloc[0]), groups.members, 1, uncategorised=others)
            assert r["value"] == pytest.approx(wanted)
        rates[others] = found.rates.query("measure == 'category'")["value"].sum()
    assert len(set(rates.values())) == 3


@pytest.mark.filterwarnings("ignore:.*matched by position")
def test_a_human_side_of_triplets_and_files_by_seed(tmp_path):
    path = write(tmp_path)
    rng = np.random.default_rng(0)
    human = gwrsa.Embedding(np.load(tmp_path / "human.npy"))
    np.save(tmp_path / "triplets.npy", gwrsa.sample_triplets(human, 20_000, seed=1).indices)
    for seed in range(2):
        np.save(tmp_path / f"untrained{seed}.npy", rng.standard_normal((N, 5)))
    head = TOML[: TOML.index("[human]")]
    path.write_text(
        head + '[human]\ntriplets = "triplets.npy"\n[[models]]\nname = "u"\nfamily = "untrained"\n'
        'embedding = "untrained{seed}.npy"\nseeds = 2\n[statistics]\npermutations = 20\nbootstrap = 10\nchance = 10\n'
    )
    found = run(path, tmp_path / "out")
    assert found.rsa["value"].nunique() == 2
    assert gwrsa.rsa(found.human, human) > 0.7
    assert found.categories.empty
    assert found.members is None
    assert set(found.rates["measure"]) == {"matching"}


def test_without_labels_rows_go_by_position_and_that_is_said(tmp_path):
    path = write(tmp_path, TOML.replace('items = "items.txt"', "").replace('[categories]\nfile = "categories.csv"', ""))
    found = run(path, tmp_path / "out")
    assert found.provenance["by_position"] == ["near", "shuffled", "far"]
    near, shuffled = (found.results[found.results["target"] == name] for name in ("near", "shuffled"))
    assert near["top1"].max() > 0.9
    assert shuffled["top1"].max() < 0.4


def test_choices_are_among_all_objects_that_a_side_holds(tmp_path):
    toml = 'objects = "some.txt"\n' + TOML.replace(
        'embedding = "human.npy"', 'embedding = "human.npy"\nmetric = "choice"\ncalibrate = "triplets.npy"'
    ).replace('noise = "features"', 'noise = "features"\ndims = 4')
    path = write(tmp_path, toml)
    whole = gwrsa.Embedding.load(tmp_path / "human.npy", items=tmp_path / "items.txt")
    triplets = gwrsa.sample_triplets(whole, 4000, seed=0)
    np.save(tmp_path / "triplets.npy", triplets.indices)
    some = [whole.items[i] for i in range(2, N, 2)]
    (tmp_path / "some.txt").write_text("\n".join(some) + "\n")
    human = Study.from_toml(path).run(tmp_path / "out", figures=False, progress=False).human
    known = gwrsa.calibrate(whole, gwrsa.Triplets(triplets.indices, whole.items)).rdm("choice")
    assert human.items == tuple(some)
    assert np.array_equal(human.dissimilarities, known.select(some).dissimilarities)


def test_objects_choose_a_part_of_the_objects(tmp_path):
    path = write(tmp_path, 'objects = "some.txt"\n' + TOML)
    some = [f"object {i}" for i in (5, 3, 8, 13, 21, 1, 19, 11, 7, 2, 10, 4)]
    (tmp_path / "some.txt").write_text("\n".join(some))
    found = run(path, tmp_path / "out")
    assert found.objects["item"].tolist() == some
    assert found.model("shuffled").items == found.model("noise").items == tuple(some)


# ---- what is there is not computed again


def test_run_again_computes_nothing_and_changes_nothing(made, monkeypatch):
    path, found = made
    before = shards(found.folder)
    monkeypatch.setattr("gwrsa.study_work.align", None)
    monkeypatch.setattr("gwrsa.study_work.permutation_tests", None)
    again = run(path, found.folder, all_pairs=True)
    assert shards(found.folder) == before
    assert again.provenance == found.provenance


def test_a_model_more_costs_that_model_only(tmp_path):
    path = write(tmp_path)
    first = run(path, tmp_path / "out")
    before = shards(tmp_path / "out")
    path.write_text(TOML + '[[models]]\nname = "new"\nfamily = "clip"\nnoise = "dissimilarities"\n')
    second = run(path, tmp_path / "out")
    after = shards(tmp_path / "out")
    assert all(after[p] == content for p, content in before.items())
    assert set(second.results["target"]) - set(first.results["target"]) == {"new"}
    assert (second.rsa["p_adjusted"][:4] >= first.rsa["p_adjusted"][:4]).all()


def test_torn_files_are_found_and_made_again(tmp_path, made):
    path = write(tmp_path)
    found = run(path, tmp_path / "out")
    for pattern in ("shards", "plans", "sides"):
        for i, torn in enumerate(sorted((tmp_path / "out" / pattern).iterdir())):
            if i % 2:
                torn.write_bytes(torn.read_bytes()[: i * 40])
    edited = min((tmp_path / "out" / "shards").iterdir())
    edited.write_text(edited.read_text().replace("0.", "1.", 1))
    run(path, tmp_path / "out")
    assert_same(tmp_path / "out", made[1].folder)
    assert all(found.plan(key).shape == (N, N) for key in found.chosen["key"])


def test_the_outcome_does_not_depend_on_workers(tmp_path, made):
    run(write(tmp_path), tmp_path / "out", workers=3)
    assert_same(tmp_path / "out", made[1].folder)


def test_changed_inputs_are_refused(tmp_path):
    path = write(tmp_path)
    run(path, tmp_path / "out")
    np.save(tmp_path / "near.npy", np.load(tmp_path / "near.npy") * 2)
    with pytest.raises(ValueError, match=r"same inputs, but 'near.npy' changed since"):
        run(path, tmp_path / "out")


def test_inputs_may_be_mended_where_nothing_came_of_them(tmp_path):
    path = write(tmp_path)
    values = np.load(tmp_path / "far.npy")
    np.save(tmp_path / "far.npy", values[:-1, :-1])
    for _ in range(2):
        with pytest.raises(ValueError, match="items must have 23 labels, one an object, got 24"):
            run(path, tmp_path / "out")
    np.save(tmp_path / "far.npy", values)
    found = run(path, tmp_path / "out")
    assert found.provenance["inputs"]["far.npy"]["sha256"] == file_digest(tmp_path / "far.npy")
    assert found.provenance["earlier"] == []
    np.save(tmp_path / "far.npy", values * 2)
    with pytest.raises(ValueError, match=r"same inputs, but 'far.npy' changed since"):
        run(path, tmp_path / "out")


def test_provenance_keeps_every_run_that_left_something(tmp_path, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    path, before = write(tmp_path), []
    times = iter(f"2026-01-0{i}" for i in range(1, 9))
    monkeypatch.setattr("gwrsa.study_prepare.now", lambda: next(times))
    for i in range(2):
        with monkeypatch.context() as patched:
            patched.setattr(study_work, "align", killed)
            with pytest.raises(KeyboardInterrupt):
                run(path, tmp_path / "out")
        began = load_provenance(tmp_path / "out")["started"]
        before += [(began, None, None)] * (i == 0)
    first = run(path, tmp_path / "out").provenance
    assert [(r["started"], r["finished"], r["seconds"]) for r in first["earlier"]] == [*before, (began, None, None)]
    path.write_text(TOML + '[[models]]\nname = "new"\nfamily = "clip"\nnoise = "dissimilarities"\n')
    second = run(path, tmp_path / "out").provenance
    told = ("started", "finished", "seconds", "versions", "machine")
    assert second["earlier"] == [*first["earlier"], {name: first[name] for name in told}]
    assert run(path, tmp_path / "out").provenance == second


def test_provenance_knows_that_a_run_beside_it_has_finished(tmp_path, monkeypatch):
    path, out, times = write(tmp_path), tmp_path / "out", iter(("2026-01-01", "2026-01-03"))
    monkeypatch.setattr("gwrsa.study_prepare.now", lambda: next(times))
    real, beside = study_work.align, {"started": "2026-01-02", "finished": "2026-01-02", "seconds": 1.0}

    def align(*args, **how):
        # Meanwhile another run has begun here, and says that it is done.
        save_provenance(out, load_provenance(out) | beside)
        return real(*args, **how)

    monkeypatch.setattr(study_work, "align", align)
    found = run(path, out)
    assert [(r["started"], r["finished"], r["seconds"]) for r in found.provenance["earlier"]] == [
        tuple(beside.values())
    ]


def test_features_of_other_versions_of_libraries_are_kept_with_a_word(tmp_path, monkeypatch):
    def fake(images, model, **_):
        meta = {"versions": {"numpy": "0.9", "scipy": version("scipy"), "no-such-library": "1"}}
        return gwrsa.Embedding(
            np.random.default_rng(0).standard_normal((N, 6)), [f"object {i}" for i in range(N)], meta=meta
        )

    fake_networks(monkeypatch, fake)
    (tmp_path / "images").mkdir()
    toml = TOML.replace('embedding = "near.npy"', 'extract = "timm/resnet18"').replace(
        "[categories]", '[images]\nroot = "images"\n[categories]'
    )
    path = write(tmp_path, toml)
    run(path, tmp_path / "out")
    words = rf"model 'near' are those that were extracted by numpy 0\.9, now {re.escape(np.__version__)}; a new folder has new ones"
    with pytest.warns(UserWarning, match=words):
        run(path, tmp_path / "out")


def test_another_version_of_the_store_is_refused(tmp_path):
    path = write(tmp_path)
    run(path, tmp_path / "out")
    file = tmp_path / "out" / "provenance.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"store": 99}))
    with pytest.raises(ValueError, match="layout 3, got layout 99, written by gwrsa"):
        run(path, tmp_path / "out")


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    path = write(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("")
    with pytest.raises(ValueError, match="holds something else"):
        run(path, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["thesis.tex"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_killed_at_several_moments_it_ends_with_the_same_tables(tmp_path, made):
    path, out = write(tmp_path), tmp_path / "out"
    # Killed from inside a write, when the n-th file is about to get its name.
    code = """
import os, signal, sys
left, sync = int(sys.argv.pop(1)), os.fsync
def counted(handle):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    sync(handle)
os.fsync = counted
from gwrsa.cli import main
main()
"""

    def run_until(n):
        command = [sys.executable, "-c", code, str(n), "study", str(path), "--out", str(out), "--no-report"]
        return subprocess.run(command, check=False, capture_output=True, timeout=300).returncode

    # Among the representations, the tests, the alignments and their plans, the tables.
    assert [run_until(n) for n in (5, 10, 9, 12, 14)] == [-signal.SIGKILL] * 5
    assert list(out.rglob(".*.part"))
    with pytest.raises(ValueError, match="finished study"):
        Results.open(out)
    assert run_until(-1) == 0
    assert_same(out, made[1].folder)
    left = Results.open(out)
    for key in left.chosen["key"]:
        np.testing.assert_array_equal(left.plan(key), made[1].plan(key))


# ---- what it needs


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "near.npy").unlink(), r"models\[\d\].embedding must be there, got 'near.npy'"),
        (lambda f: np.save(f / "near.npy", np.ones((N - 1, 3))), "items must have 23 labels"),
        (
            lambda f: gwrsa.Embedding(np.eye(N), [f"o{i}" for i in range(N)]).save(f / "shuffled.npz"),
            "model 'shuffled' must hold all",
        ),
        (lambda f: np.save(f / "near.npy", np.zeros((N, 3))), "no row of zeros"),
    ],
)
def test_inputs_that_do_not_fit_stop_before_any_work(tmp_path, change, message):
    path = write(tmp_path)
    change(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        run(path, tmp_path / "out")
    assert not (tmp_path / "out" / "shards").exists()


# ---- the command line


def test_the_verb_prints_a_table_of_every_model_and_chance(tmp_path):
    path = write(tmp_path)
    got = CliRunner().invoke(app, ["study", str(path), "--out", str(tmp_path / "out"), "--no-report", "--no-progress"])
    assert got.exit_code == 0, got.output
    lines = got.output.splitlines()
    assert lines[0].startswith("small: 24 objects; people against each model (anneal, histogram-matched)")
    starts = ["model", "-----", "near", "shuffled", "far", "noise (mean of 3)", "chance"]
    assert [line.startswith(s) for line, s in zip(lines[2:], starts, strict=False)] == [True] * len(starts)
    rates = pd.read_parquet(tmp_path / "out" / "tables" / "rates.parquet")
    near = rates.query("target == 'near' and choice == 'lowest_loss' and measure == 'matching' and k == 1")[
        "value"
    ].iloc[0]
    assert f"{100 * near:.2f}" in lines[4].split()


def test_where_a_package_is_missing_the_extra_is_named_before_any_work(tmp_path, monkeypatch):
    path = write(tmp_path)
    monkeypatch.setattr("gwrsa.store.find_spec", lambda name: None if name in {"jinja2", "pyarrow"} else name)
    with pytest.raises(ImportError, match=r"a study needs pyarrow and jinja2; pip install 'gwrsa\[study\]'"):
        Study.from_toml(path).run(tmp_path / "out", progress=False)
    with pytest.raises(ImportError, match="a study needs pyarrow;"):
        run(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# ---- networks


def test_a_network_is_run_once_with_its_settings_and_its_rows_are_matched(tmp_path, monkeypatch):
    calls = []

    def fake(images, model, *, seed, progress, **how):
        calls.append((images.name, model, seed, how))
        # As `extract`: in the order of the labels.
        items = sorted(f"object {i}" for i in range(N))
        return gwrsa.Embedding(
            np.random.default_rng(seed).standard_normal((N, 6)), items, name=model, meta={"seed": seed}
        )

    fake_networks(monkeypatch, fake)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "object 1.png").write_bytes(b"one")
    (tmp_path / "weights.pth").write_bytes(b"weights")
    toml = TOML.replace(
        "[categories]",
        """[[models]]
name = "network"
family = "untrained"
extract = "timm/resnet18"
module = "layer4"
seeds = 2
[[models]]
name = "local"
family = "supervised"
extract = "timm/resnet18"
checkpoint = "weights.pth"
preprocessing = "registry"
match = "position"
batch_size = 7
device = "cpu"
broken = "skip"
[images]
root = "images"
[categories]""",
    )
    path = write(tmp_path, toml)
    found = run(path, tmp_path / "out")
    plain = {"module": "layer4", "checkpoint": None, "pretrained": False, "preprocessing": None, "match": "name"}
    plain |= {"batch_size": 32, "device": "auto", "broken": "raise"}
    local = {"module": None, "checkpoint": tmp_path / "weights.pth", "pretrained": True, "preprocessing": "registry"}
    local |= {"match": "position", "batch_size": 7, "device": "cpu", "broken": "skip"}
    assert calls == [("images", "timm/resnet18", i, plain) for i in (0, 1)] + [("images", "timm/resnet18", 0, local)]
    assert found.representation("network", 1).items == found.human.items
    assert found.results["target"].drop_duplicates().tolist() == [
        "near",
        "shuffled",
        "far",
        "noise",
        "network",
        "local",
    ]
    assert {"images", "weights.pth"} < set(found.provenance["inputs"])
    run(path, tmp_path / "out")
    assert len(calls) == 3
    (tmp_path / "images" / "object 1.png").write_bytes(b"two")
    with pytest.raises(ValueError, match="'images' changed since"):
        run(path, tmp_path / "out")
    (tmp_path / "images").rename(tmp_path / "others")
    with pytest.warns(UserWarning, match="replaced: images.root 'images', now 'others'"):
        run(write(tmp_path, toml.replace('root = "images"', 'root = "others"')), tmp_path / "out")
    assert len(calls) == 6
    # Of a name that is no network's nothing is run before it is said.
    wrong = toml.replace('extract = "timm/resnet18"\ncheckpoint', 'extract = "tim/resnet18"\ncheckpoint')
    with pytest.raises(ValueError, match=r"model must be one of timm/.*got 'tim/resnet18'"):
        run(write(tmp_path, wrong.replace('root = "images"', 'root = "others"')), tmp_path / "new")
    assert len(calls) == 6


def test_a_network_without_anything_to_see_is_refused(tmp_path):
    path = write(tmp_path, TOML.replace('embedding = "near.npy"', 'extract = "timm/resnet18"'))
    with pytest.raises(ValueError, match=r"model 'near' must have texts, or the study images.root"):
        run(path, tmp_path / "out")


def test_figures_of_other_tables_are_not_left_beside_new_ones(tmp_path):
    path, out = write(tmp_path), tmp_path / "out"
    run(path, out)
    for name in ("report.html", "figures/figure_2_rsa.png", "figures/mine.png"):
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text("of an earlier run")
    run(path, out)
    assert (out / "report.html").is_file()
    assert (out / "figures" / "figure_2_rsa.png").is_file()
    path.write_text(TOML.replace("bootstrap = 50", "bootstrap = 60"))
    other = pytest.warns(UserWarning, match="were of other tables and are removed; `gwrsa report .*` makes new ones")
    with pytest.warns(UserWarning, match="with other settings"), other:
        run(path, out)
    assert not (out / "report.html").exists()
    assert [p.name for p in (out / "figures").iterdir()] == ["mine.png"]
