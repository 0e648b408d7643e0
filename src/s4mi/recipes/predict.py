"""Use a trained run on any images: probabilities for classifiers, masks at each image's own size for segmenters."""

import csv
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import Tensor

from s4mi.config import RunConfig
from s4mi.contract import Classifier, Segmenter, Task
from s4mi.data.files import SUFFIXES, is_image_file
from s4mi.data.formats.intensity import Intensity, Pixels
from s4mi.data.images import read_image
from s4mi.data.masks import encode_mask
from s4mi.data.spec import NO_CLASS, DatasetSpec, load_spec
from s4mi.engine.inference import probabilities
from s4mi.errors import S4miError
from s4mi.recipes.evaluate import page_classes
from s4mi.recipes.prepare import task_kind
from s4mi.recipes.run_dir import RunDir, load_method, make_fabric

AHEAD = 16
"""Images decoded ahead of the network."""
TILES_AT_ONCE = 32


@dataclass(frozen=True)
class Predicted:
    """What `predict_run` wrote: the file or folder of answers, and how many images it answered and could not read."""

    output: Path
    answered: int
    failed: int


@dataclass(frozen=True)
class ImageFile:
    """An image to be answered, and the name it is answered under."""

    path: Path
    name: str


@dataclass(frozen=True)
class _Decoded:
    """One image ready for the network: its (height, width) and its (T, S, S, 3) tiles."""

    name: str
    size: tuple[int, int]
    tiles: Pixels


@dataclass(frozen=True)
class Unreadable:
    """An image that could not be read, and why."""

    path: Path
    message: str


def predict_run(
    run: Path, inputs: Sequence[Path], out: Path, *, progress: Callable[[int, int], None] = lambda *_: None
) -> Predicted:
    """Answer every image in `inputs` (files, or folders searched recursively).

    Classification writes `out/predictions.csv`: image, a probability per class, and the answer (for multi-label tasks
    the classes above 1/2, joined by `;`). Segmentation writes a PNG mask per image at its own size, with the pixel
    values of the data set it was trained on. An image that cannot be read gets a line in `out/errors.csv`; the others
    go on.

    Raises:
        S4miError: no such run, no images, or two images that would be written to one place.
    """
    run_dir = RunDir(run)
    config, spec = run_dir.config(), load_spec(run)
    kind = task_kind(config, spec)
    task = Task(kind=kind, classes=spec.classes_of(kind), image_size=config.data.image_size, counts=(), labelled=0)
    images = list(find_images(inputs))
    out.mkdir(parents=True, exist_ok=True)
    fabric = make_fabric(config)
    method = load_method(fabric, config, task, run_dir.best)
    writer = _Masks(out, images, config, spec) if kind == "segmentation" else _Table(out / "predictions.csv", task)
    failed = ErrorList(out / "errors.csv")
    with writer:
        for done, decoded in enumerate(_decoded(images, config, spec.rule), start=1):
            if isinstance(decoded, Unreadable):
                failed.add(decoded)
            else:
                writer.write(decoded, _logits(fabric, method, decoded))
            progress(done, len(images))
    return Predicted(output=writer.output, answered=len(images) - failed.count, failed=failed.count)


def find_images(inputs: Sequence[Path]) -> Iterator[ImageFile]:
    """Every image file; its name is its path below the folder that was given.

    Raises:
        S4miError: something is not there, or there are no images.
    """
    found = 0
    for given in inputs:
        if given.is_dir():
            files = sorted(path for path in given.rglob("*") if path.is_file() and is_image_file(path))
            yield from (ImageFile(path, path.relative_to(given).as_posix()) for path in files)
            found += len(files)
        elif given.exists():
            yield ImageFile(given, given.name)
            found += 1
        else:
            raise S4miError(f"{given}: not there; name image files or folders that hold some")
    if not found:
        raise S4miError(f"{inputs[0]}: holds no images ({', '.join(sorted(SUFFIXES))})")


def _decoded(images: Sequence[ImageFile], config: RunConfig, intensity: Intensity) -> Iterator[_Decoded | Unreadable]:
    """The images in order, decoded in threads a little ahead of the network."""

    def decode(image: ImageFile) -> _Decoded | Unreadable:
        try:
            pixels = read_image(image.path, intensity)
        except S4miError as error:
            return Unreadable(image.path, str(error))
        return _Decoded(image.name, (pixels.shape[0], pixels.shape[1]), config.data.preprocessing.images(pixels))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting: deque[Future[_Decoded | Unreadable]] = deque()
        for image in images:
            waiting.append(pool.submit(decode, image))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@torch.inference_mode()
def _logits(fabric: Fabric, method: Classifier | Segmenter, decoded: _Decoded) -> Tensor:
    """(T, K, ...) float32 logits of the tiles of one image."""
    tiles = torch.from_numpy(decoded.tiles).to(fabric.device).permute(0, 3, 1, 2).float().div_(255)
    with fabric.autocast():
        logits = torch.cat([method.logits(chunk) for chunk in torch.split(tiles, TILES_AT_ONCE)])
    return logits.float()


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
        self._rows.writerow([decoded.name, *(f"{p:.6f}" for p in given), answer])


class _Masks:
    """A PNG per image, with the pixel values that the data set's own masks have."""

    def __init__(self, output: Path, images: Sequence[ImageFile], config: RunConfig, spec: DatasetSpec) -> None:
        self.output = output
        self._config = config
        self._mask_values = spec.mask_values
        seen: dict[str, str] = {}
        for image in images:
            place = str(Path(image.name).with_suffix(".png"))
            if place in seen:
                raise S4miError(
                    f"{image.path}: its mask would overwrite that of {seen[place]!r}; predict them into two folders"
                )
            seen[place] = image.name

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def write(self, decoded: _Decoded, logits: Tensor) -> None:
        """The tiles put together, at the image's own size."""
        classes = page_classes(logits, self._config, decoded.size)
        path = self.output / Path(decoded.name).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(encode_mask(classes, self._mask_values)).save(path)


class ErrorList:
    """`errors.csv`, written only when there is something to say."""

    def __init__(self, path: Path) -> None:
        self.count = 0
        self._path = path
        path.unlink(missing_ok=True)

    def add(self, unreadable: Unreadable) -> None:
        """One more line."""
        with self._path.open("a", newline="", encoding="utf-8") as file:
            rows = csv.writer(file, lineterminator="\n")
            if not self.count:
                rows.writerow(["image", "error"])
            rows.writerow([str(unreadable.path), unreadable.message])
        self.count += 1
