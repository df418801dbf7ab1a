"""What happens to an image before a network sees it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from gwrsa import _validate as check

_INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Preprocessing:
    """Resize, crop the centre, scale to [0, 1], standardise.

    Parameters
    ----------
    size : int
        Pixels, height and width of what the network sees.
    crop : float
        Share of the resized image's shorter side that the central crop keeps, in (0, 1]: the shorter side becomes size / crop.
    interpolation : {"nearest", "bilinear", "bicubic", "lanczos"}
        Of the resizing.
    mean, std : three floats
        Of the channels red, green, blue, in [0, 1].

    Raises
    ------
    ValueError
        If a value is outside its range.

    Examples
    --------
    >>> half = (0.5, 0.5, 0.5)
    >>> gwrsa.Preprocessing(224, crop=0.875, interpolation="bicubic", mean=half, std=half).size
    224
    """

    size: int
    crop: float
    interpolation: str
    mean: Triple
    std: Triple

    def __post_init__(self) -> None:
        check.integer("preprocessing.size", self.size, 1)
        if check.positive("preprocessing.crop", self.crop) > 1:
            raise ValueError(f"preprocessing.crop must be at most 1, got {self.crop}")
        check.choice("preprocessing.interpolation", self.interpolation, _INTERPOLATIONS)
        for name in ("mean", "std"):
            value = check.array(f"preprocessing.{name}", getattr(self, name), 1)
            if len(value) != 3 or (name == "std" and (value <= 0).any()):
                raise ValueError(
                    f"preprocessing.{name} must be three numbers, std positive, got {getattr(self, name)!r}"
                )
            object.__setattr__(self, name, tuple(float(v) for v in value))

    @classmethod
    def of(cls, given: Preprocessing | Mapping[str, Any]) -> Preprocessing:
        """A Preprocessing, or one made of a mapping that holds each of its parameters.

        Raises
        ------
        ValueError
            If a parameter is missing or unknown.
        """
        if isinstance(given, cls):
            return given
        names = set(cls.__dataclass_fields__)
        if not isinstance(given, Mapping) or set(given) != names:
            raise ValueError(f"preprocessing must hold {', '.join(sorted(names))}, got {given!r}")
        return cls(**given)

    def transform(self) -> Any:  # noqa: ANN401
        """The torchvision transform, from a PIL image to a float32 tensor of shape (3, size, size)."""
        from torchvision import transforms

        mode = transforms.InterpolationMode[self.interpolation.upper()]
        return transforms.Compose(
            [
                transforms.Resize(int(self.size / self.crop), interpolation=mode),
                transforms.CenterCrop(self.size),
                transforms.ToTensor(),
                transforms.Normalize(self.mean, self.std),
            ]
        )

    def __str__(self) -> str:
        return str(asdict(self))


Stated = Preprocessing | Mapping[str, Any] | Literal["registry"] | None


def describe(transform: Any) -> str:  # noqa: ANN401
    """The transform in words, for provenance and the key of the cache: resolution, cropping, interpolation, statistics."""
    return re.sub(r" at 0x[0-9a-f]+", "", " ".join(repr(transform).split()))
