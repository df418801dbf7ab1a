"""What is shown to a network: images or texts, by the label of their object."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gwrsa.loaders_files import IMAGE_SUFFIXES, names_labels

Kind = Literal["image", "text"]


class BrokenImageError(ValueError):
    """An image that cannot be decoded, or a file that cannot be read."""


@dataclass(frozen=True)
class Stimulus:
    """One image or text.

    Attributes
    ----------
    label : str
        The object that it shows; several stimuli can show one object.
    name : str
        Named where the stimulus is broken: the path, or the label with the position among those of the object.
    content : Path, str, PIL image or uint8 array (height, width, 3)
        The stimulus itself; a Path is a file of an image, a str is a text.
    """

    label: str
    name: str
    content: Any = field(repr=False)

    def read(self) -> tuple[str, Any]:
        """SHA-256 of the content, and the content in memory: bytes of a file, a text, or an image.

        Raises
        ------
        BrokenImageError
            If the file cannot be read.
        """
        if isinstance(self.content, Path):
            try:
                data = self.content.read_bytes()
            except OSError as error:
                raise BrokenImageError(f"{self.name}: {error}") from error
            return hashlib.sha256(data).hexdigest(), data
        if isinstance(self.content, str):
            return hashlib.sha256(self.content.encode()).hexdigest(), self.content
        pixels = np.asarray(self.content)
        head = f"{getattr(self.content, 'mode', '')} {pixels.dtype} {pixels.shape} ".encode()
        return hashlib.sha256(head + np.ascontiguousarray(pixels).tobytes()).hexdigest(), self.content


def decode(name: str, data: Any) -> Any:  # noqa: ANN401
    """RGB image (PIL) of bytes, array or image; transparency is dropped, the orientation stays as stored, 16 bits become 8.

    Raises
    ------
    BrokenImageError
        If the data are not a whole image, or one whose scale is not known: of floats, or of integers of more than 16 bits.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        if isinstance(data, bytes):
            image: Image.Image = Image.open(io.BytesIO(data))
            image.load()
        elif isinstance(data, Image.Image):
            image = data
        else:
            image = Image.fromarray(np.asarray(data))
        fault = _fault(image)
        if fault is None:
            if image.mode.startswith("I;16"):  # which Pillow would cut off at 255
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            if "transparency" in image.info:
                image = image.convert("RGBA")
            return image.convert("RGB")
    except UnidentifiedImageError:  # its message holds an address in memory
        raise BrokenImageError(f"{name}: not an image that can be read") from None
    except (OSError, SyntaxError, ValueError, TypeError, Image.DecompressionBombError) as error:
        raise BrokenImageError(f"{name}: {error}") from error
    raise BrokenImageError(f"{name}: {fault}")


def _fault(image: Any) -> str | None:  # noqa: ANN401
    """Why an image that was decoded cannot be shown to a network."""
    if not image.width or not image.height:
        return "has no pixels"
    if image.mode in {"I", "F"}:
        return f"must have 8 or 16 bits a channel, got Pillow's mode {image.mode!r}"
    return None


def stimuli(images: Any, kind: Kind) -> tuple[list[Stimulus], list[str]]:  # noqa: ANN401
    """Stimuli in the order of their labels, and names of the files that are no images by their suffix.

    Parameters
    ----------
    images : path, mapping or sequence
        See `gwrsa.extract`.
    kind : "image" or "text"
        What the network takes.

    Raises
    ------
    ValueError
        If there are none, two of them get the same label, or they are of the other kind.
    """
    others: list[str] = []
    if isinstance(images, Mapping):
        _distinct([Stimulus(str(label), repr(label), None) for label in images])
        found = [s for label, content in images.items() for s in _of_object(str(label), content, kind)]
    elif isinstance(images, (str, Path)):
        found, others = _folder(Path(images)) if kind == "image" else (_text_file(Path(images)), [])
    elif isinstance(images, Iterable):
        found = [_alone(item, kind) for item in images]
        _distinct(found)
    else:
        raise ValueError(f"images must be a folder, a mapping or a sequence, got {images!r}")
    if not found:
        raise ValueError(f"images must hold at least one {kind}, got none in {str(images)[:200]!r}")
    return sorted(found, key=lambda s: s.label), others


def _of_object(label: str, content: Any, kind: Kind) -> list[Stimulus]:  # noqa: ANN401
    several = isinstance(content, (list, tuple))
    contents = list(content) if several else [content]
    if not contents:
        raise ValueError(f"images must hold at least one {kind} an object, got none for {label!r}")
    return [
        Stimulus(label, _name(label, c, i if several else None), _content(label, c, kind))
        for i, c in enumerate(contents)
    ]


def _name(label: str, content: Any, i: int | None) -> str:  # noqa: ANN401
    if isinstance(content, Path):
        return str(content)
    return label if i is None else f"{label}[{i}]"


def _content(label: str, content: Any, kind: Kind) -> Any:  # noqa: ANN401
    if kind == "text":
        if not isinstance(content, str) or not content.strip():
            raise ValueError(f"images must be texts for a text encoder, got {content!r} for {label!r}")
        return content
    return Path(content) if isinstance(content, str) else content


def _alone(item: Any, kind: Kind) -> Stimulus:  # noqa: ANN401
    if kind == "text":
        return Stimulus(str(item), str(item), _content(str(item), item, kind))
    if not isinstance(item, (str, Path)):
        raise ValueError(f"images must be paths in a sequence; give a mapping from labels to name others, got {item!r}")
    return Stimulus(Path(item).stem, str(item), Path(item))


def _distinct(found: list[Stimulus]) -> None:
    seen: dict[str, str] = {}
    for s in found:
        if s.label in seen:
            raise ValueError(f"images must have distinct labels, got {s.label!r} for {seen[s.label]} and {s.name}")
        seen[s.label] = s.name


def _folder(root: Path) -> tuple[list[Stimulus], list[str]]:
    if not root.is_dir():
        raise ValueError(f"images must be a folder, got {str(root)!r}")
    entries = sorted(p for p in root.iterdir() if not p.name.startswith("."))
    folders = [p for p in entries if p.is_dir()]
    files = [p for p in entries if not p.is_dir()]
    loose = [p for p in files if p.suffix.lower() in IMAGE_SUFFIXES]
    others = [str(p) for p in files if p.suffix.lower() not in IMAGE_SUFFIXES]
    if not folders:
        found = [Stimulus(p.stem, str(p), p) for p in loose]
        _distinct(found)
        return found, others
    if loose:
        raise ValueError(
            f"images must be a folder of images or of one folder an object, got both in {root}: {loose[0].name}, {folders[0].name}/"
        )
    found = []
    for folder in folders:
        inside = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
        kept = [p for p in inside if p.is_file() and p.suffix.lower() in IMAGE_SUFFIXES]
        if not kept:
            raise ValueError(f"images must hold at least one image an object, got none in {folder}")
        found += [Stimulus(folder.name, str(p), p) for p in kept]
        others += [str(p) for p in inside if p not in set(kept)]
    return found, others


def _text_file(path: Path) -> list[Stimulus]:
    """Lines of a .txt (the text is the label), or label and text of a two-column .tsv, with a header if its first cell is `item` or so."""
    if not path.is_file():
        raise ValueError(f"images must be a .txt or .tsv file for a text encoder, got {str(path)!r}")
    lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    if path.suffix.lower() != ".tsv":
        found = [Stimulus(line.strip(), line.strip(), line.strip()) for line in lines]
    else:
        rows = [line.split("\t") for line in lines]
        if rows and names_labels(rows[0][0].strip()):
            rows = rows[1:]
        bad = next((row for row in rows if len(row) != 2 or not row[1].strip()), None)
        if bad is not None:
            raise ValueError(f"{path} must have two columns, label and text, got {bad!r}")
        found = [Stimulus(label.strip(), label.strip(), text.strip()) for label, text in rows]
    _distinct(found)
    return found
