"""Files of torch: whatever bits are broken, the answer is tensors or a ValueError that names the file."""

import random
import re

import numpy as np
import pytest

import gwrsa
from gwrsa.thingsvision_files import tensor

torch = pytest.importorskip("torch", reason="needs torch: pip install 'gwrsa[torch]'")
models = pytest.importorskip("gwrsa.extraction.models")

VALUES = torch.arange(12.0).reshape(4, 3)
HELD = {"one": VALUES, "state": {"weight": VALUES, "bias": VALUES[:, 0].clone()}}


def network():
    return torch.nn.Linear(3, 4)


def fill(path, match="name"):
    net = network()
    models._fill(net, path, match)  # noqa: SLF001
    return net


def complaint(read):
    """What is said of a file; None: it was read."""
    try:
        read()
    except ValueError as error:
        return str(error)
    return None


def broken(content, rng):
    """A file with a few bits flipped, bytes taken out or put in, or its end cut off."""
    made = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at, how = rng.randrange(len(made)), rng.random()
        if how < 0.5:
            made[at] ^= 1 << rng.randrange(8)
        elif how < 0.6:
            del made[max(at, 1) :]
        elif how < 0.8 and len(made) > 10:
            del made[at : at + rng.randint(1, 8)]
        else:
            made[at:at] = bytes(rng.randrange(256) for _ in range(4))
    return bytes(made)


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's, of what it reads
@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("legacy", [False, True])
def test_broken_files_are_a_valueerror_that_names_them(held, legacy, tmp_path):
    path = tmp_path / "features.pt"
    torch.save(HELD[held], path, _use_new_zipfile_serialization=not legacy)
    content, rng = path.read_bytes(), random.Random(5)  # noqa: S311  # no secret
    refused = 0
    for _ in range(500):
        path.write_bytes(broken(content, rng))
        for read in (
            lambda: gwrsa.Embedding.from_thingsvision(tmp_path, by="image"),
            lambda: fill(path),
            lambda: fill(path, "position"),
        ):
            said = complaint(read)
            assert said is None or str(path) in said
            refused += said is not None
    assert refused > 500


@pytest.mark.parametrize("legacy", [False, True])
def test_whole_files_are_read(legacy, tmp_path):
    for name, held in HELD.items():
        torch.save(held, tmp_path / f"{name}.pt", _use_new_zipfile_serialization=not legacy)
    np.testing.assert_array_equal(tensor(tmp_path / "one.pt"), VALUES.numpy())
    torch.save({"epoch": 3, "model": {"state_dict": HELD["state"]}}, tmp_path / "training.pt")
    for file, match in (("state.pt", "name"), ("state.pt", "position"), ("training.pt", "name")):
        assert torch.equal(fill(tmp_path / file, match).weight, VALUES)


@pytest.mark.parametrize("match", ["name", "position"])
def test_what_is_no_tensor_is_named(match, tmp_path):
    path = tmp_path / "w.pt"
    torch.save({"epoch": 3, **HELD["state"]}, path)
    with pytest.raises(ValueError, match=rf"checkpoint must hold tensors only, got a int named 'epoch' in {path}"):
        fill(path, match)
    within = {}
    within["model"] = within
    torch.save(within, path)
    with pytest.raises(ValueError, match=r"checkpoint must hold tensors only, got a dict named 'model' in"):
        fill(path, match)
    torch.save([VALUES], path)
    with pytest.raises(ValueError, match=rf"checkpoint must hold a mapping of tensors, got a list in {path}"):
        fill(path, match)


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's, of what it reads
@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({"weight": VALUES}, "must hold one tensor, got a dict"),
        ([VALUES, VALUES], "must hold one tensor, got a list"),
        (3, "must hold one tensor, got a int"),
        (torch.empty((4, 3), device="meta"), "must hold one tensor: "),
        (VALUES.to_sparse(), "must hold one tensor: a tensor must be dense"),
    ],
)
def test_features_that_are_no_tensor_of_numbers_are_named(held, message, tmp_path):
    torch.save(held, tmp_path / "features.pt")
    with pytest.raises(ValueError, match=rf"features\.pt: the file {re.escape(message)}"):
        gwrsa.Embedding.from_thingsvision(tmp_path, by="image")


def test_a_message_gives_no_advice_to_run_what_is_in_a_file(tmp_path):
    torch.save(network(), tmp_path / "features.pt")
    for read in (lambda: tensor(tmp_path / "features.pt"), lambda: fill(tmp_path / "features.pt")):
        with pytest.raises(ValueError, match="Weights only load failed") as caught:
            read()
        assert "\n" not in str(caught.value)


def test_broken_safetensors_are_a_valueerror_that_names_them(tmp_path):
    save_file = pytest.importorskip("safetensors.torch").save_file
    path, rng = tmp_path / "w.safetensors", random.Random(6)  # noqa: S311  # no secret
    save_file(HELD["state"], path)
    assert torch.equal(fill(path).weight, VALUES)
    content = path.read_bytes()
    for made in (b"", b"\x00" * 40, content[:-5], *(broken(content, rng) for _ in range(200))):
        path.write_bytes(made)
        said = complaint(lambda: fill(path))
        assert said is None or str(path) in said
