"""Small files that would be gigabytes, or hours, once read: refused by name. Those that are large for a reason are read."""

import time
import zlib

import numpy as np
import pandas as pd
import pytest

import gwrsa
from gwrsa import rsatoolbox_files, store
from gwrsa.loaders import load_array
from gwrsa.study_settings import Settings
from mutations import bounded

DEFLATE = 1


@pytest.fixture
def h5py():
    return pytest.importorskip("h5py")


@pytest.fixture
def parquet():
    return pytest.importorskip("pyarrow.parquet")


def refused(way, path, match):
    with bounded(), pytest.raises(ValueError, match=match) as caught:
        way(path)
    assert path.name in str(caught.value)


def test_a_chunk_that_is_larger_than_its_array(tmp_path, h5py):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("x", shape=(4,), maxshape=(None,), dtype="f8", chunks=(1 << 26,), compression="gzip")
        made.id.write_direct_chunk((0,), zlib.compress(bytes(1 << 10)))
    refused(load_array, tmp_path / "a.h5", "a chunk of 'x' claims")


def test_a_chunk_that_inflates_to_more_than_its_size(tmp_path, h5py):
    deflate = zlib.compressobj(9)
    packed = b"".join(deflate.compress(bytes(1 << 24)) for _ in range(80)) + deflate.flush()
    for shuffle in (False, True):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            made = file.create_dataset("x", shape=(8,), dtype="f8", chunks=(8,), compression="gzip", shuffle=shuffle)
            made.id.write_direct_chunk((0,), packed)
        refused(load_array, tmp_path / "a.h5", "inflates to more")
    # That nothing of it is deflated is said of the shuffling only.
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["x"].id.write_direct_chunk((0,), packed, filter_mask=1)
    refused(load_array, tmp_path / "a.h5", "inflates to more")


def test_a_chunk_that_is_deflated_twice(tmp_path, h5py):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((1000,))
    for _ in range(2):
        plist.set_filter(DEFLATE, 0, (9,))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_DOUBLE, h5py.h5s.create_simple((1000,)), plist)
        file["x"][:] = 1.0
    refused(load_array, tmp_path / "a.h5", "compressed once")


@pytest.mark.parametrize("how", [{"compression": "gzip"}, {"compression": "lzf"}, {"fletcher32": True}, {}])
def test_chunks_of_many_zeros_are_read(tmp_path, h5py, how):
    values = np.zeros((3000, 3000))
    values[::7, ::7] = np.arange(429.0)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=values, chunks=(3000, 3000), shuffle=True, **how)
    assert np.array_equal(load_array(tmp_path / "a.h5").values, values)


def test_one_chunk_of_megabytes_is_read(tmp_path, h5py):
    # Numbers that hardly compress: deflated as they are, the chunk could expand a thousand times.
    values = np.random.default_rng(0).uniform(size=(400, 400))
    for how in ({"fletcher32": True}, {"shuffle": True}):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.create_dataset("x", data=values, chunks=values.shape, compression="gzip", **how)
        assert (tmp_path / "a.h5").stat().st_size > 1e6
        assert np.array_equal(load_array(tmp_path / "a.h5").values, values)


def same_text(h5py, file, name, n, length):
    """n entries that are one text in the file."""
    kind = h5py.string_dtype()
    made = file.create_dataset(name, shape=(n,), dtype=kind, chunks=(n,), maxshape=(None,))
    made[0] = "y" * length
    address = made.id.read_direct_chunk((0,))[1][:16]
    made.id.write_direct_chunk((0,), address * n)


def test_text_that_is_one_in_the_file(tmp_path, h5py):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["values"] = np.ones((20_000, 1))
        same_text(h5py, file, "items", 20_000, 60_000)
    assert (tmp_path / "a.h5").stat().st_size < 1e6
    refused(load_array, tmp_path / "a.h5", "text claims")


def test_groups_nested_without_end(tmp_path, h5py):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.id
        for _ in range(3000):
            group = h5py.h5g.create(group, b"a")
        h5py.Group(group)["x"] = [1.0]
    refused(load_array, tmp_path / "a.h5", "nested at most 50 deep")


def test_a_group_within_itself_is_read_once(tmp_path, h5py):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("group")
        group["x"], group["items"] = np.eye(2), ["a", "b"]
        group["again"], group["root"], file["y"] = group, file["/"], group["x"]
        file["soft"], file["gone"] = h5py.SoftLink("/group/x"), h5py.SoftLink("/nowhere")
    assert load_array(tmp_path / "a.h5").items == ("a", "b")


def test_arrays_of_arrays_are_not_read(tmp_path, h5py):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["values"] = np.ones((2, 2))
        made = file.create_dataset(
            "x", shape=(20_000,), dtype=h5py.vlen_dtype("f8"), chunks=(20_000,), maxshape=(None,)
        )
        made[0] = np.ones(10_000)
        address = made.id.read_direct_chunk((0,))[1][:16]
        made.id.write_direct_chunk((0,), address * 20_000)
    with bounded():
        assert np.array_equal(load_array(tmp_path / "a.h5").values, np.ones((2, 2)))
        with pytest.raises(ValueError, match="real numbers"):
            load_array(tmp_path / "a.h5", key="x")


def rdms(file, n=4):
    file["dissimilarities"] = np.arange(6.0)[None]
    file.attrs["dissimilarity_measure"] = "euclidean"
    for name in ("rdm_descriptors", "pattern_descriptors"):
        file.create_group(name)
    return file["pattern_descriptors"]


def test_descriptors_of_rsatoolbox_that_claim_more_than_the_file_holds(tmp_path, h5py):
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        rdms(file).create_dataset("items", shape=(1 << 40,), dtype="i8", chunks=(64,))
    refused(gwrsa.RDM.load, path, "claims")
    with h5py.File(path, "w") as file:
        same_text(h5py, rdms(file), "items", 20_000, 60_000)
    refused(gwrsa.RDM.load, path, "claims")
    # A list of several types has an entry each; here all are one.
    with h5py.File(path, "w") as file:
        group = rdms(file).create_group("items")
        group["0"] = "y" * 3_000_000
        for i in range(1, 1000):
            group[str(i)] = group["0"]
    refused(gwrsa.RDM.load, path, "claims")
    with h5py.File(path, "w") as file:
        group = rdms(file).create_group("items")
        for i, label in enumerate(("a", 1, 0.5, "d")):
            group[str(i)] = label
    assert rsatoolbox_files.read(path, None, "items").items == ("a", "1", "0.5", "d")


def test_a_descriptor_of_rsatoolbox_that_is_lists_of_numbers(tmp_path, h5py):
    path = tmp_path / "a.h5"
    lists = np.empty(1, dtype=object)
    lists[0] = np.arange(3, dtype=np.uint8)
    with h5py.File(path, "w") as file:
        rdms(file)
        file.attrs.create("dissimilarity_measure", lists, dtype=h5py.vlen_dtype(np.uint8))
    refused(gwrsa.RDM.load, path, "'dissimilarity_measure' must hold numbers or text, got lists")


def test_what_is_linked_to_in_other_files_is_not_read(tmp_path, h5py):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.ones((2, 2))
    with h5py.File(tmp_path / "features.hdf5", "w") as file:
        file["features"] = h5py.ExternalLink("other.h5", "x")
    refused(lambda _: gwrsa.Embedding.from_thingsvision(tmp_path), tmp_path / "features.hdf5", "other files")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        rdms(file)
        del file["dissimilarities"]
        file["dissimilarities"] = h5py.ExternalLink("other.h5", "x")
    refused(gwrsa.RDM.load, tmp_path / "a.h5", "other files")


def test_a_list_of_names_that_is_no_text_is_named(tmp_path):
    np.save(tmp_path / "features.npy", np.ones((2, 2)))
    (tmp_path / "file_names.txt").write_bytes(b"a\xff\nb\n")
    with pytest.raises(ValueError, match=r"file_names\.txt is no text"):
        gwrsa.Embedding.from_thingsvision(tmp_path)


def test_a_table_whose_rows_are_one_text(tmp_path, parquet):
    import pyarrow as pa

    n = 200_000
    same = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, dtype=np.int32)), pa.array(["y" * 20_000]))
    parquet.write_table(pa.table({"x": same}), tmp_path / "a.parquet", store_schema=False)
    assert (tmp_path / "a.parquet").stat().st_size < 1e5
    refused(store.read_table, tmp_path / "a.parquet", "the text of the table claims")


def test_a_table_of_lists(tmp_path, parquet):
    import pyarrow as pa

    parquet.write_table(pa.table({"x": [np.zeros(3_000_000)]}), tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 1e4
    refused(store.read_table, tmp_path / "a.parquet", "numbers or text")


def test_a_table_whose_rows_repeat_the_one_before(tmp_path, parquet):
    import pyarrow as pa

    table = pa.table({"x": ["y" * 20_000] * 200_000})
    how = {"use_dictionary": False, "column_encoding": {"x": "DELTA_BYTE_ARRAY"}, "data_page_size": 1 << 30}
    parquet.write_table(table, tmp_path / "a.parquet", **how)
    assert (tmp_path / "a.parquet").stat().st_size < 1e6
    refused(store.read_table, tmp_path / "a.parquet", "encoded as one of PLAIN")


def test_a_table_whose_footer_says_less_than_its_pages(tmp_path, parquet):
    import pyarrow as pa

    path = tmp_path / "a.parquet"
    table = pa.table({"x": ["y" * 300_000_000]})
    parquet.write_table(table, path, compression="zstd", use_dictionary=False, write_statistics=False)
    said = parquet.read_metadata(path).row_group(0).total_byte_size
    content = path.read_bytes()
    assert len(content) < 1e6
    number, left = [], 2 * said
    while left >= 0x80:
        number.append(left & 0x7F | 0x80)
        left >>= 7
    number.append(left)
    # As many bytes that are the number 0.
    begins = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    footer = content[begins:].replace(bytes(number), b"\x80" * (len(number) - 1) + b"\x00")
    assert footer != content[begins:]
    path.write_bytes(content[:begins] + footer)
    assert parquet.read_metadata(path).row_group(0).total_byte_size == 0
    refused(store.read_table, path, "the table claims")


@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"])
def test_integers_of_every_width_are_read(tmp_path, parquet, kind):
    import pyarrow as pa

    parquet.write_table(pa.table({"x": np.arange(100, dtype=kind)}), tmp_path / "a.parquet")
    found = store.read_table(tmp_path / "a.parquet")["x"]
    assert found.dtype == kind
    assert found.tolist() == list(range(100))


def test_a_table_whose_footer_contradicts_itself(tmp_path, parquet):
    """Arrow's account of such a column would end the process."""
    import pyarrow as pa

    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"x": [1, None, 3]}), path)
    content = path.read_bytes()
    may_be_none, must_be_there = b"\x25\x02\x18\x01x", b"\x25\x00\x18\x01x"
    assert content.count(may_be_none) == 1
    path.write_bytes(content.replace(may_be_none, must_be_there))
    refused(store.read_table, path, "cannot be read|histogram")


def test_a_table_of_every_kind_of_column_is_read(tmp_path, parquet):
    rng = np.random.default_rng(0)
    n = 30_000
    table = pd.DataFrame(
        {
            "text": [f"object {i}" for i in range(n)],
            "few": rng.choice(["a", "b", None], n),
            "number": rng.standard_normal(n),
            "whole": rng.integers(-5, 5, n),
            "missing": np.where(rng.uniform(size=n) < 0.5, np.nan, 1.0),
            "flag": rng.uniform(size=n) < 0.5,
            "a.b": rng.choice(["x", "y"], n),
            "none": [None] * n,
        }
    )
    store.write_table(tmp_path / "a.parquet", table, csv=False)
    pd.testing.assert_frame_equal(store.read_table(tmp_path / "a.parquet"), pd.read_parquet(tmp_path / "a.parquet"))
    pd.testing.assert_frame_equal(store.read_table(tmp_path / "a.parquet"), table)
    store.write_table(tmp_path / "none.parquet", table[:0], csv=False)
    assert store.read_table(tmp_path / "none.parquet").shape == (0, table.shape[1])


@pytest.mark.parametrize("key", ["a.", '"\u2028".', '"=".', "a ."])
def test_toml_keys_of_many_parts_take_no_time(tmp_path, key):
    (tmp_path / "study.toml").write_text(f"{key * 30_000}a = 1\n", encoding="utf-8")
    began = time.process_time()
    refused(Settings.read, tmp_path / "study.toml", "line 1 must have at most 1000 dots")
    assert time.process_time() - began < 2
