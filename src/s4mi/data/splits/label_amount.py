"""How many labels may be read: a percentage, a number of images, a number of patients, or those that a file names."""

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
    """An amount of the annotated training images; smaller amounts, in whatever unit, lie inside larger ones.

    `saved` is no amount of its own: those images that a saved split lists as labelled.
    """

    value: float
    unit: Unit = "percent"

    @classmethod
    def parse(cls, given: "float | str") -> "LabelAmount":
        """`10`, `"10%"`, `"50 images"`, `"5 patients"` or `"saved"`.

        Raises:
            S4miError: it is none of these, or not above zero, or more than 100 %.
        """
        if str(given).strip().lower() == "saved":
            return cls(0, "saved")
        found = re.fullmatch(r"\s*([0-9.]+(?:e-?[0-9]+)?)\s*([a-z%]*)\s*", str(given).lower())
        unit = _UNITS.get(found.group(2)) if found else None
        try:
            value = float(found.group(1)) if found else 0.0
        except ValueError:
            unit = None
        if unit is None:
            raise S4miError(f"{given!r} is no amount of labels; write 10 (percent), '50 images' or '5 patients'")
        if value <= 0 or (unit == "percent" and value > 100) or (unit != "percent" and value != int(value)):
            wanted = "above 0 and at most 100" if unit == "percent" else "a whole number above 0"
            raise S4miError(f"{given!r} is no amount of labels; a number of {unit} is {wanted}")
        return cls(value, unit)

    def __str__(self) -> str:
        if self.unit == "saved":
            return "saved"
        if self.unit == "percent":
            return f"{self.value:g} %"
        return f"{self.value:g} {self.unit if self.value != 1 else self.unit[:-1]}"

    @property
    def setting(self) -> "float | str":
        """As it stands in a run file."""
        return self.value if self.unit == "percent" else str(self)
