"""Images that are unlike those that a run was trained on: in size, or in appearance.

<out>/unlike_training.csv   one row per difference: id, what, value, and the least and largest value in training

The appearance is the Mahalanobis distance of a few statistics, such as colours, contrast and detail.
"""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s4mi.formatting import plural
from s4mi.inference.image_list import InputImage
from s4mi.inference.pipeline import DecodedImage
from s4mi.maths.appearance import STATISTICS, appearance, distance
from s4mi.records import write_text_atomically
from s4mi.records.training_images import MIN_IMAGES, Range, TrainingImages, read_training_images

UNLIKE_NAME = "unlike_training.csv"
COLUMNS = ("id", "what", "value", "training_low", "training_high")

Row = tuple[str, str, str, str, str]


class UnlikeTraining:
    """Collects the differences of images as they are predicted; an exported model has nothing to compare with."""

    def __init__(
        self, out: Path, runs: Sequence[Path], images: Sequence[InputImage], *, kept: Sequence[InputImage]
    ) -> None:
        """Start a list in the folder `out`.

        Args:
            runs: the runs that predict, of which an image must be unlike each.
            images: all images, for the order of the rows.
            kept: images predicted by an earlier call, whose rows stay.

        Raises:
            S4miError: the description of a run is damaged.
        """
        self._path = out / UNLIKE_NAME
        self._training = [known for run in runs if (known := read_training_images(run)) is not None]
        self._ids = [frame_id for image in images for frame_id in image.ids]
        earlier = {frame_id for image in kept for frame_id in image.ids}
        self._rows: dict[str, list[Row]] = {}
        for row in _read(self._path) if earlier else ():
            if row[0] in earlier:
                self._rows.setdefault(row[0], []).append(row)

    def look(self, decoded: DecodedImage) -> None:
        """Compare the frames of a file with the training images; called in threads."""
        start = 0
        for frame_id, frame, count in zip(decoded.image.ids, decoded.frames, decoded.inputs_per_frame, strict=True):
            inputs = decoded.inputs[start : start + count]
            start += count
            if not self._training:
                continue
            statistics = appearance(inputs).mean(axis=0)
            found = [_differences(training, frame.size, statistics) for training in self._training]
            common = set.intersection(*(set(one) for one in found))
            rows = [_row(frame_id, name, *found[0][name]) for name in found[0] if name in common]
            if rows:
                self._rows[frame_id] = rows

    def write(self) -> str:
        """Write the list if there is any difference, and return a warning in one line, or an empty string."""
        rows = [row for frame_id in self._ids for row in self._rows.get(frame_id, ())]
        if not rows:
            self._path.unlink(missing_ok=True)
            return ""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
        write_text_atomically(self._path, text.getvalue())
        kinds = Counter(row[1] for row in rows)
        what = ", ".join(f"{name} {count}" for name, count in kinds.most_common())
        return (
            f"{len(self._rows)} of {plural(len(self._ids), 'image')} unlike the training images ({what}); check their "
            f"predictions: {self._path}"
        )


def _differences(
    training: TrainingImages, size: tuple[int, int], statistics: NDArray[np.float64]
) -> dict[str, tuple[float, Range]]:
    found = training.sizes_unlike(size)
    if training.images >= MIN_IMAGES and training.statistics == STATISTICS:
        away = distance(statistics, np.array(training.mean), np.array(training.covariance))
        if away > training.reach:
            found["appearance"] = (away, (0.0, training.reach))
    return found


def _row(frame_id: str, name: str, value: float, training: tuple[float, float]) -> Row:
    return frame_id, name, f"{value:.4g}", f"{training[0]:.4g}", f"{training[1]:.4g}"


def _read(path: Path) -> list[Row]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [(row[0], row[1], row[2], row[3], row[4]) for row in list(csv.reader(file))[1:] if len(row) == 5]
    except OSError:
        return []
