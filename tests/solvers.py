"""What solves: every backend, on every device that is there. A test with the fixture `solver` states what holds for all of them."""

import pytest
import torch

SOLVERS = [
    pytest.param({"backend": "rust"}, id="rust"),
    pytest.param({"backend": "torch", "device": "cpu"}, id="torch-cpu"),
    *([pytest.param({"backend": "torch", "device": "cuda"}, id="torch-cuda")] if torch.cuda.is_available() else []),
]
