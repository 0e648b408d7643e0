"""Images that are unlike those that a run was trained on: in size, in appearance, or in the network's own features.

<out>/unlike_training.csv   one row per difference: id, what, value, and the least and largest value in training

The appearance is the Mahalanobis distance of a few statistics, such as colours, contrast and detail; of the features
the distance is that of the nearest training images (`maths/feature_distance.py`), which about one in twenty images of
the same kind exceeds.
"""

import csv
import io
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from s4mi.formatting import plural
from s4mi.inference.image_list import InputImage
from s4mi.inference.page_prediction import mean_statistics
from s4mi.inference.pipeline import DecodedImage
from s4mi.maths.appearance import STATISTICS, appearance, distance
from s4mi.maths.feature_distance import QUANTILE, distances, projected
from s4mi.records import write_text_atomically
from s4mi.records.training_features import read_training_features
from s4mi.records.training_images import MIN_IMAGES, Range, TrainingImages, read_training_images

UNLIKE_NAME = "unlike_training.csv"
MANY = 20
"""Images from which their number tells whether they are of the same kind as those of training."""
COLUMNS = ("id", "what", "value", "training_low", "training_high")

log = logging.getLogger("s4mi")

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
        self._features = [read_training_features(run) for run in runs]
        if runs and all(features is None for features in self._features):
            log.warning(
                "%s was trained by an earlier version, which kept no features of its training images; new images are "
                "compared with them by size and appearance alone",
                runs[0],
            )
        self._training = [known for run in runs if (known := read_training_images(run)) is not None]
        self._ids = [frame_id for image in images for frame_id in image.ids]
        earlier = {frame_id for image in kept for frame_id in image.ids}
        self._rows: dict[str, list[Row]] = {}
        for row in _read(self._path) if earlier else ():
            if row[0] in earlier:
                self._rows.setdefault(row[0], []).append(row)
        self._write_rows()

    def keep(self, image: InputImage) -> None:
        """Append the rows of an image to the list, before its prediction counts as complete: a kill loses neither."""
        rows = [row for frame_id in image.ids for row in self._rows.get(frame_id, ())]
        if rows:
            with self._path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                if not file.tell():
                    writer.writerow(COLUMNS)
                writer.writerows(rows)

    def look(self, decoded: DecodedImage) -> None:
        """Compare the frames of a file with the training images, once they are predicted; called in threads."""
        if not self._training:
            return
        if decoded.page is not None:
            if decoded.seen.statistics:
                self._compare(decoded.image.name, decoded.page.size, mean_statistics(decoded.seen),
                              decoded.seen.of_models())  # fmt: skip
            return
        start = 0
        for frame_id, frame, count in zip(decoded.image.ids, decoded.frames, decoded.inputs_per_frame, strict=True):
            inputs = decoded.inputs[start : start + count]
            start += count
            features = [each[start - count : start] for each in decoded.features]
            self._compare(frame_id, frame.size, appearance(inputs).mean(axis=0), features)

    def _compare(
        self,
        frame_id: str,
        size: tuple[int, int],
        statistics: NDArray[np.float64],
        features: Sequence[NDArray[np.float32]],
    ) -> None:
        """Compare a frame by its size, the mean appearance (7,) of its inputs and their features (T, D) by model."""
        far = self._far(features)
        found = [{**_differences(training, size, statistics), **far} for training in self._training]
        common = set.intersection(*(set(one) for one in found))
        rows = [_row(frame_id, name, *found[0][name]) for name in found[0] if name in common]
        if rows:
            self._rows[frame_id] = rows

    def _far(self, features: Sequence[NDArray[np.float32]]) -> dict[str, tuple[float, Range]]:
        """The difference of the features (T, D) of an image from those of training, by every model; {} if none.

        A model that tells no features, or a run that kept none, does not count.
        """
        found: list[tuple[float, Range]] = []
        for own, training in zip(features, self._features, strict=False):
            if training is None or not len(training.features) or not own.shape[1]:
                continue
            away = float(distances(projected(own.mean(axis=0)[None]), training.features)[0])
            if away <= training.reach:
                return {}
            found.append((away, (0.0, training.reach)))
        return {"features": found[0]} if found else {}

    def write(self) -> str:
        """Write the list if there is any difference, and return a warning in one line, or an empty string.

        There is no warning if nothing but features differs, and of no more images than is to be expected of the kind.
        """
        rows = self._write_rows()
        if not rows:
            return ""
        kinds = Counter(row[1] for row in rows)
        if {*kinds} == {"features"} and len(self._ids) >= MANY and kinds["features"] <= _expected(len(self._ids)):
            return ""
        what = ", ".join(f"{name} {count}" for name, count in kinds.most_common())
        return (
            f"{len(self._rows)} of {plural(len(self._ids), 'image')} unlike the training images ({what}); check their "
            f"predictions: {self._path}"
        )

    def _write_rows(self) -> list[Row]:
        """Write the list in the order of the images; without rows there is none."""
        rows = [row for frame_id in self._ids for row in self._rows.get(frame_id, ())]
        if not rows:
            self._path.unlink(missing_ok=True)
            return rows
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
        write_text_atomically(self._path, text.getvalue())
        return rows


def _expected(images: int) -> float:
    """Number of images that are exceeded in one of a hundred sets of images of the same kind."""
    return float(binom.ppf(0.99, images, 1 - QUANTILE))


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
