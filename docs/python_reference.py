"""The page on the Python API, from signatures and docstrings; `generate.py` writes it."""

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import s4mi
import s4mi.api

INTRO = """# Python

```python
import s4mi

run = s4mi.train("run.yaml", "runs/one", settings={"data.path": "datasets/mine", "epochs": 10})
run.plot()  # the learning curve
predictions = run.predict("images/")  # classes or masks, in memory
predictions[0].overlay()  # an image with its mask
s4mi.report("runs")  # a page on all runs, shown inline
```

`import s4mi` is light: names are imported when they are first used. Notebooks show the objects below inline; tables are
[polars](https://docs.pola.rs) data frames. Invalid input raises `S4miError` with the same one line that the command
line prints. `pip install 's4mi[notebook]'` adds the progress bars of notebooks.

Names in signatures:

- `StrPath`: a path as a string or `pathlib.Path`; a `Dataset`, `Run` or `Study` stands for its folder.
- `Settings`: a mapping with dotted keys, `{"optim.lr": 1e-3}`, or a list of strings, `["optim.lr=1e-3"]`.
- `Images`: an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), the path of a file, folder or data set, or a list of
  these.
- `Probabilities`, `Pixels`: NumPy arrays of float32 and of uint8.
- `Part`: `"train"`, `"val"` or `"test"`. `TaskKind`: `"multiclass"`, `"multilabel"` or `"segmentation"`.
- `StepCallback`, `TrainingCallback`, `StudyCallback`: functions that are called with what is being done, done and
  total; with the `Progress` of a run; with the events of a study.
"""
SECTIONS = re.compile(r"^(Args|Attributes|Raises):$", re.MULTILINE)


def python_page() -> str:
    """Every name that `import s4mi` gives: functions first, then classes."""
    exports = dict(_exports())
    functions = {name: one for name, one in exports.items() if inspect.isfunction(one)}
    classes = {name: one for name, one in exports.items() if inspect.isclass(one)}
    parts = [INTRO, "\n## Functions\n"]
    parts += [f"### `{name}`\n\n{_code(one, name)}\n{_markdown(one)}" for name, one in functions.items()]
    parts.append("\n## Classes\n")
    for name, one in classes.items():
        parts.append(f"### `{name}`\n\n{_markdown(one)}{_constructor(one, name)}")
        parts += [_member(f"{name}.{member}", value) for member, value in _members(one)]
    return "\n".join(parts)


def _exports() -> Iterator[tuple[str, Any]]:
    for name in s4mi.__all__:
        if name != "__version__":
            yield name, getattr(s4mi.api, name) if hasattr(s4mi.api, name) else getattr(s4mi, name)


def _members(one: type) -> Iterator[tuple[str, Any]]:
    for name, value in vars(one).items():
        if not name.startswith("_") and isinstance(value, property | cached_property | type(_members)):
            yield name, value


def _member(name: str, value: Any) -> str:
    if isinstance(value, property | cached_property):
        function = value.fget if isinstance(value, property) else value.func
        assert function is not None
        returns = _definition(function).returns
        return f"#### `{name}`: `{_annotation(returns)}`\n\n{_markdown(function)}"
    return f"#### `{name}`\n\n{_code(value, name)}\n{_markdown(value)}"


def _constructor(one: type, name: str) -> str:
    """The constructor of what users make themselves; objects that functions return have none here."""
    init = vars(one).get("__init__")
    if init is None or not hasattr(init, "__code__") or "Not for users" in (init.__doc__ or "Not for users"):
        return ""
    return f"\n{_code(init, name)}\n{_markdown(init)}"


def _code(function: Callable[..., Any], name: str) -> str:
    """The signature as it is written in the source, whose names say more than their types."""
    definition = _definition(function)
    arguments = definition.args
    defaults = [None] * (len(arguments.args) - len(arguments.defaults)) + list(arguments.defaults)
    shown = [_argument(*pair) for pair in zip(arguments.args, defaults, strict=True) if pair[0].arg != "self"]
    if arguments.kwonlyargs:
        shown.append("*")
        shown += [_argument(*pair) for pair in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    returns = "" if definition.name == "__init__" else f" -> {_annotation(definition.returns)}"
    line = f"{name}({', '.join(shown)}){returns}"
    if len(line) > 100:
        line = f"{name}(\n" + "".join(f"    {one},\n" for one in shown) + f"){returns}"
    return f"```python\n{line}\n```\n"


def _definition(function: Callable[..., Any]) -> ast.FunctionDef:
    definition = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(definition, ast.FunctionDef)
    return definition


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    annotation = "" if argument.annotation is None else f": {_annotation(argument.annotation)}"
    if default is None:
        return f"{argument.arg}{annotation}"
    return f"{argument.arg}{annotation}{' = ' if annotation else '='}{ast.unparse(default)}"


def _annotation(node: ast.expr | None) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return "None" if node is None else ast.unparse(node)


def _markdown(one: Any) -> str:
    """A docstring, its sections as lists."""
    text, *sections = SECTIONS.split(inspect.getdoc(one) or "")
    parts = [text.strip()]
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        named = [entry.partition(": ") for entry in _entries(body)]
        if title == "Raises":
            parts += [f"Raises `{name}`: {meaning}" for name, _, meaning in named]
        else:
            parts.append("\n".join(f"- `{name}`: {meaning}" for name, _, meaning in named))
    return "\n\n".join(parts) + "\n"


def _entries(body: str) -> list[str]:
    """The entries of a section, each in one line; lines that go on are indented further."""
    entries: list[str] = []
    for line in textwrap.dedent(body).strip("\n").splitlines():
        if line.startswith(" ") and entries:
            entries[-1] += " " + line.strip()
        elif line.strip():
            entries.append(line.strip())
    return entries
