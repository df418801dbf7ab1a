"""pandas DataFrames and xarray DataArrays as representations: their labels come along, and what does not fit is named."""

import numpy as np
import pandas as pd
import pytest

import gwrsa
from problems import asymmetric, distances, points

NAMES = ["ant", "bee", "cat", "dog", "elk", "fly", "gnu", "hen"]


def frame(seed=0, names=NAMES):
    return pd.DataFrame(points(len(names), seed=seed), index=names, columns=[f"dim {i}" for i in range(4)])


def square(seed=0, names=NAMES):
    return pd.DataFrame(distances(len(names), seed=seed), index=names, columns=names)


def as_dataarray(table):
    xr = pytest.importorskip("xarray")
    return xr.DataArray(
        table.to_numpy(), dims=("object", "other"), coords={"object": list(table.index), "other": list(table.columns)}
    )


KINDS = pytest.mark.parametrize("kind", [lambda table: table, as_dataarray], ids=["pandas", "xarray"])


@KINDS
def test_an_embedding_takes_rows_as_items(kind):
    made = gwrsa.Embedding(kind(frame()))
    assert made.items == tuple(NAMES)
    assert np.array_equal(made.values, points(8))


@KINDS
def test_an_rdm_takes_the_labels_of_both_sides_in_whatever_order_the_columns_are(kind):
    whole, turned = square(), square()[NAMES[::-1]]
    for table in (whole, turned):
        made = gwrsa.RDM(kind(table))
        assert made.items == tuple(NAMES)
        assert np.array_equal(made.square(), whole.to_numpy())


@KINDS
def test_align_takes_them_and_tells_rdm_from_embedding(kind):
    a, b = frame(0), frame(1)
    settings = {"n_starts": 1, "epsilon": 0.3, "progress": False}
    known = gwrsa.align(gwrsa.Embedding(a.to_numpy(), NAMES), gwrsa.RDM(square(1)), **settings)
    found = gwrsa.align(kind(a), kind(square(1)), **settings)
    assert isinstance(found.source, gwrsa.Embedding)
    assert isinstance(found.target, gwrsa.RDM)
    assert (found.source.name, found.source.items) == ("source", tuple(NAMES))
    assert found.lowest_loss.gw_loss == known.lowest_loss.gw_loss
    with pytest.raises(ValueError, match="row 0 \\('ant' against 'hen'\\)"):
        gwrsa.align(kind(a), kind(b.iloc[::-1]), **settings)
    with pytest.raises(ValueError, match="such as 'ant'"):
        gwrsa.align(kind(a), kind(b.rename({"ant": "emu"})), **settings)


@KINDS
def test_solves_take_them(kind):
    c1, c2 = asymmetric(8, seed=1), distances(8, seed=2)
    known = gwrsa.entropic_gw(c1, c2, epsilon=0.5).gw_loss
    left = pd.DataFrame(c1, index=NAMES, columns=NAMES)
    assert gwrsa.entropic_gw(kind(left), kind(square(2)), epsilon=0.5).gw_loss == known
    embedded = gwrsa.entropic_gw(kind(frame(3)), c2, epsilon=0.5).gw_loss
    assert embedded == gwrsa.entropic_gw(gwrsa.Embedding(points(8, seed=3)), c2, epsilon=0.5).gw_loss


@KINDS
def test_rsa_takes_them(kind):
    known = gwrsa.rsa(gwrsa.Embedding(points(8)), gwrsa.RDM(distances(8, seed=1)))
    assert gwrsa.rsa(kind(frame()), kind(square(1))) == known
    test = gwrsa.statistics.permutation_test(kind(frame()), kind(square(1)), n_permutations=9)
    assert test.statistic == known
    assert gwrsa.noise_ceiling([kind(frame()), kind(square(1))]).lower == pytest.approx(known)
    with pytest.raises(ValueError, match="another order"):
        gwrsa.rsa(kind(frame()), kind(square(1).iloc[::-1, ::-1]))


@KINDS
def test_labels_that_do_not_fit_are_named(kind):
    with pytest.raises(ValueError, match="1 of the rows are not columns: 'ant'; and the columns have 'emu'"):
        gwrsa.RDM(kind(square().rename(columns={"ant": "emu"})))
    with pytest.raises(ValueError, match="1 of the rows are not columns: 'ant'"):
        gwrsa.rsa(kind(square().rename(columns={"ant": "emu"})), square())
    with pytest.raises(ValueError, match="items must be the labels that values has, got 'x' for 'ant' at row 0"):
        gwrsa.Embedding(kind(frame()), ["x", *NAMES[1:]])
    with pytest.raises(ValueError, match="must be distinct, got 'ant' more than once"):
        gwrsa.Embedding(kind(frame(names=["ant", "ant", *NAMES[2:]])))


@KINDS
def test_what_is_not_finite_is_named_by_its_labels(kind):
    table = frame()
    table.loc["cat", "dim 2"] = np.nan
    with pytest.raises(ValueError, match="values must be finite, got nan in row 'cat', column 'dim 2'"):
        gwrsa.Embedding(kind(table))


def test_a_default_index_is_no_labels():
    made = gwrsa.Embedding(pd.DataFrame(points(8)))
    assert made.items is None
    assert gwrsa.RDM(pd.DataFrame(distances(8))).items is None
    # A choice of rows keeps their numbers, which are labels then.
    assert gwrsa.Embedding(pd.DataFrame(points(8)).iloc[[3, 1]]).items == ("3", "1")


def test_a_square_frame_of_other_columns_is_an_embedding():
    table = pd.DataFrame(points(8, dims=8), index=NAMES, columns=[f"dim {i}" for i in range(8)])
    assert gwrsa.rsa(table, square(1)) == gwrsa.rsa(gwrsa.Embedding(points(8, dims=8)).rdm(), distances(8, seed=1))


def test_text_levels_and_datasets_are_refused():
    table = frame()
    table["kind"] = "animal"
    with pytest.raises(ValueError, match=r"values must hold numbers only, got .* in column 'kind'"):
        gwrsa.Embedding(table)
    levels = frame()
    levels.index = pd.MultiIndex.from_product([["a", "b"], ["1", "2", "3", "4"]])
    with pytest.raises(ValueError, match="values's index must have one level of labels, got 2"):
        gwrsa.Embedding(levels)
    xr = pytest.importorskip("xarray")
    with pytest.raises(ValueError, match="must be one DataArray, got a Dataset; take one of 'layer'"):
        gwrsa.Embedding(xr.Dataset({"layer": as_dataarray(frame())}))


def test_nullable_numbers_of_pandas_are_numbers():
    made = gwrsa.Embedding(frame().astype("Float64"))
    assert np.array_equal(made.values, points(8))


def test_a_named_array_gives_its_name():
    array = as_dataarray(frame()).rename("layer 4")
    settings = {"n_starts": 1, "epsilon": 0.3, "progress": False}
    assert gwrsa.align(array, frame(1), **settings).source.name == "layer 4"


@KINDS
def test_histograms_are_matched_with_them(kind):
    rdm = gwrsa.RDM(distances(8))
    known = rdm.match_histogram(gwrsa.RDM(square(1)))
    assert np.array_equal(rdm.match_histogram(kind(square(1))).dissimilarities, known.dissimilarities)
    must = "to must be an RDM, or a DataFrame or DataArray of one, got"
    with pytest.raises(ValueError, match=f"{must} a table that stands for an Embedding; its dissimilarities are"):
        rdm.match_histogram(kind(frame()))
    with pytest.raises(ValueError, match=f"{must} Embedding; its dissimilarities are"):
        rdm.match_histogram(gwrsa.Embedding(frame()))


@KINDS
def test_the_choice_model_takes_them(kind):
    table, known = kind(frame()), gwrsa.Embedding(frame())
    answers = gwrsa.sample_triplets(table, 300, seed=1)
    assert answers.items == tuple(NAMES)
    assert np.array_equal(answers.indices, gwrsa.sample_triplets(known, 300, seed=1).indices)
    assert np.array_equal(gwrsa.choice_similarity(table), gwrsa.choice_similarity(known))
    assert gwrsa.odd_one_out_accuracy(table, answers) == gwrsa.odd_one_out_accuracy(known, answers)
    wanted = gwrsa.odd_one_out_probabilities(known, answers)
    assert np.array_equal(gwrsa.odd_one_out_probabilities(table, answers), wanted)
    scaled = gwrsa.calibrate(table, answers)
    assert scaled.items == tuple(NAMES)
    assert np.array_equal(scaled.values, gwrsa.calibrate(known, answers).values)
    # Rows in another order than the answers are of.
    turned = kind(frame().iloc[::-1])
    for call in (gwrsa.odd_one_out_probabilities, gwrsa.odd_one_out_accuracy, gwrsa.calibrate):
        with pytest.raises(ValueError, match="another order"):
            call(turned, answers)
    for wrong, got in (
        (kind(square()), "a table that stands for an RDM"),
        (frame().to_numpy(), "ndarray; an array is"),
    ):
        with pytest.raises(
            ValueError, match=f"embedding must be an Embedding, or a DataFrame or DataArray of one, got {got}"
        ):
            gwrsa.choice_similarity(wrong)


@KINDS
def test_a_square_table_that_may_be_either_has_to_say_what_it_is(kind):
    one_side = pd.DataFrame(distances(8), index=NAMES)
    other_names = pd.DataFrame(distances(8), index=NAMES, columns=[f"dim {i}" for i in range(8)])
    for table in (one_side, other_names):
        with pytest.raises(
            ValueError, match=r"a must say what it is: .* gwrsa.RDM\(table\) or gwrsa.Embedding\(table\)"
        ):
            gwrsa.rsa(table if table is one_side else kind(table), square())
    known = gwrsa.RDM(distances(8), NAMES)
    assert gwrsa.rsa(gwrsa.RDM(one_side), known) == pytest.approx(1)
    # No dissimilarities: a square embedding is one without a word.
    assert isinstance(
        gwrsa.align(
            pd.DataFrame(points(8, dims=8), index=NAMES), square(), n_starts=1, epsilon=0.3, progress=False
        ).source,
        gwrsa.Embedding,
    )


def test_a_column_of_labels_among_numbers_is_refused():
    table = frame().reset_index(drop=True).assign(id=range(100, 108))
    for use in (gwrsa.Embedding, lambda given: gwrsa.rsa(given, square())):
        with pytest.raises(
            ValueError, match=r"must have its labels as index, got a column 'id' .* frame.set_index\('id'\)"
        ):
            use(table)
    assert gwrsa.Embedding(table.set_index("id")).items == tuple(map(str, range(100, 108)))
    # Of a table whose rows have labels a column may be called what it likes.
    made = gwrsa.Embedding(table.set_axis(NAMES))
    assert (len(made), made.items) == (8, tuple(NAMES))
