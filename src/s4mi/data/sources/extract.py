"""Extract the images inside larger files as 8-bit PNG: pages, frames, slices, members of archives.

Images are converted to 0..255 by the intensity rule of the data set, with the same limits for all frames of a file, so
that the slices of a volume are comparable. Masks keep their values exactly, images in a zip archive their bytes.
"""

import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from s4mi.data.files import read_frame, read_frames
from s4mi.data.formats import stacks, tiff
from s4mi.data.formats.frame import Frame, ImageError, colours_last
from s4mi.data.formats.intensity import SAMPLED, Intensity, Pixels
from s4mi.data.masks import as_viewers_show, mask_codes, mask_file_values, mask_frames
from s4mi.data.parallel import in_parallel
from s4mi.data.series import Limits, sample_values, series_limits
from s4mi.data.sources.compose_masks import MaskConflictError, MaskRule, merge_layers
from s4mi.data.sources.resume import ImportJournal, key_of
from s4mi.data.sources.types import EmbeddedImage, ProgressCallback
from s4mi.data.sources.unite_segments import unite_masks
from s4mi.data.spec import MaskKey
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.records.atomic import make_folder, write_bytes_atomically

MAX_BATCHES = 8
"""Maximum number of batches of one array; an array in an archive is read from its beginning for each."""
MIN_ARRAY_BATCH = 1024
"""Minimum number of images per batch of an array."""
ZIP_BATCH = 128
"""Number of images per batch of a zip archive."""


@dataclass(frozen=True)
class ExtractJob:
    """An embedded image to write to `target`."""

    source: EmbeddedImage
    target: Path
    mask: bool


@dataclass(frozen=True)
class ExtractResult:
    """Values found in the masks, and the error of every image that could not be extracted, by target."""

    codes: frozenset[MaskKey]
    failed: Mapping[Path, str]


@dataclass(frozen=True)
class _Batch:
    """Images to extract from one file in one go."""

    file: Path
    member: str
    page: bool
    mask: bool
    frames: tuple[int, ...]
    targets: tuple[Path, ...]
    like: Path | None = None
    limits: Limits | None = None
    segments: tuple[str, ...] = ()
    others: tuple[Path, ...] = ()
    layers: tuple[str, ...] = ()

    @property
    def step(self) -> dict[str, Any]:
        """Description of the work, by which the journal recognises it."""
        step: dict[str, Any] = {
            "member": self.member, "page": self.page, "mask": self.mask, "frames": list(self.frames),
            "targets": [path.as_posix() for path in self.targets],
        }  # fmt: skip
        if self.like is not None:
            step["like"] = key_of(self.like, {})
        if self.limits is not None:
            step["limits"] = list(self.limits)
        if self.segments:
            step["segments"] = list(self.segments)
        if self.others:
            step["others"] = [key_of(path, {}) for path in self.others]
        if self.layers:
            step["layers"] = list(self.layers)
        return step


def extract_images(
    jobs: Sequence[ExtractJob],
    intensity: Intensity,
    *,
    mask_rule: MaskRule | None = None,
    journal: ImportJournal,
    progress: ProgressCallback,
) -> ExtractResult:
    """Extract images on all cores, except those that `journal` records as done and whose targets still exist.

    Raises:
        S4miError: no image at all could be extracted.
        OSError: a folder is not writable, or the disk is full.
    """
    batches, rule = list(_batches(jobs)), mask_rule or MaskRule()
    limits = series_limits(
        [batch.file for batch in batches if not (batch.mask or batch.member or batch.page)], intensity
    )
    batches = [
        batch if batch.mask else replace(batch, limits=batch.limits or limits.get(batch.file)) for batch in batches
    ]
    steps = {"rule": str(intensity)} | ({"masks": str(rule)} if rule.active else {})
    keys = [key_of(batch.file, {**batch.step, **steps}) for batch in batches]
    journal.begin("targets", keys)
    results = {key: result for key in keys if (result := journal.get(key)) is not None}
    todo = [(batch, key) for batch, key in zip(batches, keys, strict=True) if not _is_done(batch, results.get(key))]
    work = partial(_write_batch, intensity=intensity, mask_rule=rule)
    new_results = in_parallel(work, [batch for batch, _ in todo], thread_limit=1, batch_size=1)
    written = sum(len(batch.targets) for batch in batches) - sum(len(batch.targets) for batch, _ in todo)
    for (batch, key), result in zip(todo, new_results, strict=True):
        journal.note(key, result)
        results[key] = result
        written += len(batch.targets)
        progress("extracting images", written, len(jobs))
    codes: set[MaskKey] = set()
    failed: dict[Path, str] = {}
    for batch, key in zip(batches, keys, strict=True):
        codes.update(results[key]["codes"])
        failed.update({batch.targets[int(number)]: message for number, message in results[key]["failed"].items()})
    if jobs and len(failed) == len(jobs):
        raise S4miError(
            f"{jobs[0].source.file}: {next(iter(failed.values()))} (none of {plural(len(jobs), 'image')} could be "
            "extracted)"
        )
    return ExtractResult(frozenset(codes), failed)


def _batches(jobs: Sequence[ExtractJob]) -> Iterator[_Batch]:
    """Group the jobs by file, in order of frames, and divide zip archives and large arrays into several batches."""

    def source(job: ExtractJob) -> tuple[Path, str, bool, bool, str]:
        zipped = job.source.file.suffix.lower() == ".zip"
        like = "" if job.source.like is None else str(job.source.like)
        return job.source.file, "" if zipped else job.source.member, job.source.page, job.mask, like

    in_order = sorted(jobs, key=lambda job: (*source(job), job.source.frame))
    for (file, member, page, mask, like), group in groupby(in_order, source):
        of_file = list(group)
        first = of_file[0].source
        zipped = file.suffix.lower() == ".zip"
        if zipped:
            size = ZIP_BATCH
        else:
            size = max(MIN_ARRAY_BATCH, -(-len(of_file) // MAX_BATCHES)) if member else len(of_file)
        for start in range(0, len(of_file), size):
            part = of_file[start : start + size]
            yield _Batch(
                file, "\n".join(job.source.member for job in part) if zipped else member, page, mask,
                frames=tuple(job.source.frame for job in part), targets=tuple(job.target for job in part),
                like=Path(like) if like else None, limits=first.limits, segments=first.segments, others=first.others,
                layers=first.layers,
            )  # fmt: skip


def _is_done(batch: _Batch, result: dict[str, Any] | None) -> bool:
    if result is None:
        return False
    return all(path.exists() for number, path in enumerate(batch.targets) if str(number) not in result["failed"])


def _write_batch(batch: _Batch, *, intensity: Intensity, mask_rule: MaskRule) -> dict[str, Any]:
    """Extract the images of a batch and return the result that the journal records."""
    codes: set[MaskKey] = set()
    failed: dict[str, str] = {}
    for folder in {path.parent for path in batch.targets}:
        make_folder(folder, private=True)
    if batch.file.suffix.lower() == ".zip":
        _copy_members(batch, codes, failed)
        return {"codes": sorted(codes, key=str), "failed": failed}
    pending = dict(zip(batch.frames, enumerate(batch.targets), strict=True))
    try:
        limits = [] if batch.mask else [batch.limits or _limits(one, intensity) for one in _channels(batch)]
        for frame_number, frames in _frames(batch):
            if frame_number not in pending:
                continue
            number, target = pending.pop(frame_number)
            try:
                if batch.mask:
                    shown = [mask_rule.apply(as_viewers_show(frame)) for frame in frames]
                    mask = unite_masks(dict(zip((batch.file, *batch.others), shown, strict=True)), batch.segments)
                    codes.update(found := mask_codes(mask))
                    _write_png(target, _mask_values(mask, found))
                else:
                    grey = [intensity.show(frame, limits=one) for frame, one in zip(frames, limits, strict=True)]
                    _write_png(target, grey[0] if len(grey) == 1 else _combined(grey))
            except MaskConflictError as error:
                image = f" of {batch.like.name!r}" if batch.like else ""
                raise S4miError(f"{batch.file.parent}: masks of frame {frame_number}{image}: {error}") from error
            except ImageError as error:
                failed[str(number)] = f"frame {frame_number} {error}"
    except ImageError as error:
        failed.update({str(number): f"{batch.file.name!r} {error}" for number, _ in pending.values()})
        pending.clear()
    failed.update({str(number): f"{batch.file.name!r} has no frame {frame}" for frame, (number, _) in pending.items()})
    return {"codes": sorted(codes, key=str), "failed": failed}


def _frames(batch: _Batch) -> Iterator[tuple[int, list[Frame]]]:
    """Yield the numbered frames of a batch's files up to the last one needed, each decoded once."""
    if batch.page:
        for number in batch.frames:
            yield number, [tiff.page(batch.file, number)]
        return
    if batch.member:
        for number, frame in _frames_of_array(batch):
            yield number, [frame]
        return
    for number, frames in enumerate(zip_longest(*(_frames_of(one, batch) for one in (batch.file, *batch.others)))):
        if None in frames:
            raise ImageError("bad-mask", f"has not as many frames as {batch.others[0].name!r}; export both again")
        yield number, list(frames)
        if number == max(batch.frames):
            return


def _frames_of(file: Path, batch: _Batch) -> Iterator[Frame]:
    return mask_frames(file, batch.like, batch.segments) if batch.mask else read_frames(file)


def _channels(batch: _Batch) -> list[_Batch]:
    """Return the batch of each channel alone, as each has its own limits."""
    return [replace(batch, file=file, others=()) for file in (batch.file, *batch.others)]


def _combined(channels: Sequence[Pixels]) -> Pixels:
    """Return grey channels (H, W) as (H, W, 3): red, green and, of three, blue."""
    sizes = {channel.shape for channel in channels}
    if len(sizes) > 1 or channels[0].ndim != 2:
        raise ImageError(
            "undecodable", f"has channels of shapes {sorted(sizes)}; export them as grey images of one size"
        )
    return np.dstack([*channels, *[np.zeros_like(channels[0])] * (3 - len(channels))])


def _limits(batch: _Batch, intensity: Intensity) -> tuple[float, float] | None:
    """Return the values that become 0 and 255 in every frame, from a sample of all; None if each has its own."""
    if len(batch.frames) < 2 or batch.member or batch.page or intensity.kind != "percentiles":
        return None
    first = read_frame(batch.file)
    if first.window is not None or first.values.dtype in (np.uint8, np.bool_):
        return None
    stride = max(1, first.values.size * len(batch.frames) // SAMPLED)
    sample = [values for _, frames in _frames(batch) for values in sample_values(frames, stride=stride)]
    return intensity.limits(np.concatenate(sample)) if any(map(len, sample)) else None


def _frames_of_array(batch: _Batch) -> Iterator[tuple[int, Frame]]:
    """Yield images (H, W) or (H, W, C) of an array; its masks may be stored as one layer per class."""
    try:
        for number, values in stacks.items(batch.file, batch.member, batch.frames):
            yield number, merge_layers(values, batch.layers) if batch.layers else Frame(colours_last(values))
    except ImageError:
        raise
    except S4miError as error:
        raise ImageError("undecodable", str(error).removeprefix(f"{batch.file}: ")) from error


def _copy_members(batch: _Batch, codes: set[MaskKey], failed: dict[str, str]) -> None:
    with zipfile.ZipFile(batch.file) as archive:
        for number, (member, target) in enumerate(zip(batch.member.split("\n"), batch.targets, strict=True)):
            try:
                _write(target, archive.read(member))
                if batch.mask:
                    codes.update(mask_file_values(target))
            except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, KeyError, ImageError) as error:
                failed[str(number)] = f"{member!r} in {batch.file.name!r}: {error}"


def _mask_values(frame: Frame, codes: Sequence[MaskKey]) -> Pixels:
    """Return the values (H, W) or colours (H, W, 3) of a mask."""
    values: NDArray[Any] = frame.values
    if any(isinstance(code, str) for code in codes):
        return np.asarray(values[:, :, :3], dtype=np.uint8)
    return np.asarray(values if values.ndim == 2 else values[:, :, 0], dtype=np.uint8)


def _write_png(target: Path, pixels: Pixels) -> None:
    ordered = pixels if pixels.ndim == 2 else pixels[:, :, 2::-1]  # OpenCV writes blue first
    _write(target, cv2.imencode(".png", np.ascontiguousarray(ordered))[1].tobytes())


def _write(target: Path, content: bytes) -> None:
    """Write atomically, so that a killed import leaves no incomplete image."""
    write_bytes_atomically(target, content, private=True)
