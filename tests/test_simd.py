"""The instructions that kernels and products use: each set that this processor has, forced by GWRSA_SIMD, gives the same answer."""

import json
import os
import subprocess
import sys

import pytest

from gwrsa import _core

SOLVE = """
import json, numpy as np, gwrsa
from gwrsa import _core
from gwrsa.solve import build_problem
rng = np.random.default_rng(0)
a = rng.standard_normal((70, 5))
b = a[rng.permutation(70)] @ np.linalg.qr(rng.standard_normal((5, 5)))[0]
out = {"simd": _core.simd}
for precision in ("mixed", "float64"):
    for metric in ("sqeuclidean", "euclidean"):  # factored, and square
        sides = gwrsa.Embedding(a), gwrsa.Embedding(b)
        tol = 1e-11 if precision == "float64" else None
        epsilon = 0.4 * build_problem(*sides, metric=metric).critical_epsilon()
        s = gwrsa.entropic_gw(*sides, epsilon=epsilon, init="spectral", metric=metric, precision=precision, tol=tol)
        out[f"{precision} {metric}"] = [s.status, s.gw_loss, s.plan.ravel().tolist()]
print(json.dumps(out))
"""


def run(code, simd):
    environment = {**os.environ, "GWRSA_SIMD": simd}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="module")
def outcomes():
    return {simd: json.loads(run(SOLVE, simd).stdout) for simd in _core.simd_available}


def test_what_is_asked_for_is_used(outcomes):
    assert [outcome["simd"] for outcome in outcomes.values()] == list(outcomes)
    assert "plain" in outcomes
    assert json.loads(run(SOLVE, "").stdout)["simd"] == _core.simd_available[0]


@pytest.mark.parametrize("kind", ["mixed sqeuclidean", "mixed euclidean", "float64 sqeuclidean", "float64 euclidean"])
def test_every_set_ends_at_the_same_plan(outcomes, kind):
    _, loss, plan = outcomes["plain"][kind]
    loose = kind.startswith("mixed")
    for outcome in outcomes.values():
        assert outcome[kind][0] == "converged"
        assert outcome[kind][1] == pytest.approx(loss, rel=1e-5 if loose else 1e-11)
        assert outcome[kind][2] == pytest.approx(plan, abs=1e-5 if loose else 1e-10)


def test_what_the_processor_has_not_got_is_refused_in_one_line():
    named = ", ".join(f"'{simd}'" for simd in _core.simd_available)
    message = f"GWRSA_SIMD must be one of {named} on this processor, got 'sse9'"
    said = run("import sys, gwrsa.cli; sys.argv = ['gwrsa', 'bench']; gwrsa.cli.main()", "sse9")
    assert (said.returncode, said.stderr) == (2, f"gwrsa: {message}\n")
    assert f"ValueError: {message}" in run("import gwrsa; gwrsa.sinkhorn([[1.0]], epsilon=1.0)", "sse9").stderr
