"""From an image to its answer, whatever answers: a run, an ONNX file, or several runs together. No torch in here.

inputs    an image (H, W, 3) → (T, S, S, 3), as the network takes it       in any thread
infer     (B, S, S, 3) of any images → their probabilities                 one batch after the other
finish    the probabilities of an image's inputs → its answer              in any thread
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.intensity import Pixels
from s4mi.data.images import read_image
from s4mi.data.loading.preprocessing import Preprocessing
from s4mi.data.loading.sliding_window import Windows
from s4mi.data.spec import DatasetSpec
from s4mi.maths.calibration import THRESHOLD, sigmoid, softmax, tempered
from s4mi.records import TaskKind
from s4mi.records.calibration import Calibration

Probabilities = NDArray[np.float32]
T = TypeVar("T", bound=np.generic)

OVERLAP = 0.25
"""Share of a window's side by which windows overlap, where training cut pages into tiles."""
BATCH = 16
"""Network inputs at once."""


@dataclass(frozen=True)
class ModelInfo:
    """What is known of whatever answers.

    Attributes:
        name: what a message calls it: a run's folder, or a file.
        classes: names, in the order of the answers; of a segmenter the first is the background.
        spec: the data set it learnt from: how files are read (`spec.rule`, `spec.channels`), and what stands for a
            class in a mask (`spec.mask_values`).
        preprocessing: from an image to network inputs.
        unnamed: its classes are clusters, which nobody has named.
        digest: hash of the weights, so that answers of two networks are not mixed.
    """

    name: str
    kind: TaskKind
    classes: tuple[str, ...]
    spec: DatasetSpec
    preprocessing: Preprocessing
    unnamed: bool = False
    digest: str = ""


class Model(Protocol):
    """A network with what is known of it: `Predictor` of a run, or an ONNX file. Several may share an `Predictor`."""

    @property
    def about(self) -> ModelInfo:
        """What it answers, and how an image becomes its input."""

    @property
    def calibration(self) -> Calibration | None:
        """How its probabilities are to be read; None: as they are."""

    def logits(self, inputs: Pixels) -> NDArray[np.float32]:
        """(B, S, S, 3) uint8 RGB → (B, K) float32, of a segmenter (B, K, S, S)."""


@dataclass(frozen=True)
class Predictor:
    """One model, or several whose probabilities are averaged.

    All have the same kind, classes and preprocessing, those of the first.

    Attributes:
        raw: leave probabilities as the networks give them, and cut labels at 1/2.
        tta: average over the eight ways to turn and mirror an input.
        overlap: of windows, in [0, 1), for segmenters that learnt from tiles; 0: tiles side by side, as `evaluate`
            scores them.
    """

    models: tuple[Model, ...]
    raw: bool = False
    tta: bool = False
    overlap: float = OVERLAP
    about: ModelInfo = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "about", self.models[0].about)

    @property
    def multilabel(self) -> bool:
        """Whether an image may have any number of classes."""
        return self.about.kind == "multilabel"

    @property
    def segments(self) -> bool:
        """Whether an answer is one class a pixel."""
        return self.about.kind == "segmentation"

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Of several labels, the probability above which each is given: the mean over the models."""
        chosen = [
            {} if model.calibration is None or self.raw else model.calibration.thresholds for model in self.models
        ]
        return tuple(sum(own.get(name, THRESHOLD) for own in chosen) / len(self.models) for name in self.about.classes)

    def read(self, path: Path) -> Pixels:
        """(H, W, 3) of an image file, the first of several frames, its numbers read as in training.

        Raises:
            ImageError: the file is missing or no image.
        """
        return read_image(path, self.about.spec.rule)

    def inputs(self, pixels: Pixels) -> Pixels:
        """An image (H, W, 3) → (T, S, S, 3)."""
        windows = self._windows((pixels.shape[0], pixels.shape[1]))
        preprocessing = self.about.preprocessing
        if windows is None:
            return preprocessing.images(pixels)
        return np.stack([preprocessing.image(windows.cut(pixels, corner)) for corner in windows.corners])

    def infer(self, inputs: Pixels) -> tuple[Probabilities, ...]:
        """(B, S, S, 3) → for each model (B, K), of a segmenter (B, K, S, S), as its network gives them."""
        return tuple(self._infer(model, inputs) for model in self.models)

    def finish(self, given: Sequence[Probabilities], size: tuple[int, int]) -> Probabilities:
        """What `infer` gave for all T inputs of an image of this (height, width) → (K,), or (K, height, width)."""
        answers = []
        for model, one in zip(self.models, given, strict=True):
            answer = self._page(one, size) if self.segments else one.mean(axis=0)
            if model.calibration is not None and not self.raw:
                answer = tempered(answer, model.calibration.temperature, multilabel=self.multilabel)
            answers.append(answer)
        return answers[0] if len(answers) == 1 else np.mean(answers, axis=0, dtype=np.float32)

    def answer(self, images: Sequence[Pixels]) -> Iterator[Probabilities]:
        """The probabilities of each image: (K,), of a segmenter (K, H, W) at the image's own size."""
        inputs = [self.inputs(pixels) for pixels in images]
        given = in_batches(self.infer, np.concatenate(inputs)) if inputs else ()
        start = 0
        for pixels, own in zip(images, inputs, strict=True):
            end = start + len(own)
            yield self.finish([one[start:end] for one in given], (pixels.shape[0], pixels.shape[1]))
            start = end

    def labels(self, probabilities: Probabilities) -> tuple[str, ...]:
        """The classes that (K,) probabilities come to: one, or of several labels those above their thresholds."""
        names = self.about.classes
        if self.multilabel:
            return tuple(
                name for name, p, cut in zip(names, probabilities, self.thresholds, strict=True) if float(p) > cut
            )
        return (names[int(probabilities.argmax())],)

    def _windows(self, size: tuple[int, int]) -> Windows | None:
        tile = self.about.preprocessing.tile
        if not self.segments or tile is None or self.overlap == 0:
            return None
        return Windows(*size, tile=tile, overlap=self.overlap)

    def _infer(self, model: Model, inputs: Pixels) -> Probabilities:
        if not self.tta:
            return self._probabilities(model.logits(inputs))
        total: Probabilities | None = None
        for turns in range(4):
            for mirrored in (False, True):
                seen = augmented_view(inputs, turns, mirrored=mirrored, rows=1)
                own = self._probabilities(model.logits(np.ascontiguousarray(seen)))
                if self.segments:
                    own = undo_view(own, turns, mirrored=mirrored, rows=2)
                total = own.copy() if total is None else total + own
        assert total is not None
        return np.asarray(total / 8, dtype=np.float32)

    def _probabilities(self, logits: NDArray[np.float32]) -> Probabilities:
        return sigmoid(logits) if self.multilabel else softmax(logits)

    def _page(self, tiles: Probabilities, size: tuple[int, int]) -> Probabilities:
        """(T, K, S, S) → (K, height, width), the tiles put together."""
        windows = self._windows(size)
        if windows is not None:
            return windows.blend(resized(tiles, (windows.tile, windows.tile)))
        if self.about.preprocessing.tile is None:
            whole: Probabilities = resized(tiles, size)[0]
            return whole
        grid = self.about.preprocessing.grid(size)
        return grid.stitch(resized(tiles, (grid.tile, grid.tile)))


def classes_of(probabilities: Probabilities) -> Pixels:
    """(K, H, W) → (H, W) the likeliest class; of several alike the first. (argmax along this axis is far slower.)"""
    best = probabilities[0]
    classes = np.zeros(best.shape, dtype=np.uint8)
    for k in range(1, len(probabilities)):
        classes[probabilities[k] > best] = k
        best = np.maximum(best, probabilities[k])
    return classes


def resized(tiles: Probabilities, size: tuple[int, int]) -> Probabilities:
    """(T, K, S, S) → (T, K, height, width), bilinear as `torch.nn.functional.interpolate` does it."""
    if tiles.shape[2:] == size:
        return tiles
    result = np.empty((*tiles.shape[:2], *size), dtype=np.float32)
    for t, k in np.ndindex(*tiles.shape[:2]):
        cv2.resize(tiles[t, k], size[::-1], dst=result[t, k], interpolation=cv2.INTER_LINEAR)
    return result


def augmented_view(images: NDArray[T], turns: int, *, mirrored: bool, rows: int) -> NDArray[T]:
    """Images whose rows lie along axis `rows` and columns along the next, mirrored and turned by quarters."""
    seen = np.flip(images, axis=rows + 1) if mirrored else images
    return np.rot90(seen, turns, axes=(rows, rows + 1))


def undo_view(images: NDArray[T], turns: int, *, mirrored: bool, rows: int) -> NDArray[T]:
    """The reverse of `augmented_view`."""
    seen = np.rot90(images, -turns, axes=(rows, rows + 1))
    return np.flip(seen, axis=rows + 1) if mirrored else seen


def in_batches(infer: Callable[[Pixels], tuple[Probabilities, ...]], inputs: Pixels) -> tuple[Probabilities, ...]:
    chunks = [infer(inputs[start : start + BATCH]) for start in range(0, len(inputs), BATCH)]
    return tuple(np.concatenate(own) for own in zip(*chunks, strict=True))
