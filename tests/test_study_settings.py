import json
from dataclasses import replace
from pathlib import Path

import pytest

from gwrsa import study_keys, study_settings
from gwrsa.study import Study
from gwrsa.study_inputs import hashed
from gwrsa.study_settings import Settings
from study_files import TOML, write


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("n_starts = 3", "n_start = 3", r"alignment.n_start = 3 is no key of a study; did you mean 'n_starts'"),
        ("n_starts = 3", "xyz = 3", r"alignment.xyz = 3 is no key of a study; expected one of search, epsilon"),
        ("n_starts = 3", "n_starts = 0", "alignment.n_starts must be at least 1, got 0"),
        ("n_starts = 3", "epsilon = [0.4, 0.1]", "low <= high, got"),
        ("n_starts = 3", "epsilon = -1.0", "alignment.epsilon must be positive"),
        ("n_starts = 3", "absolute = true", "alignment.epsilon must be given where alignment.absolute is true"),
        ("n_starts = 3", 'match_histogram = "yes"', "alignment.match_histogram must be true or false, got 'yes'"),
        ("n_starts = 3", 'search = "grid"', "alignment.search must be one of 'anneal', 'multistart', got 'grid'"),
        ("bootstrap = 50", "top_k = [1, 11]", r"statistics.top_k\[1\] must be between 1 and 10, got 11"),
        ("bootstrap = 50", "top_k = [5, 1]", "statistics.top_k must be distinct and rising"),
        ('embedding = "human.npy"', "", "human must have one of embedding, rdm, triplets, got none"),
        ('embedding = "human.npy"', 'embedding = "human.npy"\nrdm = "x.npy"', "got embedding and rdm"),
        ('embedding = "human.npy"', 'embedding = "human.npy"\nmetric = "choice"', "calibrate must name triplets"),
        (
            'embedding = "human.npy"',
            'rdm = "r.npy"\nmetric = "choice"\ncalibrate = "t.npy"',
            "human.metric 'choice' and human.calibrate go with an embedding only, got rdm = 'r.npy'",
        ),
        ('embedding = "human.npy"', 'triplets = "t.npy"\ncalibrate = "t.npy"', "with an embedding only, got triplets"),
        (
            'noise = "features"',
            'noise = "dissimilarities"\nmetric = "euclidean"',
            r"models\[3\].metric goes with noise = 'features' only, got 'euclidean' beside 'dissimilarities'",
        ),
        (
            'embedding = "human.npy"',
            'embedding = "human{seed}.npy"',
            r"human.embedding must be one file, without \{seed\}.*, got 'human\{seed\}.npy'",
        ),
        ('embedding = "human.npy"', 'rdm = "{seed}.npy"', r"human.rdm must be one file, without \{seed\}"),
        ('family = "clip"', "", r"models\[0\].family must be given"),
        ('family = "clip"', "family = 3", r"models\[0\].family must be a text that is not empty, got 3"),
        ('name = "near"', 'name = "shuffled"', r"models\[1\].name must be distinct, got 'shuffled' more than once"),
        (
            'name = "far"',
            'name = "people"',
            r"models\[2\].name must not be that of the human side, got 'people' for both",
        ),
        ('name = "people"', 'name = "near"', r"models\[0\].name must not be that of the human side, got 'near'"),
        ('embedding = "near.npy"', 'embedding = "near.npy"\nseeds = 2', r"models\[0\].seeds must be above 1 where"),
        ('embedding = "near.npy"', 'embedding = "near.npy"\ndims = 2', r"models\[0\].dims goes with noise only"),
        (
            'embedding = "near.npy"',
            'extract = "timm/resnet18"\nitems = "items.txt"',
            r"models\[0\].items goes with embedding and rdm only, got it beside extract = 'timm/resnet18', whose labels are",
        ),
        (
            'embedding = "human.npy"',
            'embedding = "human.npy"\nmissing = "chance"',
            r"human.missing goes with triplets only, got it beside embedding = 'human.npy'",
        ),
        (
            "seeds = 3",
            'key = "x"',
            r"models\[3\].key goes with embedding and rdm only, got it beside noise = 'features'",
        ),
        (
            "seeds = 3",
            'items = "i.txt"',
            r"models\[3\].items goes with embedding and rdm only, got it beside noise",
        ),
        ('embedding = "near.npy"', 'extract = "timm/resnet18"\nseeds = 2', "pretrained = false"),
        (
            'noise = "features"',
            'noise = "dissimilarities"\ndims = 3',
            r"models\[3\].dims goes with noise = 'features' only, got 3",
        ),
        (
            'embedding = "near.npy"',
            'extract = "timm/resnet18"\nmatch = "position"',
            r"models\[0\].match goes with a checkpoint only, got 'position' without one",
        ),
        (
            'embedding = "near.npy"',
            'extract = "timm/resnet18"\ndevice = "gpu"',
            r"models\[0\].device must be 'auto', 'cpu', 'cuda' or 'cuda:N', got 'gpu'",
        ),
        (
            'family = "clip"\nembedding = "near.npy"',
            'family = "untrained"\nextract = "timm/resnet18"\ncheckpoint = "w.pth"\npreprocessing = "registry"\nseeds = 10',
            r"models\[0\].checkpoint goes with a network with weights only, got 'w.pth' beside pretrained = false",
        ),
        ('noise = "features"', 'noise = "pink"', r"models\[3\].noise must be one of 'features', 'dissimilarities'"),
        (
            'family = "clip"',
            'family = "human"\nsplit = "sex"',
            r"models\[0\].split must be that of at least 2 models, got 'sex'",
        ),
        ("seeds = 3", "seeds = true", r"models\[3\].seeds must be an integer"),
        (
            "[categories]",
            '[[models]]\nname = "more"\nfamily = "untrained"\nnoise = "features"\n\n[categories]',
            r"models\[4\].noise must differ from that of 'noise', whose draws it would repeat, got 'features' for both",
        ),
        ("[alignment]", "[alignment", "must be TOML"),
        ('items = "items.txt"', "items = 3", "items must be a text"),
        ("[[models]]", "[[model]]", r"\[\[model\]\] is no key of a study; did you mean 'models'"),
        ("[human]", "[humn]", r"\[humn\] is no key of a study; did you mean 'human'"),
    ],
)
def test_a_wrong_file_names_key_value_and_expectation(tmp_path, old, new, message):
    path = write(tmp_path, TOML.replace(old, new, 1 if old != "[[models]]" else -1))
    with pytest.raises(ValueError, match=message) as caught:
        Study.from_toml(path)
    assert "study.toml" in str(caught.value)


def test_settings_survive_json_and_toml(tmp_path):
    toml = TOML.replace("n_starts = 3", "n_starts = 3\nepsilon = [0.1, 0.3]").replace(
        "bootstrap = 50", "top_k = [1, 3]"
    )
    settings, _ = study_settings.Settings.read(write(tmp_path, toml))
    assert study_settings.Settings.restored(json.loads(json.dumps(settings.plain()))) == settings
    (tmp_path / "again.toml").write_text(settings.toml())
    assert study_settings.Settings.read(tmp_path / "again.toml")[0] == settings


@pytest.mark.parametrize("family", ["untrained", "supervised"])
@pytest.mark.parametrize("pretrained", [True, False])
def test_weights_against_the_habit_of_a_family_survive_json_and_toml(tmp_path, family, pretrained):
    told = f'family = "{family}"\nextract = "timm/resnet18"\npretrained = {str(pretrained).lower()}'
    toml = TOML.replace('family = "clip"\nembedding = "near.npy"', told)
    assert toml != TOML
    settings, _ = study_settings.Settings.read(write(tmp_path, toml))
    assert settings.models[0].pretrained is pretrained
    assert study_settings.Settings.restored(json.loads(json.dumps(settings.plain()))) == settings
    (tmp_path / "again.toml").write_text(settings.toml())
    assert study_settings.Settings.read(tmp_path / "again.toml")[0] == settings


def test_the_annotated_file_of_the_documentation_is_one_and_shows_the_defaults():
    text = (Path(__file__).parents[1] / "docs" / "study.md").read_text(encoding="utf-8")
    block = text.split("```toml\n")[1].split("```")[0]
    settings = study_settings.Settings.of(study_settings.tomllib.loads(block))
    assert settings.statistics == study_settings.Statistics()
    assert replace(settings.alignment, epsilon=None, n_starts=None) == study_settings.AlignmentSettings()
    assert settings.categories.others == study_settings.Categories().others
    for section in ("TOP", "HUMAN", "MODEL", "CATEGORIES", "IMAGES", "ALIGNMENT", "STATISTICS"):
        for key in getattr(study_keys, section):
            assert key in block, key


def test_the_study_of_things_is_one(things_dir):
    example = Path(__file__).parents[1] / "examples" / "things" / "study.toml"
    study = Study.from_toml(example, base=things_dir)
    assert sum(m.seeds for m in study.settings.models if m.noise) == 10
    assert {m.family for m in study.settings.models} == {"clip", "language", "human", "noise"}


def test_images_behind_links_to_folders_are_inputs_too(tmp_path):
    real, root = tmp_path / "real", tmp_path / "root"
    for folder in (real, root):
        folder.mkdir()
    (real / "1.png").write_bytes(b"one")
    (root / "cat").symlink_to(real, target_is_directory=True)
    (root / "back").symlink_to(root, target_is_directory=True)
    (root / ".checkpoints").mkdir()
    (root / ".checkpoints" / "1.png").write_bytes(b"hidden")
    before = hashed(root)
    assert before["bytes"] == 3
    (real / "1.png").write_bytes(b"two")
    assert hashed(root)["sha256"] != before["sha256"]


@pytest.mark.parametrize(("family", "weights"), [("untrained", False), ("Untrained", False), ("supervised", True)])
def test_an_untrained_family_has_no_weights_however_it_is_written(tmp_path, family, weights):
    toml = TOML.replace('embedding = "near.npy"', 'extract = "torchvision/resnet18"\nmodule = "avgpool"')
    toml = toml.replace('family = "clip"', f'family = "{family}"') + '\n[images]\nroot = "images"\n'
    settings, _ = Settings.read(write(tmp_path, toml))
    assert settings.models[0].pretrained is weights
