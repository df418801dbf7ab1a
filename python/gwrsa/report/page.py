"""From the results of a study to the page: template, figures and data put together."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gwrsa.figures.study import drawings
from gwrsa.figures.study_parts import Drawing, shown_plan, slugs
from gwrsa.figures.style import FAMILIES, FORMATS, family_colour, save
from gwrsa.report.numbers import model_rows
from gwrsa.report.plans import explorer
from gwrsa.report.readings import readings
from gwrsa.report.words import findings, methods, question
from gwrsa.study_plan import Entry

if TYPE_CHECKING:
    from gwrsa.store import Results

# Wide enough for a sharp figure on a laptop's screen, in dots.
_WIDTH = 1400
# A vector figure above this many bytes is smaller as dots.
_LARGEST_SVG = 150_000


def write(results: Results, path: str | Path | None = None) -> Path:
    """Write the report of a study as one HTML page that needs nothing else.

    Parameters
    ----------
    results : Results
        A finished study. Figures that are missing in its folder, or older than its tables, are drawn.
    path : path, optional
        None: `report.html` in the folder of the study.

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    ImportError
        If matplotlib or jinja2 is missing.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise ImportError("a report needs jinja2: pip install 'gwrsa[study]'") from error
    from gwrsa.shards import replace_text

    out = results.folder / "report.html" if path is None else Path(path)
    here = Path(__file__).parent
    script, style = ((here / name).read_text(encoding="utf-8") for name in ("report.js", "report.css"))
    shown = [(d, _picture(results, d)) for d in drawings(results)]
    names = slugs(results)
    environment = Environment(
        loader=PackageLoader("gwrsa.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["css"] = for_style
    page = environment.get_template("report.html.j2")
    rows = model_rows(results)
    html = page.render(
        results=results,
        settings=results.settings,
        provenance=results.provenance,
        networks=networks(results),
        question=question(results),
        findings=findings(results),
        methods=methods(results),
        readings=readings(results),
        rows=rows,
        ks=sorted({int(k) for k in results.rates["k"]}),
        has_categories=bool((results.rates["measure"] == "category").any()),
        chance={(r["measure"], int(r["k"])): r for r in results.chance.to_dict("records")},
        families=list(dict.fromkeys(r["family"] for r in rows)),
        colours={f: family_colour(f) for f in [*FAMILIES, *(r["family"] for r in rows)]},
        figures=[(d, src) for d, src in shown if d.model is None],
        of_model={m: [(d, src) for d, src in shown if d.model == m] for m in names},
        slugs=names,
        best={m: shown_plan(results, m) for m in names},
        toml=(results.folder / "study.toml").read_text(encoding="utf-8"),
        style=style,
        script=script,
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
        data=for_script(explorer(results, names)),
    )
    replace_text(out, html)
    return out


def networks(results: Results) -> list[tuple[str, dict[str, Any]]]:
    """Of every replicate whose features were extracted, what `gwrsa.extract` says of them."""
    told = {
        "model": str,
        "module": str,
        "preprocessing": str,
        "weights": str,
        "versions": dict,
        "device": str,
        "broken": list,
    }
    # Files that are not of `extract` may hold other meta.
    return [
        (str(Entry(**m)), m["meta"])
        for m in results.provenance["models"]
        if all(isinstance((m["meta"] or {}).get(name), kind) for name, kind in told.items())
    ]


def for_style(text: str) -> str:
    """A text of CSS between quotes: whatever is no letter or digit of ASCII by its number."""
    return "".join(c if c.isascii() and c.isalnum() else f"\\{ord(c):06x}" for c in text)


def for_script(data: object) -> str:
    """JSON in which nothing can end, or begin, an element of HTML."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _picture(results: Results, drawing: Drawing) -> str:
    """A figure as a data URI: as vectors where that is small, else as dots."""
    stem = results.folder / "figures" / drawing.name
    files = [stem.with_name(f"{stem.name}.{suffix}") for suffix in FORMATS]
    tables = (results.folder / "results.parquet").stat().st_mtime
    if any(not f.is_file() or f.stat().st_mtime < tables for f in files):
        save(drawing.make(), stem, close=True)
    vectors = stem.with_name(f"{stem.name}.svg").read_bytes()
    if b"<image" not in vectors and len(vectors) <= _LARGEST_SVG:
        return _uri("svg+xml", vectors)
    return _dots(stem.with_name(f"{stem.name}.png"))


def _dots(file: Path) -> str:
    from PIL import Image

    with Image.open(file) as opened:
        pixels = opened.convert("RGB")
    if pixels.width > _WIDTH:
        pixels = pixels.resize((_WIDTH, round(pixels.height * _WIDTH / pixels.width)), Image.Resampling.LANCZOS)
    kinds: dict[str, Any] = {"webp": {"quality": 82, "method": 4}, "png": {"optimize": True}}
    made = {}
    for kind, how in kinds.items():
        into = BytesIO()
        pixels.save(into, kind, **how)
        made[kind] = into.getvalue()
    kind = min(made, key=lambda k: len(made[k]))
    return _uri(kind, made[kind])


def _uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{b64encode(content).decode()}"
