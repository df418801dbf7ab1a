"""Links of the built site.

python docs/_tools/check_site.py [--outside]

Every link and picture has to lead to a file of the site, every anchor to an id of its page; no text may be lost as a tag, and nothing
fetched from another place when a page is opened. `--outside` asks for the links that lead to other places instead, and names those that
do not answer.
"""

import argparse
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from html.parser import HTMLParser
from pathlib import Path

SITE = Path(__file__).resolve().parents[2] / "site"
# What a browser fetches by itself; a link is only followed.
FETCHED = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("link", "href")}
# rel of a <link> that is not fetched.
NOT_FETCHED = {"canonical", "prev", "next", "edit"}
# Names of tags; of the many that are one letter long HTML has these.
TAG = re.compile(r"[abipqsu]|[a-z][a-z0-9]+(-[a-z]+)*")
# Places that answer programs with an error, and people with the page.
SHY = {403, 405, 418, 429}


class Page(HTMLParser):
    """The ids of a page, what it refers to, and tags that HTML does not have: text in angle brackets, which no reader sees."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.fetched, self.swallowed = set(), [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Note what a tag refers to."""
        if not TAG.fullmatch(tag):
            self.swallowed.append(tag)
        found = dict(attrs)
        if found.get("id"):
            self.ids.add(found["id"])
        if tag == "a" and found.get("name"):
            self.ids.add(found["name"])
        for attribute in ("href", "src"):
            value = found.get(attribute)
            if value and not value.startswith(("data:", "mailto:", "javascript:")):
                self.links.append(value)
                if (tag, attribute) in FETCHED and not NOT_FETCHED & set((found.get("rel") or "").split()):
                    self.fetched.append(value)


def read(site):
    """Every page of the site, by its path."""
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def dead(pages, site=SITE):
    """What leads nowhere, or is fetched from elsewhere, in words."""
    found = []
    for path, page in pages.items():
        name = path.name
        found += [f"{name}: <{tag}> is no tag" for tag in page.swallowed]
        found += [f"{name}: fetches {link}" for link in page.fetched if urllib.parse.urlsplit(link).netloc]
        for link in page.links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            # The page for what is not there is shown at any address, so its links begin at the root.
            base, there = (site, parts.path[1:]) if parts.path.startswith("/") else (path.parent, parts.path)
            target = (base / urllib.parse.unquote(there)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                found.append(f"{name}: {link} is not there")
            elif (
                parts.fragment
                and target in pages
                and urllib.parse.unquote(parts.fragment) not in pages[target].ids | {"__top"}
            ):
                found.append(f"{name}: {link} has no such anchor")
    return found


def outside(pages):
    """Links to other places that do not answer, in words."""
    links = {}
    for path, page in pages.items():
        for link in page.links:
            if urllib.parse.urlsplit(link).scheme in {"http", "https"}:
                links.setdefault(link.split("#")[0], path.name)
    found = []
    for link, name in sorted(links.items()):
        request = urllib.request.Request(link, headers={"User-Agent": "Mozilla/5.0 (a check of links)"})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=20):  # noqa: S310
                continue
        except urllib.error.HTTPError as error:
            if error.code not in SHY:
                found.append(f"{name}: {link}: {error.code}")
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            found.append(f"{name}: {link}: {error}")
    print(f"{len(links)} links to other places, {len(found)} without an answer")
    return found


def main():
    """Check, say what is wrong, and end with status 1 where something is."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--outside", action="store_true", help="links to other places instead")
    options.add_argument("site", nargs="?", type=Path, default=SITE)
    given = options.parse_args()
    pages = read(given.site.resolve())
    wrong = outside(pages) if given.outside else dead(pages, given.site.resolve())
    print(*wrong, sep="\n", end="\n" if wrong else "")
    if not wrong:
        print(f"{len(pages)} pages, {sum(len(p.links) for p in pages.values())} links: none dead")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
