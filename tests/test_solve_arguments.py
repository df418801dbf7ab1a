"""Arguments of entropic_gw: what is refused, and what is said then."""

import numpy as np
import pytest

import gwrsa
from problems import distances


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epsilon": 0}, "epsilon must be positive and finite, got 0"),
        ({"epsilon": -1.0}, "epsilon must be positive and finite, got -1.0"),
        ({"epsilon": float("nan")}, "epsilon must be positive and finite, got nan"),
        ({"epsilon": "0.1"}, "epsilon must be a positive number, got '0.1'"),
        ({"tol": 0}, "tol must be positive"),
        ({"max_outer": 0}, "max_outer must be at least 1, got 0"),
        ({"max_outer": 2.5}, "max_outer must be an integer at least 1, got 2.5"),
        ({"max_sinkhorn": -1}, "max_sinkhorn must be at least 1"),
        ({"precision": "half"}, "precision must be one of 'mixed', 'float64', got 'half'"),
        ({"backend": "jax"}, "backend must be one of 'auto', 'rust', 'torch', got 'jax'"),
        ({"backend": "rust", "device": "cuda"}, "device must be None or 'cpu' with backend 'rust', got 'cuda'"),
        ({"device": "gpu"}, "device must be None, 'cpu', 'cuda' or 'cuda:N', got 'gpu'"),
        ({"device": "cuda:99"}, "device must be there, got 'cuda:99' and [0-9]+ CUDA devices"),
        ({"backend": "torch", "device": "mps"}, "device must be None, 'cpu', 'cuda' or 'cuda:N', got 'mps'"),
        ({"backend": "torch", "device": 0}, "device must be None, 'cpu', 'cuda' or 'cuda:N', got 0"),
        ({"backend": "torch", "epsilon": 0}, "epsilon must be positive and finite, got 0"),
        ({"backend": "torch", "init": np.eye(5)}, "init must have the marginals p and q"),
        ({"init": "best"}, "init must be one of"),
        ({"seed": -1}, "seed must be between 0"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"threads": 100_000}, "threads must be at most 1024, got 100000"),
        ({"max_outer": 2**64}, "max_outer must be at most 4294967295, got 18446744073709551616"),
        ({"max_sinkhorn": 2**64}, "max_sinkhorn must be at most"),
        ({"epsilon": 10**400}, "epsilon must be positive and finite, got 10"),
        ({"precision": np.array("mixed")}, "precision must be one of 'mixed', 'float64', got array"),
        ({"p": np.full(5, 1e308)}, "p must sum to 1, got a sum of inf"),
        ({"c1": np.ma.array(np.ones((5, 5)), mask=np.eye(5))}, "c1 must have no masked entries, got 5"),
        ({"alpha": 7}, "alpha must be left at 0.5 without features, got 7"),
        ({"metric": "l1"}, "metric must be one of"),
        ({"p": np.full(5, 0.1)}, "p must sum to 1, got a sum of 0.5"),
        ({"p": np.array([-0.5, 0.5, 0.5, 0.25, 0.25])}, "p must not be negative, got -0.5 at 0"),
        ({"q": np.full(4, 0.25)}, "q must have length 5, got 4"),
        ({"c1": np.zeros((5, 4))}, r"c1 must be square, got shape \(5, 4\)"),
        ({"c1": np.zeros(10)}, r"c1 must be 2-D, got shape \(10,\)"),
        ({"c1": np.zeros((5, 5), dtype=complex)}, "c1 must be an array of real numbers, got dtype complex128"),
        ({"c1": [["a", "b"], ["c", "d"]]}, "c1 must be an array of real numbers"),
        ({"c1": np.zeros((0, 0))}, r"c1 must not be empty, got shape \(0, 0\)"),
    ],
)
def test_invalid_arguments_are_named(change, message):
    args = {"c1": distances(5), "c2": distances(5, seed=1), "epsilon": 0.1} | change
    with pytest.raises(ValueError, match=message):
        gwrsa.entropic_gw(**args)
