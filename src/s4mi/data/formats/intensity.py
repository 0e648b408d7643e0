"""Conversion of pixel values of more than 8 bits to 0..255, by one rule per data set, recorded in `dataset.yaml`.

    percentiles:0.1:99.9   percentiles of each image (or volume) become 0 and 255; the default
    window:-160:240        two fixed values become 0 and 255 in every image, e.g. in Hounsfield units
    range                  the limits of the integer type become 0 and 255, e.g. 0 and 65535 of a 16-bit image

Values outside are clipped. 8-bit images are left unchanged. A window stored in the file (DICOM) takes precedence,
unless the rule is itself a window.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.frame import Frame, ImageError
from s4mi.errors import S4miError

Pixels = NDArray[np.uint8]
DEFAULT = "percentiles:0.1:99.9"
SAMPLED = 4_000_000
"""Number of evenly spaced values from which the percentiles of larger arrays are computed."""


@dataclass(frozen=True)
class Intensity:
    """An intensity rule; `low` and `high` are percentiles in [0, 100] or pixel values, depending on `kind`."""

    kind: Literal["percentiles", "window", "range"] = "percentiles"
    low: float = 0.1
    high: float = 99.9

    @classmethod
    def parse(cls, text: str) -> "Intensity":
        """Parse a rule such as `window:-160:240`.

        Raises:
            S4miError: `text` is not a valid rule.
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
        raise S4miError(f"unknown intensity rule {text!r}; use {DEFAULT}, window:LOW:HIGH or range")

    def __str__(self) -> str:
        return self.kind if self.kind == "range" else f"{self.kind}:{self.low:g}:{self.high:g}"

    def limits(self, values: NDArray[Any], window: tuple[float, float] | None = None) -> tuple[float, float]:
        """Return the two values that become 0 and 255; `window` is the one stored in the file.

        Raises:
            ImageError: no value is finite, or the rule is `range` and the values are not integers.
        """
        if self.kind == "window":
            return self.low, self.high
        if window is not None:
            return window
        if self.kind == "range":
            if values.dtype.kind not in "iu":
                raise ImageError(
                    "undecodable", f"holds {values.dtype} values, which have no fixed range; set intensity to a window"
                )
            info = np.iinfo(values.dtype.name)
            return float(info.min), float(info.max)
        numbers = np.asarray(values.reshape(-1)[:: max(1, values.size // SAMPLED)], dtype=np.float64)
        finite = numbers[np.isfinite(numbers)]
        if finite.size == 0:
            raise ImageError("undecodable", "has no finite pixel value; export it again")
        low, high = np.percentile(finite, (self.low, self.high))
        if high <= low:  # almost all pixels have one value, e.g. a small bright object on black
            low, high = finite.min(), finite.max()
        return float(low), float(high)

    def to_uint8(
        self,
        values: NDArray[Any],
        window: tuple[float, float] | None = None,
        *,
        limits: tuple[float, float] | None = None,
        inverted: bool = False,
    ) -> Pixels:
        """Convert values to 0..255: uint8 unchanged, booleans to 0/255, others stretched between the limits.

        Args:
            limits: limits of the whole volume if the values are one of its slices; by default computed from `values`.
            inverted: whether low values are bright.
        """
        if values.dtype == np.uint8:
            return np.asarray(255 - values if inverted else values, dtype=np.uint8)
        if values.dtype == np.bool_:
            return np.where(values != inverted, 255, 0).astype(np.uint8)
        low, high = limits or self.limits(values, window)
        numbers = np.asarray(values, dtype=np.float64)
        if inverted:
            numbers, low, high = -numbers, -high, -low
        numbers = np.nan_to_num(numbers, nan=low)
        scale = 255.0 / (high - low) if high > low else 0.0
        return np.asarray(np.rint(np.clip((numbers - low) * scale, 0, 255)), dtype=np.uint8)

    def show(self, frame: Frame, *, limits: tuple[float, float] | None = None) -> Pixels:
        """Convert a decoded frame to 0..255, through its own window and the right way round; see `to_uint8`."""
        if frame.window is not None:
            limits = None
        elif limits is None and self.kind == "percentiles" and frame.padding is not None and not frame.padding.all():
            limits = self.limits(frame.sample())
        return self.to_uint8(frame.values, frame.window, limits=limits, inverted=frame.inverted)
