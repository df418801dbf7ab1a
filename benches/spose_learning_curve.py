"""Accuracy of a fitted SPoSE embedding on held-out human answers against the number of triplets it was fitted to.

python benches/spose_learning_curve.py [--data FOLDER] [--checkpoints FOLDER] [--quick | --draw]

A fifth of `triplets.npy`, drawn once, is never fitted; the smaller training sets are the first triplets of the larger ones. All are
fitted with the same settings, those of `gwrsa.fit_spose`, whose validation triplets come out of the training set. Beside them stand the
published embedding, which was fitted to other triplets, and many more, the accuracy that its own choice probabilities let expect (of a
triplet the largest of the three: what no predictor can beat where they are true), and two networks, taken as they are.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from scipy.special import softmax

import gwrsa
from _results import FOLDER, save, write

SIZES = (7_500, 15_000, 30_000, 60_000, None)
DIMS = 66
MODELS = {"CLIP ViT-B/32": "model_clip_vitb32.npy", "MiniLM definitions": "model_minilm_definition.npy"}


def main():
    """Run, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data" / "things")
    parser.add_argument("--quick", action="store_true", help="the smallest two, nothing saved: does the bench run?")
    parser.add_argument("--checkpoints", type=Path, help="folder of the fits, to go on from after a kill")
    parser.add_argument("--draw", action="store_true", help="no fit: what stands beside, and the figure again")
    args = parser.parse_args()
    items = args.data / "unique_id.txt"
    answers = gwrsa.Triplets.load(args.data / "triplets.npy", items=items)
    published = gwrsa.Embedding.load(args.data / "human_spose66.npy", items=items)
    rest, test = answers.split(0.2, seed=0)
    reference = gwrsa.calibrate(published, rest)
    if args.draw:
        path = FOLDER / "spose_learning_curve.json"
        content = json.loads(path.read_text())
        content["result"]["beside"] = beside(args.data, published, reference, test)
        write(path, content)
        draw(content["result"])
        return
    order = np.random.default_rng(0).permutation(len(rest))
    rows = []
    print(
        f"{'triplets':>10}{'test accuracy':>15}{'dimensions':>12}{'epochs':>8}  RSA with the published embedding (choice)"
    )
    for size in SIZES[:2] if args.quick else SIZES:
        train = gwrsa.Triplets(rest.indices[order[:size]], rest.items)
        path = None if args.checkpoints is None else args.checkpoints / f"{len(train)}.npz"
        resumed = path is not None and path.exists()
        began = time.process_time()
        fitted = gwrsa.fit_spose(train, DIMS, device="cpu", checkpoint=path, progress=False)
        spent = time.process_time() - began
        how = fitted.meta["spose"]
        rows.append(
            {
                "triplets": len(train),
                "test_accuracy": gwrsa.odd_one_out_accuracy(fitted, test),
                "validation_accuracy": how["history"][how["best_epoch"] - 1][2],
                "dimensions": fitted.values.shape[1],
                "epochs": how["epochs"],
                "status": how["status"],
                "rsa_choice": gwrsa.rsa(fitted.rdm("choice"), reference.rdm("choice")),
                "cpu_seconds": None if resumed else round(spent, 1),
            }
        )
        r = rows[-1]
        print(
            f"{r['triplets']:>10}{r['test_accuracy']:>15.2%}{r['dimensions']:>12}{r['epochs']:>8}  {r['rsa_choice']:.3f}",
            flush=True,
        )
    others = beside(args.data, published, reference, test)
    for name, accuracy in others.items():
        print(f"{name}: {accuracy:.2%}")
    result = {
        "problem": f"THINGS triplets.npy, {len(test)} held out; accuracy's standard error {np.sqrt(0.25 / len(test)):.4f} at most",
        "n_test": len(test),
        "settings": {
            k: how[k] for k in ("n_dims", "l1", "validation", "batch_size", "learning_rate", "epochs", "seed")
        },
        "curve": rows,
        "beside": others,
    }
    if not args.quick:
        print(f"written to {save('spose_learning_curve', result).name}")
        draw(result)


def beside(data, published, reference, test):
    """Accuracy on the test answers of what was not fitted here, by name; reference: the published embedding on the scale of choices."""
    x = np.asarray(reference.values, dtype=np.float64)
    first, second, odd = test.indices.T
    products = [np.einsum("td,td->t", x[i], x[j]) for i, j in ((first, second), (first, odd), (second, odd))]
    expected = softmax(np.stack(products, axis=1), axis=1).max(axis=1).mean()
    items = data / "unique_id.txt"
    models = {name: gwrsa.Embedding.load(data / file, items=items) for name, file in MODELS.items()}
    return {
        "published embedding": gwrsa.odd_one_out_accuracy(published, test),
        "expected by its own probabilities": float(expected),
        **{name: gwrsa.odd_one_out_accuracy(model, test) for name, model in models.items()},
        "chance": 1 / 3,
    }


def draw(result):
    """Accuracy against triplets, with two standard errors of the test set, and lines for what stands beside."""
    import matplotlib.pyplot as plt

    curve, test = result["curve"], result["n_test"]
    x, y = (np.array([row[k] for row in curve]) for k in ("triplets", "test_accuracy"))
    _, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
    ax.errorbar(x, 100 * y, 200 * np.sqrt(y * (1 - y) / test), marker="o", color="#0072B2", capsize=3)
    for label, value in result["beside"].items():
        if label.startswith("expected"):
            continue  # too near the published embedding to be told from it
        ax.axhline(100 * value, color="0.4", linestyle="--", linewidth=1)
        ax.annotate(label, (x[0], 100 * value), xytext=(0, 3), textcoords="offset points", fontsize=8, color="0.3")
    ax.set(xscale="log", xlabel="triplets", ylabel="held-out accuracy (%)")
    ax.set_xticks(x, [f"{n:,}" for n in x], rotation=30)
    ax.minorticks_off()
    ax.spines[["top", "right"]].set_visible(False)
    plt.savefig(FOLDER.parents[1] / "docs" / "figures" / "spose_learning_curve.png", dpi=200)


if __name__ == "__main__":
    main()
