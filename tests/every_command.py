"""The commands of the command line, so that none is forgotten by a test that is to hold for all."""

from collections.abc import Iterator
from typing import Any

import typer

from s4mi.cli import app


def every_command() -> set[str]:
    """Names such as `data import folder`."""
    return set(_below(typer.main.get_command(app)))


def _below(group: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _below(command, (*path, name))
        else:
            yield " ".join((*path, name))
