"""External test sets: data sets of other places, on which a finished run is scored beside its own test part."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field

from s4mi.config.sections import Section
from s4mi.home import expanded

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""Names become file names and column titles."""


class ExternalTestConfig(Section):
    """An external test set. It is read with the preprocessing of the run, and none of it is trained on."""

    path: Path = Field(description="Folder of the external data set, containing dataset.yaml and manifest.csv")
    version: int | None = Field(None, ge=1, description="Version of the external data set (default: the newest)")
    part: Literal["all", "train", "val", "test"] = Field(
        "all", description="Images to score: all of them, or one part of the external data set's official split"
    )
    classes: dict[str, str] = Field(
        {},
        description="Classes of the external data set that have another name in the run, as {external: run}; all "
        "others are matched by name",
    )

    def absolute(self) -> Self:
        """Return the settings with an absolute path."""
        return self.model_copy(update={"path": expanded(self.path).absolute()})


def check_names(tests: dict[str, ExternalTestConfig]) -> dict[str, ExternalTestConfig]:
    """Return the tests unchanged if their names can be file names.

    Raises:
        ValueError: a name cannot.
    """
    for name in tests:
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a valid name; use letters, digits, '_', '.' and '-'")
    return tests


Tests = Annotated[dict[str, ExternalTestConfig], AfterValidator(check_names)]
"""External test sets by name."""
