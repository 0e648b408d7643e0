"""The arrays of a decode cache on disk, memory-mapped and verified."""

import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s4mi.data.banded_page import read_for
from s4mi.data.formats.intensity import Pixels
from s4mi.data.thumbnails import THUMBNAIL_SIZE, ImageFile, Thumbnails, in_memory, thumbnail

ARRAYS = ("images.npy", "masks.npy", "thumbnails.npy")
DESCRIBED = ("hashes", "colours", "signatures", "kept")
"""Arrays of the index that describe the images, and tell the rows whose thumbnails are kept."""
REMEMBERED = 4
"""Number of caches of which a process knows that they are undamaged."""
READ_AT_A_TIME = 64
CHECKED_BYTES = 2 << 30
"""On reuse, caches up to this size are verified completely, larger ones by a fixed sample of entries."""


@dataclass(frozen=True)
class Cache:
    """Decoded images, memory-mapped.

    Attributes:
        key: content hash.
        images: (N, S, S, 3) uint8.
        masks: (N, S, S) uint8, or None if the task needs none.
        row: (N,) manifest row of each entry, ascending.
        size: (R, 2) height and width in the file, per manifest row.
        pixels: (N, K) number of pixels of each mask class per entry, or (N, 0).
        thumbnails: of the whole image of each manifest row, before preprocessing.
        digests: (R,) hexadecimal hash of the bytes of each image file.
        foreground: (R,) share of foreground in each mask at its original resolution, 0 without a mask.
        reused: whether the cache existed before.
    """

    key: str
    images: Pixels
    masks: Pixels | None
    row: NDArray[np.int64]
    size: NDArray[np.int64]
    pixels: NDArray[np.int64]
    thumbnails: Thumbnails
    digests: NDArray[np.str_]
    foreground: NDArray[np.float64]
    reused: bool

    def entries_of(self, rows: Iterable[int]) -> NDArray[np.int64]:
        """Return the indices of the entries of the given manifest rows, ascending."""
        return np.flatnonzero(np.isin(self.row, np.fromiter(rows, dtype=np.int64))).astype(np.int64)


_verified: dict[tuple[Path, tuple[tuple[int, int], ...]], Cache] = {}
"""The caches that this process has verified last, by folder and by size and time of change of their files."""


FileOfRow = Callable[[int], ImageFile]
"""Tells the image file of a manifest row."""


def open_again(location: Path, key: str, file: FileOfRow) -> Cache | None:
    """Open a cache; the runs of a study verify it once as long as its files do not change."""
    try:
        status = [(location / name).stat() for name in (*ARRAYS, "index.npz")]
    except OSError:
        return None
    version = (location, tuple((one.st_size, one.st_mtime_ns) for one in status))
    if version not in _verified:
        cache = open_arrays(location, key, file, reused=True)
        if cache is None:
            return None
        while len(_verified) >= REMEMBERED:
            _verified.pop(next(iter(_verified)), None)
        _verified[version] = cache
    return _verified[version]


def open_arrays(location: Path, key: str, file: FileOfRow, *, reused: bool) -> Cache | None:
    """Open and verify the cache at `location`, or return None if it is damaged.

    Args:
        file: called for thumbnails that are not kept.
    """
    try:
        arrays: list[Any] = [np.load(location / name, mmap_mode="r") for name in ARRAYS]
        images, masks, kept = arrays
        with np.load(location / "index.npz") as index:
            row, size, pixels, checksum = (index[name] for name in ("row", "size", "pixels", "checksum"))
            digests, foreground = index["digests"], index["foreground"]
            described = [index[name] for name in DESCRIBED] if DESCRIBED[0] in index else None
    except Exception:  # on damaged files numpy and zipfile raise almost any exception
        return None
    has_masks = pixels.shape[1] > 0
    if (
        len(images) != len(row)
        or (has_masks and len(masks) != len(row))
        or len(kept) != len(size if described is None else described[-1])
    ):
        return None
    arrays = [images, masks] if has_masks else [images]
    for numbers, parts in _read_entries(arrays, _entries_to_verify(len(row), images.nbytes + masks.nbytes)):
        for number, entry in zip(numbers, zip(*parts, strict=True), strict=True):
            if checksum_of(entry[0], entry[1] if has_masks else None) != checksum[number]:
                return None
    return Cache(
        key=key, images=images, masks=masks if has_masks else None, row=row, size=size, pixels=pixels,
        thumbnails=_thumbnails(kept, described, file), digests=digests, foreground=foreground, reused=reused,
    )  # fmt: skip


def _thumbnails(kept: Pixels, described: list[Any] | None, file: FileOfRow) -> Thumbnails:
    """Return the thumbnails of all rows; caches of older versions hold all of them and no hashes."""
    if described is None:
        return in_memory(kept)
    hashes, colours, signatures, numbers = described
    place = {int(number): index for index, number in enumerate(numbers)}

    def pixels(number: int) -> Pixels:
        index = place.get(number)
        if index is None:
            path, rule = file(number)
            return thumbnail(read_for(path, rule, (THUMBNAIL_SIZE, THUMBNAIL_SIZE)))
        return np.asarray(kept[index])

    return Thumbnails(hashes, colours, signatures, pixels, lambda n: None if n in place else file(n))


def _read_entries(
    arrays: Sequence[Any], entries: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], list[NDArray[np.uint8]]]]:
    """Yield the contents of entries from the files themselves: mapped, all of them would stay in memory."""
    for start in range(0, len(entries), READ_AT_A_TIME):
        some = entries[start : start + READ_AT_A_TIME]
        first, count = int(some[0]), int(some[-1] - some[0]) + 1
        if count > 4 * len(some):  # a sample
            yield some, [array[some] for array in arrays]
            continue
        parts = []
        for array in arrays:
            size = math.prod(array.shape[1:])
            values = np.fromfile(array.filename, dtype=np.uint8, count=count * size, offset=array.offset + first * size)
            parts.append(values.reshape(count, *array.shape[1:])[some - first])
        yield some, parts


def _entries_to_verify(entries: int, size: int) -> NDArray[np.int64]:
    if size <= CHECKED_BYTES:
        return np.arange(entries)
    return np.unique(np.linspace(0, entries - 1, num=max(1, entries * CHECKED_BYTES // size)).astype(np.int64))


def checksum_of(image: Pixels, mask: Pixels | None) -> int:
    """CRC-32 of an entry."""
    checksum = zlib.crc32(np.ascontiguousarray(image).data)
    return checksum if mask is None else zlib.crc32(np.ascontiguousarray(mask).data, checksum)
