"""What `make test-docs` does not run it names with its reason; without one that is a failure."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[1] / "docs" / "_tools"


@pytest.fixture
def tools(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    return import_module("blocks"), import_module("examples")


def run(page, text):
    page.write_text(text)
    command = [sys.executable, TOOLS / "blocks.py", page]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_may_be_missing_is_left_out_with_its_reason(tmp_path):
    done = run(tmp_path / "page.md", "Text.\n\n```python needs=cluster\n1 / 0\n```\n\n    gwrsa merge first second\n")
    assert done.returncode == 0, done.stderr
    assert "not run: page.md:4: Python (needs cluster: tests/test_cluster.py, make test-slurm)" in done.stdout
    assert "not run: page.md:7: gwrsa merge first second (needs studies: tests/test_study_merge.py)" in done.stdout


def test_what_may_not_be_missing_is_a_failure(tmp_path):
    text = "Text.\n\n```python needs=cluster\n1 / 0\n```\n\n```python needs=no_such_module\n1 / 0\n```\n"
    done = run(tmp_path / "page.md", text)
    assert done.returncode == 1
    assert "not run: page.md:8: Python (needs no_such_module)" in done.stdout
    head, *lost = done.stderr.splitlines()
    assert "not in the list of what may be" in head
    assert lost == ["page.md:8: Python (needs no_such_module)"]


def test_examples_that_need_a_package_of_the_extras_may_not_be_left_out(tools, monkeypatch):
    _, examples = tools
    monkeypatch.setattr(examples, "find_spec", lambda _: None)
    assert examples.lost() == [f"{name}: needs pyarrow, which may not be missing" for name in ("Study", "Results")]
    monkeypatch.setattr(examples, "find_spec", lambda name: None if name.startswith("torch") else name)
    assert examples.lost() == []


def test_what_a_page_may_do_without_is_known(tools):
    blocks, _ = tools
    needs = {
        block.options["needs"] for page in blocks.pages() for block in blocks.find(page) if "needs" in block.options
    }
    assert needs <= {*blocks.MAY_BE_MISSING, "rsatoolbox"}
    assert {need for _, need in blocks.LINE_NEEDS} <= set(blocks.MAY_BE_MISSING)
