"""The pieces of the torch backend, each against its slow twin."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gwrsa.backends.torch import kernels, relaxation
from gwrsa.backends.torch.ahead import Ahead
from gwrsa.backends.torch.anderson import Anderson
from gwrsa.backends.torch.combination import closest_combination, sample
from gwrsa.backends.torch.forecast import Forecast
from gwrsa.backends.torch.graphs import Repeated
from gwrsa.backends.torch.momentum import Momentum
from gwrsa.backends.torch.relaxation import Relaxation, adapted
from gwrsa.backends.torch.sinkhorn import CONVERGED, Scaling, Weights

CPU = torch.device("cpu")


def case(b=3, n=37, m=53, dtype=torch.float32):
    """A batch in which one start is plain, one relaxed, one not active, and an object has no weight."""
    rng = torch.Generator().manual_seed(1)
    p = torch.rand(n, generator=rng, dtype=torch.float64)
    p[5] = 0
    p /= p.sum()
    return {
        "kernel": torch.randn(b, n, m, generator=rng, dtype=dtype),
        "p": kernels.Side.of(p, dtype),
        "u": torch.rand(b, n, generator=rng, dtype=dtype) * (p > 0),
        "v": torch.rand(b, m, generator=rng, dtype=dtype),
        "omega": torch.tensor([[1.0], [1.7], [1.3]], dtype=dtype),
        "active": torch.tensor([[True], [True], [False]]),
        "sums": torch.zeros(b, m, dtype=torch.float64),
    }


def slow(given, *, first):
    """By loops, in float64."""
    kernel, p, u, v, omega = (
        x.double().numpy() for x in (given["kernel"], given["p"].exact, given["u"], given["v"], given["omega"])
    )
    if first:
        kernel = np.exp(kernel)
    new, sums, errors = u.copy(), np.zeros((len(u), kernel.shape[2])), np.zeros(len(u))
    for s in range(len(u)):
        for i in range(len(p)):
            held = u[s, i] * (kernel[s, i] @ v[s])
            if given["active"][s]:
                new[s, i] = 0 if p[i] == 0 else u[s, i] * (p[i] / held) ** omega[s, 0]
            errors[s] += abs(held - p[i]) if omega[s, 0] != 1 else 0
            sums[s] += new[s, i] * kernel[s, i]
    return new, sums, errors


def check_passes(module):
    """Also run by Triton's interpreter."""
    for first in (False, True):
        given = case()
        if not first:
            given["kernel"].exp_()
        new, sums, errors = slow(given, first=first)
        error = (module.first_sweep if first else module.sweep_rows)(**given)
        assert np.allclose(given["u"].numpy(), new, rtol=1e-5), first
        assert np.allclose(given["sums"][:2].numpy(), sums[:2], rtol=1e-5)
        assert np.allclose(error[:2].numpy(), errors[:2], rtol=1e-4)
        if first:
            assert torch.allclose(given["kernel"][:2], case()["kernel"][:2].exp(), rtol=1e-5)


def test_a_sweep_is_its_loop():
    check_passes(kernels)


def test_fused_passes_are_their_twins_in_the_interpreter():
    pytest.importorskip("triton")
    code = "import test_torch_kernels as t; from gwrsa.backends.torch import fused; t.check_passes(fused)"
    env = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": str(Path(__file__).parent)}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False, timeout=300
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_fused_passes_are_their_twins_on_a_card(first, dtype):
    fused = pytest.importorskip("gwrsa.backends.torch.fused")

    def there(given):
        side = given["p"]
        moved = {name: x.cuda() for name, x in given.items() if name != "p"}
        return moved | {"p": kernels.Side(*(None if x is None else x.cuda() for x in side))}

    one, two = there(case(n=500, m=700, dtype=dtype)), there(case(n=500, m=700, dtype=dtype))
    name = "first_sweep" if first else "sweep_rows"
    errors = [getattr(module, name)(**given)[:2] for module, given in ((kernels, one), (fused, two))]
    assert torch.allclose(*errors, rtol=1e-4)
    for key in ("u", "sums"):
        assert torch.allclose(one[key][:2], two[key][:2], rtol=1e-5)


def test_tiny_entries_become_zero():
    x = torch.tensor([[[-200.0, -80.0, -60.0, 0.0]]])
    kernels.exponentiate(x)
    assert x[0, 0, :2].tolist() == [0, 0]
    assert x[0, 0, 2:].tolist() == pytest.approx([np.exp(-60.0), 1])


def test_omega_follows_from_the_rate_of_plain_sweeps():
    omega = torch.tensor([1.0, 1.0, 2 / 1.1, 2 / 1.1], dtype=torch.float64)
    rate = torch.tensor([0.99, 0.5, 2 / 1.1 - 1, 1.2], dtype=torch.float64)
    found = adapted(omega, rate)
    assert found[:3].tolist() == pytest.approx([2 / 1.1, 1.0, 2 / 1.1])
    assert found[3] < 2 / 1.1


def test_starts_of_a_batch_are_relaxed_each_for_itself():
    tol = torch.full((2,), 1e-9, dtype=torch.float64)
    both, one = Relaxation(2, CPU), Relaxation(1, CPU)
    seen, alone = [], []
    for k in range(40):
        slow_, fast = 0.97**k, 0.5**k
        active = torch.tensor([True, k % 2 == 0])
        seen.append(both.next(torch.tensor([slow_, fast], dtype=torch.float64), tol, active)[0].item())
        alone.append(one.next(torch.tensor([slow_], dtype=torch.float64), tol[:1], active[:1])[0].item())
    assert seen == alone
    assert seen[0] == 1
    assert max(seen) > 1.5
    # The other converges fast, and is left alone.
    assert both.omega[1] == 1


def test_the_closest_combination_is_least_squares():
    rng = np.random.default_rng(0)
    vectors, goal = rng.standard_normal((2, 3, 20)), rng.standard_normal((2, 20))
    gram, products = vectors @ vectors.transpose(0, 2, 1), np.einsum("bke,be->bk", vectors, goal)
    found = closest_combination(torch.tensor(gram), torch.tensor(products), 1e-12).numpy()
    for b in range(2):
        assert np.allclose(found[b], np.linalg.lstsq(vectors[b].T, goal[b], rcond=None)[0], rtol=1e-8)
    # What is not known, a length of 0, counts for nothing; what is no number neither.
    gram[0, 2] = gram[0, :, 2] = products[0, 2] = 0
    gram[1, 0, 0] = np.nan
    found = closest_combination(torch.tensor(gram), torch.tensor(products), 1e-12).numpy()
    assert found[0, 2] == 0
    assert np.allclose(found[0, :2], np.linalg.lstsq(vectors[0, :2].T, goal[0], rcond=None)[0], rtol=1e-8)
    assert (found[1] == 0).all()


def test_a_sample_has_whole_rows():
    x = torch.arange(2 * 10 * 3).view(2, 10, 3)
    assert torch.equal(sample(x, 100), x.flatten(1))
    assert torch.equal(sample(x, 10), x[:, ::3].flatten(1))


def test_anderson_solves_a_linear_map_in_as_many_steps_as_it_has_rates():
    rates = torch.tensor([0.99, 0.9, 0.5, -0.3], dtype=torch.float64)[None, :, None]
    x = torch.tensor([[1.0, -2.0, 3.0, 4.0], [5.0, 5.0, 5.0, 5.0]], dtype=torch.float64)[:, :, None]
    anderson = Anderson(x)
    for step in range(9):
        # The second begins later, and is not extrapolated before.
        slots = [slot for slot, late in enumerate((0, 2)) if step >= late]
        assert all(anderson.takes(slot, 1e-4) for slot in slots)
        x = anderson.advance(x, rates * x + 1, slots)
    assert torch.allclose(x, (1 / (1 - rates)).expand_as(x), atol=1e-5)


def test_anderson_forgets_when_the_change_has_grown():
    anderson = Anderson(torch.zeros(1, 2, 2))
    assert not anderson.takes(0, 0.02)
    assert anderson.takes(0, 0.009)
    assert not anderson.takes(0, 0.019)
    # It begins closer to the end from now on: at 0.3 of the least.
    assert not anderson.takes(0, 0.0028)
    assert anderson.takes(0, 0.0026)


def test_anderson_leaves_a_change_that_no_longer_falls_to_plain_steps():
    anderson = Anderson(torch.zeros(2, 2, 2))
    assert sum(anderson.takes(0, 0.002) for _ in range(10)) == 10
    assert not anderson.takes(0, 0.002)
    assert not anderson.takes(0, 0.0007)
    assert anderson.takes(0, 0.0005)
    # One that falls slowly is none, and each start has a change of its own.
    assert all(anderson.takes(1, 0.009 * 0.96**k) for k in range(200))


def steps_to_the_end(rates, begin, *, accelerated):
    rates = torch.tensor(rates, dtype=torch.float64)[None, :, None]
    x = torch.tensor(begin, dtype=torch.float64)[None, :, None].repeat(2, 1, 1)
    momentum, change = Momentum(x), torch.full((2,), 0.1, dtype=torch.float64)
    for step in range(1, 1000):
        g = rates * x
        if (g - x)[0].abs().max() < 1e-3:
            return step
        x = momentum.advance(x, g, change, torch.tensor([accelerated, False]))
        # The second start never goes farther.
        assert torch.equal(x[1], g[1])
    return 1000


def test_a_straight_way_takes_fewer_steps():
    rates, begin = [0.98, 0.9, 0.5, 0.1, 0.0], [1.0, 0.2, 0.2, 0.2, 0.2]
    plain, accelerated = (steps_to_the_end(rates, begin, accelerated=way) for way in (False, True))
    assert plain > 100
    assert 2 * accelerated < plain


def test_momentum_grows_on_a_straight_way_and_is_taken_away_by_a_turn():
    x = torch.zeros(1, 2, 1, dtype=torch.float64)
    momentum, here = Momentum(x), torch.tensor([True])
    right, up = torch.tensor([[[1.0], [0.0]]]).double(), torch.tensor([[[0.0], [1.0]]]).double()

    def beyond(by, change=0.1):
        nonlocal x
        image = x + by
        x = momentum.advance(x, image, torch.tensor([change]).double(), here)
        return (x - image).flatten().tolist()

    # Images at 1, 2, 3 1/4: shares 0, 1/4, 2/5 of the moves between them.
    assert [beyond(right) for _ in range(3)] == [[0, 0], [0.25, 0], [0.5, 0]]
    assert [beyond(up) for _ in range(2)] == [[0, 0], [0, 0.25]]
    # Neither while the plan is formed, nor as the first step of another way; of a start that failed nothing is left.
    assert beyond(up, 0.3) == [0, 0]
    assert beyond(up) != [0, 0]
    momentum.clear(here)
    momentum.image.fill_(torch.nan)
    assert beyond(up) == [0, 0]


def test_potentials_that_follow_linearly_are_foretold():
    def there(a, b):
        return torch.tensor([[[a, 0.0], [0.0, b]]], dtype=torch.float64)

    def potentials(x):
        a, b = x[0, 0, 0], x[0, 1, 1]
        f = torch.stack([3 * a - b, torch.tensor(-np.inf, dtype=torch.float64)])
        return f[None], torch.stack([a + 2 * b, b, torch.ones_like(a)])[None]

    forecast = Forecast(there(0.0, 0.0), 5)
    x = torch.zeros(1, 2, 2, dtype=torch.float64)
    assert (forecast.shift(x) == 0).all()
    for a, b in [(9.0, 9.0), (0.0, 0.0), (1.0, 0.2), (1.5, 1.0)]:
        # The batch goes on in the same tensor.
        x.copy_(there(a, b))
        forecast.learn(x, potentials(x))
    x.copy_(there(2.5, 2.0))
    assert torch.allclose(forecast.shift(x), torch.tensor([2.0, 0, 3, 1, 0], dtype=torch.float64), atol=1e-2)
    forecast.clear(0)
    assert (forecast.shift(x) == 0).all()


def test_work_is_repeated():
    done = []
    repeated = Repeated(3, CPU)
    repeated(lambda: done.append(1))
    repeated.forget()
    repeated(lambda: done.append(1))
    assert len(done) == 6


def test_results_are_made_ahead_in_their_order():
    begun, go = [], threading.Event()

    def call(i):
        begun.append(i)
        assert go.wait(30)
        return i

    def failing(_):
        raise MemoryError

    with Ahead([lambda i=i: call(i) for i in range(10)], 2**29) as ahead:
        assert not ahead.ready()
        go.set()
        with pytest.raises(MemoryError):
            ahead.take(failing)
        assert [ahead.take(lambda i: 10 * i) for _ in range(4)] == [0, 10, 20, 30]
    # Two fit beside those that were taken.
    assert max(begun) <= 5


def test_what_has_no_weight_has_no_kernel_that_could_overflow():
    p, q = (torch.tensor(w, dtype=torch.float64) for w in ([0.5, 0.0, 0.5], [0.0, 0.25, 0.75]))

    class Rising:
        """Exponents that rise by hundreds where there is no weight."""

        high = -300.0

        def fill(self, out, at, rows, f, g):
            last = 3 - self.high / 100
            m = torch.tensor([[self.high, 0, last], [self.high] * 3, [self.high, -2, last]], dtype=torch.float64)
            out.copy_((m + f[:, :, None] + g[:, None])[at, rows])

    exponents = Rising()
    scaling = Scaling(torch.empty(1, 3, 3), Weights.of(p, q, torch.float32), exponents)
    for high in (-300.0, 300.0):
        exponents.high = high
        ended, _, _ = scaling.project(torch.tensor([1e-6], dtype=torch.float64), 100)
        assert ended == [CONVERGED]
        assert not scaling.kernel[0, 1].any()
        assert not scaling.kernel[0, :, 0].any()
        assert (scaling.u[0] @ scaling.kernel[0] @ scaling.v[0]).item() == pytest.approx(1, abs=1e-5)
        f, g = scaling.potentials()
        assert f[0, 1] == g[0, 0] == -torch.inf


class Smooth:
    """Exponents that need some sweeps."""

    def fill(self, out, _, rows, f, g):
        i, j = torch.meshgrid(torch.arange(f.shape[1]), torch.arange(g.shape[1]), indexing="ij")
        out.copy_((3 * torch.sin(i * 1.3 + 2.0 * j) + f[:, :, None] + g[:, None])[:, rows])


def projected(b=3, n=12, m=9):
    """A batch after a projection; an object has no weight."""
    p, q = torch.arange(n, dtype=torch.float64), torch.ones(m, dtype=torch.float64)
    scaling = Scaling(torch.empty(b, n, m), Weights.of(p / p.sum(), q / q.sum(), torch.float32), Smooth())
    project(scaling)
    return scaling


def project(scaling):
    return scaling.project(torch.full((len(scaling.kernel),), 1e-6, dtype=torch.float64), 100)


def test_all_that_a_graph_touches_stays_where_it_is():
    """A tensor that took the place of another would be left out by every replay, without a word."""
    scaling = projected()
    b, n, m = scaling.kernel.shape
    # Held, so that nothing new can come to lie where one was.
    parts = [("", scaling), ("relaxation.", scaling.relaxation)]
    before = {
        at + name: (x, x.data_ptr(), x.shape, x.stride())
        for at, part in parts
        for name, x in vars(part).items()
        if isinstance(x, torch.Tensor)
    }
    assert {"kernel", "u", "v", "sums", "omega", "ended", "relaxation.omega", "relaxation.plain"} <= set(before)
    for again in range(3):
        scaling._burst(scaling._sweep_once)  # noqa: SLF001
        # What happens between two replays.
        scaling.shift(torch.full((b, n + m), 0.01, dtype=torch.float64), torch.tensor([True, False, True]))
        scaling.load(again, None if again else (scaling.f[0], scaling.g[0]), 0.9)
        assert set(project(scaling)[0]) == {CONVERGED}
        for at, part in parts:
            for name, x in vars(part).items():
                if isinstance(x, torch.Tensor):
                    held, *place = before[at + name]
                    assert (x.data_ptr(), x.shape, x.stride()) == tuple(place), at + name
                    assert x.data_ptr() == held.data_ptr()


class Unasked(TorchDispatchMode):
    """The host may not look at what is computed: on a card that cannot be captured."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        assert name not in {"_local_scalar_dense", "is_nonzero", "nonzero", "equal", "_to_copy"} or (
            name == "_to_copy" and (kwargs or {}).get("device") is None
        ), name
        return func(*args, **(kwargs or {}))


def test_a_sweep_on_a_card_does_not_ask_the_host(monkeypatch):
    scaling = projected()
    with Unasked(), pytest.raises(AssertionError, match="_local_scalar_dense"):
        bool(scaling.error.sum() > 0)
    for module in (kernels, relaxation):
        monkeypatch.setattr(module, "perhaps", lambda _: True)
    scaling.ended.zero_()
    with Unasked():
        scaling._sweep_once()  # noqa: SLF001


def test_column_sums_are_added_up_in_their_own_precision(monkeypatch):
    """Torch makes a copy of what it adds up in another."""
    fused = pytest.importorskip("gwrsa.backends.torch.fused")
    given, told = case(n=37), []

    class Launched:
        def __getitem__(self, grid):
            assert grid == (3, 3)
            return self.launch

        def launch(self, *args, **_):
            told.extend(x for x in args if isinstance(x, torch.Tensor))
            partial, errors = told[-2:]
            partial.fill_(0.5)
            errors.fill_(0.25)

    monkeypatch.setattr(fused, "_sweep", Launched())
    error = fused.sweep_rows(**given)
    partial, errors = told[-2:]
    assert partial.shape == (3, 3, 53)
    assert partial.dtype == errors.dtype == given["sums"].dtype == torch.float64
    assert (given["sums"] == 1.5).all()
    assert (error == 0.75).all()
