"""YAML and JSON from files that anybody may have written: plain values, bounded in depth and size."""

import json
from typing import Any

import yaml

DEPTH = 64
"""Levels of nesting; settings need six."""
NODES = 200_000
"""Values in a YAML document, those repeated by anchors counted each time."""


class PlainError(ValueError):
    """A document that cannot be read; `line` counts from 1, or is None if unknown."""

    def __init__(self, problem: str, line: int | None) -> None:
        super().__init__(problem)
        self.problem, self.line = problem, line


def load_yaml(text: str) -> Any:
    """Return the plain values of a YAML document; dates stay text.

    Raises:
        PlainError: not valid YAML, nested or repeated without end, with a key twice, or with numbers that are none.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except PlainError:
        raise
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error).split("\n")[0]
        raise PlainError(problem, None if mark is None else mark.line + 1) from error
    except RecursionError as error:
        raise PlainError(f"nested more than {DEPTH} levels deep", None) from error


def load_json(text: str | bytes) -> Any:
    """Return the values of a JSON document, as `json.loads`.

    Raises:
        json.JSONDecodeError: not valid JSON, nested too deeply, with numbers that are too long, or with text that is no
            Unicode.
    """
    try:
        found = json.loads(text)
        if (b"\\ud" if isinstance(text, bytes) else "\\ud") in text.lower():  # type: ignore[operator]
            json.dumps(found, ensure_ascii=False).encode()
        return found
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except RecursionError as error:
        raise json.JSONDecodeError("nested too deeply", "", 0) from error
    except UnicodeEncodeError as error:
        raise json.JSONDecodeError("holds half of a surrogate pair", "", 0) from error
    except ValueError as error:  # integers of more than 4,300 digits
        raise json.JSONDecodeError(str(error).partition(";")[0], "", 0) from error


class _Loader(yaml.SafeLoader):
    """SafeLoader that counts what it composes, and constructs no dates."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._open: list[str | None] = []
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in self._open:
                raise PlainError(f"{event.anchor!r} contains itself", line)
            return super().compose_node(parent, index)
        if len(self._open) >= DEPTH:
            raise PlainError(f"nested more than {DEPTH} levels deep", line)
        self._open.append(getattr(event, "anchor", None))
        node: Any = super().compose_node(parent, index)
        self._open.pop()
        if isinstance(node, yaml.MappingNode):
            _refuse_twice(node)
            inner = [part for pair in node.value for part in pair]
        else:
            inner = node.value if isinstance(node, yaml.SequenceNode) else []
        size = 1 + sum(self._sizes[id(part)] for part in inner)
        if size > NODES:
            raise PlainError(f"holds more than {NODES:,} values, anchors counted each time", node.start_mark.line + 1)
        self._sizes[id(node)] = size
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, OverflowError, KeyError, TypeError) as error:
            if isinstance(error, PlainError):
                raise
            shown = node.value if isinstance(node, yaml.ScalarNode) else "a value"
            shown = shown if len(shown) <= 40 else f"{shown[:30]}… ({len(shown):,} characters)"
            raise PlainError(
                f"{shown!r} cannot be read as {node.tag.rpartition(':')[2]}", node.start_mark.line + 1
            ) from error


def _refuse_twice(node: yaml.MappingNode) -> None:
    """Refuse a key that is written twice, of which YAML libraries keep the last one without a word."""
    lines: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            line = key.start_mark.line + 1
            if (key.tag, key.value) in lines:
                raise PlainError(f"{key.value!r} is set twice, first in line {lines[key.tag, key.value]}", line)
            lines[key.tag, key.value] = line


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
