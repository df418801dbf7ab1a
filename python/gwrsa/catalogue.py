"""The shipped catalogue of networks, by family."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.resources import files

from gwrsa import _validate as check

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FAMILIES = ("supervised", "self-supervised", "clip", "language", "untrained")


@dataclass(frozen=True)
class Entry:
    """A network of the catalogue.

    Attributes
    ----------
    model : str
        As `gwrsa.extract` takes it.
    family : str
        One of `FAMILIES`; "untrained" goes with ``pretrained=False``.
    """

    model: str
    family: str

    @property
    def pretrained(self) -> bool:
        """Whether the network has weights."""
        return self.family != "untrained"


def catalogue(family: str | None = None) -> tuple[Entry, ...]:
    """Networks of a family, or of all (None), in the order of the file.

    Raises
    ------
    ValueError
        If the family is not one of `FAMILIES`.
    """
    if family is not None:
        check.choice("family", family, FAMILIES)
    text = (files("gwrsa") / "catalogue.toml").read_text(encoding="utf-8")
    entries = (Entry(**entry) for entry in tomllib.loads(text)["models"])
    return tuple(e for e in entries if family in (None, e.family))
