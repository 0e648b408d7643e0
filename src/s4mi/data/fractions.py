"""How many labels may be read: a percentage, a number of images, or a number of patients."""

import re
from dataclasses import dataclass
from typing import Literal

from s4mi.errors import S4miError

Unit = Literal["percent", "images", "patients"]
_UNITS: dict[str, Unit] = {
    "": "percent", "%": "percent", "percent": "percent", "image": "images", "images": "images",
    "patient": "patients", "patients": "patients", "group": "patients", "groups": "patients",
}  # fmt: skip


@dataclass(frozen=True)
class LabelAmount:
    """An amount of the annotated training images; smaller amounts, in whatever unit, lie inside larger ones."""

    value: float
    unit: Unit = "percent"

    @classmethod
    def parse(cls, given: "float | str") -> "LabelAmount":
        """`10`, `"10%"`, `"50 images"` or `"5 patients"`.

        Raises:
            S4miError: it is none of these, or not above zero, or more than 100 %.
        """
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
        if self.unit == "percent":
            return f"{self.value:g} %"
        return f"{self.value:g} {self.unit if self.value != 1 else self.unit[:-1]}"

    @property
    def setting(self) -> "float | str":
        """As it stands in a run file."""
        return self.value if self.unit == "percent" else str(self)
