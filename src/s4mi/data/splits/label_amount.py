"""Amount of labels to use: a percentage, a number of images or patients, or those listed in a saved split."""

import math
import re
from dataclasses import dataclass
from typing import Literal

from s4mi.errors import S4miError

Unit = Literal["percent", "images", "patients", "saved"]
_UNITS: dict[str, Unit] = {
    "": "percent", "%": "percent", "percent": "percent", "image": "images", "images": "images",
    "patient": "patients", "patients": "patients", "group": "patients", "groups": "patients",
}  # fmt: skip


@dataclass(frozen=True)
class LabelAmount:
    """An amount of the annotated training images; smaller amounts are contained in larger ones, in any unit.

    `saved` stands for the images that a saved split lists as labelled.
    """

    value: float
    unit: Unit = "percent"

    @classmethod
    def parse(cls, text: "float | str") -> "LabelAmount":
        """Parse `10`, `"10%"`, `"50 images"`, `"5 patients"` or `"saved"`.

        Raises:
            S4miError: the value is none of these, not positive, or more than 100 %.
        """
        if str(text).strip().lower() == "saved":
            return cls(0, "saved")
        match = re.fullmatch(r"\s*([0-9.]+(?:e-?[0-9]+)?)\s*([a-z%]*)\s*", str(text).lower())
        unit = _UNITS.get(match.group(2)) if match else None
        try:
            value = float(match.group(1)) if match else 0.0
        except ValueError:
            unit = None
        if unit is None:
            raise S4miError(f"{text!r} is not a valid amount of labels; use 10 (percent), '50 images' or '5 patients'")
        if (
            not 0 < value < math.inf
            or (unit == "percent" and value > 100)
            or (unit != "percent" and value != int(value))
        ):
            allowed = "a percentage above 0, up to 100" if unit == "percent" else f"a whole number of {unit} above 0"
            raise S4miError(f"{text!r} is not a valid amount of labels; use {allowed}")
        return cls(value, unit)

    def __str__(self) -> str:
        if self.unit == "saved":
            return "saved"
        if self.unit == "percent":
            return f"{self.value:g} %"
        return f"{self.value:g} {self.unit if self.value != 1 else self.unit[:-1]}"

    @property
    def setting(self) -> "float | str":
        """The value as written in a run file."""
        return self.value if self.unit == "percent" else str(self)
