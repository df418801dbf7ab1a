"""What the page says in words holds for whatever the numbers are: ties, falls, overlapping intervals, objects that do not count."""

from dataclasses import replace

import pandas as pd
import pytest

import study_files
from gwrsa.figures.study import drawings
from gwrsa.report.readings import readings
from gwrsa.report.words import findings, methods


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return study_files.run(study_files.write(folder / "in"), folder / "out", all_pairs=True)


def with_rates(results, choice, measure, value):
    """The study, its rates of a choice and a measure set: a number for all models, or a function of the model's name."""
    rates = results.rates.copy()
    rows = (rates["choice"] == choice) & (rates["measure"] == measure)
    for i in rates.index[rows]:
        rates.loc[i, ["low", "value", "high"]] = value(rates.loc[i, "target"]) if callable(value) else value
    return replace(results, rates=rates)


def test_a_rate_that_falls_with_the_other_solution_is_said_to_fall(results):
    flat = with_rates(results, "lowest_loss", "category", 0.5)
    fallen = with_rates(flat, "highest_matching", "category", lambda name: 0.25 if name == "far" else 0.5)
    text = readings(fallen)["figure_5b_category_highest_matching"]
    assert "the rate changes by -25 points (far); 3 of 4 do not change." in text
    both = with_rates(flat, "highest_matching", "category", lambda name: {"far": 0.25, "near": 0.75}.get(name, 0.5))
    text = readings(both)["figure_5b_category_highest_matching"]
    assert "the rate changes between -25 points (far) and +25 points (near); 2 of 4 do not change." in text
    two = with_rates(flat, "highest_matching", "category", lambda name: {"far": 0.25, "near": 0.4}.get(name, 0.5))
    assert "changes by -25 points (far) at most; 2 of 4" in readings(two)["figure_5b_category_highest_matching"]
    alike = with_rates(flat, "highest_matching", "category", 0.75)
    text = readings(alike)["figure_5b_category_highest_matching"]
    assert "between" not in text
    assert text.count("+25 points") == 1
    same = with_rates(flat, "highest_matching", "category", 0.5)
    assert readings(same)["figure_5b_category_highest_matching"].startswith("No rate differs")


def test_categories_that_share_a_place_are_all_named(results):
    table = results.categories.copy()
    table["rate"] = 0.0
    assert "figure_s3_category_rates" not in readings(replace(results, categories=table))
    table.loc[table["category"] == "food", "rate"] = 0.5
    text = readings(replace(results, categories=table))["figure_s3_category_rates"]
    assert "highest rate is that of food (50.0 % of the objects), the lowest that of tool, animal (0.0 %)" in text


def test_a_model_of_many_replicates_counts_once(results):
    table = results.categories.assign(rate=0.0)
    assert set(table.loc[table["target"] == "noise", "replicate"]) == {0, 1, 2}
    table.loc[(table["target"] == "noise") & (table["category"] == "food"), "rate"] = 0.8
    table.loc[table["target"].isin(["near", "far"]) & (table["category"] == "tool"), "rate"] = 0.6
    text = readings(replace(results, categories=table))["figure_s3_category_rates"]
    assert "highest rate is that of tool (30.0 % of the objects), the lowest that of animal (0.0 %)" in text


def test_a_start_chosen_by_its_objective_is_said_to_be(results):
    table = results.results.copy()
    mine = table.index[(table["target"] == "near")]
    assert len(mine) > 1
    table.loc[mine, "status"] = "converged"
    table.loc[mine, "gw_loss"] = [1.0 + i for i in range(len(mine))]

    def caption(epsilon, objective):
        table.loc[mine, "epsilon"], table.loc[mine, "objective"] = epsilon, objective
        found = drawings(replace(results, results=table))
        return next(d.caption for d in found if d.name == "figure_4c_local_optima_near")

    rising, falling = list(range(len(mine))), list(range(len(mine), 0, -1))
    assert "entropic objective" in caption(0.1, falling)
    assert "entropic objective" not in caption(0.1, rising)
    assert "entropic objective" not in caption([0.1 + i for i in rising], falling)


def test_models_as_near_as_each_other_are_named_together(results):
    pairs = results.pairs.copy()
    farther = pairs[(pairs["source"] == "people") & (pairs["target"] == "far")].assign(target="farther")
    pairs = pd.concat([pairs, farther], ignore_index=True).assign(gw_loss=0.25)
    text = readings(replace(results, pairs=pairs))["figure_s5_map_of_models_gw_loss"]
    assert text == "Nearest to people by this number is near and 3 others."


def test_models_whose_intervals_overlap_are_not_told_apart(results):
    rsa = results.rsa.assign(value=0.3)
    like = replace(results, rsa=rsa)

    def interval(name):
        return (0.1, 0.2, 0.3) if name == "near" else (0.05, 0.1, 0.15)

    assert "Alike for RSA" not in " ".join(findings(with_rates(like, "lowest_loss", "matching", interval)))

    def apart(name):
        return (0.2, 0.3, 0.4) if name == "near" else (0.05, 0.1, 0.15)

    assert "near (0.30) and" in " ".join(findings(with_rates(like, "lowest_loss", "matching", apart)))


def test_a_lower_loss_with_more_matches_is_a_negative_correlation(results):
    order = ["near", "shuffled", "far", "noise"]
    table = results.chosen.copy()
    table["gw_loss"] = table["target"].map(order.index) / 10 + 0.1
    made = with_rates(
        replace(results, chosen=table), "lowest_loss", "matching", lambda name: 0.8 - order.index(name) / 5
    )
    assert (
        "Spearman's rho between loss and matching rate, over models, is -1.00."
        in readings(made)["figure_s1_loss_against_epsilon"]
    )


def test_category_rates_say_of_which_objects_they_are(results):
    assert results.members.n_uncategorised == 4
    assert "of those that have a category are found in their category" in " ".join(findings(results))
    assert "of those that have a category have one of their category" in readings(results)["figure_1_workflow"]
    counted = {
        **results.provenance,
        "settings": {**results.settings, "categories": {**results.settings["categories"], "others": "miss"}},
    }
    assert "of objects are found in their category" in " ".join(findings(replace(results, provenance=counted)))


def test_chance_is_said_to_be_of_objects_drawn_at_random(results):
    text = " ".join(methods(results))
    assert "50 simulated assignments that draw the targets of every object at random" in text
    assert "scatter more widely" in text
