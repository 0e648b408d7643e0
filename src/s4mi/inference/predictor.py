"""From an image to its prediction, by a run, an exported model or an ensemble. Free of torch.

preprocess    an image (H, W, 3) → network inputs (T, S, S, 3)            in any thread
infer         inputs (B, S, S, 3) of any images → probabilities           one batch after the other
postprocess   probabilities of one image's inputs → its prediction        in any thread
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeVar, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.intensity import Pixels
from s4mi.data.images import read_image
from s4mi.data.loading.preprocessing import Preprocessing
from s4mi.data.loading.sliding_window import Windows
from s4mi.data.spec import DatasetSpec
from s4mi.inference.bands import LARGE, whole_page
from s4mi.maths.calibration import THRESHOLD, sigmoid, softmax, tempered
from s4mi.records import TaskKind
from s4mi.records.calibration import Calibration

Probabilities = NDArray[np.float32]
Precision = Literal["auto", "32", "bf16"]
"""Precision of a network on a CPU: float32, or bfloat16 where that changes no decision."""
T = TypeVar("T", bound=np.generic)

OVERLAP = 0.25
"""Default overlap of sliding windows as a share of their side, for runs trained on tiles."""
BATCH_SIZE = 16
"""Network inputs per forward pass."""


@dataclass(frozen=True)
class ModelInfo:
    """Description of a trained model.

    Attributes:
        name: its name in messages: a run folder or a file.
        classes: names, in the order of the predicted probabilities; for segmentation the first is the background.
        spec: the data set it was trained on: how files are read (`spec.rule`, `spec.channels`) and how classes are
            encoded in masks (`spec.mask_values`).
        preprocessing: from an image to network inputs.
        unnamed: its classes are clusters without names.
        digest: hash of the weights, so that predictions of two models are never mixed.
    """

    name: str
    kind: TaskKind
    classes: tuple[str, ...]
    spec: DatasetSpec
    preprocessing: Preprocessing
    unnamed: bool = False
    digest: str = ""


class Model(Protocol):
    """A network and its description: a `RunModel` or an exported file. A `Predictor` averages one or several."""

    @property
    def info(self) -> ModelInfo:
        """What it predicts, and how an image becomes its input."""

    @property
    def calibration(self) -> Calibration | None:
        """Temperature and thresholds of its probabilities; None: uncalibrated."""

    def logits(self, inputs: Pixels) -> NDArray[np.float32]:
        """(B, S, S, 3) uint8 RGB → (B, K) float32; for segmentation (B, K, S, S)."""


@runtime_checkable
class FeatureModel(Protocol):
    """A model that also tells the features of what it has seen."""

    def take_features(self) -> NDArray[np.float32] | None:
        """(B, D) pooled features of the first inputs since the last call, None if there are none."""


@dataclass(frozen=True)
class Predictor:
    """Predict with one model, or with several whose probabilities are averaged.

    All models have the kind, classes and preprocessing of the first.

    Attributes:
        raw: uncalibrated probabilities, and 1/2 as threshold of every label.
        tta: test-time augmentation: average over the eight rotations and reflections of an input.
        overlap: overlap of sliding windows, in [0, 1), for segmentation models trained on tiles; 0: adjacent tiles, as
            `evaluate` scores them.
        info: description of the first model.
    """

    models: tuple[Model, ...]
    raw: bool = False
    tta: bool = False
    overlap: float = OVERLAP
    info: ModelInfo = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "info", self.models[0].info)

    @property
    def multilabel(self) -> bool:
        """Whether an image may have any number of classes."""
        return self.info.kind == "multilabel"

    @property
    def segments(self) -> bool:
        """Whether it predicts one class per pixel."""
        return self.info.kind == "segmentation"

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Probability above which each label is predicted in multi-label tasks: the mean over the models."""
        by_model = [
            {} if model.calibration is None or self.raw else model.calibration.thresholds for model in self.models
        ]
        return tuple(
            sum(thresholds.get(name, THRESHOLD) for thresholds in by_model) / len(self.models)
            for name in self.info.classes
        )

    def read(self, path: Path) -> Pixels:
        """Read an image file (its first frame) as (H, W, 3), with the intensity rule of training.

        Raises:
            ImageError: the file does not exist or is not an image.
        """
        return read_image(path, self.info.spec.rule)

    def preprocess(self, pixels: Pixels) -> Pixels:
        """An image (H, W, 3) → network inputs (T, S, S, 3)."""
        windows = self.windows((pixels.shape[0], pixels.shape[1]))
        preprocessing = self.info.preprocessing
        if windows is None:
            return preprocessing.images(pixels)
        return np.stack([preprocessing.image(windows.cut(pixels, corner)) for corner in windows.corners])

    def infer(self, inputs: Pixels) -> tuple[Probabilities, ...]:
        """(B, S, S, 3) → for each model (B, K), for segmentation (B, K, S, S), uncalibrated."""
        return tuple(self._infer(model, inputs) for model in self.models)

    def infer_with_features(self, inputs: Pixels) -> tuple[NDArray[np.float32], ...]:
        """What `infer` returns, followed by the features (B, D) of each model; (B, 0) of one that tells none."""
        for model in self.models:
            if isinstance(model, FeatureModel):
                model.take_features()
        outputs = self.infer(inputs)
        taken = [model.take_features() if isinstance(model, FeatureModel) else None for model in self.models]
        nothing = np.zeros((len(inputs), 0), dtype=np.float32)
        return (*outputs, *(nothing if features is None else features for features in taken))

    def postprocess(self, outputs: Sequence[Probabilities], size: tuple[int, int]) -> Probabilities:
        """Calibrate and average the outputs of `infer` for the T inputs of an image of (height, width) `size`.

        Returns:
            (K,), or (K, height, width) for segmentation.
        """
        predictions = []
        for model, output in zip(self.models, outputs, strict=True):
            prediction = self._stitch(output, size) if self.segments else output.mean(axis=0)
            if model.calibration is not None and not self.raw:
                prediction = tempered(prediction, model.calibration.temperature, multilabel=self.multilabel)
            predictions.append(prediction)
        return predictions[0] if len(predictions) == 1 else np.mean(predictions, axis=0, dtype=np.float32)

    def is_large(self, size: tuple[int, int]) -> bool:
        """Whether the probabilities of a page of (height, width) are too many to be kept at once."""
        return self.segments and len(self.info.classes) * size[0] * size[1] > LARGE

    def predict(self, images: Sequence[Pixels]) -> Iterator[Probabilities]:
        """Predict images (H, W, 3): for each (K,), for segmentation (K, H, W) at the image's own size."""
        inputs = [self.preprocess(pixels) for pixels in images]
        outputs = in_batches(self.infer, np.concatenate(inputs)) if inputs else ()
        start = 0
        for pixels, image_inputs in zip(images, inputs, strict=True):
            end = start + len(image_inputs)
            yield self.postprocess([output[start:end] for output in outputs], (pixels.shape[0], pixels.shape[1]))
            start = end

    def labels(self, probabilities: Probabilities) -> tuple[str, ...]:
        """The classes decided by (K,) probabilities: the most likely one, or all labels above their thresholds."""
        names = self.info.classes
        if self.multilabel:
            return tuple(
                name
                for name, p, threshold in zip(names, probabilities, self.thresholds, strict=True)
                if float(p) > threshold
            )
        return (names[int(probabilities.argmax())],)

    def windows(self, size: tuple[int, int]) -> Windows | None:
        """The overlapping windows of a page of (height, width); None if it is not cut into such."""
        tile = self.info.preprocessing.tile
        if not self.segments or tile is None or self.overlap == 0:
            return None
        return Windows(*size, tile=tile, overlap=self.overlap)

    def _infer(self, model: Model, inputs: Pixels) -> Probabilities:
        if not self.tta:
            return self._probabilities(model.logits(inputs))
        total: Probabilities | None = None
        for turns in range(4):
            for mirrored in (False, True):
                view = augmented_view(inputs, turns, mirrored=mirrored, rows=1)
                output = self._probabilities(model.logits(np.ascontiguousarray(view)))
                if self.segments:
                    output = undo_view(output, turns, mirrored=mirrored, rows=2)
                total = output.copy() if total is None else total + output
        assert total is not None
        return np.asarray(total / 8, dtype=np.float32)

    def _probabilities(self, logits: NDArray[np.float32]) -> Probabilities:
        return sigmoid(logits) if self.multilabel else softmax(logits)

    def _stitch(self, tiles: Probabilities, size: tuple[int, int]) -> Probabilities:
        """Combine tiles or windows: (T, K, S, S) → (K, height, width)."""
        windows = self.windows(size)
        if windows is not None:
            return windows.blend(resized(tiles, (windows.tile, windows.tile)))
        if self.info.preprocessing.tile is None:
            return whole_page(tiles[0], size)
        grid = self.info.preprocessing.grid(size)
        return grid.stitch(resized(tiles, (grid.tile, grid.tile)))


def classes_of(probabilities: Probabilities) -> Pixels:
    """(K, H, W) → (H, W) most likely class, the first of equals. Much faster than argmax along this axis."""
    best = probabilities[0]
    classes = np.zeros(best.shape, dtype=np.uint8)
    for k in range(1, len(probabilities)):
        classes[probabilities[k] > best] = k
        best = np.maximum(best, probabilities[k])
    return classes


def resized(tiles: Probabilities, size: tuple[int, int]) -> Probabilities:
    """(T, K, S, S) → (T, K, height, width), bilinear as `torch.nn.functional.interpolate`."""
    if tiles.shape[2:] == size:
        return tiles
    result = np.empty((*tiles.shape[:2], *size), dtype=np.float32)
    for t, k in np.ndindex(*tiles.shape[:2]):
        cv2.resize(tiles[t, k], size[::-1], dst=result[t, k], interpolation=cv2.INTER_LINEAR)
    return result


def augmented_view(images: NDArray[T], turns: int, *, mirrored: bool, rows: int) -> NDArray[T]:
    """Mirror images and rotate them by `turns` × 90°; `rows` is the axis of their rows, columns are the next one."""
    view = np.flip(images, axis=rows + 1) if mirrored else images
    return np.rot90(view, turns, axes=(rows, rows + 1))


def undo_view(images: NDArray[T], turns: int, *, mirrored: bool, rows: int) -> NDArray[T]:
    """Invert `augmented_view`."""
    view = np.rot90(images, -turns, axes=(rows, rows + 1))
    return np.flip(view, axis=rows + 1) if mirrored else view


def in_batches(infer: Callable[[Pixels], tuple[Probabilities, ...]], inputs: Pixels) -> tuple[Probabilities, ...]:
    """Apply `infer` to batches of inputs and concatenate the outputs of each model."""
    batches = [infer(inputs[start : start + BATCH_SIZE]) for start in range(0, len(inputs), BATCH_SIZE)]
    return tuple(np.concatenate(outputs) for outputs in zip(*batches, strict=True))
