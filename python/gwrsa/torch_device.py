"""The device that a name stands for, for all that uses torch."""

from __future__ import annotations

import torch


def device_of(name: object, *, auto: bool = False) -> torch.device:
    """The device of this name. None is the CPU; with `auto` there is 'auto' in its place: a CUDA device where there is one, or the CPU.

    Raises
    ------
    ValueError
        If it is not a CPU or CUDA device, or not there.
    """
    if auto and name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not auto and name is None:
        return torch.device("cpu")
    first = "'auto'" if auto else "None"
    expected = f"device must be {first}, 'cpu', 'cuda' or 'cuda:N', got {name!r}"
    try:
        device: torch.device = torch.device(name)  # type: ignore[call-overload]
    except (RuntimeError, TypeError):
        raise ValueError(expected) from None
    if isinstance(name, int) or device.type not in ("cpu", "cuda") or (device.type == "cpu" and device.index):
        raise ValueError(expected)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device must be there, got {name!r} and {torch.cuda.device_count()} CUDA devices")
    return device
