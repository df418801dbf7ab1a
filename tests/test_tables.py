import numpy as np
import pandas as pd
import pytest

import gwrsa
from gwrsa import tables


def results():
    return pd.DataFrame(
        {
            "source": "human",
            "target": ["a", "a", "a", "a", "b", "b", "c"],
            "gw_loss": [3.0, 2.0, 1.0, np.inf, 5.0, 4.0, np.inf],
            "status": [
                "converged",
                "converged",
                "max_outer",
                "numerical_error",
                "max_outer",
                "max_outer",
                "numerical_error",
            ],
            "failed": [False, False, False, True, False, False, True],
            "top1": [0.5, 0.2, 0.9, 0.0, 0.3, 0.3, 0.0],
        }
    )


def test_chosen_takes_converged_starts_and_falls_back():
    got = tables.chosen(results())
    assert list(zip(got["target"], got["choice"], got["gw_loss"], strict=True)) == [
        ("a", "lowest_loss", 2.0),
        ("a", "highest_matching", 3.0),
        ("b", "lowest_loss", 4.0),
        ("b", "highest_matching", 4.0),  # equal rates: the lower loss
    ]


def test_chosen_agrees_with_the_alignment():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((30, 3))
    x = gwrsa.Embedding(values, name="x")
    y = gwrsa.Embedding(values + 0.3 * rng.standard_normal((30, 3)), name="y")
    found = gwrsa.align(x, y, n_starts=4, progress=False)
    got = tables.chosen(found.table.assign(source="x", target="y"))
    assert got["start"].tolist() == [found.lowest_loss.number, found.highest_matching().number]


def test_chosen_keeps_replicates_apart_and_an_empty_table_empty():
    twice = pd.concat([results().assign(replicate=r) for r in (0, 1)])
    assert len(tables.chosen(twice)) == 8
    assert tables.chosen(results().head(0)).empty
    assert "choice" in tables.chosen(results().tail(1))


def test_summarise_takes_the_band_over_replicates_only_where_there_are_several():
    table = pd.DataFrame(
        {
            "target": ["trained", *["random"] * 3],
            "replicate": [0, 0, 1, 2],
            "value": [0.5, 0.1, 0.2, 0.6],
            "low": [0.4, 0.0, 0.0, 0.0],
            "high": [0.6, 1.0, 1.0, 1.0],
        }
    )
    got = tables.summarise(table).set_index("target")
    assert got.loc["trained", ["low", "value", "high", "n_replicates"]].tolist() == [0.4, 0.5, 0.6, 1]
    assert got.loc["random", ["low", "value", "high"]].tolist() == pytest.approx([0.11, 0.3, 0.56])
    assert got.loc["random", "n_replicates"] == 3


def test_summarise_keeps_one_measure_from_another():
    table = pd.DataFrame({"target": "a", "k": [1, 5], "value": [0.1, 0.2], "low": np.nan, "high": np.nan})
    assert tables.summarise(table)["value"].tolist() == [0.1, 0.2]


def test_chance_table_is_chance_level():
    members = np.eye(3)[np.arange(30) % 3]
    got = tables.chance_table(30, members, ks=(1, 4))
    assert got["measure"].tolist() == ["matching", "matching", "category", "category"]
    assert got["value"].tolist() == pytest.approx(
        [1 / 30, 4 / 30, *(gwrsa.chance_level(30, k, members).exact for k in (1, 4))]
    )
    assert (got["low"] <= got["value"]).all()
    assert (got["value"] <= got["high"]).all()
    assert set(tables.chance_table(30)["measure"]) == {"matching"}


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="got a table without status, failed"):
        tables.chosen(results().drop(columns=["status", "failed"]))
