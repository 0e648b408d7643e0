"""A shard of stored features: one safetensors file, read memory-mapped, every image checked before it is used."""

import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from s4mi.records.plain import load_json

ID_BYTES = 16
IDS, CHECKSUM = "ids", "checksum"
SUFFIX = ".safetensors"
MAX_IMAGES = 256
MAX_BYTES = 64 << 20
HEADER_LIMIT = 1 << 20
"""Greatest length of a shard's header in bytes that is taken for a header."""
DTYPES = {"F16": "<f2", "F32": "<f4", "U8": "u1", "U32": "<u4"}

Ids = NDArray[np.bytes_]
"""(N,) hashes of `ID_BYTES` bytes."""
Features = dict[str, NDArray[Any]]
"""Outputs of an extractor by name, (N, …) each."""


def pixel_ids(images: NDArray[np.uint8]) -> Ids:
    """Hash (N, H, W, 3) network inputs: (N,) ids, equal only for equal pixels and sizes."""
    size = f"{images.shape[1:]}".encode()
    ids = np.zeros(len(images), dtype=f"S{ID_BYTES}")
    for number, image in enumerate(np.ascontiguousarray(images)):
        digest = hashlib.blake2b(image, digest_size=ID_BYTES, person=hashlib.blake2b(size, digest_size=16).digest())
        ids[number] = digest.digest()
    return ids


@dataclass(frozen=True)
class Shard:
    """A file, the ids of its images, and where in it the features are: dtype, shape and offset of each output."""

    path: Path
    ids: Ids
    outputs: dict[str, tuple[np.dtype[Any], tuple[int, ...], int]]
    checksum: NDArray[np.uint32]

    @property
    def size(self) -> int:
        """Bytes of all features."""
        return sum(dtype.itemsize * int(np.prod(shape)) for dtype, shape, _ in self.outputs.values())

    def sound(self) -> bool:
        """Whether no features are damaged; reads all of them."""
        return self.read(np.arange(len(self.ids))) is not None

    def read(self, positions: NDArray[np.int64]) -> Features | None:
        """Return the features at these positions, or None if they are damaged."""
        try:
            found = {
                name: np.memmap(self.path, dtype=dtype, mode="r", shape=shape, offset=offset)[positions]
                for name, (dtype, shape, offset) in self.outputs.items()
            }
        except (OSError, ValueError):
            return None
        found = {name: np.asarray(array) for name, array in found.items()}
        return found if np.array_equal(_checksums(found, len(positions)), self.checksum[positions]) else None


def encode_shard(ids: Ids, features: Features) -> tuple[str, bytes]:
    """Return the file name of a shard, and its contents."""
    raw = np.frombuffer(ids.astype(f"S{ID_BYTES}").tobytes(), dtype=np.uint8).reshape(len(ids), ID_BYTES).copy()
    arrays = {name: np.ascontiguousarray(array) for name, array in features.items()}
    return _shard_name(raw), save({IDS: raw, CHECKSUM: _checksums(arrays, len(ids)), **arrays})


def shard_images(bytes_per_image: int, *, batch: int) -> int:
    """Return how many images a shard holds: a multiple of `batch`, so that a resumed run makes the same batches."""
    fitting = min(MAX_IMAGES, MAX_BYTES // max(1, bytes_per_image))
    return max(1, fitting // batch) * batch


def open_shard(path: Path) -> Shard:
    """Read the header and the ids of a shard.

    Raises:
        ValueError, KeyError, TypeError: the shard is damaged.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= HEADER_LIMIT:
            raise ValueError("no header")
        header = load_json(file.read(length))
        start, size = 8 + length, path.stat().st_size
        arrays: dict[str, tuple[np.dtype[Any], tuple[int, ...], int]] = {}
        end = 0
        for name, entry in header.items():
            dtype, shape = np.dtype(DTYPES[entry["dtype"]]), tuple(int(side) for side in entry["shape"])
            begin, after = entry["data_offsets"]
            if after - begin != dtype.itemsize * int(np.prod(shape)):
                raise ValueError("a wrong header")
            arrays[name] = dtype, shape, start + begin
            end = max(end, after)
        if size != start + end:
            raise ValueError("cut off")
        raw, checksum = (_array(file, arrays.pop(name)) for name in (IDS, CHECKSUM))
    if _shard_name(raw) != path.name:
        raise ValueError("ids of another shard")
    return Shard(path, np.frombuffer(raw.tobytes(), dtype=f"S{ID_BYTES}"), arrays, checksum)


def _array(file: Any, place: tuple[np.dtype[Any], tuple[int, ...], int]) -> NDArray[Any]:
    dtype, shape, offset = place
    file.seek(offset)
    return np.frombuffer(file.read(dtype.itemsize * int(np.prod(shape))), dtype=dtype).reshape(shape)


def _shard_name(raw: NDArray[np.uint8]) -> str:
    return hashlib.blake2b(raw.tobytes(), digest_size=16).hexdigest() + SUFFIX


def _checksums(arrays: Features, count: int) -> NDArray[np.uint32]:
    """(N,) checksum of the features of each image, over all outputs in the order of their names."""
    sums = np.zeros(count, dtype=np.uint32)
    for name in sorted(arrays):
        rows = arrays[name].reshape(count, -1)
        for number in range(count):
            sums[number] = zlib.crc32(rows[number].tobytes(), int(sums[number]))
    return sums
