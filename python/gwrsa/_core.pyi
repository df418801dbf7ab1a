"""The private binding of the Rust core: arrays in, arrays out; see the public functions for their meaning."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Problem",
    "Solution",
    "__version__",
    "choice_probabilities",
    "round_to_marginals",
    "simd",
    "simd_available",
    "sinkhorn",
    "time_machine",
]

__version__: str
simd: str
simd_available: list[str]

_Array: TypeAlias = NDArray[np.float64]
_Cost: TypeAlias = _Array | tuple[_Array, _Array, _Array]
_Exponent: TypeAlias = NDArray[np.float32] | _Array
_Init: TypeAlias = _Array | tuple[str, int, int]

@final
class Problem:
    def __new__(
        cls,
        c1: _Cost,
        c2: _Cost,
        p: _Array,
        q: _Array,
        *,
        loss: str = "square",
        linear: _Array | None = None,
        alpha: float = 1.0,
        whole: bool = False,
        threads: int = 0,
    ) -> Problem: ...
    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def ranks(self) -> tuple[int, int]: ...
    def critical_epsilon(self) -> float: ...
    def resolves(self, epsilon: float) -> bool: ...
    def gw_loss(self, plan: _Array) -> float: ...
    def restore(self, exponent: _Exponent, f: _Array, g: _Array, epsilon: float) -> Solution: ...
    def operator(self) -> dict[str, Any]: ...
    def initial_summary(self, init: _Init, threads: int) -> _Array: ...
    def initial_plan(self, name: str, seed: int, number: int) -> _Array: ...
    def solve(
        self,
        starts: list[tuple[_Init, list[float]]],
        *,
        precision: str,
        tol: float,
        max_outer: int,
        max_sinkhorn: int,
        level_tol: float,
        level_max_outer: int,
        threads: int,
        done: Callable[[int, Solution], Any] | None = None,
        literal: tuple[bool, float] | None = None,
    ) -> list[Solution]: ...
    def bapg(
        self,
        init: _Array,
        *,
        linear: _Array | None,
        alpha: float,
        epsilon: float,
        tol: float,
        max_outer: int,
        threads: int,
    ) -> tuple[_Array, list[float], int, bool]: ...

@final
class Solution:
    @property
    def gw_loss(self) -> float: ...
    @property
    def objective(self) -> float: ...
    @property
    def epsilon(self) -> float: ...
    @property
    def status(
        self,
    ) -> Literal["converged", "max_outer", "max_sinkhorn", "numerical_error", "interrupted", "stopped"]: ...
    @property
    def n_outer(self) -> int: ...
    @property
    def n_sinkhorn(self) -> int: ...
    @property
    def marginal_error(self) -> float: ...
    @property
    def change(self) -> float: ...
    @property
    def changes(self) -> list[float]: ...
    @property
    def seconds(self) -> float: ...
    @property
    def merged_into(self) -> int | None: ...
    @property
    def stopped_by(self) -> int | None: ...
    @property
    def phases(self) -> list[tuple[str, float]]: ...
    @property
    def path(self) -> list[tuple[float, int, float]]: ...
    def evaluated(self) -> Solution: ...
    def potentials(self) -> tuple[_Array, _Array]: ...
    def exponent(self) -> _Exponent: ...
    def plan(self) -> _Array: ...
    def top(self, k: int) -> NDArray[np.uint32]: ...

def sinkhorn(
    cost: _Array,
    p: _Array,
    q: _Array,
    *,
    epsilon: float,
    tol: float,
    max_sinkhorn: int,
    precision: str,
    threads: int,
    warm: tuple[_Array, _Array] | None = None,
) -> tuple[_Array, _Array, _Array, str, int, float]: ...
def choice_probabilities(similarities: _Array, *, threads: int) -> _Array: ...
def round_to_marginals(plan: _Array, p: _Array, q: _Array) -> _Array: ...
def time_machine(n: int, k: int, m: int, repeats: int, threads: int) -> tuple[float, float]: ...
