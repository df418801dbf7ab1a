"""What is shipped: the requirements of the core install, the licences, the files that build and publish it."""

import ast
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import gwrsa
from gwrsa import machine

ROOT = Path(__file__).resolve().parents[1]


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_core_install_requires_no_more_than_it_says():
    lines = [line for line in metadata.requires("gwrsa") if "extra ==" not in line]
    names = {re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines}
    assert names == {"numpy", "scipy", "pandas", "tqdm", "typer", "tomli"} == script("install").ALLOWED
    assert next(line for line in lines if line.startswith("tomli")).endswith('python_full_version < "3.11"') or any(
        line.startswith("tomli") and "3.11" in line for line in lines
    )


def test_doctor_tells_of_every_extra_that_is_not_for_developers():
    extras = set(metadata.metadata("gwrsa").get_all("Provides-Extra"))
    assert extras - set(machine.GIVES) == {"bench", "dev", "docs", "notebook", "test-extract"}
    assert set(machine.GIVES) <= extras


@pytest.mark.parametrize(
    ("expression", "good"),
    [
        ("MIT", True),
        ("MIT OR Apache-2.0", True),
        ("MIT/Apache-2.0", True),
        ("GPL-3.0-only OR MIT", True),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", True),
        ("Apache-2.0 WITH LLVM-exception OR MIT", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
        ("Unlicense OR MIT", True),
        ("Unlicense", False),
        ("GPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("none", False),
    ],
)
def test_a_licence_is_allowed_or_not(expression, good):
    licences = script("licences")
    assert licences.fits(expression, licences.ALLOWED) == good


needs_cargo = pytest.mark.skipif(shutil.which("cargo") is None, reason="needs cargo")


@needs_cargo
def test_the_list_of_licences_is_that_of_the_lock_file():
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "licences.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@needs_cargo
@pytest.mark.parametrize(
    ("line", "instead"),
    [(r"^rayon \S+:", "rayon 0.0.0:"), (r"^rayon .*\n", ""), (r"^Copyright \(c\) 2023 sarah$", "")],
)
def test_licence_texts_of_other_crates_are_refused(tmp_path, monkeypatch, line, instead):
    licences = script("licences")
    text, n = re.subn(line, instead, licences.TEXTS.read_text(encoding="utf-8"), count=1, flags=re.MULTILINE)
    assert n == 1
    (tmp_path / "other.txt").write_text(text, encoding="utf-8")
    monkeypatch.setattr(licences, "TEXTS", tmp_path / "other.txt")
    monkeypatch.setattr(sys, "argv", ["licences.py", "--check"])
    with pytest.raises(SystemExit, match=r"other\.txt is not what"):
        licences.main()


def test_every_crate_whose_licence_is_shipped_is_that_of_the_lock_file_and_has_a_text():
    tomllib = pytest.importorskip("tomllib")
    text = (ROOT / "THIRD_PARTY_LICENCES.txt").read_text(encoding="utf-8")
    named = set(re.findall(r"^([\w-]+ \d\S+): .+, https://", text, re.MULTILINE))
    locked = {f"{p['name']} {p['version']}" for p in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]}
    assert {name.split()[0] for name in named} >= {"faer", "gemm", "numpy", "pyo3", "rayon"}
    assert named <= locked
    assert named <= set(re.findall(r"([\w-]+ \d\S+) \(\w", re.sub(r"\s+", " ", text)))
    # Nothing of the machine that made it.
    assert not re.search(r"/home/|/root/|\.cargo|registry|[A-Z]:\\", text, re.IGNORECASE)


@pytest.mark.parametrize(
    ("files", "good"),
    [
        ({}, False),
        ({"README.md": "Permission is hereby granted, free of charge, to any person obtaining a copy"}, False),
        ({"COPYING.OTHER": "Redistributions in binary form must reproduce the above copyright notice"}, False),
        ({"license-mit": "Permission is hereby granted, free of charge, to any\n  person obtaining a copy"}, True),
        ({"LICENSE-APACHE": "Apache License\n  Version 2.0, January 2004", "COPYRIGHT": "a"}, True),
    ],
)
def test_a_crate_has_to_bring_its_licence(tmp_path, files, good):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    crate = {"name": "some", "version": "1.0.0", "license": "MIT OR Apache-2.0", "repository": "https://some.where"}
    crate |= {"manifest_path": str(tmp_path / "Cargo.toml")}
    if good:
        assert script("licences").own_texts(crate) == files
    else:
        with pytest.raises(SystemExit, match=r"some 1\.0\.0 brings no text of MIT OR Apache-2\.0.*https://some\.where"):
            script("licences").own_texts(crate)


def test_licence_texts_go_into_the_wheel():
    tomllib = pytest.importorskip("tomllib")
    files = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license-files"]
    assert files == script("install").LICENCES
    assert all((ROOT / name).is_file() for name in files)


def test_the_citation_is_of_this_version():
    assert f"\nversion: {gwrsa.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_workflows_name_what_is_there():
    yaml = pytest.importorskip("yaml")
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        jobs = yaml.safe_load(path.read_text())["jobs"]
        steps = [step for job in jobs.values() for step in job["steps"]]
        commands = "\n".join(step.get("run", "") for step in steps)
        named = re.findall(r"(?:\.ci|tests|benches|docs)/[\w./-]*\w", commands)
        assert all((ROOT / name).exists() for name in named), path.name
        assert all(re.fullmatch(r"[\w-]+/[\w./-]+@\S+", step["uses"]) for step in steps if "uses" in step)
        for verb in re.findall(r"\bmake ([\w-]+)", commands):
            assert re.search(rf"^{verb}:", (ROOT / "Makefile").read_text(), re.MULTILINE), verb
        # A Python that a workflow sets up and does not find is an error there.
        assert all("--all" in line for line in commands.splitlines() if "install.py" in line and "--python" in line)


def jobs(name):
    """When a workflow runs, and its jobs."""
    yaml = pytest.importorskip("yaml")
    found = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())
    return found[True], found["jobs"]  # YAML's "on" is a truth


def commands(job):
    return [line.strip() for step in job["steps"] for line in step.get("run", "").splitlines()]


def test_faults_of_every_extra_but_those_with_torch_are_asked_for():
    when, found = jobs("audit")
    assert "schedule" in when
    (install,) = (line for line in commands(found["python"]) if line.startswith("pip install"))
    extras = set(re.search(r"\[([\w,-]+)\]", install)[1].split(","))
    large = {
        extra for extra, *parts in machine.extras() if any(p.split()[0] == "torch" for part in parts for p in part)
    }
    assert large == {"torch", "extract"}
    assert extras == set(machine.GIVES) - large


def test_code_of_the_pages_is_run_from_a_wheel_at_every_change():
    when, found = jobs("ci")
    assert {"push", "pull_request"} <= set(when)
    assert ["make test-docs"] in [commands(job) for job in found.values()]
    recipe = (ROOT / "Makefile").read_text().partition("\ntest-docs:")[2].partition("\n\n")[0]
    assert "[study,h5,rsatoolbox,dask]" in recipe
    assert all(f"docs/_tools/{name}.py" in recipe for name in ("blocks", "examples"))


def test_links_to_other_places_are_asked_for_once_a_week():
    when, found = jobs("audit")
    assert "schedule" in when
    assert ["make docs-links"] in [commands(job) for job in found.values()]


def collected(paths):
    """Packages that test files, and what they import of the files beside them, need to be collected."""
    todo, seen, out = list(paths), set(), set()
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                whole = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                for name in (full.partition(".")[0] for full in whole):
                    beside = ROOT / "tests" / f"{name}.py"
                    todo += [beside] if beside.exists() else []
                    out |= set() if beside.exists() else {name}
    return out - set(sys.stdlib_module_names) - {"gwrsa"}


def test_what_the_tests_of_a_wheel_import_is_installed_with_it():
    yaml = pytest.importorskip("yaml")
    steps = yaml.safe_load((ROOT / ".github" / "workflows" / "wheels.yml").read_text())["jobs"]["wheel"]["steps"]
    (commands,) = (step["run"].splitlines() for step in steps if "pytest tests/" in step.get("run", ""))
    (install,), (run,) = ([line for line in commands if part in line] for part in ("pip install", "pytest tests/"))
    extras = set(re.search(r"\[([\w,]+)\]", install)[1].split(","))
    given = {re.split(r"[=<>]", word, maxsplit=1)[0].lower() for word in shlex.split(install)}
    for line in metadata.requires("gwrsa"):
        extra = re.search(r"extra == ['\"]([\w-]+)", line)
        if extra is None or extra[1] in extras:
            given.add(re.split(r"[^\w.-]", line, maxsplit=1)[0].lower())
    files = [ROOT / word for word in run.split() if word.startswith("tests/")]
    needed = collected([*files, ROOT / "tests" / "conftest.py"])
    assert {"numpy", "pytest", "hypothesis"} <= needed
    assert needed <= given


def test_solves_are_tested_where_torch_is_not(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    spec = importlib.util.spec_from_file_location("solvers_alone", ROOT / "tests" / "solvers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    skipped = {param.id: any(mark.args[0] for mark in param.marks) for param in module.SOLVERS}
    assert skipped == {"rust": False, "torch-cpu": True}


@pytest.mark.skipif(sys.platform == "win32", reason="what finds a Python is another program there")
def test_a_python_that_is_not_there_is_named_and_where_all_are_wanted_an_error(tmp_path, monkeypatch, capsys):
    install = script("install")
    (tmp_path / "python3.98").write_text("#!/bin/sh\necho here\n")
    (tmp_path / "python3.98").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert install.interpreters(["3.98", "3.99"]) == {"3.98": "here"}
    assert "python 3.99: not here" in capsys.readouterr().out
    for versions, every in ((["3.98", "3.99"], True), (["3.99"], False)):
        with pytest.raises(SystemExit, match=r"python 3\.99: not here"):
            install.interpreters(versions, every=every)
    assert install.interpreters([], every=True) == {"": sys.executable}


def test_the_page_of_rsatoolbox_shows_what_was_measured(monkeypatch):
    pytest.importorskip("threadpoolctl")
    monkeypatch.syspath_prepend(str(ROOT / "benches"))
    import vs_rsatoolbox as bench

    measured = bench.load()
    assert bench.table(measured) in bench.PAGE.read_text()
    rows = measured["result"]["methods"]
    assert set(rows) == {"corr", "cosine", "spearman", "rho-a", "kendall", "tau-a"}
    assert measured["result"]["objects"] == 1854
    assert all(max(row["difference"], row["tied"]) < 1e-10 for row in rows.values())


def test_the_page_of_pot_shows_what_was_measured(monkeypatch):
    pytest.importorskip("ot")
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(ROOT / "benches"))
    import pot_calls as bench

    measured = bench.load()
    assert bench.told(measured) in bench.PAGE.read_text(encoding="utf-8")
    rows = measured["result"]["calls"]
    # Each function, those that end in 2 with their gradients.
    assert {row["name"] for row in rows} == set(gwrsa.pot.__all__) == {name for _, name, _, _ in bench.calls()}
    assert all(("backward" in row["call"]) == row["name"].endswith("2") for row in rows)
    assert all(row["gwrsa"]["loss"] == pytest.approx(row["pot"]["loss"], rel=1e-5) for row in rows)
    assert re.fullmatch("[0-9a-f]{16}", measured["result"]["core"])


@pytest.mark.parametrize(
    ("load", "said"),
    [
        (
            0.1,
            "On 2 cores of an X that did nothing else (load 0.1 before). Gradients of `sinkhorn2` differ by 2e-07 of",
        ),
        (1.9, "On 2 cores of an X under load (1.9 before): of the times only their ratio says something. Gradients of"),
    ],
)
def test_the_page_of_pot_says_what_else_the_machine_did(monkeypatch, load, said):
    pytest.importorskip("ot")
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(ROOT / "benches"))
    import pot_calls as bench

    side = {"seconds": 0.5, "loss": 0.25, "marginal_error": None}
    row = {"call": "`sinkhorn2`", "name": "sinkhorn2", "n": 9, "pot": side, "gwrsa": side, "plans_apart": None}
    result = {"load_before": load, "calls": [row | {"gradients_apart": 2e-7}]}
    text = bench.told({"result": result, "machine": {"cores": 2, "processor": "X"}})
    assert text.startswith(said)
    assert text.endswith("| `sinkhorn2` | 9 | 0.50 | 0.50 | 1.0 | 0.25000000 | 0.25000000 |  |  |  |")
