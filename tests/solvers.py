"""What solves: every backend, on every device that is there. A test with the fixture `solver` states what holds for all of them."""

from importlib.util import find_spec

import pytest

# Wheels are tested where torch is not.
TORCH = find_spec("torch") is not None


def has_card():
    if not TORCH:
        return False
    import torch

    return torch.cuda.is_available()


SOLVERS = [
    pytest.param({"backend": "rust"}, id="rust"),
    pytest.param(
        {"backend": "torch", "device": "cpu"}, id="torch-cpu", marks=pytest.mark.skipif(not TORCH, reason="needs torch")
    ),
    *([pytest.param({"backend": "torch", "device": "cuda"}, id="torch-cuda")] if has_card() else []),
]
