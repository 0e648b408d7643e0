"""What is wrong with settings, in one line and in the user's own names: pydantic's errors, retold."""

import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from s4mi.config.methods import METHODS, unknown_method
from s4mi.contract import MethodConfig
from s4mi.errors import closest


def setting_names(model: type[BaseModel]) -> list[str]:
    """Every setting as a dotted name, those of all known methods among them."""
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
    """The first problem with settings for `model`, in one line and in the user's own names; `methods` are by name."""
    problems = error.errors()
    # pydantic puts the chosen method's name into the path of a method's setting; the user did not write it there.
    section, name = (*problems[0]["loc"], None, None)[:2]
    method = methods.get(str(name)) if section == "method" else None
    known = _known_settings(model, method)
    # A value that may be of several types has a problem with each; the reading that got furthest says most.
    place = _setting(problems[0], known, within_method=method is not None)
    same = [one for one in problems if _setting(one, known, within_method=method is not None) == place]
    problem = max(same, key=lambda one: len(one["loc"]))
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return f"{place} is no setting{_hint(place, known) or (f' of {name}' if method else '')}"
    if problem["type"] == "missing" and isinstance(problem["loc"][-1], int):
        message = "too few values"
    elif problem["type"] == "missing":
        return f"{place} is missing; add it to the file or pass {place}=…"
    if problem["type"] == "union_tag_not_found":
        return "method.name is missing; see: s4mi methods"
    if problem["type"] == "union_tag_invalid":
        given = str((problem.get("ctx") or {}).get("tag", ""))
        return unknown_method(given)
    return f"{place}: {message} (given: {problem['input']!r})" if place else message


def _known_settings(model: type[BaseModel], method: type[BaseModel] | None) -> list[str]:
    """Every setting, with those of one method only where it is known."""
    if method is None:
        return setting_names(model)
    own = [f"method.{name}" for name in setting_names(method)]
    return [name for name in setting_names(model) if not name.startswith("method.")] + own


def _setting(problem: ErrorDetails, known: Sequence[str], *, within_method: bool) -> str:
    """The setting a problem is with; below it pydantic adds positions in a list and its own names of types."""
    parts = [str(part) for i, part in enumerate(problem["loc"]) if not (within_method and i == 1)]
    if problem["type"] != "extra_forbidden":
        for end in range(len(parts), 1, -1):
            if ".".join(parts[:end]) in known:
                return ".".join(parts[:end])
    return ".".join(parts)


def _hint(place: str, known: Sequence[str]) -> str:
    """One nearly of that name at the top, one of that name in another section, or one of this section spelt alike."""
    section, _, last = place.rpartition(".")
    names = {name.rpartition(".")[2]: name for name in reversed(known)}
    beside = {name.rpartition(".")[2]: name for name in known if not section or name.rpartition(".")[0] == section}
    if section and not beside:  # a section that the user has named, such as one of several data sets
        names = beside = {name: name for name in names}
    misspelt = "" if section else closest(last, [name for name in known if "." not in name], cutoff=0.8)
    found = misspelt or names.get(last) or beside.get(closest(last, beside) or "")
    return f"; did you mean {found!r}?" if found else ""
