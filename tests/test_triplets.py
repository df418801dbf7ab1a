"""Odd-one-out triplets and the choice model: against the formula term by term, and on the THINGS answers."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gwrsa
from gwrsa.triplets import condensed_index
from problems import points

NAMES = tuple("abcdefgh")


def embedding(n=8, scale=1.0, seed=0):
    return gwrsa.Embedding(scale * points(n, 4, seed), NAMES[:n])


def choice_by_loops(x):
    """The formula."""
    s, n = x @ x.T, len(x)
    p = np.eye(n)
    for i in range(n):
        for j in range(n):
            thirds = [k for k in range(n) if len({i, j, k}) == 3]
            if thirds:
                p[i, j] = np.mean([1 / (1 + np.exp(s[i, k] - s[i, j]) + np.exp(s[j, k] - s[i, j])) for k in thirds])
    return p


def every_triplet(n):
    """All triplets of n objects, each with each of its objects as the odd one."""
    return np.array([[*(set(t) - {odd}), odd] for t in combinations(range(n), 3) for odd in t])


# The choice model


@pytest.mark.filterwarnings("ignore:embedding has dot products")
@pytest.mark.parametrize("scale", [0.0, 0.3, 1.0, 3.0, 10.0])
def test_choice_similarity_is_the_formula(scale):
    e = embedding(scale=scale)
    assert np.allclose(gwrsa.choice_similarity(e), choice_by_loops(e.values), rtol=1e-12, atol=1e-290)


@given(seed=st.integers(0, 1000), n=st.integers(3, 40))
def test_choice_similarity_moves_with_the_objects(seed, n):
    values, order = points(n, 5, seed), np.random.default_rng(seed).permutation(n)
    plain = gwrsa.choice_similarity(gwrsa.Embedding(values))
    moved = gwrsa.choice_similarity(gwrsa.Embedding(values[order]))
    assert np.allclose(moved, plain[np.ix_(order, order)], rtol=1e-12)


def test_choices_of_large_dot_products_are_certain_not_overflowed():
    e = gwrsa.Embedding(1e4 * np.array([[1.0, 0.1], [1.0, 0.2], [0.1, 1.0], [0.2, 1.1]]))
    with pytest.warns(UserWarning, match="nearly every choice is certain: bring it to the scale"):
        s = gwrsa.choice_similarity(e)
    assert np.isfinite(s).all()
    # The pair with the larger dot product wins each of its triplets: 0 and 1 against 2 or 3, 2 and 3 against 0 or 1.
    assert s[0, 1] == 1.0
    assert s[2, 3] == 1.0
    assert s[0, 2] < 1e-300
    with pytest.raises(
        ValueError, match=r"embedding must have finite dot products, got values up to 1\.1e\+204; scale"
    ):
        gwrsa.choice_similarity(gwrsa.Embedding(e.values * 1e200))


def test_choice_similarity_does_not_depend_on_threads():
    e = gwrsa.Embedding(points(70, 6, 3))
    assert np.array_equal(gwrsa.choice_similarity(e, threads=1), gwrsa.choice_similarity(e, threads=3))


def test_choice_rdm_is_one_minus_it():
    e = embedding()
    r = e.rdm("choice")
    assert (r.metric, r.items) == ("choice", NAMES)
    assert np.array_equal(r.square(), 1 - gwrsa.choice_similarity(e))
    assert gwrsa.entropic_gw(e, e, epsilon=1.0, metric="choice").status == "converged"


def test_two_objects_have_no_choice():
    with pytest.raises(ValueError, match="embedding must have at least 3 objects for a choice, got 2"):
        embedding(2).rdm("choice")


def test_probabilities_of_answers_are_the_formula():
    e, t = embedding(), every_triplet(8)
    p = gwrsa.odd_one_out_probabilities(e, t)
    s = e.values @ e.values.T
    for row, (i, j, k) in zip(p, t, strict=True):
        odds = np.exp([s[j, k], s[i, k], s[i, j]])
        assert np.allclose(row, odds / odds.sum(), rtol=1e-12)


def test_accuracy_shares_ties():
    e = gwrsa.Embedding([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert gwrsa.odd_one_out_accuracy(e, [[0, 1, 2]]) == 1.0
    assert gwrsa.odd_one_out_accuracy(e, [[0, 2, 1]]) == 0.0
    assert gwrsa.odd_one_out_accuracy(e, [[0, 1, 3]]) == pytest.approx(1 / 3)
    assert gwrsa.odd_one_out_accuracy(gwrsa.Embedding(np.ones((8, 2))), every_triplet(8)) == pytest.approx(1 / 3)


def test_calibration_finds_the_scale_of_the_choices():
    true = embedding(scale=1.2)
    answers = gwrsa.sample_triplets(true, 200_000, seed=1)
    found = gwrsa.calibrate(gwrsa.Embedding(true.values * 7.0, NAMES, name="seven", meta={"by": "us"}), answers)
    assert np.allclose(found.values, true.values, rtol=0.02)
    assert found.meta == {"by": "us", "choice_scale": pytest.approx(1 / 49, rel=0.04)}
    assert (found.name, found.items) == ("seven", NAMES)

    def likelihood(factor):
        e = gwrsa.Embedding(found.values * factor, NAMES)
        return np.log(gwrsa.odd_one_out_probabilities(e, answers)[:, 2]).mean()

    assert likelihood(1.0) > max(likelihood(0.999), likelihood(1.001))


def test_calibration_that_has_no_best_scale_says_so():
    e = gwrsa.Embedding([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    with pytest.raises(
        ValueError, match="embedding must predict the triplets better than chance, got a mean lead of -"
    ):
        gwrsa.calibrate(e, [[0, 2, 1]])
    with pytest.raises(ValueError, match="triplets must hold answers that the embedding does not predict, got none"):
        gwrsa.calibrate(e, [[0, 1, 2]])


def test_sampled_answers_follow_the_probabilities():
    e = embedding(5)
    t = gwrsa.sample_triplets(e, 100_000, seed=2)
    assert np.array_equal(t.indices, gwrsa.sample_triplets(e, 100_000, seed=2).indices)
    keys = np.sort(t.indices, axis=1) @ [25, 5, 1]
    shown = np.unique(keys, return_counts=True)[1]
    assert len(shown) == 10
    assert np.abs(shown - 10_000).max() < 5 * np.sqrt(10_000)
    # Uniform thirds: the share kept together estimates the choice similarity, with the stated error.
    counts = t.counts()
    assert repr(counts) == f"PairCounts({t.name!r}, {len(counts.shown)} pairs, {counts.n_missing} never shown)"
    upper = np.triu_indices(5, 1)
    away = (counts.probability() - gwrsa.choice_similarity(e)[upper]) / counts.standard_error()
    assert np.abs(away).max() < 4
    assert gwrsa.sample_triplets(e, 10, seed=3).items == e.items


# Counting


def test_counts_are_those_of_a_loop():
    t = gwrsa.sample_triplets(embedding(6), 60, seed=4)
    together, shown = np.zeros((6, 6)), np.zeros((6, 6))
    for i, j, k in t.indices:
        together[i, j] += 1
        together[j, i] += 1
        for a, b in ((i, j), (i, k), (j, k)):
            shown[a, b] += 1
            shown[b, a] += 1
    counts, upper = t.counts(), np.triu_indices(6, 1)
    assert np.array_equal(counts.together, together[upper])
    assert np.array_equal(counts.shown, shown[upper])
    assert counts.shown.sum() == 180
    assert np.allclose(t.rdm().dissimilarities, 1 - together[upper] / shown[upper])


def test_pairs_that_were_never_shown_are_stated():
    t = gwrsa.Triplets([[0, 1, 2], [1, 0, 2], [0, 1, 3]], n_items=4)
    with pytest.raises(ValueError, match=r"missing must be 'chance' or 'shrink' .* got 'raise' and 1 of 6 pairs never"):
        t.rdm()
    counts = t.counts()
    assert counts.n_missing == 1
    assert counts.probability("chance").tolist() == [1.0, 0.0, 0.0, 0.0, 0.0, 1 / 3]
    assert counts.probability("shrink").tolist() == [4 / 6, 1 / 5, 1 / 4, 1 / 5, 1 / 4, 1 / 3]
    error = counts.standard_error()
    assert error[-1] == error.max() == pytest.approx(np.sqrt(2 / 9 / 4))
    assert (error > 0).all()
    assert np.allclose(t.rdm("chance").square()[2, 3], 2 / 3)
    with pytest.raises(ValueError, match="missing must be one of 'raise', 'chance', 'shrink', got 'mean'"):
        t.rdm("mean")


def test_standard_error_is_the_spread_over_repeated_experiments():
    e = gwrsa.Embedding(points(6, 3, 5))
    runs = [gwrsa.sample_triplets(e, 1500, seed=s).counts() for s in range(200)]
    spread = np.std([r.probability() for r in runs], axis=0)
    stated = np.mean([r.standard_error() for r in runs], axis=0)
    assert np.abs(spread / stated - 1).max() < 0.25


def test_pair_positions_do_not_overflow():
    n = 100_000
    i, j = np.array([n - 2], dtype=np.int64), np.array([n - 1], dtype=np.int64)
    assert condensed_index(i, j, n)[0] == condensed_index(j, i, n)[0] == n * (n - 1) // 2 - 1


# What triplets are


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.uint16, np.int64, np.float32])
def test_any_whole_numbers_will_do(dtype):
    t = gwrsa.Triplets(np.array([[0, 1, 2], [120, 7, 3]], dtype=dtype))
    assert t.n_items == 121
    assert t.indices.dtype == np.int64
    assert t.counts().shown.sum() == 6


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([[0, 1]], r"indices must have shape \(n_triplets, 3\), got \(1, 2\)"),
        ([0, 1, 2], "indices must be 2-D, got shape"),
        (np.empty((0, 3)), "indices must not be empty"),
        ([[0, 1, 1.5]], r"indices must be whole numbers, got 1.5 at \(0, 2\)"),
        ([[0, 1, np.nan]], "indices must be finite, got nan"),
        ([[True, False, True]], "indices must be whole numbers, got dtype bool"),
        ([[0, 1, 2], [3, 4, 3]], r"indices must be three distinct objects a row, got \[3, 4, 3\] in row 1"),
        ([[0, 1, 8]], r"indices must be between 0 and 7, counted from 0, got 8 at \(0, 2\)"),
        # 200 in int8
        (
            np.array([[0, 1, 200]]).astype(np.int8),
            r"indices must be between 0 and 7, counted from 0, got -56 at \(0, 2\)",
        ),
        (np.array([[0, 1, 2**64 - 1]], dtype=np.uint64), "indices must be whole numbers, got 1.8446744073709552e"),
    ],
)
def test_broken_triplets_are_refused(indices, message):
    with pytest.raises(ValueError, match=message):
        gwrsa.Triplets(indices, NAMES)


def test_negative_without_labels_is_refused():
    with pytest.raises(ValueError, match=r"indices must be between 0 and 9999999, counted from 0, got -1 at \(0, 1\)"):
        gwrsa.Triplets([[0, -1, 2]])


def test_labels_in_another_order_are_refused_and_can_be_mended():
    e = embedding()
    answers = gwrsa.sample_triplets(e, 500, seed=6)
    order = ("b", "a", *NAMES[2:])
    moved = answers.select(order)
    assert moved.items == order
    assert len(moved) == 500
    with pytest.raises(ValueError, match=r"hold the same 8 objects in another order: 2 rows differ"):
        gwrsa.odd_one_out_accuracy(e, moved)
    assert gwrsa.odd_one_out_accuracy(e.select(order), moved) == gwrsa.odd_one_out_accuracy(e, answers)
    assert np.array_equal(moved.select(NAMES).indices, answers.indices)
    with pytest.raises(ValueError, match="must hold the same objects, got 7 and 8"):
        gwrsa.odd_one_out_accuracy(e.select(NAMES[:7]), answers)
    with pytest.raises(ValueError, match="indices must be between 0 and 6"):
        gwrsa.odd_one_out_accuracy(e.select(NAMES[:7]), answers.indices)


def test_select_keeps_the_triplets_inside():
    t = gwrsa.Triplets([[0, 1, 2], [1, 2, 3], [3, 1, 2]], tuple("abcd"), name="four")
    part = t.select("dcb")
    assert part.indices.tolist() == [[2, 1, 0], [0, 2, 1]]
    assert (part.items, part.n_items, part.name) == (("d", "c", "b"), 3, "four")
    with pytest.raises(ValueError, match="items must hold all three objects of a triplet, got 2 objects"):
        t.select("ab")


def test_split_is_a_partition():
    t = gwrsa.sample_triplets(embedding(), 100, seed=7)
    rest, held_out = t.split(0.25, seed=1)
    assert (len(rest), len(held_out)) == (75, 25)
    both = np.concatenate([rest.indices, held_out.indices])
    assert np.array_equal(np.sort(both @ [64, 8, 1]), np.sort(t.indices @ [64, 8, 1]))
    assert np.array_equal(t.split(0.25, seed=1)[1].indices, held_out.indices)
    assert not np.array_equal(t.split(0.25, seed=2)[1].indices, held_out.indices)
    with pytest.raises(ValueError, match=r"share must leave triplets in both parts, got 0\.001 of 100"):
        t.split(0.001)


def test_triplets_from_a_file(tmp_path):
    np.save(tmp_path / "answers.npy", np.array([[0, 1, 2], [2, 3, 0]], dtype=np.int16))
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\n")
    t = gwrsa.Triplets.load(tmp_path / "answers.npy", items=tmp_path / "names.txt")
    assert repr(t) == "Triplets('answers', 2 of 4 objects, labelled)"
    np.savetxt(tmp_path / "answers.txt", t.indices)
    assert np.array_equal(gwrsa.Triplets.load(tmp_path / "answers.txt").indices, t.indices)


# THINGS


@pytest.fixture(scope="module")
def things(things_dir):
    items = things_dir / "unique_id.txt"
    human = gwrsa.Embedding.load(things_dir / "human_spose66.npy", items=items)
    return human, gwrsa.Triplets.load(things_dir / "triplets.npy", items=items)


@pytest.mark.things
def test_spose66_predicts_the_answers_of_people(things):
    human, answers = things
    assert f"{gwrsa.odd_one_out_accuracy(human, answers):.2%}" == "65.68%"


@pytest.mark.things
def test_the_two_row_orders_are_told_apart(things, things_dir):
    human, answers = things
    order = np.load(things_dir / "file_to_uid_order.npy")
    in_file_order = tuple(human.items[i] for i in np.argsort(order))
    with pytest.raises(ValueError, match="hold the same 1854 objects in another order: 21 rows differ"):
        gwrsa.odd_one_out_accuracy(human, gwrsa.Triplets(answers.indices, in_file_order))
    # Read in the wrong order, the answers about the moved objects would not be predicted.
    moved = np.flatnonzero(np.asarray(in_file_order) != np.asarray(human.items))
    about = answers.indices[np.isin(answers.indices, moved).any(axis=1)]
    right, wrong = (gwrsa.odd_one_out_accuracy(human, t) for t in (about, np.argsort(order)[about]))
    assert right > 0.64
    assert wrong < 0.54


@pytest.mark.things
def test_choice_similarity_at_full_size(things, things_dir):
    human, answers = things
    scaled = gwrsa.calibrate(human, answers)
    assert scaled.meta["choice_scale"] == pytest.approx(8.131e-4, rel=1e-3)
    rdm = scaled.rdm("choice")
    assert rdm.dissimilarities.mean() == pytest.approx(2 / 3, abs=1e-12)
    x, (i, j) = scaled.values, (17, 1600)
    s = x @ x.T
    thirds = np.delete(np.arange(len(x)), [i, j])
    want = np.mean(1 / (1 + np.exp(s[i, thirds] - s[i, j]) + np.exp(s[j, thirds] - s[i, j])))
    assert 1 - rdm.square()[i, j] == pytest.approx(want, rel=1e-12)
    # Fully sampled dissimilarities of 48 objects: averaging over the same third objects fits them better than cosine does.
    rows = np.load(things_dir / "rdm48_index.npy")
    among = scaled.select([scaled.items[r] for r in rows])
    measured = gwrsa.RDM(np.load(things_dir / "rdm48.npy"), among.items)
    assert gwrsa.rsa(among.rdm("cosine"), measured) == pytest.approx(0.8615, abs=5e-5)
    assert gwrsa.rsa(among.rdm("choice"), measured) > 0.88


@pytest.mark.things
def test_counted_rdm_agrees_with_the_embedding_as_far_as_it_was_sampled(things):
    human, answers = things
    counts = answers.counts()
    assert counts.n_missing > 0.5 * len(counts.shown)
    choice = 1 - gwrsa.calibrate(human, answers).rdm("choice").dissimilarities
    seen = counts.shown > 0
    away = (counts.probability("chance") - choice)[seen]
    # Answers scatter about the choice probability with its own binomial variance.
    assert np.mean(away**2) == pytest.approx(
        np.mean((choice * (1 - choice) / np.maximum(counts.shown, 1))[seen]), rel=0.02
    )


def test_indices_beside_labels_are_said_to_be_taken_as_rows():
    embedding = gwrsa.Embedding(points(8), [f"object {i}" for i in range(8)])
    bare = gwrsa.Embedding(points(8))
    triplets = gwrsa.sample_triplets(bare, 500, seed=0)
    known = gwrsa.odd_one_out_accuracy(bare, triplets)
    with pytest.warns(
        UserWarning, match="embedding has labels and triplets have none: indices of objects are taken as its 8 rows"
    ):
        assert gwrsa.odd_one_out_accuracy(embedding, triplets) == known
    assert gwrsa.odd_one_out_accuracy(embedding, triplets.indices) == known
