"""Use a trained run on any images: probabilities for classifiers, masks at each image's own size for segmenters."""

import csv
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from PIL import Image
from torch import Tensor

from s4mi.contract import Task
from s4mi.data.formats.intensity import Pixels
from s4mi.data.manifest import load_manifest
from s4mi.data.masks import encode_mask
from s4mi.data.spec import NO_CLASS
from s4mi.engine.inference import probabilities
from s4mi.errors import S4miError
from s4mi.recipes.cluster_sheet import ClusterSheet, next_steps
from s4mi.recipes.inputs import ErrorList, Unreadable, find_images
from s4mi.recipes.mask_overlays import class_colour, cluster_colour, clustered, compared, tinted
from s4mi.recipes.pictures import Picture, is_data_set, pictures_of, read_truth
from s4mi.recipes.predictor import Predictor
from s4mi.recipes.run_dir import RunDir
from s4mi.records import Part

AHEAD = 16
"""Images decoded ahead of the network."""
OVERLAYS = "overlays"
"""Folder of the overlays, below that of the masks."""
LISTED = 8
"""More clusters than these are not all in a line."""


@dataclass(frozen=True)
class Predicted:
    """What `predict_run` wrote.

    Attributes:
        output: the file or folder of answers. overlays: the folder of overlays, if they were asked for.
        legend: what the colours of the overlays mean, in a line.
        answered: images. failed: images that could not be read.
        sheet: the sheet on which clusters are looked at, if it was asked for, and a line each on what to do then.
    """

    output: Path
    answered: int
    failed: int
    overlays: Path | None = None
    legend: str = ""
    sheet: Path | None = None
    next_steps: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Asked:
    """An image to be answered: what a table calls it, and the path of its mask below a folder, without ending."""

    name: str
    place: str
    picture: Picture


@dataclass(frozen=True)
class _Decoded:
    """One image ready for the network: its (height, width) and its (T, S, S, 3) tiles.

    `pixels` (H, W, 3) and `truth` (H, W) are there only where an overlay wants them.
    """

    asked: _Asked
    size: tuple[int, int]
    tiles: Pixels
    pixels: Pixels | None
    truth: Pixels | None


class _Writer(Protocol):
    output: Path

    def __enter__(self) -> object: ...
    def __exit__(self, *_: object) -> None: ...
    def write(self, decoded: _Decoded, logits: Tensor) -> None:
        """The answer to one image."""


def predict_run(
    run: Path,
    inputs: Sequence[Path],
    out: Path,
    *,
    overlay: bool = False,
    clusters: bool = False,
    part: Part | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Predicted:
    """Answer every image in `inputs`: files, folders searched recursively, or the rows of data sets.

    Classification writes `out/predictions.csv`: image, a probability per class, and the answer (for multi-label tasks
    the classes above 1/2, joined by `;`). Segmentation writes a PNG mask per image at its own size, with the pixel
    values of the data set it was trained on. An image that cannot be read gets a line in `out/errors.csv`; the others
    go on.

    Args:
        overlay: also write the image with its mask laid over it, in `out/overlays`; where a data set has the true mask,
            with what was found, missed and wrongly seen.
        clusters: of a run that found clusters, write these, whatever they are called: their numbers for masks, each
            image in their colours in `out/overlays`, a sheet to look at, `out/clusters.png`, and their shares,
            `out/clusters.csv`.
        part: of a data set, the images in this part of the run's own split; None for all.

    Raises:
        S4miError: no such run, no images, overlays of a classifier, clusters of a run without, a part of what is no
            data set, or a file that would be written over an image or another answer.
    """
    images = _find(inputs, RunDir(run), part)
    predictor = Predictor(run, clusters=clusters)
    if overlay and not clusters:
        _check_overlays(predictor, images)
    overlay = overlay or clusters
    sheet = None
    if clusters:
        sheet = ClusterSheet(out, clusters=len(predictor.task.classes), images=[image.name for image in images])
    writer: _Writer
    if predictor.task.kind == "segmentation":
        writer = _Masks(out, images, predictor, overlay=overlay, sheet=sheet)
    else:
        writer = _Table(out / "predictions.csv", predictor.task)
    out.mkdir(parents=True, exist_ok=True)
    failed = ErrorList(out / "errors.csv")
    with writer, sheet or nullcontext():
        for done, decoded in enumerate(_decoded(images, predictor, overlay=overlay, truth=not clusters), start=1):
            if isinstance(decoded, Unreadable):
                failed.add(decoded)
            else:
                writer.write(decoded, predictor.logits(decoded.tiles))
            progress(done, len(images))
    answered = len(images) - failed.count
    predicted = Predicted(
        output=writer.output,
        answered=answered,
        failed=failed.count,
        overlays=out / OVERLAYS if overlay else None,
        legend=_legend(predictor, images) if overlay else "",
    )
    if sheet is None or not answered:
        return predicted
    return replace(predicted, sheet=sheet.path, next_steps=next_steps(predictor))


def _find(inputs: Sequence[Path], run: RunDir, part: Part | None) -> list[_Asked]:
    data_sets = [given for given in inputs if is_data_set(given)]
    files = [given for given in inputs if given not in data_sets]
    if part is not None and not data_sets:
        raise S4miError(
            f"{inputs[0]}: is no data set, so none of its images is known to be in the {part} part; "
            "leave out --split, or give a folder with dataset.yaml and manifest.csv"
        )
    asked: list[_Asked] = []
    for image in find_images(files) if files else ():
        place = Path(image.name).with_suffix("").as_posix()
        asked.append(_Asked(image.name, place, Picture(image.path, place)))
    for folder in data_sets:
        asked += [_Asked(one.name, one.name, one) for one in pictures_of(load_manifest(folder), [run], part)]
    return asked


def _check_overlays(predictor: Predictor, images: Sequence[_Asked]) -> None:
    """Refuse overlays of what has no masks, or of truths in other classes than those of the run."""
    run, classes = predictor.run.path, predictor.task.classes
    if predictor.task.kind != "segmentation":
        raise S4miError(
            f"{run}: is a {predictor.task.kind} run and predicts no masks to lay over images; leave out --overlay, "
            f"or see where it looks with: s4mi explain {run}"
        )
    for image in images:
        if image.picture.mask is not None and image.picture.mask_classes != classes:
            raise S4miError(
                f"{image.picture.mask}: is a mask of {', '.join(image.picture.mask_classes)}, but {run} was trained on "
                f"{', '.join(classes)}; give the images alone, or a data set of these classes"
            )


def _legend(predictor: Predictor, images: Sequence[_Asked]) -> str:
    """The colours of overlays without a truth, of those with one, or both."""
    if predictor.unnamed:
        colours = [f"{name} {cluster_colour(number)[0]}" for number, name in enumerate(predictor.task.classes)]
        return ", ".join(colours if len(colours) <= LISTED else [*colours[: LISTED - 1], "…"])
    known = {image.picture.mask is not None for image in images}
    classes = [f"{name} {class_colour(index)[0]}" for index, name in enumerate(predictor.task.classes) if index]
    lines = [", ".join(classes)] if False in known else []
    if True in known:
        lines.append("found green, missed orange, wrong purple, outline of the truth white")
    return "; ".join(lines)


def _decoded(
    images: Sequence[_Asked], predictor: Predictor, *, overlay: bool, truth: bool
) -> Iterator[_Decoded | Unreadable]:
    """The images in order, decoded in threads a little ahead of the network; with their `truth` for overlays of it."""

    def decode(image: _Asked) -> _Decoded | Unreadable:
        try:
            pixels = predictor.read(image.picture.path)
        except S4miError as error:
            return Unreadable(image.picture.path, str(error))
        size = (pixels.shape[0], pixels.shape[1])
        known = read_truth(image.picture, size) if overlay and truth else None
        if isinstance(known, Unreadable):
            return known
        return _Decoded(image, size, predictor.tiles(pixels), pixels if overlay else None, known)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting: deque[Future[_Decoded | Unreadable]] = deque()
        for image in images:
            waiting.append(pool.submit(decode, image))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class _Table:
    """`predictions.csv`, a row an image."""

    def __init__(self, output: Path, task: Task) -> None:
        self.output = output
        self._classes = task.classes
        self._multilabel = task.kind == "multilabel"

    def __enter__(self) -> None:
        self._file = self.output.open("w", newline="", encoding="utf-8")
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(["image", *self._classes, "answer"])

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, decoded: _Decoded, logits: Tensor) -> None:
        """An image's probabilities are the mean over its tiles."""
        given = probabilities(logits, multilabel=self._multilabel).mean(dim=0).tolist()
        if self._multilabel:
            above = [name for name, p in zip(self._classes, given, strict=True) if p > 0.5]
            answer = ";".join(above) or NO_CLASS
        else:
            answer = self._classes[max(range(len(given)), key=given.__getitem__)]
        self._rows.writerow([decoded.asked.name, *(f"{p:.6f}" for p in given), answer])


class _Masks:
    """A PNG per image, with the pixel values that the data set's own masks have; if wanted, its overlay and a sheet."""

    def __init__(
        self,
        output: Path,
        images: Sequence[_Asked],
        predictor: Predictor,
        *,
        overlay: bool,
        sheet: ClusterSheet | None,
    ) -> None:
        self.output = output
        self._predictor = predictor
        self._sheet = sheet
        self._folders = (output, output / OVERLAYS) if overlay else (output,)
        given = {path.resolve() for one in images for path in (one.picture.path, one.picture.mask) if path is not None}
        taken: dict[Path, str] = {}
        for image in images:
            for folder in self._folders:
                path = folder / f"{image.place}.png"
                if path in taken:
                    raise S4miError(
                        f"{image.picture.path}: its mask would overwrite that of {taken[path]!r}; "
                        "predict them into two folders"
                    )
                if sheet is not None and path == sheet.path:
                    raise S4miError(f"{image.picture.path}: its clusters would be overwritten by {path}; rename it")
                if path.resolve() in given:
                    raise S4miError(f"{path}: would be overwritten by a predicted mask; choose another folder with -o")
                taken[path] = image.name

        if sheet is not None and sheet.path.resolve() in given:
            raise S4miError(f"{sheet.path}: would be overwritten by the sheet; choose another folder with -o")

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def write(self, decoded: _Decoded, logits: Tensor) -> None:
        """The tiles put together, at the image's own size."""
        classes = self._predictor.page(logits, decoded.size)
        pictures = [encode_mask(classes, self._predictor.spec.mask_values)]
        if decoded.pixels is not None and decoded.truth is not None:
            pictures.append(compared(decoded.pixels, decoded.truth, classes))
        elif decoded.pixels is not None:
            pictures.append((clustered if self._predictor.unnamed else tinted)(decoded.pixels, classes))
            if self._sheet is not None:
                self._sheet.add(decoded.asked.name, decoded.pixels, classes)
        for folder, picture in zip(self._folders, pictures, strict=True):
            path = folder / f"{decoded.asked.place}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)
