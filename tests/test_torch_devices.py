"""What a solve needs of torch whatever was set outside: the card it is on, float32 products, no autocast; and what it puts back."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch

import gwrsa
from gwrsa.backends.torch import devices, graphs
from gwrsa.solve import build_problem
from problems import points

MATMUL = {
    name: library
    for name, library in (
        ("cuda", torch.backends.cuda.matmul),
        ("mkldnn", getattr(torch.backends.mkldnn, "matmul", None)),
    )
    if hasattr(library, "fp32_precision")
}
CARDS = torch.cuda.device_count()
needs_card = pytest.mark.skipif(not CARDS, reason="needs a CUDA device")


def sides(n=60, m=50):
    return gwrsa.Embedding(points(n, 5, 1)), gwrsa.Embedding(points(m, 6, 2))


def solved(device="cpu"):
    return gwrsa.entropic_gw(*sides(), epsilon=0.02, init="random", backend="torch", device=device, threads=1)


# The card


class Noted:
    """Stands for `torch.cuda.device`: the cards that were entered."""

    def __init__(self):
        self.now, self.seen = [], []

    @contextmanager
    def __call__(self, device):
        self.now.append(str(device))
        self.seen.append(str(device))
        yield
        self.now.pop()


@pytest.fixture
def noted(monkeypatch):
    found = Noted()
    monkeypatch.setattr(torch.cuda, "device", found)
    return found


def test_a_solve_is_on_the_card_that_was_named(noted):
    with devices.settled(torch.device("cuda:1"), 1, 1):
        assert noted.now == ["cuda:1"]
    assert noted.now == []


def test_on_a_cpu_no_card_is_entered(noted):
    end = solved()
    assert end.plan.shape == (60, 50)
    assert end.top(2).shape == (60, 2)
    assert noted.seen == []


def test_a_card_without_a_number_is_the_present_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    assert devices.numbered(torch.device("cuda")) == torch.device("cuda:3")
    assert devices.numbered(torch.device("cuda:1")) == torch.device("cuda:1")
    monkeypatch.delattr(torch.cuda, "current_device")
    assert devices.numbered(torch.device("cpu")) == torch.device("cpu")


class Graph:
    """Stands for a captured graph."""

    def __init__(self):
        self.replays = 0

    def replay(self):
        self.replays += 1


@pytest.fixture
def captures(monkeypatch):
    """What `torch.cuda.graph` is told."""
    told = []

    @contextmanager
    def graph(made, *, stream, capture_error_mode):
        told.append((stream, capture_error_mode))
        try:
            yield
        except BaseException:  # noqa: BLE001
            raise RuntimeError("a capture was broken off")  # noqa: B904

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: f"a stream of {device}")
    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(graphs, "_streams", {})
    return told


def test_a_graph_is_captured_on_a_stream_of_its_card(captures):
    for card in ("cuda:1", "cuda:0", "cuda:1"):
        repeated, done = graphs.Repeated(3, torch.device(card)), []
        for _ in range(4):
            repeated(lambda: done.append(1))  # noqa: B023
        # Twice done, once captured; from then on replayed.
        assert len(done) == 9
        assert repeated.graph.replays == 2
    assert captures == [(f"a stream of {card}", "thread_local") for card in ("cuda:1", "cuda:0", "cuda:1")]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("as if"), KeyboardInterrupt()])
def test_what_breaks_a_capture_off_is_what_is_raised(captures, error):
    repeated, now = graphs.Repeated(1, torch.device("cuda:0")), []

    def work():
        if now:
            raise error

    repeated(work)
    repeated(work)
    now.append(1)
    with pytest.raises(type(error)):
        repeated(work)
    assert repeated.graph is None


@pytest.mark.skipif(CARDS < 2, reason="needs two CUDA devices")
def test_a_second_card_solves_as_the_first():
    one, two = (solved(f"cuda:{i}") for i in range(2))
    assert two.status == "converged"
    assert one.gw_loss == pytest.approx(two.gw_loss, rel=1e-6)
    assert np.abs(one.plan - two.plan).sum() < 1e-5
    assert torch.cuda.current_device() == 0


@needs_card
def test_graphs_give_the_bits_of_the_work_they_repeat(monkeypatch):
    def ends():
        problem = build_problem(*sides(300, 280), backend="torch", device="cuda")
        epsilon = 0.05 * problem.critical_epsilon()
        args = {"precision": "mixed", "tol": 1e-5, "max_outer": 60, "max_sinkhorn": 1000, "threads": 0}
        starts = [(("random", 1, i), [epsilon]) for i in range(3)]
        found = problem.solve(starts, level_tol=1e-2, level_max_outer=25, **args)
        return [(end.n_outer, end.n_sinkhorn, end.gw_loss, end.plan()) for end in found]

    captured, capture = [], graphs.Repeated._captured  # noqa: SLF001

    def noted(self, work):
        captured.append(capture(self, work))
        return captured[-1]

    monkeypatch.setattr(graphs.Repeated, "_captured", noted)
    by_graph = ends()
    assert captured
    monkeypatch.setattr(graphs.Repeated, "__call__", lambda self, work: self._all(work))
    for one, two in zip(by_graph, ends(), strict=True):
        assert one[:3] == two[:3]
        assert np.array_equal(one[3], two[3])


# Products


def state():
    """Of the attributes, of the older setting once they do not contradict it, and of both together."""
    attributes = {name: library.fp32_precision for name, library in MATMUL.items()}
    if not attributes:
        return torch.get_float32_matmul_precision()
    for library in MATMUL.values():
        library.fp32_precision = "ieee"
    older = torch.get_float32_matmul_precision()
    for name, library in MATMUL.items():
        library.fp32_precision = attributes[name]
    return attributes, older


@pytest.fixture
def put_back():
    """How torch multiplies is put back after a test."""
    before = {name: library.fp32_precision for name, library in MATMUL.items()}
    yield
    torch.set_float32_matmul_precision("highest")
    for name, library in MATMUL.items():
        library.fp32_precision = before[name]
    if MATMUL:
        torch.backends.fp32_precision = "none"


SETTINGS = {
    "older, high": lambda: torch.set_float32_matmul_precision("high"),
    "older, medium": lambda: torch.set_float32_matmul_precision("medium"),
    "older, of cuda": lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
}
if MATMUL:
    SETTINGS |= {
        "of cuda": lambda: setattr(MATMUL["cuda"], "fp32_precision", "tf32"),
        "of mkldnn, tf32": lambda: setattr(MATMUL["mkldnn"], "fp32_precision", "tf32"),
        "of mkldnn, bf16": lambda: setattr(MATMUL["mkldnn"], "fp32_precision", "bf16"),
        "of all": lambda: setattr(torch.backends, "fp32_precision", "tf32"),
        "older, then of cuda": lambda: (
            torch.set_float32_matmul_precision("medium"),
            setattr(MATMUL["cuda"], "fp32_precision", "ieee"),
        ),
    }


@pytest.mark.parametrize("setting", SETTINGS)
def test_products_are_float32_however_torch_was_told_otherwise(setting, put_back):
    wanted = solved()
    SETTINGS[setting]()
    before = state()
    with devices.settled(torch.device("cpu"), 1, 1):
        assert torch.get_float32_matmul_precision() == "highest"
        assert all(library.fp32_precision == "ieee" for library in MATMUL.values())
    assert state() == before
    found = solved()
    assert np.array_equal(found.plan, wanted.plan)
    assert found.gw_loss == wanted.gw_loss
    assert np.array_equal(found.top(3), wanted.top(3))
    assert state() == before


@pytest.mark.skipif(not MATMUL, reason="this torch has only the older setting")
def test_what_follows_a_setting_for_all_goes_on_following_it(put_back):
    for library in MATMUL.values():  # whatever was set before
        library.fp32_precision = "none"
    torch.backends.fp32_precision = "tf32"
    assert MATMUL["cuda"].fp32_precision == "tf32"
    solved()
    torch.backends.fp32_precision = "ieee"
    assert MATMUL["cuda"].fp32_precision == "ieee"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_an_autocast_outside_does_not_matter(dtype):
    wanted = solved()
    with torch.autocast("cpu", dtype=dtype):
        found = solved()
        plan, top = found.plan, found.top(3)
        assert torch.is_autocast_enabled("cpu")
    assert (found.gw_loss, found.n_outer) == (wanted.gw_loss, wanted.n_outer)
    assert np.array_equal(plan, wanted.plan)
    assert np.array_equal(top, wanted.top(3))
