"""Checks of arguments: each raises a ValueError that names the argument, the value and what was expected."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gwrsa.tensors import host

FloatArray = NDArray[np.float64]
MOST_STEPS = 2**32 - 1
# A slip of the keyboard must not start threads, or make starts, until the machine stands still.
MOST_THREADS = 1024
MOST_STARTS = 1_000_000
# Bytes of labels as an array, in which each takes as much as the longest.
MOST_TEXT = 1 << 30
_Choice = TypeVar("_Choice", bound=Hashable)


def array(name: str, value: Any, ndim: int | tuple[int, ...]) -> FloatArray:  # noqa: ANN401
    """Real, finite float64 array of `ndim` dimensions; integers, booleans and torch tensors are converted."""
    ndims = (ndim,) if isinstance(ndim, int) else ndim
    try:
        raw = np.asarray(host(value))
    except ValueError as error:  # rows of unequal length
        raise ValueError(f"{name} must be an array of numbers, got {error}") from error
    if np.ma.is_masked(value):
        raise ValueError(
            f"{name} must have no masked entries, got {int(np.ma.getmaskarray(value).sum())}; what they stand for is not known"
        )
    if raw.dtype.kind not in "fiub":
        raise ValueError(f"{name} must be an array of real numbers, got dtype {raw.dtype}")
    if raw.ndim not in ndims:
        expected = " or ".join(f"{d}-D" for d in ndims)
        raise ValueError(f"{name} must be {expected}, got shape {raw.shape}")
    if raw.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {raw.shape}")
    with np.errstate(over="ignore"):  # a long double beyond the range is infinite, and named below
        out = np.ascontiguousarray(raw, dtype=np.float64)
    bad = ~np.isfinite(out)
    if bad.any():
        where = tuple(int(i) for i in np.unravel_index(int(bad.argmax()), out.shape))
        at = where[0] if len(where) == 1 else where
        raise ValueError(f"{name} must be finite, got {out[where]} at {at}")
    return out


def kept(values: FloatArray, given: Any) -> FloatArray:  # noqa: ANN401
    """`values` made of what was given, copied unless nobody can write to them: they are a file's, mapped with mode "r"."""
    if isinstance(given, np.memmap) and given.mode == "r" and np.may_share_memory(values, given):
        return values
    return values.copy()


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
    with np.errstate(over="ignore"):
        total = out.sum()
    if not abs(total - 1.0) <= 1e-6:
        raise ValueError(f"{name} must sum to 1, got a sum of {total}; divide it by its sum")
    return out


def positive(name: str, value: Any) -> float:  # noqa: ANN401
    """Positive finite number."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{name} must be a positive number, got {value!r}")
    try:
        number = float(value)
    except OverflowError:  # an integer beyond 1.8e308
        number = math.inf
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} must be positive and finite, got {value}")
    return number


def flag(name: str, value: Any) -> bool:  # noqa: ANN401
    """True or False, not something that counts as one of them."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def share(name: str, value: Any) -> float:  # noqa: ANN401
    """Number between 0 and 1, both included."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) <= 1:
        raise ValueError(f"{name} must be between 0 and 1, got {value!r}")
    return float(value)


def integer(name: str, value: Any, low: int, high: int | None = None) -> int:  # noqa: ANN401
    """Integer between low and high (None: no bound), both included."""
    expected = f"at least {low}" if high is None else f"between {low} and {high}"
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name} must be an integer {expected}, got {value!r}")
    number = int(value)
    if number < low or (high is not None and number > high):
        raise ValueError(f"{name} must be {expected}, got {number}")
    return number


def steps(name: str, value: Any) -> int:  # noqa: ANN401
    """Number of steps, objects or the like: 1 to `MOST_STEPS`."""
    return _count(name, value, MOST_STEPS)


def starts(name: str, value: Any) -> int:  # noqa: ANN401
    """Number of starts, 1 to `MOST_STARTS`."""
    return _count(name, value, MOST_STARTS)


def threads(name: str, value: Any) -> int:  # noqa: ANN401
    """Number of threads, 1 to `MOST_THREADS`; 0, which is one a core, for None."""
    return 0 if value is None else _count(name, value, MOST_THREADS)


def _count(name: str, value: Any, most: int) -> int:  # noqa: ANN401
    number = integer(name, value, 1)
    if number > most:
        raise ValueError(f"{name} must be at most {most}, got {number}")
    return number


def choice(name: str, value: Any, options: Sequence[_Choice]) -> _Choice:  # noqa: ANN401
    """One of the options."""
    if not isinstance(value, Hashable) or value not in options:
        expected = ", ".join(repr(o) for o in options)
        raise ValueError(f"{name} must be one of {expected}, got {value!r}{nearest(value, options)}")
    return next(option for option in options if option == value)


def nearest(value: object, options: Iterable[object]) -> str:
    """The end of a message: the option that is spelt most like a wrong value, or nothing."""
    near = get_close_matches(value, [o for o in options if isinstance(o, str)], 1) if isinstance(value, str) else ()
    return f"; did you mean {near[0]!r}?" if near else ""


def labels(name: str, value: Iterable[object] | None, n: int) -> tuple[str, ...] | None:
    """`n` distinct labels as strings; None stays None (objects without labels)."""
    if value is None:
        return None
    if isinstance(value, str):
        raise ValueError(f"{name} must be a sequence of labels, got the string {value!r}")
    if not isinstance(value, Iterable):
        raise ValueError(f"{name} must be a sequence of labels, got {value!r}")
    out = tuple(str(v) for v in value)
    if len(out) != n:
        raise ValueError(f"{name} must have {n} labels, one an object, got {len(out)}")
    longest = max(map(len, out), default=0)
    if 4 * longest * n > MOST_TEXT:
        raise ValueError(
            f"{name} must be shorter to be kept as one array, got {n} of which one has {longest} characters"
        )
    if len(set(out)) != n:
        seen: set[str] = set()
        twice = next(x for x in out if x in seen or seen.add(x))  # type: ignore[func-returns-value]
        raise ValueError(f"{name} must be distinct, got {twice!r} more than once")
    return out


def positions(items: tuple[str, ...] | None, chosen: Iterable[object], n: int) -> NDArray[np.intp]:
    """Positions of the chosen objects: by label, or by integer where there are no labels."""
    if not isinstance(chosen, Iterable):
        raise ValueError(f"items must be a sequence of labels or positions, got {chosen!r}")
    wanted = list(chosen)
    if not wanted:
        raise ValueError("items must name at least one object, got none")
    if items is None:
        named = next((w for w in wanted if isinstance(w, str)), None)
        if named is not None:
            raise ValueError(
                f"items must be positions where there are no labels, got {named!r}; give the labels first, as items"
            )
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
