"""Gradients of POT's twins by the weights: a solve of their own finds them, and where it has not converged there is a warning."""

import warnings

import numpy as np
import pytest

import gwrsa.pot as twins
from gwrsa import _core
from gwrsa.pot import _gradients
from problems import distances, weights

torch = pytest.importorskip("torch")
NAMES = ("entropic_gromov_wasserstein2", "entropic_fused_gromov_wasserstein2")


def leaves(n=9, m=7):
    c1, c2 = distances(n, seed=1), distances(m, seed=2)
    M = np.random.default_rng(3).uniform(size=(n, m))
    given = (M, c1 / c1.max(), c2 / c2.max(), weights(n, 1), weights(m, 2))
    return [torch.tensor(x, requires_grad=True) for x in given]


def call(name, sides, **options):
    M, c1, c2, p, q = sides
    args = (M, c1, c2) if "fused" in name else (c1, c2)
    return getattr(twins, name)(*args, p=p, q=q, epsilon=0.1, **options)


@pytest.mark.parametrize("solver", ["PGD", "PPA"])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_weights_that_have_not_converged_warn(monkeypatch, name, solver):
    # As it is they converge, and nothing is said: here a warning would be an error.
    call(name, leaves(), solver=solver).backward()
    monkeypatch.setattr(_gradients, "DUAL_SWEEPS", 1)
    message = r"gradients of `p` and `q` did not converge: after 1 sweeps of Sinkhorn the marginals are .* off\. You might want"
    with pytest.warns(UserWarning, match=message) as said:
        call(name, leaves(), solver=solver)
    assert [w.filename for w in said] == [__file__]  # once, at the line of the call
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call(name, leaves(), solver=solver, warn=False)
        # Nothing is solved for gradients that nobody asks for.
        M, c1, c2, p, q = leaves()
        call(name, (M, c1, c2, p.detach(), q.detach()), solver=solver)


def test_gradients_of_weights_without_potentials_are_no_nan(monkeypatch):
    def failed(cost, p, q, **_):
        return (
            np.full(cost.shape, np.nan),
            np.full(len(p), np.nan),
            np.full(len(q), np.nan),
            "numerical_error",
            3,
            np.nan,
        )

    _, _, _, p, q = sides = leaves()
    monkeypatch.setattr(_core, "sinkhorn", failed)
    with pytest.warns(UserWarning, match="gradients of `p` and `q` did not converge"):
        call(NAMES[0], sides).backward()
    assert torch.isfinite(p.grad).all()
    assert torch.isfinite(q.grad).all()
