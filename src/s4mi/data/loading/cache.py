"""Decode cache: all images and masks of a data set as uint8 arrays on disk, keyed by the content of their files.

    <cache>/<key>/images.npy   (N, S, S, 3) uint8     N entries: one per image, or per tile
                  masks.npy    (N, S, S)    uint8     class indices, IGNORE without a mask
                  thumbnails.npy (K, 32, 32, 3) uint8   of the larger files, to find near-duplicates (`thumbnails`)
                  index.npz    row, size, pixels, checksum, digests, foreground, hashes, colours, signatures, kept

The key hashes the bytes of the source files and every setting that affects pixels: a changed image, mask or setting
gives a new cache, so a cache is never stale. A cache is built in a temporary folder that is renamed under a lock: runs
that start at the same time decode only once, and a killed run leaves no partial cache.
"""

import hashlib
import json
import logging
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s4mi.data.files import decoding_revision, suffix_of
from s4mi.data.formats.intensity import Pixels
from s4mi.data.images import image_size, read_image
from s4mi.data.loading.cached_arrays import Cache, checksum_of, open_again, open_arrays
from s4mi.data.loading.file_hashes import DATABASE_NAME, FileHashes
from s4mi.data.loading.preprocessing import Preprocessing
from s4mi.data.manifest import Manifest
from s4mi.data.masks import foreground_share, read_mask
from s4mi.data.parallel import in_threads
from s4mi.data.row import Row
from s4mi.data.thumbnails import SIGNATURE_BYTES, THUMBNAIL_SIZE, ImageFile, describe, is_kept, thumbnail
from s4mi.errors import S4miError
from s4mi.records import IGNORE
from s4mi.records.atomic import make_private
from s4mi.records.lock import file_lock

FORMAT = 2

log = logging.getLogger("s4mi")
ProgressCallback = Callable[[int, int], None]


def open_cache(
    manifest: Manifest,
    preprocessing: Preprocessing,
    *,
    folder: Path,
    with_masks: bool,
    progress: ProgressCallback | None = None,
) -> Cache:
    """Open the cache of a data set below `folder`, after decoding the images if it is missing or damaged.

    Raises:
        S4miError: an image or mask is unreadable, or their sizes differ (all files are tried; the first error is
            reported with its manifest line, the others are counted), or `folder` is not writable.
    """
    try:
        make_private(folder)
        digests = _digests(manifest, folder=folder, with_masks=with_masks)

        def file(number: int) -> ImageFile:
            return manifest.rows[number].image, manifest.spec.rule

        key = _key(manifest, preprocessing, digests=digests, with_masks=with_masks)
        location = folder / key
        with file_lock(folder / f"{key}.lock", private=True):
            if location.exists():
                cache = open_again(location, key, file)
                if cache is not None:
                    return cache
                log.warning("cache %s is damaged; decoding the images again", key)
                shutil.rmtree(location)
            for leftover in folder.glob(f"{key}.building-*"):
                shutil.rmtree(leftover)
            building = folder / f"{key}.building-{os.getpid()}"
            try:
                images = [digests[row.image] for row in manifest.rows]
                _build(building, manifest, preprocessing, digests=images, with_masks=with_masks, progress=progress)
                building.rename(location)
            finally:
                shutil.rmtree(building, ignore_errors=True)
            cache = open_arrays(location, key, file, reused=False)
    except (OSError, sqlite3.Error) as error:
        raise S4miError(f"{folder}: cannot write the image cache ({error}); set data.cache to another disk") from error
    if cache is None:
        raise S4miError(f"{location}: the cache just written reads back differently; check the disk")
    return cache


def _digests(manifest: Manifest, *, folder: Path, with_masks: bool) -> dict[Path, str]:
    masks = [row.mask for row in manifest.rows if with_masks and row.mask is not None]
    return FileHashes(folder / DATABASE_NAME).digests([*(row.image for row in manifest.rows), *masks])


def _key(manifest: Manifest, preprocessing: Preprocessing, *, digests: Mapping[Path, str], with_masks: bool) -> str:
    masks = [row.mask if with_masks else None for row in manifest.rows]
    contents = {
        "format": FORMAT,
        "preprocessing": asdict(preprocessing),
        "intensity": str(manifest.spec.rule),
        "mask_values": {str(value): name for value, name in manifest.spec.mask_values.items()} if with_masks else None,
        "images": [digests[row.image] for row in manifest.rows],
        "masks": [digests[mask] if mask is not None else None for mask in masks] if with_masks else None,
    }
    files = [row.image for row in manifest.rows] + [mask for mask in masks if mask is not None]
    if revised := {suffix_of(file): revision for file in files if (revision := decoding_revision(file))}:
        contents["decoding"] = dict(sorted(revised.items()))  # caches of other files stay valid
    return hashlib.blake2b(json.dumps(contents).encode(), digest_size=16).hexdigest()


def _build(
    location: Path,
    manifest: Manifest,
    preprocessing: Preprocessing,
    *,
    digests: Sequence[str],
    with_masks: bool,
    progress: ProgressCallback | None,
) -> None:
    sizes = _sizes(manifest)
    location.mkdir(mode=0o700)
    building = _CacheInBuilding(location, manifest, preprocessing, sizes, with_masks=with_masks)

    def decode(number: int) -> str | None:
        try:
            building.add(number)
        except S4miError as error:
            return str(error)
        return None

    _raise_errors(_in_threads(decode, len(manifest.rows), progress), manifest)
    building.finish(digests)


class _CacheInBuilding:
    """The arrays of a cache while images are added to them, one by one, in any order and from several threads.

    Args:
        sizes: (R, 2) height and width of the image of each row of the manifest.
    """

    def __init__(
        self, location: Path, manifest: Manifest, preprocessing: Preprocessing, sizes: NDArray[np.int64], *,
        with_masks: bool,
    ) -> None:  # fmt: skip
        self._location, self._manifest, self._preprocessing = location, manifest, preprocessing
        self._sizes, self._with_masks = sizes, with_masks
        count = len(manifest.rows)
        self._tiles = np.array([len(preprocessing.grid((int(h), int(w))).corners) for h, w in sizes], dtype=np.int64)
        self._first = np.concatenate([[0], np.cumsum(self._tiles)])  # entry of the first tile of each row
        side, total = preprocessing.image_size, int(self._tiles.sum())
        self._images = _on_disk(location / "images.npy", (total, side, side, 3))
        self._masks = _on_disk(location / "masks.npy", (total if with_masks else 0, side, side))
        large = [number for number, row in enumerate(manifest.rows) if is_kept(row.image.stat().st_size)]
        self._kept = np.array(large, dtype=np.int64)
        self._thumbnail_of = {number: position for position, number in enumerate(large)}
        self._thumbnails = _on_disk(location / "thumbnails.npy", (len(large), THUMBNAIL_SIZE, THUMBNAIL_SIZE, 3))
        self._hashes = np.zeros(count, dtype=np.uint64)
        self._colours = np.zeros((count, 3), dtype=np.float32)
        self._signatures = np.zeros((count, SIGNATURE_BYTES), dtype=np.uint8)
        self._foreground = np.zeros(count)
        self._classes = len(manifest.spec.mask_classes) if with_masks else 0
        self._pixels = np.zeros((total, self._classes), dtype=np.int64)
        self._checksum = np.zeros(total, dtype=np.uint32)

    def add(self, number: int) -> None:
        """Decode the image of a row, and its mask.

        Raises:
            S4miError: one of them cannot be read, or their sizes differ.
        """
        row, entries = self._manifest.rows[number], slice(self._first[number], self._first[number + 1])
        image = _image(row, self._manifest)
        self._describe(number, image)
        images = self._preprocessing.images(image)
        self._images[entries] = images
        masks = self._add_mask(number, entries, shape=images.shape[:3]) if self._with_masks else None
        self._checksum[entries] = [
            checksum_of(tile, None if masks is None else masks[position]) for position, tile in enumerate(images)
        ]

    def _describe(self, number: int, image: Pixels) -> None:
        """Keep what near-duplicates are found by."""
        small = thumbnail(image)
        description = describe(small)
        self._hashes[number], self._colours[number] = description.hash, description.colour
        self._signatures[number] = np.frombuffer(description.signature, dtype=np.uint8)
        if number in self._thumbnail_of:
            self._thumbnails[self._thumbnail_of[number]] = small

    def _add_mask(self, number: int, entries: slice, *, shape: tuple[int, ...]) -> Pixels:
        """Store and return the mask of a row in its (T, S, S) tiles, `IGNORE` where the row has none."""
        row = self._manifest.rows[number]
        masks = np.full(shape, IGNORE, dtype=np.uint8)
        if row.mask is not None:
            full_mask = _mask(row, self._manifest, size=(int(self._sizes[number][0]), int(self._sizes[number][1])))
            self._foreground[number] = foreground_share(full_mask)
            masks = self._preprocessing.masks(full_mask)
        self._masks[entries] = masks
        self._pixels[entries] = [np.bincount(mask.ravel(), minlength=256)[: self._classes] for mask in masks]
        return masks

    def finish(self, digests: Sequence[str]) -> None:
        """Write what is left, once all images are added; `digests` are the hashes of their files."""
        for array in (self._images, self._masks, self._thumbnails):
            array.flush()
        index = self._location / "index.npz"
        os.close(os.open(index, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        np.savez(
            index, row=np.repeat(np.arange(len(self._tiles)), self._tiles), size=self._sizes, pixels=self._pixels,
            checksum=self._checksum, digests=np.array(digests, dtype=np.str_), foreground=self._foreground,
            hashes=self._hashes, colours=self._colours, signatures=self._signatures, kept=self._kept,
        )  # fmt: skip


def _on_disk(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.uint8]]:
    """Create an array in a file, allocating disk space at once, as a full disk would later kill the process."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # images of patients
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    if sys.platform == "linux":
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _sizes(manifest: Manifest) -> NDArray[np.int64]:
    sizes = np.zeros((len(manifest.rows), 2), dtype=np.int64)

    def measure(number: int) -> str | None:
        row = manifest.rows[number]
        try:
            sizes[number] = image_size(row.image)
        except S4miError as error:
            return f"image {row.image.name!r} {error}"
        return None

    _raise_errors(_in_threads(measure, len(manifest.rows), None), manifest)
    return sizes


def _image(row: Row, manifest: Manifest) -> Pixels:
    try:
        return read_image(row.image, manifest.spec.rule)
    except S4miError as error:
        raise S4miError(f"image {row.image.name!r} {error}") from error


def _mask(row: Row, manifest: Manifest, *, size: tuple[int, int]) -> Pixels:
    assert row.mask is not None
    try:
        mask = read_mask(row.mask, manifest.spec.mask_values)
    except S4miError as error:
        raise S4miError(f"mask {row.mask.name!r} {error}") from error
    if mask.shape != size:
        (height, width), (image_height, image_width) = mask.shape, size
        raise S4miError(
            f"mask {row.mask.name!r} is {height}×{width} but its image is {image_height}×{image_width}; "
            "re-export the mask at the size of its image"
        )
    return mask


def _in_threads(
    work: Callable[[int], str | None], count: int, progress: ProgressCallback | None
) -> list[tuple[int, str]]:
    errors = []
    for number, error in enumerate(in_threads(work, count)):
        if error is not None:
            errors.append((number, error))
        if progress is not None:
            progress(number + 1, count)
    return errors


def _raise_errors(errors: Sequence[tuple[int, str]], manifest: Manifest) -> None:
    if not errors:
        return
    number, message = errors[0]
    more = f" (and {len(errors) - 1} more; see all with: s4mi data check {manifest.folder})" if len(errors) > 1 else ""
    raise S4miError(f"{manifest.folder / manifest.rows[number].location}: {message}{more}")
