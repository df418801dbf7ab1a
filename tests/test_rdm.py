"""Embeddings and RDMs: metrics against scipy, transforms, labels, files."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist, squareform

import gwrsa
from gwrsa.condensed import is_dissimilarity
from gwrsa.factored import factor
from gwrsa.same_items import check_same_items
from problems import points

NAMES = tuple(f"object {i}" for i in range(12))


def embedding(seed=0, n=12):
    return gwrsa.Embedding(points(n, 5, seed) + 0.3, NAMES[:n])


@pytest.mark.parametrize("metric", ["cosine", "correlation", "euclidean", "sqeuclidean"])
def test_metrics_are_scipys(metric):
    e = embedding()
    assert np.allclose(e.rdm(metric).dissimilarities, pdist(e.values, metric), rtol=1e-12, atol=1e-13)


def test_inner_product_is_negated():
    e = embedding()
    assert np.allclose(e.rdm("inner_product").square()[2, 5], -(e.values[2] @ e.values[5]))


@pytest.mark.parametrize("metric", ["cosine", "correlation", "sqeuclidean"])
def test_factors_are_exact(metric):
    e = embedding()
    a, w, o = factor(e, metric)
    assert np.allclose(a * w @ a.T + o[:, None] + o[None], e.rdm(metric).square(), atol=1e-12)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_cosine_does_not_leave_the_range(scale):
    e = embedding()
    scaled = gwrsa.Embedding(e.values * scale)
    assert np.allclose(scaled.rdm().dissimilarities, e.rdm().dissimilarities, atol=1e-12)


def test_rows_without_direction_are_named():
    values = points(4)
    values[2] = 0.0
    with pytest.raises(ValueError, match=r"no row of zeros for metric 'cosine', .* got 'c' \(row 2\), 1 such"):
        gwrsa.Embedding(values, "abcd"[0:0] or list("abcd")).rdm()
    values[2] = 3.0
    with pytest.raises(ValueError, match=r"no constant row for metric 'correlation', .* got row 2"):
        gwrsa.Embedding(values).rdm("correlation")


def test_condensed_is_scipys_order():
    r = embedding().rdm("euclidean")
    assert np.array_equal(squareform(r.dissimilarities), r.square())
    assert np.array_equal(gwrsa.RDM(r.square(), NAMES).dissimilarities, r.dissimilarities)


def test_select_takes_by_label():
    r = embedding().rdm()
    part = r.select(["object 7", "object 2", "object 5"])
    assert part.items == ("object 7", "object 2", "object 5")
    assert part.square()[0, 1] == r.square()[7, 2]
    assert np.allclose(embedding().select(part.items).rdm().square(), part.square(), atol=1e-12)
    with pytest.raises(ValueError, match="items must be labels of these 12 objects, got 1 that are not: 'nobody'"):
        r.select(["nobody", "object 1"])


def test_sort_by_groups():
    r = embedding().rdm()
    assert r.sort_by(["b", "a"] * 6).items == NAMES[1::2] + NAMES[0::2]


def test_match_histogram_keeps_order_and_takes_values():
    a, b = embedding(0).rdm(), embedding(1).rdm("euclidean")
    m = b.match_histogram(a)
    assert np.array_equal(np.sort(m.dissimilarities), np.sort(a.dissimilarities))
    assert np.array_equal(np.argsort(m.dissimilarities), np.argsort(b.dissimilarities))
    assert m.items == b.items


def test_match_histogram_keeps_ties():
    tied = gwrsa.RDM([1.0, 1.0, 2.0])
    assert tied.match_histogram(gwrsa.RDM([0.0, 4.0, 9.0])).dissimilarities.tolist() == [2.0, 2.0, 9.0]


def test_match_histogram_of_another_size_takes_quantiles():
    a, b = embedding(0).rdm(), embedding(1, 8).rdm()
    m = b.match_histogram(a)
    assert a.dissimilarities.min() <= m.dissimilarities.min()
    assert m.dissimilarities.max() <= a.dissimilarities.max()
    assert np.median(m.dissimilarities) == pytest.approx(np.median(a.dissimilarities), rel=0.05)


def test_rank_and_normalise():
    r = gwrsa.RDM([3.0, 1.0, 3.0])
    assert r.rank().dissimilarities.tolist() == [2.5, 1.0, 2.5]
    assert r.normalise().dissimilarities.tolist() == [1.0, 0.0, 1.0]
    with pytest.raises(ValueError, match="must differ to be normalised, got all 2"):
        gwrsa.RDM([2.0, 2.0, 2.0]).normalise()


@given(seed=st.integers(0, 100), n=st.integers(2, 12))
def test_square_and_condensed_are_the_same(seed, n):
    r = gwrsa.Embedding(points(n, 3, seed)).rdm("sqeuclidean")
    assert np.array_equal(gwrsa.RDM(r.square()).dissimilarities, r.dissimilarities)
    assert is_dissimilarity(r.square())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones(4), r"length n \(n - 1\) / 2 for some n, got 4"),
        (np.ones((3, 3)), "must have a zero diagonal, got 1.0 at .* is this a similarity matrix"),
        (np.triu(np.ones((3, 3)), 1), "must be symmetric"),
        (np.ones((3, 4)), "must be square or condensed"),
        ([1.0, np.nan, 1.0], "must be finite, got nan at 1"),
        (np.zeros((1, 1)), "at least 2 objects"),
        ([True, "x", 1.0], "must be an array of real numbers"),
    ],
)
def test_invalid_dissimilarities(values, message):
    with pytest.raises(ValueError, match=message):
        gwrsa.RDM(values)


def test_invalid_labels():
    with pytest.raises(ValueError, match="items must be distinct, got 'a' more than once"):
        gwrsa.Embedding(np.eye(3), ["a", "b", "a"])
    with pytest.raises(ValueError, match="items must have 3 labels, one an object, got 2"):
        gwrsa.Embedding(np.eye(3), ["a", "b"])


def test_what_cannot_be_labels_is_named():
    for value in ("abc", 3):
        with pytest.raises(ValueError, match="items must be a sequence of labels, got"):
            gwrsa.Embedding(np.eye(3), value)
    with pytest.raises(ValueError, match="items must be a sequence of labels or positions, got None"):
        embedding().select(None)
    for value in ("a" * 12, 3):
        with pytest.raises(ValueError, match="categories must be a sequence of labels"):
            embedding().rdm().sort_by(value)


def test_meta_must_be_a_json_mapping(tmp_path):
    with pytest.raises(ValueError, match=r"meta must be a mapping, got \[1\]"):
        gwrsa.Embedding(np.eye(3), meta=[1])
    for value in ({1, 2}, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="meta must be JSON with finite numbers to be saved, got"):
            gwrsa.Embedding(np.eye(3), meta={"layers": value}).save(tmp_path / "e.npz")
    assert not (tmp_path / "e.npz").exists()
    for stored in ("[1]", "no json", '{"name": "e", "meta": 3}'):
        np.savez(tmp_path / "other.npz", values=np.eye(3), provenance=np.array(stored))
        with pytest.raises(ValueError, match=r"other\.npz: provenance must be JSON"):
            gwrsa.Embedding.load(tmp_path / "other.npz")


def test_inner_products_out_of_range_are_an_error_not_a_warning():
    with pytest.raises(ValueError, match="dissimilarities must be finite, got -inf at 0"):
        gwrsa.Embedding(np.full((3, 2), 1e200)).rdm("inner_product")


def test_results_are_frozen():
    e = embedding()
    with pytest.raises(ValueError, match="read-only"):
        e.values[0, 0] = 1.0
    source = np.eye(3)
    kept = gwrsa.Embedding(source)
    source[0, 0] = 7.0
    assert kept.values[0, 0] == 1.0


def test_comparison_says_how_labels_differ():
    a = embedding()
    with pytest.raises(
        ValueError, match=r"another order: 12 rows differ, first row 0 \('object 0' against 'object 11'\)"
    ):
        check_same_items(a, a.select(NAMES[::-1]))
    with pytest.raises(ValueError, match="1 labels of the first are not in the second, such as 'object 3'"):
        check_same_items(a, gwrsa.Embedding(a.values, [*NAMES[:3], "else", *NAMES[4:]]))
    with pytest.raises(ValueError, match="got 12 and 5"):
        check_same_items(a, a.select(NAMES[:5]))
    # Two of one name are called by the arguments that they are.
    with pytest.raises(ValueError, match=r"source and target hold .* by target.select\(source.items\)"):
        check_same_items(a, a.select(NAMES[::-1]), ("source", "target"))
    named = gwrsa.Embedding(a.values[:5], NAMES[:5], name="named")
    with pytest.raises(ValueError, match=f"'{a.name}' and 'named' must .*; 5 labels are on both sides: .* b.select"):
        check_same_items(a, named)
    check_same_items(gwrsa.Embedding(a.values), gwrsa.Embedding(a.values))


def test_labels_on_one_side_only_are_a_warning():
    a = embedding()
    bare = gwrsa.Embedding(a.values[::-1], name="bare")
    said = "'embedding' has labels and 'bare' has none: their 12 rows are matched by position"
    for first, second in ((a, bare), (bare, a)):
        with pytest.warns(UserWarning, match=said):
            assert gwrsa.rsa(first, second) < 1
    with pytest.warns(UserWarning, match=said):
        gwrsa.align(a, bare, n_starts=1, progress=False)


def test_files_read_back(tmp_path):
    e = gwrsa.Embedding(points(5), NAMES[:5], name="layer 3", meta={"model": "resnet"})
    back = gwrsa.Embedding.load(e.save(tmp_path / "e.npz"))
    assert (back.items, back.name, back.meta) == (e.items, e.name, e.meta)
    assert np.array_equal(back.values, e.values)
    r = e.rdm()
    again = gwrsa.RDM.load(r.save(tmp_path / "r.npz"))
    assert (again.items, again.name, again.metric) == (r.items, r.name, r.metric)
    assert np.array_equal(again.dissimilarities, r.dissimilarities)
    with pytest.raises(ValueError, match=r"path must end in \.npz"):
        e.save(tmp_path / "e.txt")


class FakeRDMs:
    """What rsatoolbox's RDMs has, as far as we read it."""

    dissimilarity_measure = "euclidean"
    rdm_descriptors = {"name": ["one", "two"]}  # noqa: RUF012
    pattern_descriptors = {"items": list("abc")}  # noqa: RUF012

    def get_vectors(self):
        return np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def test_from_rsatoolbox():
    r = gwrsa.RDM.from_rsatoolbox(FakeRDMs(), 1)
    assert (r.items, r.name, r.metric) == (("a", "b", "c"), "two", "euclidean")
    assert r.dissimilarities.tolist() == [4.0, 5.0, 6.0]


def test_rsatoolbox_and_back():
    pytest.importorskip("rsatoolbox")
    r = embedding().rdm()
    back = gwrsa.RDM.from_rsatoolbox(r.to_rsatoolbox())
    assert back.items == r.items
    assert np.allclose(back.dissimilarities, r.dissimilarities)


@pytest.mark.things
def test_things_in_file_order_are_refused(things_dir):
    items = gwrsa.load_items(things_dir / "unique_id.txt")
    order = np.load(things_dir / "file_to_uid_order.npy")
    clip = gwrsa.Embedding.load(things_dir / "model_clip_vitb32.npy", items=items)
    in_file_order = clip.select([items[i] for i in np.argsort(order)])
    with pytest.raises(ValueError, match="another order: 21 rows differ, first row 246"):
        gwrsa.rsa(clip, in_file_order)


@pytest.mark.things
def test_things_rsa_is_as_published(things_dir):
    def load(name):
        return gwrsa.Embedding.load(things_dir / f"{name}.npy", items=things_dir / "unique_id.txt")

    male, female = load("human_male").rdm("euclidean"), load("human_female").rdm("euclidean")
    assert gwrsa.rsa(male, female) == pytest.approx(0.9664183470666763, abs=1e-12)
    assert gwrsa.rsa(load("human_spose66"), load("model_clip_vitb32")) == pytest.approx(0.43423, abs=5e-6)


def test_matched_histograms_keep_the_order_to_the_last_bit():
    values = np.array([12.0, 4, 4, 8, 0, 8, 8, 4, 12, 8, 4, 4, 12, 4, 8])
    order = np.argsort(values, kind="stable")
    for high in np.random.default_rng(0).uniform(size=300) * 2.5e-4:
        matched = gwrsa.RDM(values).match_histogram(gwrsa.RDM([0, high, high])).dissimilarities
        assert (np.diff(matched[order]) >= 0).all()
