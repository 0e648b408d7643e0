"""What near-duplicates are found by: a perceptual hash and the mean colour of each image, and thumbnails.

    hash       64 signs of the low frequencies of the cosine transform of the grey thumbnail (pHash, Zauner 2010)
    colour     mean of red, green and blue
    signature  128 signs of random projections of the thumbnail, normalised by local mean and contrast; of two images
               whose correlation is c, each sign differs with the probability arccos(c) / π (Charikar 2002)

Only these 36 bytes are needed of every image. The thumbnail of 3 KiB, which judges pairs that they find similar, is
kept only where it is at most a tenth of the file: smaller images are read again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.intensity import Intensity, Pixels
from s4mi.data.sketch_table import Sketches

THUMBNAIL_SIZE = 32
"""Side of a thumbnail in pixels."""
STORED_BYTES = 4500
"""Size of a thumbnail in a database, of which each fills a page."""
KEPT_SHARE = 0.1
"""Largest size of a kept thumbnail relative to the file that it stands for."""
LUMA = np.array([0.299, 0.587, 0.114])
LOW = 8
"""Number of low frequencies in each direction."""
MIN_SQUARE = 1.0
"""Least sum of squares of a normalised thumbnail that has structure."""
MIDDLE = (LOW**2 - 1) // 2
"""Position of the median of all low frequencies but the mean."""
LOCAL_SIGMA = 3.0
"""Sigma of the Gaussian neighbourhood for local mean and contrast, in pixels of a thumbnail."""
SIGNATURE_BYTES = 16
SEED = 20_110
"""Of the random projections; another one would make stored signatures meaningless."""
DECIMALS = 6
"""Coefficients are rounded to this many, as those of a single colour are zero but for noise."""


@dataclass(frozen=True, slots=True)
class Description:
    """Hash, mean colour and signature of a thumbnail; the signature is empty if the image has no structure."""

    hash: int
    colour: tuple[float, float, float]
    signature: bytes = bytes(SIGNATURE_BYTES)


ImageFile = tuple[Path, Intensity]
"""An image file, and the rule by which it is read."""


@dataclass(frozen=True)
class Thumbnails:
    """What near-duplicates among N images are found by.

    Attributes:
        hashes, colours, signatures: (N,) uint64, (N, 3) float32 and (N, 16) uint8.
        pixels: returns the (32, 32, 3) thumbnail of an image.
        file: returns the file that another process can read the thumbnail of an image from; None: it is at hand.
        sketches: of all images, if they were made on the way.
    """

    hashes: NDArray[np.uint64]
    colours: NDArray[np.float32]
    signatures: NDArray[np.uint8]
    pixels: Callable[[int], Pixels]
    file: Callable[[int], ImageFile | None] = lambda _: None
    sketches: Sketches | None = None

    def __len__(self) -> int:
        return len(self.hashes)

    def take(self, numbers: Sequence[int]) -> "Thumbnails":
        """Return those of some images, in the given order."""
        chosen = np.asarray(numbers, dtype=np.int64)
        return Thumbnails(
            self.hashes[chosen], self.colours[chosen], self.signatures[chosen], lambda n: self.pixels(int(chosen[n])),
            lambda n: self.file(int(chosen[n])), None if self.sketches is None else self.sketches.take(chosen),
        )  # fmt: skip

    def followed_by(self, other: "Thumbnails") -> "Thumbnails":
        """Return these and those of other images after them."""
        count = len(self)
        return Thumbnails(
            np.concatenate([self.hashes, other.hashes]),
            np.concatenate([self.colours, other.colours]),
            np.concatenate([self.signatures, other.signatures]),
            lambda n: self.pixels(n) if n < count else other.pixels(n - count),
            lambda n: self.file(n) if n < count else other.file(n - count),
        )


def thumbnail(pixels: Pixels) -> Pixels:
    """Downscale (H, W, 3) to (32, 32, 3) by area averaging."""
    size = (THUMBNAIL_SIZE, THUMBNAIL_SIZE)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def is_kept(file_bytes: int) -> bool:
    """Whether the thumbnail of a file of this size is kept."""
    return file_bytes * KEPT_SHARE >= STORED_BYTES


def describe(small: Pixels, structure: NDArray[np.float64] | None = None) -> Description:
    """Describe a (32, 32, 3) thumbnail.

    Args:
        structure: what `normalised` returns, where it is at hand.
    """
    transform = _low_frequencies()
    low = np.round(transform @ (small @ LUMA) @ transform.T, DECIMALS).ravel()
    low[0] = 0
    signs = low > np.sort(low[1:])[MIDDLE]
    red, green, blue, _ = cv2.mean(small)
    vector = (normalised(small) if structure is None else structure).astype(np.float32).ravel()
    structured = float(vector @ vector) >= MIN_SQUARE
    signature = np.packbits(_projections() @ vector > 0).tobytes() if structured else bytes(SIGNATURE_BYTES)
    return Description(int(np.packbits(signs).view(np.uint64)[0]), (red, green, blue), signature)


def normalised(image: Pixels) -> NDArray[np.float64]:
    """(32, 32) grey thumbnail, normalised by local mean and contrast."""
    grey = image @ LUMA
    difference = grey - cv2.GaussianBlur(grey, (0, 0), LOCAL_SIGMA)
    # 4 is the variance of noise of two grey levels, so that noise on uniform skin is not amplified to a pattern.
    contrast = np.sqrt(cv2.GaussianBlur(np.square(difference), (0, 0), LOCAL_SIGMA) + 4)
    return np.asarray((difference - difference.mean()) / contrast, dtype=np.float64)


def thumbnails_of(
    descriptions: Sequence[Description],
    pixels: Callable[[int], Pixels],
    file: Callable[[int], ImageFile | None] = lambda _: None,
) -> Thumbnails:
    """Return the thumbnails with these descriptions."""
    hashes = np.fromiter((one.hash for one in descriptions), dtype=np.uint64, count=len(descriptions))
    colours = np.array([one.colour for one in descriptions], dtype=np.float32).reshape(-1, 3)
    signatures = np.frombuffer(b"".join(one.signature for one in descriptions), dtype=np.uint8)
    return Thumbnails(hashes, colours, signatures.reshape(-1, SIGNATURE_BYTES), pixels, file)


def in_memory(array: NDArray[np.uint8]) -> Thumbnails:
    """Return the thumbnails of an (N, 32, 32, 3) array."""
    return thumbnails_of([describe(small) for small in array], lambda n: np.asarray(array[n]))


def kept_or_read(kept: Mapping[int, Pixels], read: Callable[[int], Pixels]) -> Callable[[int], Pixels]:
    """Return a function that gives the thumbnail of an image by its number: one that is kept, or that of `read`."""

    def pixels(number: int) -> Pixels:
        small = kept.get(number)
        return thumbnail(read(number)) if small is None else small

    return pixels


@cache
def _low_frequencies() -> NDArray[np.float64]:
    """(8, 32) rows of the orthonormal cosine transform (type II) of 32 values."""
    frequency, position = np.mgrid[:LOW, :THUMBNAIL_SIZE]
    basis = np.cos(np.pi * (position + 0.5) * frequency / THUMBNAIL_SIZE) * np.sqrt(2 / THUMBNAIL_SIZE)
    basis[0] /= np.sqrt(2)
    return np.asarray(basis, dtype=np.float64)


@cache
def _projections() -> NDArray[np.float32]:
    """(128, 1024) directions."""
    generator = np.random.Generator(np.random.PCG64(SEED))
    signs = generator.integers(0, 2, size=(8 * SIGNATURE_BYTES, THUMBNAIL_SIZE**2), dtype=np.int8)
    return (2 * signs - 1).astype(np.float32)
