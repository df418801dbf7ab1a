"""The torch backend against the Rust one: the same starts, steps, basins and plans; batches, memory, tensors, devices."""

import gc
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import gwrsa
from gwrsa.backends.torch import descent, devices, memory
from gwrsa.backends.torch import problem as torch_problem
from gwrsa.backends.torch.operator import Operator
from gwrsa.solve import build_problem
from problems import asymmetric, distances, points, weights

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


def embeddings(n=60, m=50):
    return gwrsa.Embedding(points(n, 5, 1)), gwrsa.Embedding(points(m, 6, 2))


def related(n=90):
    x = points(n, 5, 1)
    return gwrsa.Embedding(x), gwrsa.Embedding(x + 0.4 * np.random.default_rng(3).standard_normal(x.shape))


COSTS = {
    "dense": lambda: (distances(30, seed=1), distances(25, seed=2)),
    "asymmetric": lambda: (asymmetric(30, 1), asymmetric(25, 2)),
    "factored": embeddings,
    "exchanged": lambda: embeddings()[::-1],
    "half": lambda: (embeddings()[0], distances(25, seed=2)),
}


# Agreement


@pytest.mark.parametrize("zeros", [0, 4])
@pytest.mark.parametrize("costs", COSTS)
@pytest.mark.parametrize("precision", ["mixed", "float64"])
def test_plan_and_loss_are_those_of_the_core(precision, costs, zeros, device):
    c1, c2 = COSTS[costs]()
    p, q = weights(len(c1), 1, zeros), weights(len(c2), 2, zeros // 2)
    # Bent sides have no closed way to the end; a fifth of the critical epsilon is well inside the interesting range.
    epsilon = 0.2 * build_problem(c1, c2, p, q).critical_epsilon()
    args = {"epsilon": epsilon, "init": "random", "seed": 5, "precision": precision}
    rust = gwrsa.entropic_gw(c1, c2, p, q, **args)
    ours = gwrsa.entropic_gw(c1, c2, p, q, **args, backend="torch", device=device)
    loss, plan = {"mixed": (1e-5, 1e-3), "float64": (1e-9, 1e-9)}[precision]
    assert ours.status == rust.status == "converged"
    assert ours.gw_loss == pytest.approx(rust.gw_loss, rel=loss)
    assert ours.objective == pytest.approx(rust.objective, rel=loss)
    assert np.abs(ours.plan - rust.plan).sum() < plan
    assert np.array_equal(ours.top(1), rust.top(1))
    if precision == "float64":
        assert (ours.n_outer, ours.n_sinkhorn) == (rust.n_outer, rust.n_sinkhorn)
        assert ours.path[0] == pytest.approx(rust.path[0], rel=1e-3)
        f, g = ours.potentials
        for one, two in zip((f, g), rust.potentials, strict=True):
            some = np.isfinite(two)
            assert np.array_equal(some, np.isfinite(one))
            assert np.allclose(one[some], two[some], atol=1e-6)


@pytest.mark.parametrize("precision", ["mixed", "float64"])
def test_a_search_goes_the_same_way(precision, device):
    source, target = related()
    args = {"progress": False, "precision": precision, "seed": 2, "n_starts": 9}
    rust, ours = (
        gwrsa.align(source, target, **args, backend=backend, device=where)
        for backend, where in (("rust", None), ("torch", device))
    )
    told = ["init", "status", "merged_into", "stopped_by", "epsilon"]
    assert ours.table[told].equals(rust.table[told])
    assert ours.table["merged_into"].notna().any()
    assert ours.table["stopped_by"].notna().any()
    tight = {"mixed": 1e-3, "float64": 1e-9}[precision]
    assert np.allclose(ours.table["gw_loss"], rust.table["gw_loss"], rtol=tight)
    assert ours.lowest_loss.number == rust.lowest_loss.number
    if precision == "float64":
        assert ours.table["n_outer"].equals(rust.table["n_outer"])


@pytest.mark.things
def test_human_and_network_are_aligned_the_same(things_dir, device):
    human, clip = (
        gwrsa.Embedding.load(things_dir / f"{name}.npy").rdm() for name in ("human_spose66", "model_clip_vitb32")
    )
    clip = clip.match_histogram(human)
    args = {"epsilon": 5e-3, "init": "random", "tol": 1e-5}
    rust = gwrsa.entropic_gw(human, clip, **args)
    ours = gwrsa.entropic_gw(human, clip, **args, backend="torch", device=device)
    assert ours.gw_loss == pytest.approx(rust.gw_loss, rel=1e-5)
    assert np.abs(ours.plan - rust.plan).sum() < 1e-3


# Batches


def solve(problem, epsilons, **settings):
    args = {"precision": "float64", "tol": 1e-9, "max_outer": 300, "max_sinkhorn": 1000}
    args |= {"level_tol": 1e-2, "level_max_outer": 25, "threads": 0}
    starts = [(("random", 1, i), list(e) if isinstance(e, tuple) else [e]) for i, e in enumerate(epsilons)]
    return problem.solve(starts, **(args | settings))


def small(device):
    return build_problem(*embeddings(), backend="torch", device=device)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_start_ends_the_same_in_any_batch(size, device, monkeypatch):
    problem = small(device)
    critical = problem.critical_epsilon()
    epsilons = [share * critical for share in (0.1, 0.5, 0.2, 1.3, 0.15, 0.3, 0.1)]
    alone = [solve(problem, [e])[0] for e in epsilons[:1]]
    monkeypatch.setattr(torch_problem.memory, "batch_size", lambda *_: size)
    seen = []
    ends = solve(problem, epsilons, done=lambda i, end: seen.append((i, end.gw_loss)))
    assert sorted(seen) == [(i, end.gw_loss) for i, end in enumerate(ends)]
    assert ends[0].gw_loss == pytest.approx(alone[0].gw_loss, rel=1e-12)
    core = solve(build_problem(*embeddings()), epsilons)
    for ours, rust in zip(ends, core, strict=True):
        assert (ours.status, ours.n_outer, ours.epsilon) == (rust.status, rust.n_outer, rust.epsilon)
        assert np.abs(ours.plan() - rust.plan()).sum() < 1e-9


def test_what_runs_out_of_memory_is_done_in_smaller_batches(device, monkeypatch):
    problem, sizes = small(device), []
    epsilons = [share * problem.critical_epsilon() for share in (0.2, 0.5, 0.3, 0.25, 0.4)]
    wanted = solve(problem, epsilons)
    monkeypatch.setattr(torch_problem.memory, "batch_size", lambda *_: 4)
    step = descent.Batch._step  # noqa: SLF001

    def limited(self):
        sizes.append(len(self.tasks))
        # In the middle of the way, when some of the batch has ended and more has come in.
        if len(self.tasks) > 2 and len(sizes) > 12:
            raise torch.OutOfMemoryError("as if")
        step(self)

    monkeypatch.setattr(descent.Batch, "_step", limited)
    ends = solve(problem, epsilons)
    assert {4, 2} <= set(sizes)
    for one, two in zip(ends, wanted, strict=True):
        assert one.gw_loss == pytest.approx(two.gw_loss, rel=1e-12)
        assert one.n_outer == two.n_outer


def test_a_kernel_that_does_not_fit_is_made_smaller(device, monkeypatch):
    problem, empty = small(device), torch.empty
    epsilons = [share * problem.critical_epsilon() for share in (0.2, 0.5, 0.3, 0.25, 0.4)]
    wanted = solve(problem, epsilons)
    monkeypatch.setattr(torch_problem.memory, "batch_size", lambda *_: 5)

    def limited(*size, **how):
        if len(size) == 3 and size[0] > 1:
            raise torch.OutOfMemoryError("as if")
        return empty(*size, **how)

    monkeypatch.setattr(torch, "empty", limited)
    for one, two in zip(solve(problem, epsilons), wanted, strict=True):
        assert one.gw_loss == pytest.approx(two.gw_loss, rel=1e-12)


@pytest.mark.parametrize("full", [False, True])
def test_nothing_is_held_of_a_batch_that_has_ended(full, device, monkeypatch):
    """The memory of a card is no reason for Python to look for circles."""
    problem, batches, before = small(device), [], []
    made, step = descent.Batch.__init__, descent.Batch._step  # noqa: SLF001

    def noted(self, *parts):
        before.append(sum(batch() is not None for batch in batches))
        made(self, *parts)
        batches.extend([weakref.ref(self), weakref.ref(self.scaling)])

    def limited(self):
        if full and len(self.tasks) > 1:
            raise torch.OutOfMemoryError("as if")
        step(self)

    monkeypatch.setattr(descent.Batch, "__init__", noted)
    monkeypatch.setattr(descent.Batch, "_step", limited)
    monkeypatch.setattr(torch_problem.memory, "batch_size", lambda *_: 4)
    critical = problem.critical_epsilon()
    gc.disable()
    try:
        solve(problem, [(0.5 * critical, 0.3 * critical)] * 4)
        solve(problem, [0.5 * critical] * 4)
        left = sum(batch() is not None for batch in batches)
    finally:
        gc.enable()
    assert len(before) >= 3
    assert (set(before), left) == ({0}, 0)


def test_what_never_fits_says_what_it_needs(device, monkeypatch):
    def full(self):
        raise torch.OutOfMemoryError("as if")

    monkeypatch.setattr(descent.Batch, "_step", full)
    with pytest.raises(
        MemoryError, match=r"a start of 60 x 50 objects needs .* GB on (cpu|cuda:0), where .* GB are free"
    ):
        solve(small(device), [0.1, 0.1])


@pytest.mark.parametrize("costs", ["dense", "factored"])
def test_memory_is_counted_before_it_is_taken(costs, device):
    problem = build_problem(*COSTS[costs](), backend="torch", device=device)
    operator = problem.operator(torch.float32)
    kernel = torch.empty(3, operator.n, operator.m, device=device)
    batch = descent.Batch(operator, problem.weights(torch.float32), kernel, 100)
    batch.anderson = descent.Anderson(batch.x)
    found = {}

    def tensors(part):
        for value in vars(part).values():
            if isinstance(value, torch.Tensor) and len(value) == 3:
                found[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()

    for part in (batch, batch.exponents, batch.scaling, batch.momentum, batch.forecast, batch.anderson):
        tensors(part)
    held = sum(found.values()) / 3
    assert 0.5 * memory.start_bytes(operator) < held <= memory.start_bytes(operator)


def test_a_card_is_filled_and_not_overfilled(monkeypatch):
    operator = small("cpu").operator(torch.float32)
    monkeypatch.setattr(operator, "device", torch.device("cuda"))
    one, evaluation, waiting = (
        count(operator) for count in (memory.start_bytes, memory.evaluation_bytes, memory.state_bytes)
    )
    for free in (1e6, 1e7):
        monkeypatch.setattr(memory.devices, "free_memory", lambda _, free=free: free)
        for others in (0, int(0.2 * free / waiting)):
            taken = memory.batch_size(operator, others) * one + evaluation + others * waiting
            assert 0.8 * free < taken < 0.95 * free
    assert memory.batch_size(operator, int(1e9)) == 1
    monkeypatch.setattr(memory.devices, "free_memory", lambda _: 1e12)
    assert memory.batch_size(operator, 0) == 1024


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_batch_on_a_card_keeps_within_what_was_counted():
    source, target = embeddings(1500, 1400)
    problem = build_problem(source, target, backend="torch", device="cuda")
    solve(problem, [0.1], precision="mixed", tol=1e-4)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    solve(problem, [0.01] * 8, precision="mixed", tol=1e-6, max_outer=60)
    operator = problem.operator(torch.float32)
    counted = 8 * memory.start_bytes(operator) + memory.evaluation_bytes(operator)
    assert torch.cuda.max_memory_allocated() - before < counted


# The state of torch, and devices


def test_settings_of_torch_are_put_back_and_do_not_matter(device):
    source, target = embeddings()
    args = {"epsilon": 0.02, "init": "random", "backend": "torch", "device": device, "threads": 1}
    wanted = gwrsa.entropic_gw(source, target, **args).plan
    threads = torch.get_num_threads()
    try:
        torch.set_float32_matmul_precision("medium")
        torch.set_num_threads(2)
        found = gwrsa.entropic_gw(source, target, **args).plan
        assert torch.get_float32_matmul_precision() == "medium"
        assert torch.get_num_threads() == 2
    finally:
        torch.set_float32_matmul_precision("highest")
        torch.set_num_threads(threads)
    assert np.array_equal(found, wanted)


def test_plans_and_targets_are_derived_in_float32_too(device, monkeypatch):
    source, target = embeddings()
    end = gwrsa.entropic_gw(source, target, epsilon=0.02, init="random", backend="torch", device=device)
    seen = []

    def watched(method):
        return lambda *a: seen.append(torch.get_float32_matmul_precision()) or method(*a)

    for name in ("rows", "columns"):
        monkeypatch.setattr(Operator, name, watched(getattr(Operator, name)))
    try:
        torch.set_float32_matmul_precision("medium")
        assert end.plan.shape == (len(source), len(target))
        assert end.top(3).shape == (len(source), 3)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert len(seen) >= 2
    assert set(seen) == {"highest"}


def test_settings_are_put_back_when_the_last_of_several_solves_ends(device):
    place = torch.device(device)
    one, other = devices.settled(place, 1, 1), devices.settled(place, 1, 1)
    # A thread each: whether gradients are kept is a setting of the thread.
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        try:
            torch.set_float32_matmul_precision("medium")
            first.submit(one.__enter__).result()
            second.submit(other.__enter__).result()
            first.submit(one.__exit__, None, None, None).result()
            assert torch.get_float32_matmul_precision() == "highest"
            second.submit(other.__exit__, None, None, None).result()
            assert torch.get_float32_matmul_precision() == "medium"
        finally:
            torch.set_float32_matmul_precision("highest")
    assert torch.is_grad_enabled()


def test_a_solve_on_the_cpu_creates_no_cuda_context():
    code = """
import numpy as np, gwrsa, torch
x = np.random.default_rng(0).standard_normal((30, 4))
gwrsa.entropic_gw(gwrsa.Embedding(x), gwrsa.Embedding(x), epsilon=0.1, backend="torch")
gwrsa.align(gwrsa.Embedding(x), gwrsa.Embedding(x), n_starts=2, backend="torch", device="cpu", progress=False)
assert not torch.cuda.is_initialized()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_without_torch_it_is_said_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("gwrsa.backends.torch")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(gwrsa.backends, "torch", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"pip install 'gwrsa\[torch\]'"):
        gwrsa.entropic_gw(distances(5), distances(5), epsilon=0.1, backend="torch")


# Tensors


@pytest.mark.parametrize("backend", ["auto", "rust", "torch"])
def test_tensors_come_back_as_tensors(backend, device):
    c1, c2 = distances(12, seed=1), distances(10, seed=2)
    p, init = weights(12, 1), np.outer(weights(12, 1), np.full(10, 0.1))
    wanted = gwrsa.entropic_gw(c1, c2, p, epsilon=0.3, init=init)
    one, two = (torch.tensor(c, device=device, requires_grad=True) for c in (c1, c2))
    given = {"p": torch.tensor(p, device=device), "init": torch.tensor(init)}
    end = gwrsa.entropic_gw(one, two, **given, epsilon=0.3, backend=backend)
    arrays = (end.plan, *end.potentials, end.top(3))
    assert all(isinstance(x, torch.Tensor) and x.device.type == device for x in arrays)
    assert end.plan.dtype == torch.float64
    assert np.abs(end.plan.cpu().numpy() - wanted.plan).sum() < 1e-3
    assert np.array_equal(end.top(3).cpu().numpy(), wanted.top(3))
    assert gwrsa.matching_rate(end.plan[:10, :10].contiguous() + 0, 1) == gwrsa.matching_rate(wanted.plan[:10, :10], 1)
    # With one tensor, or none, they are arrays of numpy.
    assert isinstance(gwrsa.entropic_gw(one, c2, epsilon=0.3, backend=backend).plan, np.ndarray)


def test_tensors_of_any_number_type_are_read_and_sparse_ones_refused():
    c = np.abs(np.subtract.outer(np.arange(6), np.arange(6)))
    wanted = gwrsa.entropic_gw(c, c, epsilon=0.5).plan
    for dtype in (torch.int32, torch.float16, torch.bfloat16, torch.float32):
        end = gwrsa.entropic_gw(torch.tensor(c).to(dtype), torch.tensor(c).to(dtype), epsilon=0.5)
        assert np.array_equal(end.plan.numpy(), wanted)
    with pytest.raises(ValueError, match=r"a tensor must be dense, got layout torch.sparse_coo"):
        gwrsa.entropic_gw(torch.tensor(c).to_sparse(), c, epsilon=0.5)
    with pytest.raises(ValueError, match=r"c1 must be finite, got nan at \(0, 1\)"):
        gwrsa.entropic_gw(torch.tensor([[0.0, np.nan], [1.0, 0.0]]), c, epsilon=0.5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_tensors_on_two_devices_are_refused():
    c = torch.tensor(distances(5))
    with pytest.raises(ValueError, match="c2 must be on the device of c1, 'cpu', got a tensor on 'cuda:0'"):
        gwrsa.entropic_gw(c, c.cuda(), epsilon=0.1)


# Command line


def test_command_line_solves_with_torch(tmp_path):
    from gwrsa.cli import app

    source, target = related(40)
    for name, side in (("a", source), ("b", target)):
        np.save(tmp_path / f"{name}.npy", side.values)
    shown = {}
    for backend in ("rust", "torch"):
        out = tmp_path / backend
        command = ["align", str(tmp_path / "a.npy"), str(tmp_path / "b.npy"), "--starts", "3", "--precision", "float64"]
        command += ["--backend", backend, "--device", "cpu", "--no-progress", "--out", str(out)]
        ran = CliRunner().invoke(app, command, catch_exceptions=False)
        assert ran.exit_code == 0, ran.output
        shown[backend] = np.genfromtxt(out / "results.csv", delimiter=",", names=True, dtype=None, encoding="utf-8")
    assert np.allclose(shown["torch"]["gw_loss"], shown["rust"]["gw_loss"], rtol=1e-9)
    with pytest.raises(ValueError, match="device must be None, 'cpu', 'cuda' or 'cuda:N', got 'gpu'"):
        CliRunner().invoke(app, [*command[:3], "--device", "gpu"], catch_exceptions=False)
