"""Checks of arguments: each raises a ValueError that names the argument, the value and what was expected."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
_Choice = TypeVar("_Choice", bound=Hashable)


def array(name: str, value: Any, ndim: int | tuple[int, ...]) -> FloatArray:  # noqa: ANN401
    """Real, finite float64 array of `ndim` dimensions; integers and booleans are converted."""
    ndims = (ndim,) if isinstance(ndim, int) else ndim
    try:
        raw = np.asarray(value)
    except ValueError as error:  # rows of unequal length
        raise ValueError(f"{name} must be an array of numbers, got {error}") from error
    if raw.dtype.kind not in "fiub":
        raise ValueError(f"{name} must be an array of real numbers, got dtype {raw.dtype}")
    if raw.ndim not in ndims:
        expected = " or ".join(f"{d}-D" for d in ndims)
        raise ValueError(f"{name} must be {expected}, got shape {raw.shape}")
    if raw.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {raw.shape}")
    out = np.ascontiguousarray(raw, dtype=np.float64)
    bad = ~np.isfinite(out)
    if bad.any():
        where = tuple(int(i) for i in np.unravel_index(int(bad.argmax()), out.shape))
        at = where[0] if len(where) == 1 else where
        raise ValueError(f"{name} must be finite, got {out[where]} at {at}")
    return out


def square(name: str, value: Any) -> FloatArray:  # noqa: ANN401
    """Real, finite n x n float64 array."""
    out = array(name, value, 2)
    if out.shape[0] != out.shape[1]:
        raise ValueError(f"{name} must be square, got shape {out.shape}")
    return out


def weights(name: str, value: Any, n: int) -> FloatArray:  # noqa: ANN401
    """Probability vector of length n; None is uniform."""
    if value is None:
        return np.full(n, 1.0 / n)
    out = array(name, value, 1)
    if len(out) != n:
        raise ValueError(f"{name} must have length {n}, got {len(out)}")
    if (out < 0).any():
        i = int((out < 0).argmax())
        raise ValueError(f"{name} must not be negative, got {out[i]} at {i}")
    if abs(out.sum() - 1.0) > 1e-6:
        raise ValueError(f"{name} must sum to 1, got a sum of {out.sum()}; divide it by its sum")
    return out


def positive(name: str, value: Any) -> float:  # noqa: ANN401
    """Positive finite number."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{name} must be a positive number, got {value!r}")
    number = float(value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} must be positive and finite, got {value}")
    return number


def integer(name: str, value: Any, low: int, high: int | None = None) -> int:  # noqa: ANN401
    """Integer between low and high (None: no bound), both included."""
    expected = f"at least {low}" if high is None else f"between {low} and {high}"
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name} must be an integer {expected}, got {value!r}")
    number = int(value)
    if number < low or (high is not None and number > high):
        raise ValueError(f"{name} must be {expected}, got {number}")
    return number


def choice(name: str, value: Any, options: Sequence[_Choice]) -> _Choice:  # noqa: ANN401
    """One of the options."""
    if value not in options:
        expected = ", ".join(repr(o) for o in options)
        raise ValueError(f"{name} must be one of {expected}, got {value!r}")
    return options[list(options).index(value)]


def labels(name: str, value: Iterable[object] | None, n: int) -> tuple[str, ...] | None:
    """`n` distinct labels as strings; None stays None (objects without labels)."""
    if value is None:
        return None
    if isinstance(value, str):
        raise ValueError(f"{name} must be a sequence of labels, got the string {value!r}")
    out = tuple(str(v) for v in value)
    if len(out) != n:
        raise ValueError(f"{name} must have {n} labels, one an object, got {len(out)}")
    if len(set(out)) != n:
        seen: set[str] = set()
        twice = next(x for x in out if x in seen or seen.add(x))  # type: ignore[func-returns-value]
        raise ValueError(f"{name} must be distinct, got {twice!r} more than once")
    return out


def positions(items: tuple[str, ...] | None, chosen: Iterable[object], n: int) -> NDArray[np.intp]:
    """Positions of the chosen objects: by label, or by integer where there are no labels."""
    wanted = list(chosen)
    if not wanted:
        raise ValueError("items must name at least one object, got none")
    if items is None:
        out = [integer("items", w, 0, n - 1) for w in wanted]
    else:
        where = {item: i for i, item in enumerate(items)}
        missing = [str(w) for w in wanted if str(w) not in where]
        if missing:
            raise ValueError(
                f"items must be labels of these {n} objects, got {len(missing)} that are not: "
                f"{', '.join(map(repr, missing[:5]))}{', ...' if len(missing) > 5 else ''}"
            )
        out = [where[str(w)] for w in wanted]
    if len(set(out)) != len(out):
        raise ValueError("items must be distinct, got an object more than once")
    return np.asarray(out, dtype=np.intp)
