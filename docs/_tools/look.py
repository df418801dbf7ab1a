"""The site in a browser, at the width of a laptop and of a phone.

python docs/_tools/look.py [FOLDER]

Every page is opened in a headless Chromium from a server of its own. It may ask no other place for anything, report no error, and be
no wider than the window; with a folder, what it looks like is kept there as PNG.
"""

import functools
import http.server
import shutil
import sys
import threading
from pathlib import Path

from playwright.sync_api import sync_playwright

SITE = Path(__file__).resolve().parents[2] / "site"
WIDTHS = {"laptop": 1280, "phone": 390}


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
                if folder:
                    out = folder / f"{name.replace('/', '-').removesuffix('.html')}-{width_name}.png"
                    page.screenshot(path=out, full_page=True)
            wrong += [f"{width_name}: asks {url}" for url in asked if not url.startswith((at, "data:", "blob:"))]
        browser.close()
    server.shutdown()
    return wrong


if __name__ == "__main__":
    kept = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    if kept:
        kept.mkdir(parents=True, exist_ok=True)
    found = look(kept)
    print(*found or ["nothing wrong"], sep="\n")
    sys.exit(bool(found))
