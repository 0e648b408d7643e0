"""A label fraction that leaves a class without labels is refused, or left out where the study says so."""

from pathlib import Path
from typing import Any

import pytest

from s4mi.config import make_study
from s4mi.errors import S4miError
from s4mi.studies.progress_line import progress_line
from s4mi.studies.run import run_study

CONTENTS: dict[str, Any] = {
    "label_fractions": ["2 images", 100],
    "seeds": [0],
    "settings": {"task": "multiclass", "hardware": {"accelerator": "cpu"}},
    "arms": [
        {"name": "frozen", "method": {"name": "frozen", "backbone": "tiny_resnet", "weights": "none", "join": []}}
    ],
}


def study(lesions: Path, cache: Path, **settings: Any) -> Any:
    data = {"path": str(lesions), "image_size": 32, "cache": str(cache)}
    return make_study({**CONTENTS, "data": data, **settings}, origin="study")


def test_by_default_nothing_is_trained(lesions: Path, cache_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(S4miError, match="has no labelled training image at 2 images"):
        run_study(study(lesions, cache_dir), tmp_path)
    assert not list(tmp_path.rglob("record.json"))


def test_the_other_runs_are_trained_and_the_report_says_which_were_not(
    lesions: Path, cache_dir: Path, tmp_path: Path
) -> None:
    few, full = run_study(study(lesions, cache_dir, unsupported="skip"), tmp_path)
    assert full.record is not None
    assert (few.record, few.skipped, few.unsupported, few.failed) == (None, True, True, False)
    assert "has no labelled training image at 2 images" in few.reason
    line = progress_line([few.planned, full.planned], {one.planned.name: one for one in (few, full)})
    assert line == "1 of 2 runs done; left: 1 with a class without labels."
