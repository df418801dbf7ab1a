"""README and docs say what is true: their code runs, their numbers are those that were measured, their links lead somewhere."""

import inspect
import json
import math
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import gwrsa
from gwrsa.study_plan import batches
from gwrsa.study_settings import Settings

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benches" / "results"


@pytest.fixture(scope="module")
def tools():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "docs" / "_tools"))
        yield {name: import_module(name) for name in ("blocks", "check_site", "examples", "notebook")}


# Code


@pytest.mark.parametrize("page", ["start", "faq", "human", "from-pot", "from-gwtune", "from-rsatoolbox"])
def test_code_of_a_page_runs(tools, page):
    n, left_out = tools["blocks"].run_page(ROOT / "docs" / f"{page}.md")
    assert n > 0
    assert all("git clone" in what or "pip install" in what for what in left_out)


def test_python_of_the_readme_runs(tools, tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    blocks = tools["blocks"]
    blocks.prepare(tmp_path)
    python = [b for b in blocks.find(ROOT / "README.md") if b.language == "python"]
    assert python
    runner = blocks.Runner(tmp_path)
    lines = "".join(runner.python(b) for b in python).splitlines()
    # The starts, every column of what is printed at the usual width.
    (head,) = (i for i, line in enumerate(lines) if line.split() == ["init", "gw_loss", "status", "top1", "category"])
    assert [line.split()[0] for line in lines[head + 1 :]] == [str(i) for i in range(8)]
    assert not runner.left_out


def test_a_block_that_fails_is_named(tools, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("Text.\n\n```python\nx = 1\n```\n\n```python\nprint(x)\nimport gwrsa\ngwrsa.nonsense\n```\n")
    with pytest.raises(AssertionError, match=r"page\.md:8: AttributeError: .*nonsense"):
        tools["blocks"].run_page(page)


def test_a_command_that_fails_is_named(tools, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("Text.\n\n    gwrsa rsa human.npz not-there.npz\n")
    with pytest.raises(AssertionError, match=r"page\.md:3.*not-there"):
        tools["blocks"].run_page(page)


def test_every_block_is_found(tools):
    text = "a\n\n    gwrsa demo\n    make\n\nb\n\n```python figure=x\n1\n\n    2\n```\n- c\n\n  ```sh needs=torch\n  gwrsa rsa\n  ```\n"
    found = tools["blocks"].find(Path("p.md"), text)
    assert [(b.language, b.line, b.code, b.options) for b in found] == [
        ("", 3, "gwrsa demo\nmake", {}),
        ("python", 9, "1\n\n    2", {"figure": "x"}),
        ("sh", 16, "gwrsa rsa", {"needs": "torch"}),
    ]


# Links


def test_dead_links_are_found(tools, tmp_path):
    (tmp_path / "a.html").write_text(
        '<h1 id="top">A</h1><a href="b.html#there">1</a><a href="b.html#gone">2</a><a href="c.html">3</a>'
        '<img src="p.png"><script src="https://example.org/x.js"></script><a href="https://example.org">4</a>'
        '<link rel="canonical" href="https://example.org/a">'
    )
    (tmp_path / "b.html").write_text('<p id="there"></p><a href="a.html#top">5</a><a href="#there">6</a>')
    assert tools["check_site"].dead(tools["check_site"].read(tmp_path)) == [
        "a.html: fetches https://example.org/x.js",
        "a.html: b.html#gone has no such anchor",
        "a.html: c.html is not there",
        "a.html: p.png is not there",
    ]


def test_text_in_angle_brackets_is_not_lost(tools, tmp_path):
    (tmp_path / "a.html").write_text(
        "<p>the cost <C, T> of a plan <T></p><p>(1 - alpha) &lt;M, T&gt;</p><svg><path></path></svg>"
    )
    assert tools["check_site"].dead(tools["check_site"].read(tmp_path)) == [
        "a.html: <c,> is no tag",
        "a.html: <t> is no tag",
    ]


def test_links_of_the_page_for_what_is_not_there_begin_at_the_root(tools, tmp_path):
    (tmp_path / "404.html").write_text('<a href="/api/index.html">1</a><a href="/gone.html">2</a>')
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "index.html").write_text("<p>here</p>")
    assert tools["check_site"].dead(tools["check_site"].read(tmp_path), tmp_path) == [
        "404.html: /gone.html is not there"
    ]


def test_links_of_the_pages_lead_to_files():
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"


# Numbers


def result(name):
    return json.loads((RESULTS / f"{name}.json").read_text())["result"]


def test_speeds_of_the_readme_are_those_measured():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text[text.index("| solver | seconds a start |") :]
    rows = dict(line.strip("| ").split(" | ", 1) for line in table.split("\n\n")[0].splitlines()[2:])
    pot, solves = result("r1_pot_5e-3")["pot"], result("r1_solves_5e-3")
    torch, ott = result("r1_torch")["torch"], result("r1_ott")["ott"]

    def ours(key, at_once):
        s = solves[key]
        times = pot["seconds"] / (s["seconds_a_start"] + solves["building"] / at_once)
        return f"{s['seconds_a_start']:.2f}", f"{times:.0f} x", f"{s['losses'][0]:.6f}"

    def numbers(cells):
        return tuple(x.strip() for x in re.split(r"\(|, with building the problem\)|\)|\|", cells) if x.strip())

    assert {name: numbers(cells) for name, cells in rows.items()} == {
        "POT 0.9.7, float64": (f"{pot['seconds']:.1f}", f"{pot['loss']:.6f}"),
        "plain torch, float32": (f"{torch['seconds']:.1f}", f"{torch['loss']:.6f}"),
        "OTT-JAX 0.6, float32, at its default stop": (f"{ott['seconds']:.2f}", f"{ott['loss']:.6f}"),
        "gwrsa, one start": ours("one", 1),
        "gwrsa, eight starts at once": ours("eight", 8),
        "gwrsa, one start, `float64`": ours("float64", 1),
    }


def test_times_beside_pot_are_those_measured(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benches"))
    table = import_module("pot_calls").table(result("pot_calls"))
    assert table in (ROOT / "docs" / "from-pot.md").read_text(encoding="utf-8")
    tests = import_module("pot_tests")
    assert tests.table(tests.load()) in tests.PAGE.read_text(encoding="utf-8")


def test_times_on_a_cluster_are_those_that_were_measured(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benches"))
    text = " ".join((ROOT / "docs" / "cluster.md").read_text(encoding="utf-8").split())
    for piece in import_module("cluster_words").told():
        assert " ".join(piece.split()) in text


def test_times_of_the_reference_study_follow_from_what_was_measured():
    text = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8").split("**The reference study**")[1]
    measured = json.loads((RESULTS / "multistart.json").read_text())
    cores, seconds, starts = measured["machine"]["cores"], *(measured["result"][key] for key in ("seconds", "starts"))
    each = round(cores * seconds / starts, 3)
    assert f"{starts} such starts of human against CLIP take {seconds:.1f} s on {cores} cores" in text
    model = {"name": "a", "family": "clip", "embedding": "a.npy"}
    study = {"human": {"embedding": "human.npy"}, "models": [model]}
    cut = batches(Settings.of(study | {"alignment": {"search": "multistart", "n_starts": 500}}))
    units, batch = 30 * len(cut), cut[0][1]
    assert cut == [(first, batch) for first in range(0, 500, batch)]
    assert f"= ceil(units / workers) x {batch} starts x {each} core seconds / threads of a worker" in text
    assert f"units = 30 models x {len(cut)}\n" in text
    times = []
    for cores, workers, threads in ((2, 1, 2), (64, 60, 1), (1024, 300, 3)):
        assert workers * threads <= cores
        times.append(math.ceil(units / workers) * batch * each / threads)
    hours, minutes, short = times
    assert f"30 x 500 x {each} / 2 = {round(hours, -2):,.0f} s, {hours / 3600:.1f} hours |" in text
    assert (
        f"60 workers of one thread, 5 units each | 5 x {batch} x {each} = {minutes:.0f} s, {minutes / 60:.1f} minutes |"
        in text
    )
    assert f"300 workers of 3 threads (900 cores) | {batch} x {each} / 3 = {short:.0f} s, " in text


def test_tests_of_pot_that_fail_or_are_skipped_are_named():
    text = (ROOT / "docs" / "from-pot.md").read_text(encoding="utf-8").split("## POT's own tests")[1].split("\n## ")[0]
    sides = [files["twins"] for files in result("pot_tests")["files"].values()]
    failed, skipped = ([name for side in sides for name in side[end]] for end in ("failed", "skipped"))
    assert not failed
    assert "None fails." in text
    geomloss = [name for name in skipped if name.startswith("test_geomloss_solver[")]
    assert all("_tf[" in name for name in skipped if name not in geomloss)
    assert f"Of the {len(skipped)} that are skipped {len(geomloss)} need geomloss" in text


def test_page_of_the_benches_is_that_of_their_results(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benches"))
    report, targets = import_module("report"), import_module("targets")
    results = report.load()
    made = report.page(targets.rows(results), results, ROOT / "docs" / "figures")
    assert (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8") == made


# Docstrings


def test_examples_of_the_docstrings_run(tools):
    n, failed, left_out = tools["examples"].run()
    assert n > 30
    assert not failed, "\n".join(failed)
    assert all("torchvision" in what for what in left_out)


def test_every_public_name_has_an_example(tools):
    assert not tools["examples"].bare()


def test_every_figure_is_in_the_gallery():
    gallery = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    reference = (ROOT / "docs" / "api" / "figures.md").read_text(encoding="utf-8")
    drawn = {name for name in gwrsa.figures.__all__ if inspect.isfunction(getattr(gwrsa.figures, name))}
    # Those of the demo, and helpers that draw nothing.
    elsewhere = {"plan_by_category", "plan_in_colours", "rates", "family_colour", "one_category", "save", "style"}
    assert {name for name in drawn - elsewhere if f"figures.{name}(" not in gallery} == set()
    # One that is called as its module is named together with it; the module's name alone would show the module.
    modules = {path.stem for path in Path(gwrsa.figures.__file__).parent.glob("*.py")}
    named = {name: f"{name}.{name}" if name in modules else name for name in drawn}
    assert {name for name in drawn if f"::: gwrsa.figures.{named[name]}\n" not in reference} == set()


def test_every_public_name_is_in_the_reference():
    pages = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "docs" / "api").glob("*.md")) + "\n"
    left_out = [
        n for n in gwrsa.__all__ if n != "__version__" and not re.search(rf"^::: gwrsa\.{n}\b", pages, re.MULTILINE)
    ]
    # A module whose functions stand there one by one, or whose class is a name of the package.
    assert [n for n in left_out if f"::: gwrsa.{n}." not in pages and n not in {"store", "study"}] == []


# The notebook


def test_every_figure_of_a_notebook_is_shown(tmp_path):
    """Its backend turns interactive mode on where it is first asked for, which must not end with the style."""
    (tmp_path / "like_inline.py").write_text(
        "import matplotlib\nfrom matplotlib.backends.backend_agg import *\nmatplotlib.interactive(True)\n"
    )
    code = (
        "import matplotlib, numpy as np\nfrom gwrsa import figures\n"
        "figures.rdm(np.ones((4, 4)) - np.eye(4))\nprint(matplotlib.is_interactive())"
    )
    env = os.environ | {"MPLBACKEND": "module://like_inline", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"]


def test_notebook_is_executed_and_is_its_source(tools):
    notebook = json.loads((ROOT / "docs" / "notebooks" / "first_study.ipynb").read_text(encoding="utf-8"))
    source = tools["notebook"].cells((ROOT / "docs" / "notebooks" / "first_study.py").read_text(encoding="utf-8"))
    kinds = [("code" if c["cell_type"] == "code" else "markdown", "".join(c["source"])) for c in notebook["cells"]]
    assert kinds == source
    outputs = [o for c in notebook["cells"] for o in c.get("outputs", ())]
    assert all(o["output_type"] != "error" for o in outputs)
    drawn = [s for kind, s in source if kind == "code" and re.search(r"^figures\.", s, re.MULTILINE)]
    assert sum("image/png" in o.get("data", {}) for o in outputs) == len(drawn) == 4


def test_code_of_the_notebook_runs(tools, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    names = {}
    for kind, source in tools["notebook"].cells(
        (ROOT / "docs" / "notebooks" / "first_study.py").read_text(encoding="utf-8")
    ):
        if kind == "code":
            exec(compile(source, "first_study.py", "exec"), names)  # noqa: S102 - that is what it is for
    assert len(names["results"].rsa) == 9


# The THINGS data


@pytest.mark.things
@pytest.mark.slow
def test_things_table_of_the_readme_is_what_comes_out(things_dir):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = text[text.index("| pair | GW loss |") :].split("\n\n")[0].splitlines()[2:]
    said = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]

    items = gwrsa.load_items(things_dir / "unique_id.txt")
    categories = gwrsa.load_categories(things_dir / "categories27_multilabel.tsv")
    human = gwrsa.Embedding.load(things_dir / "human_spose66.npy", items=items)

    def percent(rates, digits):
        return " / ".join(f"{100 * rates[k]:.{digits}f}" for k in (1, 5, 10)) + " %"

    made = []
    for file in ("model_clip_vitb32", "model_minilm_definition"):
        model = gwrsa.Embedding.load(things_dir / f"{file}.npy", items=items)
        for side in (model, model.rdm().match_histogram(human.rdm())):
            found = gwrsa.align(human, side, categories=categories, progress=False)
            best = found.lowest_loss
            rates = percent(best.matching, 2), percent(best.category, 1)
            made.append([f"{best.gw_loss:.6f}", f"{found.rsa:.3f}", *rates])
    assert [row[1:] for row in said[:-1]] == made
    chance = [gwrsa.chance_level(len(items), k).exact for k in (1, 5, 10)]
    assert said[-1][3] == percent(dict(zip((1, 5, 10), chance, strict=True)), 2)
