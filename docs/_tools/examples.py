"""The examples of the docstrings of all public names, run: python docs/_tools/examples.py.

Left out is what needs a package that is not here; of one that may not be missing (`blocks.MAY_BE_MISSING`) that is a failure.
"""

import contextlib
import doctest
import importlib
import inspect
import os
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path

import blocks

import gwrsa

MODULES = ("demo", "figures", "loaders", "metrics", "rdm", "report", "statistics", "store", "study", "tables")
# Packages that an example needs.
NEEDS = {"extract": "torchvision", "fit_spose": "torch", "Study": "pyarrow", "Results": "pyarrow"}
# What is returned by a name, whose example shows it.
RETURNED = {
    "Alignment": "align",
    "Chance": "chance_level",
    "GWSolution": "entropic_gw",
    "NoiseCeiling": "noise_ceiling",
    "OTSolution": "sinkhorn",
    "PairCounts": "Triplets",
    "Polished": "polish",
    "Start": "align",
}


def public():
    """Every public function and class, by its name; those of the submodules too."""
    found = {name: getattr(gwrsa, name) for name in gwrsa.__all__ if not inspect.ismodule(getattr(gwrsa, name))}
    for name in MODULES:
        module = importlib.import_module(f"gwrsa.{name}")
        for inner, thing in vars(module).items():
            if not inner.startswith("_") and getattr(thing, "__module__", None) == module.__name__:
                found.setdefault(f"{name}.{inner}" if inner not in found else inner, thing)
    return {name: thing for name, thing in found.items() if inspect.isclass(thing) or inspect.isfunction(thing)}


def bare():
    """Names of the package itself without an example of their own or of what returns them."""
    things = public()
    return [
        name
        for name, thing in things.items()
        if "." not in name and ">>>" not in _all_docs(thing) and ">>>" not in _all_docs(things.get(RETURNED.get(name)))
    ]


def run():
    """Run every example once; how many names have one, what failed in words, and what was left out."""
    finder, failed, left_out, n, seen = doctest.DocTestFinder(), [], [], 0, set()
    os.environ["MPLBACKEND"] = "Agg"
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        blocks.prepare(Path(folder))
        os.chdir(folder)
        try:
            for name, thing in public().items():
                need = NEEDS.get(name.rsplit(".", 1)[-1])
                tests = [
                    t
                    for t in finder.find(thing, name, globs={"gwrsa": gwrsa})
                    if t.examples and t.docstring not in seen
                ]
                seen |= {t.docstring for t in tests}
                if tests and need and find_spec(need) is None:
                    left_out.append(f"{name}: needs {need}")
                    continue
                for test in tests:
                    said = []
                    with warnings.catch_warnings():
                        warnings.simplefilter("error")
                        doctest.DocTestRunner(verbose=False).run(test, out=said.append)
                    n += 1
                    failed += ["".join(said)] if said else []
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.chdir(before)
    return n, failed, left_out


def lost():
    """Names whose examples are left out for a package that should be here."""
    return [
        f"{name}: needs {need}, which may not be missing"
        for name, need in NEEDS.items()
        if find_spec(need) is None and need not in blocks.MAY_BE_MISSING
    ]


def _all_docs(thing):
    if thing is None:
        return ""
    inner = [getattr(m, "__func__", m) for m in vars(thing).values()] if inspect.isclass(thing) else []
    return "\n".join(d.__doc__ or "" for d in [thing, *inner] if isinstance(getattr(d, "__doc__", None), str))


if __name__ == "__main__":
    count, wrong, missing = run()
    print(f"{count} docstrings with examples run", *(f"  not run: {what}" for what in missing), *wrong, sep="\n")
    print(*lost(), sep="\n", end="\n" if lost() else "")
    raise SystemExit(bool(wrong or lost()))
