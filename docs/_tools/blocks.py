"""The code blocks of README and docs: found, run, and what they print and draw.

python docs/_tools/blocks.py [PAGE ...]     runs every block of these pages (all by default), and says what was not run and why; what
                                            is not run for a reason that is not written here is a failure

All Python blocks of a page run in one namespace, in a folder with the files that the pages name (`prepare`). Of the other blocks the lines
that begin with `gwrsa ` run there too. Words after the language of a block say what becomes of it:

    figure=NAME    the current figure is NAME.png, and shown on the site
    shown          what it prints is shown on the site
    raises         a ValueError ends it, whose text is printed
    needs=NAME     runs only where this is: a module, or `cuda`, `things` (with GWRSA_DOCS_THINGS set), `cluster`, `network`,
                   `studies` (two finished ones: tests/test_study_merge.py)
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^(?P<in>\s*)(?P<ticks>```+)\s*(?P<info>[^`]*)$")
# Lines of the command line that need more than the files of `prepare`.
LINE_NEEDS = (
    (re.compile(r"\$T\b"), "things"),
    (re.compile(r"/shared/|SLURM_"), "cluster"),
    (re.compile(r"--scheduler"), "cluster"),
    (re.compile(r"--device cuda"), "cuda"),
    (re.compile(r"gwrsa (extract|models --show)"), "network"),
    (re.compile(r"gwrsa spose"), "torch"),
    (re.compile(r"gwrsa merge first second"), "studies"),
)
# What a block may need that is not here, and what else runs it; whatever else is missing is a failure.
MAY_BE_MISSING = {
    "cluster": "tests/test_cluster.py, make test-slurm",
    "cuda": "benches/gpu.py, on a card",
    "network": "weights are fetched: make test-extract",
    "studies": "tests/test_study_merge.py",
    "things": "its data are not ours to hand on: tests marked things",
    "torch": "6 GB with CUDA: make test, which has it",
    "torchvision": "comes with torch: make test-extract",
}
# Commands that are not gwrsa's: what runs them instead.
OTHERS = {
    "make": "the Makefile's own verbs: CI",
    "pip": "an installation: make test-docs installs a wheel",
    "source": "an activation",
    "dask": "a cluster: tests/test_cluster.py",
    "srun": "a cluster: make test-slurm",
    "python": "a bench",
    ".venv/bin/python": "a bench",
    "git": "a clone",
    "pytest": "the tests themselves",
}


@dataclass(frozen=True)
class Block:
    """One block of code."""

    page: Path
    line: int
    """Of its first line of code, from 1."""
    language: str
    """What stands behind the fence; "" for an indented one."""
    options: dict[str, str] = field(repr=False)
    code: str = field(repr=False)

    @property
    def place(self) -> str:
        """Page and line."""
        return f"{self.page.name}:{self.line}"


def find(page: Path, text: str | None = None) -> list[Block]:
    """Every fenced or indented block of a page, in order."""
    lines = (page.read_text(encoding="utf-8") if text is None else text).splitlines()
    found: list[Block] = []
    at = 0
    while at < len(lines):
        fence = FENCE.match(lines[at])
        if fence:
            margin = len(fence["in"])
            end = next(i for i in range(at + 1, len(lines)) if lines[i].strip() == fence["ticks"])
            language, *words = fence["info"].split() or [""]
            options = dict(w.split("=", 1) if "=" in w else (w, "") for w in words)
            code = "\n".join(line[margin:] for line in lines[at + 1 : end])
            found.append(Block(page, at + 2, language, options, code))
            at = end + 1
        elif lines[at].startswith("    ") and (at == 0 or not lines[at - 1].strip()):
            end = at
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            code = "\n".join(line[4:] for line in lines[at:end]).rstrip()
            found.append(Block(page, at + 1, "", {}, code))
            at = end
        else:
            at += 1
    return found


def prepare(folder: Path) -> None:
    """The files that the pages speak of: a small simulated study, its sides under the names of the examples, triplets, labels.

    And a folder of GWTune's, with what was aligned there.
    """
    import numpy as np

    import gwrsa

    toml = gwrsa.demo.write_study(folder, n_objects=60, n_categories=6)
    parts = toml.read_text(encoding="utf-8").replace("n_starts = 12", "n_starts = 2").split("\n[[models]]\n")
    last = parts[-1][parts[-1].index("[categories]") :]
    # Two models, so that `gwrsa study` takes seconds.
    toml.write_text("\n[[models]]\n".join([parts[0], parts[1], parts[3]]) + last, encoding="utf-8")
    human = gwrsa.Embedding.load(folder / "human.npz")
    model = gwrsa.Embedding.load(folder / "clip-like_a.npz")
    triplets = gwrsa.sample_triplets(gwrsa.Embedding(4 * human.values, human.items), 6000, seed=0)
    for name, values in {
        "human": human.values,
        "human_spose66": human.values,
        "human_male": human.values,
        "human_female": model.values,
        "model": model.values,
        "clip": model.values,
        "triplets": triplets.indices,
    }.items():
        np.save(folder / f"{name}.npy", values)
    model.save(folder / "model.npz")
    gwtune = runpy.run_path(str(ROOT / "tests" / "gwtune_files.py"))
    for name, side in zip(("judged", "measured"), gwtune["sides"](), strict=True):
        np.save(folder / f"{name}.npy", side.square())
    gwtune["write"](folder / "gwtune")
    for name in ("names.txt", "unique_id.txt"):
        (folder / name).write_text("\n".join(human.items or ()) + "\n", encoding="utf-8")


def missing(need: str) -> bool:
    """Whether what a block needs is not here."""
    if need == "cuda":
        return find_spec("torch") is None or not __import__("torch").cuda.is_available()
    if need == "things":
        return "GWRSA_DOCS_THINGS" not in os.environ or not (ROOT.parent / "shared" / "data" / "things").is_dir()
    if need in {"cluster", "network", "studies"}:
        return True
    return find_spec(need) is None


class Runner:
    """Runs the blocks of one page, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, object] = {"__name__": "__page__"}
        self.left_out: list[str] = []
        self.lost: list[str] = []
        """Of what was left out that for which there is no reason."""

    def _lacks(self, need: str | None, what: str) -> bool:
        """Whether what it needs is missing, which is noted."""
        if not need or not missing(need):
            return False
        reason = MAY_BE_MISSING.get(need)
        said = f"{what} (needs {need}" + (f": {reason})" if reason else ")")
        self.left_out.append(said)
        self.lost += [] if reason else [said]
        return True

    def python(self, block: Block) -> str:
        """Run a Python block; what it printed. Its figure is in the folder."""
        if self._lacks(block.options.get("needs"), f"{block.place}: Python"):
            return ""
        code = compile("\n" * (block.line - 1) + block.code, str(block.page), "exec")
        said = io.StringIO()
        with contextlib.redirect_stdout(said), _within(self.folder), warnings.catch_warnings():
            warnings.simplefilter("error" if "warns" not in block.options else "ignore")
            try:
                exec(code, self.names)  # noqa: S102 - that is what it is for
            except ValueError as error:
                if "raises" not in block.options:
                    raise
                print(f"ValueError: {error}")
            else:
                if "raises" in block.options:
                    raise AssertionError(f"{block.place} raises nothing")
            if "figure" in block.options:
                self._save(block.options["figure"])
        return said.getvalue()

    def commands(self, block: Block) -> str:
        """Run the lines of a block that are commands of gwrsa; what they printed."""
        said = ""
        for line in block.code.replace("\\\n", " ").splitlines():
            words = line.strip()
            first = words.split(" ", 1)[0]
            if first in OTHERS:
                self.left_out.append(f"{block.place}: {words} ({OTHERS[first]})")
            if first != "gwrsa":
                continue
            need = next((n for pattern, n in LINE_NEEDS if pattern.search(words)), block.options.get("needs"))
            if self._lacks(need, f"{block.place}: {words}"):
                continue
            said += self._command(words, block)
        return said

    def run(self, block: Block) -> str:
        """Run a block of either kind; what it printed."""
        return self.python(block) if block.language == "python" else self.commands(block)

    def _command(self, words: str, block: Block) -> str:
        command = [Path(sys.executable).with_name("gwrsa"), *shlex.split(words, comments=True)[1:]]
        env = os.environ | {"MPLBACKEND": "Agg", "T": str(ROOT.parent / "shared" / "data" / "things"), "COLUMNS": "110"}
        command = [os.path.expandvars(str(c).replace("$T", env["T"])) for c in command]
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise AssertionError(
                f"{block.place}: {words}\nends with status {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done.stdout

    def _save(self, name: str) -> None:
        import matplotlib.pyplot as plt

        plt.gcf().savefig(self.folder / f"{name}.png", dpi=170, bbox_inches="tight")
        plt.close("all")


@contextlib.contextmanager
def _within(folder: Path):
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def run_page(page: Path) -> tuple[int, list[str]]:
    """Run every block of a page; how many there are, and what was left out and why."""
    n, runner = ran(page)
    return n, runner.left_out


def ran(page: Path) -> tuple[int, Runner]:
    """Run every block of a page; how many there are, and what ran them."""
    os.environ["MPLBACKEND"] = "Agg"
    blocks = find(page)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runner = Runner(folder)
        if blocks:
            prepare(folder)
        for block in blocks:
            try:
                runner.run(block)
            except Exception as error:  # noqa: PERF203 - to say which
                raise AssertionError(f"{block.place}: {type(error).__name__}: {error}") from error
        return len(blocks), runner


def pages() -> list[Path]:
    """README and the pages of the site."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def main() -> None:
    """Run the pages that are named, or all; status 1 where something was left out without a reason."""
    lost = []
    for page in [Path(p).resolve() for p in sys.argv[1:]] or pages():
        began = time.perf_counter()
        n, runner = ran(page)
        name = page.relative_to(ROOT) if page.is_relative_to(ROOT) else page
        said = f"{name}: {n} blocks, {time.perf_counter() - began:.0f} s"
        print(said, *(f"  not run: {what}" for what in runner.left_out), sep="\n", flush=True)
        lost += runner.lost
    if lost:
        sys.exit("\n".join(["left out, and not in the list of what may be (MAY_BE_MISSING):", *lost]))


if __name__ == "__main__":
    main()
