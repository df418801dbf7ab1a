"""How well an embedding fitted to sampled triplets predicts fresh ones, against the embedding they were sampled from.

python benches/spose_recovery.py [--data FOLDER] [--triplets N] [--checkpoint FILE] [--quick]

The published THINGS embedding is brought to the scale of the choices and answers triplets drawn at random, by its own choice
probabilities: a million to fit, with the settings of `gwrsa.fit_spose`, and 400,000 others, with another seed, to predict. The published
embedding itself predicts them as well as anything can, but for chance.
"""

import argparse
import time
from pathlib import Path

import numpy as np

import gwrsa
from _results import save

DIMS, FRESH, SEEDS = 66, 400_000, {"triplets": 1, "fresh": 3, "fit": 0}


def main():
    """Run, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data" / "things")
    parser.add_argument("--triplets", type=int, default=1_000_000)
    parser.add_argument("--checkpoint", type=Path, help="of the fit, to go on from after a kill")
    parser.add_argument("--quick", action="store_true", help="two epochs, nothing saved: does the bench run?")
    args = parser.parse_args()
    items = args.data / "unique_id.txt"
    published = gwrsa.Embedding.load(args.data / "human_spose66.npy", items=items)
    truth = gwrsa.calibrate(published, gwrsa.Triplets.load(args.data / "triplets.npy", items=items))
    triplets = gwrsa.sample_triplets(truth, args.triplets, seed=SEEDS["triplets"])
    fresh = gwrsa.sample_triplets(truth, FRESH, seed=SEEDS["fresh"])
    resumed = args.checkpoint is not None and args.checkpoint.exists()
    began = time.process_time()
    fitted = gwrsa.fit_spose(
        triplets,
        DIMS,
        seed=SEEDS["fit"],
        device="cpu",
        checkpoint=args.checkpoint,
        progress=False,
        **({"epochs": 2} if args.quick else {}),
    )
    spent = time.process_time() - began
    how = fitted.meta["spose"]
    accuracy = gwrsa.odd_one_out_accuracy(truth, fresh)
    reached = gwrsa.odd_one_out_accuracy(fitted, fresh)
    result = {
        "problem": f"{args.triplets} triplets sampled from the choice probabilities of human_spose66, {FRESH} fresh ones",
        "settings": {
            k: how[k] for k in ("n_dims", "l1", "validation", "batch_size", "learning_rate", "epochs", "seed")
        },
        "seeds": SEEDS,
        "accuracy_truth": accuracy,
        "accuracy_fitted": reached,
        "points_below_truth": 100 * (accuracy - reached),
        "loss_truth": -float(np.log(gwrsa.odd_one_out_probabilities(truth, fresh)[:, 2]).mean()),
        "loss_fitted": -float(np.log(gwrsa.odd_one_out_probabilities(fitted, fresh)[:, 2]).mean()),
        "rsa_choice": gwrsa.rsa(fitted.rdm("choice"), truth.rdm("choice")),
        "dimensions": fitted.values.shape[1],
        "status": how["status"],
        "best_epoch": how["best_epoch"],
        "cpu_seconds": None if resumed else round(spent, 1),
    }
    for name in ("accuracy_truth", "accuracy_fitted", "points_below_truth", "loss_truth", "loss_fitted", "rsa_choice"):
        print(f"{name:<20}{result[name]:.4f}")
    print(f"{how['status']}, best epoch {how['best_epoch']} of {how['epochs']}, {spent:.0f} s of processor time")
    if not args.quick:
        print(f"written to {save('spose_recovery', result).name}")


if __name__ == "__main__":
    main()
