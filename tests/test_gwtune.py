"""GWTune's folders: a real run of it, dumped into tests/gwtune, is read back; its settings under our names."""

import inspect
import sqlite3

import numpy as np
import pytest

import gwrsa
import gwtune_files
from gwrsa import gwtune
from gwrsa.quick_bench import gw_loss

HERE = gwtune_files.HERE
SOURCE, TARGET = gwtune_files.sides()


@pytest.fixture
def pair(tmp_path):
    return gwtune_files.write(tmp_path)


def test_trials_become_starts(pair):
    found = gwtune.load(pair, SOURCE, TARGET, tol=1e-5)
    table = found.table.set_index("start")
    assert list(table.index) == list(range(8))
    assert list(table.index[table.gw_loss < np.inf]) == [0, 6]
    assert table.status.value_counts().to_dict() == {"stopped": 6, "converged": 2}
    assert table.epsilon[6] == pytest.approx(0.0026133478476106555, rel=1e-15)
    assert (table.seed[6], table.n_outer[6], table.init[6]) == (82315, 21, "random")
    # What GWTune wrote down of its trials 0 and 6. Its Sinkhorn stopped early: the plans miss the marginals, and the losses of the
    # rounded ones are a little higher.
    noted = np.array([0.05684889978075413, 0.0450925456237659])
    assert table.gw_loss[[0, 6]].tolist() == pytest.approx(noted, rel=1e-3)
    assert (table.gw_loss[[0, 6]] > noted).all()
    assert table.marginal_error[6] > 1e-4
    assert table.top1[[0, 6]].tolist() == pytest.approx([0.0, 11 / 14])
    assert table.seconds[6] == pytest.approx(5.68334)


def test_the_best_is_a_start_like_any_other(pair, tmp_path):
    found = gwtune.load(pair, SOURCE, TARGET, tol=1e-5)
    best = found.lowest_loss
    assert best.number == 6
    raw = np.load(HERE / "data" / "gw_6.npy")
    assert gw_loss(SOURCE.square(), TARGET.square(), raw) == pytest.approx(0.0450925456237659, rel=1e-3)
    assert np.abs(best.plan - raw).max() < 1e-4
    assert np.abs(best.plan.sum(axis=1) - 1 / 14).max() < 1e-15
    assert best.gw_loss == pytest.approx(gw_loss(SOURCE.square(), TARGET.square(), best.plan), rel=1e-12)
    entropy = float((raw * np.log(np.maximum(raw, 1e-300))).sum())
    assert best.solution.objective == pytest.approx(best.gw_loss + best.epsilon * entropy, rel=1e-2)
    assert found.rsa == pytest.approx(gwrsa.rsa(SOURCE, TARGET))
    assert found.highest_matching().number == 6
    assert np.array_equal(best.top[:, 0], raw.argmax(axis=1))
    saved = np.load(found.save(tmp_path / "ours") / "plans" / "lowest_loss.npz")
    assert np.array_equal(saved["plan"], best.plan)
    # Polishing starts where GWTune stopped, and goes lower.
    assert gwrsa.polish(best.plan, SOURCE, TARGET).gw_loss <= best.gw_loss
    with pytest.raises(ValueError, match=r"trial 1 was not completed \(PRUNED\): GWTune saved no plan"):
        _ = found.starts[1].plan
    with pytest.raises(ValueError, match="no potentials"):
        _ = best.solution.potentials


def test_a_trial_that_has_not_converged_says_so(pair):
    with pytest.warns(UserWarning, match="none of 8 starts converged"):
        assert gwtune.load(pair, SOURCE, TARGET, tol=1e-12).lowest_loss.status == "max_outer"


def test_other_rdms_are_noticed(pair):
    with pytest.warns(UserWarning, match="they are not what GWTune aligned"):
        gwtune.load(pair, SOURCE, TARGET.match_histogram(SOURCE), tol=1e-5)
    with pytest.raises(ValueError, match=r"gw_0\.npy: the plan must have shape \(13, 13\), .* got \(14, 14\)"):
        gwtune.load(pair, *(gwrsa.RDM(side.square()[:13, :13]) for side in (SOURCE, TARGET)))


def test_a_stored_loss_of_zero_is_one_of_other_rdms(pair):
    connection = sqlite3.connect(next((pair / "random").glob("*.db")))
    assert connection.execute("update trial_values set value = 0").rowcount
    connection.commit()
    connection.close()
    with pytest.warns(UserWarning, match="and was 0: they are not what GWTune aligned"):
        gwtune.load(pair, SOURCE, TARGET, tol=1e-5)


def test_plans_of_torch_are_read(pair):
    torch = pytest.importorskip("torch")
    known = gwtune.load(pair, SOURCE, TARGET, tol=1e-5).table
    for path in (pair / "random" / "data").glob("*.npy"):
        torch.save(torch.from_numpy(np.load(path)), path.with_suffix(".pt"))
        path.unlink()
    assert gwtune.load(pair, SOURCE, TARGET, tol=1e-5).table.equals(known)


def test_what_is_missing_is_named(pair, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no .*uniform"):
        gwtune.load(pair, SOURCE, TARGET, init_mat_plan="uniform")
    with pytest.raises(ValueError, match="study must be one of 'colours_judged_vs_measured_random', got 'other'"):
        gwtune.load(pair, SOURCE, TARGET, study="other")
    (pair / "random" / "data" / "gw_6.npy").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"trial 6 was completed, but its plan is not there: .*gw_6\.npy or \.pt"
    ):
        gwtune.load(pair, SOURCE, TARGET)
    (tmp_path / "no.db").write_text("not a database, but long enough to be taken for one by its size")
    with pytest.raises(ValueError, match=r"no\.db must be an SQLite database of Optuna"):
        gwtune.load(pair, SOURCE, TARGET, database=tmp_path / "no.db")


@pytest.mark.parametrize(
    "change",
    [
        "update trial_params set param_value = 'few'",
        "update trial_values set value = x'00'",
        "update trials set datetime_start = 5",
        "update trial_user_attributes set value_json = 'nan' where key = 'error'",
        "update trial_user_attributes set value_json = '\"few\"' where key = 'iteration'",
        "update trial_user_attributes set value_json = '{}' where key = 'iteration'",
    ],
)
def test_what_is_no_number_in_a_database_is_named(pair, change):
    database = next((pair / "random").glob("*.db"))
    connection = sqlite3.connect(database)
    assert connection.execute(change).rowcount
    connection.commit()
    connection.close()
    with pytest.raises(ValueError, match=rf"{database.name} must be an SQLite database of Optuna, "):
        gwtune.load(pair, SOURCE, TARGET)


def test_reading_changes_nothing(pair):
    database = next((pair / "random").glob("*.db"))
    before = database.read_bytes()
    gwtune.load(pair, SOURCE, TARGET, tol=1e-5)
    assert database.read_bytes() == before
    assert [path.name for path in (pair / "random").iterdir()] in (["data", database.name], [database.name, "data"])


def test_a_study_of_optuna_is_read(tmp_path):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    inside = tmp_path / "random"
    (inside / "data").mkdir(parents=True)

    def objective(trial):
        eps = trial.suggest_float("eps", 0.005, 0.05, log=True)
        if trial.number == 1:
            raise optuna.TrialPruned
        solved = gwrsa.entropic_gw(SOURCE, TARGET, epsilon=eps, init="spectral", precision="float64")
        np.save(inside / "data" / f"gw_{trial.number}.npy", solved.plan)
        trial.set_user_attr("error", 1e-10)
        trial.set_user_attr("iteration", solved.n_outer)
        return solved.gw_loss

    study = optuna.create_study(storage=f"sqlite:///{inside}/x_random.db", study_name="x_random")
    study.optimize(objective, n_trials=3)
    found = gwtune.load(tmp_path, SOURCE, TARGET)
    assert found.table.status.tolist() == ["converged", "stopped", "converged"]
    assert found.lowest_loss.number == study.best_trial.number
    assert found.lowest_loss.gw_loss == pytest.approx(study.best_value, rel=1e-9)
    assert found.lowest_loss.epsilon == study.best_params["eps"]


def test_settings_are_those_of_align():
    settings = gwtune.settings(eps_list=[0.01, 0.1], num_trial=3, n_iter=2, max_iter=500)
    found = gwrsa.align(SOURCE, TARGET, progress=False, **settings)
    assert len(found.starts) == 6
    assert found.table.epsilon.between(0.01, 0.1).all()
    assert (found.table.init == "random").all()
    assert found.search == "multistart"


def test_defaults_are_gwtune_s():
    assert gwtune.settings() == {
        "search": "multistart",
        "epsilon": (1.0, 10.0),
        "absolute": True,
        "n_starts": 4,
        "max_outer": 200,
        "max_sinkhorn": 1000,
        "tol": 1e-9,
        "precision": "float64",
        "backend": "rust",
        "device": "cpu",
        "workers": 1,
    }


OF_GWTUNE = {
    "gw_type": "entropic_gromov_wasserstein",
    "eps_list": [1.0, 10.0],
    "eps_log": True,
    "num_trial": 4,
    "sinkhorn_method": "sinkhorn",
    "to_types": "numpy",
    "data_type": "double",
    "device": "cpu",
    "n_jobs": 1,
    "multi_gpu": False,
    "storage": None,
    "db_params": {"drivername": "mysql", "username": "root", "password": "", "host": "localhost", "port": 3306},
    "init_mat_plan": "random",
    "n_iter": 1,
    "max_iter": 200,
    "numItermax": 1000,
    "tol": 1e-9,
    "sampler_name": "tpe",
    "user_define_init_mat_list": None,
    "pruner_name": "hyperband",
    "pruner_params": {"n_startup_trials": 1, "n_warmup_steps": 2, "min_resource": 2, "reduction_factor": 3},
}
"""What `vars(OptimizationConfig())` of GWTune 9d9eead holds."""


def test_all_settings_of_gwtune_are_taken():
    assert gwtune.settings(**OF_GWTUNE) == gwtune.settings()
    assert set(inspect.signature(gwtune.settings).parameters) == set(OF_GWTUNE)


@pytest.mark.parametrize(
    "setting",
    [
        {"storage": "mysql://root@localhost/study"},
        {"db_params": {"drivername": "sqlite"}},
        {"sampler_name": "random"},
        {"sampler_name": "TPE"},  # as GWTune takes it
        {"pruner_name": "nop"},
        {"pruner_name": "median", "pruner_params": {"n_startup_trials": 5}},
    ],
)
def test_settings_without_effect_are_taken(setting):
    assert gwtune.settings(**setting) == gwtune.settings()


def test_the_page_names_every_setting():
    page = (HERE.parents[1] / "docs" / "from-gwtune.md").read_text(encoding="utf-8").split("## Its settings")[1]
    assert [name for name in OF_GWTUNE if f"`{name}" not in page] == []


@pytest.mark.parametrize(("data_type", "precision"), [("double", "float64"), ("float", "mixed")])
def test_torch_of_gwtune_is_the_backend(data_type, precision):
    pytest.importorskip("torch")
    settings = gwtune.settings(
        eps_list=[0.05, 0.1], num_trial=1, max_iter=1000, tol=1e-5, to_types="torch", data_type=data_type, n_jobs=2
    )
    assert (settings["backend"], settings["precision"], settings["workers"]) == ("torch", precision, 2)
    known = gwrsa.align(SOURCE, TARGET, progress=False, **settings | {"backend": "rust"})
    found = gwrsa.align(SOURCE, TARGET, progress=False, **settings)
    assert found.lowest_loss.gw_loss == pytest.approx(known.lowest_loss.gw_loss, rel=1e-4)
    assert gwtune.settings(to_types="torch", device="cuda:1")["device"] == "cuda:1"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"eps_list": [0.1, 1.0, 0.1]}, "eps_list must be"),
        ({"eps_list": [1.0, 0.1]}, "eps_list must be"),
        ({"eps_log": False}, "eps_log must be True"),
        ({"init_mat_plan": "diag"}, "init_mat_plan must be 'random', got 'diag'"),
        ({"data_type": "half"}, "data_type must be one of"),
        ({"device": "cuda"}, "device must be 'cpu' with to_types 'numpy', got 'cuda'"),
        ({"to_types": "torch", "device": "gpu"}, "device must be None, 'cpu', 'cuda' or"),
        ({"to_types": "jax"}, "to_types must be one of"),
        ({"n_jobs": 0}, "n_jobs must be at least 1"),
        ({"num_trial": 0}, "num_trial must be at least 1"),
        (
            {"gw_type": "entropic_semirelaxed_gromov_wasserstein"},
            r"gw_type must be .*, got 'entropic_semi.*; .* are POT's",
        ),
        ({"sinkhorn_method": "sinkhorn_log"}, "sinkhorn_method must be 'sinkhorn', got 'sinkhorn_log'; .* stabilised"),
        ({"multi_gpu": True}, "multi_gpu must be False, got True; device names one card"),
        ({"multi_gpu": [0, 1]}, r"multi_gpu must be False, got \[0, 1\]"),
        ({"init_mat_plan": "user_define", "user_define_init_mat_list": None}, "init_mat_plan must be 'random'"),
        (
            {"user_define_init_mat_list": [np.eye(3)]},
            "user_define_init_mat_list must be None, got .*; gwrsa.entropic_gw",
        ),
        ({"sampler_name": "grid"}, "sampler_name must be one of 'random', 'tpe', got 'grid'"),
        ({"pruner_name": "percentile"}, "pruner_name must be one of 'hyperband', 'median', 'nop', got 'percentile'"),
    ],
)
def test_a_setting_without_a_counterpart_is_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        gwtune.settings(**setting)
