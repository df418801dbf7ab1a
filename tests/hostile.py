"""What hypothesis draws for the tests of bad input: degenerate problems, odd layouts of arrays, values that nobody should pass."""

import contextlib
import re
import signal
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
from hypothesis import event
from hypothesis import strategies as st

# Cases that were run, for the summary of `make fuzz`.
COUNT = {"cases": 0, "refused": 0}
_SECONDS = 30.0

SEEDS = st.integers(0, 2**32 - 1)
SCALES = st.integers(-12, 12).map(lambda e: 10.0**e)
SIZES = st.integers(1, 7)
KINDS = ("points", "line", "twice", "zero", "equal", "asymmetric", "two groups")
LAYOUTS = (
    "plain",
    "fortran",
    "reversed",
    "strided",
    "big-endian",
    "read-only",
    "list",
    "float32",
    "integers",
    "long double",
    "matrix",
    "unaligned",
)
POISONS = (
    "nan",
    "inf",
    "huge",
    "tiny",
    "complex",
    "text",
    "object",
    "date",
    "masked",
    "empty",
    "flat",
    "deep",
    "oblong",
    "ragged",
    "none",
)
NOT_EPSILON = (0, -1.0, float("nan"), float("inf"), "0.1", None, True, 10**400, 1j, [0.1], Decimal("NaN"), b"1")
EPSILONS = (5e-324, 1e-300, 1e-30, 1e-9, 1e9, 1e30, 1e300, 1.7e308, 10**30, Fraction(1, 3), np.float32(0.5))


@contextlib.contextmanager
def within(seconds=_SECONDS):
    """Fail where the process has worked for longer: time on the clock says nothing on a busy machine."""

    def late(*_):
        raise AssertionError(f"still at work after {seconds} s of CPU time")

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def outcome(call, *names):
    """What the call returns; None where it is refused by a ValueError that names one of the arguments and what it must be."""
    COUNT["cases"] += 1
    with within(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            return call()
        except ValueError as error:
            COUNT["refused"] += 1
            event("refused")
            message = str(error)
            assert re.search(rf"\b({'|'.join(names)})\b", message), f"names no argument of {names}: {message}"
            assert re.search(r"must|expected|no scale|between|not defined|needs", message), (
                f"says not what is expected: {message}"
            )
            assert len(message) < 2000, message[:2000]
            return None


def square(kind, n, seed):
    """An n x n array of dissimilarities; of at most about 10 in size."""
    rng = np.random.default_rng(seed)
    if kind == "zero":
        return np.zeros((n, n))
    if kind == "equal":
        return np.ones((n, n)) - np.eye(n)
    if kind == "asymmetric":
        return rng.uniform(0, 1, (n, n))
    x = rng.standard_normal((n, 1 if kind == "line" else 3))
    if kind == "twice":
        x = x[np.arange(n) // 2]
    if kind == "two groups":
        x = np.sign(x)
    return ((x[:, None] - x[None]) ** 2).sum(axis=2)


@st.composite
def squares(draw, sizes=SIZES, kinds=KINDS):
    """A degenerate or ordinary array of dissimilarities, of any scale."""
    return draw(SCALES) * square(draw(st.sampled_from(kinds)), draw(sizes), draw(SEEDS))


def laid_out(values, layout):  # noqa: C901  # a case a layout
    """The array in another layout or dtype, and what it then holds as plain float64."""
    v = np.ascontiguousarray(values)
    backwards = tuple(slice(None, None, -1) for _ in v.shape)
    if layout == "fortran":
        out = np.asfortranarray(v)
    elif layout == "reversed":
        out = np.ascontiguousarray(v[backwards])[backwards]
    elif layout == "strided":
        wide = np.full(tuple(3 * d for d in v.shape), np.nan)
        out = wide[tuple(slice(1, None, 3) for _ in v.shape)]
        out[...] = v
    elif layout == "big-endian":
        out = v.astype(">f8")
    elif layout == "read-only":
        out = v.copy()
        out.flags.writeable = False
    elif layout == "list":
        out = v.tolist()
    elif layout == "float32":
        out = v.astype(np.float32)
    elif layout == "integers":
        out = np.rint(v).astype(np.int64)
    elif layout == "long double":
        out = v.astype(np.longdouble)
    elif layout == "matrix" and v.ndim == 2:
        out = v.T.copy().T.view(np.ndarray)
    elif layout == "unaligned":
        raw = bytearray(v.nbytes + 1)
        out = np.frombuffer(memoryview(raw)[1:], dtype=np.float64).reshape(v.shape)
        out[...] = v
    else:
        out = v
    return out, np.array(out, dtype=np.float64, order="C")


def poisoned(values, poison, seed):
    """The array with something in it, or about it, that is no dissimilarity."""
    rng = np.random.default_rng(seed)
    v = np.array(values, dtype=np.float64)
    at = tuple(int(rng.integers(d)) for d in v.shape)
    numbers = {"nan": np.nan, "inf": (-1) ** int(seed) * np.inf, "huge": 1.7e308, "tiny": 5e-324}
    if poison in numbers:
        v[at] = numbers[poison]
        return v
    if poison == "masked":
        return np.ma.masked_array(v, mask=np.arange(v.size).reshape(v.shape) == int(rng.integers(v.size)))
    if poison == "ragged":
        return [*v.tolist(), [1.0] * (v.shape[-1] + 1)]
    return {
        "complex": v + 1j,
        "text": v.astype(str),
        "object": v.astype(object),
        "date": np.zeros(v.shape, dtype="M8[s]"),
        "empty": v[:0],
        "flat": v.ravel(),
        "deep": v[None],
        "oblong": np.concatenate([v, v[:1]]),
        "none": None,
    }[poison]


def weights(kind, n, seed):
    """Weights of n objects; those of NOT_WEIGHTS are no probability vector."""
    rng = np.random.default_rng(seed)
    w = rng.uniform(0.1, 1, n)
    if kind == "none":
        return None
    if kind == "zeros":
        w[rng.uniform(size=n) < 0.4] = 0
        w[int(rng.integers(n))] = 1
    if kind == "one":
        w[:] = 0
        w[int(rng.integers(n))] = 1
    if kind in ("uneven", "minute"):
        w **= 8 if kind == "uneven" else 60
    w /= w.sum()
    if kind == "negative":
        w[0] -= 0.5
        w[-1] += 0.5
    return {
        "unnormalised": 2 * w,
        "long": np.append(w, 0),
        "nan": w * np.nan,
        "all zero": 0 * w,
        "text": w.astype(str),
    }.get(kind, w)


WEIGHTS = ("none", "random", "zeros", "one", "uneven")
# Below what single precision can hold.
MINUTE = (*WEIGHTS, "minute")
NOT_WEIGHTS = ("negative", "unnormalised", "long", "nan", "all zero", "text")


def loss(c1, c2, plan):
    """GW(T) of a plan by its marginals, in long double, where cancellation costs least."""
    a, b, t = (np.asarray(x, dtype=np.longdouble) for x in (c1, c2, plan))
    p, q = t.sum(axis=1), t.sum(axis=0)
    return float(p @ (a * a) @ p + q @ (b * b) @ q - 2 * (a * (t @ b @ t.T)).sum())
