"""Predictions of a run for the images of a data set, kept in the cache folder so that they are made once.

    <cache>/view/<key>.sqlite      one row per image: its file's stamp, classes, doubt, mask and doubt per pixel

A prediction is of a file with a certain size and time of change; that of a changed file does not count. A damaged
database is removed and predictions are made again.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.intensity import Pixels
from s4mi.data.loading.cache_database import CacheDatabase
from s4mi.records.plain import load_json

T = TypeVar("T")

COLUMNS = "id, stamp, labels, probabilities, doubt, agreement, truth, mask, doubt_map"


@dataclass(frozen=True)
class ImagePrediction:
    """Prediction of an image.

    Attributes:
        labels: predicted classes, of a segmenter the foreground classes in the mask.
        probabilities: of each class; of a segmenter the share of the pixels.
        doubt: entropy of the prediction in [0, 1]; of a segmenter the mean over pixels.
        agreement: with the annotation, in [0, 1]: mean Dice, or 1 for equal labels; None without annotation.
        truth: stamp of the mask it was compared with.
        mask: (H, W) class indices. doubt_map: (H, W) entropy of each pixel times 255, at most 640 pixels long.
    """

    labels: tuple[str, ...]
    probabilities: dict[str, float]
    doubt: float
    agreement: float | None = None
    truth: str = ""
    mask: Pixels | None = None
    doubt_map: Pixels | None = None


@dataclass(frozen=True)
class StoredSummary:
    """What the grid needs of a stored prediction."""

    id: str
    stamp: str
    labels: tuple[str, ...]
    doubt: float
    agreement: float | None
    truth: str


class PredictionStore:
    """Predictions by image id."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, Lock()
        self._database = CacheDatabase(
            path,
            "CREATE TABLE IF NOT EXISTS predictions (id TEXT PRIMARY KEY, stamp TEXT, labels TEXT, "
            "probabilities TEXT, doubt REAL, agreement REAL, truth TEXT, mask BLOB, doubt_map BLOB)",
        )

    def summaries(self) -> Iterator[StoredSummary]:
        """Yield all stored predictions without their pixels."""
        query = "SELECT id, stamp, labels, doubt, agreement, truth FROM predictions"
        for name, stamp, labels, doubt, agreement, truth in self._rows(query):
            try:
                yield StoredSummary(name, stamp, _names(labels), float(doubt), _share(agreement), truth)
            except (ValueError, TypeError):  # damaged, so it is predicted again
                continue

    def read(self, name: str, stamp: str) -> ImagePrediction | None:
        """Return the prediction of an image, None if there is none of its file as it is now."""
        for row in self._rows(f"SELECT {COLUMNS} FROM predictions WHERE id = ? AND stamp = ?", name, stamp):
            _, _, labels, probabilities, doubt, agreement, truth, mask, doubt_map = row
            try:
                return ImagePrediction(
                    _names(labels), _probabilities(probabilities), float(doubt), _share(agreement), str(truth),
                    _unpacked(mask), _unpacked(doubt_map),
                )  # fmt: skip
            except (ValueError, TypeError, cv2.error):
                return None
        return None

    def probabilities(self, name: str, stamp: str) -> dict[str, float] | None:
        """Return the probabilities of an image without decoding its pixels, None if there are none of its file."""
        for (probabilities,) in self._rows(
            "SELECT probabilities FROM predictions WHERE id = ? AND stamp = ?", name, stamp
        ):
            try:
                return _probabilities(probabilities)
            except (ValueError, TypeError):
                return None
        return None

    def compare(self, name: str, agreement: float | None, truth: str) -> None:
        """Keep the agreement of a prediction with another annotation, and the stamp of that."""
        query = "UPDATE predictions SET agreement = ?, truth = ? WHERE id = ?"
        self._with_database(lambda database: database.execute(query, (agreement, truth, name)))

    def write(self, name: str, stamp: str, one: ImagePrediction) -> None:
        """Keep the prediction of an image."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        values = (
            name, stamp, json.dumps(one.labels), json.dumps(one.probabilities), one.doubt, one.agreement, one.truth,
            _packed(one.mask), _packed(one.doubt_map),
        )  # fmt: skip
        query = f"INSERT OR REPLACE INTO predictions ({COLUMNS}) VALUES ({', '.join('?' * len(values))})"
        self._with_database(lambda database: database.execute(query, values))

    def _rows(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        if not self._path.exists():
            return []
        return self._with_database(lambda database: database.execute(query, values).fetchall())

    def _with_database(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            return self._database.run(work)


def stamp_of(path: Path | None) -> str:
    """Return size and time of change of a file, empty if there is none."""
    if path is None:
        return ""
    try:
        state = path.stat()
    except OSError:
        return ""
    return f"{state.st_size}-{state.st_mtime_ns}"


def _packed(pixels: Pixels | None) -> bytes | None:
    return None if pixels is None else cv2.imencode(".png", pixels)[1].tobytes()


def _unpacked(png: bytes | None) -> Pixels | None:
    if png is None:
        return None
    flat: NDArray[np.uint8] = np.frombuffer(png, dtype=np.uint8)
    pixels = cv2.imdecode(flat, cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 2:
        raise ValueError("not a PNG")
    return np.asarray(pixels, dtype=np.uint8)


def _names(text: str) -> tuple[str, ...]:
    return tuple(map(str, load_json(text)))


def _probabilities(text: str) -> dict[str, float]:
    return {str(name): float(value) for name, value in dict(load_json(text)).items()}


def _share(value: float | None) -> float | None:
    return None if value is None else float(value)
