import subprocess
import sys

import pytest

import gwrsa


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_pulls_in_nothing_heavy():
    loaded = run("import sys, gwrsa; print(*sorted(m.split('.')[0] for m in sys.modules))").split()
    assert not {"torch", "matplotlib", "pandas", "scipy", "h5py", "tqdm"} & set(loaded)


def test_import_costs_less_than_four_tenths_of_a_second_more_than_numpy():
    code = "import time, numpy; t = time.perf_counter(); import gwrsa; print(time.perf_counter() - t)"
    assert min(float(run(code)) for _ in range(3)) < 0.4


@pytest.mark.parametrize("name", gwrsa.__all__)
def test_every_public_name_is_there(name):
    assert getattr(gwrsa, name) is not None


def test_documented_submodules_are_there_without_an_import_of_their_own():
    code = "import gwrsa; print(gwrsa.figures.study.draw, gwrsa.report.write, gwrsa.Results.open, gwrsa.tables.chosen)"
    out = run(code)
    for name in ("<function draw", "<function write", "Results.open", "<function chosen"):
        assert name in out
    assert run("from gwrsa import figures; print(figures.study.draw)").startswith("<function draw")


def test_functions_stay_functions_whatever_is_imported_first():
    out = run("import gwrsa.alignment, gwrsa.compare, gwrsa; print(callable(gwrsa.align), callable(gwrsa.rsa))")
    assert out.split() == ["True", "True"]


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = gwrsa.nonsense


def test_version_is_that_of_the_package():
    from importlib.metadata import version

    assert gwrsa.__version__ == version("gwrsa")
