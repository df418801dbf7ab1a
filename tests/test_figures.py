"""Each figure returns the axes it drew on, with the numbers it was given, and leaves other figures alone."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from scipy.spatial.distance import pdist, squareform

import gwrsa
from gwrsa import figures, tables
from gwrsa.figures.style import family_order, percent
from problems import distances, points

pytestmark = pytest.mark.usefixtures("no_figure_left")
FAMILIES = ["clip", "supervised", "untrained", "human"]


def rates(n=4):
    rng = np.random.default_rng(0)
    rows = [
        (f"model {i}", FAMILIES[i % 4], choice, measure, k, value, value - 0.01, value + 0.02)
        for i in range(n)
        for choice in tables.CHOICES
        for measure in ("matching", "category")
        for k, value in zip((1, 5, 10), np.sort(rng.uniform(0.05, 0.9, 3)), strict=True)
    ]
    return pd.DataFrame(rows, columns=["target", "family", "choice", "measure", "k", "value", "low", "high"])


def starts(n=6):
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "source": "human",
            "target": "model",
            "family": "clip",
            "epsilon": np.geomspace(1e-3, 1e-2, n),
            "gw_loss": rng.uniform(1, 2, n),
            "status": "converged",
            "failed": False,
            "top1": rng.random(n),
            "category": rng.random(n),
        }
    )


def by_category():
    return pd.DataFrame(
        {
            "target": ["a", "a", "b", "b"],
            "family": ["clip", "clip", "language", "language"],
            "category": ["x", "y", "x", "y"],
            "n": [3, 4, 3, 4],
            "rate": [0.1, 0.5, 0.3, 0.7],
        }
    )


SQUARE, PLAN = distances(12), np.eye(12) / 12 + 1e-3
GROUPS = ["b", "a", None] * 4
EVERY = {
    "workflow": lambda ax: figures.workflow(SQUARE, SQUARE, PLAN, rsa=0.4, matching=0.1, category=0.5, ax=ax),
    "rsa_bars": lambda ax: figures.rsa_bars(rates().drop_duplicates("target"), ax=ax),
    "rate_bars": lambda ax: figures.rate_bars(rates(), tables.chance_table(12, np.eye(12)), ax=ax),
    "rates": lambda ax: figures.rates({"a": {"top-1": 0.1, "top-5": 0.2}}, {"top-1": 0.05}, ax=ax),
    "rdm": lambda ax: figures.rdm(SQUARE, GROUPS, ax=ax),
    "plan": lambda ax: figures.plan(PLAN, GROUPS, ax=ax),
    "plan_in_colours": lambda ax: figures.plan_in_colours(PLAN[:3, :3], np.eye(3), ["r", "g", "b"], ax=ax),
    "plan_by_category": lambda ax: figures.plan_by_category(PLAN, ["x", "y"] * 6, ax=ax),
    "top_table": lambda ax: figures.top_table(np.argsort(SQUARE)[:, :5], [f"item {i}" for i in range(12)], ax=ax),
    "local_optima": lambda ax: figures.local_optima(starts(), ax=ax),
    "fine_vs_coarse": lambda ax: figures.fine_vs_coarse(rates(), tables.chance_table(12, np.eye(12)), ax=ax),
    "loss_against_epsilon": lambda ax: figures.loss_against_epsilon(starts(), ax=ax),
    "rdm_histograms": lambda ax: figures.rdm_histograms({"a": [1.0, 2.0, 2.5]}, {"a": "clip"}, ax=ax),
    "category_rates": lambda ax: figures.category_rates(by_category(), ax=ax),
    "map_of_spaces": lambda ax: figures.map_of_spaces(SQUARE, SQUARE, PLAN, GROUPS, ax=ax),
    "map_of_models": lambda ax: figures.map_of_models(SQUARE[:4, :4], list("abcd"), FAMILIES, ax=ax),
    "matrix_of_models": lambda ax: figures.matrix_of_models(SQUARE[:4, :4], list("abcd"), FAMILIES, ax=ax),
}


@pytest.mark.parametrize("name", EVERY)
def test_draws_on_the_axes_it_is_given(name, tmp_path):
    mine = Figure(layout="constrained").subplots()
    before = dict(mpl.rcParams)
    assert EVERY[name](mine) is mine
    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == before
    assert figures.save(mine, tmp_path / f"{name}.png")[0].stat().st_size > 2000


@pytest.mark.parametrize("name", EVERY)
def test_makes_one_figure_of_its_own_and_closes_none(name):
    other = plt.figure()
    axes = EVERY[name](None)
    assert isinstance(axes, Axes)
    assert plt.get_fignums() == [other.number, axes.figure.number]


def test_every_public_figure_is_tested():
    tools = {"FAMILIES", "family_colour", "one_category", "save", "study", "style"}
    assert set(EVERY) == set(figures.__all__) - tools


def bars(axes, colour=None):
    found = [p for c in axes.containers for p in c.patches]
    return [p.get_width() for p in found if colour is None or to_hex(p.get_facecolor()) == colour]


def test_rsa_bars_go_by_family_then_value():
    table = pd.DataFrame(
        {
            "target": ["u", "c1", "c2"],
            "family": ["untrained", "clip", "clip"],
            "value": [-0.1, 0.3, 0.5],
            "low": [-0.2, np.nan, np.nan],
            "high": [0.05, np.nan, np.nan],
            "p_adjusted": [0.6, 0.001, 0.05],
        }
    )
    axes = figures.rsa_bars(table)
    assert [t.get_text() for t in axes.get_yticklabels()] == ["c2", "c1", "u"]
    assert bars(axes) == [0.5, 0.3, -0.1]
    assert bars(axes, figures.family_colour("clip").lower()) == [0.5, 0.3]
    assert next(tuple(line.get_xdata()) for line in axes.lines if line.get_color() == "#222222") == (-0.2, 0.05)
    stars = [t for t in axes.texts if t.get_text() == "*"]
    assert [t.xy for t in stars] == [(0.3, 1)]


def test_rsa_bars_show_noise_ceilings_behind_the_bars_and_their_ends_in_the_legend():
    table = rates().drop_duplicates("target")
    ceilings = {"sex": (0.91, 0.97), "halves": gwrsa.NoiseCeiling(0.5, 0.6)}
    plain, axes = figures.rsa_bars(table), figures.rsa_bars(table, ceilings)
    spans = [p for p in axes.patches if p.get_zorder() < 1]
    assert [(s.get_x(), s.get_x() + s.get_width()) for s in spans] == [pytest.approx(c) for c in ceilings.values()]
    labels = [t.get_text() for t in axes.figure.legends[0].get_texts()]
    assert {"noise ceiling, sex: 0.91 to 0.97", "noise ceiling, halves: 0.50 to 0.60"} <= set(labels)
    assert axes.get_xlim()[1] > 0.97
    assert not any("ceiling" in t.get_text() for t in plain.figure.legends[0].get_texts())
    assert bars(axes) == bars(plain)


@pytest.mark.parametrize("measure", ["matching", "category"])
@pytest.mark.parametrize("choice", tables.CHOICES)
def test_rate_bars_draw_their_choice_and_measure(choice, measure):
    table, chance = rates(), tables.chance_table(50, np.eye(2)[np.arange(50) % 2])
    axes = figures.rate_bars(table, chance, choice=choice, measure=measure)
    mine = table[(table["choice"] == choice) & (table["measure"] == measure)]
    assert sorted(bars(axes)) == pytest.approx(sorted(100 * mine["value"]))
    top1 = mine[mine["k"] == 1].set_index("target")["value"]
    names = [t.get_text() for t in axes.get_yticklabels()]
    assert [p.get_width() for p in axes.containers[-1].patches] == pytest.approx([100 * top1[n] for n in names])
    lines = {line.get_label(): line.get_xdata()[0] for line in axes.lines if str(line.get_label()).startswith("chance")}
    expected = chance[chance["measure"] == measure].set_index("k")["value"]
    assert lines == pytest.approx({f"chance, top-{k}": 100 * v for k, v in expected.items()})


def test_bands_of_chance_hide_no_bar():
    axes = figures.rate_bars(rates(), tables.chance_table(12, np.eye(12)))
    bars = [bar for container in axes.containers for bar in container]
    bands = [patch for patch in axes.patches if patch not in bars]
    assert bars
    assert bands
    assert max(band.get_zorder() for band in bands) < min(bar.get_zorder() for bar in bars)


def test_rates_draw_chance_where_there_is_one():
    axes = figures.rates({"a": {"RSA": 0.4, "top-1": 0.1}, "b": {"RSA": 0.3, "top-1": 0.2}}, {"top-1": 0.05})
    assert [p.get_height() for p in axes.patches] == [0.4, 0.1, 0.3, 0.2]
    assert [tuple(line.get_ydata()) for line in axes.lines] == [(0.05, 0.05)]


def test_rates_below_zero_are_drawn_whole_with_a_line_at_zero():
    axes = figures.rates({"a": {"RSA": -0.25, "top-1": 0.1}, "b": {"RSA": 0.3, "top-1": 0.2}}, {"top-1": 0.05})
    assert [p.get_height() for p in axes.patches] == [-0.25, 0.1, 0.3, 0.2]
    axes.figure.draw_without_rendering()
    inside = axes.get_window_extent()
    for drawn in (*axes.patches, *axes.texts):
        assert drawn.get_window_extent().y0 >= inside.y0
    assert any(tuple(line.get_ydata()) == (0, 0) for line in axes.lines)
    assert axes.get_yticks()[0] == pytest.approx(-0.2)


@pytest.mark.parametrize("ks", [(1,), (1, 5), (1, 2, 3, 5), tuple(range(1, 11))])
def test_bars_of_however_many_k_are_lighter_and_lighter(ks):
    table = pd.DataFrame(
        {"target": "a", "family": "clip", "choice": "lowest_loss", "measure": "matching", "k": k, "value": 0.05 * k}
        for k in ks
    ).assign(low=np.nan, high=np.nan)
    axes = figures.rate_bars(table)
    lightness = {bar.get_width(): sum(bar.get_facecolor()[:3]) for bar in axes.patches}
    assert [lightness[width] for width in sorted(lightness)] == sorted(set(lightness.values()))
    assert len(lightness) == len(ks)


def test_rate_bars_say_the_smallest_k_in_numbers():
    table = rates()
    table.loc[(table["target"] == "model 0") & (table["k"] == 1), "value"] = 0.00049
    axes = figures.rate_bars(table)
    (heading,) = [t for t in axes.texts if t.get_text() == "top-1\n(%)"]
    mine = table[(table["choice"] == "lowest_loss") & (table["measure"] == "matching") & (table["k"] == 1)]
    value = mine.set_index("target")["value"]
    said = {t.xy[1]: t.get_text() for t in axes.texts if t is not heading}
    names = [t.get_text() for t in axes.get_yticklabels()]
    assert said == {i: percent(value[name]).removesuffix(" %") for i, name in enumerate(names)}
    assert "0.049" in said.values()


def test_percent_has_as_many_digits_as_tell_rates_apart():
    assert [percent(x) for x in (0, 0.001, 0.00054, 0.0092, 0.025, 1)] == [
        "0.0 %",
        "0.10 %",
        "0.054 %",
        "0.92 %",
        "2.5 %",
        "100.0 %",
    ]


def test_starts_that_the_search_stopped_are_named_so():
    table = starts()
    table.loc[4, "status"] = "stopped"
    labels = [
        [c.get_label() for c in figures.local_optima(t).collections]
        for t in (table, table.replace("stopped", "max_outer"))
    ]
    assert "stopped early" in labels[0]
    assert "not converged" in labels[1]
    table.loc[3, "status"] = "max_outer"
    assert "not converged" in [c.get_label() for c in figures.local_optima(table).collections]


def test_local_optima_circle_both_choices():
    table = starts()
    table.loc[5, "failed"] = True
    table.loc[4, "status"] = "max_outer"
    axes = figures.local_optima(table)
    drawn = {c.get_label(): np.asarray(c.get_offsets()) for c in axes.collections}
    best = tables.chosen(table)
    for label, choice in (("chosen without labels", "lowest_loss"), ("highest matching", "highest_matching")):
        row = best[best["choice"] == choice].iloc[0]
        np.testing.assert_allclose(drawn[label], [[row["gw_loss"], 100 * row["top1"]]])
    np.testing.assert_allclose(drawn["not converged"], [[table["gw_loss"][4], 100 * table["top1"][4]]])
    others = next(np.asarray(c.get_offsets()) for c in axes.collections if len(c.get_offsets()) == 4)
    np.testing.assert_allclose(others, np.column_stack([table["gw_loss"], 100 * table["top1"]])[:4])


def test_fine_vs_coarse_has_a_point_a_model():
    table = rates()
    axes = figures.fine_vs_coarse(table, choice="highest_matching", k=5)
    mine = table[(table["choice"] == "highest_matching") & (table["k"] == 5)].set_index(["target", "measure"])["value"]
    drawn = [np.asarray(c.get_offsets())[0] for c in axes.collections]
    expected = [(100 * mine[f"model {i}", "category"], 100 * mine[f"model {i}", "matching"]) for i in range(4)]
    np.testing.assert_allclose(drawn, expected)
    assert {t.get_text() for t in axes.texts} == {f"model {i}" for i in range(4)}


def test_loss_against_epsilon_joins_the_lowest():
    table = pd.concat([starts(3), starts(3).assign(gw_loss=9.0)])
    line = figures.loss_against_epsilon(table).lines[0]
    np.testing.assert_allclose(line.get_ydata(), starts(3)["gw_loss"])


@pytest.mark.parametrize(("low", "high"), [(0.0123, 0.0127), (0.95e-3, 1.04e-3), (0.011, 0.019), (1e-4, 3e-2)])
def test_epsilons_of_any_range_have_ticks_that_differ(low, high):
    """A range of a few hundredths holds one round number or none."""
    axes = figures.loss_against_epsilon(starts(5).assign(epsilon=np.geomspace(low, high, 5)))
    ticks = axes.xaxis.get_majorticklocs()
    assert len(ticks) >= 2
    assert low <= ticks.min() <= ticks.max() <= high
    texts = [label.get_text() for label in axes.xaxis.get_majorticklabels()]
    assert len(set(texts)) == len(ticks)


def test_histograms_are_densities():
    values = np.random.default_rng(0).normal(size=20_000)
    axes = figures.rdm_histograms({"a": values, "b": values + 1})
    for patch in axes.patches:
        height, edges, _ = patch.get_data()
        assert (height * np.diff(edges)).sum() == pytest.approx(1, abs=0.01)
    assert axes.patches[0].get_linestyle() != axes.patches[1].get_linestyle()
    # A human side and four groups of people are of one family.
    same = figures.rdm_histograms(dict.fromkeys("abcde", values[:100])).patches
    assert len({str(patch.get_linestyle()) for patch in same}) == 5


def test_category_rates_are_sorted_by_their_mean():
    axes = figures.category_rates(by_category())
    assert [t.get_text() for t in axes.get_yticklabels()] == ["y (4)", "x (3)"]
    points_of = {to_hex(c.get_facecolor()[0]): c.get_offsets() for c in axes.collections if len(c.get_facecolor())}
    drawn = np.asarray(points_of[figures.family_colour("clip").lower()])
    np.testing.assert_allclose(np.column_stack([drawn[:, 0], drawn[:, 1].round()]), [[10, 1], [50, 0]])
    # Models of a row stand apart, also where their rates are equal.
    heights = np.concatenate(
        [
            np.asarray(c.get_offsets())[:, 1]
            for c in figures.category_rates(by_category().assign(rate=0.0)).collections[1:]
        ]
    )
    assert len(set(heights)) == len(heights)


def test_map_of_spaces_turns_the_target_as_the_plan_says():
    flat = points(12, 2)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    moved = flat[::-1] @ turn
    plan = np.eye(12)[::-1] / 12
    axes = figures.map_of_spaces(squareform(pdist(flat)), squareform(pdist(moved)), plan)
    left, right = (np.asarray(c.get_offsets()) for c in axes.collections[1:])
    shift = right[::-1] - left
    np.testing.assert_allclose(shift, np.broadcast_to(shift[0], (12, 2)), atol=1e-9)
    ends = np.array(axes.collections[0].get_segments())
    np.testing.assert_allclose(ends[:, 1] - ends[:, 0], shift, atol=1e-9)


def test_matrix_of_models_is_sorted_by_family_and_leaves_out_the_diagonal_and_what_is_missing():
    values = np.array([[1, 0.25, np.nan], [0.25, 1, 0.004], [np.nan, 0.004, 1]])
    axes = figures.matrix_of_models(values, ["people", "net", "raw"], ["human", "clip", "untrained"], percent=True)
    assert [t.get_text() for t in axes.get_yticklabels()] == ["net", "people", "raw"]
    shown = np.ma.filled(axes.images[0].get_array(), np.nan)
    np.testing.assert_allclose(shown, [[np.nan, 25, 0.4], [25, np.nan, np.nan], [0.4, np.nan, np.nan]])
    assert {(t.get_position(), t.get_text()) for t in axes.texts} == {
        ((1, 0), "25"),
        ((0, 1), "25"),
        ((2, 0), "0.4"),
        ((0, 2), "0.4"),
    }


def test_one_model_and_none_are_drawn():
    for n in (0, 1):
        table = rates(n)
        for axes in (
            figures.rsa_bars(table.drop_duplicates("target")),
            figures.rate_bars(table),
            figures.fine_vs_coarse(table),
            figures.local_optima(starts(n)),
            figures.loss_against_epsilon(starts(n)),
            figures.category_rates(by_category().head(n)),
            figures.rdm_histograms({"a": [1.0, 1.0]} if n else {}),
        ):
            axes.figure.draw_without_rendering()
    figures.map_of_models([[0.0]], ["a"], ["clip"]).figure.draw_without_rendering()
    figures.matrix_of_models([[0.0]], ["a"], ["clip"]).figure.draw_without_rendering()


def test_equal_epsilons_have_a_colour_and_no_bar_of_colours():
    axes = figures.local_optima(starts().assign(epsilon=0.01))
    axes.figure.draw_without_rendering()
    assert axes.figure.axes == [axes]
    assert axes.get_xlabel() == "GW loss, at epsilon 0.01"
    assert len(figures.local_optima(starts()).figure.axes) == 2


def test_all_starts_failed_draws_nothing():
    axes = figures.local_optima(starts().assign(failed=True))
    assert not axes.collections


def test_models_of_one_family_are_told_apart():
    """By the fill of their markers, and in the legend by name."""
    two = pd.concat([starts().assign(target=name, family="untrained") for name in ("one", "other")])
    by = by_category().assign(family="untrained")
    for axes, names in (
        (figures.loss_against_epsilon(two), ["one", "other"]),
        (figures.category_rates(by), ["a", "b"]),
    ):
        fills = [tuple(c.get_facecolor()[0][:3]) for c in axes.collections if len(c.get_facecolor())]
        assert len(set(fills)) == 2
        handles = axes.figure.legends[0].legend_handles
        assert [h.get_label() for h in handles] == names
        assert [tuple(h.get_markerfacecolor()) for h in handles] == fills
    many = pd.concat([starts().assign(target=f"m{i}", family="untrained") for i in range(13)])
    (only,) = figures.loss_against_epsilon(many).figure.legends[0].legend_handles
    assert only.get_label() == "untrained"


def test_histograms_of_other_metrics_are_in_standard_deviations():
    values = np.random.default_rng(0).normal(3.0, 2.0, 4000)
    same, other = ("cosine", "cosine"), ("cosine", "euclidean")
    for metrics, mixed in ((same, False), (other, True)):
        axes = figures.rdm_histograms({"a": values, "b": 50 * values}, metrics=dict(zip("ab", metrics, strict=True)))
        (one, two) = (patch.get_data() for patch in axes.patches)
        assert ("standard deviations" in axes.get_xlabel()) is mixed
        assert np.allclose(one.values, two.values) is mixed
        labels = [t.get_text() for t in axes.figure.legends[0].get_texts()]
        assert labels == (["a (cosine)", "b (euclidean)"] if mixed else ["a", "b"])


def test_the_axis_of_rsa_says_whose_rdm_and_which_measure():
    table = rates().drop_duplicates("target")
    assert figures.rsa_bars(table).get_xlabel() == "RSA (Pearson correlation with the RDM of human)"
    axes = figures.rsa_bars(table, human="people", method="spearman")
    assert axes.get_xlabel() == "RSA (Spearman correlation with the RDM of people)"


def test_families_are_alike_everywhere():
    assert len({look.colour for look in figures.FAMILIES.values()}) == len(figures.FAMILIES)
    assert len({look.marker for look in figures.FAMILIES.values()}) == len(figures.FAMILIES)
    assert figures.family_colour("CLIP") == figures.family_colour("clip")
    assert figures.family_colour("brain") == figures.family_colour("brain")
    assert family_order(["zebra", "untrained", "CLIP", "brain", "clip"])[-3:] == ["untrained", "brain", "zebra"]


def test_a_figure_that_is_interrupted_leaves_the_one_before(tmp_path, monkeypatch):
    (path,) = figures.save(figures.rsa_bars(rates().drop_duplicates("target")), tmp_path / "one.png", close=True)
    before = path.read_bytes()

    def interrupted(_, to, **__):
        to.write(before[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(Figure, "savefig", interrupted)
    with pytest.raises(KeyboardInterrupt):
        figures.save(figures.rsa_bars(rates().drop_duplicates("target")), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_save_writes_every_format_and_the_same_bytes_again(tmp_path):
    one, two = (figures.rsa_bars(rates().drop_duplicates("target")) for _ in range(2))
    written = figures.save(one, tmp_path / "one" / "v1.2", close=True)
    again = figures.save(two.figure, tmp_path / "two" / "v1.2", close=True)
    assert [p.name for p in written] == ["v1.2.png", "v1.2.svg", "v1.2.pdf"]
    assert [p.read_bytes() for p in written] == [p.read_bytes() for p in again]
    assert "<text" in written[1].read_text()
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: figures.rsa_bars(rates().drop(columns="value")), "got a table without value"),
        (lambda: figures.rsa_bars(rates(), {"sex": (0.9, 0.8)}), r"ceilings\['sex'\] must be \(lower, upper\)"),
        (lambda: figures.rsa_bars(rates(), {"sex": (0.9,)}), r"lower <= upper, got \(0.9,\)"),
        (lambda: figures.rate_bars(rates(), choice="best"), "choice must be one of 'lowest_loss'"),
        (lambda: figures.rate_bars(rates(), measure="rsa"), "measure must be one of 'matching'"),
        (lambda: figures.rdm(SQUARE, ["a"]), "categories must have length 12"),
        (lambda: figures.rdm(SQUARE, [None] * 12), "at least one of the 12 objects"),
        (lambda: figures.plan(PLAN[:3]), "coupling must be square"),
        (lambda: figures.one_category(np.eye(2), ["a"]), "names must have length 2"),
        (lambda: figures.top_table(np.eye(2), ["a", "b"]), "top must be integers"),
        (lambda: figures.top_table([[0], [1]], ["a", "b"]), "k must be between 1 and 1, got 5"),
        (lambda: figures.top_table([[0], [7]], ["a", "b"], k=1), "top must hold indices of 2 targets"),
        (lambda: figures.top_table([[0]], ["a"], k=1, images="nowhere"), "images must be a folder, got 'nowhere'"),
        (lambda: figures.local_optima(pd.concat([starts(), starts().assign(target="b")])), "of one pair, got 2"),
        (lambda: figures.fine_vs_coarse(rates(), choice="best"), "choice must be one of"),
        (lambda: figures.map_of_models(SQUARE, ["a"], ["clip"]), "names must have length 12"),
        (lambda: figures.map_of_models([[0, 1], [2, 0]], ["a", "b"], ["clip"] * 2), "must be symmetric"),
        (lambda: figures.matrix_of_models(SQUARE, ["a"], ["clip"]), "names must have length 12"),
        (lambda: figures.matrix_of_models([[0, 1], [2, 0]], ["a", "b"], ["clip"] * 2), "must be symmetric"),
        (lambda: figures.matrix_of_models([[0, np.nan], [2, 0]], ["a", "b"], ["clip"] * 2), "must be symmetric"),
        (lambda: figures.map_of_spaces(SQUARE, SQUARE, PLAN[:, :3]), r"plan must have shape \(12, 12\)"),
        (lambda: figures.map_of_spaces(SQUARE, SQUARE, PLAN, ["a"]), "categories must have length 12"),
        (lambda: figures.workflow(SQUARE, SQUARE[:3, :3], PLAN, rsa=0, matching=0), "got 12, 3 and 12"),
        (lambda: figures.save(Figure(), "x", ["gif"]), "formats must be of png, svg, pdf, got 'gif'"),
    ],
)
def test_invalid_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
