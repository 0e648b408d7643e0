"""Refuse a torch.export archive that could run code when it is opened.

`torch.export.load` unpickles parts of an archive, and looks up functions and evaluates expressions by name. An archive
that `s4mi export` writes needs none of that: tensors are raw bytes, the graph calls ATen operators only. Anything else
is refused before torch opens the file, so that a model from a stranger can only compute.
"""

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from s4mi.errors import S4miError
from s4mi.records.plain import load_json

_OPERATORS = re.compile(
    r"torch\.ops\.(aten|prims)\.\w+(\.\w+)?"
    r"|_operator\.(add|sub|mul|floordiv|truediv|mod|neg|pow|getitem|ge|gt|le|lt|eq|ne|and_|or_|not_)"
    r"|torch\.sym_(int|float|max|min|not|ite|sqrt)|math\.(ceil|floor|trunc)"
)
_NAMES = {
    "Symbol", "Integer", "Float", "Rational", "Add", "Mul", "Pow", "Max", "Min", "Mod", "FloorDiv", "CleanDiv",
    "CeilDiv", "PythonMod", "CeilToInt", "FloorToInt", "Eq", "Ne", "Ge", "Gt", "Le", "Lt", "And", "Or", "Not", "True",
    "False", "positive", "nonnegative", "negative", "integer",
}  # fmt: skip
"""Names in expressions for sizes, beside symbols such as s34."""
_WORD = re.compile(r"[^\W\d]\w*")
_PLAIN_EXPRESSION = re.compile(r"([\w\s,()+\-*/'\"=<>]|(?<=\d)\.(?=\d))*")
_MEMBERS = re.compile(
    r"archive_format|archive_version|byteorder|\.data/\w+|\.format_version|\.storage_alignment|extra/[\w.-]+"
    r"|models/[\w.-]+\.json|data/sample_inputs/[\w.-]+\.pt|data/(weights|constants)/[\w.-]+"
)
_EXECUTABLE = (".so", ".pkl", ".py", ".pyc", ".dll", ".dylib")
_CALLS = ("as_custom_obj", "as_operator", "as_graph")
"""Arguments of a graph that stand for objects or code."""


def check_program(path: Path) -> None:
    """Check that opening a torch.export archive runs nothing of the archive's own.

    Raises:
        S4miError: it could; the message says by which part.
    """
    with zipfile.ZipFile(path) as archive:
        problem = next(_problems(archive), None)
    if problem is not None:
        raise S4miError(
            f"{path}: {problem}, which could run code of whoever made the file; s4mi opens only archives without: "
            "re-create it with: s4mi export"
        )


def _problems(archive: zipfile.ZipFile) -> Iterator[str]:
    for name in archive.namelist():
        inner = PurePosixPath(*PurePosixPath(name).parts[1:]).as_posix()
        if inner == "." or name.endswith("/"):
            continue
        if not _MEMBERS.fullmatch(inner) or inner.endswith(_EXECUTABLE):
            yield f"holds the part {inner!r}"
        elif inner.endswith("_config.json"):
            yield from _pickled(load_json(archive.read(name)))
        elif inner.startswith("data/sample_inputs/"):
            yield from _unsafe_inputs(archive.read(name))
        elif inner.startswith("models/"):
            yield from _code_in(load_json(archive.read(name)))


def _pickled(config: Any) -> Iterator[str]:
    for name, entry in config["config"].items():
        if entry["use_pickle"] is not False:
            yield f"stores {name!r} as a pickle"


def _unsafe_inputs(contents: bytes) -> Iterator[str]:
    try:
        torch.load(io.BytesIO(contents), weights_only=True)
    except Exception:  # torch would try again without its safeguards
        yield "stores example inputs as a pickle of objects"


def _code_in(model: Any) -> Iterator[str]:
    if model.get("guards_code"):
        yield "holds source code of guards"
    for symbol in model.get("range_constraints") or {}:
        yield from _unsafe_expression(symbol)
    for key, value in _entries(model):
        if key == "target" and isinstance(value, str) and not _OPERATORS.fullmatch(value):
            yield f"calls {value!r}"
        elif key == "expr_str" and isinstance(value, str):
            yield from _unsafe_expression(value)
        elif key in _CALLS and value is not None:
            yield f"passes an argument of the kind {key.removeprefix('as_')}"


def _entries(contents: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key of nested mappings with its value."""
    waiting = [contents]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            yield from found.items()
            waiting.extend(found.values())
        elif isinstance(found, list):
            waiting.extend(found)


def _unsafe_expression(text: str) -> Iterator[str]:
    words = _WORD.findall(text)
    known = all(word in _NAMES or re.fullmatch(r"[a-z]{1,3}\d+", word) for word in words)
    if not known or not _PLAIN_EXPRESSION.fullmatch(text):
        yield f"holds the expression {text[:60]!r}"
