"""Licences of what gwrsa is made of and of what it needs, as they state them: docs/licences.md.

python .ci/licences.py [--check]      writes the page; --check: fails where it says something else, or where a licence is not one of `ALLOWED`

Rust crates: those that are linked into the wheel on any platform, from `cargo metadata`. Python packages: those of the core install, with what they
require, from their metadata in this environment.
"""

import argparse
import importlib.metadata as metadata
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "licences.md"
# Those of deny.toml, no more and no fewer; a crate under several takes any one of these.
ALLOWED = {
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "Unicode-3.0",
    "Zlib",
}
# More of what packages say of themselves, without parentheses, for Python: nothing of it is linked into the wheel.
ALLOWED_PYTHON = ALLOWED | {
    "0BSD",
    "Apache Software License",
    "BSD",
    "BSD License",
    "CC0-1.0",
    "CNRI-Python",
    "ISC",
    "ISC License ISCL",
    "MIT License",
    "MPL-2.0",
    "Mozilla Public License 2.0 MPL 2.0",
    "PSF-2.0",
    "Python Software Foundation License",
}
HEAD = """# Licences

gwrsa is under the [MIT licence](../LICENSE). Made by `python .ci/licences.py` from what crates and packages say of themselves; CI checks it, with `cargo deny` and `pip-audit`.

"""


def crates():
    """Name, versions and licence of every crate that is linked, by name."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--manifest-path", str(ROOT / "Cargo.toml")]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    packages = {p["id"]: p for p in told["packages"]}
    nodes = {n["id"]: n for n in told["resolve"]["nodes"]}
    todo, seen = [p["id"] for p in told["packages"] if p["name"] == "gwrsa-py"], set()
    while todo:
        one = todo.pop()
        if one in seen:
            continue
        seen.add(one)
        # Those of tests and of the build alone are not linked.
        todo += [d["pkg"] for d in nodes[one]["deps"] if any(kind["kind"] is None for kind in d["dep_kinds"])]
    rows = {}
    for one in seen:
        p = packages[one]
        if not p["name"].startswith("gwrsa"):
            rows.setdefault(p["name"], (set(), p["license"] or "none"))[0].add(p["version"])
    return [(name, ", ".join(sorted(versions)), licence) for name, (versions, licence) in sorted(rows.items())]


def packages():
    """Name and licence of what the core install brings."""
    todo, rows = ["numpy", "scipy", "pandas", "tqdm", "typer"], {}
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if name in rows:
            continue
        try:
            dist = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # of another platform or Python
            continue
        rows[name] = licence(dist.metadata)
        todo += [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in dist.requires or [] if "extra ==" not in line]
    return sorted(rows.items())


def licence(told):
    """The expression, the classifiers, or the first line of the text."""
    named = [c.rpartition(" :: ")[2] for c in told.get_all("Classifier") or [] if c.startswith("License :: ")]
    text = (told.get("License") or "").strip().splitlines()
    return (
        told.get("License-Expression")
        or " AND ".join(x for x in named if x != "OSI Approved")
        or (text[0] if text else "none")
    )


def fits(expression, allowed):
    """Whether everything that has to be accepted is allowed, by one of what may be chosen."""
    parts = re.split(r"\s+AND\s+", re.sub(r"[()]", "", expression.replace("/", " OR ")))
    return all(any(x.strip() in allowed for x in re.split(r"\s+OR\s+", part)) for part in parts)


def page():
    """The whole page, and what is not allowed."""
    rust, python = crates(), packages()
    bad = [f"{name}: {text}" for name, _, text in rust if not fits(text, ALLOWED)]
    bad += [f"{name}: {text}" for name, text in python if not fits(text, ALLOWED_PYTHON)]
    lines = [
        HEAD + f"## Linked into the wheel: {len(rust)} Rust crates\n",
        "| crate | version | licence |",
        "|---|---|---|",
    ]
    lines += [f"| {name} | {version} | {text} |" for name, version, text in rust]
    lines += [f"\n## Installed with it: {len(python)} Python packages\n", "| package | licence |", "|---|---|"]
    lines += [f"| {name} | {text} |" for name, text in python]
    lines += ["\nThe extras bring more: `pip-licenses` in an environment that has them lists it."]
    return "\n".join(lines) + "\n", bad


def main():
    """Write or check."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--check", action="store_true")
    given = options.parse_args()
    text, bad = page()
    if bad:
        sys.exit("not allowed: " + "; ".join(bad))
    if not given.check:
        PAGE.write_text(text, encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8").partition("## Installed")[0] != text.partition("## Installed")[0]:
        # Python packages differ from one environment to another; the crates are those of Cargo.lock.
        sys.exit(f"{PAGE} is not what `python .ci/licences.py` makes")


if __name__ == "__main__":
    main()
