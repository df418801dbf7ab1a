"""The passes over the kernel as Triton programs: a row is read from memory once, its second reading comes from the cache of the card.

That holds where the cache holds the rows of all programs at work; of larger problems both readings are from memory.

`kernels` has the twins in plain torch: the same functions, which are their test and what runs where Triton is not there.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gwrsa.backends.torch.kernels import Side

_ROWS = 16
_COLS = 256


@triton.jit  # type: ignore[untyped-decorator]
def _sweep(  # type: ignore[no-untyped-def]  # noqa: ANN202
    kernel,  # noqa: ANN001
    kernel_stride,  # noqa: ANN001
    p,  # noqa: ANN001
    u,  # noqa: ANN001
    u_stride,  # noqa: ANN001
    v,  # noqa: ANN001
    v_stride,  # noqa: ANN001
    omega,  # noqa: ANN001
    active,  # noqa: ANN001
    partial,  # noqa: ANN001
    errors,  # noqa: ANN001
    n,  # noqa: ANN001
    m,  # noqa: ANN001
    EXP: tl.constexpr,  # noqa: N803
    ROWS: tl.constexpr,  # noqa: N803
    COLS: tl.constexpr,  # noqa: N803
):
    """Of one start a block of rows: its exponential (EXP), its sums with v, new scalings u, its part of the column sums."""
    block = tl.program_id(0)
    start = tl.program_id(1).to(tl.int64)
    if tl.load(active + start) != 0:
        rows = block * ROWS + tl.arange(0, ROWS)
        there = rows < n
        row_at = kernel + start * kernel_stride + rows.to(tl.int64)[:, None] * m
        u_at = u + start * u_stride + rows
        v_at = v + start * v_stride
        place = start * tl.num_programs(0) + block
        sums = tl.zeros([ROWS, COLS], dtype=kernel.dtype.element_ty)
        for at in range(0, m, COLS):
            cols = at + tl.arange(0, COLS)
            inside = there[:, None] & (cols < m)[None, :]
            k = tl.load(row_at + cols[None, :], mask=inside, other=-float("inf") if EXP else 0.0)
            if EXP:
                k = tl.exp(k)
                tl.store(row_at + cols[None, :], k, mask=inside)
            sums += k * tl.load(v_at + cols, mask=cols < m, other=0.0)[None, :]
        held = tl.sum(sums, 1)
        weight = tl.load(p + rows, mask=there, other=0.0)
        old = tl.load(u_at, mask=there, other=1.0)
        relax = tl.load(omega + start)
        plain = weight / held
        relaxed = old * tl.exp(relax * tl.log(plain / old))
        new = tl.where(weight == 0, 0.0, tl.where(relax == 1, plain, relaxed))
        error = tl.where(weight == 0, 0.0, tl.where(relax == 1, 0.0, tl.abs(old * held - weight)))
        tl.store(u_at, new, mask=there)
        tl.store(errors + place, tl.sum(error, 0))
        # What one thread has written another may read.
        tl.debug_barrier()
        scale = tl.where(there, new, 0.0)
        for at in range(0, m, COLS):
            cols = at + tl.arange(0, COLS)
            inside = there[:, None] & (cols < m)[None, :]
            k = tl.load(row_at + cols[None, :], mask=inside, other=0.0)
            tl.store(partial + place * m + cols, tl.sum(k * scale[:, None], 0), mask=cols < m)


def sweep_rows(kernel: Tensor, p: Side, u: Tensor, v: Tensor, omega: Tensor, active: Tensor, sums: Tensor) -> Tensor:
    """As `kernels.sweep_rows`; rows of starts that are not active are not read, and their sums mean nothing."""
    return _run(kernel, p, u, v, omega, active, sums, exp=False)


def first_sweep(kernel: Tensor, p: Side, u: Tensor, v: Tensor, omega: Tensor, active: Tensor, sums: Tensor) -> Tensor:
    """As `kernels.first_sweep`."""
    return _run(kernel, p, u, v, omega, active, sums, exp=True)


def _run(
    kernel: Tensor, p: Side, u: Tensor, v: Tensor, omega: Tensor, active: Tensor, sums: Tensor, *, exp: bool
) -> Tensor:
    b, n, m = kernel.shape
    blocks = triton.cdiv(n, _ROWS)
    # In the precision of the sums, for torch makes a copy to add numbers up in another. Of starts that are not active nothing is written.
    partial, errors = sums.new_empty(b, blocks, m), sums.new_empty(b, blocks)
    _sweep[(blocks, b)](
        kernel,
        kernel.stride(0),
        p.real,
        u,
        u.stride(0),
        v,
        v.stride(0),
        omega.contiguous(),
        active.contiguous().to(kernel.dtype),
        partial,
        errors,
        n,
        m,
        EXP=exp,
        ROWS=_ROWS,
        COLS=_COLS,
    )
    sums += partial.sum(1)
    return errors.sum(1)
