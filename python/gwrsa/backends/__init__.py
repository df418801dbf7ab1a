"""What a solver has to offer, and which one is taken. Nothing above this package knows which one it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gwrsa import _validate as check
from gwrsa import torch_device
from gwrsa._validate import FloatArray
from gwrsa.factored import Factored

Status: TypeAlias = Literal["converged", "max_outer", "max_sinkhorn", "numerical_error", "interrupted", "stopped"]
Cost: TypeAlias = FloatArray | Factored
Init: TypeAlias = FloatArray | tuple[str, int, int]
"""An initial plan, or (name, seed, number of the start)."""
Exponent: TypeAlias = NDArray[np.float32] | FloatArray
"""The small factor of the exponent, (r, m) or (n, r), or (n, m) where neither side is factored; its dtype is the precision of the solve."""
PlannedStart: TypeAlias = tuple[Init, list[float]]
"""Where to start, and the values of epsilon to go through; the last is solved to the tolerance."""


class RawSolution(Protocol):
    """The end of one solve, as a backend returns it; see `gwrsa.GWSolution` for the meaning."""

    @property
    def gw_loss(self) -> float: ...  # noqa: D102
    @property
    def objective(self) -> float: ...  # noqa: D102
    @property
    def epsilon(self) -> float: ...  # noqa: D102
    @property
    def status(self) -> Status: ...  # noqa: D102
    @property
    def n_outer(self) -> int: ...  # noqa: D102
    @property
    def n_sinkhorn(self) -> int: ...  # noqa: D102
    @property
    def marginal_error(self) -> float: ...  # noqa: D102
    @property
    def change(self) -> float: ...  # noqa: D102
    @property
    def seconds(self) -> float: ...  # noqa: D102
    @property
    def merged_into(self) -> int | None: ...  # noqa: D102
    @property
    def stopped_by(self) -> int | None: ...  # noqa: D102
    @property
    def phases(self) -> list[tuple[str, float]]: ...  # noqa: D102
    @property
    def path(self) -> list[tuple[float, int, float]]: ...  # noqa: D102
    def evaluated(self) -> RawSolution:
        """With its loss, which is left out, and infinite, where an interrupt ended the search."""
        ...

    def potentials(self) -> tuple[FloatArray, FloatArray]: ...  # noqa: D102
    def exponent(self) -> Exponent: ...  # noqa: D102
    def plan(self) -> FloatArray: ...  # noqa: D102
    def top(self, k: int) -> NDArray[np.uint32]: ...  # noqa: D102


class Problem(Protocol):
    """Two costs and two weights, prepared once and solved from many starts."""

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of objects, source and target."""
        ...

    def critical_epsilon(self) -> float:
        """Epsilon above which the uniform plan is a stable fixed point."""
        ...

    def restore(self, exponent: Exponent, f: FloatArray, g: FloatArray, epsilon: float) -> RawSolution:
        """A solution again from its exponent and potentials, its loss evaluated anew; its steps and status are not known."""
        ...

    def solve(  # noqa: D102
        self,
        starts: list[PlannedStart],
        *,
        precision: str,
        tol: float,
        max_outer: int,
        max_sinkhorn: int,
        level_tol: float,
        level_max_outer: int,
        threads: int,
        done: Callable[[int, Any], Any] | None = None,
    ) -> Sequence[RawSolution]: ...


BACKENDS = ("auto", "rust", "torch")


def chosen(backend: str, device: str | None) -> str:
    """The backend that a name and a device stand for: "auto" is "torch" where a CUDA device is named, otherwise "rust"."""
    check.choice("backend", backend, BACKENDS)
    return backend if backend != "auto" else "rust" if device in (None, "cpu") else "torch"


def check_device(backend: str, device: str | None) -> None:
    """Raise a ValueError unless this backend can solve on this device, an ImportError where it needs a package that is not there."""
    if chosen(backend, device) == "torch":
        torch_device.check_name(device)
        _torch().device_of(device)
    elif device not in (None, "cpu"):
        raise ValueError(f"device must be None or 'cpu' with backend {backend!r}, got {device!r}")


def prepare(
    c1: Cost,
    c2: Cost,
    p: FloatArray,
    q: FloatArray,
    *,
    backend: str = "auto",
    device: str | None = None,
    linear: FloatArray | None = None,
    alpha: float = 1.0,
    loss: str = "square",
    threads: int = 0,
) -> Problem:
    """Build the problem in the backend of this name; `threads` work on what is asked of it besides solves (0: one a core)."""
    check_device(backend, device)
    if chosen(backend, device) == "torch":
        if linear is not None:
            raise ValueError("features must be None with backend 'torch', got an array; use backend='rust'")
        if loss != "square":
            raise ValueError(f"loss must be 'square' with backend 'torch', got {loss!r}; use backend='rust'")
        return _torch().prepare(c1, c2, p, q, device, threads)  # type: ignore[no-any-return]
    from gwrsa.backends import rust

    return rust.prepare(c1, c2, p, q, linear=linear, alpha=alpha, loss=loss, threads=threads)


def _torch() -> Any:  # noqa: ANN401
    try:
        from gwrsa.backends import torch
    except ImportError as error:
        raise ImportError("backend 'torch' needs torch: pip install 'gwrsa[torch]'") from error
    return torch
