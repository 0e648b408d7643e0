"""Arrays of images, masks and labels in `.npy`, `.npz` and HDF5 files, read image by image."""

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s4mi.errors import S4miError, require_extra

HDF5 = (".h5", ".hdf5", ".he5")
SUFFIXES = (".npy", ".npz", *HDF5)
ONLY = "array"
"""Key of the array in a `.npy` file, which has none."""


@dataclass(frozen=True)
class ArrayHeader:
    """Shape and type of an array; `fortran` if its first axis varies fastest."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool = False


def headers(path: Path) -> dict[str, ArrayHeader]:
    """Return the arrays of a file by key, without reading their values.

    Raises:
        S4miError: the file cannot be read, or the package for its format is not installed.
    """
    with _errors(path):
        if path.suffix.lower() == ".npy":
            with path.open("rb") as file:
                return {ONLY: _numpy_header(file)}
        if path.suffix.lower() == ".npz":
            with zipfile.ZipFile(path) as archive:
                found = {}
                for member in archive.namelist():
                    if member.endswith(".npy"):
                        with archive.open(member) as stream:
                            found[member.removesuffix(".npy")] = _numpy_header(stream)
                return found
        found = {}
        with _hdf5(path) as file:

            def add(name: str, item: Any) -> None:
                if hasattr(item, "shape") and hasattr(item, "dtype"):
                    found[name] = ArrayHeader(tuple(item.shape), np.dtype(item.dtype))

            file.visititems(add)
        return found


def read(path: Path, key: str) -> NDArray[Any]:
    """Read a whole array; text in HDF5 as `str`.

    Raises:
        S4miError: the file cannot be read, or the array holds Python objects.
    """
    with _errors(path):
        if path.suffix.lower() == ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        if path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return np.asarray(arrays[key])
        with _hdf5(path) as file:
            values = file[key][()]
            if values.dtype.kind == "O":
                return np.array([v.decode() if isinstance(v, bytes) else str(v) for v in values.ravel()])
            return np.asarray(values)


def items(path: Path, key: str, numbers: Sequence[int]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield items of an array along its first axis, one at a time, with their ascending numbers.

    Raises:
        S4miError: the file cannot be read or is shorter than its header says.
    """
    with _errors(path):
        if path.suffix.lower() == ".npz":
            yield from _items_of_archive(path, key, numbers)
        elif path.suffix.lower() == ".npy":
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            for number in numbers:
                yield number, np.array(array[number])
        else:
            with _hdf5(path) as file:
                for number in numbers:
                    yield number, np.asarray(file[key][number])


def _items_of_archive(path: Path, key: str, numbers: Sequence[int]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Read the member from its beginning, as it is compressed and may not fit into memory."""
    wanted = set(numbers)
    with zipfile.ZipFile(path) as archive, archive.open(f"{key.removesuffix('.npy')}.npy") as stream:
        header = _numpy_header(stream)
        if header.fortran:
            raise S4miError(f"has {key!r} in Fortran order; save it again with numpy.ascontiguousarray")
        size = int(np.prod(header.shape[1:])) * header.dtype.itemsize
        for number in range(max(numbers) + 1):
            content = stream.read(size)
            if len(content) < size:
                raise S4miError(f"ends in item {number} of {key!r}; copy or download it again")
            if number in wanted:
                yield number, np.frombuffer(content, dtype=header.dtype).reshape(header.shape[1:])


def _numpy_header(stream: Any) -> ArrayHeader:
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read_header(stream)
    if dtype.hasobject:
        raise S4miError("holds Python objects, which may contain any code; save plain arrays of numbers or text")
    return ArrayHeader(tuple(shape), dtype, bool(fortran))


@contextmanager
def _hdf5(path: Path) -> Iterator[Any]:
    h5py = require_extra("h5py", extra="hdf5", purpose=f"{path.name}: reading HDF5 files")
    with h5py.File(path, "r") as file:
        yield file


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Convert any failure to read `path` into a one-line error that names it."""
    try:
        yield
    except S4miError as error:
        text = str(error)
        raise S4miError(text if text.startswith((str(path), path.name)) else f"{path}: {text}") from error
    except Exception as error:  # NumPy, zipfile and h5py raise almost any exception on broken files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise S4miError(f"{path}: cannot be read ({reason}); copy or download it again") from error
