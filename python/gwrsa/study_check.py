"""Is every file of a study what it was when it was written, and what would become of those that are not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gwrsa._core import __version__
from gwrsa.shards import PART, Shards, file_digest
from gwrsa.sides import load_side
from gwrsa.store import CATEGORIES, load_provenance, need, read_categories
from gwrsa.study_gather import Opened
from gwrsa.study_inputs import hashed

AGAIN = "gwrsa study computes it again"


@dataclass(frozen=True)
class Finding:
    """What is to be said of a file."""

    path: str
    """Relative to the folder; an input as the settings name it."""
    what: str
    consequence: str
    bad: bool = True
    """False: nothing is wrong, or nothing that matters to the results."""


@dataclass(frozen=True)
class Checked:
    """What a check saw."""

    counts: dict[str, int]
    """How many files of each kind were looked at."""
    findings: tuple[Finding, ...]

    @property
    def whole(self) -> bool:
        """Nothing bad was found."""
        return not any(f.bad for f in self.findings)


def check(folder: str | Path) -> Checked:
    """Look at every file of a study, finished or not, and at its inputs where they still are.

    Raises
    ------
    ValueError
        If the folder holds no study, or one of another version of the layout.
    """
    root = Path(folder)
    need("pyarrow")
    provenance = load_provenance(root)
    if provenance is None:
        raise ValueError(f"folder must hold a study, got {str(root)!r}, where there is no provenance.json")
    plans: dict[str, str] = {}
    counts: dict[str, int] = {}
    findings: list[Finding] = []
    for kind, found in (
        ("shards", _shards(root, plans)),
        ("plans", _plans(root, plans)),
        ("sides", _sides(root)),
        ("tables", _tables(root, provenance)),
        ("inputs", _inputs(provenance)),
    ):
        looked = list(found)
        counts[kind] = len(looked)
        findings += [f for f in looked if f is not None]
    if not any(f.bad for f in findings):  # what is bad is missing too, and has been named
        findings += _missing(root, provenance)
    findings += [
        Finding(
            str(p.relative_to(root)),
            "was left half written by a run that was killed, or is being written",
            "it is removed in time",
            bad=False,
        )
        for p in sorted(root.rglob(f".*{PART}"))
    ]
    return Checked(counts, tuple(findings))


def _shards(root: Path, plans: dict[str, str]) -> Iterator[Finding | None]:
    """Each shard; fills in the hashes of plans that they hold."""
    shards = Shards(root / "shards")
    for path in sorted(shards.folder.glob("*.json")):
        name = str(path.relative_to(root))
        result = shards.load(path.stem)
        if result is None:
            yield Finding(name, "is torn or was changed: its seal does not fit", AGAIN)
            continue
        plans |= result.get("plans", {})
        wrote = json.loads(path.read_text(encoding="utf-8"))["what"].get("gwrsa")
        other = f"is of gwrsa {wrote}, not of {__version__}"
        yield None if wrote == __version__ else Finding(name, other, "this version leaves it alone", bad=False)


def _plans(root: Path, plans: dict[str, str]) -> Iterator[Finding | None]:
    for key, sha in sorted(plans.items()):
        path = root / "plans" / f"{key}.npz"
        if not path.is_file():
            yield Finding(f"plans/{key}.npz", "is missing", "gwrsa study aligns this pair again")
        elif file_digest(path) != sha:
            yield Finding(f"plans/{key}.npz", "is not what its shard says", "gwrsa study aligns this pair again")
        else:
            yield None


def _sides(root: Path) -> Iterator[Finding | None]:
    for path in sorted((root / "sides").glob("*.npz")):
        try:
            load_side(path, path.stem)
            yield None
        except ValueError as error:  # noqa: PERF203  # one a file
            yield Finding(f"sides/{path.name}", str(error), "gwrsa study makes it again from its input")
    path = root / CATEGORIES
    if path.is_file():
        try:
            read_categories(root, None)
            yield None
        except ValueError as error:
            yield Finding(path.name, str(error), "gwrsa study makes it again from its input")


def _tables(root: Path, provenance: dict[str, Any]) -> Iterator[Finding | None]:
    if provenance["finished"] is None:
        return
    again = "gwrsa study and gwrsa merge write it again"
    for name, sha in provenance.get("tables", {}).items():
        path = root / name
        if not path.is_file():
            yield Finding(name, "is missing", again)
        elif file_digest(path) != sha:
            yield Finding(name, "is not what was written when the study was finished", again)
        else:
            yield None


def _inputs(provenance: dict[str, Any]) -> Iterator[Finding | None]:
    for name, seen in provenance["inputs"].items():
        path = Path(provenance["base"]) / name
        if not path.exists():
            gone = f"is not at {path} any more"
            yield Finding(name, gone, "gwrsa study asks for it; tables and report do not need it", bad=False)
        elif hashed(path)["sha256"] != seen["sha256"]:
            yield Finding(
                name,
                f"at {path} is not what the study was begun with",
                "gwrsa study refuses this folder: use a new one",
            )
        else:
            yield None


def _missing(root: Path, provenance: dict[str, Any]) -> list[Finding]:
    opened = Opened.of(root)
    lost = opened.missing()
    if not lost:
        return []
    finished = provenance["finished"] is not None
    return [Finding("shards", opened.complaint(lost), "gwrsa study computes them", bad=finished)]
