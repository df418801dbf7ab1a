"""What all tests share: where the data are, how many examples hypothesis tries."""

import os
from pathlib import Path

# Before torch: its threads wait for each other in loops, which on shared cores takes a hundred times longer than the work.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import matplotlib as mpl
import pytest
from hypothesis import HealthCheck, settings

import hostile
import study_files

mpl.use("Agg")

settings.register_profile(
    "ci", max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "fuzz", settings.get_profile("ci"), max_examples=int(os.environ.get("GWRSA_FUZZ") or 1), derandomize=False
)
settings.load_profile("fuzz" if os.environ.get("GWRSA_FUZZ") else "ci")  # `make fuzz` says how many

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def things_dir():
    folder = DATA / "things"
    if not folder.is_dir():
        pytest.skip("the THINGS data are not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A small study, its file and its results, model against model too; to be read only."""
    folder = tmp_path_factory.mktemp("study")
    path = study_files.write(folder)
    return path, study_files.run(path, folder / "out", all_pairs=True)


@pytest.fixture(scope="session")
def longer(tmp_path_factory):
    """Folder of a study of some seconds, undisturbed."""
    folder = tmp_path_factory.mktemp("longer")
    return study_files.run(study_files.write_longer(folder), folder / "out").folder


@pytest.fixture(scope="session")
def ekman_path():
    path = DATA / "ekman1954.csv"
    if not path.is_file():
        pytest.skip("ekman1954.csv is not beside this checkout")
    return path


@pytest.fixture
def no_figure_left():
    """No figure is open before, and none stays open."""
    import matplotlib.pyplot as plt

    plt.close("all")
    yield
    plt.close("all")


def pytest_sessionfinish(session):
    """What a process of `pytest -n` counted goes to the one that prints."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["bad_input"] = hostile.COUNT


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    for what, n in getattr(node, "workeroutput", {}).get("bad_input", {}).items():
        hostile.COUNT[what] += n


def pytest_terminal_summary(terminalreporter):
    if hostile.COUNT["cases"]:
        cases, refused = hostile.COUNT["cases"], hostile.COUNT["refused"]
        terminalreporter.write_line(f"bad input: {cases} cases, {refused} refused by name")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Where `make` says that nothing may be skipped, a skip is a failure."""
    report = yield
    if report.skipped and os.environ.get("GWRSA_NO_SKIPS"):
        report.outcome = "failed"
    return report
