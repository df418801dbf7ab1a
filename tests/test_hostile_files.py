"""Broken and malicious files: an error that names the file, or a right value; nothing is run, nor set aside because a header says so."""

import io
import json
import pickle
import shutil
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hostile
import mutations
import study_files
from gwrsa import bounds, shards, store, study_check
from gwrsa.loaders import load_array, load_categories, load_items
from gwrsa.study import Study
from gwrsa.study_settings import Settings
from mutations import bounded, read, refused

GB = 1 << 30


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return mutations.whole(tmp_path_factory.mktemp("whole"))


def test_whole_files_are_read(files, tmp_path):
    assert len(files) >= 18
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        assert any(found is not None for found in read(tmp_path / name)), name


@given(data=st.data())
def test_broken_files(files, tmp_path_factory, data):
    name, content = data.draw(mutations.broken(files))
    path = tmp_path_factory.mktemp("broken") / name
    path.write_bytes(content)
    for found in read(path):
        values = getattr(found, "values", None)
        if isinstance(values, np.ndarray) and values.dtype == np.float64 and path.suffix != ".parquet":
            assert np.isfinite(values).all()
    for left in path.parent.iterdir():
        left.unlink()
    path.parent.rmdir()


@pytest.fixture(scope="module")
def study_of_mine(made, tmp_path_factory):
    """A finished study that may be broken, and is whole in the end."""
    folder = tmp_path_factory.mktemp("mine") / "out"
    shutil.copytree(made[1].folder, folder)
    yield Mine(folder, contents(folder))
    assert study_check.check(folder).whole


@dataclass(repr=False)
class Mine:
    """A study's folder and what its files held; not shown, as that is long."""

    folder: Path
    whole: dict[str, bytes]


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@given(which=st.integers(0, 1 << 20), at=st.integers(0, 1 << 30), bit=st.integers(0, 7))
def test_a_study_with_a_broken_file_is_checked(study_of_mine, which, at, bit):
    folder, whole = study_of_mine.folder, study_of_mine.whole
    names = [n for n in whole if n.endswith((".json", ".npz", ".parquet")) and n != "provenance.json"]
    name = names[which % len(names)]
    path, before = folder / name, whole[name]
    at %= len(before)
    broken = before[:at] + bytes([before[at] ^ 1 << bit]) + before[at + 1 :]
    hostile.COUNT["cases"] += 1
    try:
        path.write_bytes(broken)
        with hostile.within(), bounded():
            found = study_check.check(folder)
        if path.parent.name in {"plans", "shards"}:
            # A space more or less, or a letter of which a word is told by the seal.
            assert not found.whole or shards.digest(json.loads(broken)) == shards.digest(json.loads(before))
        assert contents(folder) == whole | {name: broken}  # a check writes nothing
    finally:
        path.write_bytes(before)


def header(descr, shape, version=(1, 0)):
    text = str({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text


@pytest.mark.parametrize(
    ("descr", "shape"),
    [
        ("<f8", (2**40,)),
        ("<f8", (2**31, 2**31)),
        ("<f8", (2**62, 4)),
        ("<U99999999", (100,)),
        ("<U0", (2**40,)),
        ("<f8", (-1, 3)),
    ],
)
def test_an_npy_header_that_claims_more_than_the_file_holds(tmp_path, descr, shape):
    content = header(descr, shape) + bytes(64)
    (tmp_path / "a.npy").write_bytes(content)
    refused(tmp_path / "a.npy", "claims|must have a shape")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("values.npy", content)
    refused(tmp_path / "a.npz", "claims|must have a shape")
    with bounded(), pytest.raises(ValueError, match=r"claims|must have a shape"):
        shards.load_arrays(tmp_path / "a.npz")


def test_an_npy_header_of_gigabytes(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x02\x00" + b"\xff" * 4 + b"{" * 100)
    refused(tmp_path / "a.npy", "the header claims")
    (tmp_path / "b.npy").write_bytes(header("(" * 3000, (1,)))
    refused(tmp_path / "b.npy", "no array")


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("code", [0x110000, 0xFFFFFFFF])
def test_text_of_no_characters(tmp_path, code, order):
    letters = np.array([97, 98, 99, code], dtype=f"{order}u4")
    (tmp_path / "a.npy").write_bytes(header(f"{order}U2", (2,)) + letters.tobytes())
    with pytest.raises(ValueError, match=rf"a\.npy.*Unicode's characters, got number {code}$"):
        load_items(tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("values.npy", header("<f8", (2, 1)) + bytes(16))
        archive.writestr("items.npy", (tmp_path / "a.npy").read_bytes())
    refused(tmp_path / "a.npz", "Unicode's characters")
    np.save(tmp_path / "a.npy", np.array(["\U0010ffff", "\ud7ff\ue000"]).astype(f"{order}U2"))
    assert load_items(tmp_path / "a.npy") == ("\U0010ffff", "\ud7ff\ue000")


def test_zip_bombs(tmp_path):
    # 1 GiB of zeros, as an honest header says, in a megabyte.
    with (
        zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("values.npy", "w") as member,
    ):
        member.write(header("<f8", (GB // 8,)))
        for _ in range(64):
            member.write(bytes(GB // 64))
    assert (tmp_path / "bomb.npz").stat().st_size < 2e6
    refused(tmp_path / "bomb.npz", "the archive claims")
    with zipfile.ZipFile(tmp_path / "lzma.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("values.npy", header("<f8", (2,)) + bytes(16))
    refused(tmp_path / "lzma.npz", "stored or deflated")
    # Many zeros that a matrix may well have are no bomb.
    np.savez_compressed(tmp_path / "zeros.npz", values=np.zeros((3000, 3000)))
    assert load_array(tmp_path / "zeros.npz").values.shape == (3000, 3000)


def test_hdf5_that_claims_more_than_it_holds_or_reads_other_files(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "huge.h5", "w") as file:
        file.create_dataset("values", shape=(2**20, 2**20), dtype="f8", chunks=(1, 64))
    refused(tmp_path / "huge.h5", "claims")
    secret = tmp_path / "secret"
    secret.write_bytes(np.arange(4.0).tobytes())
    with h5py.File(tmp_path / "external.h5", "w") as file:
        file.create_dataset("values", shape=(4,), dtype="f8", external=[(str(secret), 0, 32)])
    refused(tmp_path / "external.h5", "other files")
    with h5py.File(tmp_path / "source.h5", "w") as file:
        file["values"] = np.arange(4.0)
    layout = h5py.VirtualLayout(shape=(4,), dtype="f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "source.h5"), "values", shape=(4,))
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("values", layout)
    refused(tmp_path / "virtual.h5", "other files")
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["values"] = h5py.ExternalLink(str(tmp_path / "source.h5"), "values")
    refused(tmp_path / "link.h5", "no numeric")


def test_a_table_of_few_bytes_is_no_matrix_of_many_cells(tmp_path):
    (tmp_path / "wide.csv").write_text("," * 300_000 + "\n" * 300_000 + "1\n")
    refused(tmp_path / "wide.csv", "row 2 must have 300001 columns")
    (tmp_path / "quote.csv").write_text('1,2\n3,"4\n5,6\n')
    refused(tmp_path / "quote.csv", "cannot be read")
    (tmp_path / "labels.csv").write_text("item,category\n" + "\n".join(f"i{i},c{i}" for i in range(20_000)) + "\n")
    with bounded(), pytest.raises(ValueError, match="fewer categories"):
        load_categories(tmp_path / "labels.csv")


def test_one_long_label_does_not_lengthen_all(tmp_path):
    (tmp_path / "items.txt").write_text("\n".join(map(str, range(30_000))) + "\n" + "x" * 100_000 + "\n")
    with bounded(), pytest.raises(ValueError, match=r"items\.txt.*shorter"):
        load_items(tmp_path / "items.txt")


def test_a_parquet_file_that_expands_without_end(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    zeros = pa.table({f"x{i}": pa.array(np.zeros(2_000_000)) for i in range(10)})
    with pq.ParquetWriter(tmp_path / "bomb.parquet", zeros.schema) as writer:
        for _ in range(3):
            writer.write_table(zeros)
    assert (tmp_path / "bomb.parquet").stat().st_size < 1e6
    with bounded(), pytest.raises(ValueError, match=r"bomb.*claims"):
        store.read_table(tmp_path / "bomb.parquet")


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_no_reader_runs_code(tmp_path):
    ran = tmp_path / "ran"
    pickled = pickle.dumps(Bomb(str(ran)))
    objects = np.empty(1, dtype=object)
    objects[0] = Bomb(str(ran))
    stream = io.BytesIO()
    np.save(stream, objects, allow_pickle=True)
    for name in ("a.npy", "a.mat", "a.h5", "a.csv", "a.txt", "study.toml", "a.parquet"):
        for content in (pickled, stream.getvalue()):
            (tmp_path / name).write_bytes(content)
            assert all(found is None for found in read(tmp_path / name))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name in ("values.npy", "items.npy", "provenance.npy", "metric.npy", "name.npy"):
            archive.writestr(name, stream.getvalue())
    assert all(found is None for found in read(tmp_path / "a.npz"))
    for text in (f"__import__('os').mkdir({str(ran)!r})", "{{7*7}}", "$(touch ran)", "=cmd()"):
        (tmp_path / "a.csv").write_text(f'item,x\n"{text}",1\nb,2\n')
        assert load_array(tmp_path / "a.csv").items == (text, "b")
    assert not ran.exists()
    pickle.loads(pickled).close()  # noqa: S301  # the test can fail
    assert ran.exists()


def test_weights_of_networks_are_not_unpickled(tmp_path):
    torch = pytest.importorskip("torch")
    from gwrsa.extraction import models

    torch.save({"x": Bomb(str(tmp_path / "ran"))}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"checkpoint.*w\.pt"):
        models._fill(torch.nn.Linear(1, 1), tmp_path / "w.pt", "name")  # noqa: SLF001
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a = " + "[" * 5000, "TOML"),
        ("a = " + "9" * 5000, "limit|TOML"),
        ("\x00", "TOML"),
        ("[human]\nname = 1\n[[models]]", "text"),
        ("[[models]]\n" * 10, "human"),
    ],
)
def test_toml_that_is_none(tmp_path, text, match):
    (tmp_path / "study.toml").write_text(text)
    with pytest.raises(ValueError, match=match) as caught:
        Settings.read(tmp_path / "study.toml")
    assert "study.toml" in str(caught.value)
    (tmp_path / "study.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(ValueError, match=r"study\.toml must be TOML"):
        Settings.read(tmp_path / "study.toml")


def test_json_nested_without_end_is_torn(tmp_path):
    (tmp_path / "ab.json").write_text("[" * 100_000)
    assert shards.Shards(tmp_path).load("ab") is None
    (tmp_path / "provenance.json").write_text('{"store": ' + "[" * 100_000)
    with pytest.raises(ValueError, match="provenance"):
        store.load_provenance(tmp_path)


@pytest.fixture(scope="module")
def climbing(tmp_path_factory):
    """A study all of whose names try to leave its folder, and what was there before it was run."""
    pytest.importorskip("pyarrow")
    folder = tmp_path_factory.mktemp("climbing")
    path = study_files.write(folder / "in")
    up = "../" * 3 + "evil"
    toml = (
        path.read_text().replace('"small"', f'"{up}"').replace('"near"', f'"{up}/near"').replace('"people"', '"/evil"')
    )
    path.write_text(toml.replace('family = "clip"', f'family = "{up}"').replace('"far"', '"..\\\\evil"'))
    file = folder / "in" / "categories.csv"
    file.write_text(file.read_text().replace("animal", up))
    return folder, Study.from_toml(path).run(folder / "out", progress=False)


def test_names_in_a_study_do_not_leave_its_folder(climbing):
    folder, results = climbing
    assert sorted(p.name for p in folder.iterdir()) == ["in", "out"]
    assert not [p for p in folder.parent.rglob("*evil*") if results.folder not in p.parents]
    written = [p for p in results.folder.rglob("*") if p.is_file()]
    assert len([p for p in written if p.parent.name == "figures"]) > 20
    assert {p.relative_to(results.folder).parts[0] for p in written if p.parent != results.folder} <= {
        "figures",
        "plans",
        "shards",
        "sides",
        "tables",
    }
    assert results.rsa["target"].str.contains("evil").any()


def test_keys_of_a_store_do_not_leave_the_folder_it_is_merged_into(climbing, tmp_path):
    _, results = climbing
    there = shards.Shards(results.folder / "shards")
    held = next(p for p in there.folder.glob("*.json") if json.loads(p.read_text())["result"].get("plans"))
    shard = json.loads(held.read_text())
    (key, sha), *rest = shard["result"]["plans"].items()
    (results.folder / "plans" / f"{key}.npz").replace(results.folder.parent / "loot.npz")
    shard["result"]["plans"] = {"../../loot": sha, **dict(rest)}
    shard["seal"] = shards.digest([held.stem, shard["result"]])
    before = held.read_text()
    held.write_text(json.dumps(shard))
    other = study_files.write(tmp_path / "in")
    other.write_text(other.read_text().replace('"people"', '"/evil"').replace('name = "noise"', 'name = "more"'))
    try:
        for name in ("items.txt", "categories.csv"):
            (tmp_path / "in" / name).write_bytes((results.folder.parent / "in" / name).read_bytes())
        study_files.run(other, tmp_path / "other")
        from gwrsa.study_merge import merge

        with pytest.raises(ValueError, match=r"named by hashes|must"):
            merge([results.folder, tmp_path / "other"], tmp_path / "a" / "b" / "out", figures=False, progress=False)
        assert not list((tmp_path / "a").rglob("loot*"))
    finally:
        held.write_text(before)
        (results.folder.parent / "loot.npz").replace(results.folder / "plans" / f"{key}.npz")


def test_items_of_bytes_that_are_no_text(tmp_path):
    np.save(tmp_path / "items.npy", np.array([b"\xff", b"a"]))
    (tmp_path / "items.txt").write_bytes(b"ant\n\xff\xfe\n")
    (tmp_path / "items.csv").write_bytes(b"item\n\xff\xfe\n")
    for name in ("items.npy", "items.txt", "items.csv"):
        with pytest.raises(ValueError, match=name.replace(".", r"\.")):
            load_items(tmp_path / name)


def test_the_bound_of_these_tests_bounds():
    with bounded(1 << 26), pytest.raises(MemoryError):
        np.ones(1 << 25)
    assert np.ones(1 << 25).nbytes == 1 << 28
    assert bounds.FREE == 1 << 28
