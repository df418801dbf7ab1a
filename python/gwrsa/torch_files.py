"""Files of torch tensors: .pt and .pth, of which nothing else is unpickled, and .safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gwrsa.bounds import parsed


def load_tensors(file: Path, what: str) -> Any:  # noqa: ANN401
    """What a file of torch holds, on the CPU: a tensor, or containers of tensors and plain values.

    Parameters
    ----------
    file : Path
        By its suffix .safetensors, or else one that torch has saved.
    what : str
        How messages begin.

    Raises
    ------
    ValueError
        If it is broken, or holds anything else, which is not unpickled.
    """
    with parsed(what):
        if file.suffix == ".safetensors":
            from safetensors import SafetensorError
            from safetensors.torch import load_file

            try:
                return load_file(file)
            except SafetensorError as error:
                raise ValueError(str(error)) from error
        from pickle import UnpicklingError  # what torch raises instead of unpickling

        import torch

        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        # After its first line a message of torch is advice to unpickle the file all the same.
        except (UnpicklingError, AssertionError, RuntimeError) as error:
            raise ValueError((str(error).splitlines() or [type(error).__name__])[0]) from error
