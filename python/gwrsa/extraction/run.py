"""From images or texts, and the name of a network, to an embedding."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gwrsa import _validate as check
from gwrsa.embedding import Embedding
from gwrsa.extraction import batches, cache, inputs
from gwrsa.torch_device import check_name, device_of

if TYPE_CHECKING:
    from gwrsa.extraction.preprocessing import Stated


def extract(
    images: Any,  # noqa: ANN401
    model: str,
    *,
    module: str | None = None,
    checkpoint: str | Path | None = None,
    pretrained: bool = True,
    seed: int = 0,
    batch_size: int = 32,
    device: str = "auto",
    preprocessing: Stated = None,
    match: Literal["name", "position"] = "name",
    broken: Literal["raise", "skip"] = "raise",
    cache_folder: str | Path | None = "default",
    progress: bool = True,
) -> Embedding:
    """Features of a network for images, words or sentences, one row an object, in the order of the labels.

    Parameters
    ----------
    images : path, mapping or sequence
        Images: a folder of images (the label is the name without suffix), a folder of one folder an object (features are
        averaged over its images), a sequence of paths, or a mapping from label to path, PIL image, uint8 array or a list
        of them. Texts: a .txt (a text a line), a .tsv (label, text), a sequence of texts, or a mapping from label to text
        or list of texts. Names that begin with a dot are left out; files of other suffixes are named in meta.
    model : str
        ``timm/NAME``, ``torchvision/NAME``, ``open_clip/NAME:TAG``; for texts ``open_clip_text/NAME:TAG`` or
        ``sentence-transformers/NAME``.
    module : str, optional
        Output of this module, flattened; ``gwrsa models --show MODEL`` lists them. None: the last layer before the
        classifier, or the embedding where there is no classifier.
    checkpoint : path, optional
        Local weights (a state dict, .pth or .safetensors), or the folder of a sentence encoder. None: the registry's.
    pretrained : bool
        False: untrained, initialised with `seed`; not with a checkpoint.
    seed : int
        Of the initialisation, where there are no weights.
    batch_size : int
        Stimuli at a time.
    device : str
        "auto" (cuda where there is one), "cpu", "cuda" or "cuda:N".
    preprocessing : Preprocessing, mapping or "registry", optional
        None: the model's own, which a local checkpoint does not have; there it has to be stated. Of images only.
    match : {"name", "position"}
        How tensors of the checkpoint find their place.
    broken : {"raise", "skip"}
        What is done about images that cannot be read, after all have been tried: an error that names each, or a warning,
        and their names in meta.
    cache_folder : path, "default" or None
        Where batches are kept, to go on after an interruption and not to be computed again. None: nowhere.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Embedding
        Values (n_objects, n_features); meta holds model, module, weights hash, preprocessing, versions, the number of
        stimuli of each object where it is not one, broken images and files that are no images.

    Raises
    ------
    ValueError
        If an argument is not as above, no image is whole, or (broken="raise") one is not.
    ImportError
        If the extra `extract` is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> shape = (64, 64, 3)
    >>> images = {name: rng.integers(0, 256, shape, dtype=np.uint8) for name in ("cat", "dog")}
    >>> how = {"pretrained": False, "cache_folder": None, "device": "cpu", "progress": False}
    >>> gwrsa.extract(images, "torchvision/resnet18", **how)
    Embedding('torchvision/resnet18', 2 objects x 512, labelled)
    """
    seed = check.integer("seed", seed, 0, 2**63 - 1)
    batch_size = check.steps("batch_size", batch_size)
    check.choice("broken", broken, ("raise", "skip"))
    check_name(device, auto=True)
    from gwrsa.extraction import models

    network = models.load(
        model, checkpoint=checkpoint, pretrained=pretrained, seed=seed, preprocessing=preprocessing, match=match
    )
    shown, others = inputs.stimuli(images, network.kind)
    where = device_of(device, auto=True)
    identity = {
        "model": model,
        "weights": network.weights_hash(),
        "module": module or network.default,
        "preprocessing": network.preprocessing,
        "versions": network.versions(),
        "device": where.type,
    }
    kept = None
    if cache_folder is not None:
        folder = cache.default_folder() if cache_folder == "default" else Path(cache_folder)
        kept = cache.Batches(folder, identity)
    values, whole, complaints = batches.encode(
        shown, network.encoder(module, str(where)), batch_size=batch_size, cache=kept, progress=progress
    )
    untrained = not pretrained and checkpoint is None
    meta = identity | ({"seed": seed} if untrained else {}) | {"broken": complaints, "not_images": others}
    return assemble(shown, values, whole, complaints, broken=broken, name=model, meta=meta)


def assemble(
    shown: list[inputs.Stimulus],
    values: Any,  # noqa: ANN401
    whole: Any,  # noqa: ANN401
    complaints: list[str],
    *,
    broken: Literal["raise", "skip"],
    name: str,
    meta: dict[str, Any],
) -> Embedding:
    """Average over the stimuli of each object; say what is broken."""
    if complaints:
        message = f"images must be whole, got {len(complaints)} of {len(shown)} that are not: {_listed(complaints)}"
        if broken == "raise" or not whole.any():
            raise ValueError(message)
        warnings.warn(message, stacklevel=3)
    others = meta["not_images"]
    if others:
        warnings.warn(
            f"{len(others)} in images are left out, no images by their suffix: {_listed(others)}", stacklevel=3
        )
    labels = [s.label for s, good in zip(shown, whole, strict=True) if good]
    means, items = batches.average(values, labels)
    lost = sorted({s.label for s in shown} - set(items))
    counts = dict(zip(*np.unique(np.asarray(labels, dtype=object), return_counts=True), strict=True))
    several = {str(k): int(v) for k, v in counts.items() if v > 1}
    return Embedding(means, items, name=name, meta=meta | {"stimuli": several, "objects_without_image": lost})


def _listed(texts: list[str]) -> str:
    """The first ten."""
    return "; ".join(texts[:10]) + ("; ..." if len(texts) > 10 else "")
