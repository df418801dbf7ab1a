import json
import mmap

import numpy as np
import pytest

import gwrsa
from gwrsa import sides, tables
from gwrsa.shards import Shards, key_of, load_arrays, replace, sweep
from gwrsa.solve import build_problem
from gwrsa.store import Results
from gwrsa.study import Study
from study_files import N, write


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    return Study.from_toml(write(folder)).run(folder / "out", figures=False, progress=False)


def embedding(n, d, seed=0):
    return gwrsa.Embedding(np.random.default_rng(seed).standard_normal((n, d)), name=f"{n}x{d}")


# ---- a solution, taken apart and restored

PAIRS = {
    "source factored": (embedding(30, 4), embedding(25, 9, 1)),
    "target factored": (embedding(30, 9), embedding(25, 4, 1)),
    "target dense": (embedding(30, 4), embedding(25, 9, 1).rdm("euclidean")),
    "source dense": (embedding(30, 9).rdm("euclidean"), embedding(25, 4, 1)),
    "both dense": (embedding(30, 4).rdm("euclidean"), embedding(25, 4, 1).rdm("euclidean")),
}


@pytest.mark.parametrize("precision", ["mixed", "float64"])
@pytest.mark.parametrize("name", PAIRS)
def test_a_solution_is_potentials_and_small_factor(name, precision):
    source, target = PAIRS[name]
    p = np.linspace(0, 1, 30) / 15
    solved = gwrsa.entropic_gw(source, target, p, epsilon=0.05, init="spectral", precision=precision)
    exponent, (f, g) = solved.exponent, solved.potentials
    assert exponent.dtype == (np.float32 if precision == "mixed" else np.float64)
    assert exponent.size <= (5 * 30 if "factored" in name or name == "target dense" else 30 * 30)
    restored = build_problem(source, target, p).restore(exponent, f, g, solved.epsilon)
    np.testing.assert_array_equal(restored.plan(), solved.plan)
    np.testing.assert_array_equal(restored.top(10), solved.top(10))
    assert (restored.gw_loss, restored.objective) == (solved.gw_loss, solved.objective)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"f": np.zeros(3)}, r"f must have shape \(30, 1\), got \(3, 1\)"),
        ({"g": np.zeros(30)}, r"g must have shape \(25, 1\)"),
        ({"f": np.full(30, np.nan)}, "f must be finite, got NaN at row 0"),
        ({"exponent": np.zeros((5, 4), np.float32)}, r"exponent must have shape \(5, 25\), got \(5, 4\)"),
        ({"exponent": np.full((5, 25), np.inf)}, "exponent must be finite, got inf at row 0, column 0"),
        ({"epsilon": 0.0}, "epsilon must be positive and finite, got 0"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(change, message):
    source, target = PAIRS["source factored"]
    state = {"exponent": np.zeros((5, 25), np.float32), "f": np.zeros(30), "g": np.zeros(25), "epsilon": 0.1}
    with pytest.raises(ValueError, match=message):
        build_problem(source, target).restore(*(state | change).values())


# ---- what is read is what was computed


def test_plans_are_derived_again_bit_for_bit_with_their_top(found):
    groups = found.members
    alone = gwrsa.align(found.human, found.model("near"), n_starts=3, categories=groups, progress=False)
    row = found.chosen.query("target == 'near' and choice == 'lowest_loss'").iloc[0]
    plan, (top, mass) = found.plan(row["key"]), found.top(row["key"])
    np.testing.assert_array_equal(plan, alone.lowest_loss.plan)
    np.testing.assert_array_equal(top, alone.lowest_loss.top)
    np.testing.assert_allclose(mass, np.take_along_axis(plan, top, 1) * N, rtol=1e-6)
    assert (top.shape, top.dtype, mass.dtype) == ((N, 10), np.int64, np.float32)
    assert gwrsa.matching_rate(plan) == row["top1"]


def test_every_model_is_there_as_it_was_given_and_as_it_was_aligned(found):
    human = found.human
    assert (human.name, found.representation().values.shape) == ("people", (N, 4))
    far = found.model("far")
    assert (far.name, far.items) == ("far", human.items)
    np.testing.assert_allclose(np.sort(far.dissimilarities), np.sort(human.dissimilarities))
    given = found.representation("far")
    assert (np.argsort(given.dissimilarities) == np.argsort(far.dissimilarities)).all()
    assert gwrsa.rsa(human, given) == found.rsa.set_index("target").loc["far", "value"]
    noise = [found.representation("noise", i).values for i in range(3)]
    assert all(x.shape == (N, 4) for x in noise)
    assert not np.allclose(noise[0], noise[1])


def test_chosen_and_objects_follow_from_the_tables_and_categories(found):
    again = tables.chosen(found.results)
    assert found.chosen.drop(columns="key").equals(again)
    groups = gwrsa.load_categories(found.folder.parent / "categories.csv")
    assert (found.members.members == groups.members).all()
    assert found.members.names == groups.names
    labels = [groups.names[row.argmax()] if row.any() else "" for row in groups.members]
    assert found.objects["one"].tolist() == found.objects["categories"].tolist() == labels


def test_provenance_names_every_file_and_setting(found):
    provenance = found.provenance
    named = {"items.txt", "human.npy", "near.npy", "shuffled.npz", "far.npy", "categories.csv"}
    assert set(provenance["inputs"]) == named
    assert all(len(seen["sha256"]) == 64 and seen["bytes"] > 0 for seen in provenance["inputs"].values())
    assert found.settings["alignment"]["tol"] == 1e-5
    assert found.settings["statistics"]["top_k"] == [1, 5, 10]
    assert provenance["versions"]["gwrsa"] == gwrsa.__version__
    assert (found.folder / "study.toml").read_text() == (found.folder.parent / "study.toml").read_text()


def test_a_state_of_one_factored_side_is_small(tmp_path):
    n = 600
    rng = np.random.default_rng(0)
    np.save(tmp_path / "a.npy", rng.standard_normal((n, 8)))
    np.save(tmp_path / "b.npy", rng.standard_normal((n, 8)))
    (tmp_path / "s.toml").write_text(
        '[human]\nembedding = "a.npy"\n[[models]]\nname = "b"\nfamily = "clip"\nembedding = "b.npy"\n'
        "[alignment]\nn_starts = 1\nepsilon = 0.5\n[statistics]\npermutations = 2\n"
    )
    found = Study.from_toml(tmp_path / "s.toml").run(tmp_path / "out", figures=False, progress=False)
    (path,) = (found.folder / "plans").iterdir()
    # 9 rows of float32, 10 targets of int64 with their mass in float32, two potentials; the plan would take 2.9 MB.
    assert path.stat().st_size < n * (9 * 4 + 10 * 12 + 16) + 2000


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda r: r.model("nobody"), "models 'near', 'shuffled', 'far', 'noise', got 'nobody', 0"),
        (lambda r: r.model("noise", 3), "got 'noise', 3"),
        (lambda r: r.plan("nonsense"), "key must be one of the column 'key' of chosen, got 'nonsense'"),
        (lambda r: Results.open(r.folder / "plans"), "there is no provenance.json"),
    ],
)
def test_what_is_not_there_is_named(found, ask, message):
    with pytest.raises(ValueError, match=message):
        ask(found)


def test_a_plan_of_another_side_is_not_given_for_it(tmp_path):
    found = Study.from_toml(write(tmp_path)).run(tmp_path / "out", figures=False, progress=False)
    keys = found.chosen.query("choice == 'lowest_loss'").set_index("target")["key"]
    plans = found.folder / "plans"
    (plans / f"{keys['near']}.npz").write_bytes((plans / f"{keys['far']}.npz").read_bytes())
    with pytest.raises(ValueError, match=r"must have the GW loss .* was a file changed"):
        found.plan(keys["near"])
    side = found.folder / "sides" / f"{found.provenance['human']['side']}.npz"
    sides.save_side(tmp_path, found.representation("noise"))
    side.write_bytes((tmp_path / f"{found.provenance['models'][-3]['side']}.npz").read_bytes())
    with pytest.raises(ValueError, match="got values or labels of another digest"):
        Results.open(found.folder).human  # noqa: B018


# ---- files


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")

    def broken(file):
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        replace(path, broken)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


def test_a_shard_that_is_torn_or_edited_is_not_there(tmp_path):
    shards = Shards(tmp_path)
    result = {"values": [0.1, 1e-300, 3], "none": None}
    key = key_of({"unit": "test"})
    shards.save({"unit": "test"}, result)
    assert shards.load(key) == result
    whole = shards.path(key).read_text()
    for torn in (
        whole[:-10],
        "",
        "[]",
        '{"result": 3, "seal": 3}',
        whole.replace("0.1", "0.2"),
        whole.replace("test", "tset"),
    ):
        shards.path(key).write_text(torn)
        assert shards.load(key) is None
    shards.path("other").write_text(whole)
    assert shards.load("other") is None
    assert json.loads(whole)["what"] == {"unit": "test"}


def test_sweep_removes_old_halves_only(tmp_path, monkeypatch):
    for name in (".a.npz.x.part", "b.npz"):
        (tmp_path / name).write_text("")
    sweep(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    monkeypatch.setattr("gwrsa.shards._STALE", -1.0)
    sweep(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["b.npz"]


@pytest.mark.parametrize("side", [embedding(6, 3), embedding(6, 3).rdm(), gwrsa.Embedding(np.eye(4), list("dcba"))])
def test_a_side_is_read_as_it_was_written(tmp_path, side):
    key = sides.save_side(tmp_path, side)
    read = sides.load_side(tmp_path / f"{key}.npz", side.name)
    assert (type(read), read.items, read.name) == (type(side), side.items, side.name)
    what = "values" if isinstance(side, gwrsa.Embedding) else "dissimilarities"
    np.testing.assert_array_equal(getattr(read, what), getattr(side, what))
    assert load_arrays(tmp_path / f"{key}.npz")
    renamed = gwrsa.Embedding(np.eye(4), list("abcd"))
    assert sides.side_digest(renamed) != sides.side_digest(gwrsa.Embedding(np.eye(4), list("dcba")))


def mapping(array):
    """The mapped file that holds an array's numbers, if one does."""
    while isinstance(array, np.ndarray):
        array = array.base
    return array if isinstance(array, mmap.mmap) else None


def test_numbers_of_a_side_are_mapped_and_stay_when_its_file_is_replaced(tmp_path):
    side = embedding(40, 3).rdm()
    path = tmp_path / f"{sides.save_side(tmp_path, side)}.npz"
    whole = path.read_bytes()
    read = sides.load_side(path, "read")
    assert mapping(read.dissimilarities) is not None
    assert mapping(sides.aligned(read, "precomputed").dissimilarities) is not None
    assert mapping(load_arrays(path)["rdm"]) is None
    with pytest.raises(ValueError, match="read-only"):
        read.dissimilarities[0] = 1
    replace(path, lambda file: file.write(bytes(len(whole))))
    np.testing.assert_array_equal(read.dissimilarities, side.dissimilarities)
    assert sides.save_side(tmp_path, side) == path.stem
    assert path.read_bytes() == whole


def test_a_side_that_cannot_be_mapped_is_read(tmp_path):
    side = embedding(40, 3).rdm()
    path = tmp_path / f"{sides.side_digest(side)}.npz"
    for save in (np.savez_compressed, np.savez):
        save(path, rdm=side.dissimilarities)  # np.savez puts the numbers where memory does not begin
        read = sides.load_side(path, "read")
        assert mapping(read.dissimilarities) is None
        np.testing.assert_array_equal(read.dissimilarities, side.dissimilarities)


def test_a_side_of_which_a_byte_is_another_is_named_or_the_same(tmp_path):
    side = gwrsa.RDM([0.1, 0.2, 0.3], ["a", "b", "c"])
    path = tmp_path / f"{sides.save_side(tmp_path, side)}.npz"
    whole, named = path.read_bytes(), 0
    torn = [whole[:n] for n in range(0, len(whole), 3)]
    torn += [whole[:i] + bytes([whole[i] ^ bit]) + whole[i + 1 :] for i in range(len(whole)) for bit in (1, 0x80)]
    for content in torn:
        path.write_bytes(content)
        try:
            read = sides.load_side(path, side.name)
        except ValueError as error:
            named += path.name in str(error)
        else:
            assert (read.items, read.dissimilarities.tolist()) == (side.items, [0.1, 0.2, 0.3])
    assert named > len(torn) / 2


def test_what_is_mapped_writable_is_copied(tmp_path):
    np.save(tmp_path / "c.npy", [1.0, 2.0, 3.0])
    for mode, copied in (("r", False), ("r+", True), ("c", True)):
        values = np.load(tmp_path / "c.npy", mmap_mode=mode)
        assert np.may_share_memory(gwrsa.RDM(values).dissimilarities, values) != copied
        assert np.may_share_memory(gwrsa.Embedding(values.reshape(3, 1)).values, values) != copied
