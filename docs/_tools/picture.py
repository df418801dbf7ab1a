"""docs/figures/overview.png, the picture of the README: python docs/_tools/picture.py."""

import tempfile
from pathlib import Path

import matplotlib as mpl
from PIL import Image

import gwrsa
from gwrsa import figures
from gwrsa.figures.study_parts import shown_plan

OUT = Path(__file__).resolve().parents[1] / "figures" / "overview.png"


def draw(out=OUT, name="CLIP-like A"):
    """One pair of the simulated study, from dissimilarities to rates."""
    mpl.use("Agg")
    with tempfile.TemporaryDirectory() as folder:
        path = gwrsa.demo.write_study(folder)
        results = gwrsa.Study.from_toml(path).run(Path(folder) / "results", figures=False, progress=False)
        best = shown_plan(results, name)
        by = list(results.objects["one"])
        axes = figures.workflow(
            results.human.square(),
            results.model(name).square(),
            results.plan(best["key"]),
            names=(results.human.name, name),
            family=best["family"],
            rsa=best["rsa"],
            matching=best["top1"],
            category=best["category"],
            order=sorted(range(len(by)), key=lambda i: by[i]),
        )
        axes.figure.savefig(out, dpi=130, facecolor="white", bbox_inches="tight")
    # A palette: a third of the bytes.
    Image.open(out).convert("RGB").quantize(128).save(out, optimize=True)


if __name__ == "__main__":
    draw()
