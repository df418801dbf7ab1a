"""Files in, arrays out: every format, every refusal."""

import re
import sys

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import gwrsa
from gwrsa.loaders import load_array, load_categories, load_items
from problems import points

VALUES = np.random.default_rng(0).standard_normal((4, 3))
NAMES = ("ant", "NA", "null", "bee")


def write(path, values=VALUES):
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".npz":
        np.savez(path, values=values)
    elif path.suffix == ".mat":
        scipy.io.savemat(path, {"features": values})
    elif path.suffix in (".h5", ".hdf5"):
        import h5py

        with h5py.File(path, "w") as file:
            file["features"] = values
    else:
        np.savetxt(path, values, delimiter={".csv": ",", ".tsv": "\t"}.get(path.suffix, " "))
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv", ".tsv", ".txt", ".mat", ".h5", ".hdf5"])
def test_every_format_reads_back(tmp_path, suffix):
    loaded = load_array(write(tmp_path / f"e{suffix}"))
    assert np.allclose(loaded.values, VALUES, rtol=0, atol=1e-15)
    assert loaded.values.dtype == np.float64
    assert loaded.items is None


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint8, bool])
def test_numbers_become_float64(tmp_path, dtype):
    values = np.array([[0, 1], [1, 0], [1, 1]], dtype=dtype)
    assert load_array(write(tmp_path / "e.npy", values)).values.dtype == np.float64


@pytest.mark.parametrize("separator", [",", "\t"])
def test_tables_have_labels_and_headers(tmp_path, separator):
    path = tmp_path / f"e{'.csv' if separator == ',' else '.tsv'}"
    rows = [separator.join([name, *map(repr, map(float, row))]) for name, row in zip(NAMES, VALUES, strict=True)]
    path.write_text("\n".join([separator.join(["item", "x", "y", "z"]), *rows]) + "\n")
    loaded = load_array(path)
    assert loaded.items == NAMES
    assert loaded.columns == ("x", "y", "z")
    assert np.array_equal(loaded.values, VALUES)


def test_labels_beside_the_array(tmp_path):
    np.savez(tmp_path / "e.npz", values=VALUES, items=np.array(NAMES))
    assert load_array(tmp_path / "e.npz").items == NAMES
    assert gwrsa.Embedding.load(tmp_path / "e.npz").items == NAMES


def test_one_of_several_arrays_is_asked_for(tmp_path):
    np.savez(tmp_path / "e.npz", first=VALUES, second=2 * VALUES)
    assert np.array_equal(load_array(tmp_path / "e.npz", key="second").values, 2 * VALUES)
    with pytest.raises(ValueError, match=r"first.*second"):
        load_array(tmp_path / "e.npz")
    with pytest.raises(ValueError, match="third"):
        load_array(tmp_path / "e.npz", key="third")


class Bomb:
    def __reduce__(self):
        return (sys.exit, ("a pickle was run",))


def test_pickles_are_not_run(tmp_path):
    np.save(tmp_path / "e.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"e\.npy"):
        load_array(tmp_path / "e.npy")
    with pytest.raises(ValueError, match=r"e\.npy"):
        load_items(tmp_path / "e.npy")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ragged.csv", "1,2,3\n1,2\n"),
        ("empty_cell.csv", "4,2,3\n1,,3\n"),
        ("word.csv", "a,b,c\n1,2,3\n1,x,3\n"),
        ("nan.csv", "1,2\n2,nan\n"),
        ("inf.txt", "1 inf\n2 3\n"),
        ("empty.csv", ""),
        ("empty.txt", ""),
        ("ragged.txt", "1 2 3\n1 2\n"),
        ("cut.npy", "\x93NUMPY"),
        ("not_a_zip.npz", "hello"),
        ("not_matlab.mat", "hello"),
        ("not_hdf.h5", "hello"),
        ("unknown.xyz", "1 2 3"),
    ],
)
def test_what_cannot_be_read_names_the_file(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="latin-1")
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        load_array(tmp_path / name)


def test_torn_archives_are_closed_and_named(tmp_path):
    whole = write(tmp_path / "whole.npz").read_bytes()
    for size in (len(whole) // 2, len(whole) - 10):
        (tmp_path / "torn.npz").write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"torn\.npz"):
            load_array(tmp_path / "torn.npz")


def test_complex_and_text_arrays_are_refused(tmp_path):
    for values in (VALUES.astype(complex), np.array([["a", "b"], ["c", "d"]])):
        np.save(tmp_path / "e.npy", values)
        with pytest.raises(ValueError, match=r"e\.npy"):
            load_array(tmp_path / "e.npy")


def test_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_array(tmp_path / "none.npy")


def test_items_stay_text(tmp_path):
    (tmp_path / "names.txt").write_bytes(b"ant\r\nNA\r\nnull\r\nbee\r\n\r\n")
    assert load_items(tmp_path / "names.txt") == NAMES
    np.save(tmp_path / "names.npy", np.array(NAMES))
    assert load_items(tmp_path / "names.npy") == NAMES
    (tmp_path / "names.csv").write_text("word,uniqueID\nx,ant\nx,NA\nx,null\nx,bee\n")
    assert load_items(tmp_path / "names.csv") == NAMES
    (tmp_path / "twice.txt").write_text("ant\nbee\nant\n")
    with pytest.raises(ValueError, match="'ant'"):
        load_items(tmp_path / "twice.txt")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (",word\n0,ant\n1,NA\n2,null\n3,bee\n", NAMES),
        (",word,size\n1,ant,4\n2,NA,5\n3,null,6\n4,bee,7\n", NAMES),
        (",word\n4,ant\n2,NA\n3,null\n1,bee\n", ("4", "2", "3", "1")),
        ("number,word\n0,ant\n1,NA\n2,null\n3,bee\n", ("0", "1", "2", "3")),
    ],
)
def test_an_index_without_a_name_is_not_labels_beside_a_column_that_is(tmp_path, text, expected):
    (tmp_path / "names.csv").write_text(text)
    assert load_items(tmp_path / "names.csv") == expected


def test_categories_of_both_forms(tmp_path):
    (tmp_path / "many.tsv").write_text("item\tbird\tfood\nhen\t1\t1\nowl\t1\t0\nNA\t0\t0\n")
    many = load_categories(tmp_path / "many.tsv")
    assert many.names == ("bird", "food")
    assert many.items == ("hen", "owl", "NA")
    assert many.members.tolist() == [[True, True], [True, False], [False, False]]
    assert many.n_uncategorised == 1
    assert many.select(["NA", "hen"]).members.tolist() == [[False, False], [True, True]]
    assert many.without("food").names == ("bird",)
    with pytest.raises(ValueError, match="emu"):
        many.select(["emu"])
    with pytest.raises(ValueError, match="fish"):
        many.without("fish")
    (tmp_path / "one.csv").write_text("item,category\nhen,bird\nhat,\nowl,bird\n")
    one = load_categories(tmp_path / "one.csv")
    assert one.names == ("bird",)
    assert one.members.ravel().tolist() == [True, False, True]
    (tmp_path / "bad.csv").write_text("item,bird,food\nhen,1,2\n")
    with pytest.raises(ValueError, match=r"bad\.csv.*2"):
        load_categories(tmp_path / "bad.csv")


finite = st.floats(allow_nan=False, allow_infinity=False, width=64)


@given(values=arrays(np.float64, st.tuples(st.integers(2, 5), st.integers(2, 5)), elements=finite))
def test_any_finite_table_reads_back(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("any")
    np.save(folder / "e.npy", values)
    assert np.array_equal(load_array(folder / "e.npy").values, values)
    np.savetxt(folder / "e.csv", values, delimiter=",", fmt="%.17g")
    assert np.array_equal(load_array(folder / "e.csv").values, values)


@pytest.mark.things
def test_things_files(things_dir):
    items = load_items(things_dir / "unique_id.txt")
    assert len(items) == 1854
    assert load_items(things_dir / "things_concepts.tsv") == items
    many = load_categories(things_dir / "categories27_multilabel.tsv")
    assert (len(many.names), many.n_uncategorised, (many.members.sum(axis=1) > 1).sum()) == (27, 559, 303)
    assert many.items == items
    one = load_categories(things_dir / "categories28_singlelabel.csv")
    assert (one.members.sum(axis=1) == 1).all()
    assert one.members[:, one.names.index("others")].sum() == 559
    assert load_array(things_dir / "human_spose66.npy").values.shape == (1854, 66)


def test_a_matrix_of_no_class_inside_a_struct_is_refused(tmp_path):
    """SciPy's reader has then no array to give back, and says so as of a variable of its own."""
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"values": np.eye(3), "other": {"x": 1.0, "y": np.eye(2, dtype=np.int8)}})
    content = bytearray(path.read_bytes())
    inner = content.rindex(b"\x06\x00\x00\x00\x08\x00\x00\x00")  # the flags of the last matrix; its class follows
    content[inner + 8] = 0
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.mat: the file is not a \.mat file"):
        gwrsa.loaders.load_array(path, key="values")


@pytest.mark.timeout(60)
def test_a_heap_of_text_that_has_no_end_is_refused(tmp_path):
    """HDF5 would go round in it for ever, and cannot be interrupted."""
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["values"] = np.eye(2)
        file["items"] = ["ant", "bee"]
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    free = heap + 16  # objects: number, uses, size, and the bytes in eights
    while content[free : free + 2] != b"\0\0":
        free += 16 + -(-int.from_bytes(content[free + 8 : free + 16], "little") // 8) * 8
    content[free + 8 : free + 16] = bytes(8)
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"a\.h5: the file is not HDF5: a heap of text at byte \d+ has free space of no size"
    ):
        gwrsa.loaders.load_array(path, key="values")


@pytest.mark.parametrize("name", ["id", "object", "Concept", "image_id"])
def test_a_first_column_that_names_objects_holds_labels_though_they_be_numbers(tmp_path, name):
    file = tmp_path / "table.csv"
    file.write_text(f"{name},a,b\n10,1.5,2\n20,3,4\n")
    assert gwrsa.Embedding.load(file).items == ("10", "20")
    assert gwrsa.Embedding.load(file).values.tolist() == [[1.5, 2], [3, 4]]


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("header", ["number,a,b\n", ""])
def test_a_column_that_numbers_the_rows_is_no_dimension(tmp_path, first, header):
    file = tmp_path / "table.csv"
    file.write_text(header + "".join(f"{i + first},{i * i},0.{i + 1}\n" for i in range(4)))
    with pytest.raises(ValueError, match=rf"column 1.* numbers the rows from {first} to {first + 3}: call it 'item'"):
        gwrsa.Embedding.load(file)


def test_distances_along_a_line_number_no_rows(tmp_path):
    line = np.abs(np.subtract.outer(range(4), range(4)))
    np.savetxt(tmp_path / "line.txt", line)
    assert np.array_equal(gwrsa.RDM.load(tmp_path / "line.txt").square(), line)


def test_an_rdm_may_have_its_labels_over_the_columns_alone(tmp_path):
    names = [f"object {i}" for i in range(5)]
    values = gwrsa.Embedding(points(5)).rdm().square()
    file = tmp_path / "rdm.csv"
    file.write_text(",".join(names) + "\n" + "\n".join(",".join(map(repr, row)) for row in values.tolist()) + "\n")
    assert gwrsa.RDM.load(file).items == tuple(names)
    assert gwrsa.RDM.load(file, items=list("abcde")).items == tuple("abcde")


def written(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_whole_numbers_above_numbers_with_points_are_names_of_columns(tmp_path):
    values = np.random.default_rng(0).standard_normal((5, 3))

    def as_pandas_writes(square):
        rows = [",".join(map(str, range(square.shape[1]))), *(",".join(map(repr, row)) for row in square.tolist())]
        return written(tmp_path, "x.csv", "\n".join(rows) + "\n")

    loaded = load_array(as_pandas_writes(values))
    assert loaded.columns == ("0", "1", "2")
    assert np.array_equal(loaded.values, values)
    rdm = gwrsa.Embedding(values).rdm("euclidean")
    kept = gwrsa.RDM.load(as_pandas_writes(rdm.square()))
    assert kept.items is None
    assert np.array_equal(kept.square(), rdm.square())


@pytest.mark.parametrize(
    "text", ["0,1,2\n1,0,1.5\n2,1.5,0\n", "0,1,2\n1,0,1\n2,1,0\n", "0.0,1.0,2.0\n3,4,5\n", "0,1\n1,0\n", "0,1,2\n"]
)
def test_values_that_happen_to_count_stay_values(tmp_path, text):
    loaded = load_array(written(tmp_path, "x.csv", text))
    assert loaded.columns is None
    assert len(loaded.values) == len(text.split())


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.csv", "a,b,id\n0.5,1.5,7\n2.5,1,8\n", r"column 3 \('id'\) may be labels or a dimension: labels must be"),
        ("x.csv", "a,b,word\n0.5,1.5,cat\n2.5,1,dog\n", "'cat', expected a number; labels must be the first column"),
        ("x.csv", "a,b,c\n0.5,1.5,1\n2.5,1,dog\n", "'dog', expected a number$"),
        ("x.csv", "a,b\n1,nan\n2,nan\n", "'nan', expected a number$"),
        ("x.csv", "item,b,c\ncat,dog,1\nfox,cat,3\n", "'dog', expected a number$"),
        ("x.csv", "item;a;b\ncat;0,5;1,5\n", "by commas, not by semicolons, and decimals be written with a point"),
        (
            "x.csv",
            "0,5;1,5\n2,5;3,5\n",
            "'5;3', expected a number; columns must be separated by commas, not by semicolons",
        ),
        ("x.txt", "1 0;5\n3 2;5\n", "'0;5', expected a number; columns must be separated by white space, not by semi"),
        ("x.csv", "item;a;b\ncat;0.5;1.5\n", "has one column; columns must be separated by commas, not by semicolons"),
        ("x.tsv", "item;a;b\ncat;0.5;1.5\n", "has one column; columns must be separated by tabs, not by semicolons"),
        ("x.csv", "\n1,2\n3,4\n", "row 2 must have 0 columns, got 2"),
        ("x.csv", "0\n1,0\n2,3,0\n", "both halves must be written, not the lower one alone"),
        ("x.txt", "0\n1 0\n2 3 0\n", "both halves must be written, not the lower one alone"),
    ],
)
def test_tables_that_are_laid_out_otherwise_say_how_they_have_to_be(tmp_path, name, text, message):
    with pytest.raises(ValueError, match=message):
        load_array(written(tmp_path, name, text))


@pytest.mark.parametrize(
    ("text", "shown", "header", "items"),
    [
        ("0,1,2\n3,4,5\n6,7,8\n9,10,11\n", "0, 1, 2", False, None),
        ("1,2,3,4,5\n6,7,8,9,9\n", "1, 2, 3, 4, ...", False, None),
        ("1,2,3\n0.5,1.5,2.5\n", "1, 2, 3", False, None),
        ("0,1\n0.5,2\n1.5,3\n", "0, 1", False, None),
        ("cat,0,1\ndog,1,0\nfox,1,1\n", "cat, 0, 1", True, ("dog", "fox")),
        ("stimulus no,1,2\ndog,1.5,0\n", "stimulus no, 1, 2", False, ("stimulus no", "dog")),
    ],
)
def test_a_first_row_that_may_be_a_header_or_an_object_is_said_to_be(tmp_path, text, shown, header, items):
    path = written(tmp_path, "x.csv", text)
    taken = "the names of the columns and may be numbers" if header else "numbers and may be the names of the columns"
    with pytest.warns(UserWarning, match=re.escape(f"x.csv: row 1 ({shown}) is taken for {taken}: name the columns")):
        loaded = load_array(path)
    assert (loaded.columns is not None) == header
    assert (len(loaded.values), loaded.items) == (len(text.split("\n")) - 1 - header, items)


@pytest.mark.parametrize("names", ["0,1,2", "1,2,3"])
def test_a_header_of_triplets_that_counts_is_not_taken_for_one_unsaid(tmp_path, names):
    path = written(tmp_path, "answers.csv", f"{names}\n4,0,7\n3,1,2\n")
    with pytest.warns(UserWarning, match="row 1 .* is taken for numbers and may be the names of the columns"):
        assert len(gwrsa.Triplets.load(path)) == 3
    # Both ways out that the warning names.
    assert len(gwrsa.Triplets.load(written(tmp_path, "answers.csv", "a,b,c\n4,0,7\n3,1,2\n"))) == 2
    pointed = names.replace(",", ".0,") + ".0"
    assert len(gwrsa.Triplets.load(written(tmp_path, "answers.csv", f"{pointed}\n4,0,7\n3,1,2\n"))) == 3


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("0,1\n0.5,2.0\n1.5,3.0\n2.5,1e-05\n", 3),
        ("0,1,2\n0.5,1.0,7\n1.5,2.0,8\n2.5,3.5,9\n", 3),
        ("0,1,2\n0.5,1.0,7.5\n1.5,-2.0,8.5\n", 2),
    ],
)
def test_a_header_that_counts_is_none_of_the_objects(tmp_path, text, n):
    loaded = load_array(written(tmp_path, "x.csv", text))
    assert loaded.columns == tuple(text.split()[0].split(","))
    assert len(loaded.values) == n


def test_dimensions_beside_labels_may_have_any_name(tmp_path):
    loaded = load_array(written(tmp_path, "x.csv", "item,image,word\ncat,0,2.5\ndog,2.5,0\nfox,1,1\n"))
    assert loaded.columns == ("image", "word")
    assert loaded.items == ("cat", "dog", "fox")


def test_the_objects_of_a_square_table_may_have_any_name(tmp_path):
    path = written(tmp_path, "x.csv", ",image,word\nimage,0,2.5\nword,2.5,0\n")
    assert gwrsa.RDM.load(path).items == ("image", "word")
