"""The site in a browser, at the width of a laptop and of a phone.

python docs/_tools/look.py [FOLDER]

Every page is opened in a headless Chromium from a server of its own. It may ask no other place for anything, report no error, and be
no wider than the window; beside the menus of a laptop its code has to fit the column; menu and search have to work, also on the page
for what is not there. With a folder, what a page looks like is kept there as PNG.
"""

import functools
import http.server
import shutil
import sys
import threading
from pathlib import Path

from playwright.sync_api import TimeoutError as TimedOut
from playwright.sync_api import sync_playwright

SITE = Path(__file__).resolve().parents[2] / "site"
WIDTHS = {"laptop": 1280, "phone": 390}


# Blocks of code that are wider than what is seen of them; not what code prints, nor sources, which are folded.
TOO_LONG = """[...document.querySelectorAll("article :not(.language-text) > pre > code")]
    .filter(c => !c.closest("details, .language-text") && c.scrollWidth > c.clientWidth + 1)
    .map(c => c.innerText.split("\\n").reduce((a, b) => a.length > b.length ? a : b))"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Says nothing of what it serves."""

    def log_message(self, *_):
        """Nothing."""


def look(folder=None):
    """What is wrong with a page, in words."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(SITE)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    at = f"http://127.0.0.1:{server.server_port}"
    wrong = []
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for width_name, width in WIDTHS.items():
            page = browser.new_page(viewport={"width": width, "height": 844})
            asked = []
            page.on("request", lambda r, asked=asked: asked.append(r.url))
            page.on("pageerror", lambda e, w=width_name: wrong.append(f"{w}: {e}"))  # noqa: B023
            page.on("response", lambda r, w=width_name: r.status >= 400 and wrong.append(f"{w}: {r.url}: {r.status}"))  # noqa: B023
            for path in sorted(SITE.rglob("*.html")):
                name = path.relative_to(SITE).as_posix()
                page.goto(f"{at}/{name}", wait_until="load")
                page.wait_for_timeout(200)
                too_wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
                if too_wide > 0:
                    wrong.append(f"{width_name}: {name} is {too_wide} px wider than the window")
                if width_name == "laptop":
                    wrong += [f"{name}: code past its column: {line.strip()}" for line in page.evaluate(TOO_LONG)]
                if folder:
                    out = folder / f"{name.replace('/', '-').removesuffix('.html')}-{width_name}.png"
                    page.screenshot(path=out, full_page=True)
            for name in ("index.html", "404.html"):
                page.goto(f"{at}/{name}", wait_until="load")
                wrong += [f"{width_name}: {name}: {what}" for what in _used(page, width_name, folder)]
            wrong += [f"{width_name}: asks {url}" for url in asked if not url.startswith((at, "data:", "blob:"))]
        browser.close()
    server.shutdown()
    return wrong


def _used(page, width_name, folder):
    """What does not work of menu and search, in words."""
    wrong = []
    try:
        if width_name == "phone":
            page.locator("header label[for=__drawer]").click(timeout=5000)
            page.locator("nav.md-nav--primary label.md-nav__link", has_text="Using it").first.click(timeout=5000)
            page.wait_for_timeout(400)
        if folder:
            page.screenshot(path=folder / f"menu-{width_name}.png")
        page.locator("nav.md-nav--primary a[href$='faq.html']").first.click(timeout=5000)
        page.wait_for_url("**/faq.html", timeout=5000)
    except TimedOut:
        wrong.append("the menu does not lead to the questions")
    page.go_back(wait_until="load")
    if width_name == "phone":
        page.locator("header label.md-header__button[for=__search]").click()
    # The index is fetched when the field is entered.
    page.locator("input.md-search__input").click()
    page.locator("input.md-search__input").fill("critical epsilon")
    try:
        page.wait_for_selector(".md-search-result__item a", timeout=5000)
        page.wait_for_timeout(400)
    except TimedOut:
        wrong.append("the search finds nothing")
    if folder:
        page.screenshot(path=folder / f"search-{width_name}.png")
    return wrong


if __name__ == "__main__":
    kept = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    if kept:
        kept.mkdir(parents=True, exist_ok=True)
    found = look(kept)
    print(*found or ["nothing wrong"], sep="\n")
    sys.exit(bool(found))
