"""The keys of a study.toml, and what each value has to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from gwrsa import _validate as check
from gwrsa.backends import BACKENDS
from gwrsa.rdm import METRICS
from gwrsa.solve import PRECISIONS
from gwrsa.torch_device import check_name
from gwrsa.triplets import MISSING

NOISE = ("features", "dissimilarities")
_MOST_SEEDS = 10_000
_MOST_ROUNDS = 1000

Check: TypeAlias = Callable[[str, Any], Any]


def section(where: str, given: Any, keys: Mapping[str, Check], needed: tuple[str, ...] = ()) -> dict[str, Any]:  # noqa: ANN401
    """A table of the file, its values checked.

    Raises
    ------
    ValueError
        If it is no table, a key is unknown or missing, or a value is not what it has to be.
    """
    if not isinstance(given, Mapping):
        raise ValueError(f"{where} must be a table [{where}], got {given!r}")
    prefix = f"{where}." if where else ""
    for name, value in given.items():
        if name not in keys:
            hint = check.nearest(name, keys) or f"; expected one of {', '.join(keys)}"
            raise ValueError(f"{_written(prefix + name, value)} is no key of a study{hint}")
    for name in needed:
        if name not in given:
            raise ValueError(f"{prefix}{name} must be given, got none")
    return {name: keys[name](f"{prefix}{name}", value) for name, value in given.items()}


def _written(name: str, value: Any) -> str:  # noqa: ANN401
    """A key as the file has it: a table by its heading."""
    if isinstance(value, Mapping):
        return f"[{name}]"
    return (
        f"[[{name}]]" if isinstance(value, list) and value and isinstance(value[0], Mapping) else f"{name} = {value!r}"
    )


def _text(name: str, value: Any) -> str:  # noqa: ANN401
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} must be a text that is not empty, got {value!r}")
    return value


def _boolean(name: str, value: Any) -> bool:  # noqa: ANN401
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, got {value!r}")
    return value


def _texts(name: str, value: Any) -> tuple[str, ...]:  # noqa: ANN401
    if not isinstance(value, list):
        raise ValueError(f"{name} must be a list of texts, got {value!r}")
    return tuple(_text(f"{name}[{i}]", x) for i, x in enumerate(value))


def _epsilon(name: str, value: Any) -> float | tuple[float, float]:  # noqa: ANN401
    if not isinstance(value, list):
        return check.positive(name, value)
    if len(value) != 2:
        raise ValueError(f"{name} must be a number or [low, high], got {value!r}")
    low, high = (check.positive(name, x) for x in value)
    if low > high:
        raise ValueError(f"{name} must be [low, high] with low <= high, got {value!r}")
    return low, high


def _top_k(name: str, value: Any) -> tuple[int, ...]:  # noqa: ANN401
    if not isinstance(value, list) or not value:
        raise ValueError(f"{name} must be a list of integers between 1 and 10, got {value!r}")
    found = tuple(check.integer(f"{name}[{i}]", k, 1, 10) for i, k in enumerate(value))
    if list(found) != sorted(set(found)):
        raise ValueError(f"{name} must be distinct and rising, got {value!r}")
    return found


def _preprocessing(name: str, value: Any) -> Any:  # noqa: ANN401
    from gwrsa.extraction.preprocessing import Preprocessing

    if value == "registry":
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be 'registry' or a table, got {value!r}")
    try:
        Preprocessing.of(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    return dict(value)


def _one(*options: str) -> Check:
    return lambda name, value: check.choice(name, value, options)


def _integer(low: int, high: int | None = None) -> Check:
    return lambda name, value: check.integer(name, value, low, high)


def _table(_name: str, value: Any) -> Any:  # noqa: ANN401
    return value  # checked by its own section


_SEED = _integer(0, 2**63 - 1)


def _device(*, auto: bool) -> Check:
    def checked(name: str, value: Any) -> Any:  # noqa: ANN401
        check_name(value, auto=auto, called=name)
        return value

    return checked


EXTRACT: dict[str, Check] = {
    "texts": _text,
    "module": _text,
    "checkpoint": _text,
    "pretrained": _boolean,
    "preprocessing": _preprocessing,
    "match": _one("name", "position"),
    "batch_size": check.steps,
    "device": _device(auto=True),
    "broken": _one("raise", "skip"),
}
TOP: dict[str, Check] = {
    "name": _text,
    "items": _text,
    "objects": _text,
    "all_pairs": _boolean,
    **dict.fromkeys(("human", "models", "categories", "images", "alignment", "statistics"), _table),
}
HUMAN: dict[str, Check] = {
    **dict.fromkeys(("name", "embedding", "rdm", "triplets", "items", "key", "calibrate"), _text),
    "metric": _one(*METRICS),
    "missing": _one(*MISSING),
}
MODEL: dict[str, Check] = {
    **dict.fromkeys(("name", "family", "embedding", "rdm", "extract", "items", "key", "split"), _text),
    "noise": _one(*NOISE),
    "metric": _one(*(m for m in METRICS if m != "choice")),
    "seeds": _integer(1, _MOST_SEEDS),
    "dims": check.steps,
    **EXTRACT,
}
CATEGORIES: dict[str, Check] = {"file": _text, "drop": _texts, "others": _one("exclude", "category", "miss")}
IMAGES: dict[str, Check] = {"root": _text}
ALIGNMENT: dict[str, Check] = {
    "search": _one("anneal", "multistart"),
    "epsilon": _epsilon,
    "absolute": _boolean,
    "n_starts": check.starts,
    "rounds": _integer(1, _MOST_ROUNDS),
    "min_improvement": check.positive,
    "seed": _SEED,
    "match_histogram": _boolean,
    "precision": _one(*PRECISIONS),
    "tol": check.positive,
    "max_outer": check.steps,
    "max_sinkhorn": check.steps,
    "backend": _one(*BACKENDS),
    "device": _device(auto=False),
}
STATISTICS: dict[str, Check] = {
    "top_k": _top_k,
    "bootstrap": check.steps,
    "chance": check.steps,
    "rsa": _one("corr", "spearman", "cosine"),
    "permutations": check.steps,
    "correction": _one("holm", "bh"),
    "seed": _SEED,
}
