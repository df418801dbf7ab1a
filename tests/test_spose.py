"""SPoSE fitted to triplets: recovery, repetition, resumption after kill -9."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import gwrsa
from gwrsa import spose

N, DIMS = 40, 5


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Small problems only: threads would wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def truth():
    """Sparse and non-negative, as what is fitted."""
    rng = np.random.default_rng(0)
    values = rng.exponential(1.0, (N, DIMS)) * (rng.random((N, DIMS)) < 0.5)
    return gwrsa.Embedding(values, tuple(f"object {i}" for i in range(N)), name="truth")


@pytest.fixture(scope="module")
def answers(truth):
    return gwrsa.sample_triplets(truth, 40_000, seed=1)


SETTINGS = {"n_dims": 10, "batch_size": 8192, "epochs": 60, "seed": 3, "device": "cpu", "progress": False}


@pytest.fixture(scope="module")
def fitted(answers):
    return gwrsa.fit_spose(answers, **SETTINGS)


def test_the_space_behind_the_answers_is_found(fitted, truth):
    fresh = gwrsa.sample_triplets(truth, 20_000, seed=2)
    best = gwrsa.odd_one_out_accuracy(truth, fresh)
    assert gwrsa.odd_one_out_accuracy(fitted, fresh) > best - 0.015
    assert gwrsa.rsa(fitted.rdm("choice"), truth.rdm("choice")) > 0.98
    assert (fitted.items, fitted.name) == (truth.items, truth.name)
    assert (fitted.values >= 0).all()
    # The dimensions themselves come back, one for one.
    r = np.corrcoef(fitted.values.T, truth.values.T)[: fitted.values.shape[1], fitted.values.shape[1] :]
    assert (r.max(axis=0) > 0.9).all()
    assert len(set(r.argmax(axis=0))) == DIMS


def test_meta_states_how_the_fit_ended(fitted, answers):
    meta = fitted.meta["spose"]
    assert meta["status"] == "converged"
    assert meta["epochs"] == len(meta["history"]) == 60
    losses = [row[1] for row in meta["history"]]
    # The prior rises over the first tenth of the epochs, of which none is chosen.
    assert min(losses[6:]) == losses[meta["best_epoch"] - 1]
    _, held_out = answers.split(0.05, seed=3)
    assert gwrsa.odd_one_out_accuracy(fitted, held_out) == pytest.approx(
        meta["history"][meta["best_epoch"] - 1][2], abs=0.01
    )
    sums = fitted.values.sum(axis=0)
    assert (np.diff(sums) <= 0).all()


def test_a_larger_penalty_leaves_less_weight_and_too_large_a_one_an_error(answers, fitted):
    few = answers.split(0.1, seed=1)[1]
    longer = SETTINGS | {"epochs": 300}
    sparse = gwrsa.fit_spose(few, **longer, l1=20.0)
    dense = gwrsa.fit_spose(few, **longer, l1=0.1)
    assert sparse.values.sum() < 0.5 * dense.values.sum()
    with pytest.raises(ValueError, match=r"l1 must leave a dimension, got 100000\.0, which empties all 10"):
        gwrsa.fit_spose(few, **longer, l1=1e5, learning_rate=0.3)


def test_few_answers_give_what_is_in_them():
    """75 answers an object, far more dimensions than there are: a fit with one rate and a random start finds nothing there."""
    rng = np.random.default_rng(4)
    space = gwrsa.Embedding(rng.exponential(1.0, (200, 6)) * (rng.random((200, 6)) < 0.5))
    few, fresh = (gwrsa.sample_triplets(space, size, seed=seed) for size, seed in ((5_000, 0), (20_000, 1)))
    fitted = gwrsa.fit_spose(few, 40, device="cpu", progress=False)
    assert gwrsa.odd_one_out_accuracy(space, fresh) == pytest.approx(0.68, abs=0.01)
    assert gwrsa.odd_one_out_accuracy(fitted, fresh) > 0.60  # from a random start, with a rate of 6: 0.55


def test_answers_at_random_are_a_warning():
    rng = np.random.default_rng(0)
    shown = np.stack([rng.permutation(60)[:3] for _ in range(3000)])
    with pytest.warns(
        UserWarning,
        match=r"triplets must be more .*: 150 that were held out are predicted no better than by a guess",
    ):
        fitted = gwrsa.fit_spose(shown, 8, device="cpu", progress=False, epochs=100)
    assert fitted.values.shape[1] >= 1


def test_the_gradient_is_that_of_the_loss(answers):
    import torch

    train, held_out = answers.split(0.5, seed=0)
    fit = spose._Fit(SETTINGS, train, held_out, torch.device("cpu"))  # noqa: SLF001
    x = torch.rand((N, 3), generator=torch.Generator().manual_seed(0)).requires_grad_()
    i, j, k = torch.tensor(train.indices[:500].copy()).T
    a, b, c = x[i], x[j], x[k]
    plain = torch.stack([(a * b).sum(1), (a * c).sum(1), (b * c).sum(1)], dim=1)
    loss = torch.nn.functional.cross_entropy(plain, torch.zeros(500, dtype=torch.int64))
    loss.backward()
    total, gradient = fit._loss_and_gradient(x.detach(), fit.train[:500])  # noqa: SLF001
    assert float(total) / 500 == pytest.approx(loss.item(), rel=1e-6)
    assert torch.allclose(gradient, x.grad, atol=1e-7)


@pytest.mark.parametrize("l1", [6.0, None])
def test_a_step_follows_the_gradient_of_the_bound(answers, monkeypatch, l1):
    """One step with all triplets, against the objective of the module's first lines written out, by autograd; rates that are learnt
    are those of the means before the step."""
    import torch

    train, held_out = answers.split(0.5, seed=0)
    settings = SETTINGS | {"l1": l1, "learning_rate": 0.05, "batch_size": len(train)}
    fit = spose._Fit(settings, train, held_out, torch.device("cpu"))  # noqa: SLF001
    seen = []
    monkeypatch.setattr(
        torch.optim.Adam, "step", lambda self: seen.append(self.param_groups[0]["params"][0].grad.clone())
    )
    noise = []
    draw = torch.randn
    monkeypatch.setattr(torch, "randn", lambda *a, **k: noise.append(draw(*a, **k)) or noise[-1])
    monkeypatch.setattr(spose, "_WARM_UP", 0)
    state = fit.start()
    fit.epoch(state)
    m, log_s = (torch.tensor(v).double().requires_grad_() for v in state.values)
    x = (m + log_s.exp() * noise[0]).exp()
    i, j, k = torch.tensor(train.indices.copy()).T
    a, b, c = x[i], x[j], x[k]
    products = torch.stack([(a * b).sum(1), (a * c).sum(1), (b * c).sum(1)], dim=1)
    loss = torch.nn.functional.cross_entropy(products, torch.zeros(len(i), dtype=torch.int64), reduction="sum")
    means = (m + (2 * log_s).exp() / 2).exp()
    size, k = means.detach().mean(dim=0), spose._SHRINK  # noqa: SLF001
    rates = l1 or (1 + k) / (size + k * size.mean())
    bound = loss + (rates * means).sum() - (m + log_s).sum()
    (bound / len(train)).backward()
    assert len(seen) == 1
    assert torch.allclose(seen[0].double(), torch.stack([m.grad, log_s.grad]), atol=1e-7, rtol=1e-4)


def test_the_same_seed_gives_the_same_embedding(answers, fitted):
    again = gwrsa.fit_spose(answers, **SETTINGS)
    assert np.array_equal(again.values, fitted.values)
    other = gwrsa.fit_spose(answers, **(SETTINGS | {"seed": 4}))
    assert not np.array_equal(other.values, fitted.values)


def test_a_fit_in_two_parts_is_the_fit_in_one(answers, fitted, tmp_path, monkeypatch):
    path = tmp_path / "fit.npz"
    write, left = spose.save_arrays, iter(range(3))

    def interrupted(*args):
        write(*args)
        if next(left, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr(spose, "save_arrays", interrupted)
    with pytest.raises(KeyboardInterrupt):
        gwrsa.fit_spose(answers, **SETTINGS, checkpoint=path)
    monkeypatch.setattr(spose, "save_arrays", write)
    with np.load(path) as archive:
        assert len(archive["history"]) == 4
    whole = gwrsa.fit_spose(answers, **SETTINGS, checkpoint=path)
    assert np.array_equal(whole.values, fitted.values)
    assert whole.meta == fitted.meta
    # A fit that has ended is not fitted again.
    before = path.stat().st_mtime_ns
    assert np.array_equal(gwrsa.fit_spose(answers, **SETTINGS, checkpoint=path).values, fitted.values)
    assert path.stat().st_mtime_ns == before
    assert [p.name for p in tmp_path.iterdir()] == ["fit.npz"]


def test_a_killed_fit_goes_on_to_the_same_result(answers, fitted, tmp_path):
    np.save(tmp_path / "answers.npy", answers.indices)
    path = tmp_path / "fit.npz"
    code = f"""
import time
import torch, numpy as np, gwrsa
from gwrsa import spose
torch.set_num_threads(1)
write = spose.save_arrays
def slow(*args):
    write(*args)
    time.sleep(0.1)
spose.save_arrays = slow
gwrsa.fit_spose(np.load({str(tmp_path / "answers.npy")!r}), **{SETTINGS!r}, checkpoint={str(path)!r})
"""
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    try:
        for _ in range(3):  # three epochs are on disk
            _wait_for_change(path, process)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    with np.load(path) as archive:
        done = len(archive["history"])
    assert 3 <= done < fitted.meta["spose"]["epochs"]
    resumed = gwrsa.fit_spose(answers, **SETTINGS, checkpoint=path)
    assert np.array_equal(resumed.values, fitted.values)


def _wait_for_change(path, process, seconds=120):
    before = path.stat().st_mtime_ns if path.exists() else None
    until = time.monotonic() + seconds
    while (path.stat().st_mtime_ns if path.exists() else None) == before:
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.01)


def test_a_checkpoint_of_another_fit_or_a_broken_one_is_refused(answers, tmp_path):
    path = tmp_path / "new folder" / "fit.npz"
    settings = SETTINGS | {"epochs": 1}
    gwrsa.fit_spose(answers, **settings, checkpoint=path)
    for changed in ({"seed": 4}, {"n_dims": 9}, {"epochs": 2}):
        with pytest.raises(ValueError, match=r"checkpoint must be of these triplets and settings, got .*fit\.npz"):
            gwrsa.fit_spose(answers, **(settings | changed), checkpoint=path)
    with pytest.raises(ValueError, match="checkpoint must be of these triplets"):
        gwrsa.fit_spose(answers.indices[::-1], **settings, checkpoint=path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(
        ValueError, match=r"checkpoint must be one of fit_spose, got .*fit\.npz, which is not or is broken"
    ):
        gwrsa.fit_spose(answers, **SETTINGS, checkpoint=path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n_dims": 0}, "n_dims must be at least 1, got 0"),
        ({"l1": 0}, "l1 must be positive and finite, got 0"),
        ({"validation": 1.0}, "validation must leave triplets in both parts, got 1.0"),
        ({"validation": 1.5}, "validation must leave triplets in both parts, got 1.5"),
        ({"device": "tpu9"}, "device must be 'auto', 'cpu', 'cuda' or 'cuda:N', got 'tpu9'"),
        ({"device": "meta"}, "device must be 'auto', 'cpu', 'cuda' or 'cuda:N', got 'meta'"),
        ({"device": "cuda:99"}, "device must be there, got 'cuda:99' and"),
        ({"checkpoint": "fit.pt"}, "checkpoint must end in .npz, got 'fit.pt'"),
    ],
)
def test_settings_out_of_range_are_refused(answers, changed, message):
    with pytest.raises(ValueError, match=message):
        gwrsa.fit_spose(answers, **(SETTINGS | changed))


def test_objects_that_were_never_shown_are_named():
    t = gwrsa.Triplets([[0, 1, 2], [2, 1, 0]], tuple("abcd"))
    with pytest.raises(ValueError, match="triplets must show every object, got 1 of 4 never shown, such as 'd'"):
        gwrsa.fit_spose(t, 3)
