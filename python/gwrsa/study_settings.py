"""What a study.toml says: every key checked, every default filled in. docs/study.md has an annotated one."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from gwrsa import study_keys as keys
from gwrsa._validate import MOST_STARTS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


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
    split: str | None = None
    """Of groups of people: the way of dividing them that this group is a part of; no one is in two groups of it."""


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
    """As the arguments of `gwrsa.align`, and how often it is called for a pair."""

    search: str = "anneal"
    epsilon: float | tuple[float, float] | None = None
    absolute: bool = False
    n_starts: int | None = None
    """In a round."""
    rounds: int = 1
    """At most; a pair gets another one where the last lowered its lowest loss by more than `min_improvement`."""
    min_improvement: float = 1e-4
    """Share of the loss before."""
    seed: int = 0
    match_histogram: bool = True
    """Give each model the human distribution of dissimilarities."""
    precision: str = "mixed"
    tol: float = 1e-5
    max_outer: int = 1000
    max_sinkhorn: int = 1000
    backend: str = "auto"
    device: str = "cpu"


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
        try:
            text = Path(path).read_text(encoding="utf-8")
            _check_dots(text)
            return cls.of(tomllib.loads(text)), text
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
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
        top = keys.section("", given, keys.TOP, ("human", "models"))
        human = Human(**keys.section("human", top.pop("human"), keys.HUMAN))
        kind = _one_of("human", human, ("embedding", "rdm", "triplets"))
        path = getattr(human, kind)
        if kind != "triplets" and "{seed}" in path:
            raise ValueError(
                f"human.{kind} must be one file, without {{seed}}: only models have replicates, got {path!r}"
            )
        if kind != "triplets" and "missing" in given["human"]:
            raise ValueError(f"human.missing goes with triplets only, got it beside {kind} = {path!r}")
        if kind != "embedding" and (human.metric == "choice" or human.calibrate is not None):
            raise ValueError(
                f"human.metric 'choice' and human.calibrate go with an embedding only, got {kind} = {path!r}"
            )
        if (human.metric == "choice") != (human.calibrate is not None):
            raise ValueError(
                "human.calibrate must name triplets for metric 'choice', and only for it, "
                f"got {human.calibrate!r} and metric {human.metric!r}"
            )
        models = top.pop("models")
        if not isinstance(models, list) or not models:
            raise ValueError(f"models must be at least one table [[models]], got {models!r}")
        alignment = AlignmentSettings(**keys.section("alignment", top.pop("alignment", {}), keys.ALIGNMENT))
        if alignment.absolute and alignment.epsilon is None:
            raise ValueError("alignment.epsilon must be given where alignment.absolute is true, got none")
        if alignment.rounds * (alignment.n_starts or 1) > MOST_STARTS:
            raise ValueError(
                f"alignment.rounds must be at most {MOST_STARTS} starts a pair, got {alignment.rounds} of {alignment.n_starts}"
            )
        return cls(
            human=human,
            models=_split(_distinct(human.name, tuple(_model(f"models[{i}]", m) for i, m in enumerate(models)))),
            categories=Categories(**keys.section("categories", top.pop("categories", {}), keys.CATEGORIES)),
            images=Images(**keys.section("images", top.pop("images", {}), keys.IMAGES)),
            alignment=alignment,
            statistics=Statistics(**keys.section("statistics", top.pop("statistics", {}), keys.STATISTICS)),
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
                given[name] = [_told_model(m) for m in value]
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

    def solved_by(self, backend: str | None, device: str | None) -> Settings:
        """The same study, aligned by another backend or on another device; None: as it is."""
        given = {name: value for name, value in (("backend", backend), ("device", device)) if value is not None}
        return replace(self, alignment=replace(self.alignment, **keys.section("alignment", given, keys.ALIGNMENT)))

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
        told["models"] = [_told_model(m) for m in plain["models"]]
        for name, kind in _SECTIONS.items():
            if section := _told(kind, plain[name]):
                told[name] = section
        return tomli_w.dumps(told)


_MOST_DOTS = 1000
# Keys of a model that say nothing of other kinds of it.
_ONLY = {
    "dims": ("noise",),
    "key": ("embedding", "rdm"),
    "items": ("embedding", "rdm"),
    **dict.fromkeys(keys.EXTRACT, ("extract",)),
}
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


def _told_model(plain: Mapping[str, Any]) -> dict[str, Any]:
    """As `_told`; whether a network has its weights is by default a matter of its family."""
    told = _told(Model, plain)
    if plain["extract"] is not None and plain["pretrained"] != _has_weights(plain["family"]):
        told["pretrained"] = plain["pretrained"]
    return told


def _check_dots(text: str) -> None:
    """Refuse keys of so many parts that tomllib, whose time grows with their square, would not come back."""
    for i, line in enumerate(text.split("\n")):
        if line.count(".") > _MOST_DOTS:
            raise ValueError(f"line {i + 1} must have at most {_MOST_DOTS} dots, got {line.count('.')}")


def _has_weights(family: str) -> bool:
    return family.strip().lower() != "untrained"


def _model(where: str, given: Any) -> Model:  # noqa: ANN401
    found = keys.section(where, given, keys.MODEL, ("name", "family"))
    model = Model(**found)
    if "pretrained" not in found and model.extract is not None:
        model = replace(model, pretrained=_has_weights(model.family))
    kind = _one_of(where, model, ("embedding", "rdm", "extract", "noise"))
    for name in found:
        kinds = _ONLY.get(name, (kind,))
        if kind not in kinds:
            more = ", whose labels are those of the images" if (name, kind) == ("items", "extract") else ""
            raise ValueError(
                f"{where}.{name} goes with {' and '.join(kinds)} only, got it beside {kind} = {getattr(model, kind)!r}{more}"
            )
    if kind in {"embedding", "rdm"} and ("{seed}" in getattr(model, kind)) != (model.seeds > 1):
        raise ValueError(
            f"{where}.seeds must be above 1 where {kind} holds {{seed}}, and only there, "
            f"got {model.seeds} and {getattr(model, kind)!r}"
        )
    for name in {"dims", "metric"} & found.keys() if model.noise == "dissimilarities" else ():
        raise ValueError(
            f"{where}.{name} goes with noise = 'features' only, got {found[name]!r} beside {model.noise!r}"
        )
    if "match" in found and model.checkpoint is None:
        raise ValueError(f"{where}.match goes with a checkpoint only, got {model.match!r} without one")
    if model.checkpoint is not None and not model.pretrained:
        raise ValueError(
            f"{where}.checkpoint goes with a network with weights only, got {model.checkpoint!r} beside pretrained = false, "
            "which family 'untrained' implies"
        )
    if kind == "extract" and model.pretrained and model.seeds > 1:
        raise ValueError(f"{where}.seeds must be 1 for a network with weights, got {model.seeds}; pretrained = false?")
    return model


def _one_of(where: str, side: Human | Model, kinds: tuple[str, ...]) -> str:
    given = [kind for kind in kinds if getattr(side, kind) is not None]
    if len(given) != 1:
        raise ValueError(f"{where} must have one of {', '.join(kinds)}, got {' and '.join(given) or 'none'}")
    return given[0]


def _distinct(human: str, models: tuple[Model, ...]) -> tuple[Model, ...]:
    names: set[str] = set()
    for i, model in enumerate(models):
        if model.name == human:
            raise ValueError(f"models[{i}].name must not be that of the human side, got {model.name!r} for both")
        if model.name in names:
            raise ValueError(f"models[{i}].name must be distinct, got {model.name!r} more than once")
        names.add(model.name)
        twin = next((m for m in models[:i] if m.noise and (m.noise, m.dims) == (model.noise, model.dims)), None)
        if twin is not None:
            raise ValueError(
                f"models[{i}].noise must differ from that of {twin.name!r}, whose draws it would repeat, got {model.noise!r} for both; "
                "more draws are more seeds"
            )
    return models


def _split(models: tuple[Model, ...]) -> tuple[Model, ...]:
    splits = [model.split for model in models]
    for i, split in enumerate(splits):
        if split is not None and splits.count(split) == 1:
            raise ValueError(f"models[{i}].split must be that of at least 2 models, got {split!r} only here")
    return models
