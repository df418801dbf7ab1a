"""What the installed command says of input that does not fit, before any work, and of its end."""

from typing import Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest

import gwrsa
from gwrsa import aligning, cli, demo, spose

N = 12
NAMES = tuple(f"object {i}" for i in range(N))


def main(monkeypatch, capsys, *args):
    """Exit status, stdout and stderr of the installed command."""
    monkeypatch.setattr("sys.argv", ["gwrsa", *(str(a) for a in args)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    said = capsys.readouterr()
    return end.value.code, said.out, said.err


def refused(monkeypatch, capsys, *args):
    """What is said of invalid input: one line."""
    code, _, said = main(monkeypatch, capsys, *args)
    (last,) = [line for line in said.splitlines() if line.startswith("gwrsa: ")]
    assert code == 2
    assert "Traceback" not in said
    return last


@pytest.fixture
def folder(tmp_path):
    """A labelled side, one without labels, the first in another order; triplets; labels; categories of another order."""
    rng = np.random.default_rng(0)
    labelled = gwrsa.Embedding(rng.standard_normal((N, 4)), NAMES, name="labelled")
    labelled.save(tmp_path / "labelled.npz")
    labelled.select(NAMES[::-1]).save(tmp_path / "turned.npz")
    np.save(tmp_path / "bare.npy", labelled.values)
    np.save(tmp_path / "answers.npy", np.array([rng.permutation(N)[:3] for _ in range(400)]))
    (tmp_path / "names.txt").write_text("\n".join(NAMES) + "\n")
    rows = [f"{name},{'even' if i % 2 == 0 else 'odd'}" for i, name in enumerate(NAMES)]
    (tmp_path / "groups.csv").write_text("item,group\n" + "\n".join(rows) + "\n")
    return tmp_path


def test_triplets_are_not_read_as_an_embedding(folder, monkeypatch, capsys):
    command = ("rdm", folder / "answers.npy", "--out", folder / "rdm.npz")
    assert "did you mean --kind triplets?" in refused(monkeypatch, capsys, *command, "--items", folder / "names.txt")
    assert not (folder / "rdm.npz").exists()
    assert "looks like triplets" in refused(monkeypatch, capsys, "rsa", folder / "answers.npy", folder / "bare.npy")
    # Who says that it is one is believed.
    assert main(monkeypatch, capsys, *command, "--kind", "embedding", "--metric", "euclidean")[0] == 0
    assert len(gwrsa.RDM.load(folder / "rdm.npz")) == 400


def test_an_rdm_is_not_read_as_an_embedding(folder, monkeypatch, capsys):
    square = gwrsa.Embedding.load(folder / "labelled.npz").rdm().square()
    np.save(folder / "square.npy", square)
    with pytest.raises(
        ValueError, match=r"square.npy must hold an embedding, got .* \(12, 12\) .* RDM: read it by gwrsa.RDM.load"
    ):
        gwrsa.Embedding.load(folder / "square.npy")
    rounded = np.array(square, dtype=np.float32) + np.float32(1e-8) * np.eye(N, dtype=np.float32)
    np.save(folder / "rounded.npy", rounded)
    with pytest.raises(ValueError, match="which is an RDM"):
        gwrsa.Embedding.load(folder / "rounded.npy")
    command = ("rdm", folder / "square.npy", "--out", folder / "rdm.npz")
    assert "is an RDM already" in refused(monkeypatch, capsys, *command)
    np.save(folder / "condensed.npy", gwrsa.RDM(square).dissimilarities)
    assert "is an RDM already" in refused(
        monkeypatch, capsys, "rdm", folder / "condensed.npy", "--out", folder / "rdm.npz"
    )
    # Who says that it is one is believed; so is what was saved as one.
    assert main(monkeypatch, capsys, *command, "--kind", "embedding")[0] == 0
    assert len(gwrsa.RDM.load(folder / "rdm.npz")) == N
    saved = gwrsa.Embedding(square).save(folder / "saved.npz")
    assert np.array_equal(gwrsa.Embedding.load(saved).values, square)
    assert main(monkeypatch, capsys, "rdm", saved, "--out", folder / "again.npz")[0] == 0
    code, _, said = main(monkeypatch, capsys, "rsa", saved, folder / "rdm.npz")
    assert code == 0
    assert "saved.npz: Embedding(" in said
    assert f"{N} objects x {N}" in said


@pytest.mark.parametrize("change", [lambda x: x + np.eye(N), lambda x: np.triu(x, 1), np.zeros_like])
def test_other_squares_are_embeddings(folder, change):
    values = change(gwrsa.Embedding.load(folder / "labelled.npz").rdm().square())
    np.save(folder / "square.npy", values)
    assert np.array_equal(gwrsa.Embedding.load(folder / "square.npy").values, values)


def test_a_metric_that_is_not_used_is_said(folder, monkeypatch, capsys):
    gwrsa.Embedding.load(folder / "labelled.npz").rdm().save(folder / "rdm.npz")
    said = "warning: --metric euclidean is not used: both files hold dissimilarities"
    for verb in (("rsa",), ("align", "--starts", 1, "--no-progress")):
        pair = (*verb, folder / "rdm.npz", folder / "rdm.npz")
        assert main(monkeypatch, capsys, *pair, "--metric", "euclidean")[2].count(said) == 1
        assert "is not used" not in main(monkeypatch, capsys, *pair)[2]
        mixed = (*verb, folder / "rdm.npz", folder / "labelled.npz", "--metric", "euclidean")
        assert "is not used" not in main(monkeypatch, capsys, *mixed)[2]


def test_options_that_play_no_part_are_said(folder, monkeypatch, capsys):
    np.save(folder / "answers.npy", np.array([[0, 1, 2], [1, 2, 0], [2, 0, 1]]))
    out = ("--out", folder / "rdm.npz")
    counted = ("rdm", folder / "answers.npy", "--kind", "triplets", "--missing", "chance", *out)
    embedded = ("rdm", folder / "labelled.npz", *out)
    aligned = ("align", folder / "labelled.npz", folder / "labelled.npz", "--starts", 1, "--no-progress")
    for given, option, why in (
        (counted, ("--calibrate", folder / "answers.npy"), "triplets are counted"),
        (embedded, ("--missing", "chance"), "an embedding lacks no pair"),
        (embedded, ("--calibrate", folder / "none.npy"), "--metric cosine does not depend on the scale"),
        (aligned, ("--uncategorised", "miss"), "there are no categories"),
    ):
        code, _, said = main(monkeypatch, capsys, *given, *option)
        assert code == 0
        assert f"warning: {option[0]} {option[1]} is not used: {why}" in said
        assert "is not used" not in main(monkeypatch, capsys, *given)[2]


def test_a_cache_and_none_are_refused(tmp_path, monkeypatch, capsys):
    given = ("extract", tmp_path, "--model", "timm/x", "--out", tmp_path / "x.npz", "--cache", tmp_path, "--no-cache")
    code, _, said = main(monkeypatch, capsys, *given)
    assert code == 2
    assert f"--cache must not be given with --no-cache, got '{tmp_path}'" in said


def test_three_whole_dimensions_are_no_triplets(folder, monkeypatch, capsys):
    np.save(folder / "colours.npy", np.random.default_rng(1).integers(0, 256, (N, 3)))
    assert main(monkeypatch, capsys, "rdm", folder / "colours.npy", "--out", folder / "rdm.npz")[0] == 0
    assert len(gwrsa.RDM.load(folder / "rdm.npz")) == N


def test_labels_of_one_side_only_are_said_once(folder, monkeypatch, capsys):
    for verb in (("rsa",), ("align", "--starts", 1, "--no-progress", "--metric", "euclidean")):
        code, _, said = main(monkeypatch, capsys, *verb, folder / "labelled.npz", folder / "bare.npy")
        assert code == 0
        assert said.count("warning: 'labelled' has labels and 'bare' has none: their 12 rows") == 1


def test_categories_of_objects_without_labels_are_a_warning(folder, monkeypatch, capsys):
    command = ("align", folder / "bare.npy", folder / "bare.npy", "--categories", folder / "groups.csv", "--starts", 1)
    said = main(monkeypatch, capsys, *command, "--no-progress")[2]
    assert said.count("warning: the 12 objects of 'bare' have no labels: their categories are matched by position") == 1
    said = main(monkeypatch, capsys, *command, "--items", folder / "names.txt", "--no-progress")[2]
    assert "matched by position" not in said


def test_another_order_names_the_files(folder, monkeypatch, capsys):
    for verb in ("rsa", "align"):
        said = refused(monkeypatch, capsys, verb, folder / "labelled.npz", folder / "turned.npz")
        assert str(folder / "labelled.npz") in said
        assert str(folder / "turned.npz") in said
        assert "in another order" in said
        assert "reorder the rows of one, in its file or in Python by" in said


def test_other_objects_say_which_rows_to_keep_in_the_files(folder, monkeypatch, capsys):
    gwrsa.Embedding.load(folder / "labelled.npz").select(NAMES[:9]).save(folder / "fewer.npz")
    kept = "9 labels are on both sides: keep their rows alone in both files, or in Python take both = ["
    assert kept in refused(monkeypatch, capsys, "rsa", folder / "labelled.npz", folder / "fewer.npz")
    command = ("align", folder / "labelled.npz", folder / "fewer.npz", "--starts", 1, "--no-progress")
    assert kept in main(monkeypatch, capsys, *command)[2]


def test_a_place_that_cannot_be_written_to_is_refused_before_the_work(folder, monkeypatch, capsys):
    def never(*_args, **_settings):
        raise AssertionError("the work had begun")

    monkeypatch.setattr(aligning, "align", never)
    monkeypatch.setattr(demo, "run", never)
    monkeypatch.setattr(spose, "fit_spose", never)
    pair, taken = (folder / "labelled.npz", folder / "bare.npy"), folder / "names.txt"
    for command in (("align", *pair), ("demo",)):
        for out in (taken, taken / "below"):
            assert "--out must be a folder, got" in refused(monkeypatch, capsys, *command, "--out", out)
    assert "--figures must be a folder, got" in refused(monkeypatch, capsys, "align", *pair, "--figures", taken)
    answers = folder / "answers.npy"
    for command in (("spose", answers), ("rdm", folder / "bare.npy"), ("extract", folder, "--model", "timm/some")):
        assert "--out must end in .npz" in refused(monkeypatch, capsys, *command, "--out", folder / "made.npy")
        assert "--out must be a folder" in refused(monkeypatch, capsys, *command, "--out", taken / "made.npz")
        (folder / "folder.npz").mkdir(exist_ok=True)
        assert "got the folder" in refused(monkeypatch, capsys, *command, "--out", folder / "folder.npz")


def test_absolute_needs_an_epsilon(folder, monkeypatch, capsys):
    said = refused(monkeypatch, capsys, "align", folder / "labelled.npz", folder / "labelled.npz", "--absolute")
    assert "--absolute needs --epsilon" in said


def test_what_is_wrong_is_named_by_its_option_or_file(folder, monkeypatch, capsys):
    pair = ("align", folder / "labelled.npz", folder / "labelled.npz")
    said = refused(monkeypatch, capsys, *pair, "--categories", folder / "groups.csv", "--drop-category", "others")
    assert "--drop-category must be one of 'even', 'odd', got 'others'" in said
    said = refused(monkeypatch, capsys, "rsa", folder / "none.npy", folder / "bare.npy")
    assert said == f"gwrsa: {folder / 'none.npy'}: No such file or directory"


AGAIN = "; run the same command to go on"


@pytest.mark.parametrize(
    ("given", "again"),
    [(("align",), ""), (("study",), AGAIN), (("extract",), AGAIN), (("extract", "--no-cache"), "")],
)
def test_an_interrupt_is_said(monkeypatch, capsys, given, again):
    verb, *_ = given

    def interrupted(*, no_cache: bool = False):
        raise KeyboardInterrupt

    command = next(c for c in cli.app.registered_commands if c.callback.__name__ == verb)
    monkeypatch.setattr(command, "callback", interrupted)
    monkeypatch.setattr(command, "name", verb)
    code, _, said = main(monkeypatch, capsys, *given)
    assert code == 130
    assert said.strip() == f"gwrsa: interrupted{again}"


def test_files_that_do_not_fit_are_named(folder, monkeypatch, capsys):
    (folder / "short.txt").write_text("a\nb\n")
    square = ("rsa", folder / "bare.npy", folder / "bare.npy")
    assert f"{folder / 'bare.npy'}: dissimilarities must be" in refused(monkeypatch, capsys, *square, "--kind", "rdm")
    said = refused(monkeypatch, capsys, *square, "--items", folder / "short.txt")
    assert f"{folder / 'bare.npy'} with the labels of {folder / 'short.txt'}: items must have 12 labels" in said


def test_a_result_that_is_written_over_is_said(folder, monkeypatch, capsys):
    command = ("align", folder / "labelled.npz", folder / "labelled.npz", "--starts", 1, "--no-progress")
    first, again = (main(monkeypatch, capsys, *command, "--out", folder / "out") for _ in range(2))
    assert "written over" not in first[2]
    assert "held an earlier result, which is written over" in again[2]
    assert "\n1 start: 1 " in first[1]


def test_the_version_is_printed(monkeypatch, capsys):
    code, said, _ = main(monkeypatch, capsys, "--version")
    assert (code, said) == (0, f"gwrsa {gwrsa.__version__}\n")


def names_of(hint):
    """Of a Literal, or of one that may be None, the names; of another type none."""
    among = [hint, *get_args(hint)]
    return next((get_args(part) for part in among if get_origin(part) is Literal), ())


CHOICES = [
    (command.callback.__name__, option, names)
    for command in cli.app.registered_commands
    for option, hint in get_type_hints(command.callback).items()
    if (names := names_of(hint))
]


@pytest.mark.parametrize(("verb", "option", "names"), CHOICES)
def test_a_wrong_name_is_told_the_nearest(monkeypatch, capsys, verb, option, names):
    expected = ", ".join(map(repr, names))
    said = refused(monkeypatch, capsys, verb, f"--{option}", names[-1] + "x")
    assert said == f"gwrsa: --{option} must be one of {expected}, got '{names[-1]}x'; did you mean {names[-1]!r}?"


def test_other_wrong_names_are_told_the_nearest(folder, monkeypatch, capsys):
    assert {"metric", "search", "method", "precision", "backend", "kind", "status"} <= {
        option for _, option, _ in CHOICES
    }
    for given, name, near in (
        (("models", "--family"), "supervized", "supervised"),
        (("models", "--show"), "tim/resnet50", "timm"),
        (("spose", folder / "answers.npy", "--out", folder / "x.npz", "--device"), "cda", "cuda"),
        (("align", folder / "bare.npy", folder / "bare.npy", "--device"), "cda", "cuda"),
        (
            ("align", *2 * (folder / "labelled.npz",), "--categories", folder / "groups.csv", "--drop-category"),
            "evn",
            "even",
        ),
    ):
        assert f"got {name!r}; did you mean {near!r}?" in refused(monkeypatch, capsys, *given, name)
