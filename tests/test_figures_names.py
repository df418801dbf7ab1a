"""A name is text in every figure, whatever matplotlib would read in it."""

import html
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import study_files
from gwrsa import figures
from gwrsa.figures.labels import _text_width
from gwrsa.figures.study import drawings
from gwrsa.figures.style import plain
from problems import distances
from study_files import TOML, N

pytestmark = pytest.mark.usefixtures("no_figure_left")

NAMES = ["US$ 5 % of $", "cost $_$", "10$ {a} 5$", r"a\$b$\frac$", "$HOME_$x"]
SQUARE, PLAN = distances(10), np.eye(10) / 10 + 1e-3
GROUPS = NAMES * 2
ALONE = {
    "rates": lambda ax: figures.rates({name: dict.fromkeys(NAMES, 0.1) for name in NAMES}, {}, ax=ax),
    "plan_in_colours": lambda ax: figures.plan_in_colours(PLAN[:5, :5], np.eye(5)[:, :3], NAMES, ax=ax),
    "plan_by_category": lambda ax: figures.plan_by_category(PLAN, GROUPS, ax=ax),
    "rdm": lambda ax: figures.rdm(SQUARE, GROUPS, ax=ax),
    "map_of_spaces": lambda ax: figures.map_of_spaces(SQUARE, SQUARE, PLAN, GROUPS, ax=ax),
    "map_of_models": lambda ax: figures.map_of_models(SQUARE[:5, :5], NAMES, NAMES, ax=ax),
    "matrix_of_models": lambda ax: figures.matrix_of_models(SQUARE[:5, :5], NAMES, NAMES, ax=ax),
    "rsa_bars": lambda ax: figures.rsa_bars(
        pd.DataFrame({"target": NAMES, "family": NAMES, "value": 0.2, "low": 0.1, "high": 0.3}), human=NAMES[0], ax=ax
    ),
}


def texts(axes, path):
    """Every text of a figure, as a reader sees it."""
    (file,) = figures.save(axes, path, ["svg"], close=True)
    found = re.findall(r"<text\b[^>]*>(.*?)</text>", file.read_text(encoding="utf-8"), re.DOTALL)
    return [html.unescape(re.sub(r"<[^>]*>", "", text)) for text in found]


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("given", [False, True])
def test_names_with_dollars_are_drawn_as_they_are(name, given, tmp_path):
    axes = ALONE[name](Figure(layout="constrained").subplots() if given else None)
    seen = texts(axes, tmp_path / name)
    assert not [wanted for wanted in NAMES if wanted not in seen]


def test_a_name_takes_the_width_of_its_characters():
    assert _text_width(plain("$xx$"), 6.0) > _text_width(plain("$x"), 6.0) > _text_width("x", 6.0)


def test_a_study_of_names_with_dollars_has_all_its_figures(tmp_path):
    names = dict(zip(("near", "shuffled", "far", "noise", "people"), NAMES, strict=True))
    toml = TOML
    for old, new in names.items():
        toml = toml.replace(f'name = "{old}"', f"name = '{new}'")
    path = study_files.write(tmp_path / "in", toml.replace('"language"', "'$lang$'"))
    (tmp_path / "in" / "shuffled.npz").unlink()
    np.save(tmp_path / "in" / "shuffled.npy", np.load(tmp_path / "in" / "near.npy"))
    path.write_text(path.read_text().replace("shuffled.npz", "shuffled.npy"))
    for file in ("items.txt", "categories.csv"):
        text = (tmp_path / "in" / file).read_text()
        text = text.replace("animal", NAMES[0]).replace("tool", NAMES[1])
        (tmp_path / "in" / file).write_text(re.sub(r"object (\d+)", r"$_\1$", text))
    results = study_files.run(path, tmp_path / "out", all_pairs=True)
    assert list(results.objects["item"]) == [f"$_{i}$" for i in range(N)]
    seen = {d.name: "\n".join(texts(d.make(), tmp_path / d.name)) for d in drawings(results)}
    for figure in ("figure_2_rsa", "figure_4a_matching_lowest_loss", "figure_6a_fine_vs_coarse_lowest_loss"):
        assert not [name for name in list(names.values())[:4] if name not in seen[figure]], figure
    assert names["people"] in seen["figure_2_rsa"]
    assert "$lang$" in seen["figure_2_rsa"]
    assert {NAMES[0], NAMES[1]} <= {c for c in NAMES if c in seen["figure_3_rdm_human"]}
    assert f"{NAMES[0]} (" in seen["figure_s3_category_rates"]
    top = next(name for name in seen if name.startswith("figure_3_top_"))
    assert "$ 0$" in seen[top]  # where underscores are spaces
    assert f"columns: {names['near']}" in seen[f"figure_3_plan_{top.removeprefix('figure_3_top_')}"]
