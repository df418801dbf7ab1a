"""What the figures of a whole study show beyond one table: replicates, images, how true a map is."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist, squareform

import study_files
from gwrsa import figures
from gwrsa.figures.study import drawings
from gwrsa.mds import kept


def test_lines_join_the_starts_of_one_replicate():
    """Each has epsilons of its own, which lie between those of the others."""
    rows = [
        {
            "target": "untrained",
            "family": "untrained",
            "replicate": r,
            "epsilon": e + r / 10,
            "gw_loss": e,
            "failed": False,
        }
        for r in range(3)
        for e in (0.1, 0.4, 0.8)
    ]
    lines = figures.loss_against_epsilon(pd.DataFrame(rows).sample(frac=1, random_state=0)).lines
    assert [line.get_xdata().tolist() for line in lines] == [
        pytest.approx([e + r / 10 for e in (0.1, 0.4, 0.8)]) for r in range(3)
    ]
    assert all(line.get_ydata().tolist() == [0.1, 0.4, 0.8] for line in lines)


def test_the_workflow_says_of_which_objects_a_category_rate_is():
    said = []
    for some in (False, True):
        axes = figures.workflow(
            np.eye(6), np.eye(6), np.eye(6) / 6, rsa=0.1, matching=0.2, category=0.3, categorised=some
        )
        said.append([text.get_text() for text in axes.texts])
    assert "of objects meet their category" in str(said[0])
    assert "of those with a category meet it" in str(said[1])


@pytest.mark.parametrize("n_pictures", [0, 1, 6, 9])
def test_the_workflow_shows_some_objects_where_no_name_is(n_pictures):
    rng = np.random.default_rng(0)
    rdm = squareform(pdist(rng.standard_normal((12, 3))))
    pictures = [np.full((5, 5, 3), i, dtype=np.uint8) for i in range(n_pictures)]
    axes = figures.workflow(
        rdm,
        rdm,
        np.eye(12) / 12,
        names=("people", "CLIP ViT-B/32"),
        rsa=1.0,
        matching=1.0,
        category=1.0,
        pictures=pictures,
    )
    axes.figure.draw_without_rendering()
    images = [(child.images[0].get_array(), child.get_window_extent()) for child in axes.child_axes]
    shown = [(int(pixels[0, 0, 0]), box) for pixels, box in images if pixels.ndim == 3 and pixels.shape == (5, 5, 3)]
    assert [value for value, _ in shown] == list(range(min(n_pictures, 6)))
    taken = [text.get_window_extent() for text in axes.texts] + [b for p, b in images if p.shape[:2] == (12, 12)]
    assert len(taken) >= 10
    assert not any(box.overlaps(other) for _, box in shown for other in taken)


def test_the_workflow_writes_low_rates_with_two_digits():
    """As the page does: 0.17 % is not 0.2 %."""
    rdm = squareform(pdist(np.random.default_rng(0).standard_normal((12, 3))))
    axes = figures.workflow(rdm, rdm, np.eye(12) / 12, rsa=0.0, matching=0.0017, category=0.0412)
    assert {"0.17 %", "4.1 %"} <= {text.get_text() for text in axes.texts}


def test_how_true_a_map_is():
    rng = np.random.default_rng(3)
    flat, deep = (squareform(pdist(rng.standard_normal((8, dims)))) for dims in (2, 7))
    assert kept(flat) == pytest.approx(1.0)
    assert 0.3 < kept(deep) < 0.97
    assert kept(5 * deep) == pytest.approx(kept(deep))
    assert kept(flat[:3, :3]) is None
    assert kept(1.0 - np.eye(6)) is None


def test_intervals_that_overlap_lie_one_below_the_other():
    rows = [
        {
            "target": t,
            "family": "clip",
            "choice": "lowest_loss",
            "measure": "matching",
            "k": k,
            "value": v,
            "low": v - 0.1,
            "high": v + 0.1,
        }
        for t in ("a", "b")
        for k, v in ((1, 0.4), (5, 0.45), (10, 0.5))
    ]
    lines = [line for line in figures.rate_bars(pd.DataFrame(rows)).lines if line.get_color() == "#222222"]
    places = sorted(line.get_ydata()[0] for line in lines)
    bars = [[y for y in places if abs(y - bar) < 0.36] for bar in (0, 1)]
    assert [len(of) for of in bars] == [3, 3]
    # From the smallest k, above, to the largest; the white around a line is 2 points wide, from model to model it is 12.
    assert all(np.diff(of).min() > 2 / 12 for of in bars)
    first = sorted((line.get_ydata()[0], line.get_xdata()[0]) for line in lines)[:3]
    assert [x for _, x in first] == pytest.approx([30, 35, 40])


def test_figures_of_the_smallest_k_say_which_it_is(tmp_path):
    path = study_files.write(
        tmp_path / "in", study_files.TOML.replace("bootstrap = 50", "top_k = [5, 10]\nbootstrap = 50")
    )
    results = study_files.run(path, tmp_path / "out")
    models = sorted(set(results.rates["target"]))
    found = {d.name: d for d in drawings(results)}
    for choice in ("a_fine_vs_coarse_lowest_loss", "b_fine_vs_coarse_highest_matching"):
        drawing = found[f"figure_6{choice}"]
        axes = drawing.make()
        assert len(axes.collections) == len(models)
        assert {text.get_text() for text in axes.texts} == set(models)
        assert axes.get_xlabel() == "coarse: category matching rate, top-5 (%)"
        assert "within the 5 most probable targets" in drawing.caption
        plt.close(axes.figure)
    drawing = found["figure_s3_category_rates"]
    axes = drawing.make()
    assert axes.get_xlabel() == "matching rate, top-5 (%)"
    assert "have themselves within the 5 most probable targets" in drawing.caption
    rates = results.categories.query(
        "choice == 'lowest_loss' and measure == 'matching' and k == 5 and target == 'near'"
    )
    at = [name.get_text().rsplit(" (", 1)[0] for name in axes.get_yticklabels()]
    drawn = dict(zip(at, sorted(axes.collections[1].get_offsets().tolist(), key=lambda xy: xy[1]), strict=True))
    assert {c: x / 100 for c, (x, _) in drawn.items()} == pytest.approx(
        dict(zip(rates["category"], rates["rate"], strict=True))
    )
    plt.close(axes.figure)
