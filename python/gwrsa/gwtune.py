"""What GWTune saved, read into an `Alignment`, and its settings under our names.

https://github.com/oizumi-lab/GWTune. It keeps a pair in a folder: `<init_mat_plan>/<study>.db`, Optuna's SQLite database, and
`<init_mat_plan>/data/gw_<trial>.npy` (or .pt), the plan of each trial that was completed. Neither Optuna nor GWTune is needed here.
"""

from __future__ import annotations

import reprlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlogy

from gwrsa import _core, gwtune_database, labelled, metrics, torch_device
from gwrsa import _validate as check
from gwrsa import loaders_files as files
from gwrsa._validate import FloatArray
from gwrsa.aligning import TOP_K, members
from gwrsa.alignment import Alignment, Start
from gwrsa.backends import Exponent, Status
from gwrsa.embedding import Embedding
from gwrsa.gwtune_database import Trial
from gwrsa.loaders import Categories
from gwrsa.rdm import METRICS, RDM, Metric
from gwrsa.same_items import check_same_items
from gwrsa.solution import GWSolution
from gwrsa.solve import build_problem
from gwrsa.thingsvision_files import tensor

InitMatPlan: TypeAlias = Literal["uniform", "diag", "random", "permutation", "user_define"]
_PLANS = ("uniform", "diag", "random", "permutation", "user_define")
# Relative difference at which a recomputed loss says that these are not the RDMs of the run. GWTune's plans may miss the marginals, as
# its Sinkhorn may stop early; rounding them then changes the loss, seen by 3e-4.
_OTHER_RDMS = 1e-2
_ENDED: dict[str, Status] = {"PRUNED": "stopped", "FAIL": "numerical_error"}


def load(
    folder: str | Path,
    source: RDM | Embedding,
    target: RDM | Embedding,
    *,
    init_mat_plan: InitMatPlan = "random",
    database: str | Path | None = None,
    study: str | None = None,
    tol: float = 1e-9,
    metric: Metric = "cosine",
    categories: Categories | ArrayLike | None = None,
) -> Alignment:
    """Read a pair that GWTune has aligned.

    Parameters
    ----------
    folder : path
        Of the pair: GWTune's `main_results_dir/<data_name>_<source>_vs_<target>`, which holds a folder of its `init_mat_plan`.
    source, target : RDM, Embedding, DataFrame or DataArray
        What was aligned, which GWTune does not save; after its histogram matching, if there was one (`target.match_histogram(source)`).
    init_mat_plan : str
        GWTune's setting, and the name of the folder inside.
    database : path, optional
        SQLite file. None: the only .db in that folder. A study in MySQL is read from a dump of it made with SQLite.
    study : str, optional
        Name of the study in the database. None: the only one.
    tol : float
        GWTune's setting, which it does not save: the change of the plan at which a trial has converged; others have status "max_outer".
    metric : str
        How an Embedding becomes dissimilarities.
    categories : Categories or array-like, optional
        Of the source items, as in `gwrsa.align`.

    Returns
    -------
    Alignment
        A start a trial, with Optuna's numbers. Losses are computed from the saved plans, rounded onto the marginals. Trials that were
        pruned ("stopped") or failed have no plan, an infinite loss and rates of 0; potentials were not saved.

    Warns
    -----
    UserWarning
        If losses differ from those in the database: then source or target are not what was aligned.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, database or plan.
    ValueError
        If the database is not Optuna's, holds several studies and none is named, or has no completed trial, or plans do not fit.
    """
    source, target = labelled.side("source", source), labelled.side("target", target)
    check.choice("init_mat_plan", init_mat_plan, _PLANS)
    check.choice("metric", metric, METRICS)
    tol = check.positive("tol", tol)
    paired = len(source) == len(target)
    if paired:
        check_same_items(source, target, ("source", "target"))
    groups = members(categories, source)
    inside = Path(folder) / init_mat_plan
    path = gwtune_database.find(inside) if database is None else Path(database)
    trials = list(gwtune_database.trials(path, study))
    problem = build_problem(source, target, metric=metric)
    starts, worst = [], (0.0, 0.0, 0.0)
    for trial in trials:
        saved = _Saved(trial, inside / "data", problem, tol)
        if saved.file is not None and trial.value is not None:
            larger = max(saved.gw_loss, abs(trial.value))
            apart = abs(saved.gw_loss - trial.value) / larger if larger > 0 else 0.0
            worst = max(worst, (apart, saved.gw_loss, trial.value))
        starts.append(_start(saved, init_mat_plan, groups, paired=paired))
    if all(s.gw_loss == np.inf for s in starts):
        raise ValueError(f"{path} must hold a completed trial, got {len(starts)} that were pruned or failed")
    if worst[0] > _OTHER_RDMS:
        warnings.warn(
            f"the loss of a plan is {worst[1]:.6g} with this source and target, and was {worst[2]:.6g}: they are not what GWTune aligned "
            "(is histogram matching missing, or another order or metric?)",
            stacklevel=2,
        )
    return Alignment(source, target, metric, "multistart", problem.critical_epsilon(), tuple(starts))


def settings(
    *,
    gw_type: str = "entropic_gromov_wasserstein",
    eps_list: Sequence[float] = (1.0, 10.0),
    eps_log: bool = True,
    num_trial: int = 4,
    sinkhorn_method: str = "sinkhorn",
    device: str = "cpu",
    to_types: Literal["numpy", "torch"] = "numpy",
    data_type: Literal["double", "float"] = "double",
    n_jobs: int | None = 1,
    multi_gpu: bool | Sequence[int] = False,
    storage: str | None = None,  # noqa: ARG001  # nothing is written
    db_params: Mapping[str, Any] | None = None,  # noqa: ARG001
    init_mat_plan: InitMatPlan = "random",
    user_define_init_mat_list: Sequence[Any] | None = None,
    n_iter: int = 1,
    max_iter: int = 200,
    tol: float = 1e-9,
    numItermax: int = 1000,  # noqa: N803  # GWTune's name
    sampler_name: str = "tpe",
    pruner_name: str = "hyperband",
    pruner_params: Mapping[str, Any] | None = None,  # noqa: ARG001  # nothing is pruned
) -> dict[str, Any]:
    """GWTune's settings as arguments of `gwrsa.align`: its protocol, with its names and defaults.

    `gwrsa.align(source, target, **gwrsa.gwtune.settings(eps_list=[0.01, 0.1], num_trial=100))` draws as many random starts, each with an
    epsilon of its own, log-uniform in the range, and solves each at that epsilon in float64. All that GWTune's `OptimizationConfig` has is
    taken: `settings(**vars(config))`.

    Parameters
    ----------
    gw_type, sinkhorn_method : str
        Only "entropic_gromov_wasserstein" and "sinkhorn".
    eps_list : sequence of two floats
        Range of epsilon, POT's. A step as third is not supported.
    eps_log : bool
        Only True: epsilon is drawn log-uniformly.
    num_trial, n_iter : int
        Trials, and starts of each; there are `num_trial * n_iter` starts. Each draws its own epsilon.
    device, to_types : str
        "torch" is our backend of that name, on the device: "cpu", "cuda" or "cuda:N". "numpy", which is for "cpu" alone, is "rust".
    data_type : str
        "double", or "float" for mixed precision.
    n_jobs : int, optional
        Threads, which change no more than the last bits, and those of torch only. None, which GWTune has not: one a core.
    multi_gpu : bool
        Only False.
    storage, db_params, pruner_params
        Whatever they are they have no effect: there is no database, and no start is pruned.
    init_mat_plan : str
        Only "random".
    user_define_init_mat_list : None
        Only None.
    max_iter, numItermax : int
        Most outer steps, and Sinkhorn sweeps of each.
    tol : float
        Change of the plan at which a solve ends: GWTune's is absolute, ours relative to the plan, whose norm is at most 1: stricter.
    sampler_name : str
        "tpe" or "random", without effect: draws are independent ("random"). Not "grid": align at each of its values.
    pruner_name : str
        "hyperband", "median" or "nop", without effect: no start is pruned ("nop").

    Returns
    -------
    dict
        Keyword arguments of `gwrsa.align`.

    Raises
    ------
    ValueError
        If a setting has no counterpart; it says which.

    Examples
    --------
    >>> settings = gwrsa.gwtune.settings(eps_list=[0.01, 0.1], num_trial=20)
    >>> settings["search"], settings["epsilon"], settings["n_starts"]
    ('multistart', (0.01, 0.1), 20)
    """
    bounds = tuple(check.positive("eps_list", eps) for eps in eps_list)
    if len(bounds) != 2 or bounds[0] > bounds[1]:
        raise ValueError(
            f"eps_list must be (low, high), got {list(eps_list)!r}; a grid has no counterpart, align at each value"
        )
    _refuse(
        ("gw_type", gw_type, "entropic_gromov_wasserstein", "semi-relaxed and partial problems are POT's"),
        ("eps_log", eps_log, True, "epsilon is drawn log-uniformly"),
        ("sinkhorn_method", sinkhorn_method, "sinkhorn", "there is one iteration here, which is stabilised"),
        ("multi_gpu", multi_gpu, False, "device names one card"),
        ("init_mat_plan", init_mat_plan, "random", "gwrsa.entropic_gw takes others as init"),
        ("user_define_init_mat_list", user_define_init_mat_list, None, "gwrsa.entropic_gw takes a plan as init"),
    )
    # Of the settings of Optuna's search none plays a part; a grid would be another set of epsilons.
    check.choice("sampler_name", str(sampler_name).lower(), ("random", "tpe"))
    check.choice("pruner_name", str(pruner_name).lower(), ("hyperband", "median", "nop"))
    check.choice("data_type", data_type, ("double", "float"))
    torch_device.check_name(device)
    if check.choice("to_types", to_types, ("numpy", "torch")) == "numpy" and device != "cpu":
        raise ValueError(f"device must be 'cpu' with to_types 'numpy', got {device!r}")
    return {
        "search": "multistart",
        "epsilon": bounds,
        "absolute": True,
        "n_starts": check.starts(
            "num_trial * n_iter", check.steps("num_trial", num_trial) * check.steps("n_iter", n_iter)
        ),
        "max_outer": check.steps("max_iter", max_iter),
        "max_sinkhorn": check.steps("numItermax", numItermax),
        "tol": check.positive("tol", tol),
        "precision": "float64" if data_type == "double" else "mixed",
        "backend": "torch" if to_types == "torch" else "rust",
        "device": device,
        "workers": None if n_jobs is None else check.threads("n_jobs", n_jobs),
    }


def _refuse(*settings: tuple[str, Any, Any, str]) -> None:
    """Name, value, the one value that has a counterpart, and what there is for the others."""
    for name, got, only, instead in settings:
        if isinstance(only, str):
            if not isinstance(got, str) or got != only:
                raise ValueError(f"{name} must be {only!r}, got {got!r}; {instead}")
        elif got is not only:
            raise ValueError(f"{name} must be {only}, got {reprlib.repr(got)}; {instead}")


@dataclass(frozen=True)
class _Saved:
    """A trial as a backend would return it."""

    trial: Trial
    folder: Path
    problem: Any
    tol: float
    merged_into: None = None
    stopped_by: None = None
    n_sinkhorn: int = 0
    path: list[tuple[float, int, float]] = field(default_factory=list)
    phases: list[tuple[str, float]] = field(default_factory=list)

    def evaluated(self) -> _Saved:
        """It always is."""
        return self

    @cached_property
    def file(self) -> Path | None:
        """Where the plan is; None for a trial that was not completed."""
        if self.trial.state != "COMPLETE":
            return None
        there = [self.folder / f"gw_{self.trial.number}{suffix}" for suffix in (".npy", ".pt")]
        found = next((path for path in there if path.is_file()), None)
        if found is None:
            raise FileNotFoundError(
                f"trial {self.trial.number} was completed, but its plan is not there: {there[0]} or .pt"
            )
        return found

    @cached_property
    def _summary(self) -> tuple[float, float, float]:
        """Loss and objective of the rounded plan, and L1 error of the marginals before."""
        if self.file is None:
            return np.inf, np.inf, np.inf
        raw, plan = self._read(self.file), self.plan()
        n, m = raw.shape
        error = float(np.abs(raw.sum(axis=1) - 1 / n).sum() + np.abs(raw.sum(axis=0) - 1 / m).sum())
        loss = float(self.problem.gw_loss(plan))
        return loss, loss + self.epsilon * float(xlogy(plan, plan).sum()), error

    @property
    def gw_loss(self) -> float:
        return self._summary[0]

    @property
    def objective(self) -> float:
        return self._summary[1]

    @property
    def marginal_error(self) -> float:
        return self._summary[2]

    @property
    def epsilon(self) -> float:
        return self.trial.epsilon

    @property
    def status(self) -> Status:
        if self.file is None:
            return _ENDED.get(self.trial.state, "interrupted")
        return "converged" if self.change <= self.tol else "max_outer"

    @property
    def n_outer(self) -> int:
        return int(self.trial.told.get("iteration", 0))

    @property
    def change(self) -> float:
        return float(self.trial.told.get("error", np.inf))

    @property
    def seconds(self) -> float:
        return self.trial.seconds

    @property
    def why(self) -> str:
        """Why there is no plan, where there is none."""
        return f"trial {self.trial.number} was not completed ({self.trial.state}): GWTune saved no plan of it"

    def plan(self) -> FloatArray:
        """The saved plan, rounded onto the marginals."""
        if self.file is None:
            raise ValueError(self.why)
        raw = self._read(self.file)
        n, m = raw.shape
        return _core.round_to_marginals(raw, np.full(n, 1 / n), np.full(m, 1 / m))

    def top(self, k: int) -> NDArray[np.uint32]:
        return np.argsort(-self.plan(), axis=1, kind="stable")[:, :k].astype(np.uint32)

    def potentials(self) -> tuple[FloatArray, FloatArray]:
        raise ValueError("GWTune saves plans, and no potentials")

    def exponent(self) -> Exponent:
        raise ValueError("GWTune saves plans, and no exponent")

    def _read(self, file: Path) -> FloatArray:
        with files.opened(file, (".npy", ".pt")) as (path, suffix):
            plan = check.array("plan", files.read_npy(path) if suffix == ".npy" else tensor(path), 2)
            if plan.shape != self.problem.shape:
                raise ValueError(
                    f"the plan must have shape {self.problem.shape}, as source and target have, got {plan.shape}"
                )
            if plan.min() < 0 or not plan.sum() > 0:
                raise ValueError(f"the plan must not be negative, or all 0, got a smallest entry of {plan.min()}")
            return plan


def _start(saved: _Saved, init: str, groups: ArrayLike | None, *, paired: bool) -> Start:
    n, m = saved.problem.shape
    top = np.zeros((n, min(10, m)), dtype=np.int64)
    matching = dict.fromkeys(TOP_K, 0.0) if paired else {}
    category = dict.fromkeys(TOP_K, 0.0) if groups is not None and paired else {}
    if saved.file is not None:
        plan = saved.plan()
        top = saved.top(top.shape[1]).astype(np.int64)
        matching = {k: metrics.matching_rate(plan, min(k, m)) for k in matching}
        category = {k: metrics.category_matching_rate(plan, groups, min(k, m)) for k in category}  # type: ignore[arg-type]
    seed = int(saved.trial.told.get("best_seed", 0))
    solution = GWSolution.from_raw(saved, why=saved.why)
    return Start(saved.trial.number, seed, init, None, None, solution, top, saved.file is not None, matching, category)
