"""The pages of the examples say what `benches/example_pages.py` read from their finished studies."""

import json
from pathlib import Path

import pytest

import gwrsa
import study_files

ROOT = Path(__file__).resolve().parents[1]
THINGS, DIGITS = ROOT / "docs" / "study.md", ROOT / "examples" / "digits" / "README.md"


@pytest.fixture(scope="module")
def found():
    folder = ROOT / "benches" / "results"
    return {name: json.loads((folder / f"example_{name}.json").read_text())["result"] for name in ("things", "digits")}


def rows(page, head):
    """Cells of the first table after a text, without its head."""
    text = page.read_text(encoding="utf-8")
    lines = [line for line in text[text.index(head) :].split("\n\n")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]


def test_the_table_of_things(found):
    of = found["things"]

    def cells(rsa, rates):
        matching = (f"{100 * x:.2f}" if x < 0.1 else f"{100 * x:.1f}" for x in rates["matching"])
        category = (f"{100 * x:.1f}" for x in rates["category"])
        return [rsa, ", ".join(matching), ", ".join(category)]

    made = [
        [
            "noise, mean of 10 draws" if name == "noise" else name,
            *cells(f"{rsa:.3f}".lstrip("0"), of["lowest_loss"][name]),
        ]
        for name, rsa in of["rsa"].items()
    ]
    assert rows(THINGS, "| | RSA | matching | category |") == [*made, ["chance", *cells("", of["chance"])]]


def test_what_the_page_says_of_things(found):
    of, text = found["things"], THINGS.read_text(encoding="utf-8")
    starts, lowest = of["starts"], {name: s["lowest_loss"] for name, s in of["starts"].items()}
    p = {name: f"{x:.3f}".lstrip("0") for name, x in of["p_adjusted"].items()}
    assert len({p[name] for name in p if name != "noise"}) == 1
    assert f"p after Holm {p['male']}, of noise {p['noise'][:3]}" in text
    ceilings = {tuple(f"{x:.2f}".lstrip("0") for x in c) for c in of["noise_ceilings"].values()}
    assert len(of["noise_ceilings"]) == 2
    ((low, high),) = ceilings
    assert f"Noise ceilings {low} to {high} for both splits" in text
    one_start = of["pairs_whose_choices_are_one_start"]
    assert all(n == 1 for name, n in one_start.items() if name != "noise")
    assert f"the same start, but in {10 - one_start['noise']} of the 10 draws of noise" in text
    assert (
        f"rho of RSA with the\nmatching rate is {of['rank_correlation_of_rsa_and_matching']:.2f}".replace("0.", ".")
        in text
    )
    assert f"MiniLM ends at {lowest['MiniLM definitions']:.4f}, above CLIP's {lowest['CLIP ViT-B/32']:.4f}" in text
    assert [starts["CLIP ViT-B/32"][k] for k in ("optima", "converged")] == [2, 6]
    assert (
        "CLIP's end in two optima (6 starts; 0.92 and 0.49 % of objects), MiniLM's and the groups' in one (6 and 5)"
        in text
    )
    others = [starts[name] for name in starts if name not in {"CLIP ViT-B/32", "noise"}]
    assert [s["optima"] for s in others] == [1] * 5
    assert [s["converged"] for s in others] == [6, 5, 5, 5, 5]
    above = [x for s in starts.values() for x in s["others_above"]]
    assert f"at losses {100 * min(above):.0f} to {100 * max(above):.0f} % above" in text
    by = sorted(lowest, key=lowest.get)
    least, most = (f"{lowest[name]:.4f}".lstrip("0") for name in (by[0], by[-1]))
    assert f"losses {least} ({by[0]}) to {most} ({by[-1]})" in text
    mean, without = of["by_category"]["mean"], of["by_category"]["categories_without"]
    assert (max(mean, key=mean.get), min(mean, key=mean.get)) == ("toy", "musical instrument")
    highest, least = (100 * mean[name] for name in ("toy", "musical instrument"))
    assert f"toys highest ({highest:.1f} % of 34), musical instruments lowest ({least:.1f} % of 33)" in text
    assert f"CLIP matches none in {without['CLIP ViT-B/32']} of the {len(mean)}" in text
    few, half, many = starts["noise"]["outer_steps"]
    assert f"({few:.0f} to {many:.0f}, half of them more\nthan {half:.0f};" in text


def test_the_table_of_digits(found):
    of = found["digits"]

    def cells(rates):
        return [" / ".join(f"{100 * x:.2f}" for x in rates[measure]) for measure in ("matching", "category")]

    named = {"CLIP ViT-S/32, untrained": "ViT-S/32, untrained"}
    made = [[named.get(name, name), f"{rsa:.3f}", *cells(of["lowest_loss"][name])] for name, rsa in of["rsa"].items()]
    assert rows(DIGITS, "| network | RSA |") == [*made, ["chance", "", *cells(of["chance"])]]
    text = DIGITS.read_text(encoding="utf-8")
    assert f"(the other choice: category {cells(of['highest_matching']['EfficientNet-Lite0'])[1]})" in text
    assert set(of["p_adjusted"].values()) == {0.003}
    assert "(p = 0.003 after Holm)" in text
    assert [n for name, n in of["pairs_whose_choices_are_one_start"].items() if name != "EfficientNet-Lite0"] == [1, 1]


def test_a_finished_study_is_told(made, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benches"))
    import example_pages

    results = gwrsa.Results.open(made[1].folder)
    of = json.loads(json.dumps(example_pages.told(results)))
    assert of["objects"] == study_files.N
    assert set(of["rsa"]) == set(of["lowest_loss"]) == set(of["starts"]) == set(results.chosen["target"])
    near = results.chosen[(results.chosen["target"] == "near") & (results.chosen["choice"] == "lowest_loss")]
    assert of["lowest_loss"]["near"]["matching"][0] == pytest.approx(near["top1"].iloc[0], abs=1e-5)
    assert of["starts"]["near"]["lowest_loss"] == pytest.approx(near["gw_loss"].iloc[0], abs=1e-6)
