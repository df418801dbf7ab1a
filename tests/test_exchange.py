"""Files of other packages: rsatoolbox's HDF5 and thingsvision's folders, read without them, and theirs from ours."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import gwrsa
from gwrsa import cli
from problems import points

NAMES = ("ant", "bee", "cat", "dog", "elk")


def call(*args):
    return CliRunner().invoke(cli.app, [str(a) for a in args], catch_exceptions=False)


def rdms_file(path, n_rdms=2, **changed):
    """As rsatoolbox 0.3.2 writes it: text as bytes, single strings and what is None as it does."""
    h5py = pytest.importorskip("h5py")
    values = np.random.default_rng(0).random((n_rdms, 10))
    with h5py.File(path, "w") as content:
        content.attrs["rsatoolbox_version"] = "0.3.2"
        content["dissimilarities"] = changed.get("dissimilarities", values)
        content.attrs["dissimilarity_measure"] = "euclidean"
        content.create_group("descriptors").attrs["session"] = "a"
        rdms, patterns = content.create_group("rdm_descriptors"), content.create_group("pattern_descriptors")
        rdms["index"], patterns["index"] = np.arange(n_rdms), np.arange(5)
        rdms["name"] = np.array(["one", "two"][:n_rdms]).astype("S")
        patterns["items"] = np.array(NAMES).astype("S")
        patterns["conds"] = np.array([f"c{i}" for i in range(5)]).astype("S")
    return path, values


# rsatoolbox


def test_rdms_of_a_file_are_read_without_rsatoolbox(tmp_path, monkeypatch):
    path, values = rdms_file(tmp_path / "rdms.hdf5")
    monkeypatch.setitem(__import__("sys").modules, "rsatoolbox", None)  # an import would fail
    second = gwrsa.RDM.from_rsatoolbox(path, 1)
    assert (second.items, second.metric, second.name) == (NAMES, "euclidean", "two")
    assert np.array_equal(second.dissimilarities, values[1])
    assert gwrsa.RDM.from_rsatoolbox(path, 0, items="conds").items == ("c0", "c1", "c2", "c3", "c4")
    assert gwrsa.RDM.from_rsatoolbox(path, 0, items="nothing").items is None


class TwoRDMs:
    """What rsatoolbox's RDMs has, as far as we read it."""

    dissimilarity_measure = "euclidean"
    rdm_descriptors = {"name": ["one", "two"]}  # noqa: RUF012
    pattern_descriptors = {"items": list(NAMES)}  # noqa: RUF012

    def __init__(self, values):
        self.values = values

    def get_vectors(self):
        return self.values


def test_the_first_of_several_is_not_taken_in_silence(tmp_path):
    path, values = rdms_file(tmp_path / "rdms.hdf5")
    for given, where in ((path, r"rdms\.hdf5"), (str(path), r"rdms\.hdf5"), (TwoRDMs(values), "rdms")):
        message = rf"^{where} holds 2 RDMs, and the first is taken; index, 0 to 1, names one$"
        with pytest.warns(UserWarning, match=message) as said:
            first = gwrsa.RDM.from_rsatoolbox(given)
        assert said[0].filename == __file__  # the line that called it
        assert (first.name, first.items) == ("one", NAMES)
        assert np.array_equal(first.dissimilarities, values[0])
        assert gwrsa.RDM.from_rsatoolbox(given, 0).name == "one"  # named: no warning, which would be an error here
    one, values = rdms_file(tmp_path / "one.h5", 1)
    for given in (one, TwoRDMs(values)):
        assert np.array_equal(gwrsa.RDM.from_rsatoolbox(given).dissimilarities, values[0])


def test_an_rdm_of_a_labelled_table():
    frame = pd.DataFrame(points(5), index=NAMES)
    for metric in ("cosine", "euclidean"):
        made = gwrsa.rdm.from_embedding(frame, metric)
        known = gwrsa.Embedding(points(5), NAMES).rdm(metric)
        assert (made.items, made.metric) == (NAMES, metric)
        assert np.array_equal(made.dissimilarities, known.dissimilarities)
    with pytest.raises(
        ValueError, match=r"^embedding must be an Embedding, or a DataFrame or DataArray of one, got ndarray"
    ):
        gwrsa.rdm.from_embedding(points(5))
    with pytest.raises(ValueError, match="got a table that stands for an RDM"):
        gwrsa.rdm.from_embedding(pd.DataFrame(known.square(), index=NAMES, columns=NAMES))


def test_a_file_with_one_rdm_is_loaded_like_any_other(tmp_path):
    path, values = rdms_file(tmp_path / "one.h5", 1)
    loaded = gwrsa.RDM.load(path)
    assert (loaded.items, loaded.name) == (NAMES, "one")
    assert np.array_equal(loaded.dissimilarities, values[0])
    assert gwrsa.RDM.load(path, items=list("vwxyz"), name="mine").items == tuple("vwxyz")
    other = gwrsa.Embedding(points(5), NAMES).rdm().save(tmp_path / "other.npz")
    said = call("rsa", path, other).output
    assert f"{gwrsa.rsa(loaded, gwrsa.RDM.load(other)):.6f}" in said


def test_what_is_not_there_is_named(tmp_path):
    path, _ = rdms_file(tmp_path / "rdms.hdf5")
    with pytest.raises(
        ValueError, match=r"rdms\.hdf5: the file holds 2 RDMs; RDM\.from_rsatoolbox\(path, index\) takes one"
    ):
        gwrsa.RDM.load(path)
    with pytest.raises(ValueError, match=r"rdms\.hdf5: index must be between 0 and 1, got 2"):
        gwrsa.RDM.from_rsatoolbox(path, 2)
    import h5py

    with h5py.File(tmp_path / "other.h5", "w") as content:
        content["features"] = np.ones((3, 2))
    with pytest.raises(ValueError, match=r"other\.h5: the file must hold RDMs of rsatoolbox, .* got 'features'"):
        gwrsa.RDM.from_rsatoolbox(tmp_path / "other.h5")
    with pytest.raises(ValueError, match=r"the suffix must be one of \.h5, \.hdf5, got '\.pkl'"):
        gwrsa.RDM.from_rsatoolbox(tmp_path / "rdms.pkl")
    broken, _ = rdms_file(tmp_path / "nan.h5", dissimilarities=np.full((2, 10), np.nan))
    with pytest.raises(ValueError, match=r"nan\.h5: dissimilarities must be finite, got nan at 0"):
        gwrsa.RDM.from_rsatoolbox(broken)


def test_what_rsatoolbox_writes_is_read(tmp_path):
    toolbox = pytest.importorskip("rsatoolbox.rdm")
    values = np.random.default_rng(1).random((3, 10))
    toolbox.RDMs(values, pattern_descriptors={"items": list(NAMES)}).save(str(tmp_path / "bare.hdf5"))
    assert np.array_equal(gwrsa.RDM.from_rsatoolbox(tmp_path / "bare.hdf5", 2).dissimilarities, values[2])
    ours = gwrsa.Embedding(points(5), NAMES, name="layer").rdm("euclidean")
    ours.to_rsatoolbox().save(str(tmp_path / "ours.hdf5"))
    for back in (gwrsa.RDM.load(tmp_path / "ours.hdf5"), gwrsa.RDM.from_rsatoolbox(ours.to_rsatoolbox())):
        assert (back.items, back.metric, back.name) == (NAMES, "euclidean", "layer")
        assert np.array_equal(back.dissimilarities, ours.dissimilarities)


@pytest.mark.parametrize("method", ["corr", "spearman", "kendall", "tau-a", "rho-a", "cosine"])
@pytest.mark.parametrize("decimals", [16, 1], ids=["distinct", "ties"])
def test_rsa_is_rsatoolbox_s(method, decimals):
    compare = pytest.importorskip("rsatoolbox.rdm").compare
    a, b = (
        gwrsa.RDM(np.round(gwrsa.Embedding(points(60, seed=s)).rdm().dissimilarities + 0.1, decimals)) for s in (0, 1)
    )
    theirs = float(compare(a.to_rsatoolbox(), b.to_rsatoolbox(), method)[0, 0])
    assert gwrsa.rsa(a, b, method) == pytest.approx(theirs, abs=1e-10)


# thingsvision


def features(n=6, d=3):
    return np.random.default_rng(2).standard_normal((n, d))


def write(folder, names, values, suffix="npy"):
    folder.mkdir(parents=True, exist_ok=True)
    if names is not None:
        (folder / "file_names.txt").write_text("".join(f"{name}\n" for name in names))
    if suffix == "npy":
        np.save(folder / "features.npy", values)
    elif suffix == "txt":
        np.savetxt(folder / "features.txt", values)
    elif suffix == "hdf5":
        with pytest.importorskip("h5py").File(folder / "features.hdf5", "w") as content:
            content["features"] = values
    elif suffix == "pt":
        torch = pytest.importorskip("torch")
        torch.save(torch.from_numpy(values), folder / "features.pt")
    else:
        from scipy.io import savemat

        # Beside file_names.txt thingsvision writes a variable an image.
        stems = [name.removesuffix(".jpg") for name in names]
        savemat(folder / "features.mat", dict(zip(stems, values, strict=True)))
    return folder


@pytest.mark.parametrize("suffix", ["npy", "txt", "mat", "hdf5", "pt"])
def test_features_and_names_of_every_format(tmp_path, suffix):
    names = [f"im{i}.jpg" for i in range(6)]
    read = gwrsa.Embedding.from_thingsvision(write(tmp_path / "layer4", names, features(), suffix))
    assert read.items == tuple(f"im{i}" for i in range(6))
    assert read.name == "layer4"
    assert np.allclose(read.values, features(), atol=1e-15)


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    folder = write(tmp_path / "layer4", None, features())
    (folder / "file_names.txt").write_text("".join(f"im{i}.jpg\n" for i in range(6)), encoding="utf-8-sig")
    assert gwrsa.Embedding.from_thingsvision(folder).items == tuple(f"im{i}" for i in range(6))


def test_images_of_an_object_are_averaged(tmp_path):
    names = [
        "/data/dog/1.jpg",
        "/data/dog/2.jpg",
        "/data/ant/1.png",
        "/data/ant/2.png",
        "/data/cat/1.jpg",
        "/data/cat/2.jpg",
    ]
    folder = write(tmp_path, names, features())
    read = gwrsa.Embedding.from_thingsvision(folder, by="object")
    assert read.items == ("dog", "ant", "cat")
    assert np.allclose(read.values, features().reshape(3, 2, 3).mean(axis=1))
    with pytest.raises(ValueError, match="must name distinct images for by='image', got '1' more than once"):
        gwrsa.Embedding.from_thingsvision(folder)
    windows = write(tmp_path / "w", [name.replace("/", "\\") for name in names], features())
    assert gwrsa.Embedding.from_thingsvision(windows, by="object").items == ("dog", "ant", "cat")


def test_parts_are_put_together_in_their_order(tmp_path):
    values = features(23)
    names = [f"{i}.jpg" for i in range(23)]
    (tmp_path / "file_names.txt").write_text("\n".join(names) + "\n")
    numbered = tmp_path / "numbered"
    numbered.mkdir()
    for i, part in enumerate(np.split(values, [2, 9, 21])):
        np.save(numbered / f"features_{i + 1:02d}.npy", part)
    ranged = tmp_path / "ranged"
    ranged.mkdir()
    for low, high in ((0, 2), (2, 9), (9, 21), (21, 23)):
        np.save(ranged / f"features_{low}-{high}.npy", values[low:high])
    for folder in (numbered, ranged):
        read = gwrsa.Embedding.from_thingsvision(folder)  # names are in the folder above
        assert np.array_equal(read.values, values)
        assert read.items == tuple(str(i) for i in range(23))
        next(folder.glob("features_[29]*" if folder == ranged else "features_02*")).unlink()
        with pytest.raises(ValueError, match="must hold every part of the features"):
            gwrsa.Embedding.from_thingsvision(folder)


def test_parts_within_a_file_are_put_together_by_their_numbers(tmp_path):
    h5py = pytest.importorskip("h5py")
    values = features(123)

    def made(names):
        with h5py.File(tmp_path / "features.hdf5", "w") as content:
            for name, row in zip(names, values, strict=False):
                content[name] = row[None]
        return tmp_path

    every = [f"features_{i:02d}" for i in range(1, 124)]
    assert np.array_equal(gwrsa.Embedding.from_thingsvision(made(every)).values, values)
    for wrong in (every[:2] + every[3:], every[1:], ["features", *every], [*every[:2], "features_2"], ["other"]):
        with pytest.raises(ValueError, match=r"the file must hold 'features', or every part of them .*, got"):
            gwrsa.Embedding.from_thingsvision(made(wrong))


def test_rows_and_names_that_do_not_fit_are_counted(tmp_path):
    folder = write(tmp_path / "tv", [f"{i}.jpg" for i in range(5)], features())
    with pytest.raises(ValueError, match=r"file_names\.txt must name 6 images, one a row of features\.npy, got 5"):
        gwrsa.Embedding.from_thingsvision(folder)
    write(folder, [f"{i}.jpg" for i in range(6)], np.ones((6, 2, 2, 2)))
    with pytest.raises(ValueError, match=r"one vector an image, got shape \(6, 2, 2, 2\); flatten them"):
        gwrsa.Embedding.from_thingsvision(folder)
    with pytest.raises(ValueError, match=r"must hold features in one file, .* got none"):
        gwrsa.Embedding.from_thingsvision(_empty(tmp_path / "none"))
    write(folder, [f"{i}.jpg" for i in range(6)], features(), "txt")
    with pytest.raises(ValueError, match=r"got features\.npy, features\.txt"):
        gwrsa.Embedding.from_thingsvision(folder)
    assert gwrsa.Embedding.from_thingsvision(write(tmp_path / "bare", None, features())).items is None


def _empty(folder):
    folder.mkdir()
    return folder


@pytest.mark.parametrize("file_format", ["npy", "txt", "mat", "hdf5"])
def test_what_is_written_reads_back_here_and_as_thingsvision_does(tmp_path, file_format):
    given = gwrsa.Embedding(features(5), NAMES, name="out")
    folder = given.to_thingsvision(tmp_path / "out", file_format)
    back = gwrsa.Embedding.load(folder)
    assert (back.items, back.name) == (NAMES, "out")
    assert np.array_equal(back.values, given.values)
    assert (folder / "file_names.txt").read_text().splitlines() == list(NAMES)
    again = "npy" if file_format == "txt" else "txt"
    with pytest.raises(ValueError, match=f"folder must hold no other features, got features.{file_format}"):
        given.to_thingsvision(folder, again)
    with pytest.raises(ValueError, match="items must be there"):
        gwrsa.Embedding(features()).to_thingsvision(tmp_path / "bare")


def test_a_dot_is_part_of_a_name_unless_a_suffix_of_images_follows(tmp_path):
    names = ("St. Bernard", "ant_0.5", "U.S. flag", "bee", "cat")
    given = gwrsa.Embedding(features(5), names)
    assert gwrsa.Embedding.load(given.to_thingsvision(tmp_path / "out")).items == names
    write(tmp_path / "in", ["a/St. Bernard.JPEG", "a/ant_0.5.png", "a/bee.webp", "a/cat", "a/dog.b.jpg"], features(5))
    assert gwrsa.Embedding.load(tmp_path / "in").items == ("St. Bernard", "ant_0.5", "bee", "cat", "dog.b")


@pytest.mark.parametrize("name", ["dog/cat", "dog\\cat", " x", "x ", "photo.jpg"])
def test_names_that_would_read_back_as_others_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="items must be names of files that are read back as they are"):
        gwrsa.Embedding(features(2), ("bee", name)).to_thingsvision(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_commands_take_a_folder(tmp_path):
    write(tmp_path / "tv", [f"{name}.jpg" for name in NAMES], features(5))
    assert call("rdm", tmp_path / "tv", "--out", tmp_path / "rdm.npz").exit_code == 0
    made = gwrsa.RDM.load(tmp_path / "rdm.npz")
    assert made.items == NAMES
    assert np.allclose(made.dissimilarities, gwrsa.Embedding(features(5)).rdm().dissimilarities)
    assert "1.000000" in call("rsa", tmp_path / "tv", tmp_path / "rdm.npz").output


def test_extract_writes_a_folder_too(tmp_path, monkeypatch):
    """A network of one layer, on the way that all go: what it gives for an image is in the row of the image's name."""
    torch = pytest.importorskip("torch")
    from PIL import Image

    from gwrsa.extraction import models

    levels = dict(zip(NAMES, (40, 80, 0, 160, 120), strict=True))
    (tmp_path / "in").mkdir()
    for name, level in levels.items():
        Image.new("RGB", (3, 3), (level, 0, 255)).save(tmp_path / "in" / f"{name}.png")
    layer = torch.nn.Linear(3, 4)
    network = models.Network(
        name="timm/one layer",
        kind="image",
        net=torch.nn.Sequential(layer).eval(),
        preprocess=lambda images: torch.stack([torch.tensor(image.getpixel((0, 0))) / 255 for image in images]),  # noqa: PD013  # torch's
        forward=layer,
        preprocessing="first pixel",
        default="0",
    )
    monkeypatch.setattr(models, "load", lambda *_, **__: network)
    given = ("extract", tmp_path / "in", "--model", network.name, "--device", "cpu", "--no-cache", "--no-progress")
    done = call(*given, "--out", tmp_path / "out.npz", "--thingsvision", tmp_path / "layer")
    assert done.exit_code == 0, done.output
    assert f"written to {tmp_path / 'layer'}" in done.output.replace("\n", "")
    assert sorted(path.name for path in (tmp_path / "layer").iterdir()) == ["features.npy", "file_names.txt"]
    assert (tmp_path / "layer" / "file_names.txt").read_text().splitlines() == list(NAMES)
    pixels = np.array([[levels[name] / 255, 0, 1] for name in NAMES])
    weight, bias = (x.detach().numpy() for x in layer.parameters())
    assert np.allclose(np.load(tmp_path / "layer" / "features.npy"), pixels @ weight.T + bias, atol=1e-6)
    read, kept = gwrsa.Embedding.from_thingsvision(tmp_path / "layer"), gwrsa.Embedding.load(tmp_path / "out.npz")
    assert read.items == kept.items == NAMES
    assert np.array_equal(read.values, kept.values)
    # A folder of other features is left as it is, and the embedding is written all the same.
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "features.txt").write_text("1 2\n")
    with pytest.raises(ValueError, match=r"folder must hold no other features, got features\.txt"):
        call(*given, "--out", tmp_path / "again.npz", "--thingsvision", tmp_path / "other")
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["features.txt"]
    assert np.array_equal(gwrsa.Embedding.load(tmp_path / "again.npz").values, kept.values)
