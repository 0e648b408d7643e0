"""Predict a page that is read in bands of rows: its tiles are cut, predicted and put together as the bands pass by.

What is in memory is a row of tiles of the page, a batch of them, and their probabilities.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, tee

import numpy as np
from numpy.typing import NDArray

from s4mi.data.banded_page import BandedPage
from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.intensity import Pixels
from s4mi.inference.bands import (
    BandOfPage,
    Floats,
    StreamedPage,
    bands_of_tiles,
    bands_of_whole,
    bands_of_windows,
    decided,
)
from s4mi.inference.predictor import BATCH_SIZE, Predictor, Probabilities, classes_of
from s4mi.maths.appearance import appearance
from s4mi.maths.calibration import tempered


class SeenInputs:
    """What the network inputs of a page tell, collected as they pass by.

    Attributes:
        statistics: (N, 7) appearance of each batch. features: of each batch, (N, D) of each model.
        grey: whether all pixels so far are grey.
    """

    def __init__(self) -> None:
        self.statistics: list[NDArray[np.float64]] = []
        self.features: list[tuple[NDArray[np.float32], ...]] = []
        self.grey = True

    def of_models(self) -> tuple[NDArray[np.float32], ...]:
        """(N, D) features of all inputs by each model."""
        return tuple(np.concatenate(batches) for batches in zip(*self.features, strict=True))


def predict_page(predictor: Predictor, page: BandedPage, seen: SeenInputs) -> Probabilities | StreamedPage:
    """Predict a page: (K,) probabilities, or for segmentation its bands, predicted when they are iterated over.

    Raises:
        ImageError: the file cannot be decoded, or is in colour and the model was trained on grey images. Of
            segmentation, while the bands are iterated over.
    """
    outputs = _outputs(predictor, _inputs(predictor, _looked_at(predictor, page, seen), page), seen)
    if not predictor.segments:
        by_model = [np.stack(each) for each in zip(*outputs, strict=True)]
        return predictor.postprocess(by_model, page.size)
    return StreamedPage(page, page.size, bands_of_page(predictor, outputs, page.size))


def bands_of_page(
    predictor: Predictor, outputs: Iterable[tuple[Floats, ...]], size: tuple[int, int]
) -> Iterator[BandOfPage]:
    """Calibrate, put together and average the outputs (K, S, S) of all models for each input of a page, lazily."""
    streams = tee(outputs, len(predictor.models))
    models = [_bands(predictor, _of_model(stream, number), size) for number, stream in enumerate(streams)]
    for bands in zip(*models, strict=True):
        predictions = [
            tempered(band.probabilities, model.calibration.temperature, multilabel=False)
            if model.calibration is not None and not predictor.raw
            else band.probabilities
            for model, band in zip(predictor.models, bands, strict=True)
        ]
        mean = predictions[0] if len(predictions) == 1 else np.mean(predictions, axis=0, dtype=np.float32)
        yield BandOfPage(bands[0].top, np.asarray(mean, dtype=np.float32))


def _of_model(outputs: Iterator[tuple[Floats, ...]], number: int) -> Iterator[Floats]:
    for output in outputs:
        yield output[number]


def _bands(predictor: Predictor, outputs: Iterator[Floats], size: tuple[int, int]) -> Iterator[BandOfPage]:
    windows = predictor.windows(size)
    if windows is not None:
        return bands_of_windows(outputs, windows)
    if predictor.info.preprocessing.tile is None:
        return bands_of_whole(next(outputs), size)
    return bands_of_tiles(outputs, predictor.info.preprocessing.grid(size), size)


def _looked_at(predictor: Predictor, page: BandedPage, seen: SeenInputs) -> Iterator[Pixels]:
    """Yield the bands of a page and note whether they are grey; refuse colours where they are not expected."""
    name = predictor.info.name
    for band in page.bands():
        if page.channels > 2 and seen.grey:
            seen.grey = bool((band[:, :, :1] == band[:, :, 1:]).all())
            if not seen.grey and predictor.info.spec.channels == "grey":
                raise ImageError(
                    "undecodable",
                    f"is a colour image, but {name} was trained on greyscale images only; convert it to greyscale",
                )
        yield band


def _inputs(predictor: Predictor, bands: Iterator[Pixels], page: BandedPage) -> Iterator[Pixels]:
    """Yield the network inputs (S, S, 3) of a page in the order of `Predictor.preprocess`."""
    preprocessing, windows = predictor.info.preprocessing, predictor.windows(page.size)
    if preprocessing.tile is None:
        yield preprocessing.image(page.shrunk(preprocessing.first_size, bands))
        return
    cover = windows or preprocessing.grid(page.size)
    rows = RowBuffer(bands)
    by_row: dict[int, list[int]] = {}
    for top, left in cover.corners:
        by_row.setdefault(top, []).append(left)
    for top, lefts in by_row.items():
        strip = rows.take(top, min(top + cover.tile, page.size[0]))
        for left in lefts:
            yield preprocessing.image(cover.cut(strip, (0, left)))


def _outputs(predictor: Predictor, inputs: Iterator[Pixels], seen: SeenInputs) -> Iterator[tuple[Floats, ...]]:
    """Yield the outputs of all models for each input, predicted in batches."""
    models = len(predictor.models)
    while batch := list(islice(inputs, BATCH_SIZE)):
        stacked = np.stack(batch)
        outputs = predictor.infer_with_features(stacked)
        seen.statistics.append(appearance(stacked))
        seen.features.append(outputs[models:])
        for number in range(len(batch)):
            yield tuple(output[number] for output in outputs[:models])


class RowBuffer:
    """The rows of a page from its bands, of which those are kept that may still be asked for, in one array."""

    def __init__(self, bands: Iterator[Pixels]) -> None:
        self._bands = bands
        self._top = self._count = 0
        self._rows: Pixels | None = None

    def take(self, top: int, bottom: int) -> Pixels:
        """Return rows `top` to `bottom`, valid until the next call; `top` must not be less than in the call before."""
        if self._rows is not None and (gone := min(top - self._top, self._count)):
            self._count -= gone
            for start in range(0, self._count, gone):  # in steps, as a whole copy would double the memory
                part = slice(start, min(start + gone, self._count))
                self._rows[part] = self._rows[part.start + gone : part.stop + gone]
            self._top += gone
        while self._top + self._count < bottom:
            self._add(next(self._bands), top, bottom - top)
        assert self._rows is not None
        return self._rows[top - self._top : bottom - self._top]

    def _add(self, band: Pixels, top: int, wanted: int) -> None:
        if not self._count and self._top + len(band) <= top:
            self._top += len(band)
            return
        needed = max(self._count + len(band), wanted + len(band))
        if self._rows is None or len(self._rows) < needed:
            larger = np.empty((needed, *band.shape[1:]), dtype=np.uint8)
            if self._rows is not None:
                larger[: self._count] = self._rows[: self._count]
            self._rows = larger
        self._rows[self._count : self._count + len(band)] = band
        self._count += len(band)


def mask_of(prediction: Probabilities | StreamedPage) -> Pixels:
    """(height, width) most likely classes of a page, whose bands are predicted now if it is read in such."""
    if isinstance(prediction, StreamedPage):
        return decided(prediction.bands, prediction.size).classes
    return classes_of(prediction)


def probabilities_of(prediction: Probabilities | StreamedPage) -> Probabilities:
    """Probabilities of an image (K,), or of a page (K, height, width), whose bands are predicted now."""
    if isinstance(prediction, StreamedPage):
        return np.concatenate([band.probabilities for band in prediction.bands], axis=1)
    return prediction


def mean_statistics(seen: SeenInputs) -> NDArray[np.float64]:
    """(7,) mean appearance of all inputs of a page."""
    return np.asarray(np.concatenate(seen.statistics).mean(axis=0), dtype=np.float64)


def of_all_models(outputs: Sequence[Floats]) -> Iterator[tuple[Floats, ...]]:
    """Yield the outputs of all models for each input, from (T, K, S, S) of each model."""
    yield from zip(*outputs, strict=True)
