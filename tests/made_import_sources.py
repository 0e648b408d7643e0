"""Tiny drawn sources for every `s4mi data import`, by the name of the command."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile

from made_layouts import disc, medmnist, npz_xy, picture, save, text
from s4mi.data.sources.dermatomyositis import CLASSES as STAINED
from s4mi.data.sources.dermofit import CLASSES as LESIONS


def folder(root: Path) -> None:
    for number in range(4):
        save(root / "ab"[number % 2] / f"{number}.png", picture(number))


def pairs(root: Path) -> None:
    for number in range(4):
        save(root / "images" / f"{number}.png", picture(number))
        save(root / "masks" / f"{number}.png", disc(number))


def table(root: Path) -> None:
    folder(root)
    text(root / "table.csv", "image,label\na/0.png,a\nb/1.png,b\n")


def nnunet(root: Path) -> None:
    for number in range(3):
        save(root / "imagesTr" / f"cell_{number:02d}_0000.png", picture(number)[:, :, 0])
        save(root / "labelsTr" / f"cell_{number:02d}.png", disc(number, 1))
    content = {"channel_names": {"0": "L"}, "labels": {"background": 0, "cell": 1}}
    text(root / "dataset.json", json.dumps(content | {"numTraining": 3, "file_ending": ".png"}))


def isic2017(root: Path) -> None:
    for number, part in enumerate(("Training", "Validation", "Test_v2")):
        name = f"ISIC_{number:07d}"
        save(root / f"ISIC-2017_{part}_Data" / f"{name}.jpg", picture(number))
        save(root / f"ISIC-2017_{part}_Part1_GroundTruth" / f"{name}_segmentation.png", disc(number))
        lines = f"image_id,melanoma,seborrheic_keratosis\n{name},{number % 2}.0,0.0\n"
        text(root / f"ISIC-2017_{part}_Part3_GroundTruth.csv", lines)


def dermofit(root: Path) -> None:
    for number, name in enumerate(LESIONS):
        save(root / name / f"x{number}" / f"x{number}.png", picture(number))
        save(root / name / f"x{number}" / f"x{number}mask.png", disc(number))


def dermatomyositis(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    lines = ["image," + ",".join(STAINED)]
    for number in range(3):
        with tifffile.TiffWriter(root / f"P{number}_s.tif") as writer:
            for page in range(8):
                pixels = picture(number) if page == 7 else picture(10 * number + page)[:, :, 0].astype(np.uint16)
                writer.write(pixels, photometric="rgb" if page == 7 else "minisblack", metadata=None)
        lines.append(f"P{number}_s.tif," + ",".join(str(int(k <= number)) for k in range(len(STAINED))))
    text(root / "labels.csv", "\n".join(lines) + "\n")


SOURCES: dict[str, Callable[[Path], None]] = {
    "folder": folder, "pairs": pairs, "table": table, "nnunet": nnunet, "arrays": npz_xy, "isic2017": isic2017,
    "dermofit": dermofit, "dermatomyositis": dermatomyositis, "medmnist": medmnist,
}  # fmt: skip
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "folder": ("--copy",), "dermatomyositis": ("--labels", "{source}/labels.csv"),
}  # fmt: skip
"""Further words of a command."""


def import_words(name: str, source: Path | str, out: str) -> tuple[str, ...]:
    """Return the words of `s4mi` that import a source."""
    place = f"{source}/table.csv" if name == "table" else str(source)
    further = (word.format(source=source) for word in ARGUMENTS.get(name, ()))
    return ("data", "import", name, place, "-o", out, *further)
