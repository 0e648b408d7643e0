"""How numbers of more than 8 bits become 0..255. One rule a data set, recorded in its `dataset.yaml`.

    percentiles:0.1:99.9   the image's (or volume's) own percentiles become 0 and 255; the default
    window:-160:240        these two values do, in every image alike; e.g. Hounsfield units
    range                  the limits of the integer type do: 0 and 65535 of a 16-bit image

What lies outside is clipped. Images that already are 8-bit stay as they are. A file that brings a window of its own
(DICOM) is shown through it, unless the rule is a window.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.frame import ImageError
from s4mi.errors import S4miError

Pixels = NDArray[np.uint8]
DEFAULT = "percentiles:0.1:99.9"
SAMPLED = 4_000_000
"""Percentiles of larger arrays are taken over this many evenly spaced values."""


@dataclass(frozen=True)
class Intensity:
    """A rule; `low` and `high` are percentiles in [0, 100] or values of pixels, by `kind`."""

    kind: Literal["percentiles", "window", "range"] = "percentiles"
    low: float = 0.1
    high: float = 99.9

    @classmethod
    def parse(cls, text: str) -> "Intensity":
        """The rule that `text` names.

        Raises:
            S4miError: it names none.
        """
        kind, *numbers = text.strip().split(":")
        if kind == "range" and not numbers:
            return cls("range", 0.0, 0.0)
        try:
            low, high = (float(number) for number in numbers)
        except ValueError:
            low = high = math.nan
        if kind == "percentiles" and 0 <= low < high <= 100:
            return cls("percentiles", low, high)
        if kind == "window" and math.isfinite(low) and math.isfinite(high) and low < high:
            return cls("window", low, high)
        raise S4miError(f"{text!r} is no intensity rule; write {DEFAULT}, window:LOW:HIGH or range")

    def __str__(self) -> str:
        return self.kind if self.kind == "range" else f"{self.kind}:{self.low:g}:{self.high:g}"

    def limits(self, values: NDArray[Any], window: tuple[float, float] | None = None) -> tuple[float, float]:
        """The two values that become 0 and 255; `window` is the file's own.

        Raises:
            ImageError: no value is finite, or the rule `range` meets numbers with a fraction.
        """
        if self.kind == "window":
            return self.low, self.high
        if window is not None:
            return window
        if self.kind == "range":
            if values.dtype.kind not in "iu":
                raise ImageError(
                    "undecodable", f"holds {values.dtype} numbers, which have no range; set intensity to a window"
                )
            info = np.iinfo(values.dtype.name)
            return float(info.min), float(info.max)
        numbers = np.asarray(values.reshape(-1)[:: max(1, values.size // SAMPLED)], dtype=np.float64)
        finite = numbers[np.isfinite(numbers)]
        if finite.size == 0:
            raise ImageError("undecodable", "holds no finite pixel; export it again")
        low, high = np.percentile(finite, (self.low, self.high))
        if high <= low:  # nearly everything has one value, such as a small bright thing on black
            low, high = finite.min(), finite.max()
        return float(low), float(high)

    def to_uint8(
        self,
        values: NDArray[Any],
        window: tuple[float, float] | None = None,
        *,
        limits: tuple[float, float] | None = None,
    ) -> Pixels:
        """`values` as 0..255: as they are when uint8, 0/255 when boolean, else stretched between the limits.

        Args:
            limits: those of the whole volume that the values are a slice of; else they are found here.
        """
        if values.dtype == np.uint8:
            return np.asarray(values, dtype=np.uint8)
        if values.dtype == np.bool_:
            return np.where(values, 255, 0).astype(np.uint8)
        low, high = limits or self.limits(values, window)
        numbers = np.nan_to_num(np.asarray(values, dtype=np.float64), nan=low)
        scale = 255.0 / (high - low) if high > low else 0.0
        return np.asarray(np.rint(np.clip((numbers - low) * scale, 0, 255)), dtype=np.uint8)
