"""Write the pictures inside larger files out as 8-bit PNG: pages, frames, slices, members of archives.

Images become 0..255 by the data set's intensity rule, with one pair of limits for all frames of a file, so that the
slices of a volume can be compared. Masks keep their codes exactly. A picture in a zip archive is copied byte by byte.
"""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from s4mi.data.files import read_frame, read_frames
from s4mi.data.formats import tiff
from s4mi.data.formats.frame import Frame, ImageError
from s4mi.data.formats.intensity import SAMPLED, Intensity, Pixels
from s4mi.data.masks import mask_codes, mask_file_values
from s4mi.data.parallel import in_parallel
from s4mi.data.sources.resume import ImportJournal, key_of
from s4mi.data.sources.types import EmbeddedImage, ProgressCallback
from s4mi.data.spec import MaskKey
from s4mi.errors import S4miError

RANGES = 8
"""Into how many jobs a huge array is divided; an array in an archive must be read from its beginning each time."""
SMALL = 1024
"""Arrays of fewer pictures are one job."""


@dataclass(frozen=True)
class ExtractJob:
    """A picture to write out: which, where to, and whether it is a mask."""

    extract: EmbeddedImage
    target: Path
    mask: bool


@dataclass(frozen=True)
class ExtractResult:
    """What came of it: the codes found in masks, and what could not be written, by target."""

    codes: frozenset[MaskKey]
    failed: Mapping[Path, str]


@dataclass(frozen=True)
class _Job:
    """The wanted pictures of one file, or a part of them."""

    file: Path
    member: str
    page: bool
    mask: bool
    frames: tuple[int, ...]
    targets: tuple[Path, ...]

    @property
    def what(self) -> dict[str, Any]:
        """What makes it another job."""
        return {
            "member": self.member, "page": self.page, "mask": self.mask, "frames": list(self.frames),
            "targets": [path.as_posix() for path in self.targets],
        }  # fmt: skip


def extract_images(
    wanted: Sequence[ExtractJob], intensity: Intensity, *, journal: ImportJournal, say: ProgressCallback
) -> ExtractResult:
    """Write every wanted picture, on all cores, but for those that `journal` says are done and that are still there.

    Raises:
        S4miError: nothing at all could be written.
        OSError: a folder cannot be written, or the disk is full.
    """
    jobs = list(_jobs(wanted))
    keys = [key_of(job.file, {**job.what, "rule": str(intensity)}) for job in jobs]
    done = {key: answer for key in keys if (answer := journal.get(key)) is not None}
    todo = [(job, key) for job, key in zip(jobs, keys, strict=True) if not _still_there(job, done.get(key))]
    work = partial(_write_job, intensity=intensity)
    results = in_parallel(work, [job for job, _ in todo], few=1, at_once=1)
    written = sum(len(job.targets) for job in jobs) - sum(len(job.targets) for job, _ in todo)
    for (job, key), answer in zip(todo, results, strict=True):
        journal.note(key, answer)
        done[key] = answer
        written += len(job.targets)
        say("writing pictures out", written, len(wanted))
    codes: set[MaskKey] = set()
    failed: dict[Path, str] = {}
    for job, key in zip(jobs, keys, strict=True):
        codes.update(done[key]["codes"])
        failed.update({job.targets[int(number)]: message for number, message in done[key]["failed"].items()})
    if wanted and len(failed) == len(wanted):
        raise S4miError(f"{wanted[0].extract.file}: {next(iter(failed.values()))} (and so it is with all of them)")
    return ExtractResult(frozenset(codes), failed)


def _jobs(wanted: Sequence[ExtractJob]) -> Iterator[_Job]:
    """By file, in order of frames; members of a zip archive by the hundred, frames of a huge array by the range."""

    def source(one: ExtractJob) -> tuple[Path, str, bool, bool]:
        zipped = one.extract.file.suffix.lower() == ".zip"
        return one.extract.file, "" if zipped else one.extract.member, one.extract.page, one.mask

    for (file, member, page, mask), group in groupby(
        sorted(wanted, key=lambda o: (*source(o), o.extract.frame)), source
    ):
        members = list(group)
        zipped = file.suffix.lower() == ".zip"
        size = 128 if zipped else max(SMALL, -(-len(members) // RANGES)) if member else len(members)
        for start in range(0, len(members), size):
            part = members[start : start + size]
            yield _Job(
                file, "\n".join(one.extract.member for one in part) if zipped else member, page, mask,
                frames=tuple(one.extract.frame for one in part), targets=tuple(one.target for one in part),
            )  # fmt: skip


def _still_there(job: _Job, answer: dict[str, Any] | None) -> bool:
    if answer is None:
        return False
    return all(path.exists() for number, path in enumerate(job.targets) if str(number) not in answer["failed"])


def _write_job(job: _Job, *, intensity: Intensity) -> dict[str, Any]:
    """Write the pictures of a job; what the journal notes of it."""
    codes: set[MaskKey] = set()
    failed: dict[str, str] = {}
    for target in {path.parent for path in job.targets}:
        target.mkdir(parents=True, exist_ok=True)
    if job.file.suffix.lower() == ".zip":
        _copy_members(job, codes, failed)
        return {"codes": sorted(codes, key=str), "failed": failed}
    wanted = dict(zip(job.frames, enumerate(job.targets), strict=True))
    try:
        limits = None if job.mask else _limits(job, intensity)
        for frame, picture in _pictures(job):
            if frame not in wanted:
                continue
            number, target = wanted.pop(frame)
            try:
                if job.mask:
                    codes.update(found := mask_codes(picture))
                    _write_png(target, _as_coded(picture, found))
                else:
                    _write_png(target, intensity.to_uint8(picture.values, picture.window, limits=limits))
            except ImageError as error:
                failed[str(number)] = f"frame {frame} {error}"
    except ImageError as error:
        failed.update({str(number): f"{job.file.name!r} {error}" for number, _ in wanted.values()})
        wanted.clear()
    failed.update({str(number): f"{job.file.name!r} has no frame {frame}" for frame, (number, _) in wanted.items()})
    return {"codes": sorted(codes, key=str), "failed": failed}


def _pictures(job: _Job) -> Iterator[tuple[int, Frame]]:
    """The frames of a job's file up to its last wanted one, each decoded once."""
    if job.page:
        for number in job.frames:
            yield number, tiff.page(job.file, number)
        return
    if job.member:
        yield from _array_in_archive(job.file, job.member, last=max(job.frames))
        return
    for number, frame in enumerate(read_frames(job.file)):
        yield number, frame
        if number == max(job.frames):
            return


def _limits(job: _Job, intensity: Intensity) -> tuple[float, float] | None:
    """Values that become 0 and 255 in every frame alike, from a sample of all; None where each has its own."""
    if len(job.frames) < 2 or job.member or job.page or intensity.kind != "percentiles":
        return None
    first = read_frame(job.file)
    if first.window is not None or first.values.dtype in (np.uint8, np.bool_):
        return None
    stride = max(1, first.values.size * len(job.frames) // SAMPLED)
    sample = [picture.values.reshape(-1)[::stride] for _, picture in _pictures(job)]
    return intensity.limits(np.concatenate(sample))


def _array_in_archive(file: Path, member: str, *, last: int) -> Iterator[tuple[int, Frame]]:
    """The pictures (H, W) or (H, W, C) of an array in a `.npz`, read one after the other: it may exceed the memory."""
    try:
        with zipfile.ZipFile(file) as archive, archive.open(member) as stream:
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(stream)
            if fortran or len(shape) not in (3, 4):
                raise ImageError("undecodable", f"holds in {member!r} an array {shape}, not pictures one by one")
            size = int(np.prod(shape[1:])) * dtype.itemsize
            for number in range(min(shape[0], last + 1)):
                content = stream.read(size)
                if len(content) < size:
                    raise ImageError("undecodable", f"ends in picture {number} of {member!r}; download it again")
                yield number, Frame(np.frombuffer(content, dtype=dtype).reshape(shape[1:]))
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise ImageError("undecodable", f"cannot be read ({error}); download it again") from error


def _copy_members(job: _Job, codes: set[MaskKey], failed: dict[str, str]) -> None:
    with zipfile.ZipFile(job.file) as archive:
        for number, (member, target) in enumerate(zip(job.member.split("\n"), job.targets, strict=True)):
            try:
                _write(target, archive.read(member))
                if job.mask:
                    codes.update(mask_file_values(target))
            except (zipfile.BadZipFile, KeyError, ImageError) as error:
                failed[str(number)] = f"{member!r} in {job.file.name!r}: {error}"


def _as_coded(picture: Frame, codes: Sequence[MaskKey]) -> Pixels:
    """A mask's own numbers (H, W) or colours (H, W, 3)."""
    values: NDArray[Any] = picture.values
    if any(isinstance(code, str) for code in codes):
        return np.asarray(values[:, :, :3], dtype=np.uint8)
    return np.asarray(values if values.ndim == 2 else values[:, :, 0], dtype=np.uint8)


def _write_png(target: Path, pixels: Pixels) -> None:
    ordered = pixels if pixels.ndim == 2 else pixels[:, :, 2::-1]  # OpenCV writes blue first
    _, content = cv2.imencode(".png", np.ascontiguousarray(ordered))
    _write(target, content.tobytes())


def _write(target: Path, content: bytes) -> None:
    """Atomically: a killed import leaves no half picture."""
    part = target.with_name(f".{target.name}.part")
    part.write_bytes(content)
    part.replace(target)
