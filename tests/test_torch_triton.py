"""Where Triton is there and does not work: it is tried once on a card, before the first solve."""

import sys
import types
import warnings

import pytest
import torch

import gwrsa
from gwrsa.backends.torch import kernels

CARD = torch.device("cuda:1")


@pytest.fixture
def triton(monkeypatch):
    """What stands for `fused`, of which nothing is known yet; it is tried on the CPU."""
    fake = types.ModuleType("gwrsa.backends.torch.fused")
    fake.first_sweep = kernels.first_sweep
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    monkeypatch.setattr(gwrsa.backends.torch, "fused", fake, raising=False)
    monkeypatch.setattr(kernels, "_chosen", {})
    monkeypatch.delenv("GWRSA_TRITON", raising=False)
    tried, settled = kernels.tried, kernels.settled
    monkeypatch.setattr(kernels, "tried", lambda passes, _: tried(passes, torch.device("cpu")))
    monkeypatch.setattr(kernels, "settled", lambda _, *how: settled(torch.device("cpu"), *how))
    return fake


def test_passes_that_work_are_taken(triton, monkeypatch):
    calls = []
    monkeypatch.setattr(triton, "first_sweep", lambda *a: calls.append(1) or kernels.first_sweep(*a))
    assert kernels.chosen(CARD) is kernels.chosen(CARD) is triton
    # Tried once.
    assert len(calls) == 1
    monkeypatch.setenv("GWRSA_TRITON", "0")
    assert kernels.chosen(CARD) is kernels
    assert kernels.chosen(torch.device("cpu")) is kernels


def failing(*_):
    raise RuntimeError("Failed to find C compiler. " + "x" * 1000)


def wrong(kernel, p, u, v, omega, active, sums):
    error = kernels.first_sweep(kernel, p, u, v, omega, active, sums)
    u *= 1.01
    return error


def nothing(*_):
    """As programs that were launched on another card."""


@pytest.mark.parametrize(
    ("sweep", "why"),
    [
        (failing, r"RuntimeError: Failed to find C compiler. x{173}$"),
        (wrong, "ArithmeticError: a first sweep made"),
        (nothing, "ArithmeticError: a first sweep made"),
    ],
)
def test_where_they_fail_their_twins_are_taken_and_it_is_said_once(triton, sweep, why):
    triton.first_sweep = sweep
    with pytest.warns(RuntimeWarning, match=f"slower passes are used on cuda:1, where Triton does not work: {why}"):
        assert kernels.chosen(CARD) is kernels
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kernels.chosen(CARD) is kernels


def test_want_of_memory_says_nothing_of_triton(triton):
    def full(*_):
        raise torch.OutOfMemoryError("as if")

    triton.first_sweep = full
    with pytest.raises(torch.OutOfMemoryError):
        kernels.chosen(CARD)
    triton.first_sweep = kernels.first_sweep
    assert kernels.chosen(CARD) is triton


def test_without_triton_nothing_is_said(triton, monkeypatch):
    monkeypatch.delattr(gwrsa.backends.torch, "fused")
    monkeypatch.setitem(sys.modules, triton.__name__, None)
    assert kernels.chosen(CARD) is kernels


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_card_the_fused_passes_are_taken():
    fused = pytest.importorskip("gwrsa.backends.torch.fused")
    assert kernels.chosen(torch.device("cuda:0")) is fused
