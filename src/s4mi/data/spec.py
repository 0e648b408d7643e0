"""`dataset.yaml`: what a data set is, and the shape of everything that may be found wrong with one."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from s4mi.errors import S4miError, nearest
from s4mi.records import TaskKind, write_text_atomically

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

SPEC_NAME = "dataset.yaml"
NO_CLASS = "none"
"""In the column `label`: annotated, with no class present."""
IGNORED_CLASS = "ignore"
"""In `mask_values`: pixels that are no class and enter no loss and no score."""

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """Something wrong with a data set: where, what, and how to mend it.

    Attributes:
        code: short stable name, e.g. `missing-mask`.
        file: the file to open, relative to the data set's folder.
        line: line in that file, or None.
        message: place, value and cure in one line, without file and line.
    """

    code: str
    severity: Severity
    file: str
    line: int | None
    message: str

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
    mask_values: dict[int, str] = Field(
        {},
        description="pixel value → class name, background first; several values may share a name; `ignore` is no class",
    )
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
        if any(not 0 <= value <= 255 for value in self.mask_values):
            raise ValueError("mask_values: pixel values lie between 0 and 255")
        for name in self.classes:
            if not name or ";" in name or name == NO_CLASS:
                raise ValueError(f"classes: {name!r} cannot name a class; it is empty, holds ';' or is the word 'none'")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("classes: a name stands twice")
        return self

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
    """A finding of severity error."""
    return Finding(code=code, severity="error", file=file, line=line, message=message)


def read_spec(folder: Path) -> tuple[DatasetSpec | None, list[Finding]]:
    """The contents of `dataset.yaml`, or None with everything that is wrong with it."""
    path = folder / SPEC_NAME
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
