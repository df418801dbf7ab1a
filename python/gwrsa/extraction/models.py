"""Networks by the name of their registry: built, weighed, read out at one module.

`timm/NAME`, `torchvision/NAME`, `open_clip/NAME:TAG` (images), `open_clip_text/NAME:TAG` (texts) and
`sentence-transformers/NAME` (texts).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gwrsa import _validate as check
from gwrsa.extraction.inputs import Kind
from gwrsa.extraction.offline import at_once
from gwrsa.extraction.preprocessing import Preprocessing, Stated, describe
from gwrsa.extraction.registry import check_arguments, needing
from gwrsa.torch_files import load_tensors

# How deep a state dict may lie in mappings of a training's state.
_MOST_WRAPPED = 8
_PACKAGES = {
    "timm": ("timm",),
    "torchvision": (),
    "open_clip": ("open_clip_torch", "timm"),
    "open_clip_text": ("open_clip_torch", "tokenizers", "transformers"),
    "sentence-transformers": ("sentence-transformers", "tokenizers", "transformers"),
}


@dataclass(frozen=True, eq=False)
class Network:
    """A network, ready to be read.

    Attributes
    ----------
    name : str
        As in the registry, with the library before the slash.
    kind : "image" or "text"
        What it takes.
    net : torch.nn.Module
        In evaluation mode.
    preprocess : callable
        From a list of PIL images or texts to the input of `forward`.
    forward : callable
        From that input to the default features, those of the last layer before the classifier.
    preprocessing : str
        In words.
    default : str
        What the default features are.
    """

    name: str
    kind: Kind
    net: Any
    preprocess: Callable[[list[Any]], Any]
    forward: Callable[[Any], Any]
    preprocessing: str
    default: str

    def modules(self) -> dict[str, str]:
        """Names that `module` can take, with the class of each."""
        return {name: type(module).__name__ for name, module in self.net.named_modules() if name}

    def encoder(self, module: str | None, device: str) -> Callable[[list[Any]], NDArray[np.float32]]:
        """Function from stimuli to features (b, d), read at a module (None: the default), flattened.

        Raises
        ------
        ValueError
            If there is no such module, or what it gives is not a row a stimulus.
        """
        import torch

        known = dict(self.net.named_modules())
        if module is not None and module not in known:
            there = f"one of those of {self.name} (gwrsa models --show {self.name})"
            raise ValueError(f"module must be {there}, got {module!r}{check.nearest(module, known)}")
        net = self.net.to(device)

        def encode(batch: list[Any]) -> NDArray[np.float32]:
            with torch.inference_mode():
                features = _at(net, module, self.forward, _to(self.preprocess(batch), device))
            if not isinstance(features, torch.Tensor) or features.ndim < 2 or len(features) != len(batch):
                shape = tuple(getattr(features, "shape", ()))
                raise ValueError(f"module must give one row a stimulus, got {shape} for {len(batch)} at {module!r}")
            return features.flatten(1).float().cpu().numpy()

        return encode

    def weights_hash(self) -> str:
        """SHA-256 of all parameters and buffers, with their names and shapes."""
        import torch

        total = hashlib.sha256()
        for name, tensor in sorted(self.net.state_dict().items()):
            total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
            data = tensor.detach().cpu().contiguous().flatten()
            total.update(data.view(torch.uint8).numpy() if data.numel() else b"")
        return total.hexdigest()

    def versions(self) -> dict[str, str]:
        """Versions of the libraries that determine the features."""
        names = {"torch", "torchvision", "pillow", *_PACKAGES[self.name.split("/")[0]]}
        found = {}
        for name in sorted(names):
            with suppress(
                PackageNotFoundError
            ):  # open_clip has towers and tokenisers of others only where these are there
                found[name] = version(name)
        return found


def load(
    model: str,
    *,
    checkpoint: str | Path | None = None,
    pretrained: bool = True,
    seed: int = 0,
    preprocessing: Stated = None,
    match: Literal["name", "position"] = "name",
) -> Network:
    """Build a network; see `gwrsa.extract` for the arguments and errors."""
    preprocessing = check_arguments(
        model, checkpoint=checkpoint, pretrained=pretrained, preprocessing=preprocessing, match=match
    )
    library, _, name = model.partition("/")
    fetch = pretrained and checkpoint is None
    missing = ""
    try:
        import torch

        with (
            needing(model),
            torch.random.fork_rng(devices=[]),
            at_once() if fetch and library != "torchvision" else nullcontext("") as missing,
        ):
            torch.default_generator.manual_seed(seed)
            if library == "sentence-transformers":
                return _sentences(model, name, checkpoint)
            built = _BUILDERS[library](model, name, fetch)
    except (OSError, RuntimeError) as error:
        if not fetch:
            raise
        # Each library says in its own way, some over several lines, that there is no connection; what it says comes last.
        raise OSError(
            f"the weights of {model} could not be had{f' ({missing})' if missing else ''}; name a local checkpoint, "
            f"or use pretrained=False: {' '.join(str(error).split())}"
        ) from error
    net = built.net
    if checkpoint is not None:
        _fill(net, Path(checkpoint), match)
    net.eval().requires_grad_(requires_grad=False)
    if isinstance(preprocessing, Preprocessing):
        transform = preprocessing.transform()
        return Network(model, "image", net, _stack(transform), built.forward, describe(transform), built.default)
    return built


def _timm(model: str, name: str, fetch: bool) -> Network:  # noqa: FBT001
    import timm

    net = timm.create_model(name, pretrained=fetch)
    config = timm.data.resolve_model_data_config(net)
    transform = timm.data.create_transform(**config, is_training=False)

    def forward(x: Any) -> Any:  # noqa: ANN401
        return net.forward_head(net.forward_features(x), pre_logits=True)

    return Network(model, "image", net, _stack(transform), forward, describe(transform), "the input of the classifier")


def _torchvision(model: str, name: str, fetch: bool) -> Network:  # noqa: FBT001
    import torch
    import torchvision

    weights = torchvision.models.get_model_weights(name)["DEFAULT"]
    # GoogLeNet and Inception warn unless told how to be initialised, and only they take the argument.
    told = {"init_weights": True} if name in {"googlenet", "inception_v3"} and not fetch else {}
    net = torchvision.models.get_model(name, weights=weights if fetch else None, **told)
    last = [n for n, m in net.named_modules() if isinstance(m, torch.nn.Linear)]
    head = last[-1] if last else None

    def forward(x: Any) -> Any:  # noqa: ANN401
        if head is None:
            raise ValueError(f"module must be named for {model}, whose classifier is not a linear layer")
        seen: list[Any] = []
        handle = net.get_submodule(head).register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        try:
            net(x)
        finally:
            handle.remove()
        return seen[-1]

    transform = weights.transforms()
    return Network(model, "image", net, _stack(transform), forward, describe(transform), f"the input of {head}")


def _open_clip(model: str, name: str, fetch: bool) -> Network:  # noqa: FBT001
    import open_clip

    net, transform = _clip(name, fetch)
    if not model.startswith("open_clip_text/"):
        return Network(
            model, "image", net, _stack(transform), net.encode_image, describe(transform), "the image embedding"
        )
    tokenizer = open_clip.get_tokenizer(name.partition(":")[0])
    words = f"{type(tokenizer).__name__}, context of {tokenizer.context_length}, {name.partition(':')[0]}"
    return Network(model, "text", net, tokenizer, net.encode_text, words, "the text embedding")


def _clip(name: str, fetch: bool) -> tuple[Any, Any]:  # noqa: FBT001
    import open_clip

    architecture, _, tag = name.partition(":")
    # The tag decides activation and preprocessing also where its weights come from elsewhere, or are left out; open_clip
    # itself only warns about the one and takes the other from the architecture.
    config = open_clip.get_pretrained_cfg(architecture, tag) if tag else {}
    before = logging.root.manager.disable
    if not fetch:
        logging.disable(logging.WARNING)  # it warns that there are no weights, which was asked for
    try:
        net, _, transform = open_clip.create_model_and_transforms(
            architecture,
            pretrained=tag if fetch else None,
            force_quick_gelu=bool(config.get("quick_gelu")),
            image_mean=config.get("mean"),
            image_std=config.get("std"),
            image_interpolation=config.get("interpolation"),
            image_resize_mode=config.get("resize_mode"),
        )
    finally:
        logging.disable(before)
    return net, transform


_BUILDERS = {"timm": _timm, "torchvision": _torchvision, "open_clip": _open_clip, "open_clip_text": _open_clip}


def _sentences(model: str, name: str, checkpoint: str | Path | None) -> Network:
    from sentence_transformers import SentenceTransformer

    net = SentenceTransformer(str(checkpoint) if checkpoint is not None else name, device="cpu").eval()
    tokens = hashlib.sha256(net.tokenizer.backend_tokenizer.to_str().encode()).hexdigest()
    words = describe(f"tokenizer {tokens}, at most {net.max_seq_length} tokens, {net!r}")

    def forward(x: Any) -> Any:  # noqa: ANN401
        return net(x)["sentence_embedding"]

    # `tokenize` until sentence-transformers 5, `preprocess` since.
    tokenize = getattr(net, "preprocess", None) or net.tokenize
    return Network(model, "text", net, tokenize, forward, words, "the sentence embedding")


def _stack(transform: Any) -> Callable[[list[Any]], Any]:  # noqa: ANN401
    def preprocess(batch: list[Any]) -> Any:  # noqa: ANN401
        import torch

        return torch.stack([transform(image) for image in batch])

    return preprocess


def _to(x: Any, device: str) -> Any:  # noqa: ANN401
    """The input on the device; a tokeniser's mapping also holds what is no tensor."""
    if isinstance(x, Mapping):
        return {k: v.to(device) if hasattr(v, "to") else v for k, v in x.items()}
    return x.to(device)


def _at(net: Any, module: str | None, forward: Callable[[Any], Any], x: Any) -> Any:  # noqa: ANN401
    """Output of the module in a forward pass; of its last call, and the first of several outputs."""
    if module is None:
        return forward(x)
    seen: list[Any] = []

    def keep(_: Any, __: Any, out: Any) -> None:  # noqa: ANN401
        first = out[0] if isinstance(out, (tuple, list)) else out
        # A copy: an activation that works in place would overwrite it.
        seen.append(first.clone() if hasattr(first, "clone") else first)

    handle = net.get_submodule(module).register_forward_hook(keep)
    try:
        # The whole network runs, also what comes after the features: any module may be asked for.
        net(x) if not hasattr(net, "encode_image") else forward(x)
    finally:
        handle.remove()
    if not seen:
        raise ValueError(f"module must take part in the forward pass, got {module!r}, which does not")
    return seen[-1]


def _fill(net: Any, path: Path, match: Literal["name", "position"]) -> None:  # noqa: ANN401
    """Load a state dict strictly: each tensor by its name, or in the order of the file."""
    import torch

    state: Any = load_tensors(path, f"checkpoint must be a file of weights, got {path}")
    for _ in range(_MOST_WRAPPED):  # a broken file can hold a mapping that holds itself
        inner = next((k for k in ("state_dict", "model") if isinstance(state, Mapping) and k in state), None)
        state = state if inner is None else state[inner]
    if not isinstance(state, Mapping):
        raise ValueError(f"checkpoint must hold a mapping of tensors, got a {type(state).__name__} in {path}")
    state = {str(k).removeprefix("module."): v for k, v in state.items()}
    other = next((k for k, v in state.items() if not isinstance(v, torch.Tensor)), None)
    if other is not None:
        raise ValueError(
            f"checkpoint must hold tensors only, got a {type(state[other]).__name__} named {other!r} in {path}"
        )
    own = net.state_dict()
    if match == "position":
        wrong = next(((a, b) for a, b in zip(own, state, strict=False) if own[a].shape != state[b].shape), None)
        if len(own) != len(state) or wrong is not None:
            at = f"{wrong[1]} where {wrong[0]} is expected" if wrong else f"{len(state)} tensors"
            raise ValueError(f"checkpoint must hold the {len(own)} tensors of the network in order, got {at} in {path}")
        state = dict(zip(own, state.values(), strict=True))
    try:
        net.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise ValueError(
            f"checkpoint must hold the tensors of the network by name, got {path}: {str(error)[:400]}"
        ) from error
