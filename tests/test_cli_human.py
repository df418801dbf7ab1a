"""Commands of the human and of the model side: what is written, and what is said of invalid input."""

import json
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import gwrsa
from gwrsa import cli
from gwrsa.catalogue import FAMILIES, catalogue
from gwrsa.extraction import models

ITEMS = tuple(f"object {i}" for i in range(12))


def call(*args):
    return CliRunner().invoke(cli.app, [str(a) for a in args], catch_exceptions=False)


def refused(monkeypatch, capsys, *args):
    """What the installed command says before it ends with status 2."""
    monkeypatch.setattr("sys.argv", ["gwrsa", *(str(a) for a in args)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    said = capsys.readouterr()
    assert end.value.code == 2
    assert said.out == ""
    assert said.err.startswith("gwrsa: ")
    assert said.err.count("\n") == 1
    return said.err


@pytest.fixture(scope="module")
def human():
    """Sparse and non-negative, on the scale of choices."""
    rng = np.random.default_rng(0)
    values = rng.exponential(1.0, (len(ITEMS), 3)) * (rng.random((len(ITEMS), 3)) < 0.7) + 0.01
    return gwrsa.Embedding(values, ITEMS, name="human")


@pytest.fixture(scope="module")
def answers(human):
    return gwrsa.sample_triplets(human, 3_000, seed=1)


@pytest.fixture
def folder(tmp_path, human, answers):
    """The files of a study's human side: embedding on another scale, triplets, labels."""
    np.save(tmp_path / "rescaled.npy", 50 * human.values)
    np.save(tmp_path / "answers.npy", answers.indices.astype(np.int16))
    (tmp_path / "names.txt").write_text("\n".join(ITEMS) + "\n")
    return tmp_path


def test_choice_rdm_of_an_embedding_that_was_rescaled(folder, human, answers):
    made = call(
        *("rdm", folder / "rescaled.npy", "--items", folder / "names.txt", "--metric", "choice"),
        *("--calibrate", folder / "answers.npy", "--out", folder / "rdm.npz"),
    )
    assert made.exit_code == 0
    assert "rdm.npz" in made.output
    found = gwrsa.RDM.load(folder / "rdm.npz")
    assert found.items == ITEMS
    expected = gwrsa.calibrate(human, answers).rdm("choice").dissimilarities
    assert np.allclose(found.dissimilarities, expected, rtol=1e-9)
    # The scale counts: as it was stored, every choice would be all but certain.
    with pytest.warns(UserWarning, match="nearly every choice is certain"):
        call("rdm", folder / "rescaled.npy", "--metric", "choice", "--out", folder / "raw.npz")
    assert np.abs(gwrsa.RDM.load(folder / "raw.npz").dissimilarities - expected).max() > 0.1


def test_choice_rdm_needs_answers_of_the_same_objects(folder, monkeypatch, capsys):
    np.save(folder / "of_more.npy", [[0, 1, len(ITEMS)]])
    said = refused(
        *(monkeypatch, capsys, "rdm", folder / "rescaled.npy", "--items", folder / "names.txt", "--metric", "choice"),
        *("--calibrate", folder / "of_more.npy", "--out", folder / "rdm.npz"),
    )
    assert f"indices must be between 0 and {len(ITEMS) - 1}" in said
    assert not (folder / "rdm.npz").exists()


def test_rdm_counted_from_triplets(folder, answers):
    made = call(
        *("rdm", folder / "answers.npy", "--kind", "triplets", "--items", folder / "names.txt"),
        *("--out", folder / "rdm.npz"),
    )
    assert made.exit_code == 0
    found = gwrsa.RDM.load(folder / "rdm.npz")
    assert found.items == ITEMS
    assert np.array_equal(found.dissimilarities, answers.rdm().dissimilarities)


def test_pairs_that_were_never_shown_are_an_error_until_it_is_said_what_they_are(folder, monkeypatch, capsys):
    np.save(folder / "few.npy", [[0, 1, 2], [3, 1, 0]])
    few = ("rdm", folder / "few.npy", "--kind", "triplets", "--out", folder / "rdm.npz")
    said = refused(monkeypatch, capsys, *few)
    assert "missing must be 'chance' or 'shrink'" in said
    assert "1 of 6 pairs never shown" in said
    assert call(*few, "--missing", "shrink").exit_code == 0
    # In scipy's order; of the pairs with 0 only (0, 1) was ever kept together, once in its two triplets.
    expected = [1 - 2 / 5, 1 - 1 / 4, 1 - 1 / 4, 1 - 1 / 4, 1 - 2 / 4, 1 - 1 / 3]
    assert np.allclose(gwrsa.RDM.load(folder / "rdm.npz").dissimilarities, expected)


def test_triplets_that_are_none_are_refused(folder, monkeypatch, capsys):
    said = refused(
        monkeypatch, capsys, "rdm", folder / "rescaled.npy", "--kind", "triplets", "--out", folder / "rdm.npz"
    )
    assert "indices must be" in said


def test_spose_writes_the_fit_of_python_and_goes_on_from_its_checkpoint(folder, answers):
    pytest.importorskip("torch")
    command = (
        *("spose", folder / "answers.npy", "--items", folder / "names.txt", "--dims", 5, "--l1", 2, "--seed", 4),
        *("--device", "cpu", "--checkpoint", folder / "fit.npz", "--no-progress", "--out", folder / "human.npz"),
    )
    made = call(*command)
    assert made.exit_code == 0
    found = gwrsa.Embedding.load(folder / "human.npz")
    expected = gwrsa.fit_spose(answers, 5, l1=2, seed=4, device="cpu", progress=False)
    assert np.array_equal(found.values, expected.values)
    assert found.items == ITEMS
    assert found.meta == expected.meta
    assert f"{expected.meta['spose']['status']} after {expected.meta['spose']['epochs']} epochs" in made.output
    written = (folder / "fit.npz").stat().st_mtime_ns
    assert call(*command).output == made.output
    assert (folder / "fit.npz").stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--dims", 0), "n_dims must be at least 1, got 0"),
        (("--l1", -1), "l1 must be positive and finite, got -1.0"),
        (("--device", "tpu"), "device must be 'auto', 'cpu', 'cuda' or 'cuda:N', got 'tpu'"),
        (("--checkpoint", "fit.pt"), "checkpoint must end in .npz, got 'fit.pt'"),
        (("--items", "{folder}/two.txt"), "indices must be between 0 and 1"),
    ],
)
def test_spose_refuses(folder, monkeypatch, capsys, option, message):
    pytest.importorskip("torch")
    (folder / "two.txt").write_text("a\nb\n")
    given = [str(o).format(folder=folder) for o in option]
    said = refused(
        *(monkeypatch, capsys, "spose", folder / "answers.npy", *given, "--no-progress", "--out", folder / "human.npz")
    )
    assert message in said
    assert not (folder / "human.npz").exists()


@pytest.fixture
def network(monkeypatch):
    """The mean colour in place of a network, so that what surrounds it is run without one."""
    pytest.importorskip("torch")

    class MeanColour(models.Network):
        def encoder(self, module, device):
            assert (module, device) == (None, "cpu")
            return lambda images: np.array([np.asarray(i, np.float32).mean(axis=(0, 1)) for i in images])

        def weights_hash(self):
            return "none"

        def versions(self):
            return {}

    asked = []

    def load(model, **settings):
        asked.append((model, settings))
        return MeanColour(model, "image", None, None, None, "none", "the mean colour")

    monkeypatch.setattr(models, "load", load)
    return asked


@pytest.fixture
def pictures(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    (tmp_path / "images").mkdir()
    for name, red in {"zebra": 90, "apple": 30}.items():
        image.new("RGB", (4, 3), (red, 0, 0)).save(tmp_path / "images" / f"{name}.png")
    return tmp_path / "images"


def test_extract_hands_its_options_on_and_writes_an_embedding(pictures, network):
    (pictures / "notes.md").write_text("x")
    stated = {"size": 8, "crop": 1.0, "interpolation": "bicubic", "mean": [0.5] * 3, "std": [0.5] * 3}
    made = call(
        *("extract", pictures, "--model", "timm/some", "--untrained", "--seed", 3, "--device", "cpu", "--no-cache"),
        *("--preprocessing", json.dumps(stated), "--no-progress", "--out", pictures.parent / "made.npz"),
    )
    assert made.exit_code == 0
    assert f"left out: {pictures / 'notes.md'}" in made.output
    assert "0 broken images, 1 other file; written to" in made.output
    found = gwrsa.Embedding.load(pictures.parent / "made.npz")
    assert found.items == ("apple", "zebra")
    assert found.values[:, 0].tolist() == [30, 90]
    assert network == [
        (
            "timm/some",
            {"checkpoint": None, "pretrained": False, "seed": 3, "preprocessing": stated, "match": "name"},
        )
    ]


def test_extract_names_broken_images_and_skips_them_when_told(pictures, network, monkeypatch, capsys):
    (pictures / "apple.png").write_bytes(b"no image")
    command = (
        *("extract", pictures, "--model", "timm/some", "--device", "cpu", "--no-cache", "--no-progress"),
        *("--out", pictures.parent / "made.npz"),
    )
    said = refused(monkeypatch, capsys, *command)
    assert "got 1 of 2 that are not" in said
    assert "apple.png" in said
    assert not (pictures.parent / "made.npz").exists()
    with pytest.warns(UserWarning, match="got 1 of 2 that are not"):
        made = call(*command, "--broken", "skip")
    assert made.exit_code == 0
    assert "1 broken image, 0 other files" in made.output
    assert gwrsa.Embedding.load(pictures.parent / "made.npz").items == ("zebra",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "resnet50"), "model must be one of timm/..., torchvision/..."),
        (("--model", "timm/some", "--preprocessing", "{size"), "--preprocessing must be JSON or 'registry', got '{size'"),
        (("--model", "timm/some", "--preprocessing", '{"size": 0}'), "preprocessing must hold"),
        (("--model", "timm/some", "--checkpoint", "none.pth"), "checkpoint must be a file, got 'none.pth'"),
        (("--model", "timm/some", "--batch-size", 0), "batch_size must be"),
        (("--model", "timm/some", "--seed", -1), "seed must be"),
    ],
)  # fmt: skip
def test_extract_refuses(pictures, monkeypatch, capsys, options, message):
    said = refused(monkeypatch, capsys, "extract", pictures, *options, "--out", pictures.parent / "made.npz")
    assert message in said


def test_extract_names_a_file_that_cannot_be_written_before_any_work(pictures, monkeypatch, capsys):
    said = refused(monkeypatch, capsys, "extract", pictures, "--model", "timm/some", "--out", "made.npy")
    assert "--out must end in .npz, got 'made.npy'" in said


@pytest.mark.filterwarnings("default::UserWarning")
def test_a_warning_is_one_line(pictures, network, monkeypatch, capsys):
    (pictures / "apple.png").write_bytes(b"no image")
    command = ("extract", str(pictures), "--model", "timm/some", "--device", "cpu", "--no-cache", "--no-progress")
    out = str(pictures.parent / "made.npz")
    monkeypatch.setattr("sys.argv", ["gwrsa", *command, "--broken", "skip", "--out", out])
    with pytest.raises(SystemExit) as end:
        cli.main()
    said = capsys.readouterr().err
    assert not end.value.code
    file = pictures / "apple.png"
    assert said.splitlines()[0] == (
        f"gwrsa: warning: images must be whole, got 1 of 2 that are not: {file}: not an image that can be read"
    )
    assert "UserWarning" not in said


def test_a_library_that_is_missing_is_named_with_what_installs_it(pictures, monkeypatch, capsys):
    pytest.importorskip("torch")
    monkeypatch.setitem(sys.modules, "timm", None)
    said = refused(
        monkeypatch, capsys, "extract", pictures, "--model", "timm/some", "--out", pictures.parent / "made.npz"
    )
    assert "timm/some needs the extra: pip install 'gwrsa[extract]'" in said


def test_models_lists_the_catalogue_whole_or_by_family():
    lines = call("models").output.splitlines()
    assert [tuple(line.split()) for line in lines] == [(e.family, e.model) for e in catalogue()]
    for family in FAMILIES:
        listed = call("models", "--family", family).output.split()
        assert listed == [word for e in catalogue(family) for word in (e.family, e.model)]


def test_models_refuses_unknown_families_and_models(monkeypatch, capsys):
    said = refused(monkeypatch, capsys, "models", "--family", "brains")
    assert "family must be one of 'supervised'" in said
    assert "'brains'" in said
    said = refused(monkeypatch, capsys, "models", "--show", "resnet50")
    assert "model must be one of timm/..." in said


@pytest.mark.extract
def test_models_shows_preprocessing_and_modules_of_a_network():
    pytest.importorskip("torchvision", reason="torchvision is not installed; make test-extract")
    shown = call("models", "--show", "torchvision/resnet18").output.splitlines()
    assert shown[:2] == ["torchvision/resnet18", "input: image"]
    assert "resize_size=[256]" in shown[2]
    assert shown[3] == "default: the input of fc"
    modules = dict(line.split() for line in shown[5:])
    assert modules["layer3"] == "Sequential"
    assert modules["fc"] == "Linear"


def test_help_shows_an_example_each():
    for command in ("rdm", "spose", "extract", "models"):
        assert f"Example: gwrsa {command}" in call(command, "--help").output
