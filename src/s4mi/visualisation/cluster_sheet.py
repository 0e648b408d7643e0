"""Contact sheet of images beside their pixel clusters, and a table of cluster shares, for a person to name them."""

import csv
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from s4mi.data.formats.intensity import Pixels
from s4mi.data.spec import load_spec
from s4mi.inference.dataset_images import select_evenly
from s4mi.inference.overlays.masks import Colour, cluster_colour, cluster_overlay
from s4mi.inference.overlays.saliency import CELL, ComparisonSheet, OverlayBlock
from s4mi.inference.run_model import RunModel
from s4mi.records import write_bytes_atomically

SHEET, TABLE = "clusters.png", "clusters.csv"
IMAGES = 12
"""Maximum number of images on the sheet."""
NUMBER_HEIGHT = 11
"""Height of a cluster's number on the sheet, in pixels."""
NUMBER_RADIUS = 7.0
"""A number is drawn where its cluster extends at least this many pixels in every direction."""
LEAST_SHARE = 0.005
"""Smaller clusters of an image are not listed, but for the largest."""
LINE_LENGTH = 25
"""Characters that fit below an image."""
MAX_EXAMPLES = 8
"""Number of clusters up to which the example of names lists all."""


@dataclass(frozen=True)
class _SheetImage:
    """An image scaled to a cell: pixels (h, w, 3), clusters (h, w), and the share of each cluster."""

    name: str
    pixels: Pixels
    clusters: Pixels
    shares: NDArray[np.float64]


class ClusterSheet:
    """Context manager that writes `clusters.png` and `clusters.csv` into `folder` as images are added."""

    def __init__(self, folder: Path, *, clusters: int, images: Sequence[str]) -> None:
        """Prepare the sheet; nothing is written yet.

        Args:
            clusters: number of clusters.
            images: names of the images that will be added; the sheet shows an even selection.
        """
        self.path = folder / SHEET
        self._table = folder / TABLE
        self._count = clusters
        self._selected = {images[i] for i in select_evenly([None] * len(images), IMAGES)}
        self._shown: list[_SheetImage] = []
        self._total, self._images = np.zeros(clusters), 0

    def __enter__(self) -> "ClusterSheet":
        self._table.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._table.open("w", newline="", encoding="utf-8")
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(["image", "cluster", "share"])
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._images:
            write_bytes_atomically(self.path, self._draw())

    def add(self, name: str, pixels: Pixels, clusters: Pixels) -> None:
        """Add an image (H, W, 3) with its clusters (H, W)."""
        shares = np.bincount(clusters.ravel(), minlength=self._count) / clusters.size
        self._rows.writerows([name, number, f"{share:.6f}"] for number, share in enumerate(shares))
        self._total += shares
        self._images += 1
        if name in self._selected:
            size = _cell_size(pixels.shape[0], pixels.shape[1])
            small = np.array(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
            labels = np.asarray(cv2.resize(clusters, size, interpolation=cv2.INTER_NEAREST_EXACT), dtype=np.uint8)
            self._shown.append(_SheetImage(name, small, labels, shares))

    def _draw(self) -> bytes:
        mean = self._total / self._images
        sheet = ComparisonSheet(
            [("clusters", ""), ("overlay", "")],
            [""],
            legend=[(cluster_colour(number)[1], f"{number}: {100 * share:.1f} %") for number, share in enumerate(mean)],
            note=f"Clusters with their share of the pixels, mean over all images ({self._images}).",
        )
        for image in self._shown:
            first, second = _share_lines(image.shares)
            blocks = [
                OverlayBlock(first, (_numbered(image.clusters),), (second,)),
                OverlayBlock("", (cluster_overlay(image.pixels, image.clusters),), ("",)),
            ]
            sheet.add(image.name, "", image.pixels, blocks, None)
        return sheet.png()


def next_steps(model: RunModel) -> tuple[str, ...]:
    """What to do after inspecting the clusters of `model`, one line each."""
    run, config = model.run.path, model.run.config_path
    predict = f"predict masks of the classes: s4mi predict {run} IMAGES -o MASKS"
    if model.config.method.named:
        return (f"cluster names are set in {config}; {predict}",)
    spec = load_spec(run)
    classes = spec.mask_classes if "segmentation" in spec.tasks else ()
    names = classes[:2] or ("background", "lesion")
    examples = [f"{number}: {names[number == 1]}" for number in range(len(model.task.classes))]
    if len(examples) > MAX_EXAMPLES:
        examples = [*examples[:3], "…", examples[-1]]
    action = "clusters were named by validation masks; to change their names, edit" if classes else "name clusters in"
    return (f"{action} {config}, section method, e.g. classes: {{{', '.join(examples)}}}", f"then {predict}")


def _cell_size(height: int, width: int) -> tuple[int, int]:
    """Width and height of an image on the sheet."""
    scale = CELL / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _share_lines(shares: NDArray[np.float64]) -> tuple[str, str]:
    """The clusters of an image, largest first, as two lines; the second is truncated when drawn."""
    largest, *others = map(int, np.argsort(-shares, kind="stable"))
    order = [largest, *(number for number in others if shares[number] >= LEAST_SHARE)]
    text = ", ".join(f"{number}:\N{NO-BREAK SPACE}{100 * shares[number]:.0f}\N{NO-BREAK SPACE}%" for number in order)
    first, *rest = textwrap.wrap(text, LINE_LENGTH)
    return first, " ".join(rest)


def _numbered(clusters: Pixels) -> Pixels:
    """Clusters (h, w) in their colours, (h, w, 3), each with its number at its widest point if it fits."""
    shown = [int(number) for number in np.unique(clusters)]
    picture = np.zeros((*clusters.shape, 3), dtype=np.uint8)
    for number in shown:
        picture[clusters == number] = cluster_colour(number)[1]
    image = Image.fromarray(picture)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(NUMBER_HEIGHT)
    for number in shown:
        padded = np.pad((clusters == number).astype(np.uint8), 1)  # the image border limits the space as well
        distance = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
        if distance.max() >= NUMBER_RADIUS:
            y, x = np.unravel_index(int(distance.argmax()), distance.shape)
            colour = _text_colour(cluster_colour(number)[1])
            draw.text((int(x), int(y)), str(number), font=font, fill=colour, anchor="mm")
    return np.array(image)


def _text_colour(background: Colour) -> Colour:
    """Black or white, whichever is more legible on the background."""
    red, green, blue = background
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else (255, 255, 255)
