"""From a plan to the exponent `M = (4 / epsilon) (S1 T S2 + a1 a2' - K1 T K2 + k1 k2')`: the core's operator for a batch on a device.

A plan is known by its summary: `x = A1' T` (r, m) of a factored source, T itself (n, m) of a dense one. The exponent is `M = left y`, or y.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


class Operator:
    """Two costs, centred and factored by the core, in one precision on one device."""

    def __init__(self, arrays: dict[str, Any], dtype: torch.dtype, device: torch.device) -> None:
        def on_device(array: Any) -> Tensor:  # noqa: ANN401
            return torch.as_tensor(array).to(device=device, dtype=dtype)

        self.dtype, self.device = dtype, device
        self.n, self.m = len(arrays["p"]), len(arrays["q"])
        # The product of the costs as given is 2^power times that of these.
        self.power: int = arrays["power"]
        self.factored = "left" in arrays
        if self.factored:
            # (n, r + 1): A1 with a1 as one more column; what the summary needs of it, contiguous.
            self.left = on_device(arrays["left"])
            self.sign = on_device(arrays["sign"])[:, None]
            self.a2 = on_device(arrays["a2"])
            self.right = on_device(arrays["right"])
            self.right_sign = on_device(arrays["right_sign"]) if "right_sign" in arrays else None
            self.r = len(self.sign)
        else:
            self.s1, self.s2 = on_device(arrays["s1"]), on_device(arrays["s2"])
            self.skew = tuple(on_device(k) for k in arrays["skew"]) if "skew" in arrays else None
            self.outer = [(on_device(a), on_device(b)) for a, b in arrays["outer"]]
            self.r = self.n

    @property
    def summary_shape(self) -> tuple[int, int]:
        """(r, m), or (n, m)."""
        return self.r, self.m

    @property
    def exponent_shape(self) -> tuple[int, int]:
        """(r + 1, m), or (n, m)."""
        return self.r + self.factored, self.m

    def summary_scale(self, p: Tensor) -> float:
        """Norm of the summary of a plan that matches one to one; 0 for a dense source, whose summary never vanishes."""
        if not self.factored:
            return 0.0
        return float((p[:, None] * self.left[:, : self.r].double()).norm())

    def exponent(self, x: Tensor, scale: Tensor, out: Tensor) -> None:
        """Exponents y of summaries x (b, r, m), with `scale` (b,) of `step`, into `out` (b, r + 1, m) or (b, n, m)."""
        by = scale.to(self.dtype)[:, None, None]
        if self.factored:
            z = x @ self.right
            if self.right_sign is not None:
                z = (z * self.right_sign) @ self.right.T
            torch.mul(z, self.sign * by, out=out[:, : self.r])
            torch.mul(self.a2, by[:, 0], out=out[:, self.r])
            return
        out.copy_(self.sandwich(x))
        for a, b in self.outer:
            out.addcmul_(a[:, None], b)
        out.mul_(by)

    def sandwich(self, x: Tensor) -> Tensor:
        """`S1 X S2 - K1 X K2` of dense costs."""
        y = torch.matmul(self.s1, x) @ self.s2
        if self.skew is not None:
            y -= torch.matmul(self.skew[0], x) @ self.skew[1]
        return y

    def rows(self, y: Tensor, start: int, stop: int) -> Tensor:
        """Rows of M of one exponent."""
        return self.left[start:stop] @ y if self.factored else y[start:stop]

    def columns(self, y: Tensor, start: int, stop: int) -> Tensor:
        """Columns of M of one exponent, as rows."""
        part = y[:, start:stop].T
        return part @ self.left.T if self.factored else part

    def summarise(self, kernel: Tensor, u: Tensor, v: Tensor, out: Tensor) -> None:
        """Summaries of `diag(u) K diag(v)`, K (b, n, m), into `out`."""
        if self.factored:
            scaled = self.left[:, : self.r] * u[:, :, None]
            torch.bmm(scaled.transpose(1, 2), kernel, out=out)
            out.mul_(v[:, None])
            return
        torch.mul(kernel, u[:, :, None], out=out)
        out.mul_(v[:, None])
        # Subnormal numbers would slow the products down a hundred times.
        torch.threshold_(out, NEGLIGIBLE[self.dtype], 0.0)

    def overlap(self, x: Tensor) -> float:
        """`2^power <S1 T S2 + 2 a1 a2' - K1 T K2 + 2 k1 k2', T>`, from `[A1 a1]' T` (r + 1, m) of a factored source or from T."""
        if self.factored:
            x, last = x[: self.r], x[self.r]
            small = x @ self.right
            other = x if self.right_sign is None else small * self.right_sign
            quadratic = (self.sign * small * other).sum()
            return self.as_given(float(quadratic + 2 * self.a2 @ last))
        out = (self.sandwich(x) * x).sum()
        for a, b in self.outer:
            out += 2 * a @ (x @ b)
        return self.as_given(float(out))

    def as_given(self, product: float) -> float:
        """From a product of these costs to one of the costs as given."""
        return _times_two_to(product, self.power)

    def step(self, epsilon: float) -> float:
        """4 / epsilon for these costs."""
        return 4 / max(_times_two_to(epsilon, -self.power), 5e-324)


def _times_two_to(x: float, power: int) -> float:
    with np.errstate(over="ignore", under="ignore"):
        return float(np.ldexp(x, power))


NEGLIGIBLE = {torch.float32: 1e-30, torch.float64: 1e-260}
"""Entries below this are 0: the product of one with a scaling stays a normal number."""
