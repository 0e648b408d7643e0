"""Every command is disturbed by `make torture`, or it is said why not; every format of images is damaged."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import mutants
from scenes import ELSEWHERE, SCENES, SILENT

from every_command import every_command
from s4mi.data.files import SUFFIXES, suffix_of


def test_every_command_is_a_scene_or_it_is_said_why_not() -> None:
    disturbed = {scene.name.partition(" (")[0] for scene in SCENES}
    assert every_command() == disturbed | SILENT | ELSEWHERE.keys()
    for scene in SCENES:
        name = scene.name.partition(" (")[0].split()
        assert list(scene.arguments[: len(name)]) == name


def test_every_format_of_images_is_damaged(tmp_path: Path) -> None:
    mutants.make_formats(tmp_path)
    same = {".jpeg": ".jpg", ".dicom": ".dcm"}
    assert {suffix_of(path) for path in tmp_path.iterdir()} == {same.get(suffix, suffix) for suffix in SUFFIXES}
