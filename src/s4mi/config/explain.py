"""Validation errors of pydantic as one line in terms of the user's settings."""

import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from s4mi.config.hints import hint, innermost
from s4mi.config.methods import METHODS, unknown_method
from s4mi.contract import MethodConfig


def setting_names(model: type[BaseModel]) -> list[str]:
    """Return the dotted names of all settings of `model`, sections and those of all known methods included."""
    names: list[str] = []
    for name, info in model.model_fields.items():
        names.append(name)
        for inner in _models_in(info.annotation):
            names.extend(f"{name}.{below}" for below in setting_names(inner))
    return list(dict.fromkeys(names))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if annotation is MethodConfig:
        yield from (method.config for method in METHODS.working().values())
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, types.UnionType, Annotated):
        for part in get_args(annotation):
            yield from _models_in(part)


def explain(error: ValidationError, model: type[BaseModel], methods: Mapping[str, type[BaseModel]]) -> str:
    """Describe the first problem with settings for `model` in one line.

    Args:
        methods: settings classes of the known methods by name.
    """
    problems = error.errors()
    # pydantic puts the chosen method's name into the path of a method's setting; the user did not write it there.
    section, name = (*problems[0]["loc"], None, None)[:2]
    method = methods.get(str(name)) if section == "method" else None
    known = _known_settings(model, method)
    # A setting that accepts several types has one problem per type; the one deepest in the value is the most precise.
    setting = _setting(problems[0], known, within_method=method is not None)
    same = [each for each in problems if _setting(each, known, within_method=method is not None) == setting]
    problem = max(same, key=lambda each: len(each["loc"]))
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        setting = innermost(setting, problem["input"])
        return f"unknown setting {setting}{hint(setting, known) or (f' for {name}' if method else '')}"
    if problem["type"] == "missing" and isinstance(problem["loc"][-1], int):
        message = "too few values"
    elif problem["type"] == "missing":
        return f"{setting} is missing; add it to the file or pass {setting}=…"
    if problem["type"] == "union_tag_not_found":
        return "method.name is missing; see: s4mi methods"
    if problem["type"] == "union_tag_invalid":
        given = str((problem.get("ctx") or {}).get("tag", ""))
        return unknown_method(given)
    message = _in_yaml(problem) or message
    if not setting:
        return message
    if problem["type"] == "value_error" and any(each.startswith(f"{setting}.") for each in known):
        return f"{setting}: {message}"  # of a section; the message itself contains the values
    return f"{setting}: {message} (given: {problem['input']!r})"


def _in_yaml(problem: ErrorDetails) -> str:
    """What a value of the wrong kind should be, as it is written in a file; empty for other problems."""
    given = problem["input"]
    kind = problem["type"]
    if kind == "tuple_type":
        words = given.split(",") if isinstance(given, str) else [given]
        example = ", ".join(str(word).strip() for word in words) if given not in (None, "") else "…"
        return f"must be a list: [{'…' if isinstance(given, Mapping) else example}]"
    if kind == "too_short" and not given:
        return "must list at least one"
    if kind in ("dict_type", "model_type"):
        path = isinstance(given, str) and problem["loc"][0] in ("data", "datasets", "tests")
        return f"must be keys and values: {{path: {given}}}" if path else "must be keys and values: {key: value}"
    return ""


def _known_settings(model: type[BaseModel], method: type[BaseModel] | None) -> list[str]:
    """Names of all settings of `model`; if the method is known, only with that method's settings."""
    if method is None:
        return setting_names(model)
    of_method = [f"method.{name}" for name in setting_names(method)]
    return [name for name in setting_names(model) if not name.startswith("method.")] + of_method


def _setting(problem: ErrorDetails, known: Sequence[str], *, within_method: bool) -> str:
    """Name of the setting with the problem, without the list positions and type names that pydantic appends."""
    parts = [str(part) for i, part in enumerate(problem["loc"]) if not (within_method and i == 1)]
    if problem["type"] != "extra_forbidden":
        for end in range(len(parts), 1, -1):
            if ".".join(parts[:end]) in known:
                return ".".join(parts[:end])
    return ".".join(parts)
