"""Every command, argument and option explains itself."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from s4mi.cli import app


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for sub, below in inner.items():
        yield from commands(below, f"{name} {sub}")


COMMANDS = dict(commands(typer.main.get_command(app), "s4mi"))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_and_its_options_have_texts_of_their_own(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    assert command.help[0].isupper()
    for parameter in command.params:
        if parameter.name == "help":
            continue
        text = (getattr(parameter, "help", None) or "").strip()
        assert text, f"{name}: {parameter.name} has no help text"
        assert not text.lower().startswith("of "), f"{name}: {parameter.name}: {text}"
        assert text[0].isupper() or text[0].isdigit() or not text[0].isalpha(), f"{name}: {parameter.name}: {text}"
