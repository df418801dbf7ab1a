"""The device that a name stands for, for all that uses torch."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gwrsa import _validate as check

if TYPE_CHECKING:
    import torch


def check_name(name: object, *, auto: bool = False, called: str = "device") -> None:
    """The name of a CPU or CUDA device, None, or with `auto` "auto" in its place; torch is not asked, which may be missing.

    `called` is what messages call it.

    Raises
    ------
    ValueError
        If it is another.
    """
    if name == "auto" if auto else name is None:
        return
    # A torch.device is told by its text; a number is one of CUDA's to torch, and of nobody knows what to a reader.
    if name is None or isinstance(name, int) or not re.fullmatch(r"cpu(:0)?|cuda(:(\d|[1-9]\d))?", str(name)):
        first = "'auto'" if auto else "None"
        near = check.nearest(name, (*(["auto"] if auto else []), "cpu", "cuda"))
        raise ValueError(f"{called} must be {first}, 'cpu', 'cuda' or 'cuda:N', got {name!r}{near}")


def device_of(name: object, *, auto: bool = False) -> torch.device:
    """The device of this name. None is the CPU; with `auto` there is 'auto' in its place: a CUDA device where there is one, or the CPU.

    Raises
    ------
    ValueError
        If it is not a CPU or CUDA device, or not there.
    """
    check_name(name, auto=auto)
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device: torch.device = torch.device("cpu" if name is None else str(name))
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device must be there, got {name!r} and {torch.cuda.device_count()} CUDA devices")
    return device
