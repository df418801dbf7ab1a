"""What mkdocs does to the pages: run the blocks that draw or print, make the tables of the benches, bring in README and CHANGELOG."""

import json
import re
import shutil
import sys
import tempfile
import textwrap
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "benches")]

import blocks  # noqa: E402
import notebook  # noqa: E402

import figures as bench_figures  # noqa: E402
import report  # noqa: E402
from targets import rows  # noqa: E402

# Files of the repository that are pages of the site under another name.
BROUGHT = {"index.md": "README.md", "changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}
# Characters that fit beside the menus of a laptop.
WIDTH = 88
FENCE = re.compile(r"^([ ]*```+\w+)[ \t]+[^\n`{]*$", re.MULTILINE)
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files, config):
    """README and CHANGELOG become pages; pictures of the benches are drawn from their results."""
    for page, source in BROUGHT.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    _notebook(files, config)
    with tempfile.TemporaryDirectory() as name:
        bench_figures.draw(report.load(), Path(name))
        for picture in sorted(Path(name).glob("bench_*.png")):
            _replace(files, File.generated(config, f"figures/{picture.name}", content=picture.read_bytes()))
    return files


def on_page_markdown(markdown, page, config, files):
    """The page as it is shown."""
    uri = page.file.src_uri
    if uri == "benchmarks.md":
        markdown = _benchmarks()
    if uri in BROUGHT:
        markdown = _relinked(markdown)
    markdown = _run(markdown, page, config, files)
    markdown = _outside(markdown, page)
    return FENCE.sub(r"\1", markdown)


def _notebook(files, config):
    """The executed notebook as a page."""

    def kept(name, content):
        uri = f"figures/first-study-{name}"
        _replace(files, File.generated(config, uri, content=content))
        return uri

    text = notebook.shown(json.loads((notebook.FOLDER / "first_study.ipynb").read_text(encoding="utf-8")), kept)
    title, rest = text.split("\n", 1)
    link = "[As a notebook](notebooks/first_study.ipynb), with what it prints and draws."
    files.append(File.generated(config, "first-study.md", content=f"{title}\n\n{link}\n{rest}"))


def _replace(files, file):
    old = files.get_file_from_path(file.src_uri)
    if old is not None:
        files.remove(old)
    files.append(file)


def _benchmarks():
    results = report.load()
    with tempfile.TemporaryDirectory() as name:
        bench_figures.draw(results, Path(name))
        return report.page(rows(results), results, Path(name))


def _relinked(markdown):
    """Links of a file of the repository's root, as seen from docs."""

    def moved(match):
        bang, text, target, anchor = match.groups()
        if "://" in target:
            return match[0]
        if target.endswith(".md"):
            text = _title(text, ROOT / target)
        target = target.removeprefix("docs/")
        brought = {name: page for page, name in BROUGHT.items()}
        return f"{bang}[{text}]({brought.get(target, target)}{anchor or ''})"

    return LINK.sub(moved, markdown)


def _outside(markdown, page):
    """Links to files of the repository that are no pages: their path alone, as the site does not hold them."""
    folder = Path(page.file.src_uri).parent
    brought = {ROOT / name: uri for uri, name in BROUGHT.items()}

    def named(match):
        bang, text, target, anchor = match.groups()
        if "://" in target or bang or target.startswith("mailto:"):
            return match[0]
        inside = (ROOT / "docs" / folder / target).resolve()
        if page.file.src_uri in BROUGHT and not inside.exists() and target not in BROUGHT and (ROOT / target).exists():
            inside = (ROOT / target).resolve()
        if inside.exists() and not inside.is_relative_to(ROOT / "docs"):
            if inside in brought:
                return f"[{_title(text, inside)}]({brought[inside]}{anchor or ''})"
            path = inside.relative_to(ROOT).as_posix()
            return f"`{path}`" if text.strip("`") in path else f"{text} (`{path}`)"
        return f"[{_title(text, inside)}]({target}{anchor or ''})" if inside.is_file() else match[0]

    return LINK.sub(named, markdown)


def _title(text, page):
    """What a link to a page says: its title, where it said the name of its file."""
    return page.read_text(encoding="utf-8").splitlines()[0].lstrip("# ") if text.endswith(".md") else text


def _run(markdown, page, config, files):
    """Run a page's blocks where one of them draws or is shown; what they draw and print comes behind them."""
    found = blocks.find(Path(page.file.src_uri), markdown)
    if not any({"figure", "shown", "raises"} & set(b.options) for b in found):
        return markdown
    lines = markdown.splitlines()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        blocks.prepare(folder)
        runner = blocks.Runner(folder)
        behind = {}
        for block in found:
            said = runner.run(block) if block.language == "python" or "shown" in block.options else ""
            shown = []
            if said.strip() and {"shown", "raises"} & set(block.options):
                # Tables keep their lines, a message is broken into some.
                text = (
                    textwrap.fill(said, WIDTH, subsequent_indent="    ") if "raises" in block.options else said.rstrip()
                )
                shown += ["", "```text", *text.splitlines(), "```", ""]
            if "figure" in block.options:
                shown += ["", *_picture(folder, block, page, config, files), ""]
            # The closing fence, or the last line of an indented block.
            behind[block.line - 1 + len(block.code.splitlines()) + (1 if block.language else 0)] = shown
    out = []
    for at, line in enumerate(lines):
        out.append(line)
        out += behind.get(at + 1, [])
    return "\n".join(out) + "\n"


def _picture(folder, block, page, config, files):
    name = block.options["figure"]
    uri = f"figures/{Path(page.file.src_uri).stem}-{name}.png"
    _replace(files, File.generated(config, uri, content=(folder / f"{name}.png").read_bytes()))
    up = "../" * (len(Path(page.file.src_uri).parts) - 1)
    alt = block.options.get("alt", name).replace("_", " ")
    return [f"![{alt}]({up}{uri})"]


def on_post_build(config):
    """Nothing that the site does not need."""
    for name in ("sitemap.xml.gz",):
        (Path(config.site_dir) / name).unlink(missing_ok=True)
    shutil.rmtree(Path(config.site_dir) / "_tools", ignore_errors=True)
