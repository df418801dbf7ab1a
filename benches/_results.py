"""One JSON file a result, with the machine that it was measured on."""

import json
from pathlib import Path

from _machine import describe

FOLDER = Path(__file__).parent / "results"


def save(name, result):
    """Write `results/NAME.json`, whole or not at all; returns its path."""
    FOLDER.mkdir(exist_ok=True)
    part = FOLDER / f".{name}.part"
    part.write_text(json.dumps({"result": result, "machine": describe()}, indent=1) + "\n")
    return part.replace(FOLDER / f"{name}.json")
