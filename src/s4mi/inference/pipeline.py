"""Files in, answers out, in order: threads decode and write while the network takes one batch after the other."""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.intensity import Intensity, Pixels
from s4mi.data.images import as_rgb, read_image
from s4mi.data.spacing import Spacing, pixel_spacing
from s4mi.data.volumes import read_pictures
from s4mi.errors import S4miError
from s4mi.inference.dataset_images import read_truth
from s4mi.inference.image_list import InputImage
from s4mi.inference.input_files import Unreadable
from s4mi.inference.predictor import BATCH, Predictor, Probabilities, in_batches

AHEAD = 16
"""Pictures decoded ahead of the network, and as many answers not yet written; more where one file holds more."""

log = logging.getLogger("s4mi")

Result = TypeVar("Result")


@dataclass(frozen=True)
class SourceImage:
    """One decoded picture: its (height, width), and where they are wanted its pixels (H, W, 3) and truth (H, W)."""

    size: tuple[int, int]
    pixels: Pixels | None
    truth: Pixels | None


@dataclass(frozen=True)
class Decoded:
    """A file ready for the network.

    Attributes:
        seen: its pictures. inputs: (N, S, S, 3), those of all pictures one after the other. counts: how many each has.
        spacing: millimetres between rows and between columns, where they are known.
        strange: every picture is grey, where the run learnt from colour.
    """

    asked: InputImage
    seen: tuple[SourceImage, ...]
    inputs: Pixels
    counts: tuple[int, ...]
    spacing: Spacing | None
    strange: bool = False


@dataclass(frozen=True)
class KeepOptions:
    """What must be kept of each picture for writing its answer: its pixels, its true mask, and its spacing."""

    pixels: bool = False
    truth: bool = False
    spacing: bool = False


def prediction_stream(
    images: Sequence[InputImage],
    answerer: Predictor,
    work: Callable[[Decoded, Iterator[Probabilities]], Result],
    wanted: KeepOptions,
) -> Iterator[tuple[InputImage, Result | Unreadable]]:
    """Each file in order with what `work` made, in a thread, of the probabilities of its pictures, one by one.

    At the end a warning says how many files are grey, where the run learnt from colour.
    """
    strange = 0

    def finish(decoded: Decoded, given: tuple[Probabilities, ...]) -> Result | Unreadable:
        try:
            return work(decoded, _pages(answerer, decoded, given))
        except S4miError as error:
            return Unreadable(decoded.asked.picture.path, str(error))

    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        writing: deque[tuple[InputImage, Future[Result | Unreadable]]] = deque()
        for asked, decoded, given in _inferred(_decoded(pool, images, answerer, wanted), answerer):
            if isinstance(decoded, Unreadable):
                writing.append((asked, pool.submit(lambda told: told, decoded)))
            else:
                strange += decoded.strange
                writing.append((asked, pool.submit(finish, decoded, given)))
            while sum(one.frames for one, _ in writing) > AHEAD:
                first, future = writing.popleft()
                yield first, future.result()
        while writing:
            first, future = writing.popleft()
            yield first, future.result()
        if strange:
            log.warning(_strange_words(strange, len(images), answerer))
    finally:
        pool.shutdown(cancel_futures=True)


def _decoded(
    pool: ThreadPoolExecutor, images: Sequence[InputImage], answerer: Predictor, wanted: KeepOptions
) -> Iterator[tuple[InputImage, Decoded | Unreadable]]:
    waiting: deque[tuple[InputImage, Future[Decoded | Unreadable]]] = deque()
    for asked in images:
        waiting.append((asked, pool.submit(decode, asked, answerer, wanted)))
        while sum(one.frames for one, _ in waiting) > AHEAD and len(waiting) > 1:
            first, future = waiting.popleft()
            yield first, future.result()
    while waiting:
        first, future = waiting.popleft()
        yield first, future.result()


def decode(asked: InputImage, answerer: Predictor, wanted: KeepOptions) -> Decoded | Unreadable:
    """Read a file and make it ready; what is wrong with it is told."""
    path, spec = asked.picture.path, answerer.about.spec
    try:
        pictures = read_input(asked, spec.rule)
        if len(pictures) != asked.frames:
            raise ImageError("undecodable", f"says it holds {asked.frames} pictures, but has {len(pictures)}")
        if spec.channels == "grey":
            _check_grey(pictures, answerer)
    except S4miError as error:
        return Unreadable(path, str(error))
    seen, inputs = [], []
    for pixels in pictures:
        size = (pixels.shape[0], pixels.shape[1])
        truth = read_truth(asked.picture, size) if wanted.truth else None
        if isinstance(truth, Unreadable):
            return truth
        seen.append(SourceImage(size, pixels if wanted.pixels else None, truth))
        inputs.append(answerer.inputs(pixels))
    return Decoded(
        asked, tuple(seen), inputs=inputs[0] if len(inputs) == 1 else np.concatenate(inputs),
        counts=tuple(map(len, inputs)), spacing=pixel_spacing(path) if wanted.spacing else None,
        strange=spec.channels == "rgb" and all(map(_is_grey, pictures)),
    )  # fmt: skip


def read_input(asked: InputImage, rule: Intensity) -> list[Pixels]:
    """(H, W, 3) of every picture of a file, or of an image in memory, whose numbers are read in the same way.

    Raises:
        ImageError: the file is missing or not an image, or the rule does not apply to its numbers.
    """
    if asked.values is not None:
        return [as_rgb(rule.to_uint8(asked.values))]
    path = asked.picture.path
    return read_pictures(path, rule) if asked.frames > 1 else [read_image(path, rule)]


def _is_grey(pixels: Pixels) -> bool:
    """(H, W, 3); a few pixels tell of nearly every image in colour that it is."""
    return all(not (some[:, :, :1] != some[:, :, 1:]).any() for some in (pixels[::16, ::16], pixels))


def _strange_words(strange: int, of: int, answerer: Predictor) -> str:
    return (
        f"{strange} of {of} image{'s are' if of > 1 else ' is'} grey, but {answerer.about.name} learnt from images in "
        "colour; their answers are to be taken with care"
    )


def _check_grey(pictures: Sequence[Pixels], answerer: Predictor) -> None:
    for pixels in pictures:
        if not _is_grey(pixels):
            raise ImageError(
                "undecodable",
                f"is in colour, but {answerer.about.name} learnt from grey images alone; convert it to grey",
            )


def _inferred(
    decoded: Iterator[tuple[InputImage, Decoded | Unreadable]], answerer: Predictor
) -> Iterator[tuple[InputImage, Decoded | Unreadable, tuple[Probabilities, ...]]]:
    """Each file with the probabilities of its inputs, by model; files share batches."""
    waiting: list[tuple[InputImage, Decoded | Unreadable]] = []
    count = 0
    for one in decoded:
        waiting.append(one)
        count += 0 if isinstance(one[1], Unreadable) else len(one[1].inputs)
        if count >= BATCH:
            yield from _infer(waiting, answerer)
            waiting, count = [], 0
    yield from _infer(waiting, answerer)


def _infer(
    files: Sequence[tuple[InputImage, Decoded | Unreadable]], answerer: Predictor
) -> Iterator[tuple[InputImage, Decoded | Unreadable, tuple[Probabilities, ...]]]:
    inputs = [one.inputs for _, one in files if isinstance(one, Decoded)]
    given = in_batches(answerer.infer, np.concatenate(inputs)) if inputs else ()
    start = 0
    for asked, one in files:
        if isinstance(one, Unreadable):
            yield asked, one, ()
            continue
        end = start + len(one.inputs)
        yield asked, one, tuple(own[start:end] for own in given)
        start = end


def _pages(answerer: Predictor, decoded: Decoded, given: tuple[Probabilities, ...]) -> Iterator[Probabilities]:
    """The probabilities of each picture of a file, made when they are asked for."""
    start = 0
    for seen, count in zip(decoded.seen, decoded.counts, strict=True):
        yield answerer.finish([own[start : start + count] for own in given], seen.size)
        start += count
