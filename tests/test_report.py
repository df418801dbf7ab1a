"""The page of a study: what it says, that it is one file, and that a label is text whatever it looks like."""

import base64
import io
import json
import os
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import gwrsa
import study_files
from gwrsa import figures, report
from gwrsa.figures.study import draw, drawings
from gwrsa.figures.study_parts import slugs
from gwrsa.report.numbers import model_rows
from gwrsa.report.page import for_script, for_style
from gwrsa.report.readings import readings
from gwrsa.report.words import findings, methods, question
from gwrsa.study import Study

NASTY = "<script>alert('x')</script>"
ITEMS = [f"object {i}" for i in range(study_files.N)]


def shade(i):
    """A colour that nothing else on the page has, another for each object."""
    return 255, 10 * i, 255


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A study whose first object and first model are named like an attack, with images of all objects but two."""
    folder = tmp_path_factory.mktemp("study") / "in"
    path = study_files.write(folder)
    for file in ("items.txt", "categories.csv"):
        text = (folder / file).read_text()
        (folder / file).write_text(text.replace("object 0", NASTY).replace("animal", "</script><b>animal</b>"))
    (folder / "shuffled.npz").unlink()
    shutil.copy(folder / "near.npy", folder / "shuffled.npy")
    toml = (
        path.read_text()
        .replace("shuffled.npz", "shuffled.npy")
        .replace('"near"', "'a <img src=x onerror=alert(1)> \"model\"'")
    )
    path.write_text(toml.replace('name = "shuffled"', 'name = "A  (img)"') + '[images]\nroot = "pictures"\n')
    (folder / "pictures").mkdir()
    for i in range(2, study_files.N):
        Image.new("RGB", (9, 8), shade(i)).save(folder / "pictures" / f"object {i}.png")
    return Study.from_toml(path).run(folder.parent / "out", all_pairs=True, figures=False, progress=False)


@pytest.fixture(scope="module")
def drawn(results):
    folder = results.folder / "figures"
    folder.mkdir()
    for name in ("figure_3_plan_gone.png", "mine.png"):
        (folder / name).write_bytes(b"")
    return draw(results)


@pytest.fixture(scope="module")
def page(results, drawn):
    return report.write(results)


@pytest.fixture(scope="module")
def browser():
    sync = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'gwrsa[dev]'")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs a Chromium: apt-get install chromium")
    with sync.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def tab(browser, page):
    """The page on a laptop, and all that it logged or asked for elsewhere."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    opened = context.new_page()
    complaints = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda r: complaints.append(r.url) if not r.url.startswith(("file:", "data:")) else None)
    opened.goto(page.as_uri())
    yield opened
    context.close()
    assert complaints == []


def test_every_figure_is_drawn_in_every_format_under_a_name_of_its_own(results, drawn):
    wanted = [d.name for d in drawings(results)]
    assert len(set(wanted)) == len(wanted)
    assert {p.name for p in drawn} == {f"{name}.{suffix}" for name in wanted for suffix in ("png", "svg", "pdf")}
    assert {p.parent for p in drawn} == {results.folder / "figures"}
    stems = {name.split("_")[1] for name in wanted}
    of_all = {"1", "2", "3", "4a", "4b", "4c", "5a", "5b", "6a", "6b", "s1", "s2", "s3", "s4", "s5", "s6"}
    assert stems == of_all | {"s7a", "s7b", "s7c"}
    assert len(set(slugs(results).values())) == 4


def test_figures_of_models_that_left_are_removed(results, drawn):
    there = {p.name for p in (results.folder / "figures").iterdir()}
    assert there == {p.name for p in drawn} | {"mine.png"}


def test_figure_2_shows_the_numbers_of_the_study(results):
    axes = next(d for d in drawings(results) if d.name == "figure_2_rsa").make()
    mean = results.rsa.groupby("target")["value"].mean()
    names = [t.get_text() for t in axes.get_yticklabels()]
    widths = [p.get_width() for c in axes.containers for p in c.patches]
    assert dict(zip(names, widths, strict=True)) == pytest.approx(mean.to_dict())
    figures.save(axes, results.folder / "again.png", close=True)


def test_page_is_one_file_of_text_with_every_figure(results, page):
    html = page.read_text(encoding="utf-8")
    assert html.count('<img src="data:image/') == len(drawings(results))
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", html)
    assert page.stat().st_size < 15e6
    assert "<script>alert" not in html
    assert "onerror=alert(1)>" not in html
    assert len(re.findall(r"</script>", html)) == 2


def objects_figure(results, model="noise"):
    return next(d for d in drawings(results) if d.name == f"figure_3_top_{model}")


def test_networks_and_earlier_runs_are_told(results, tmp_path):
    meta = {"model": "timm/<x>", "module": "head", "preprocessing": "Resize(64)", "weights": "ab" * 32, "device": "cpu"}
    meta |= {"versions": {"torch": "2.9", "timm": "1.0"}, "broken": ["a.png: <b>"]}
    first, *rest = results.provenance["models"]
    run = {name: results.provenance[name] for name in ("started", "finished", "seconds", "versions")}
    earlier = [run | {"finished": None, "seconds": None}, run | {"seconds": 41.0}]
    told = results.provenance | {"models": [first | {"meta": meta}, *rest], "earlier": earlier}
    text = report.write(replace(results, provenance=told), tmp_path / "r.html").read_text()
    row = text[text.index("Networks that were run") :]
    for expected in (
        "timm/&lt;x&gt;",
        "Resize(64)",
        "<code>abababababab</code>",
        "torch 2.9, timm 1.0 on cpu",
        "a.png: &lt;b&gt;",
    ):
        assert expected in row[: row.index("</table>")]
    assert "the last of 3 runs" in text
    assert ", not known to have finished, by gwrsa" in text
    assert "41 s of computing, by gwrsa" in text
    before = (results.folder / "report.html").read_text()
    assert "Networks that were run" not in before
    assert "runs, which went on" not in before


def test_objects_are_shown_with_their_own_images(results):
    drawing = objects_figure(results)
    assert "counterparts; start chosen without labels. 2 of 24 objects have no image." in drawing.caption
    axes = drawing.make()
    pixels = [tuple(child.images[0].get_array()[0, 0]) for child in axes.child_axes]
    labels = [t.get_text() for t in axes.texts if t.get_text().startswith("object ")]
    pictured = [shade(int(label.split()[1])) for label in labels if label != "object 1"]
    assert len(pictured) >= 50
    assert pixels == pictured


def test_images_are_on_the_page(results, page):
    html = page.read_text(encoding="utf-8")
    (source,) = re.findall(
        r'<figure[^>]*id="[^"]*figure_3_top_noise".*?src="data:image/\w+;base64,([^"]+)"', html, re.DOTALL
    )
    with Image.open(io.BytesIO(base64.b64decode(source))) as opened:
        red, green, blue = np.asarray(opened.convert("RGB")).astype(int).transpose(2, 0, 1)
    violet = (red > 240) & (blue > 240) & (green < 235)
    assert violet.mean() > 0.05
    assert np.ptp(green[violet]) > 150


def test_the_workflow_shows_images_of_the_study(results):
    axes = next(d for d in drawings(results) if d.name == "figure_1_workflow").make()
    corners = [c.images[0].get_array()[0, 0] for c in axes.child_axes if c.images[0].get_array().ndim == 3]
    places = [int(green) // 10 for _, green, _ in corners]
    assert [tuple(c) for c in corners] == [shade(i) for i in places]
    assert len(set(places)) == 6
    # Evenly taken from all objects in the order of the figure: by category, those without one last.
    assert len({results.objects["one"].iloc[i] for i in places}) == 4


def test_broken_images_are_counted_and_named_when_figures_are_drawn(results):
    file = results.folder.parent / "in" / "pictures" / "object 3.png"
    whole = file.read_bytes()
    rows = objects_figure(results).make
    try:
        file.write_bytes(whole[: len(whole) // 2])
        with pytest.warns(
            UserWarning, match=r"images must be whole, got 1 of \d+ shown that are not: .*object 3\.png: "
        ):
            axes = rows()
    finally:
        file.write_bytes(whole)
    labels = [t.get_text() for t in axes.texts]
    assert [t.get_text() for child in axes.child_axes for t in child.texts] == ["broken\nimage"] * labels.count(
        "object 3"
    )


def test_where_the_images_are_gone_the_caption_says_so(results):
    folder = results.folder.parent / "in" / "pictures"
    moved = folder.rename(folder.with_name("elsewhere"))
    try:
        drawing = objects_figure(results)
        assert "The images of the study are not where they were." in drawing.caption
        assert not drawing.make().child_axes
    finally:
        moved.rename(folder)


def test_data_give_back_what_went_in_and_end_no_element():
    data = {"name": "</script><!-- & \u2028"}
    text = for_script(data)
    assert json.loads(text) == data
    assert not set("<>&\u2028") & set(text)


def test_findings_say_the_numbers_of_the_study(results):
    text = " ".join(findings(results))
    rates = results.rates.query("choice == 'lowest_loss' and measure == 'matching' and k == 1")
    best = rates.groupby("target")["value"].mean().max()
    assert f"{100 * best:.1f} % of objects are found as themselves" in text
    noise = [side["name"] for side in results.settings["models"] if side["noise"] is not None]
    rsa = results.rsa[~results.rsa["target"].isin(noise)].groupby("target")["value"].mean()
    assert f"from {rsa.max():.2f} (" in text
    assert f"to {rsa.min():.2f} (" in text
    assert f"made {len(results.results)} starts" in text


def test_noise_above_chance_is_said(results):
    assert "So does noise" not in " ".join(findings(results))
    here = (results.rates["target"] == "noise") & (results.rates["measure"] == "matching")
    high = replace(results, rates=results.rates.assign(value=results.rates["value"].mask(here, 0.375)))
    assert "So does noise, with 37.5 %, which knows nothing of the objects" in " ".join(findings(high))


def test_every_figure_but_6b_is_read_in_words_with_the_numbers_of_the_study(results, page):
    said = readings(results)
    assert {d.name for d in drawings(results)} - set(said) == {"figure_6b_fine_vs_coarse_highest_matching"}
    html = page.read_text(encoding="utf-8")
    assert html.count('<span class="reading">') == len(said)
    far = results.rsa.set_index("target").loc["far", "value"]
    assert f"supervised {far:.2f} (far)" in said["figure_2_rsa"]
    rates = results.rates.query("choice == 'lowest_loss' and measure == 'matching' and k == 1")
    noise = rates.query("target == 'noise'")["value"].mean()
    assert f"untrained {100 * noise:.1f} % (noise)" in said["figure_4a_matching_lowest_loss"]
    inside = results.members.members
    square, shared = results.human.square(), inside @ inside.T > 0
    off = ~np.eye(len(square), dtype=bool)
    within, between = square[shared & off].mean(), square[~shared & off].mean()
    text = f"share a category are {within:.2g} apart on average, two others {between:.2g}."
    assert text in said["figure_3_rdm_human"]
    mine = results.pairs.query("source == 'people'").set_index("target")["gw_loss"]
    nearest = ", ".join(mine.index[mine == mine.min()])  # two models are the same one
    assert f"is {nearest}, farthest {mine.idxmax()}." in said["figure_s5_map_of_models_gw_loss"]


def test_the_reference_study_is_set_beside_its_own_families_only(results):
    said = readings(results)
    assert "at best about 20 %" in said["figure_4a_matching_lowest_loss"]
    assert "untrained models are at chance" in said["figure_4a_matching_lowest_loss"]
    assert "self-supervised" not in " ".join(said[f"figure_{f}"] for f in ("4a_matching_lowest_loss", "3_plan_far"))
    assert "reference study" not in said["figure_3_plan_far"]


def test_methods_name_the_parameters(results):
    text = " ".join(methods(results))
    for part in ("3 starts a pair", "50 resamples", "50 simulated", "40 relabellings", "noise (3)", "Holm's method"):
        assert part in text
    assert "precision 'mixed'" in text
    # One of the models is an RDM, which no metric made.
    assert "people by cosine, models by cosine, dissimilarities as given." in text
    assert "Metrics differ (cosine, precomputed)" in readings(results)["figure_s2_rdm_histograms"]


def test_rows_hold_means_over_replicates(results):
    row = next(r for r in model_rows(results) if r["target"] == "noise")
    mine = results.rates.query(
        "target == 'noise' and choice == 'highest_matching' and measure == 'category' and k == 5"
    )
    assert row["n"] == 3
    assert row["rates"]["highest_matching", "category", 5]["value"] == pytest.approx(mine["value"].mean())


def test_figures_older_than_the_tables_are_drawn_again(results, page, tmp_path):
    stale = results.folder / "figures" / "figure_2_rsa.png"
    before = stale.read_bytes()
    stale.write_bytes(b"old")
    os.utime(stale, (0, 0))
    report.write(results, tmp_path / "again.html")
    assert stale.read_bytes() == before


def column(tab, place):
    return tab.eval_on_selector_all(
        "table:not([hidden])[data-choice] tbody tr:not([hidden])",
        f"rows => rows.map(r => r.cells[{place}].dataset.value)",
    )


def test_browser_sorts_by_click_and_by_keyboard(tab):
    values = [float(v) for v in column(tab, 2)]
    button = tab.get_by_role("button", name="RSA", exact=True)
    button.click()
    assert [float(v) for v in column(tab, 2)] == sorted(values, reverse=True)
    assert tab.locator("table:not([hidden]) th[aria-sort]").get_attribute("aria-sort") == "descending"
    button.focus()
    tab.keyboard.press("Enter")
    assert [float(v) for v in column(tab, 2)] == sorted(values)
    tab.get_by_role("button", name="Family").click()
    assert column(tab, 1) == sorted(column(tab, 1))


def test_browser_filters_by_text_and_family(tab):
    tab.get_by_label("Find a model").fill("NOI")
    assert column(tab, 0) == ["noise"]
    assert tab.locator("#n-shown").inner_text() == "1 of 4 models"
    tab.get_by_label("Find a model").fill("")
    tab.get_by_label("Family").select_option("supervised")
    assert column(tab, 0) == ["far"]
    tab.get_by_label("Solution").first.select_option("highest_matching")
    assert column(tab, 0) == ["far"]
    assert tab.locator("table[data-choice=lowest_loss]").is_hidden()


def test_browser_shows_the_five_most_probable_counterparts_of_the_object_pointed_at(tab, results):
    tab.locator("#pick-model").select_option("noise")
    canvas = tab.locator("article:not([hidden]) canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    panel = tab.locator("article:not([hidden]) .panel")
    seen = set()
    for share in (0.1, 0.5, 0.9):
        canvas.hover(position={"x": 3, "y": share * box["height"]})
        name = panel.locator("h4").inner_text()
        seen.add(name)
        items = list(results.objects["item"])
        row = next(i for i, item in enumerate(items) if item.replace("_", " ") == name)
        key = results.chosen.query("target == 'noise' and replicate == 0 and choice == 'lowest_loss'")["key"].iloc[0]
        top, mass = results.top(key)
        lines = panel.locator("li .line").all_inner_texts()
        assert len(lines) == 5
        for line, j, share_of in zip(lines, top[row], mass[row], strict=False):
            text, percent = line.split("\n")
            assert text.startswith(items[j])
            assert float(percent.removesuffix(" %")) == pytest.approx(100 * share_of, abs=0.06)
    assert len(seen) == 3


def test_browser_finds_an_object_by_search_and_goes_on_with_arrows(tab):
    search = tab.locator("article:not([hidden])").get_by_label("Find an object")
    panel = tab.locator("article:not([hidden]) .panel h4")
    search.fill("OBJECT 17")
    assert panel.inner_text() == "object 17"
    search.fill("<script>")
    assert panel.inner_text() == NASTY
    search.fill("unicorn")
    assert "No object is called" in tab.locator("article:not([hidden]) .message").inner_text()
    before = panel.inner_text()
    tab.locator("article:not([hidden]) canvas").press("ArrowDown")
    assert panel.inner_text() != before
    tab.locator("article:not([hidden]) .controls select").first.select_option("food")
    assert "food" in tab.locator("article:not([hidden]) .of").inner_text()


def test_browser_goes_to_the_plan_of_a_model_from_the_table(tab):
    tab.locator("table:not([hidden])").get_by_role("link", name="far").click()
    tab.wait_for_function("!document.querySelector('#model-far').hidden")
    assert tab.locator("article.model:not([hidden])").count() == 1
    assert tab.locator("#pick-model").input_value() == "far"


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_browser_needs_no_scrolling_sideways(tab, width, scheme):
    tab.set_viewport_size({"width": width, "height": 800})
    tab.emulate_media(color_scheme=scheme)
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    wide = tab.evaluate(
        "[...document.querySelectorAll('main input, main select, main img, main canvas, main h4, main p')]"
        f".filter(e => e.getBoundingClientRect().right > {width} && !e.closest('.scroll')).map(e => e.outerHTML.slice(0, 80))"
    )
    assert wide == []


def test_browser_prints_every_model(tab):
    pdf = tab.pdf(prefer_css_page_size=True)
    assert pdf.startswith(b"%PDF")
    tab.emulate_media(media="print")
    assert all(tab.locator("article.model").nth(i).is_visible() for i in range(4))
    assert tab.locator(".explorer").first.is_hidden()
    # Headings that are repeated on the next page are text: a button there would stay blank.
    heads = "[...document.querySelectorAll('table:not([hidden])[data-choice] thead th')]"
    said = tab.evaluate(f"{heads}.map(th => getComputedStyle(th, '::after').content)")
    assert said == tab.evaluate(f"{heads}.map(th => JSON.stringify(th.textContent))")
    assert '"Top-1"' in said
    assert not any(button.is_visible() for button in tab.locator("thead button").all())


def test_without_categories_there_is_no_word_of_them(tmp_path, monkeypatch):
    toml = re.sub(r"\[categories\]\nfile = .*\n", "", study_files.TOML)
    path = study_files.write(tmp_path / "in", toml)
    found = Study.from_toml(path).run(tmp_path / "out", figures=False, progress=False)
    assert not {d.name for d in drawings(found)} & {"figure_5a_category_lowest_loss", "figure_s3_category_rates"}
    monkeypatch.setattr("gwrsa.report.page._picture", lambda *_: "data:,")
    html = report.write(found).read_text(encoding="utf-8")
    assert "Cat. top-1" not in html
    assert "categories;" not in " ".join(methods(found))


def test_groups_of_one_split_have_a_noise_ceiling(tmp_path):
    groups = "".join(
        f'[[models]]\nname = "{name}"\nfamily = "human"\nembedding = "{file}"\nsplit = "halves"\n'
        for name, file in (("first", "first.npy"), ("second", "second.npz"))
    )
    path = study_files.write(tmp_path / "in", study_files.TOML.replace("[[models]]", groups + "[[models]]", 1))
    rng = np.random.default_rng(7)
    human = np.load(tmp_path / "in" / "human.npy")
    first, second = (gwrsa.Embedding(human + 0.3 * rng.standard_normal(human.shape), items=ITEMS) for _ in range(2))
    np.save(tmp_path / "in" / "first.npy", first.values)
    second.select(ITEMS[::-1]).save(tmp_path / "in" / "second.npz")
    found = Study.from_toml(path).run(tmp_path / "out", figures=False, progress=False)
    lower, upper = gwrsa.noise_ceiling([first, second])
    assert found.noise_ceilings == {"halves": pytest.approx((lower, upper), abs=1e-9)}
    drawing = next(d for d in drawings(found) if d.name == "figure_2_rsa")
    assert "noise ceilings of the groups of people" in drawing.caption
    axes = drawing.make()
    labels = [text.get_text() for text in axes.figure.legends[0].get_texts()]
    assert f"noise ceiling, halves: {lower:.2f} to {upper:.2f}" in labels
    figures.save(axes, tmp_path / "again.png", close=True)
    assert f"Noise ceilings: halves {lower:.2f} to {upper:.2f}." in readings(found)["figure_2_rsa"]


def test_without_a_split_there_is_no_noise_ceiling(results):
    assert results.noise_ceilings == {}
    assert "ceiling" not in next(d for d in drawings(results) if d.name == "figure_2_rsa").caption
    assert "ceiling" not in readings(results)["figure_2_rsa"]


def test_figure_s1_says_that_annealing_keeps_the_losses_of_its_end_only(results):
    def caption(of):
        return next(d for d in drawings(of) if d.name == "figure_s1_loss_against_epsilon").caption

    assert "losses on the way there are not kept" in caption(results)
    assert "lines join" not in caption(results)  # replicates have epsilons of their own, and one each
    alignment = results.settings["alignment"] | {"search": "multistart"}
    settings = results.settings | {"alignment": alignment}
    other = replace(results, provenance=results.provenance | {"settings": settings})
    assert "on the way" not in caption(other)


def test_a_map_at_chance_names_no_nearest_model(results):
    name = "figure_s6_map_of_models_matching"
    high = results.chance.query("measure == 'matching' and k == 1")["high"].item()
    assert "Nearest to people" in readings(results)[name]
    low = replace(results, pairs=results.pairs.assign(top1=np.linspace(0, high, len(results.pairs))))
    said = readings(low)[name]
    assert "95th percentile of chance" in said
    assert "earest" not in said
    assert "Nearest to people" in readings(low)["figure_s5_map_of_models_gw_loss"]


def test_noise_is_no_model(results):
    noise = [side["name"] for side in results.settings["models"] if side["noise"] is not None]
    assert noise
    n_models = len({*results.rsa["target"]} - {*noise} - {*results.rsa[results.rsa["family"] == "human"]["target"]})
    assert f"for {n_models} models and {len(noise)} baseline of noise. If all" in question(results)
    fine = next(text for text in findings(results) if text.startswith("Fine grain"))
    assert f" of {n_models} models exceed" in fine


def test_a_family_of_any_name_is_a_text_of_css():
    assert for_style("clip") == "clip"
    assert for_style('a&b"</style>') == "a\\000026b\\000022\\00003c\\00002fstyle\\00003e"
    assert for_style("néo") == "n\\0000e9o"
