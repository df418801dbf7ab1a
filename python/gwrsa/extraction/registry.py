"""What the registries of the libraries know of a network, before it is built."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gwrsa import _validate as check
from gwrsa.extraction.preprocessing import Preprocessing, Stated

_OF_IMAGES = ("timm", "torchvision", "open_clip")


@contextmanager
def needing(model: str) -> Iterator[None]:
    """Of what is missing, say which extra has it."""
    try:
        yield
    except ImportError as error:
        raise ImportError(f"{model} needs the extra: pip install 'gwrsa[extract]' ({error})") from error


def check_arguments(
    model: str,
    *,
    checkpoint: str | Path | None,
    pretrained: bool,
    preprocessing: Stated,
    match: str,
) -> Stated:
    """What can be said of a network before one is built; its preprocessing, as it was stated.

    Raises
    ------
    ValueError
        If an argument is not as `gwrsa.extract` says, or the registry of the library has no such network or tag.
    ImportError
        If the library is not there.
    """
    library, _, name = model.partition("/") if isinstance(model, str) else ("", "", "")
    if library not in LIBRARIES or not name:
        known = ", ".join(f"{name}/..." for name in LIBRARIES)
        raise ValueError(f"model must be one of {known}, got {model!r}{check.nearest(library, LIBRARIES)}")
    check.choice("match", match, ("name", "position"))
    if checkpoint is not None and not pretrained:
        raise ValueError(
            f"pretrained must be True with a checkpoint, whose weights are used, got False and {str(checkpoint)!r}"
        )
    if library == "sentence-transformers" and not pretrained:
        raise ValueError(f"pretrained must be True for a sentence encoder, got False for {model}")
    if preprocessing is not None and library not in _OF_IMAGES:
        raise ValueError(f"preprocessing must be None for a network of texts, got {preprocessing!r} for {model}")
    if preprocessing not in (None, "registry"):
        preprocessing = Preprocessing.of(preprocessing)  # type: ignore[arg-type]
    if checkpoint is not None and not Path(checkpoint).exists():
        raise ValueError(f"checkpoint must be a file, got {str(checkpoint)!r}, which is not there")
    if checkpoint is not None and preprocessing is None and library in _OF_IMAGES:
        raise ValueError(
            f"preprocessing must be stated for a local checkpoint (a Preprocessing, or 'registry' for that of {model}), got None"
        )
    with needing(model):
        _IN_REGISTRY[library](model, name, pretrained and checkpoint is None)
    return preprocessing


def _in_timm(model: str, name: str, fetch: bool) -> None:  # noqa: FBT001
    import timm

    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise ValueError(f"model must be in timm's registry (timm.list_models()), got {model!r}")
    tags = [found.partition(".")[2] for found in timm.list_pretrained(f"{architecture}.*")]
    if (tag and tag not in tags) or (fetch and not tags):
        raise ValueError(
            f"model must have a tag of {', '.join(tags) or 'no weights (pretrained=False)'}, got {model!r}"
        )


def _in_torchvision(model: str, name: str, _: bool) -> None:  # noqa: FBT001
    import torchvision

    if name not in torchvision.models.list_models(module=torchvision.models):
        raise ValueError(f"model must be a classifier of torchvision (torchvision.models.list_models()), got {model!r}")


def _in_open_clip(model: str, name: str, fetch: bool) -> None:  # noqa: FBT001
    import open_clip

    architecture, _, tag = name.partition(":")
    if architecture not in open_clip.list_models():
        raise ValueError(f"model must be in open_clip's registry (open_clip.list_models()), got {model!r}")
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if (tag or fetch) and tag not in tags:
        raise ValueError(f"model must have a tag of {', '.join(tags)}, got {model!r}")


def _in_sentences(*_: object) -> None:
    import sentence_transformers  # noqa: F401  # which models there are the hub knows


_IN_REGISTRY: dict[str, Callable[[str, str, bool], None]] = {
    "timm": _in_timm,
    "torchvision": _in_torchvision,
    "open_clip": _in_open_clip,
    "open_clip_text": _in_open_clip,
    "sentence-transformers": _in_sentences,
}
LIBRARIES = tuple(_IN_REGISTRY)
