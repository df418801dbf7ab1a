"""SPoSE: a sparse, non-negative embedding fitted to odd-one-out triplets.

    minimise over X >= 0   - sum over triplets of log P(pair kept | triplet)  +  l1 sum_id X_id,     P of `gwrsa.choice`

Zheng, Pereira, Baker & Hebart (2019), https://openreview.net/forum?id=ryxSrhC9KX. They write the mean over N triplets plus
(lambda / n) sum X for n objects: lambda = l1 n / N. Here the penalty is that of an exponential prior of rate l1 on every weight, so
that the same l1 suits any number of triplets.

Only the dot products of pairs enter, so a step forms X X' once, gathers three numbers a triplet, scatters three derivatives into an
n x n matrix G, and has the gradient (G + G') X: two products of matrices, whatever the size of the batch.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gwrsa import _validate as check
from gwrsa.embedding import Embedding
from gwrsa.triplets import Triplets, as_triplets

if TYPE_CHECKING:
    import torch

# Weights at the start are uniform up to this; a dimension whose weights all stay below `_EMPTY` is none.
_START, _EMPTY = 0.3, 0.1
# Epochs in which the penalty rises to its full weight.
_WARM_UP = 10
_ARRAYS = ("values", "mean", "variance", "best", "history")


def fit_spose(
    triplets: Triplets | ArrayLike,
    n_dims: int,
    *,
    l1: float = 6.0,
    validation: float = 0.1,
    batch_size: int = 32768,
    learning_rate: float = 0.03,
    max_epochs: int = 300,
    patience: int = 10,
    seed: int = 0,
    device: str = "auto",
    checkpoint: str | Path | None = None,
    progress: bool = True,
) -> Embedding:
    """Fit a sparse, non-negative embedding to odd-one-out triplets, by Adam.

    Parameters
    ----------
    triplets : Triplets or array-like, shape (n_triplets, 3)
        Answers; every object has to be shown.
    n_dims : int
        Dimensions at the start. Those that the penalty empties (no weight reaches 0.1) are dropped: take more than are expected.
    l1 : float
        Weight of the penalty, in units of log-likelihood a unit of weight. Larger: sparser.
    validation : float
        Share of the triplets that is not fitted, drawn with the seed, by which the best epoch is chosen.
    batch_size : int
        Triplets a step; a larger batch costs little more.
    learning_rate : float
        Of Adam; it falls to a tenth of it as `1 / sqrt(epoch)`.
    max_epochs : int
        Passes over the triplets, at most.
    patience : int
        Ends after so many epochs in which the validation loss did not improve.
    seed : int
        Of the split, the start and the batches. The same seed gives the same embedding, bit by bit, on the same processor, number
        of threads and torch; on a GPU sums may differ in their last bits.
    device : str
        "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:1".
    checkpoint : path, optional
        .npz file that is replaced as a whole after every epoch. If it is there, the fit goes on from it, to the result that it
        would have had; `max_epochs` and `patience` may differ from those before. None: nothing is written.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Embedding
        Of the epoch with the least validation loss (after ten in which the penalty rises to its weight), dimensions sorted by their
        sum, largest first, on the scale of the choices. Labels and name are those of the triplets. `meta["spose"]` holds settings,
        `status` ("converged": patience ended the fit, or "max_epochs"), `epochs`, `best_epoch`, and `history`: a row an epoch of the
        mean loss (penalty left out) of training and validation, and the validation accuracy.

    Raises
    ------
    ImportError
        If torch is missing: `pip install 'gwrsa[torch]'`.
    ValueError
        If an object is in no triplet, a setting is out of range, the checkpoint is of other triplets or settings, or the penalty
        leaves no dimension.

    Notes
    -----
    Memory: two n x n matrices of float32 beside the triplets.
    """
    given = as_triplets("triplets", triplets)
    seen = np.bincount(given.indices.ravel(), minlength=given.n_items)
    if not seen.all():
        first = int((seen == 0).argmax())
        label = repr(given.items[first]) if given.items else str(first)
        raise ValueError(
            f"triplets must show every object, got {int((seen == 0).sum())} of {given.n_items} never shown, "
            f"such as {label}; select the others"
        )
    settings: dict[str, Any] = {
        "n_dims": check.integer("n_dims", n_dims, 1),
        "l1": check.positive("l1", l1),
        "validation": check.positive("validation", validation),
        "batch_size": check.integer("batch_size", batch_size, 1),
        "learning_rate": check.positive("learning_rate", learning_rate),
        "seed": check.integer("seed", seed, 0),
    }
    check.integer("max_epochs", max_epochs, 1)
    check.integer("patience", patience, 1)
    train, held_out = given.split(validation, seed)
    fit = _Fit(settings, train, held_out, _device(device))
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None and path.suffix != ".npz":
        raise ValueError(f"checkpoint must end in .npz, got {str(checkpoint)!r}")
    state = fit.start() if path is None or not path.exists() else _read(path, fit.key)
    state = _run(fit, state, max_epochs, patience, path, progress=progress)
    return _finished(given, settings, state, patience)


@dataclass(frozen=True)
class _State:
    """All that the next epoch depends on, on the CPU."""

    values: NDArray[np.float32]
    """X, shape (n, n_dims)."""
    mean: NDArray[np.float32]
    """First moment of Adam."""
    variance: NDArray[np.float32]
    """Second moment of Adam."""
    best: NDArray[np.float32]
    """X of the best epoch so far."""
    history: NDArray[np.float64]
    """A row an epoch: training loss, validation loss, validation accuracy; shape (epochs, 3)."""

    @property
    def epoch(self) -> int:
        return len(self.history)

    @property
    def best_epoch(self) -> int:
        """Counted from 1; of those after the warm-up, where there are any."""
        start = min(_WARM_UP, max(self.epoch - 1, 0))
        return start + int(self.history[start:, 1].argmin()) + 1 if self.epoch else 0


class _Fit:
    """The problem: triplets on the device, and how an epoch changes a state."""

    def __init__(self, settings: dict[str, Any], train: Triplets, held_out: Triplets, device: torch.device) -> None:
        self.settings = settings
        self.device = device
        self.n_items = train.n_items
        self.train = _pairs(train, device)
        self.held_out = _pairs(held_out, device)
        digest = hashlib.sha256(json.dumps([settings, train.n_items], sort_keys=True).encode())
        for part in (train, held_out):
            digest.update(part.indices.tobytes())
        self.key = digest.hexdigest()

    def start(self) -> _State:
        rng = np.random.default_rng((self.settings["seed"], 0))
        values = rng.uniform(0, _START, (self.n_items, self.settings["n_dims"])).astype(np.float32)
        zero = np.zeros_like(values)
        return _State(values, zero, zero, values, np.empty((0, 3)))

    def epoch(self, state: _State) -> _State:
        """One pass over the training triplets, in an order that depends on the seed and the epoch only."""
        import torch

        order = np.random.default_rng((self.settings["seed"], state.epoch + 1)).permutation(len(self.train))
        x, adam = self._restored(state)
        rate = self.settings["learning_rate"]
        adam.param_groups[0]["lr"] = max(rate / (state.epoch + 1) ** 0.5, 0.1 * rate)
        # X = 0 is a local optimum of the penalised problem: the penalty waits until there is something to keep.
        penalty = self.settings["l1"] / len(self.train) * min(1.0, state.epoch / _WARM_UP)
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for batch in torch.split(torch.from_numpy(order).to(self.device), self.settings["batch_size"]):
            summed, gradient = self._loss_and_gradient(x, self.train[batch])
            x.grad = gradient + penalty
            adam.step()
            x.clamp_(min=0)
            total += summed
        loss, accuracy = self._score(x)
        values = x.cpu().numpy().copy()
        history = np.vstack([state.history, np.array([[float(total) / len(self.train), loss, accuracy]])])
        moments = adam.state[x]
        mean, variance = (moments[name].cpu().numpy() for name in ("exp_avg", "exp_avg_sq"))
        after = _State(values, mean, variance, values, history)
        return after if after.best_epoch == after.epoch else replace(after, best=state.best)

    def _restored(self, state: _State) -> tuple[torch.Tensor, torch.optim.Adam]:
        import torch

        def moved(array: NDArray[np.float32]) -> torch.Tensor:
            return torch.tensor(array, device=self.device)

        x = moved(state.values)
        adam = torch.optim.Adam([x])
        steps = state.epoch * -(-len(self.train) // self.settings["batch_size"])
        adam.state[x] = {
            "step": torch.tensor(float(steps)),
            "exp_avg": moved(state.mean),
            "exp_avg_sq": moved(state.variance),
        }
        return x, adam

    def _loss_and_gradient(self, x: torch.Tensor, pairs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Summed loss of a batch, and the gradient of its mean."""
        import torch

        log_p = torch.log_softmax((x @ x.T).view(-1)[pairs], dim=1)
        slope = log_p.exp() / len(pairs)
        slope[:, 0] -= 1 / len(pairs)
        g = torch.zeros(self.n_items**2, device=self.device).index_add_(0, pairs.view(-1), slope.view(-1))
        g = g.view(self.n_items, self.n_items)
        return -log_p[:, 0].sum(dtype=torch.float64), (g + g.T) @ x

    def _score(self, x: torch.Tensor) -> tuple[float, float]:
        """Mean loss and accuracy on the validation triplets."""
        import torch

        log_p = torch.log_softmax((x @ x.T).view(-1)[self.held_out].double(), dim=1)
        best = log_p == log_p.amax(dim=1, keepdim=True)
        return -float(log_p[:, 0].mean()), float((best[:, 0] / best.sum(dim=1)).mean())


def _run(fit: _Fit, state: _State, max_epochs: int, patience: int, path: Path | None, *, progress: bool) -> _State:
    from tqdm import tqdm

    with tqdm(total=max_epochs, initial=state.epoch, desc="SPoSE", unit="epoch", disable=not progress) as bar:
        while state.epoch < max_epochs and state.epoch - state.best_epoch < patience:
            state = fit.epoch(state)
            if path is not None:
                _write(path, state, fit.key)
            _, loss, accuracy = state.history[-1]
            bar.set_postfix_str(f"validation loss {loss:.4f}, accuracy {accuracy:.2%}", refresh=False)
            bar.update()
    return state


def _finished(given: Triplets, settings: dict[str, Any], state: _State, patience: int) -> Embedding:
    kept = state.best.max(axis=0) >= _EMPTY
    if not kept.any():
        raise ValueError(f"l1 must leave a dimension, got {settings['l1']}, which empties all {len(kept)}")
    values = state.best[:, kept]
    values = values[:, np.argsort(-values.sum(axis=0), kind="stable")]
    outcome = {
        "status": "converged" if state.epoch - state.best_epoch >= patience else "max_epochs",
        "epochs": state.epoch,
        "best_epoch": state.best_epoch,
        "n_triplets": len(given),
        "history": state.history.tolist(),
    }
    return Embedding(values, given.items, given.name, {"spose": settings | outcome})  # type: ignore[arg-type]  # widened


def _pairs(triplets: Triplets, device: torch.device) -> torch.Tensor:
    """Flat positions, in an n x n matrix, of the pair that was kept together and of the two others; the upper triangle only."""
    import torch

    a, b, c = triplets.indices.T
    pairs = [np.minimum(i, j) * triplets.n_items + np.maximum(i, j) for i, j in ((a, b), (a, c), (b, c))]
    return torch.from_numpy(np.stack(pairs, axis=1)).to(device)


def _device(name: str) -> torch.device:
    try:
        import torch
    except ImportError as error:
        raise ImportError("fit_spose needs torch: pip install 'gwrsa[torch]'") from error
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        raise ValueError(f"device must be 'auto', 'cpu', 'cuda' or 'cuda:N', got {name!r}") from None
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device must be 'auto', 'cpu', 'cuda' or 'cuda:N', got {name!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device must be there, got {name!r} and {torch.cuda.device_count()} CUDA devices")
    return device


def _write(path: Path, state: _State, key: str) -> None:
    """Written aside, synced, renamed: whenever the process dies, the file is whole, of this epoch or of the last."""
    aside = path.with_name(f".{path.name}.part")
    with aside.open("wb") as file:
        np.savez(file, key=np.array(key), **{name: getattr(state, name) for name in _ARRAYS})
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def _read(path: Path, key: str) -> _State:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            stored, arrays = str(archive["key"]), {name: archive[name] for name in _ARRAYS}
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"checkpoint must be one of fit_spose, got {path}, which is not or is broken: {error}"
        ) from error
    if stored != key:
        raise ValueError(
            f"checkpoint must be of these triplets and settings, got {path}, which is of others; name another file or remove it"
        )
    return _State(**arrays)
