"""Runs that do not fit their data set are refused in one line before anything is trained."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conftest import DEDL, TRANSFER
from s4mi.config import PlannedRun, make_study, plan_study
from s4mi.data.manifest import load_manifest, write_dataset
from s4mi.errors import S4miError
from s4mi.studies.preflight import check_plan, missing_datasets
from s4mi.studies.run import run_study
from s4mi.training.prepare import prepare


def check(data: Path, **changes: Any) -> None:
    contents = {
        "data": {"path": str(data), "image_size": 32}, "seeds": [0, 1], "label_fractions": [100],
        "arms": [{"method": TRANSFER}], **changes,
    }  # fmt: skip
    check_plan(list(plan_study(make_study(contents, origin="study.yaml"), Path("/out"))))


def refusal(data: Path, **changes: Any) -> str:
    with pytest.raises(S4miError) as error:
        check(data, **changes)
    assert "\n" not in str(error.value)
    return str(error.value)


def smallest_in(message: str) -> str:
    """The smallest valid amount that a message names."""
    return message.rpartition(", or use at least ")[2].removesuffix(" for these seeds")


def test_a_valid_plan_passes(lesions: Path, cells: Path) -> None:
    check(lesions, arms=[{"method": TRANSFER}, {"method": DEDL}, "picie"], pretraining={"dino": "dino"})
    # In a multi-label task a class may be missing; the run itself warns.
    check(cells, arms=[{"method": TRANSFER}, {"method": DEDL}], label_fractions=[5])


def test_a_missing_data_set_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    message = refusal(tmp_path / "nowhere")
    assert message == f"{tmp_path / 'nowhere/dataset.yaml'}: does not exist; create it with: s4mi data import"
    contents = {"data": {"path": str(tmp_path / "nowhere")}, "arms": ["finetune"]}
    study = make_study(contents, origin="study.yaml")
    assert missing_datasets(list(plan_study(study, tmp_path))) == {tmp_path / "nowhere": message}
    with pytest.raises(S4miError) as error:
        run_study(study, tmp_path / "out")
    assert str(error.value) == message
    assert not (tmp_path / "out").exists()


def test_a_technique_that_does_not_support_the_task_is_named(tmp_path: Path, lesions: Path) -> None:
    shutil.copytree(lesions, tmp_path / "data")
    manifest = load_manifest(tmp_path / "data")
    rows = [replace(row, mask=None) for row in manifest.rows]
    write_dataset(tmp_path / "data", manifest.spec.model_copy(update={"tasks": ("multiclass",)}), rows)
    message = refusal(tmp_path / "data", arms=[{"method": TRANSFER}, {"method": DEDL}])
    assert message.startswith("runs/dedl-tiny_resnet-U-Net-100pct-seed0: method 'dedl' supports segmentation, but ")
    assert "has annotations for multiclass; choose another method" in message
    check(tmp_path / "data", arms=["picie"])  # needs no annotations


def test_a_fraction_without_labels_of_a_class_is_named_with_the_smallest_valid_one(
    lesions: Path, cache_dir: Path
) -> None:
    message = refusal(lesions, label_fractions=[1, 100])
    assert message.startswith("runs/transfer-from-scratch-tiny_resnet-1pct-seed0: class ")
    smallest = int(smallest_in(message).removesuffix(" %"))
    check(lesions, label_fractions=[smallest])
    assert " at 1 %" in message
    refused = refusal(lesions, label_fractions=[smallest - 1])
    assert smallest_in(refused) == f"{smallest} %"
    # The run itself reports the same for at least one seed.
    contents = {
        "data": {"path": str(lesions), "image_size": 32, "cache": str(cache_dir)}, "seeds": [0, 1],
        "label_fractions": [smallest - 1], "arms": [{"method": TRANSFER}],
    }  # fmt: skip
    reasons = [_reason(planned) for planned in plan_study(make_study(contents, origin="study.yaml"), Path("/out"))]
    assert any("has no labelled training image" in reason for reason in reasons)
    assert all(not reason or "has no labelled training image" in reason for reason in reasons)


def _reason(planned: PlannedRun) -> str:
    """Why a run cannot be prepared, or an empty string."""
    try:
        prepare(planned.config)
    except S4miError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("unit", ["images", "patients"])
def test_amounts_in_images_and_patients_have_a_smallest_valid_one_too(lesions: Path, unit: str) -> None:
    message = refusal(lesions, label_fractions=[f"1 {unit[:-1]}"])
    smallest = smallest_in(message)
    assert smallest.endswith(unit)
    check(lesions, label_fractions=[smallest])
    refusal(lesions, label_fractions=[f"{int(smallest.split()[0]) - 1} {unit}"])


def test_more_labels_than_available_are_refused(lesions: Path) -> None:
    message = refusal(lesions, label_fractions=["999 images"])
    assert "label_fraction is 999 images, but the training part has only" in message
