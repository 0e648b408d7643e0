"""Write masks that an import changes: several masks of an image united, or all values above a threshold made one class.

Each is written as 8-bit PNG of 0 and 255, or with the values of its files if these encode several classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from s4mi.data.files import read_frame
from s4mi.data.formats.frame import Frame, ImageError
from s4mi.data.formats.intensity import Pixels
from s4mi.data.masks import mask_codes, read_mask_frame
from s4mi.data.parallel import in_parallel
from s4mi.data.sources.resume import ImportJournal, key_of
from s4mi.data.spec import MaskKey
from s4mi.errors import S4miError
from s4mi.records import write_bytes_atomically

FOREGROUND = 255
BILEVEL = frozenset({0, 1, FOREGROUND})
"""Values of masks of two levels: 0 and 1 in files of one bit, 0 and 255 in others."""


@dataclass(frozen=True)
class MaskRule:
    """What the pixels of the foreground are: at least `threshold` in brightness, or anything but 0 if `nonzero`."""

    threshold: int | None = None
    nonzero: bool = False

    @property
    def active(self) -> bool:
        """Whether the rule changes masks at all."""
        return self.threshold is not None or self.nonzero

    def apply(self, frame: Frame) -> Frame:
        """Return the (H, W) mask of 0 and 255, or `frame` itself if the rule is not active."""
        values = frame.values if frame.values.ndim == 2 else frame.values[:, :, :3]
        if self.threshold is not None:
            brightness = values if values.ndim == 2 else values.mean(axis=2)
            return Frame(_binary(brightness >= self.threshold))
        if self.nonzero:
            return Frame(_binary(values != 0 if values.ndim == 2 else (values != 0).any(axis=2)))
        return frame

    def read(self, path: Path) -> Frame:
        """Read a mask and apply the rule; a threshold counts in the grey levels that viewers show."""
        return self.apply(read_frame(path) if self.threshold is not None else read_mask_frame(path))


class MaskConflictError(ImageError):
    """Several masks of one image contradict each other."""


@dataclass(frozen=True)
class ComposeJob:
    """The files of the masks of one image, and the PNG to write."""

    files: tuple[Path, ...]
    target: Path


def compose_masks(
    jobs: Sequence[ComposeJob],
    rule: MaskRule,
    *,
    journal: ImportJournal,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> tuple[set[MaskKey], Mapping[Path, ImageError]]:
    """Write the masks on all cores; return their values, and the errors of unreadable files by target.

    Raises:
        S4miError: the masks of an image cannot be united.
    """
    rule_key = {"threshold": rule.threshold, "nonzero": rule.nonzero}
    keys = {job: str([key_of(file, {"compose": str(job.target), **rule_key}) for file in job.files]) for job in jobs}
    journal.begin("compose", keys.values())
    codes: set[MaskKey] = {value for job in jobs if job.target.exists() for value in journal.get(keys[job]) or ()}
    todo = [job for job in jobs if not (job.target.exists() and journal.get(keys[job]) is not None)]
    failed: dict[Path, ImageError] = {}
    for job, result in zip(todo, in_parallel(partial(_write, rule=rule), todo, progress=progress), strict=True):
        if isinstance(result, ImageError):
            if isinstance(result, MaskConflictError):
                raise S4miError(f"{job.files[0].parent}: {result}")
            failed[job.target] = result
            continue
        codes.update(result)
        journal.note(keys[job], list(result))
    return codes, failed


def unite(frames: Mapping[Path, Frame]) -> Frame:
    """Return the union of several masks of one image.

    Raises:
        MaskConflictError: their sizes differ, or two of them have different classes at one pixel.
    """
    first, *others = frames
    codes = {path: set(mask_codes(one)) for path, one in frames.items()}
    if all(values <= BILEVEL and len(values - {0}) < 2 for values in codes.values()):
        frames = {path: MaskRule(nonzero=True).apply(one) for path, one in frames.items()}
    united = np.array(_plain(frames[first]))
    for path in others:
        values = _plain(frames[path])
        if values.shape != united.shape:
            raise MaskConflictError(
                "bad-mask", f"has {values.shape} pixels, but {first.name!r} has {united.shape}; export both again"
            )
        here, there = _nonzero(united), _nonzero(values)
        different = (united != values) if united.ndim == 2 else (united != values).any(axis=2)
        if (here & there & different).any():
            raise MaskConflictError(
                "bad-mask",
                f"has another class than {first.name!r} at {int((here & there & different).sum())} pixels; "
                "unite them yourself, or use --mask-nonzero NAME if all values are one class",
            )
        united[there] = values[there]
    return Frame(united)


def merge_layers(values: NDArray[Any], names: Sequence[str]) -> Frame:
    """Return the (H, W) mask of a stack with one layer per class, (H, W, C) or (C, H, W), in which 0 is absent.

    The classes are numbered from 1 in the order of `names`, without those called `background`, which are 0.

    Raises:
        ImageError: there are more or fewer layers than names, or a pixel is in two classes.
    """
    if values.ndim == 3 and values.shape[0] == len(names) != values.shape[2]:
        values = np.moveaxis(values, 0, 2)
    if values.ndim != 3 or values.shape[2] != len(names):
        raise ImageError("bad-mask", f"has shape {values.shape}, not one layer for each of {', '.join(names)}")
    layers = [values[:, :, number] != 0 for number, name in enumerate(names) if name != "background"]
    twice = int((np.sum(layers, axis=0) > 1).sum())
    if twice:
        raise ImageError("bad-mask", f"has {twice} pixels in two layers; a pixel has one class, so keep one of them")
    mask = np.zeros(values.shape[:2], dtype=np.uint8)
    for number, layer in enumerate(layers, start=1):
        mask[layer] = number
    return Frame(mask)


def _write(job: ComposeJob, *, rule: MaskRule) -> tuple[MaskKey, ...] | ImageError:
    frames: dict[Path, Frame] = {}
    file = job.files[0]
    try:
        for file in job.files:
            frames[file] = rule.read(file)
        mask = unite(frames) if len(frames) > 1 else frames[job.files[0]]
        codes = mask_codes(mask)
    except ImageError as error:
        return type(error)(error.code, f"mask {file.name!r} {error}")
    pixels = _plain(mask)
    _, content = cv2.imencode(".png", np.ascontiguousarray(pixels if pixels.ndim == 2 else pixels[:, :, ::-1]))
    write_bytes_atomically(job.target, content.tobytes(), private=True)
    return codes


def _plain(frame: Frame) -> Pixels:
    """Return the values (H, W), or (H, W, 3) if any pixel is not grey."""
    values = np.asarray(frame.values)
    if values.ndim == 3 and (values[:, :, :1] == values[:, :, :3]).all():
        values = values[:, :, 0]
    return np.asarray(values if values.ndim == 2 else values[:, :, :3], dtype=np.uint8)


def _nonzero(values: Pixels) -> NDArray[np.bool_]:
    return np.asarray(values != 0 if values.ndim == 2 else (values != 0).any(axis=2), dtype=np.bool_)


def _binary(foreground: NDArray[np.bool_]) -> Pixels:
    return np.where(foreground, np.uint8(FOREGROUND), np.uint8(0))
