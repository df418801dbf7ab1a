"""A store of many starts that nobody solved, for tests and for timing: `python tests/store_files.py FOLDER MODELS STARTS`.

Of random starts: a unit each 50 of them, with one or two chosen plans of the size that 1,854 objects have.
"""

import resource
import sys
import time
from pathlib import Path

import numpy as np

from gwrsa.shards import Shards, file_digest, save_arrays
from gwrsa.study import Study
from gwrsa.study_inputs import Inputs
from gwrsa.study_plan import Unit, batches
from gwrsa.study_prepare import begin, prepare

N = 60
# Float64 of a chosen start: 0.75 MB of CLIP with people (benches/results/cluster_speed.json).
EXPONENT = 94_000


def write(out, models, starts, permutations=100, exponent=10):
    """A study of noise whose shards are made up, all that `gather` needs; its folder."""
    folder = out.parent
    folder.mkdir(exist_ok=True, parents=True)
    rng = np.random.default_rng(0)
    np.save(folder / "human.npy", rng.standard_normal((N, 4)))
    toml = folder / "study.toml"
    toml.write_text(
        f'[human]\nembedding = "human.npy"\n[[models]]\nname = "noise"\nfamily = "noise"\nnoise = "features"\nseeds = {models}\n'
        f'[alignment]\nsearch = "multistart"\nn_starts = {starts}\n'
        f"[statistics]\npermutations = {permutations}\nbootstrap = 100\nchance = 20\n"
    )
    study = Study.from_toml(toml)
    inputs = Inputs(study.settings, study.base)
    inputs.hash_all()
    begin(out, inputs, study.text, array=models)
    work, _ = prepare(out, inputs, progress=False)
    records = Shards(out / "shards")
    top = np.tile(np.arange(10), (N, 1))
    for model in work.models:
        null = rng.standard_normal(permutations)
        records.save(work.rsa_unit(work.human, model), {"statistic": 0.1, "p_value": 0.5, "null": null.tolist()})
        for batch, (first, n) in enumerate(batches(study.settings)):
            unit = Unit("align", work.human, model, batch=batch)
            loss = rng.uniform(1, 2, n)
            rows = [row(first + i, float(loss[i]), float(rng.integers(0, N) / N)) for i in range(n)]
            rates = np.array([r["top1"] for r in rows])
            best = int(loss.argmin()), int(np.lexsort((loss, -rates))[0])
            plans = {}
            for i in sorted(set(best)):
                state = {"top": top, "tied": np.array(0), "f": np.zeros(N), "g": np.zeros(N)}
                path = work.plan_path(f"{work.key(unit)}-{first + i}")
                save_arrays(path, state | {"exponent": rng.standard_normal(exponent)})
                plans[path.stem] = file_digest(path)
            records.save(work.alignment_unit(work.human, model, batch=batch), {"rows": rows, "plans": plans})
    return out


def row(i, loss, rate):
    return {
        "start": i,
        "seed": 0,
        "init": "random",
        "merged_into": None,
        "stopped_by": None,
        "epsilon": 0.1,
        "epsilon_ratio": 0.2,
        "gw_loss": loss,
        "objective": loss - 0.1,
        "status": "converged",
        "failed": False,
        "n_outer": 50,
        "n_sinkhorn": 500,
        "marginal_error": 1e-13,
        "seconds": 0.25,
        "top1": rate,
        "top5": rate,
        "top10": rate,
    }


if __name__ == "__main__":
    from gwrsa.study_gather import gather
    from gwrsa.study_listing import listing

    where = Path(sys.argv[1])
    if not where.exists():
        write(where, int(sys.argv[2]), int(sys.argv[3]), exponent=EXPONENT)
        sys.exit()
    for what in (listing, lambda out: gather(out, figures=False), listing):
        began = time.perf_counter()
        what(where)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        sys.stdout.write(f"{time.perf_counter() - began:.2f} s, at most {peak:.0f} MB so far\n")
