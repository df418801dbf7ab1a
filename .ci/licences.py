"""Licences of what gwrsa is made of and of what it needs: docs/licences.md and THIRD_PARTY_LICENCES.txt.

python .ci/licences.py [--check]      writes both; --check: fails where one says something else, or where a licence is not one of those of deny.toml

The page lists what crates and packages say of themselves. Rust crates: those that are linked into a wheel or used while it is built, from `cargo tree`.
Python packages: those of the core install, with what they require, from their metadata in this environment.

The text file goes into the wheel: the licence of every crate that is linked, as its own files give it.
"""

import argparse
import importlib.metadata as metadata
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "licences.md"
TEXTS = ROOT / "THIRD_PARTY_LICENCES.txt"
DENY = tomllib.loads((ROOT / "deny.toml").read_text(encoding="utf-8"))
# What wheels are built for.
TARGETS = DENY["graph"]["targets"]
# A crate under several takes any one of these.
ALLOWED = set(DENY["licenses"]["allow"])
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
# Files of a crate that are its licence, or belong to it.
NAMED = re.compile(r"(un)?licen[cs]e|copying|copyright|notice", re.IGNORECASE)
# What is in the text of a licence; a crate has to bring the text of one that it may be taken under.
MARKS = {
    "MIT": "Permission is hereby granted, free of charge, to any person obtaining a copy",
    "BSD-2-Clause": "Redistributions in binary form must reproduce the above copyright notice",
    "Apache-2.0": "Apache License Version 2.0, January 2004",
}
# Crates that do not bring their MIT licence: its copyright line, from LICENSE in their repository at the commit they were published from. The
# version is named, for the next one has to be looked at.
LEFT_OUT = {
    "equator 0.2.2": "Copyright (c) 2023 sarah",
    "faer 0.24.4": "Copyright (c) 2026 sarah quiñones el kazdadi",
    "faer-traits 0.24.0": "Copyright (c) 2026 sarah quiñones el kazdadi",
    "nano-gemm 0.2.2": "Copyright (c) 2024 sarah el kazdadi",
    "nano-gemm-c32 0.2.1": "Copyright (c) 2024 sarah el kazdadi",
    "nano-gemm-c64 0.2.1": "Copyright (c) 2024 sarah el kazdadi",
    "nano-gemm-core 0.2.1": "Copyright (c) 2024 sarah el kazdadi",
    "nano-gemm-f32 0.2.1": "Copyright (c) 2024 sarah el kazdadi",
    "nano-gemm-f64 0.2.1": "Copyright (c) 2024 sarah el kazdadi",
    "pulp-wasm-simd-flag 0.1.1": "Copyright (c) 2021 sarah",
}
HEAD = """# Licences

gwrsa is under the [MIT licence](../LICENSE). Made by `python .ci/licences.py` from what crates and packages say of themselves; CI checks it, with `cargo deny` and `pip-audit`.

The licence texts of what is linked are in [THIRD_PARTY_LICENCES.txt](../THIRD_PARTY_LICENCES.txt), made by the same command; it goes into the wheel, beside gwrsa's own licence. faer has parts that were ported from
Eigen (MPL-2.0), LAPACK and SuiteSparse (BSD-3-Clause); their texts are there too.

"""
TEXTS_HEAD = """Licences of what is linked into gwrsa._core

gwrsa is under the licence in LICENSE. Its extension module holds the Rust crates below, each under the licence that is named; the texts follow. A wheel
holds those of its platform: Linux, macOS or Windows. The source of each crate is published at the address beside it.

The Rust standard library is linked too, and with it crates of the Rust toolchain (addr2line, gimli, hashbrown, miniz_oxide, rustc-demangle and others).
They are taken under the Apache License, Version 2.0, whose text is below. Copyright: The Rust Project Developers (see https://thanks.rust-lang.org)
and the authors of those crates.

Made by `python .ci/licences.py` from Cargo.lock and the files that the crates bring; a text that several bring is given once.
"""
RULE = "=" * 100 + "\n"


def cargo(*words):
    """What a command of cargo prints."""
    command = ["cargo", *words, "--locked", "--manifest-path", str(ROOT / "Cargo.toml")]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True).stdout


def reached(edges):
    """Name and version of every crate that the extension module reaches on one of `TARGETS`, with the features that it is built with."""
    targets = [word for target in TARGETS for word in ("--target", target)]
    lines = cargo("tree", "-p", "gwrsa-py", "-e", edges, "--prefix", "none", "-f", "{p}", *targets).splitlines()
    found = {" ".join(line.split()[:2]).replace(" v", " ") for line in lines if line.strip()}
    return {one for one in found if not one.startswith("gwrsa-")}


def crates():
    """The crates that are linked, and those that are used while it is built, each as cargo describes it."""
    told = json.loads(cargo("metadata", "--format-version", "1"))
    # Old crates write OR as a slash.
    spdx = [p | {"license": (p["license"] or "none").replace("/", " OR ")} for p in told["packages"]]
    known = {f"{p['name']} {p['version']}": p for p in spdx}
    linked = reached("normal,no-proc-macro")
    return [[known[one] for one in sorted(some)] for some in (linked, reached("normal,build") - linked)]


def table(some):
    """A row for each name."""
    rows = {}
    for p in some:
        rows.setdefault(p["name"], (p["license"], []))[1].append(p["version"])
    lines = [f"| {name} | {', '.join(versions)} | {text} |" for name, (text, versions) in sorted(rows.items())]
    return ["| crate | version | licence |", "|---|---|---|", *lines]


def alike(text):
    """A text without its line breaks and indents, by which copies of it differ."""
    return " ".join(text.split())


def own_texts(crate):
    """The licence files of a crate, by name."""
    files = sorted(path for path in Path(crate["manifest_path"]).parent.iterdir() if NAMED.match(path.name))
    found = {path.name: path.read_text(encoding="utf-8") for path in files}
    name = f"{crate['name']} {crate['version']}"
    if name in LEFT_OUT:
        found["LICENSE"] = re.sub("^Copyright .*", LEFT_OUT[name], (ROOT / "LICENSE").read_text(), count=1, flags=re.M)
    marks = [mark for licence, mark in MARKS.items() if licence in re.split(r"[ ()]+", crate["license"])]
    if not any(mark in alike(text) for mark in marks for text in found.values()):
        sys.exit(f"{name} brings no text of {crate['license']}: look it up in {crate['repository']}, for `LEFT_OUT`")
    return found


def texts(linked):
    """The whole text file."""
    covers = {}
    for crate in linked:
        for file, text in own_texts(crate).items():
            covers.setdefault(alike(text), (text, []))[1].append(f"{crate['name']} {crate['version']} ({file})")
    parts = [f"{p['name']} {p['version']}: {p['license']}, {p['repository'] or p['homepage']}" for p in linked]
    parts = [TEXTS_HEAD, "\n".join(parts) + "\n"]
    for text, names in covers.values():
        whose = textwrap.fill(", ".join(names), 100, break_on_hyphens=False)
        lines = "\n".join(line.rstrip() for line in text.strip("\n").split("\n"))
        parts.append(f"{RULE}{whose}\n{RULE}\n{lines}\n")
    return "\n".join(parts)


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


def page(linked, used):
    """The whole page, and what is not allowed."""
    python = packages()
    bad = [f"{p['name']}: {p['license']}" for p in linked + used if not fits(p["license"], ALLOWED)]
    bad += [f"{name}: {text}" for name, text in python if not fits(text, ALLOWED_PYTHON)]
    lines = [HEAD + f"## Linked into the wheel: {len(linked)} Rust crates\n", *table(linked)]
    lines += [f"\n## Used while it is built: {len(used)} Rust crates\n", *table(used)]
    lines += [f"\n## Installed with it: {len(python)} Python packages\n", "| package | licence |", "|---|---|"]
    lines += [f"| {name} | {text} |" for name, text in python]
    lines += ["\nThe extras bring more: `pip-licenses` in an environment that has them lists it."]
    return "\n".join(lines) + "\n", bad


def main():
    """Write or check."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--check", action="store_true")
    given = options.parse_args()
    linked, used = crates()
    text, bad = page(linked, used)
    if bad:
        sys.exit("not allowed: " + "; ".join(bad))
    for path, new in ((PAGE, text), (TEXTS, texts(linked))):
        if not given.check:
            path.write_text(new, encoding="utf-8")
        elif path.read_text(encoding="utf-8").partition("## Installed")[0] != new.partition("## Installed")[0]:
            # Python packages differ from one environment to another; the crates are those of Cargo.lock.
            sys.exit(f"{path} is not what `python .ci/licences.py` makes")


if __name__ == "__main__":
    main()
