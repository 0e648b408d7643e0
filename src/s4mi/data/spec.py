"""`dataset.yaml`: what a data set is, and the shape of everything that may be found wrong with one."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from s4mi.data.formats.intensity import DEFAULT, Intensity
from s4mi.errors import S4miError, nearest
from s4mi.records import TaskKind, write_text_atomically

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

SPEC_NAME = "dataset.yaml"
NO_CLASS = "none"
"""In the column `label`: annotated, with no class present."""
IGNORED_CLASS = "ignore"
"""In `mask_values`: pixels that are no class and enter no loss and no score."""

MaskKey = int | str
"""What codes a class in a mask file: a number from 0 to 255, or a colour as `#rrggbb`."""

Severity = Literal["error", "warning", "note"]
"""An error makes the data set unusable or untrue, a warning should be looked at, a note is worth knowing."""


@dataclass(frozen=True)
class Finding:
    """Something wrong with a data set: where, what, and how to mend it.

    Attributes:
        code: short stable name, e.g. `missing-mask`.
        file: the file to open, relative to the data set's folder.
        line: line in that file, or None.
        message: value and cure in one line, without file and line.
        rows: lines of the manifest that it concerns, the first in `line`; empty where it concerns no rows.
    """

    code: str
    severity: Severity
    file: str
    line: int | None
    message: str
    rows: tuple[int, ...] = ()

    @property
    def place(self) -> str:
        """`file:line`, or `file` where no line is known."""
        return self.file if self.line is None else f"{self.file}:{self.line}"

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class DatasetSpec(BaseModel):
    """The contents of `dataset.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    tasks: tuple[TaskKind, ...] = Field(description="what can be learnt from its annotations; empty when it has none")
    classes: tuple[str, ...] = Field((), description="names that the column `label` may hold")
    mask_values: dict[MaskKey, str] = Field(
        {},
        description="pixel value, or colour as '#rrggbb', → class name, background first; several may share a name; "
        "`ignore` is no class",
    )
    intensity: str = Field(DEFAULT, description="how images of more than 8 bits become 0..255")
    conversion: str = Field("", description="in words, what the import made of files that were no 8-bit pictures")
    channels: Literal["rgb", "grey"] = "rgb"
    root: str = Field("", description="folder that the manifest's paths start from")
    source: str = ""
    licence: str = ""
    synthetic: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> "DatasetSpec":
        if {"multiclass", "multilabel"} <= set(self.tasks):
            raise ValueError("tasks: a data set is multiclass or multilabel, not both; keep the one its labels are")
        if {"multiclass", "multilabel"} & set(self.tasks) and len(self.classes) < (
            2 if "multiclass" in self.tasks else 1
        ):
            raise ValueError("classes: too few for the task; list every class name of the column `label`")
        if "segmentation" in self.tasks and len(self.mask_classes) < 2:
            raise ValueError("mask_values: name at least two classes, e.g. {0: background, 255: lesion}")
        colours = [key for key in self.mask_values if isinstance(key, str)]
        if any(isinstance(key, int) and not 0 <= key <= 255 for key in self.mask_values):
            raise ValueError("mask_values: pixel values lie between 0 and 255")
        if wrong := next((key for key in colours if not re.fullmatch("#[0-9a-f]{6}", key)), None):
            raise ValueError(f"mask_values: {wrong!r} is no number and no colour; write e.g. 255 or '#ff0000'")
        if colours and len(colours) < len(self.mask_values):
            raise ValueError("mask_values: are all numbers or all colours; write numbers as greys, e.g. '#000000'")
        for name in self.classes:
            if not name.isprintable() or name in ("", NO_CLASS) or ";" in name:
                raise ValueError(
                    f"classes: {name!r} cannot name a class; it is empty, 'none', or holds ';' or a control"
                )
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("classes: a name stands twice")
        try:
            Intensity.parse(self.intensity)
        except S4miError as error:
            raise ValueError(f"intensity: {error}") from error
        return self

    @property
    def rule(self) -> Intensity:
        """`intensity`, to be used."""
        return Intensity.parse(self.intensity)

    @property
    def mask_classes(self) -> tuple[str, ...]:
        """Names of the mask classes in the order of a segmenter's outputs, background first."""
        return tuple(dict.fromkeys(name for name in self.mask_values.values() if name != IGNORED_CLASS))

    def classes_of(self, kind: TaskKind) -> tuple[str, ...]:
        """Names of the outputs of a network for this task."""
        return self.mask_classes if kind == "segmentation" else self.classes


def load_spec(folder: Path) -> DatasetSpec:
    """Read `dataset.yaml` alone.

    Raises:
        S4miError: it is missing or wrong.
    """
    spec, findings = read_spec(folder)
    if spec is None:
        raise S4miError(f"{folder / findings[0].place}: {findings[0].message}")
    return spec


def write_spec(folder: Path, spec: DatasetSpec) -> None:
    """Write `dataset.yaml` into `folder`, atomically."""
    text = yaml.safe_dump(spec.model_dump(), sort_keys=False, allow_unicode=True)
    write_text_atomically(folder / SPEC_NAME, text)


def fault(code: str, file: str, line: int | None, message: str) -> Finding:
    """A finding of severity error; a line of another file than `dataset.yaml` is a row of the manifest."""
    rows = () if line is None or file == SPEC_NAME else (line,)
    return Finding(code=code, severity="error", file=file, line=line, message=message, rows=rows)


def read_spec(folder: Path, *, file: str = SPEC_NAME) -> tuple[DatasetSpec | None, list[Finding]]:
    """The contents of `dataset.yaml`, or of a kept copy of it; None with everything that is wrong with it."""
    path = folder / file
    if not path.is_file():
        return None, [fault("no-dataset-yaml", SPEC_NAME, None, "not there; make one with: s4mi data import")]
    try:
        text = path.read_text(encoding="utf-8-sig")
        contents = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        return None, [fault("encoding", SPEC_NAME, None, f"is not UTF-8 (byte {error.start}); save it as UTF-8")]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "not readable"
        line = None if mark is None else mark.line + 1
        return None, [fault("bad-yaml", SPEC_NAME, line, f"is not YAML: {problem}")]
    if not isinstance(contents, dict):
        return None, [fault("bad-yaml", SPEC_NAME, 1, "must hold keys and values, beginning with: name: my-data")]
    try:
        return DatasetSpec.model_validate(contents), []
    except ValidationError as error:
        return None, [_explain(problem, text) for problem in error.errors()]


def _explain(problem: "ErrorDetails", text: str) -> Finding:
    place = ".".join(str(part) for part in problem["loc"])
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = f"unknown key{nearest(place, DatasetSpec.model_fields)}"
    elif problem["type"] == "string_type":
        message = f"{problem['input']!r} is not text; write it in quotes"
    key = place.split(".")[0] or message.split(":")[0]
    lines = (number for number, line in enumerate(text.splitlines(), start=1) if line.startswith(f"{key}:"))
    return fault("bad-spec", SPEC_NAME, next(lines, None), f"{place}: {message}" if place else message)
