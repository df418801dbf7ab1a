"""POT's own tests of what has a twin here, with POT as it is and with the twins in its place.

python benches/pot_tests.py CHECKOUT      (a clone of https://github.com/PythonOT/POT)

Its tests are run against the POT that is installed, from a copy of their folder, with the backends numpy and torch. Writes
results/pot_tests.json and the table of docs/from-pot.md (--table: that alone).
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import pytest

from _results import FOLDER, save

PAGE = Path(__file__).resolve().parents[1] / "docs" / "from-pot.md"
BETWEEN = re.compile(r"(<!-- counted -->\n)(.*?)(<!-- /counted -->)", re.DOTALL)
FILES = ("gromov/test_bregman.py", "test_bregman.py")
OTHER_BACKENDS = {f"POT_BACKEND_DISABLE_{name}": "1" for name in ("JAX", "CUPY", "TENSORFLOW")}


class Watch:
    """How each test ended, and which of them called a twin."""

    def __init__(self):
        self.outcomes, self.calling, self.at = {}, set(), ""

    def pytest_runtest_setup(self, item):
        """From here on it is this test that calls."""
        self.at = item.nodeid

    def pytest_runtest_logreport(self, report):
        """A failure to set up is a failure."""
        expected = hasattr(report, "wasxfail")
        if report.when == "call" or not report.passed:
            self.outcomes[report.nodeid] = "xfailed" if expected and report.skipped else report.outcome

    def noted(self, function):
        """The function, whose calls are noted."""

        def call(*args, **options):
            self.calling.add(self.at)
            return function(*args, **options)

        return call


def put_twins(watch):
    """In the place of POT's functions, wherever tests find them."""
    import ot

    from gwrsa import pot

    for name in pot.__all__:
        places = [module for module in (ot, ot.gromov, ot.bregman) if hasattr(module, name)]
        if not places:
            raise LookupError(f"POT has no {name}")
        for module in places:
            setattr(module, name, watch.noted(getattr(pot, name)))


def one(file, out, *, twins):
    """Run one file, in this process."""
    watch = Watch()
    if twins:
        put_twins(watch)
    pytest.main(["-q", "-p", "no:cacheprovider", "--disable-warnings", file], plugins=[watch])
    calling = {name: watch.outcomes[name] for name in watch.calling if name in watch.outcomes}
    found = {"all": Counter(watch.outcomes.values()), "calling": Counter(calling.values())}
    for end in ("failed", "skipped"):
        found[end] = sorted(name.split("::")[-1] for name, outcome in watch.outcomes.items() if outcome == end)
    out.write_text(json.dumps(found))


def count(checkout):
    """Every file, with POT and with the twins, each in a process of its own."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "test"
        # Beside the tests of a checkout lies its source, which is not what is installed.
        shutil.copytree(checkout / "test", folder)
        for file in FILES:
            for side in ("pot", "twins"):
                out = Path(name) / "out.json"
                command = [sys.executable, __file__, str(checkout), "--one", file, side, str(out)]
                subprocess.run(command, cwd=folder, env=os.environ | OTHER_BACKENDS, check=True)  # noqa: S603
                found.setdefault(file, {})[side] = json.loads(out.read_text())
    asked = subprocess.run(
        ["git", "rev-parse", "HEAD"],  # noqa: S607
        cwd=checkout,
        capture_output=True,
        text=True,
        check=True,
    )
    return {"pot": version("POT"), "commit": asked.stdout.strip(), "files": found}


def load():
    """What was counted."""
    return json.loads((FOLDER / "pot_tests.json").read_text())["result"]


def table(found):
    """As the page shows it."""

    def said(counts):
        words = {"passed": "passed", "failed": "failed", "xfailed": "expected to fail", "skipped": "skipped"}
        return ", ".join(f"{counts[key]} {word}" for key, word in words.items() if counts.get(key))

    lines = [
        f"Commit {found['commit'][:7]}, run with POT {found['pot']}:",
        "",
        "| file | POT | with the twins | of the tests that call a twin |",
        "|---|---|---|---|",
    ]
    for file, sides in found["files"].items():
        pot, twins = sides["pot"], sides["twins"]
        lines.append(f"| `{file}` | {said(pot['all'])} | {said(twins['all'])} | {said(twins['calling'])} |")
    return "\n".join(lines)


def main():
    """Command line."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("checkout", nargs="?", type=Path)
    options.add_argument("--table", action="store_true", help="write the table of what was counted into the page only")
    options.add_argument("--one", nargs=3, metavar=("FILE", "SIDE", "OUT"), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.one:
        file, side, out = given.one
        one(file, Path(out), twins=side == "twins")
        return
    if not given.table:
        if given.checkout is None:
            options.error("CHECKOUT is needed")
        save("pot_tests", count(given.checkout.resolve()))
    PAGE.write_text(
        BETWEEN.sub(lambda between: between[1] + table(load()) + "\n" + between[3], PAGE.read_text(encoding="utf-8")),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
