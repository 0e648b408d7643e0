"""What clusters of pixels look like: a sheet of images beside their clusters, and a table of shares.

A person looks at them, sees what each is, and names it.
"""

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
from s4mi.inference.dataset_images import spread
from s4mi.inference.overlays.masks import Colour, cluster_colour, clustered
from s4mi.inference.overlays.saliency import CELL, RunOverlays, SaliencySheet
from s4mi.inference.run_model import RunModel

SHEET, TABLE = "clusters.png", "clusters.csv"
IMAGES = 12
"""At most so many are on the sheet."""
DIGITS = 11
"""Height of a cluster's number on the sheet, in pixels."""
ROOM = 7.0
"""A number is written where its cluster reaches at least so many pixels in every direction."""
A_LINE = 25
"""So many characters go below an image."""
EXAMPLE = 8
"""More clusters than these are not all written out in the example of names."""


@dataclass(frozen=True)
class _Shown:
    """An image of the sheet, as large as a cell: its pixels (h, w, 3), clusters (h, w), and their shares of it."""

    name: str
    pixels: Pixels
    clusters: Pixels
    shares: NDArray[np.float64]


class ClusterSheet:
    """`clusters.png` and `clusters.csv`, while images come: a context manager that writes them into `folder`."""

    def __init__(self, folder: Path, *, clusters: int, images: Sequence[str]) -> None:
        """Begin.

        Args:
            clusters: how many there are.
            images: names of the images that will come; the sheet has some, evenly spread.
        """
        self.path = folder / SHEET
        self._table = folder / TABLE
        self._count = clusters
        self._wanted = {images[i] for i in spread([None] * len(images), IMAGES)}
        self._shown: list[_Shown] = []
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
            self.path.write_bytes(self._draw())

    def add(self, name: str, pixels: Pixels, clusters: Pixels) -> None:
        """One more image (H, W, 3) with its clusters (H, W)."""
        shares = np.bincount(clusters.ravel(), minlength=self._count) / clusters.size
        self._rows.writerows([name, number, f"{share:.6f}"] for number, share in enumerate(shares))
        self._total += shares
        self._images += 1
        if name in self._wanted:
            size = _cell_size(pixels.shape[0], pixels.shape[1])
            small = np.array(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
            labels = np.asarray(cv2.resize(clusters, size, interpolation=cv2.INTER_NEAREST_EXACT), dtype=np.uint8)
            self._shown.append(_Shown(name, small, labels, shares))

    def _draw(self) -> bytes:
        mean = self._total / self._images
        sheet = SaliencySheet(
            [("clusters", ""), ("over the image", "")],
            [""],
            legend=[(cluster_colour(number)[1], f"{number}: {100 * share:.1f} %") for number, share in enumerate(mean)],
            note=f"Each cluster with its share of the pixels, as a mean over all images ({self._images}).",
        )
        for one in self._shown:
            first, second = _largest(one.shares)
            blocks = [
                RunOverlays(first, (_numbered(one.clusters),), (second,)),
                RunOverlays("", (clustered(one.pixels, one.clusters),), ("",)),
            ]
            sheet.add(one.name, "", one.pixels, blocks, None)
        return sheet.png()


def next_steps(predictor: RunModel) -> tuple[str, ...]:
    """What to do once the clusters that `predictor` gives have been looked at, a line each."""
    run, place = predictor.run.path, predictor.run.config_path
    then = f"masks of the classes: s4mi predict {run} IMAGES -o MASKS"
    if predictor.config.method.named:
        return (f"their names are in {place}; {then}",)
    spec = load_spec(run)
    classes = spec.mask_classes if "segmentation" in spec.tasks else ()
    names = classes[:2] or ("background", "lesion")
    given = [f"{number}: {names[number == 1]}" for number in range(len(predictor.task.classes))]
    if len(given) > EXAMPLE:
        given = [*given[:3], "…", given[-1]]
    why = "validation masks have named them; to name them yourself, write" if classes else "name them"
    return (f"{why} in {place}, below method, e.g. classes: {{{', '.join(given)}}}", f"then {then}")


def _cell_size(height: int, width: int) -> tuple[int, int]:
    """Width and height of an image on the sheet."""
    scale = CELL / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _largest(shares: NDArray[np.float64]) -> tuple[str, str]:
    """The clusters of an image, the largest first: two lines, the second as far as it goes."""
    order = [int(number) for number in np.argsort(-shares, kind="stable") if shares[number] >= 0.005]
    written = ", ".join(f"{number}:\N{NO-BREAK SPACE}{100 * shares[number]:.0f}\N{NO-BREAK SPACE}%" for number in order)
    first, *others = textwrap.wrap(written, A_LINE)
    return first, " ".join(others)


def _numbered(clusters: Pixels) -> Pixels:
    """(h, w) clusters in their colours, (h, w, 3), each with its number where it is widest and has the room."""
    shown = [int(number) for number in np.unique(clusters)]
    picture = np.zeros((*clusters.shape, 3), dtype=np.uint8)
    for number in shown:
        picture[clusters == number] = cluster_colour(number)[1]
    image = Image.fromarray(picture)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(DIGITS)
    for number in shown:
        edged = np.pad((clusters == number).astype(np.uint8), 1)  # where the image ends, so does the room
        reach = cv2.distanceTransform(edged, cv2.DIST_L2, 5)[1:-1, 1:-1]
        if reach.max() >= ROOM:
            y, x = np.unravel_index(int(reach.argmax()), reach.shape)
            draw.text((int(x), int(y)), str(number), font=font, fill=_ink(cluster_colour(number)[1]), anchor="mm")
    return np.array(image)


def _ink(paper: Colour) -> Colour:
    """Black or white, whichever is better read on a colour."""
    red, green, blue = paper
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else (255, 255, 255)
