"""Every command is disturbed by `make torture`, or it is said why not."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

sys.path.insert(0, str(Path(__file__).parent))

from scenes import ELSEWHERE, SCENES, SILENT

from s4mi.cli import app


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name))


def test_every_command_is_a_scene_or_it_is_said_why_not() -> None:
    disturbed = {scene.name.partition(" (")[0] for scene in SCENES}
    every = set(commands(typer.main.get_command(app)))
    assert every == disturbed | SILENT | ELSEWHERE.keys()
    for scene in SCENES:
        name = scene.name.partition(" (")[0].split()
        assert list(scene.arguments[: len(name)]) == name
