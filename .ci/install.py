"""Install a wheel or sdist into empty environments, and see what came with it and that it works.

python .ci/install.py dist/gwrsa-0.1.0-*.whl [--python 3.10 3.11 ...] [--all]

A version that is not there is left out, and named; with --all, or where none of them is there, that is an error.

Each environment holds nothing but pip. Afterwards it may hold numpy, scipy, pandas, tqdm, typer, what those require, and gwrsa; the wheel is
below 5 MB and brings its licences; `gwrsa doctor --no-speed` ends well; `import gwrsa` loads none of them but numpy.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ALLOWED = {"numpy", "scipy", "pandas", "tqdm", "typer", "tomli"}  # tomli: before Python 3.11
MOST_BYTES = 5_000_000
LICENCES = ["LICENSE", "THIRD_PARTY_LICENCES.txt"]
# Printed in the environment: what each package that is there requires there, without extras.
REQUIRED = """
import importlib.metadata as m, json, re
from pip._vendor.packaging.requirements import Requirement
def names(d):
    found = (Requirement(line) for line in d.requires or [])
    return [re.sub(r"[-_.]+", "-", r.name).lower() for r in found if r.marker is None or r.marker.evaluate({"extra": ""})]
print(json.dumps({re.sub(r"[-_.]+", "-", d.metadata["Name"]).lower(): names(d) for d in m.distributions()}))
"""


def interpreters(versions, *, every=False):
    """An interpreter of each version; none: this one. The versions that are not there are named, or an error if `every` is wanted."""
    if not versions:
        return {"": sys.executable}
    found = {}
    for version in versions:
        command = ["py", f"-{version}"] if os.name == "nt" else [f"python{version}"]
        if shutil.which(command[0]) is None:
            print(f"python {version}: not here")
            continue
        # Without PYENV_VERSION pyenv's commands know but one version.
        asked = subprocess.run(
            [*command, "-c", "import sys; print(sys.executable)"],
            env=os.environ | {"PYENV_VERSION": version},
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.returncode:
            print(f"python {version}: not here")
        else:
            found[version] = asked.stdout.strip()
    lost = [version for version in versions if version not in found]
    if lost and (every or not found):
        sys.exit(f"nothing is tested with python {', '.join(lost)}: not here")
    return found


def reachable(required, roots):
    """Everything that the roots require, themselves included."""
    seen, todo = set(), list(roots)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += required.get(name, [])
    return seen


def install(artefact, python):
    """In an environment of its own; raises where something is not as it should be."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        inside = Path(folder) / ("Scripts" if os.name == "nt" else "bin")
        suffix = ".exe" if os.name == "nt" else ""
        run = {"check": True, "cwd": folder, "capture_output": True, "text": True}
        own = str(inside / f"python{suffix}")
        subprocess.run(
            [own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(artefact)],
            check=True,
            cwd=folder,
        )
        required = json.loads(subprocess.run([own, "-c", REQUIRED], **run).stdout)
        direct = set(required["gwrsa"])
        extra = set(required) - reachable(required, ["gwrsa"]) - {"pip", "setuptools"}
        assert direct <= ALLOWED, f"gwrsa requires {sorted(direct - ALLOWED)}"
        assert not extra, f"installed with it: {sorted(extra)}"
        texts = sorted(path.name for path in Path(folder).glob("**/gwrsa-*.dist-info/licenses/*"))
        assert texts == LICENCES, f"licences that came with it: {texts}"
        code = "import sys, gwrsa; print(sorted({m.split('.')[0] for m in sys.modules} & set(sys.argv[1:])))"
        loaded = subprocess.run(
            [own, "-c", code, "torch", "matplotlib", "pandas", "scipy", "typer"], **run
        ).stdout.strip()
        assert loaded == "[]", f"import gwrsa loads {loaded}"
        said = subprocess.run([str(inside / f"gwrsa{suffix}"), "doctor", "--no-speed"], **run).stdout
        assert "Answers are right" in said, said
        version = subprocess.run([own, "--version"], **run).stdout.strip()
        print(
            f"{artefact.name}, {version}: {', '.join(sorted(set(required) - {'pip', 'setuptools'}))}; answers are right",
            flush=True,
        )


def main():
    """Each artefact with each Python."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("artefacts", nargs="+", type=Path)
    options.add_argument("--python", nargs="*", default=[], help="versions, such as 3.10 3.13; by default this one")
    options.add_argument("--all", action="store_true", help="a version that is not there is an error")
    given = options.parse_args()
    pythons = interpreters(given.python, every=given.all).values()
    for artefact in given.artefacts:
        size = artefact.stat().st_size
        assert size < MOST_BYTES, f"{artefact} must be below {MOST_BYTES} bytes, got {size}"
        print(f"{artefact.name}: {size / 1e6:.2f} MB")
        for python in pythons:
            install(artefact.resolve(), python)


if __name__ == "__main__":
    main()
