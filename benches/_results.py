"""One JSON file a result, with the machine that it was measured on."""

import json
from pathlib import Path

from _machine import describe

FOLDER = Path(__file__).parent / "results"


def write(path, content):
    """Write JSON, whole or not at all; returns its path."""
    path.parent.mkdir(exist_ok=True)
    part = path.with_name(f".{path.stem}.part")
    part.write_text(json.dumps(content, indent=1) + "\n")
    return part.replace(path)


def save(name, result):
    """Write `results/NAME.json`; returns its path."""
    return write(FOLDER / f"{name}.json", {"result": result, "machine": describe()})
