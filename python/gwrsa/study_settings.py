"""What a study.toml says: every key checked, every default filled in. docs/study.md has an annotated one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from gwrsa import _validate as check
from gwrsa.rdm import METRICS
from gwrsa.solve import PRECISIONS
from gwrsa.triplets import MISSING

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NOISE = ("features", "dissimilarities")
_MOST_SEEDS = 10_000


@dataclass(frozen=True)
class Human:
    """The human side, source of every alignment: one of embedding, rdm and triplets."""

    name: str = "human"
    embedding: str | None = None
    rdm: str | None = None
    triplets: str | None = None
    metric: str = "cosine"
    calibrate: str | None = None
    """Triplets that set the scale of the embedding, for metric "choice"."""
    missing: str = "raise"
    """Triplets: what a pair is that was never shown."""
    items: str | None = None
    key: str | None = None


@dataclass(frozen=True)
class Model:
    """A model, or a group of people: one of embedding, rdm, extract and noise."""

    name: str
    family: str
    embedding: str | None = None
    rdm: str | None = None
    extract: str | None = None
    noise: str | None = None
    metric: str = "cosine"
    items: str | None = None
    key: str | None = None
    seeds: int = 1
    """Replicates: initialisations of an untrained network, draws of noise, or files whose name holds {seed}."""
    dims: int | None = None
    """Of noise; None: as the human embedding."""
    texts: str | None = None
    """Of a network that reads texts, in place of images.root."""
    module: str | None = None
    checkpoint: str | None = None
    pretrained: bool = True
    preprocessing: Any = None
    match: str = "name"
    batch_size: int = 32
    device: str = "auto"
    broken: str = "raise"


@dataclass(frozen=True)
class Categories:
    """Of the objects; without a file there are none."""

    file: str | None = None
    drop: tuple[str, ...] = ()
    """Columns that are no categories."""
    others: str = "exclude"
    """What an object without a category counts as."""


@dataclass(frozen=True)
class Images:
    """Images of the objects, for extraction and for thumbnails."""

    root: str | None = None


@dataclass(frozen=True)
class AlignmentSettings:
    """As the arguments of `gwrsa.align`."""

    search: str = "anneal"
    epsilon: float | tuple[float, float] | None = None
    absolute: bool = False
    n_starts: int | None = None
    seed: int = 0
    match_histogram: bool = True
    """Give each model the human distribution of dissimilarities."""
    precision: str = "mixed"
    tol: float = 1e-5
    max_outer: int = 1000
    max_sinkhorn: int = 1000


@dataclass(frozen=True)
class Statistics:
    """Of rates and RSA."""

    top_k: tuple[int, ...] = (1, 5, 10)
    bootstrap: int = 1000
    """Resamples of the objects."""
    chance: int = 1000
    """Simulated plans."""
    rsa: str = "corr"
    permutations: int = 1000
    correction: str = "holm"
    seed: int = 0


@dataclass(frozen=True)
class Settings:
    """A whole study."""

    human: Human
    models: tuple[Model, ...]
    name: str = "study"
    items: str | None = None
    """Labels for files that hold none."""
    objects: str | None = None
    """Labels of the objects that are studied; None: all of the human side."""
    all_pairs: bool = False
    """Model against model too."""
    categories: Categories = field(default_factory=Categories)
    images: Images = field(default_factory=Images)
    alignment: AlignmentSettings = field(default_factory=AlignmentSettings)
    statistics: Statistics = field(default_factory=Statistics)

    @classmethod
    def read(cls, path: str | Path) -> tuple[Settings, str]:
        """Settings and text of a TOML file.

        Raises
        ------
        ValueError
            If it is no TOML, or `of` refuses it; the message names the file.
        """
        text = Path(path).read_text(encoding="utf-8")
        try:
            return cls.of(tomllib.loads(text)), text
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{path} must be TOML: {error}") from error
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Settings:
        """Settings of a mapping as TOML gives it.

        Raises
        ------
        ValueError
            If a key is unknown or missing, or a value is not what it has to be; the message names key, value and expectation.
        """
        top = _section("", given, _TOP, ("human", "models"))
        human = Human(**_section("human", top.pop("human"), _HUMAN))
        _one_of("human", human, ("embedding", "rdm", "triplets"))
        if (human.metric == "choice") != (human.calibrate is not None):
            raise ValueError(
                "human.calibrate must name triplets for metric 'choice', and only for it, "
                f"got {human.calibrate!r} and metric {human.metric!r}"
            )
        models = top.pop("models")
        if not isinstance(models, list) or not models:
            raise ValueError(f"models must be at least one table [[models]], got {models!r}")
        return cls(
            human=human,
            models=_distinct(tuple(_model(f"models[{i}]", m) for i, m in enumerate(models))),
            categories=Categories(**_section("categories", top.pop("categories", {}), _CATEGORIES)),
            images=Images(**_section("images", top.pop("images", {}), _IMAGES)),
            alignment=AlignmentSettings(**_section("alignment", top.pop("alignment", {}), _ALIGNMENT)),
            statistics=Statistics(**_section("statistics", top.pop("statistics", {}), _STATISTICS)),
            **top,
        )

    def plain(self) -> dict[str, Any]:
        """As JSON gives it back."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @classmethod
    def restored(cls, plain: Mapping[str, Any]) -> Settings:
        """Settings again, from `plain`."""
        sections = {"human": Human, **_SECTIONS}
        given: dict[str, Any] = {}
        for name, value in plain.items():
            if name == "models":
                given[name] = [_told(Model, m) for m in value]
            elif name in sections:
                given[name] = _told(sections[name], value)
            elif value is not None:
                given[name] = value
        return cls.of(given)

    def relative_to(self, base: Path) -> Settings:
        """The same study, its paths made absolute."""

        def at(side: Any, names: tuple[str, ...]) -> Any:  # noqa: ANN401
            given = {name: getattr(side, name) for name in names}
            return replace(
                side, **{name: str(base.resolve() / path) for name, path in given.items() if path is not None}
            )

        moved: Settings = at(self, ("items", "objects"))
        return replace(
            moved,
            human=at(self.human, ("embedding", "rdm", "triplets", "calibrate", "items")),
            models=tuple(at(m, ("embedding", "rdm", "items", "texts", "checkpoint")) for m in self.models),
            categories=at(self.categories, ("file",)),
            images=at(self.images, ("root",)),
        )

    def toml(self) -> str:
        """As a study.toml, without what is as by default. Needs tomli-w."""
        import tomli_w

        plain = self.plain()
        told = {
            name: value
            for name, value in plain.items()
            if not isinstance(value, (dict, list)) and value not in (None, False)
        }
        told["human"] = _told(Human, plain["human"])
        told["models"] = [_told(Model, m) for m in plain["models"]]
        for name, kind in _SECTIONS.items():
            if section := _told(kind, plain[name]):
                told[name] = section
        return tomli_w.dumps(told)


_SECTIONS: dict[str, Any] = {
    "categories": Categories,
    "images": Images,
    "alignment": AlignmentSettings,
    "statistics": Statistics,
}


def _told(kind: Any, plain: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    """What of a section is not as by default."""
    defaults = {f.name: f.default for f in fields(kind)}
    return {
        name: value
        for name, value in plain.items()
        if (tuple(value) if isinstance(value, list) else value) != defaults[name]
    }


Check = Callable[[str, Any], Any]


def _section(where: str, given: Any, keys: Mapping[str, Check], needed: tuple[str, ...] = ()) -> dict[str, Any]:  # noqa: ANN401
    if not isinstance(given, Mapping):
        raise ValueError(f"{where} must be a table [{where}], got {given!r}")
    prefix = f"{where}." if where else ""
    for name, value in given.items():
        if name not in keys:
            near = get_close_matches(str(name), keys, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; expected one of {', '.join(keys)}"
            raise ValueError(f"{prefix}{name} = {value!r} is no key of a study{hint}")
    for name in needed:
        if name not in given:
            raise ValueError(f"{prefix}{name} must be given, got none")
    return {name: keys[name](f"{prefix}{name}", value) for name, value in given.items()}


def _model(where: str, given: Any) -> Model:  # noqa: ANN401
    found = _section(where, given, _MODEL, ("name", "family"))
    model = Model(**found)
    if "pretrained" not in found and model.extract is not None:
        model = replace(model, pretrained=model.family != "untrained")
    kind = _one_of(where, model, ("embedding", "rdm", "extract", "noise"))
    only = {"dims": "noise", **dict.fromkeys(_EXTRACT, "extract")}
    for name in found:
        if kind != only.get(name, kind):
            raise ValueError(
                f"{where}.{name} goes with {only[name]} only, got it beside {kind} = {getattr(model, kind)!r}"
            )
    if kind in {"embedding", "rdm"} and ("{seed}" in getattr(model, kind)) != (model.seeds > 1):
        raise ValueError(
            f"{where}.seeds must be above 1 where {kind} holds {{seed}}, and only there, "
            f"got {model.seeds} and {getattr(model, kind)!r}"
        )
    if kind == "extract" and model.pretrained and model.seeds > 1:
        raise ValueError(f"{where}.seeds must be 1 for a network with weights, got {model.seeds}; pretrained = false?")
    if kind == "extract" and model.items is not None:
        raise ValueError(
            f"{where}.items must not be given for extract, whose labels are those of the images, got {model.items!r}"
        )
    return model


def _one_of(where: str, side: Human | Model, kinds: tuple[str, ...]) -> str:
    given = [kind for kind in kinds if getattr(side, kind) is not None]
    if len(given) != 1:
        raise ValueError(f"{where} must have one of {', '.join(kinds)}, got {' and '.join(given) or 'none'}")
    return given[0]


def _distinct(models: tuple[Model, ...]) -> tuple[Model, ...]:
    names: set[str] = set()
    for i, model in enumerate(models):
        if model.name in names:
            raise ValueError(f"models[{i}].name must be distinct, got {model.name!r} more than once")
        names.add(model.name)
    return models


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
_EXTRACT: dict[str, Check] = {
    "texts": _text,
    "module": _text,
    "checkpoint": _text,
    "pretrained": _boolean,
    "preprocessing": _preprocessing,
    "match": _one("name", "position"),
    "batch_size": check.steps,
    "device": _text,
    "broken": _one("raise", "skip"),
}
_TOP: dict[str, Check] = {
    "name": _text,
    "items": _text,
    "objects": _text,
    "all_pairs": _boolean,
    **dict.fromkeys(("human", "models", "categories", "images", "alignment", "statistics"), _table),
}
_HUMAN: dict[str, Check] = {
    **dict.fromkeys(("name", "embedding", "rdm", "triplets", "items", "key", "calibrate"), _text),
    "metric": _one(*METRICS),
    "missing": _one(*MISSING),
}
_MODEL: dict[str, Check] = {
    **dict.fromkeys(("name", "family", "embedding", "rdm", "extract", "items", "key"), _text),
    "noise": _one(*NOISE),
    "metric": _one(*(m for m in METRICS if m != "choice")),
    "seeds": _integer(1, _MOST_SEEDS),
    "dims": check.steps,
    **_EXTRACT,
}
_CATEGORIES: dict[str, Check] = {"file": _text, "drop": _texts, "others": _one("exclude", "category", "miss")}
_IMAGES: dict[str, Check] = {"root": _text}
_ALIGNMENT: dict[str, Check] = {
    "search": _one("anneal", "multistart"),
    "epsilon": _epsilon,
    "absolute": _boolean,
    "n_starts": check.starts,
    "seed": _SEED,
    "match_histogram": _boolean,
    "precision": _one(*PRECISIONS),
    "tol": check.positive,
    "max_outer": check.steps,
    "max_sinkhorn": check.steps,
}
_STATISTICS: dict[str, Check] = {
    "top_k": _top_k,
    "bootstrap": check.steps,
    "chance": check.steps,
    "rsa": _one("corr", "spearman", "cosine"),
    "permutations": check.steps,
    "correction": _one("holm", "bh"),
    "seed": _SEED,
}
