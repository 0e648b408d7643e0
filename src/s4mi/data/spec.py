"""`dataset.yaml`, the description of a data set, and `Finding`, a problem found in one."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from s4mi.data.formats.intensity import DEFAULT, Intensity
from s4mi.errors import S4miError, nearest
from s4mi.records import TaskKind, write_text_atomically
from s4mi.records.plain import PlainError, load_yaml

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

SPEC_NAME = "dataset.yaml"
NO_CLASS = "none"
"""Value of the column `label`: annotated, with no class present."""
IGNORED_CLASS = "ignore"
"""Class name in `mask_values`: pixels without a class, excluded from losses and scores."""

MaskKey = int | str
"""Code of a class in a mask file: a number from 0 to 255, or a colour as `#rrggbb`."""

Severity = Literal["error", "warning", "note"]
"""An error makes the data set unusable or its scores invalid; warnings should be reviewed; notes are informative."""


@dataclass(frozen=True)
class Finding:
    """A problem in a data set: its location, what is wrong, and how to fix it.

    Attributes:
        code: short, stable name, e.g. `missing-mask`.
        file: file with the problem, relative to the data set folder.
        line: line in that file, or None if unknown.
        message: value and hint in one line, without file and line.
        rows: lines of all affected rows of the manifest, the first as in `line`; empty if it affects no rows.
    """

    code: str
    severity: Severity
    file: str
    line: int | None
    message: str
    rows: tuple[int, ...] = ()

    @property
    def location(self) -> str:
        """`file:line`, or `file` if no line is known."""
        return self.file if self.line is None else f"{self.file}:{self.line}"

    def __str__(self) -> str:
        return f"{self.location}: {self.message}"


class DatasetSpec(BaseModel):
    """The contents of `dataset.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str = Field(min_length=1, description="name of the data set, as reports show it")
    tasks: tuple[TaskKind, ...] = Field(
        description="tasks that the annotations are suitable for; empty if there are none"
    )
    classes: tuple[str, ...] = Field((), description="class names of the column `label`")
    mask_values: dict[MaskKey, str] = Field(
        {},
        description="class name of each pixel value, or colour as '#rrggbb', background first; names may repeat; "
        "`ignore` excludes pixels",
    )
    intensity: str = Field(DEFAULT, description="rule for the conversion of images of more than 8 bits to 0..255")
    conversion: str = Field("", description="how the import converted files other than 8-bit images, as a sentence")
    channels: Literal["rgb", "grey"] = Field("rgb", description="colour images, or greyscale images only")
    root: str = Field(
        "",
        description="folder to which the paths in the manifest are relative, except those that begin with ./: these "
        "are relative to the data set folder",
    )
    source: str = Field("", description="origin of the images, as text or URL")
    licence: str = Field("", description="licence of the images, e.g. CC0-1.0")
    synthetic: bool = Field(False, description="whether the images are drawn by a program, which reports then say")
    different: tuple[tuple[str, str], ...] = Field(
        (), description="pairs of ids of images that look like near-duplicates and are different, as a person has seen"
    )

    @model_validator(mode="after")
    def _consistent(self) -> "DatasetSpec":
        if {"multiclass", "multilabel"} <= set(self.tasks):
            raise ValueError(
                "tasks: multiclass and multilabel exclude each other; keep the one that matches the labels"
            )
        if {"multiclass", "multilabel"} & set(self.tasks) and len(self.classes) < (
            2 if "multiclass" in self.tasks else 1
        ):
            raise ValueError("classes: too few for the task; list every class name of the column `label`")
        if "segmentation" in self.tasks and len(self.mask_classes) < 2:
            raise ValueError("mask_values: name at least two classes, e.g. {0: background, 255: lesion}")
        colours = [key for key in self.mask_values if isinstance(key, str)]
        if any(isinstance(key, int) and not 0 <= key <= 255 for key in self.mask_values):
            raise ValueError("mask_values: pixel values must be 0–255")
        if invalid := next((key for key in colours if not re.fullmatch("#[0-9a-f]{6}", key)), None):
            raise ValueError(f"mask_values: {invalid!r} is neither a number nor a colour; write e.g. 255 or '#ff0000'")
        if colours and len(colours) < len(self.mask_values):
            raise ValueError(
                "mask_values: numbers and colours are mixed; write numbers as grey colours, e.g. '#000000'"
            )
        for name in self.classes:
            if not name.isprintable() or name in ("", NO_CLASS) or ";" in name:
                raise ValueError(
                    f"classes: {name!r} is not a valid class name; it must not be empty or 'none', nor contain ';' or "
                    "control characters"
                )
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("classes: a name is listed twice; list each class once")
        try:
            Intensity.parse(self.intensity)
        except S4miError as error:
            raise ValueError(f"intensity: {error}") from error
        return self

    @property
    def rule(self) -> Intensity:
        """The parsed `intensity` rule."""
        return Intensity.parse(self.intensity)

    @property
    def mask_classes(self) -> tuple[str, ...]:
        """Names of the mask classes in the order of the output channels of a segmenter, background first."""
        return tuple(dict.fromkeys(name for name in self.mask_values.values() if name != IGNORED_CLASS))

    def classes_of(self, kind: TaskKind) -> tuple[str, ...]:
        """Return the class names of the outputs of a network for a task."""
        return self.mask_classes if kind == "segmentation" else self.classes


def load_spec(folder: Path) -> DatasetSpec:
    """Read `dataset.yaml` alone.

    Raises:
        S4miError: it is missing or invalid.
    """
    spec, findings = read_spec(folder)
    if spec is None:
        raise S4miError(f"{folder / findings[0].location}: {findings[0].message}")
    return spec


def write_spec(folder: Path, spec: DatasetSpec, *, private: bool = False) -> None:
    """Write `dataset.yaml` into `folder`, atomically; `private`: only the owner may read it."""
    text = yaml.safe_dump(
        spec.model_dump(exclude=None if spec.different else {"different"}), sort_keys=False, allow_unicode=True
    )
    write_text_atomically(folder / SPEC_NAME, text, private=private)


def error_finding(code: str, file: str, line: int | None, message: str) -> Finding:
    """Return a finding of severity error; lines of files other than `dataset.yaml` are rows of the manifest."""
    rows = () if line is None or file == SPEC_NAME else (line,)
    return Finding(code=code, severity="error", file=file, line=line, message=message, rows=rows)


def read_spec(folder: Path, *, file: str = SPEC_NAME) -> tuple[DatasetSpec | None, list[Finding]]:
    """Read `dataset.yaml`, or a kept copy of it; None with findings for all its errors."""
    path = folder / file
    if not path.is_file():
        return None, [
            error_finding("no-dataset-yaml", SPEC_NAME, None, "does not exist; create it with: s4mi data import")
        ]
    try:
        text = path.read_text(encoding="utf-8-sig")
        contents = load_yaml(text)
    except UnicodeDecodeError as error:
        return None, [error_finding("encoding", SPEC_NAME, None, f"not UTF-8 (byte {error.start}); save it as UTF-8")]
    except PlainError as error:
        message = f"not valid YAML ({error.problem}); correct the syntax"
        return None, [error_finding("bad-yaml", SPEC_NAME, error.line, message)]
    if not isinstance(contents, dict):
        return None, [
            error_finding("bad-yaml", SPEC_NAME, 1, "must contain keys and values; begin with: name: my-data")
        ]
    try:
        return DatasetSpec.model_validate(contents), []
    except ValidationError as error:
        return None, [_explain(problem, text) for problem in error.errors()]


def _explain(problem: "ErrorDetails", text: str) -> Finding:
    key_path = ".".join(str(part) for part in problem["loc"])
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = f"unknown key{nearest(key_path, DatasetSpec.model_fields)}"
    elif problem["type"] == "string_type":
        message = f"{problem['input']!r} is not a string; write it in quotes"
    key = key_path.split(".")[0] or message.split(":")[0]
    lines = (number for number, line in enumerate(text.splitlines(), start=1) if line.startswith(f"{key}:"))
    return error_finding("bad-spec", SPEC_NAME, next(lines, None), f"{key_path}: {message}" if key_path else message)
