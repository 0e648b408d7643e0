"""Every command is disturbed by `make torture`, or it is said why not."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from scenes import ELSEWHERE, SCENES, SILENT

from every_command import every_command


def test_every_command_is_a_scene_or_it_is_said_why_not() -> None:
    disturbed = {scene.name.partition(" (")[0] for scene in SCENES}
    assert every_command() == disturbed | SILENT | ELSEWHERE.keys()
    for scene in SCENES:
        name = scene.name.partition(" (")[0].split()
        assert list(scene.arguments[: len(name)]) == name
