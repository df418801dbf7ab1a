"""Torch tensors as arguments and results, for those who have torch; it is never imported here."""

from __future__ import annotations

import sys
from typing import Any


def is_tensor(value: Any) -> bool:  # noqa: ANN401
    """Whether it is a torch tensor."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def host(value: Any) -> Any:  # noqa: ANN401
    """A tensor as an array of numpy, not copied where it is one of the CPU's; anything else as it is.

    Raises
    ------
    ValueError
        If it is a tensor that has no array, such as a sparse one.
    """
    if not is_tensor(value):
        return value
    import torch

    known = value.detach()
    if known.layout != torch.strided:
        raise ValueError(f"a tensor must be dense, got layout {known.layout}; call .to_dense()")
    if known.dtype in (torch.bfloat16, torch.float16):
        known = known.float()
    return known.cpu().resolve_conj().resolve_neg().numpy()


def device_of(c1: Any, c2: Any) -> Any:  # noqa: ANN401
    """The device on which both costs are, as torch tensors; None when one is not a tensor.

    Raises
    ------
    ValueError
        If they are on two devices.
    """
    if not (is_tensor(c1) and is_tensor(c2)):
        return None
    if c1.device != c2.device:
        raise ValueError(f"c2 must be on the device of c1, {str(c1.device)!r}, got a tensor on {str(c2.device)!r}")
    return c1.device


def on(array: Any, device: Any) -> Any:  # noqa: ANN401
    """An array as a tensor on a device; as it is where that is None."""
    if device is None:
        return array
    import torch

    return torch.as_tensor(array).to(device)
