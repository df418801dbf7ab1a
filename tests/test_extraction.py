"""What surrounds a network: labels, batches, cache, broken images. No network and no torch."""

import http.server
import os
import subprocess
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gwrsa.catalogue import FAMILIES, catalogue
from gwrsa.extraction import Preprocessing, batches, cache, inputs, offline
from gwrsa.extraction.run import assemble


def mean_colour(images):
    return np.array([np.asarray(image, dtype=np.float32).mean(axis=(0, 1)) for image in images])


def picture(path, colour):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3), colour).save(path)


def read(images, encoder=mean_colour, *, kind="image", broken="raise", kept=None, batch_size=2):
    shown, others = inputs.stimuli(images, kind)
    values, whole, complaints = batches.encode(shown, encoder, batch_size=batch_size, cache=kept)
    return assemble(
        shown, values, whole, complaints, broken=broken, name="test", meta={"broken": complaints, "not_images": others}
    )


def test_rows_are_in_the_order_of_labels_and_follow_their_images(tmp_path):
    for label, red in {"camera1": 30, "zebra": 90, "camera": 60}.items():
        picture(tmp_path / f"{label}.png", (red, 0, 0))
    made = read(tmp_path)
    assert made.items == ("camera", "camera1", "zebra")
    assert made.values[:, 0].tolist() == [60, 30, 90]


def test_one_folder_an_object_averages_over_its_images(tmp_path):
    for i, red in enumerate((10, 20, 90)):
        picture(tmp_path / "b" / f"{i}.png", (red, 0, 0))
    picture(tmp_path / "a" / "0.png", (7, 0, 0))
    made = read(tmp_path)
    assert made.items == ("a", "b")
    assert made.values[:, 0].tolist() == [7, 40]
    assert made.meta["stimuli"] == {"b": 3}


def test_broken_images_are_named_and_counted_after_all_were_tried(tmp_path):
    for i in range(5):
        picture(tmp_path / f"{i}.png", (i, 0, 0))
    whole = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "3.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"got 2 of 5 that are not: .*1\.png.*3\.png"):
        read(tmp_path)


@pytest.mark.parametrize("again", [False, True])
def test_skipped_images_are_named_also_when_they_come_from_the_cache(tmp_path, again):
    kept = cache.Batches(tmp_path / "cache", {})
    for i in range(3):
        picture(tmp_path / "in" / f"{i}.png", (i, 0, 0))
    (tmp_path / "in" / "1.png").write_bytes(b"no image")
    for _ in range(1 + again):
        with pytest.warns(UserWarning, match=r"1 of 3 that are not: .*1\.png"):
            made = read(tmp_path / "in", broken="skip", kept=kept)
    assert made.items == ("0", "2")
    assert made.meta["objects_without_image"] == ["1"]
    assert len(made.meta["broken"]) == 1
    assert "1.png" in made.meta["broken"][0]


def test_sixteen_bits_keep_their_scale_and_floats_are_refused(tmp_path):
    steps = np.linspace(0, 65535, 6).astype(np.uint16)
    for i, grey in enumerate(steps):
        Image.fromarray(np.full((2, 2), grey)).save(tmp_path / f"{i}.png")
    assert read(tmp_path).values[:, 2].tolist() == (steps // 256).tolist()
    Image.fromarray(np.full((2, 2), 0.5, np.float32)).save(tmp_path / "6.tif")
    with pytest.raises(ValueError, match=r"got 1 of 7 that are not: .*6\.tif: must have 8 or 16 bits a channel"):
        read(tmp_path)


def test_what_is_wrong_with_an_image_is_the_same_at_every_run(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=rf"{tmp_path / 'a.png'}: not an image that can be read$"):
        read(tmp_path)


def test_other_files_are_named(tmp_path):
    picture(tmp_path / "a.png", (1, 2, 3))
    (tmp_path / "notes.md").write_text("x")
    with pytest.warns(UserWarning, match=r"^1 in images are left out, no images by their suffix: .*notes\.md$"):
        assert read(tmp_path).meta["not_images"] == [str(tmp_path / "notes.md")]


def test_labels_that_are_one_as_text_are_refused():
    white = np.full((2, 2, 3), 255, dtype=np.uint8)
    with pytest.raises(ValueError, match="images must have distinct labels, got '1' for 1 and '1'"):
        inputs.stimuli({1: white, "1": white}, "image")


def test_a_header_of_texts_is_no_object(tmp_path):
    file = tmp_path / "defined.tsv"
    file.write_text("uniqueID\tdefinition\nzebra\tstriped\n", encoding="utf-8")
    assert [s.label for s in inputs.stimuli(file, "text")[0]] == ["zebra"]


def test_26111_images_give_26111_names_and_rows():
    pixels = {f"object {i:05d}": np.full((1, 1, 3), [i % 251, i // 251, 0], np.uint8) for i in range(26_111)}
    made = read(pixels, batch_size=100)
    assert len(made.items) == len(set(made.items)) == len(made) == 26_111
    index = np.arange(26_111)
    assert (made.values == np.column_stack([index % 251, index // 251, 0 * index])).all()


def test_finished_batches_are_not_computed_again_and_torn_ones_are(tmp_path):
    kept = cache.Batches(tmp_path, {"model": "m"})
    pixels = {str(i): np.full((2, 2, 3), i, np.uint8) for i in range(6)}
    calls = []

    def dies_in_the_third(images):
        calls.append(len(images))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return mean_colour(images)

    with pytest.raises(KeyboardInterrupt):
        read(pixels, dies_in_the_third, kept=kept)
    made = read(pixels, dies_in_the_third, kept=kept)
    assert calls == [2, 2, 2, 2]
    assert made.values[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
    shard = min(tmp_path.rglob("*.npz"))
    shard.write_bytes(shard.read_bytes()[:50])
    assert (read(pixels, dies_in_the_third, kept=kept).values == made.values).all()
    assert calls == [2, 2, 2, 2, 2]


def test_a_kill_leaves_no_shard_that_is_taken_for_whole(tmp_path):
    code = (
        "import os, signal, numpy as np\n"
        "from gwrsa.extraction import cache\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"cache.Batches(__import__('pathlib').Path({str(tmp_path)!r}), {{}}).save(['a'], np.ones((1, 2)), np.ones(1, bool))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert list(tmp_path.rglob(".*.part"))
    assert cache.Batches(tmp_path, {}).load(["a"]) is None


IDENTITY = {
    "model": "timm/x", "weights": "w", "module": "head", "preprocessing": "Resize(size=224)", "versions": {"torch": "2"},
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"model": "timm/y"},
        {"weights": "v"},
        {"module": "fc"},
        {"preprocessing": "Resize(size=384)"},
        {"versions": {"torch": "3"}},
    ],
)
def test_the_key_holds_all_that_determines_the_features(tmp_path, change):
    kept = cache.Batches(tmp_path, IDENTITY)
    kept.save(["a"], np.ones((1, 2), np.float32), np.ones(1, bool))
    assert kept.load(["a"]) is not None
    assert kept.load(["b"]) is None
    assert cache.Batches(tmp_path, IDENTITY | change).load(["a"]) is None


def test_an_image_changed_in_place_is_read_again(tmp_path):
    kept = cache.Batches(tmp_path / "cache", {})
    picture(tmp_path / "in" / "a.png", (1, 0, 0))
    assert read(tmp_path / "in", kept=kept).values[0, 0] == 1
    picture(tmp_path / "in" / "a.png", (2, 0, 0))
    assert read(tmp_path / "in", kept=kept).values[0, 0] == 2


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.png", "a.jpg"], "distinct labels, got 'a'"),
        (["a.png", "b/0.png"], "got both"),
        (["b/notes.txt"], "at least one image an object"),
        ([], "at least one image"),
    ],
)
def test_ambiguous_folders_are_refused(tmp_path, names, message):
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        picture(path, (0, 0, 0)) if path.suffix != ".txt" else path.write_text("x")
    with pytest.raises(ValueError, match=message):
        inputs.stimuli(tmp_path, "image")


def test_texts_from_files_and_sequences(tmp_path):
    (tmp_path / "words.txt").write_text("zebra\napple\n", encoding="utf-8")
    (tmp_path / "defined.tsv").write_text("zebra\tstriped\napple\tround\n", encoding="utf-8")
    words, _ = inputs.stimuli(tmp_path / "words.txt", "text")
    defined, _ = inputs.stimuli(tmp_path / "defined.tsv", "text")
    assert [(s.label, s.content) for s in words] == [("apple", "apple"), ("zebra", "zebra")]
    assert [(s.label, s.content) for s in defined] == [("apple", "round"), ("zebra", "striped")]
    assert inputs.stimuli(["zebra", "apple"], "text")[0] == words
    with pytest.raises(ValueError, match="distinct labels, got 'a'"):
        inputs.stimuli(["a", "a"], "text")


@pytest.mark.parametrize(("file", "text"), [("words.txt", "zebra\napple\n"), ("defined.tsv", "zebra\tx\napple\ty\n")])
def test_a_byte_order_mark_is_no_part_of_a_label(tmp_path, file, text):
    (tmp_path / file).write_text(text, encoding="utf-8-sig")
    found, _ = inputs.stimuli(tmp_path / file, "text")
    assert [s.label for s in found] == ["apple", "zebra"]
    assert [s.content for s in found] == (["apple", "zebra"] if file == "words.txt" else ["y", "x"])


def test_features_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="finite features, got others for b"):
        read(
            {"a": np.zeros((1, 1, 3), np.uint8), "b": np.ones((1, 1, 3), np.uint8)},
            lambda images: np.where(mean_colour(images) > 0, np.nan, 0),
        )


@pytest.mark.parametrize(
    "change", [{"size": 0}, {"crop": 1.5}, {"interpolation": "cubic"}, {"mean": (0.5, 0.5)}, {"std": (1, 0, 1)}]
)
def test_preprocessing_outside_its_range_is_refused(change):
    good = {"size": 224, "crop": 0.875, "interpolation": "bicubic", "mean": (0.5,) * 3, "std": (0.5,) * 3}
    Preprocessing.of(good)
    with pytest.raises(ValueError, match=f"preprocessing.{next(iter(change))} must be"):
        Preprocessing.of(good | change)


def test_preprocessing_has_to_be_whole():
    with pytest.raises(ValueError, match="preprocessing must hold crop, interpolation, mean, size, std"):
        Preprocessing.of({"size": 224})


def test_catalogue_has_every_family():
    entries = catalogue()
    assert len(entries) >= 30
    assert len(set(entries)) == len(entries)
    assert {e.family for e in entries} == set(FAMILIES)
    assert [e for f in FAMILIES for e in catalogue(f)] == list(entries)


def test_default_cache_folder(monkeypatch):
    monkeypatch.setenv("GWRSA_CACHE", os.sep + "somewhere")
    assert cache.default_folder() == Path(os.sep) / "somewhere"


@pytest.fixture
def hub(monkeypatch):
    """A client's constants, as the one that is installed or not has them."""
    constants = types.SimpleNamespace(HF_HUB_OFFLINE=False, ENDPOINT="http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(constants=constants))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return constants


def test_a_hub_that_does_not_answer_is_not_asked_again(hub):
    with offline.at_once() as said:
        assert hub.HF_HUB_OFFLINE
        assert said == "http://127.0.0.1:9 does not answer"
    assert not hub.HF_HUB_OFFLINE
    with pytest.raises(KeyError), offline.at_once():
        raise KeyError
    assert not hub.HF_HUB_OFFLINE


@pytest.mark.parametrize("status", [200, 404, 503])
def test_a_hub_that_answers_is_left_alone(hub, status):
    class Hub(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.handle_request).start()
        hub.ENDPOINT = f"http://127.0.0.1:{server.server_port}"
        with offline.at_once() as said:
            assert not hub.HF_HUB_OFFLINE
            assert said == ""


def test_who_is_offline_by_choice_stays_so(hub):
    hub.HF_HUB_OFFLINE = True
    with offline.at_once() as said:
        assert said == "HF_HUB_OFFLINE is set"
    assert hub.HF_HUB_OFFLINE


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
import gwrsa
calls = {
    "extract": lambda device: gwrsa.extract(["a", "b"], "timm/resnet18", device=device, cache_folder=None),
    "fit_spose": lambda device: gwrsa.fit_spose([[0, 1, 2]] * 40, 2, device=device),
    "align": lambda device: gwrsa.align(*[gwrsa.RDM([1, 2, 3])] * 2, device=device, progress=False),
}
for name, call in calls.items():
    for device in ("gpu", "cuda"):
        try:
            call(device)
        except (ImportError, ValueError) as error:
            print(name, type(error).__name__, error)
"""


def test_without_torch_a_device_is_judged_by_its_name_and_the_extra_is_named():
    said = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=True, timeout=120
    )
    lines = said.stdout.splitlines()
    assert len(lines) == 6
    for gpu, cuda in zip(lines[::2], lines[1::2], strict=True):
        assert "ValueError device must be" in gpu
        assert "'cpu', 'cuda' or 'cuda:N', got 'gpu'" in gpu
        assert "ImportError" in cuda
        assert "pip install 'gwrsa[" in cuda
