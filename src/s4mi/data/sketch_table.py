"""Sketches of many images: normalised thumbnails in a byte per pixel, and which pairs they rule out (`sketches`)."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from s4mi.data.parallel import in_threads

PIXELS = 1024
"""Of a thumbnail."""
PAIRS_AT_A_TIME = 4096

Sketch = tuple[NDArray[np.int8], float, float, float]
"""(1024,) rounded values, their scale, the error of the rounding, and the sum of squares before normalisation."""


@dataclass(frozen=True)
class Sketches:
    """Sketches of images: (U, 1024) int8 values, and (U,) scales, errors and squares.

    Attributes:
        places: (N,) where the sketch of each image is, -1 if it has none.
    """

    places: NDArray[np.int64]
    values: NDArray[np.int8]
    scales: NDArray[np.float64]
    errors: NDArray[np.float64]
    squares: NDArray[np.float64]

    def take(self, numbers: NDArray[np.int64]) -> "Sketches":
        """Return those of some images, in the given order."""
        return replace(self, places=self.places[numbers])

    def put(self, place: int, one: Sketch) -> None:
        """Fill in a sketch."""
        self.values[place], self.scales[place], self.errors[place], self.squares[place] = one

    def release(self) -> None:
        """Give the memory of the values back, a KiB for each image; they are no longer `at_hand`."""
        self.values.resize((0, PIXELS), refcheck=False)  # whoever else holds this table cannot tell when it is used up

    @property
    def at_hand(self) -> bool:
        """Whether there are values."""
        return len(self.values) == len(self.scales)

    def may_correlate(self, pairs: NDArray[np.int64], least: float) -> NDArray[np.bool_]:
        """(P,) whether the correlation of (P, 2) images may be at least `least`, or one of them has no structure."""
        places = self.places[pairs]
        starts = range(0, len(pairs), PAIRS_AT_A_TIME)

        def of_portion(portion: int) -> NDArray[np.bool_]:
            one, other = places[starts[portion] : starts[portion] + PAIRS_AT_A_TIME].T
            product = np.einsum(
                "pi,pi->p", self.values[one].astype(np.float32), self.values[other].astype(np.float32)
            ).astype(np.float64)
            e, f = self.errors[one], self.errors[other]
            with np.errstate(invalid="ignore"):
                bound = product / (self.scales[one] * self.scales[other]) + e * (1 + f) + f * (1 + e) + e * f
            # The scale of an image without structure says nothing; such pairs are compared pixel by pixel.
            return np.asarray((bound >= least) | np.isnan(bound) | (self.squares[one] * self.squares[other] < 1))

        found = list(in_threads(of_portion, len(starts)))
        return np.concatenate(found) if found else np.zeros(0, dtype=np.bool_)


def unfilled(count: int, places: NDArray[np.int64]) -> Sketches:
    """Return `count` sketches that may be of any image, as long as they are not filled in."""
    values = np.zeros((count, PIXELS), dtype=np.int8)
    return Sketches(places, values, np.ones(count), np.full(count, np.inf), np.ones(count))
