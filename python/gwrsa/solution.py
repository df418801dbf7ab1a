"""What a solve returns: a plan and how it came about, kept small."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gwrsa import _validate as check
from gwrsa import tensors
from gwrsa._validate import FloatArray
from gwrsa.backends import Exponent, RawSolution, Status


@dataclass(frozen=True, eq=False)
class GWSolution:
    """A plan between two sets of objects, kept as potentials and a small factor; the plan itself is derived when asked for."""

    gw_loss: float
    """GW(T) of `plan`, at least 0: square loss, not halved, no root, as in POT. Infinity where there is no plan."""
    objective: float
    """gw_loss + epsilon * sum(T log T)."""
    epsilon: float
    """Absolute regularisation (POT's; twice OTT's)."""
    status: Status
    """"converged"; "max_outer": the outer steps ran out; "max_sinkhorn": the sweeps of the last outer step ran out with
    the marginals `marginal_error` off; "numerical_error": numbers left the range, no plan; "interrupted": by Ctrl-C, with its last plan or
    none (see `Interrupted`); "stopped": in a search, out of reach of another start."""
    n_outer: int
    """Outer steps, over all values of epsilon that were gone through."""
    n_sinkhorn: int
    """Sinkhorn sweeps in all."""
    marginal_error: float
    """L1 error of the marginals before the plan was rounded onto them."""
    change: float
    """Relative change in the last outer step."""
    seconds: float
    """Wall time."""
    path: list[tuple[float, int, float]]
    """(epsilon, outer steps, relative change at the end) of each value of epsilon."""
    phases: dict[str, float] = field(repr=False)
    """Seconds by what was done: "start" (first plan), "products" (with the costs), "kernel" (exponential and first sweep), "sweeps" (the
    others), "summary" (of the new plan), "evaluation" (loss)."""
    _raw: Any = field(repr=False)  # RawSolution; None where there is no plan
    _device: Any = field(default=None, repr=False)
    """Where both costs were, as torch tensors, and where arrays go back to."""
    _why: str = field(default="", repr=False)
    """Why there is no plan, where that is known beyond the status."""

    @classmethod
    def from_raw(cls, raw: RawSolution, device: Any = None, why: str = "") -> GWSolution:  # noqa: ANN401
        """From what a backend returns; with a torch device, arrays are given as tensors on it; `why` it has no plan, where it has none."""
        return cls(
            gw_loss=raw.gw_loss,
            objective=raw.objective,
            epsilon=raw.epsilon,
            status=raw.status,
            n_outer=raw.n_outer,
            n_sinkhorn=raw.n_sinkhorn,
            marginal_error=raw.marginal_error,
            change=raw.change,
            seconds=raw.seconds,
            path=raw.path,
            phases=dict(raw.phases),
            _raw=raw,
            _device=device,
            _why=why,
        )

    @classmethod
    def unbegun(cls, epsilon: float) -> GWSolution:
        """Of a solve that was interrupted before its first step."""
        return cls(
            gw_loss=math.inf,
            objective=math.inf,
            epsilon=epsilon,
            status="interrupted",
            n_outer=0,
            n_sinkhorn=0,
            marginal_error=math.inf,
            change=math.inf,
            seconds=0.0,
            path=[],
            phases={},
            _raw=None,
        )

    @property
    def converged(self) -> bool:
        """Both loops reached their tolerance."""
        return self.status == "converged"

    @property
    def failed(self) -> bool:
        """There is no plan."""
        return self.status == "numerical_error" or self.gw_loss == math.inf

    @cached_property
    def plan(self) -> FloatArray:
        """The plan (n, m), float64, with the marginals p and q to 1e-12 (Altschuler et al. 2017, algorithm 2).

        Where both costs were torch tensors, it is one too, on their device; so are `potentials` and `top`.

        Raises
        ------
        ValueError
            After a numerical error, when there is none.
        """
        self._needs_plan()
        if self._device is not None and hasattr(self._raw, "plan_tensor"):
            return self._raw.plan_tensor().to(self._device)  # type: ignore[no-any-return]
        return tensors.on(self._raw.plan(), self._device)  # type: ignore[no-any-return]

    @property
    def potentials(self) -> tuple[FloatArray, FloatArray]:
        """Both f (n,) and g (m,) of `T = exp(M + f + g)`, in units of epsilon; -inf where a weight is 0."""
        self._needs_plan()
        f, g = self._raw.potentials()
        return tensors.on(f, self._device), tensors.on(g, self._device)

    @property
    def exponent(self) -> Exponent:
        """The small factor of M in `T = exp(M + f + g)`: with the potentials, and the same two sides, the plan is derived from it again."""
        self._needs_plan()
        return self._raw.exponent()  # type: ignore[no-any-return]

    def top(self, k: int) -> NDArray[np.int64]:
        """The k most probable targets of each source item (n, k), most probable first; the plan is not formed for it.

        Of the plan before it is rounded onto the marginals, which moves an entry by about `marginal_error` at most.

        Raises
        ------
        ValueError
            If k is not between 1 and m, or there is no plan.
        """
        self._needs_plan()
        check.integer("k", k, 1, len(self._raw.potentials()[1]))
        return tensors.on(self._raw.top(k).astype(np.int64), self._device)  # type: ignore[no-any-return]

    def _needs_plan(self) -> None:
        if self.failed:
            so = "; raise epsilon or use float64" if self.status == "numerical_error" else ""
            raise ValueError(self._why or f"this solve ended with status {self.status!r} and has no plan{so}")


@dataclass(frozen=True, eq=False)
class OTSolution:
    """A plan of linear entropic optimal transport."""

    plan: FloatArray
    """(n, m), float64, rounded onto the marginals."""
    transport_cost: float
    """<cost, plan>."""
    potentials: tuple[FloatArray, FloatArray]
    """f (n,) and g (m,), in units of epsilon: `plan = exp(f + g - cost / epsilon)` before rounding; -inf where a weight is 0."""
    status: Status
    """"converged", "max_sinkhorn" or "numerical_error"."""
    n_sinkhorn: int
    """Sweeps."""
    marginal_error: float
    """L1 error of the marginals before rounding."""
