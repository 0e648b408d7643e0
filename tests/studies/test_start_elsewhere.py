"""An arm that starts from a pre-training run outside its study is trained once, and again if that start changes."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from conftest import TRANSFER
from s4mi.config import StudyConfig, make_run_config, make_study, plan_study
from s4mi.errors import S4miError
from s4mi.recipes.train import train
from s4mi.records import SUPERSEDED
from s4mi.studies.events import Event, RunStarted
from s4mi.studies.run import run_study
from s4mi.studies.run_id import run_identities, stored_identity

SIMMIM = {"name": "simmim", "backbone": "tiny_resnet", "weights": "none", "square": 8}


@pytest.fixture
def start(lesions: Path, cache_dir: Path, tmp_path: Path) -> Path:
    return _pretrained(lesions, cache_dir, tmp_path / "elsewhere", epochs=1)


def _common(lesions: Path, cache_dir: Path) -> dict[str, Any]:
    hardware = {"accelerator": "cpu", "checkpoint_seconds": 0}
    data = {"path": lesions, "image_size": 32, "cache": cache_dir}
    return {"data": data, "task": "multiclass", "batch_size": 8, "hardware": hardware}


def _pretrained(lesions: Path, cache_dir: Path, out: Path, *, epochs: int) -> Path:
    """Pre-train on the split of the study."""
    (planned,) = plan_study(_study(lesions, cache_dir, out), out)
    split, labels = (part.model_dump(mode="json") for part in (planned.config.split, planned.config.labels))
    contents = {**_common(lesions, cache_dir), "split": split, "labels": labels, "method": SIMMIM, "epochs": epochs}
    train(make_run_config(contents, origin="test"), out)
    return out


def _study(lesions: Path, cache_dir: Path, start: Path) -> StudyConfig:
    settings = _common(lesions, cache_dir)
    contents = {
        "data": settings.pop("data"), "label_fractions": [100], "seeds": [0], "settings": {**settings, "epochs": 1},
        "arms": [{"name": "tuned", "method": {**TRANSFER, "pretrained": str(start)}}],
    }  # fmt: skip
    return make_study(contents, origin="study.yaml")


def _started(study: StudyConfig, out: Path) -> list[str]:
    events: list[Event] = []
    outcomes = run_study(study, out, on_event=events.append)
    assert all(outcome.record is not None for outcome in outcomes), outcomes
    return [event.planned.name for event in events if isinstance(event, RunStarted)]


@pytest.mark.long
def test_it_is_trained_once_and_again_if_the_start_changes(
    lesions: Path, cache_dir: Path, start: Path, tmp_path: Path
) -> None:
    study, out = _study(lesions, cache_dir, start), tmp_path / "out"
    assert len(_started(study, out)) == 1
    plan = list(plan_study(study, out))
    assert stored_identity(out / plan[0].name).matches(run_identities(plan)[plan[0].name])
    assert _started(study, out) == []
    assert not (out / SUPERSEDED).exists()

    shutil.rmtree(start)
    _pretrained(lesions, cache_dir, start, epochs=2)
    assert len(_started(study, out)) == 1
    assert len(list((out / SUPERSEDED).iterdir())) == 1


def test_a_start_that_was_moved_sets_no_run_aside(lesions: Path, cache_dir: Path, start: Path, tmp_path: Path) -> None:
    study, out = _study(lesions, cache_dir, start), tmp_path / "out"
    assert len(_started(study, out)) == 1
    moved = start.rename(tmp_path / "moved")
    with pytest.raises(S4miError, match="elsewhere"):
        run_study(study, out)
    assert not (out / SUPERSEDED).exists()
    assert _started(_study(lesions, cache_dir, moved), out) == []
