"""Predictions of a run for the images of a data set, kept in the cache folder so that they are made once.

    <cache>/view/<key>.sqlite      one row per image: its file's stamp, classes, doubt, mask and doubt per pixel

A prediction is of a file with a certain size and time of change; that of a changed file does not count.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import cv2
import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.intensity import Pixels

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

    def summaries(self) -> Iterator[StoredSummary]:
        """Yield all stored predictions without their pixels."""
        if not self._path.exists():
            return
        with self._database() as database:
            rows = database.execute("SELECT id, stamp, labels, doubt, agreement, truth FROM predictions").fetchall()
        for name, stamp, labels, doubt, agreement, truth in rows:
            yield StoredSummary(name, stamp, tuple(json.loads(labels)), doubt, agreement, truth)

    def read(self, name: str, stamp: str) -> ImagePrediction | None:
        """Return the prediction of an image, None if there is none of its file as it is now."""
        if not self._path.exists():
            return None
        with self._database() as database:
            row = database.execute(
                f"SELECT {COLUMNS} FROM predictions WHERE id = ? AND stamp = ?", (name, stamp)
            ).fetchone()
        if row is None:
            return None
        _, _, labels, probabilities, doubt, agreement, truth, mask, doubt_map = row
        return ImagePrediction(
            tuple(json.loads(labels)), json.loads(probabilities), doubt, agreement, truth, _unpacked(mask),
            _unpacked(doubt_map),
        )  # fmt: skip

    def probabilities(self, name: str, stamp: str) -> dict[str, float] | None:
        """Return the probabilities of an image without decoding its pixels, None if there are none of its file."""
        if not self._path.exists():
            return None
        with self._database() as database:
            query = "SELECT probabilities FROM predictions WHERE id = ? AND stamp = ?"
            row = database.execute(query, (name, stamp)).fetchone()
        return None if row is None else json.loads(row[0])

    def compare(self, name: str, agreement: float | None, truth: str) -> None:
        """Keep the agreement of a prediction with another annotation, and the stamp of that."""
        with self._database() as database:
            database.execute("UPDATE predictions SET agreement = ?, truth = ? WHERE id = ?", (agreement, truth, name))

    def write(self, name: str, stamp: str, one: ImagePrediction) -> None:
        """Keep the prediction of an image."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        values = (
            name, stamp, json.dumps(one.labels), json.dumps(one.probabilities), one.doubt, one.agreement, one.truth,
            _packed(one.mask), _packed(one.doubt_map),
        )  # fmt: skip
        with self._database() as database:
            marks = ", ".join("?" * len(values))
            database.execute(f"INSERT OR REPLACE INTO predictions ({COLUMNS}) VALUES ({marks})", values)

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """Open the database, and commit at the end."""
        with self._lock, closing(sqlite3.connect(self._path, timeout=60)) as database, database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS predictions (id TEXT PRIMARY KEY, stamp TEXT, labels TEXT, "
                "probabilities TEXT, doubt REAL, agreement REAL, truth TEXT, mask BLOB, doubt_map BLOB)"
            )
            yield database


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
    return np.asarray(cv2.imdecode(flat, cv2.IMREAD_UNCHANGED), dtype=np.uint8)
