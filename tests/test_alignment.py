"""Many starts of one pair: both searches, the table, what wins, what is refused, the command line."""

import dataclasses
import itertools
import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import gwrsa
from gwrsa import _colours, _simulate, cli, demo, kicking, schedule
from gwrsa.solve import build_problem
from problems import points


def pair(n=60, noise=0.02, seed=0):
    x = points(n, 6, seed)
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((6, 6)))[0]
    y = x @ turn + noise * np.random.default_rng(seed + 1).standard_normal(x.shape)
    items = [f"object {i}" for i in range(n)]
    return gwrsa.Embedding(x, items, name="x"), gwrsa.Embedding(y, items, name="y")


@pytest.fixture(scope="module")
def found():
    a, b = pair()
    return gwrsa.align(a, b, metric="euclidean", progress=False, categories=np.arange(60) // 10)


def test_planted_correspondence_is_found(found):
    best = found.lowest_loss
    assert best.matching[1] > 0.9
    assert best.category[1] >= best.matching[1]
    assert np.array_equal(best.top[:, 0], best.plan.argmax(axis=1))
    assert found.highest_matching().matching[1] >= best.matching[1]


def test_table_has_a_row_a_start(found):
    columns = ["epsilon", "seed", "init", "gw_loss", "status", "n_outer", "marginal_error"]
    columns += ["top1", "top5", "top10", "category", "seconds"]
    assert len(found.table) == len(found.starts) == 8
    assert set(columns) <= set(found.table.columns)
    assert not found.table.drop(columns=["merged_into", "stopped_by"]).isna().to_numpy().any()
    assert found.table["gw_loss"].min() == found.lowest_loss.gw_loss


def test_alignment_and_start_are_one_line(found):
    best = found.lowest_loss
    assert (
        repr(best)
        == f"Start({best.number}, {best.init}, converged, GW loss {best.gw_loss:.6g}, epsilon {best.epsilon:.4g})"
    )
    converged = sum(s.solution.converged for s in found.starts)
    sides = f"{found.source.name!r} vs {found.target.name!r}"
    ends = f"{len(found.starts)} starts, {converged} converged, lowest GW loss {best.gw_loss:.6g}"
    assert repr(found) == f"Alignment({sides}, {ends})"


def test_rates_of_the_table_are_those_of_the_plans(found):
    converged = [start for start in found.starts if start.solution.converged]
    assert converged
    for start in converged:
        assert start.matching[1] == pytest.approx(gwrsa.matching_rate(start.plan, 1), abs=1e-9)
        assert start.matching[5] == pytest.approx(gwrsa.matching_rate(start.plan, 5), abs=1e-9)


def test_plans_that_know_nothing_score_chance():
    a, b = (gwrsa.Embedding(points(60, 5, seed)) for seed in (1, 2))
    groups = np.r_[np.zeros(40), np.arange(1, 21)].astype(int)
    far = gwrsa.align(a, b, metric="sqeuclidean", epsilon=1e9, categories=groups, progress=False)
    chance = {k: gwrsa.chance_level(60, k, groups).exact for k in (1, 5, 10)}
    for start in far.starts:
        assert start.matching == pytest.approx({k: k / 60 for k in (1, 5, 10)})
        assert start.category == pytest.approx(chance)
        assert start.matching == {k: gwrsa.matching_rate(start.plan, k) for k in (1, 5, 10)}


def test_objects_without_weight_score_as_in_their_plan():
    a, _ = pair()
    p = np.r_[np.zeros(20), np.full(40, 1 / 40)]
    for q in (None, p):
        weighted = gwrsa.align(a, a, p=p, q=q, epsilon=0.05, n_starts=3, metric="sqeuclidean", progress=False)
        for start in (weighted.lowest_loss, weighted.highest_matching()):
            assert start.matching == {k: gwrsa.matching_rate(start.plan, k) for k in (1, 5, 10)}
            # The rows of zeros name every target alike.
            assert start.matching[1] <= (40 + 20 / 60) / 60 + 1e-9


def test_targets_that_are_the_same_share_a_place():
    x = points(40, seed=3)
    x[1] = x[0]
    a = gwrsa.Embedding(x)
    own = np.arange(40)
    other = own.copy()
    other[1] = 99  # source 1 has no target of its category, source 0 has one of its two equal targets
    for side in (a, a.rdm("sqeuclidean")):
        twins = gwrsa.align(
            *(a, side),
            categories=other,
            target_categories=own,
            metric="sqeuclidean",
            epsilon=0.02,
            n_starts=3,
            precision="float64",
            progress=False,
        )
        best = twins.lowest_loss
        rates = {k: gwrsa.category_matching_rate(best.plan, other, k, target_categories=own) for k in (1, 5, 10)}
        assert best.category == rates
        assert 40 * best.category[1] % 1 == pytest.approx(0.5)


def test_most_probable_targets_are_those_of_the_plan_up_to_its_rounding(found):
    for start in found.starts:
        named = np.take_along_axis(start.plan, start.top, axis=1)
        assert np.all(named >= -np.sort(-start.plan, axis=1)[:, :10] - start.solution.marginal_error)


def test_workers_do_not_change_the_outcome():
    a, b = pair(40)
    one, two = (gwrsa.align(a, b, n_starts=4, workers=w, progress=False) for w in (1, 2))
    assert one.table.drop(columns="seconds").equals(two.table.drop(columns="seconds"))
    assert all(np.array_equal(s.plan, t.plan) for s, t in zip(one.starts, two.starts, strict=True))


def test_more_starts_extend_fewer():
    a, b = pair(30)
    for search in ("anneal", "multistart"):
        few, many = (gwrsa.align(a, b, search=search, n_starts=n, seed=3, progress=False) for n in (3, 5))
        assert few.table["gw_loss"].tolist() == many.table["gw_loss"].tolist()[:3]


def test_kicks_go_on_from_the_lowest_and_do_not_depend_on_workers():
    a, b = pair(40, noise=0.1)
    plain = gwrsa.align(a, b, epsilon=0.03, n_starts=3, progress=False)
    one, two = (gwrsa.align(a, b, epsilon=0.03, n_starts=3, n_kicks=6, workers=w, progress=False) for w in (1, 2))
    assert one.table.drop(columns="seconds").equals(two.table.drop(columns="seconds"))
    assert one.table["start"].tolist() == list(range(9))
    assert one.table["gw_loss"].tolist()[:3] == plain.table["gw_loss"].tolist()
    assert one.lowest_loss.gw_loss <= plain.lowest_loss.gw_loss
    for first, last in ((3, 7), (7, 9)):
        lowest = min((s for s in one.starts[:first] if s.solution.converged), key=lambda s: s.gw_loss)
        assert {s.init for s in one.starts[first:last]} == {f"kick of {lowest.number}"}
    # A kick is merged into one of its own round, by the number it has in the whole.
    merged = [s for s in one.starts[3:] if s.merged_into is not None]
    assert merged
    assert all((3 if s.number < 7 else 7) <= s.merged_into < s.number for s in merged)
    other = gwrsa.align(a, b, epsilon=0.03, n_starts=3, n_kicks=2, seed=1, progress=False)
    assert other.starts[3].solution.path != one.starts[3].solution.path


def test_kicks_find_lower_losses_where_noise_makes_many_basins():
    gains = []
    for seed in (3, 4, 6):
        a, b = pair(60, noise=0.5, seed=seed)
        plain, kicked = (
            gwrsa.align(a, b, metric="euclidean", epsilon=0.03, n_kicks=k, progress=False).lowest_loss.gw_loss
            for k in (0, 16)
        )
        gains.append(1 - kicked / plain)
    assert min(gains) >= 0
    assert sum(gain > 0.002 for gain in gains) >= 2


def test_a_kick_keeps_marginals_with_weights_of_zero():
    a, b = pair(20)
    p = np.r_[0.0, 0.0, np.full(18, 1 / 18)]
    q = np.r_[np.full(19, 0.9 / 19), 0.1]
    plan = gwrsa.entropic_gw(a, b, p, q, epsilon=0.02).plan
    places = kicking.positions(a, "cosine"), kicking.positions(b, "cosine")
    moved = kicking.kick(plan, *places, p, q, 3, 1)
    assert np.abs(moved.sum(1) - p).max() < 1e-12
    assert np.abs(moved.sum(0) - q).max() < 1e-12
    assert np.abs(moved - plan).sum() > 0.1
    assert np.array_equal(moved, kicking.kick(plan, *places, p, q, 3, 1))
    assert not np.array_equal(moved, kicking.kick(plan, *places, p, q, 3, 2))
    assert places[0].shape == (20, 12)


def test_multistart_is_entropic_gw_from_a_random_start():
    a, b = pair(30)
    searched = gwrsa.align(a, b, search="multistart", epsilon=0.02, absolute=True, n_starts=1, seed=5, progress=False)
    alone = gwrsa.entropic_gw(a, b, epsilon=0.02, init="random", seed=5, tol=1e-5)
    assert searched.starts[0].gw_loss == alone.gw_loss


def test_a_range_is_drawn_from(found):
    a, b = pair(30)
    many = gwrsa.align(a, b, search="multistart", epsilon=(0.1, 0.4), n_starts=12, progress=False)
    ratios = many.table["epsilon_ratio"]
    assert ratios.between(0.1, 0.4).all()
    assert ratios.nunique() == 12


def test_failed_starts_never_win(found):
    broken = dataclasses.replace(
        found.starts[0],
        number=99,
        solution=dataclasses.replace(found.starts[0].solution, status="numerical_error", gw_loss=-1.0),
        matching={1: 1.0, 5: 1.0, 10: 1.0},
    )
    with_broken = dataclasses.replace(found, starts=(broken, *found.starts))
    assert with_broken.lowest_loss is found.lowest_loss
    assert with_broken.highest_matching() is found.highest_matching()
    assert with_broken.table["failed"].tolist() == [True] + [False] * 8
    only_broken = dataclasses.replace(found, starts=(broken,))
    with pytest.raises(ValueError, match="all 1 starts failed"):
        _ = only_broken.lowest_loss
    with pytest.raises(ValueError, match="has no plan"):
        _ = broken.plan


def test_best_of_none_that_converged_says_so():
    a, b = pair(30)
    cut = gwrsa.align(a, b, n_starts=2, max_outer=1, progress=False)
    with pytest.warns(UserWarning, match="none of 2 starts converged"):
        assert cut.lowest_loss.status == "max_outer"


def test_labels_in_another_order_are_refused():
    a, b = pair(30)
    shuffled = b.select(list(reversed(b.items)))
    with pytest.raises(ValueError, match="same 30 objects in another order"):
        gwrsa.align(a, shuffled, progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"search": "best"}, "search must be one of 'anneal', 'multistart', got 'best'"),
        ({"epsilon": (0.2, 0.1)}, "low <= high"),
        ({"epsilon": 0}, "epsilon must be positive"),
        ({"epsilon": (1, 2, 3)}, r"epsilon must be a number or \(low, high\)"),
        ({"epsilon": 1e-300}, "epsilon must be above 1e-70 of the top of its ladder"),
        ({"epsilon": (1e-200, 1e200)}, "epsilon must be above 1e-70 of the top of its ladder"),
        ({"n_starts": 0}, "n_starts must be at least 1, got 0"),
        ({"n_starts": 2**64}, "n_starts must be at most 1000000"),
        ({"n_kicks": -1}, "n_kicks must be"),
        ({"n_kicks": 2, "search": "multistart"}, "n_kicks must be 0 with search 'multistart', got 2"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"seed": 1.5}, "seed must be an integer"),
        ({"categories": [1, 2]}, "categories must have 30 rows"),
        ({"categories": "tool"}, r"categories must have 30 rows, one an object of 'x', got shape \(\)"),
        ({"uncategorised": "drop"}, "uncategorised must be one of"),
        ({"source": np.zeros((3, 3))}, "source must be an RDM, Embedding, DataFrame or DataArray, got ndarray"),
    ],
)
def test_invalid_arguments_are_named(change, message):
    a, b = pair(30)
    with pytest.raises(ValueError, match=message):
        gwrsa.align(**({"source": a, "target": b, "progress": False} | change))


def test_different_numbers_of_objects():
    a, b = pair(30)
    part = b.select(b.items[:20])
    groups, part_groups = np.arange(30) // 10, np.arange(20) // 10
    found = gwrsa.align(a, part, categories=groups, target_categories=part_groups, n_starts=2, progress=False)
    assert "top1" not in found.table
    assert 0 <= found.lowest_loss.category[1] <= 1
    with pytest.raises(ValueError, match="highest_matching needs items with counterparts"):
        found.highest_matching()


def test_constant_dissimilarities_need_an_absolute_epsilon():
    a = gwrsa.RDM(np.zeros(45))
    with pytest.raises(ValueError, match="epsilon has no scale for this pair"):
        gwrsa.align(a, a, progress=False)


def test_a_constant_side_is_aligned_at_an_absolute_epsilon():
    flat, x = gwrsa.RDM(np.zeros(45)), gwrsa.Embedding(points(10, seed=1))
    for search in ("anneal", "multistart"):
        found = gwrsa.align(
            flat, x, search=search, epsilon=0.1, absolute=True, n_starts=2, metric="sqeuclidean", progress=False
        )
        assert found.critical_epsilon == 0
        # Nothing tells the objects apart.
        assert found.lowest_loss.plan == pytest.approx(np.full((10, 10), 1 / 100), abs=1e-6)


def test_dissimilarities_beyond_the_range_are_named():
    c = np.abs(np.subtract.outer(np.arange(10.0), np.arange(10.0)))
    large, small = gwrsa.RDM(c * 1e160), gwrsa.RDM(c * 1e-170)
    for epsilon in ({}, {"epsilon": 0.1, "absolute": True}):
        with pytest.raises(ValueError, match=r"source and target must have .* got a critical epsilon of (inf|nan)"):
            gwrsa.align(large, large, progress=False, **epsilon)
    with pytest.raises(ValueError, match=r"critical epsilon is 0, .* too small for float64"):
        gwrsa.align(small, small, progress=False)


def test_ladder_falls_to_its_end():
    levels = schedule.ladder(1.0, 0.5)
    assert levels == pytest.approx([0.5 / 0.85**k for k in (4, 3, 2, 1, 0)])
    assert schedule.ladder(0.1, 0.5) == schedule.ladder(0.0, 0.5) == [0.5]


def test_saved_results_read_back(found, tmp_path):
    found.save(tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "results.csv")
    assert table["gw_loss"].tolist() == pytest.approx(found.table["gw_loss"].tolist())
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["lowest_loss"]["gw_loss"] == found.lowest_loss.gw_loss
    with np.load(tmp_path / "out" / "plans" / "lowest_loss.npz") as stored:
        assert np.array_equal(stored["plan"], found.lowest_loss.plan)
        assert tuple(stored["source_items"]) == found.source.items
    assert not list((tmp_path / "out").rglob("*.part"))


# The demo


def test_eleven_of_fourteen_colours():
    found = demo.colour_alignment()
    best = found.lowest_loss
    assert found.rsa == pytest.approx(0.874, abs=5e-4)
    assert (best.top[:, 0] == np.arange(14)).sum() == 11


def test_colours_are_those_published(ekman_path):
    published = np.loadtxt(ekman_path, delimiter=",", skiprows=1)
    assert published[:, 0].tolist() == list(_colours.WAVELENGTHS)
    assert np.allclose(1 - _colours.human().square(), published[:, 1:], atol=1e-12)


@pytest.mark.slow
def test_simulation_shows_what_it_says():
    fine, coarse, neither = demo.simulation_alignments(_simulate.study())
    assert fine.lowest_loss.matching[1] > 0.3
    assert coarse.lowest_loss.matching[1] < 0.05
    assert coarse.lowest_loss.category[1] > 0.5
    assert neither.lowest_loss.matching[1] < 0.01
    assert neither.lowest_loss.category[1] < 0.15


# The command line


def call(*args):
    return CliRunner().invoke(cli.app, [str(a) for a in args], catch_exceptions=False)


def test_commands_on_files(tmp_path):
    a, b = pair(30)
    a.save(tmp_path / "a.npz")
    np.save(tmp_path / "b.npy", b.values)
    (tmp_path / "names.txt").write_text("\n".join(b.items) + "\n")
    made = call("rdm", tmp_path / "a.npz", "--metric", "euclidean", "--out", tmp_path / "a_rdm.npz")
    assert made.exit_code == 0
    assert np.array_equal(gwrsa.RDM.load(tmp_path / "a_rdm.npz").dissimilarities, a.rdm("euclidean").dissimilarities)
    compared = call("rsa", tmp_path / "a.npz", tmp_path / "b.npy", "--items", tmp_path / "names.txt")
    assert f"{gwrsa.rsa(a.rdm(), b.rdm()):.6f}" in compared.output
    rows = [f"{name},{'even' if i % 2 == 0 else 'odd'}" for i, name in enumerate(b.items)]
    (tmp_path / "groups.csv").write_text("item,group\n" + "\n".join(rows) + "\n")
    aligned = call(
        *(
            "align",
            tmp_path / "a_rdm.npz",
            tmp_path / "b.npy",
            "--items",
            tmp_path / "names.txt",
            "--metric",
            "euclidean",
        ),
        *("--match-histogram", "--categories", tmp_path / "groups.csv", "--starts", 2, "--no-progress"),
        *("--out", tmp_path / "out"),
    )
    assert aligned.exit_code == 0
    assert "lowest loss" in aligned.output
    assert "chance" in aligned.output
    assert len(pd.read_csv(tmp_path / "out" / "results.csv")) == 2


def test_errors_are_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["gwrsa", "rsa", str(tmp_path / "none.npy"), str(tmp_path / "none.npy")])
    with pytest.raises(SystemExit, match="2"):
        cli.main()
    said = capsys.readouterr().err
    assert said.startswith("gwrsa: ")
    assert "none.npy" in said
    assert "Traceback" not in said


def test_help_shows_an_example_each():
    for command in ("rdm", "rsa", "align", "demo"):
        assert f"Example: gwrsa {command}" in call(command, "--help").output


@pytest.mark.slow
def test_demo_draws_and_says_that_it_simulates(tmp_path):
    said = call("demo", "--out", tmp_path, "--no-progress").output
    assert "11 of 14 colours" in said
    assert "SIMULATION" in said
    assert "source .venv/bin/activate" in said
    assert (tmp_path / "colours.png").stat().st_size > 10_000
    assert (tmp_path / "simulation.png").stat().st_size > 10_000


def test_starts_that_meet_are_merged_and_say_so():
    x = gwrsa.Embedding(points(80, seed=3), name="x")
    found = gwrsa.align(x, x, metric="euclidean", progress=False)
    merged = [s for s in found.starts if s.merged_into is not None]
    assert merged
    for start in merged:
        into = found.starts[start.merged_into]
        assert into.merged_into is None
        assert into.number < start.number
        assert start.gw_loss == into.gw_loss
        assert len(start.solution.path) < len(into.solution.path)
    ends = found.paths.groupby("start")["epsilon"].min()
    assert all(ends[s.number] == pytest.approx(s.epsilon) for s in found.starts if s.merged_into is None)
    ties = found.near_ties()
    assert ties[0] is found.lowest_loss
    assert all(s.merged_into is None and s.gw_loss <= 1.01 * ties[0].gw_loss for s in ties)


@pytest.mark.parametrize(
    "how", [{"search": "multistart", "epsilon": 0.3, "n_starts": 10}, {"epsilon": 0.6}], ids=["multistart", "anneal"]
)
def test_near_ties_are_plans_of_their_own(how):
    a, b = pair(40, noise=0.3)
    found = gwrsa.align(a, b, metric="euclidean", progress=False, **how)
    ties = found.near_ties()
    close = [s for s in found.starts if s.solution.converged and s.gw_loss <= 1.01 * ties[0].gw_loss]
    unmerged = [s for s in close if s.merged_into is None]
    assert len(unmerged) > len(ties)

    def apart(s, t):
        return np.abs(s.plan - t.plan).sum() / 2

    assert all(apart(s, t) >= 0.01 for s, t in itertools.combinations(ties, 2))
    assert all(min(apart(s, t) for t in ties) < 0.01 for s in unmerged)


def solved_alone(x, y, metric="euclidean"):
    """A function from the number of a start of `align` to where it ends without the others."""
    problem = build_problem(x, y, metric=metric)
    planned = schedule.plan("anneal", None, None, 0, critical=problem.critical_epsilon(), absolute=False)
    return lambda number: problem.solve(
        [(planned[number].init, planned[number].epsilons)],
        precision="mixed",
        tol=1e-5,
        max_outer=1000,
        max_sinkhorn=1000,
        level_tol=schedule.LEVEL_TOL,
        level_max_outer=schedule.LEVEL_MAX_OUTER,
        threads=1,
    )[0]


def test_a_start_ends_where_it_would_have_ended_alone():
    x, y = (gwrsa.Embedding(points(70, seed=s)) for s in (3, 4))
    alone = solved_alone(x, y)
    for start in gwrsa.align(x, y, metric="euclidean", progress=False).starts:
        end = alone(start.number)
        assert end.merged_into is None
        assert start.gw_loss == pytest.approx(end.gw_loss, rel=1e-3 if start.stopped_by is None else 1e-2)


def test_a_merged_start_would_have_ended_there():
    x = gwrsa.Embedding(points(80, seed=3))
    found, alone = gwrsa.align(x, x, metric="euclidean", progress=False), solved_alone(x, x)
    merged = [start for start in found.starts if start.merged_into is not None]
    assert merged
    for start in merged:
        assert start.gw_loss == pytest.approx(alone(start.number).gw_loss, rel=2e-3)


def test_ladders_with_one_end_share_their_values():
    high, low = schedule.ladder(1.0, 0.1), schedule.ladder(0.4, 0.1)
    assert high[-len(low) :] == low
    assert high[-1] == 0.1
    assert 0.85 <= high[0] <= 1.0
    assert schedule.ladder(0.1, 0.1) == schedule.ladder(0.05, 0.1) == [0.1]
    assert schedule.ladder(0.1 / 0.85**3, 0.1)[0] == pytest.approx(0.1 / 0.85**3)


def test_what_is_out_of_reach_is_stopped_and_says_so():
    x = gwrsa.Embedding(points(80, seed=3), name="x")
    found = gwrsa.align(x, x, metric="euclidean", progress=False)
    stopped = [s for s in found.starts if s.stopped_by is not None]
    assert stopped
    assert found.table["stopped_by"].notna().tolist() == (found.table["status"] == "stopped").tolist()
    for start in stopped:
        assert start.status == "stopped"
        assert not start.solution.converged
        assert start.gw_loss > 1.02 * found.starts[start.stopped_by].gw_loss
        assert start not in found.near_ties()
    assert found.lowest_loss.stopped_by is None
    assert {s.status for s in found.starts if s.stopped_by is None} == {"converged"}


def test_no_start_is_made_twice_where_ladders_end_above_their_tops():
    def starts(end, n=8):
        return schedule.plan("anneal", end, n, 0, critical=1.0, absolute=False)

    for end in (0.01, 0.1, 0.3, 0.45, 2.0):
        made = [(s.name, s.number, tuple(s.epsilons)) for s in starts(end)]
        assert len(set(made)) == len(made) == 8
        assert all(s.epsilons[-1] == end for s in starts(end))
        assert starts(end, 20)[:8] == starts(end)
    assert [s.label for s in starts(0.05)] == [
        *("spectral+++", "profile", "spectral-++", "profile", "cocluster", "spectral+++", "spectral-++", "random"),
    ]


def test_losses_that_differ_by_rounding_stop_no_start():
    x = gwrsa.RDM(np.abs(np.subtract.outer(np.repeat([0.0, 1.0], 10), np.repeat([0.0, 1.0], 10))))
    found = gwrsa.align(x, x, progress=False)
    assert found.lowest_loss.gw_loss == found.table["gw_loss"].min()


@pytest.mark.parametrize("n", [49, 700])
def test_workers_do_not_change_a_bit_where_products_are_cut(n):
    rng = np.random.default_rng(0)
    a, b = gwrsa.Embedding(rng.random((n, 20))), gwrsa.Embedding(rng.random((n, 200)))
    one, *others = (
        gwrsa.align(a, b, search="multistart", n_starts=1, workers=w, progress=False).table.drop(columns="seconds")
        for w in (1, 2, 3)
    )
    assert all(one.equals(other) for other in others)
