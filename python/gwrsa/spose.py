"""SPoSE: a non-negative embedding fitted to odd-one-out triplets, by variational inference.

    X_id ~ Exponential(l_d),     P(pair kept | triplet) of `gwrsa.choice`

is the model of Zheng, Pereira, Baker & Hebart (2019), https://openreview.net/forum?id=ryxSrhC9KX, whose penalty (lambda / n) sum X beside
the mean over N triplets is this prior with lambda = l1 n / N. They take its mode. The mode that a random start leads to fits its own
triplets better than the truth does, and others worse; so here, as in VICE (Muttenthaler et al. 2022,
https://doi.org/10.48550/arXiv.2205.00756), a distribution is fitted, log X_id ~ Normal(m_id, s_id^2), independently:

    minimise over m, s   - sum over triplets of E log P  +  sum_id [ l_d E X_id - m_id - log s_id ],     E X = exp(m + s^2 / 2)

with one draw of X a step. The embedding is E X. E X_i . E X_j is the mean dot product of two objects.

Two things decide what few triplets give. One rate for all dimensions, right on average, is too weak for empty ones, whose noise then
hides the others, and too strong for those that many objects share; so each dimension has its own, l_d = n / sum_i E X_id, which minimises
the above in l_d (empirical Bayes), drawn towards that of all dimensions together. And from a random start, where all dimensions are
alike, the way to the first that differs is long or, with few triplets, closed; so the start is spectral: the leading eigenvectors of the
n x n matrix that counts, for each pair, how often it was kept together less how often chance would have kept it, each split into its
positive and its negative part.

Only the dot products of pairs enter, so a step forms X X' once, gathers three numbers a triplet, scatters three derivatives into an
n x n matrix G, and has the gradient (G + G') X: two products of matrices, whatever the size of the batch.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gwrsa import _validate as check
from gwrsa.choice import odd_one_out_probabilities
from gwrsa.embedding import Embedding
from gwrsa.shards import digest, load_arrays, save_arrays
from gwrsa.torch_device import device_of
from gwrsa.triplets import Triplets, as_triplets, split

if TYPE_CHECKING:
    import torch

# At the start medians are the first, plus the second for an object a standard deviation up its eigenvector; those without an eigenvector
# are uniform between the first and the sum of both. s is the third; a dimension whose weights all stay below `_EMPTY` is none.
_LOW, _RISE, _SPREAD, _EMPTY = 0.05, 0.25, 0.1, 0.1
# Log-medians and log s stay between these: beyond them nothing changes but the sum of float32.
_BOUNDS = ((-8.0, 3.0), (-6.0, 0.7))
# A dimension's rate is learnt as if it had so many times more objects, of the mean size of all dimensions.
_SHRINK = 1.0
# Share of the epochs in which the prior rises to its full weight.
_WARM_UP = 0.1
# Change of the validation loss over the last tenth of the epochs below which a fit counts as converged.
_STILL = 0.002
_ARRAYS = ("values", "mean", "variance", "best", "history")


def fit_spose(
    triplets: Triplets | ArrayLike,
    n_dims: int,
    *,
    l1: float | None = None,
    validation: float = 0.05,
    batch_size: int = 262_144,
    learning_rate: float = 0.05,
    epochs: int = 400,
    seed: int = 0,
    device: str = "auto",
    checkpoint: str | Path | None = None,
    progress: bool = True,
) -> Embedding:
    """Fit a non-negative embedding to odd-one-out triplets, by variational inference.

    Parameters
    ----------
    triplets : Triplets or array-like, shape (n_triplets, 3)
        Answers; every object has to be shown.
    n_dims : int
        Dimensions at the start. Those that the prior empties (no weight reaches 0.1) are dropped: take more than are expected.
    l1 : float, optional
        Rate of the exponential prior of all dimensions: a penalty in units of log-likelihood a unit of weight. Larger: less weight.
        None: each dimension has its own, learnt with it and drawn towards that of all together.
    validation : float
        Share of the triplets that is not fitted, drawn with the seed, by which the best epoch is chosen.
    batch_size : int
        Triplets a step, at most.
    learning_rate : float
        Of Adam, on logarithms; it stays for half of the epochs, then falls to a hundredth in a straight line.
    epochs : int
        Passes over the triplets.
    seed : int
        Of the split, the start, the batches and the draws. The same seed gives the same embedding, bit by bit, on the same
        processor, number of threads and torch; on a GPU sums may differ in their last bits.
    device : str
        "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:1".
    checkpoint : path, optional
        .npz file that is replaced as a whole after every epoch. If it is there, the fit goes on from it, to the result that it
        would have had. None: nothing is written.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Embedding
        Posterior means of the epoch with the least validation loss (after those in which the prior rises to its weight), dimensions
        sorted by their sum, largest first, on the scale of the choices. Labels and name are those of the triplets. `meta["spose"]`
        holds settings, `status` ("converged": over the last tenth of the epochs the validation loss changed by less than 0.002; else
        "max_epochs"), `best_epoch`, and `history`: a row an epoch of the mean training loss of the draws, and the validation loss
        and accuracy of the means.

    Warns
    -----
    UserWarning
        If the validation triplets are predicted no better than by a guess: they are too few for an embedding, or were answered at random.

    Raises
    ------
    ImportError
        If torch is missing: `pip install 'gwrsa[torch]'`.
    ValueError
        If an object is in no triplet, a setting is out of range, the checkpoint is of other triplets or settings, or the prior
        leaves no dimension.

    Notes
    -----
    Memory: two n x n matrices of float32 beside the triplets. Small weights are small, not zero: that is the mean of what is uncertain.

    Examples
    --------
    >>> made_up = gwrsa.demo.simulated(n_objects=100, n_categories=8)
    >>> sharper = gwrsa.Embedding(5 * made_up.human.values, made_up.human.items)
    >>> answers = gwrsa.sample_triplets(sharper, 5000)
    >>> fitted = gwrsa.fit_spose(answers, 8, epochs=2, device="cpu", progress=False)
    >>> len(fitted), fitted.items[0], bool((fitted.values >= 0).all())
    (100, 'object 0000', True)
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
        "l1": None if l1 is None else check.positive("l1", l1),
        "validation": check.positive("validation", validation),
        "batch_size": check.integer("batch_size", batch_size, 1),
        "learning_rate": check.positive("learning_rate", learning_rate),
        "epochs": check.integer("epochs", epochs, 1),
        "seed": check.integer("seed", seed, 0),
    }
    train, held_out = split("validation", given, validation, seed)
    try:
        where = device_of(device, auto=True)
    except ImportError as error:
        raise ImportError("fit_spose needs torch: pip install 'gwrsa[torch]'") from error
    fit = _Fit(settings, train, held_out, where)
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None and path.suffix != ".npz":
        raise ValueError(f"checkpoint must end in .npz, got {str(checkpoint)!r}")
    state = fit.start() if path is None or not path.exists() else _read(path, fit.key)
    state = _run(fit, state, path, progress=progress)
    fitted = _finished(given, settings, state)
    _warn_of_a_guess(fitted, held_out)
    return fitted


def _warn_of_a_guess(fitted: Embedding, held_out: Triplets) -> None:
    """Where what the fit adds to the log-likelihood of a guess is within two standard errors of nothing."""
    gain = np.log(3 * odd_one_out_probabilities(fitted, held_out)[:, 2])
    error = gain.std() / np.sqrt(len(gain))
    if gain.mean() < 2 * error:
        warnings.warn(
            f"triplets must be more for an embedding, or less random: {len(gain)} that were held out are predicted no better than by a "
            f"guess, log-likelihood {gain.mean():+.4f} beside it, standard error {error:.4f}",
            stacklevel=3,
        )


@dataclass(frozen=True)
class _State:
    """All that the next epoch depends on, on the CPU."""

    values: NDArray[np.float32]
    """m and log s, shape (2, n, n_dims)."""
    mean: NDArray[np.float32]
    """First moment of Adam."""
    variance: NDArray[np.float32]
    """Second moment of Adam."""
    best: NDArray[np.float32]
    """E X of the best epoch so far, shape (n, n_dims)."""
    history: NDArray[np.float64]
    """A row an epoch: training loss, validation loss, validation accuracy; shape (epochs, 3)."""

    @property
    def epoch(self) -> int:
        return len(self.history)

    def best_epoch(self, epochs: int) -> int:
        """Counted from 1; of those after the warm-up, where there are any."""
        start = min(_warm_up(epochs), max(self.epoch - 1, 0))
        return start + int(self.history[start:, 1].argmin()) + 1 if self.epoch else 0


class _Fit:
    """The problem: triplets on the device, and how an epoch changes a state."""

    def __init__(self, settings: dict[str, Any], train: Triplets, held_out: Triplets, device: torch.device) -> None:
        self.settings = settings
        self.device = device
        self.n_items = train.n_items
        self.train = _pairs(train, device)
        self.held_out = _pairs(held_out, device)
        parts = [hashlib.sha256(part.indices.tobytes()).hexdigest() for part in (train, held_out)]
        self.key = digest([settings, train.n_items, parts])

    def start(self) -> _State:
        medians = _LOW + _RISE * self._spectral(np.random.default_rng((self.settings["seed"], 0)))
        values = np.stack([np.log(medians), np.full_like(medians, np.log(_SPREAD))]).astype(np.float32)
        zero = np.zeros_like(values)
        return _State(values, zero, zero, zero[0], np.empty((0, 3)))

    def _spectral(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Parts of the leading eigenvectors, in standard deviations; in [0, 1] where there are no more. Shape (n, n_dims)."""
        from scipy.sparse import coo_array
        from scipy.sparse.linalg import eigsh

        n, dims = self.n_items, self.settings["n_dims"]
        surplus = np.tile([2 / 3, -1 / 3, -1 / 3], len(self.train))
        counted = coo_array((surplus, np.divmod(self.train.cpu().numpy().ravel(), n)), shape=(n, n)).tocsr()
        found, vectors = eigsh(
            counted + counted.T, k=min(-(-dims // 2), n - 2), which="LA", v0=rng.standard_normal(n), tol=1e-2
        )
        vectors = vectors[:, np.argsort(-found)] * np.sqrt(n)
        parts = np.stack([np.maximum(vectors, 0), np.maximum(-vectors, 0)], axis=2).reshape(n, -1)[:, :dims]
        return np.hstack([parts, rng.random((n, dims - parts.shape[1]))])

    def epoch(self, state: _State) -> _State:
        """One pass over the training triplets, in an order and with draws that depend on the seed and the epoch only."""
        import torch

        rng = np.random.default_rng((self.settings["seed"], state.epoch + 1))
        order = torch.from_numpy(rng.permutation(len(self.train))).to(self.device)
        draws = torch.Generator(self.device).manual_seed(int(rng.integers(2**63)))
        values, adam = self._restored(state)
        m, log_s = values
        values.grad = torch.empty_like(values)
        done = state.epoch / self.settings["epochs"]
        adam.param_groups[0]["lr"] = self.settings["learning_rate"] * max(min(1.0, 2 * (1 - done)), 0.01)
        # X = 0 is a local optimum: the prior waits until there is something to keep.
        weight = min(1.0, (state.epoch + 1) / _warm_up(self.settings["epochs"])) / len(self.train)
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for batch in torch.split(order, self.settings["batch_size"]):
            noise = torch.randn(m.shape, generator=draws, device=self.device)
            s = log_s.exp()
            x = (m + s * noise).exp()
            summed, gradient = self._loss_and_gradient(x, self.train[batch])
            by_log = gradient * x
            means = (m + s * s / 2).exp()
            penalty = (self.settings["l1"] or _rates(means)) * means
            values.grad[0] = by_log + weight * (penalty - 1)
            values.grad[1] = by_log * noise * s + weight * (penalty * s * s - 1)
            adam.step()
            for part, bounds in zip(values, _BOUNDS, strict=True):
                part.clamp_(*bounds)
            total += summed
        x = (m + (2 * log_s).exp() / 2).exp()
        loss, accuracy = self._score(x)
        history = np.vstack([state.history, np.array([[float(total) / len(self.train), loss, accuracy]])])
        moments = adam.state[values]
        mean, variance = (moments[name].cpu().numpy() for name in ("exp_avg", "exp_avg_sq"))
        after = _State(values.cpu().numpy().copy(), mean, variance, x.cpu().numpy(), history)
        return after if after.best_epoch(self.settings["epochs"]) == after.epoch else replace(after, best=state.best)

    def _restored(self, state: _State) -> tuple[torch.Tensor, torch.optim.Adam]:
        import torch

        def moved(array: NDArray[np.float32]) -> torch.Tensor:
            return torch.tensor(array, device=self.device)

        values = moved(state.values)
        adam = torch.optim.Adam([values])
        steps = state.epoch * -(-len(self.train) // self.settings["batch_size"])
        adam.state[values] = {
            "step": torch.tensor(float(steps)),
            "exp_avg": moved(state.mean),
            "exp_avg_sq": moved(state.variance),
        }
        return values, adam

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


def _run(fit: _Fit, state: _State, path: Path | None, *, progress: bool) -> _State:
    from tqdm import tqdm

    epochs = fit.settings["epochs"]
    with tqdm(total=epochs, initial=state.epoch, desc="SPoSE", unit="epoch", disable=not progress) as bar:
        while state.epoch < epochs:
            state = fit.epoch(state)
            if path is not None:
                save_arrays(path, {"key": np.array(fit.key), **{name: getattr(state, name) for name in _ARRAYS}})
            _, loss, accuracy = state.history[-1]
            bar.set_postfix_str(f"validation loss {loss:.4f}, accuracy {accuracy:.2%}", refresh=False)
            bar.update()
    return state


def _finished(given: Triplets, settings: dict[str, Any], state: _State) -> Embedding:
    kept = state.best.max(axis=0) >= _EMPTY
    if settings["l1"] is None:
        kept[state.best.max(axis=0).argmax()] = True
    elif not kept.any():
        raise ValueError(f"l1 must leave a dimension, got {settings['l1']}, which empties all {len(kept)}")
    values = state.best[:, kept]
    values = values[:, np.argsort(-values.sum(axis=0), kind="stable")]
    best_epoch = state.best_epoch(settings["epochs"])
    outcome = {
        "status": "converged" if _is_still(state.history[:, 1]) else "max_epochs",
        "best_epoch": best_epoch,
        "n_triplets": len(given),
        "history": state.history.tolist(),
    }
    return Embedding(values, given.items, given.name, {"spose": settings | outcome})  # type: ignore[arg-type]  # widened


def _rates(means: torch.Tensor) -> torch.Tensor:
    """Of each dimension, from E X, shape (n, n_dims)."""
    size = means.mean(dim=0)
    return (1 + _SHRINK) / (size + _SHRINK * size.mean())


def _warm_up(epochs: int) -> int:
    return max(round(_WARM_UP * epochs), 1)


def _is_still(losses: NDArray[np.float64]) -> bool:
    """Whether the validation loss has stopped changing by the end."""
    tenth = -(-len(losses) // 10)
    return len(losses) > tenth and abs(losses[-1] - losses[-1 - tenth]) < _STILL


def _pairs(triplets: Triplets, device: torch.device) -> torch.Tensor:
    """Flat positions, in an n x n matrix, of the pair that was kept together and of the two others; the upper triangle only."""
    import torch

    a, b, c = triplets.indices.T
    pairs = [np.minimum(i, j) * triplets.n_items + np.maximum(i, j) for i, j in ((a, b), (a, c), (b, c))]
    return torch.from_numpy(np.stack(pairs, axis=1)).to(device)


def _read(path: Path, key: str) -> _State:
    try:
        archive = load_arrays(path)
        stored, arrays = str(archive["key"]), {name: archive[name] for name in _ARRAYS}
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(
            f"checkpoint must be one of fit_spose, got {path}, which is not or is broken: {error}"
        ) from error
    if stored != key:
        raise ValueError(
            f"checkpoint must be of these triplets and settings, got {path}, which is of others; name another file or remove it"
        )
    return _State(**arrays)
