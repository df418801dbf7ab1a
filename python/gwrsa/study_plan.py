"""What a study consists of: its representations, and the units of work that its settings plan."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from gwrsa.schedule import number_of_starts
from gwrsa.study_settings import Model, Settings

# Starts of a round that are a unit of their own, where they have nothing to do with each other: of 1,854 objects half a minute of a core.
_BATCH = 50


@dataclass(frozen=True)
class Entry:
    """One representation of the study: the human side, or a replicate of a model."""

    name: str
    family: str
    replicate: int
    metric: str
    """Of an embedding; "precomputed" for an RDM."""
    side: str
    """Digest: the name of its file."""
    meta: dict[str, Any] | None = None
    """Provenance of extracted features."""

    def plain(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.name} ({self.replicate})" if self.replicate else self.name


What = Literal["test", "compare", "align"]


@dataclass(frozen=True)
class Unit:
    """One piece of work: the permutation test of an RSA with the human side, the RSA of two models, or the alignment of a pair."""

    what: What
    source: Entry
    target: Entry
    round: int = 0
    """Of an alignment: which of its rounds of starts."""
    batch: int = 0
    """Which of `batches` of that round."""

    @property
    def pair(self) -> tuple[str, ...]:
        """What its two sides are, whatever they are called."""
        return self.source.side, self.source.metric, self.target.side, self.target.metric

    @property
    def names(self) -> str:
        """What its two sides are called."""
        return f"{self.source} with {self.target}"

    def __str__(self) -> str:
        again = f", round {self.round + 1}" if self.round else ""
        part = f", batch {self.batch + 1}" if self.batch else ""
        return f"{'alignment' if self.what == 'align' else 'RSA'} of {self.names}{again}{part}"


def runs(settings: Settings) -> list[tuple[Model, int]]:
    """Every replicate of every model, in order."""
    return [(model, i) for model in settings.models for i in range(model.seeds)]


def compared(settings: Settings) -> set[str]:
    """Names of the models that are compared with each other. Noise is not: it has nothing in common with anything, and takes longest."""
    return {model.name for model in settings.models if model.noise is None}


def starts_of_a_round(settings: Settings) -> int:
    """Of a pair."""
    return number_of_starts(settings.alignment.search, settings.alignment.n_starts)


def batches(settings: Settings) -> list[tuple[int, int]]:
    """First start and number of starts of each unit that a round of a pair is cut into: by the settings, never by who computes it.

    Random starts have nothing to do with each other; those of other searches meet, and are one.
    """
    n = starts_of_a_round(settings)
    size = _BATCH if settings.alignment.search == "multistart" else n
    return [(first, min(size, n - first)) for first in range(0, n, size)]


def planned(settings: Settings) -> list[tuple[What, int | None, int, int]]:
    """What a study consists of: what, of which of `runs`, None being the human side, and which batch. The settings alone say it."""
    replicates = runs(settings)
    names = compared(settings)
    first = [at for at, (model, i) in enumerate(replicates) if i == 0 and model.name in names]
    pairs = [(a, b) for x, a in enumerate(first) for b in first[x + 1 :]] if settings.all_pairs else []
    human: list[tuple[int | None, int]] = [(None, at) for at in range(len(replicates))]
    cut = range(len(batches(settings)))
    # Every pair before the next batch: a job array of as many parts, or of a multiple, reads one model a part.
    return [
        *(("align", *pair, batch) for batch in cut for pair in human),
        *(("test", *pair, 0) for pair in human),
        *(("align", *pair, batch) for batch in cut for pair in pairs),
        *(("compare", *pair, 0) for pair in pairs),
    ]
