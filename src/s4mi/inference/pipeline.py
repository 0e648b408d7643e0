"""Prediction pipeline: threads decode files and write outputs while the network runs batch after batch, in order."""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from s4mi.data.banded_page import BandedPage, banded_page
from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.intensity import Intensity, Pixels
from s4mi.data.images import as_rgb, read_image
from s4mi.data.series import series_limits
from s4mi.data.spacing import Spacing, pixel_spacing
from s4mi.data.volumes import read_rgb_frames
from s4mi.errors import S4miError
from s4mi.inference.bands import LargePage, StreamedPage, decided
from s4mi.inference.dataset_images import read_true_mask
from s4mi.inference.image_list import InputImage
from s4mi.inference.input_files import Unreadable
from s4mi.inference.page_prediction import SeenInputs, bands_of_page, of_all_models, predict_page
from s4mi.inference.predictor import BATCH_SIZE, Predictor, Probabilities, in_batches
from s4mi.system_errors import describe

PREFETCH = 16
"""Frames decoded ahead of the network, and predictions waiting to be written; more if one file has more frames."""
LARGE_FRAME = 1 << 22
"""Pixels that count as a frame: of larger images, fewer are decoded ahead."""

log = logging.getLogger("s4mi")

Result = TypeVar("Result")


@dataclass(frozen=True)
class SourceFrame:
    """A decoded frame of a file.

    Attributes:
        size: (height, width).
        pixels: (H, W, 3), if kept.
        true_mask: (H, W) class indices, if kept and known.
    """

    size: tuple[int, int]
    pixels: Pixels | None
    true_mask: Pixels | None


@dataclass(frozen=True)
class DecodedImage:
    """A file ready for the network.

    Attributes:
        inputs: (N, S, S, 3), the network inputs of all frames, concatenated.
        inputs_per_frame: number of inputs of each frame.
        features: of each model, (N, D) features of the inputs, once it has seen them; (N, 0) if it tells none.
        spacing: millimetres between rows and between columns, if known.
        unexpected_grey: every frame is greyscale, but the model was trained on colour images.
        page: a large page that is read in bands while it is predicted, so that there are no `inputs`.
        seen: what its inputs tell, once they have been predicted.
    """

    image: InputImage
    frames: tuple[SourceFrame, ...]
    inputs: Pixels
    inputs_per_frame: tuple[int, ...]
    spacing: Spacing | None
    unexpected_grey: bool = False
    features: tuple[NDArray[np.float32], ...] = ()
    page: BandedPage | None = None
    seen: SeenInputs = field(default_factory=SeenInputs)


@dataclass(frozen=True)
class KeepOptions:
    """What to keep of each frame until its prediction is written."""

    pixels: bool = False
    true_mask: bool = False
    spacing: bool = False
    bands: bool = False
    """Predict large frames band by band, so that only their classes are kept."""


def prediction_stream(
    images: Sequence[InputImage],
    predictor: Predictor,
    process: Callable[[DecodedImage, Iterator[Any]], Result],
    keep: KeepOptions,
) -> Iterator[tuple[InputImage, Result | Unreadable]]:
    """Predict files in order, and yield each with its result or with why it could not be predicted.

    Logs one warning with the number of greyscale images if the model was trained on colour images.

    Args:
        process: called in a thread with each file and the probabilities of its frames, one by one; if `keep.bands`,
            with a `LargePage` of each frame that is large. Of a page that is read in bands, called in this thread,
            for segmentation with a `StreamedPage`.
    """
    images = _with_limits(images, predictor.info.spec.rule)
    unexpected_grey = 0

    def finish(decoded: DecodedImage, outputs: tuple[Probabilities, ...]) -> Result | Unreadable:
        try:
            return process(decoded, _predictions_by_frame(predictor, decoded, outputs, bands=keep.bands))
        except (MemoryError, cv2.error) as error:
            return Unreadable(decoded.image.source.path, describe(error) or str(error))
        except S4miError as error:
            return Unreadable(decoded.image.source.path, str(error))

    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        writing: deque[tuple[InputImage, Future[Result | Unreadable]]] = deque()
        for image, decoded, outputs in _inferred(_decoded(pool, images, predictor, keep), predictor):
            if isinstance(decoded, Unreadable):
                writing.append((image, pool.submit(lambda unreadable: unreadable, decoded)))
            elif decoded.page is not None:  # the network runs in this thread, and predicts while the mask is written
                done: Future[Result | Unreadable] = Future()
                done.set_result(finish(decoded, ()))
                writing.append((image, done))
                unexpected_grey += predictor.info.spec.channels == "rgb" and decoded.seen.grey
            else:
                unexpected_grey += decoded.unexpected_grey
                writing.append((image, pool.submit(finish, decoded, outputs)))
            while sum(_weight(waiting) for waiting, _ in writing) > PREFETCH:
                first, future = writing.popleft()
                yield first, future.result()
        while writing:
            first, future = writing.popleft()
            yield first, future.result()
        if unexpected_grey:
            log.warning(_grey_warning(unexpected_grey, len(images), predictor))
    finally:
        pool.shutdown(cancel_futures=True)


def _with_limits(images: Sequence[InputImage], rule: Intensity) -> list[InputImage]:
    """Give DICOM files of one series the same limits, as an import does; rows of a data set none, as training does."""
    loose = (image for image in images if image.values is None and not image.source.of_data_set)
    limits = series_limits((image.source.path for image in loose), rule)
    return [replace(image, limits=limits.get(image.source.path)) for image in images]


def _decoded(
    pool: ThreadPoolExecutor, images: Sequence[InputImage], predictor: Predictor, keep: KeepOptions
) -> Iterator[tuple[InputImage, DecodedImage | Unreadable]]:
    decoding: deque[tuple[InputImage, Future[DecodedImage | Unreadable]]] = deque()
    for image in images:
        decoding.append((image, pool.submit(decode, image, predictor, keep)))
        while sum(_weight(waiting) for waiting, _ in decoding) > PREFETCH and len(decoding) > 1:
            first, future = decoding.popleft()
            yield first, future.result()
    while decoding:
        first, future = decoding.popleft()
        yield first, future.result()


def _weight(image: InputImage) -> int:
    """How many frames of usual size an image counts as."""
    return image.frame_count * max(1, 0 if image.banded else image.pixels // LARGE_FRAME)


def decode(image: InputImage, predictor: Predictor, keep: KeepOptions) -> DecodedImage | Unreadable:
    """Read a file and prepare its network inputs, or return what is wrong with it."""
    path, spec = image.source.path, predictor.info.spec
    if image.banded and (page := banded_page(path, spec.rule)) is not None:
        spacing = pixel_spacing(path) if keep.spacing else None
        return DecodedImage(image, (SourceFrame(page.size, None, None),), np.zeros((0, 1, 1, 3), np.uint8), (0,),
                            spacing, page=page)  # fmt: skip
    try:
        frames = read_input(image, spec.rule)
        if len(frames) != image.frame_count:
            message = f"declares {image.frame_count} frames, but contains {len(frames)}; copy it again from its source"
            raise ImageError("undecodable", message)
        if spec.channels == "grey":
            _check_grey(frames, predictor)
        return _prepared(image, frames, predictor, keep)
    except (MemoryError, cv2.error) as error:
        return Unreadable(path, describe(error) or str(error))
    except S4miError as error:
        return Unreadable(path, str(error))


def _prepared(
    image: InputImage, frames: Sequence[Pixels], predictor: Predictor, keep: KeepOptions
) -> DecodedImage | Unreadable:
    path, spec = image.source.path, predictor.info.spec
    sources, inputs = [], []
    for pixels in frames:
        size = (pixels.shape[0], pixels.shape[1])
        true_mask = read_true_mask(image.source, size) if keep.true_mask else None
        if isinstance(true_mask, Unreadable):
            return true_mask
        sources.append(SourceFrame(size, pixels if keep.pixels else None, true_mask))
        inputs.append(predictor.preprocess(pixels))
    return DecodedImage(
        image,
        tuple(sources),
        inputs=inputs[0] if len(inputs) == 1 else np.concatenate(inputs),
        inputs_per_frame=tuple(map(len, inputs)),
        spacing=pixel_spacing(path) if keep.spacing else None,
        unexpected_grey=spec.channels == "rgb" and all(map(_is_grey, frames)),
    )


def read_input(image: InputImage, rule: Intensity) -> list[Pixels]:
    """Return (H, W, 3) of every frame of a file, or of an image in memory, whose values are read by the same rule.

    Raises:
        ImageError: the file is missing or not an image, or the rule does not apply to its values.
    """
    if image.values is not None:
        return [as_rgb(rule.to_uint8(image.values))]
    path = image.source.path
    if image.frame_count > 1:
        return read_rgb_frames(path, rule, limits=image.limits)
    return [read_image(path, rule, limits=image.limits)]


def _is_grey(pixels: Pixels) -> bool:
    """Whether an image (H, W, 3) is greyscale; a few pixels suffice to reject nearly every colour image."""
    return all(not (sample[:, :, :1] != sample[:, :, 1:]).any() for sample in (pixels[::16, ::16], pixels))


def _grey_warning(grey: int, total: int, predictor: Predictor) -> str:
    return (
        f"{grey} of {total} image{'s are' if total > 1 else ' is'} greyscale, but {predictor.info.name} was trained on "
        "colour images; interpret their predictions with care"
    )


def _check_grey(frames: Sequence[Pixels], predictor: Predictor) -> None:
    for pixels in frames:
        if not _is_grey(pixels):
            raise ImageError(
                "undecodable",
                f"is a colour image, but {predictor.info.name} was trained on greyscale images only; "
                "convert it to greyscale",
            )


def _inferred(
    decoded: Iterator[tuple[InputImage, DecodedImage | Unreadable]], predictor: Predictor
) -> Iterator[tuple[InputImage, DecodedImage | Unreadable, tuple[Probabilities, ...]]]:
    """Each file with the outputs for its inputs, by model; files share batches."""
    waiting: list[tuple[InputImage, DecodedImage | Unreadable]] = []
    count = 0
    for image, result in decoded:
        if isinstance(result, DecodedImage) and result.page is not None:
            yield from _infer(waiting, predictor)
            waiting, count = [], 0
            yield image, result, ()
            continue
        waiting.append((image, result))
        count += 0 if isinstance(result, Unreadable) else len(result.inputs)
        if count >= BATCH_SIZE:
            yield from _infer(waiting, predictor)
            waiting, count = [], 0
    yield from _infer(waiting, predictor)


def _infer(
    files: Sequence[tuple[InputImage, DecodedImage | Unreadable]], predictor: Predictor
) -> Iterator[tuple[InputImage, DecodedImage | Unreadable, tuple[Probabilities, ...]]]:
    inputs = [decoded.inputs for _, decoded in files if isinstance(decoded, DecodedImage)]
    outputs = in_batches(predictor.infer_with_features, np.concatenate(inputs)) if inputs else ()
    models = len(predictor.models)
    start = 0
    for image, decoded in files:
        if isinstance(decoded, Unreadable):
            yield image, decoded, ()
            continue
        end = start + len(decoded.inputs)
        own = tuple(output[start:end] for output in outputs)
        yield image, replace(decoded, features=own[models:]), own[:models]
        start = end


def _predictions_by_frame(
    predictor: Predictor, decoded: DecodedImage, outputs: tuple[Probabilities, ...], *, bands: bool
) -> Iterator[Probabilities | LargePage | StreamedPage]:
    """The probabilities of each frame of a file, computed lazily."""
    if decoded.page is not None:
        yield predict_page(predictor, decoded.page, decoded.seen)
        return
    start = 0
    for frame, count in zip(decoded.frames, decoded.inputs_per_frame, strict=True):
        own = [output[start : start + count] for output in outputs]
        if bands and predictor.is_large(frame.size):
            yield decided(bands_of_page(predictor, of_all_models(own), frame.size), frame.size)
        else:
            yield predictor.postprocess(own, frame.size)
        start += count
