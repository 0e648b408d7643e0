"""What `s4mi study plan` says of a plan before anything is trained."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conftest import DEDL, PICIE, TRANSFER
from s4mi.config import make_study, plan_study
from s4mi.data.splits.label_amount import LabelAmount
from s4mi.data.versions import load_version, write_version
from s4mi.maths.power import Design, power, smallest_difference
from s4mi.studies.plan_questions import _more, questions
from s4mi.studies.planned_tasks import ASSUMED, NO_LABELS, PlannedTask, planned_tasks
from s4mi.studies.status import StudyStatus, study_status

DINO: dict[str, Any] = {"name": "dino", "backbone": "tiny_resnet", "weights": "none"}


def planned(data: Path, **changes: Any) -> list[PlannedTask]:
    return planned_tasks(status(data, **changes), None)


def status(folder: Path, **changes: Any) -> StudyStatus:
    contents = {
        "data": {"path": str(folder), "image_size": 32}, "seeds": [0, 1, 2], "label_fractions": [10, 20, 50, 100],
        "arms": [{"name": "a", "method": TRANSFER}, {"name": "b", "method": "classical"}], **changes,
    }  # fmt: skip
    return study_status(list(plan_study(make_study(contents, origin="study.yaml"), Path("/out"))), None)


def said(data: Path, **changes: Any) -> str:
    return "\n".join(questions(status(data, **changes), None))


def test_the_plan_is_described_with_its_test_patients(lesions: Path) -> None:
    (one,) = planned(lesions)
    assert one.amounts == tuple(map(LabelAmount, (10, 20, 50, 100)))
    assert one.seeds == (0, 1, 2)
    assert one.pairs == (3, 3), "one pair at the smallest and the largest amount, with three common seeds"
    assert one.test_patients > 0
    assert (one.spread, one.measured) == (ASSUMED, 0)
    assert f"2 techniques, 4 amounts of labels, 3 seeds; about {one.test_patients} test" in said(lesions)


def test_the_smallest_difference_has_the_power_that_is_said(lesions: Path) -> None:
    (one,) = planned(lesions)
    line = next(line for line in said(lesions).splitlines() if "smallest difference detected at 80 % power" in line)
    told = float(line.partition("macro F1 ")[2].split()[0].rstrip(","))
    design = Design(3, one.test_patients, 2, one_test_set=one.one_test_set)
    assert power(told, ASSUMED, design) == pytest.approx(0.8, abs=0.01)
    assert "standard deviations of a difference, assumed: 0.020 over seeds" in line


def test_too_few_fractions_and_seeds_for_labels_needed_are_said_with_their_settings(lesions: Path) -> None:
    text = said(lesions, label_fractions=[10, 50], seeds=[0, 1])
    assert "labels needed: not estimable beyond what is tested (2 label fractions, needs 4: " in text
    assert "label_fractions=[5,10,20,50]" in text
    assert "2 seeds, needs 3: seeds=[0,1,2,3,4]" in text
    assert "full supervision: not tested" in text
    assert "label_fractions=[10,50,100] tests it" in text


def test_enough_of_both_can_tell_labels_needed(lesions: Path) -> None:
    assert (
        "labels needed: can be estimated, up to 4 × the largest amount, with wide intervals (3 seeds are few)"
        in said(lesions)
    )
    five = said(lesions, seeds=[0, 1, 2, 3, 4])
    assert "labels needed: can be estimated, up to 4 × the largest amount\n" in five
    assert "full supervision" not in five


def test_a_single_seed_cannot_compare_techniques(lesions: Path) -> None:
    assert "difference of two techniques: cannot be tested" in said(lesions, seeds=[0])


def test_more_seeds_are_said_with_what_they_tell(lesions: Path) -> None:
    line = next(line for line in said(lesions).splitlines() if line.startswith("  with seeds="))
    assert line.startswith("  with seeds=[0,1,2,3,4,5]: macro F1 0.")
    assert "24 more runs" in line


@pytest.mark.parametrize("seeds", [2, 3, 4, 5, 8])
@pytest.mark.parametrize("patients", [3, 5, 40])
def test_no_number_of_seeds_tells_less_than_is_said(lesions: Path, seeds: int, patients: int) -> None:
    (one,) = planned(lesions, seeds=list(range(seeds)), split={"seed": 7})
    one = replace(one, test_patients=patients)
    line = _more(one)
    assert line is not None
    told = [
        smallest_difference(one.spread, Design(n, patients, len(one.pairs), one.one_test_set)) for n in range(2, 40)
    ]
    if line.startswith("more seeds"):
        assert told[seeds - 2] <= told[max(5, 2 * seeds) - 2]
    else:
        assert float(line.partition("detects less than ")[2].split()[0].rstrip(",")) <= min(told) + 5e-4


def test_two_tasks_of_one_data_set_are_two_paragraphs(lesions: Path) -> None:
    arms = [{"name": "a", "method": TRANSFER}, {"name": "m", "method": DEDL}]
    tasks = [one.task for one in planned(lesions, arms=arms)]
    assert tasks == ["multiclass", "segmentation"]


def test_a_missing_data_set_is_left_to_the_preflight(tmp_path: Path) -> None:
    assert planned(tmp_path / "nowhere") == []


def test_a_saved_seed_of_the_split_means_one_test_set(lesions: Path) -> None:
    (one,) = planned(lesions, split={"seed": 7})
    assert one.one_test_set
    (other,) = planned(lesions)
    assert not other.one_test_set or "test_seed" in type(one.runs[0].planned.config.split).model_fields


def test_forty_images_are_not_forty_percent(lesions: Path) -> None:
    (one,) = planned(lesions, label_fractions=["40 images", 40])
    images, percent = LabelAmount(40, "images"), LabelAmount(40)
    assert one.share(images) > 75, "of 60 images a fifth are tested"
    assert one.amounts == (percent, images), "fewest labels first"
    assert len(one.cells) == 4, "two techniques at each"
    assert one.pairs == (3, 3)
    assert "2 techniques, 2 amounts of labels, 3 seeds" in said(lesions, label_fractions=["40 images", 40])


def test_techniques_on_other_amounts_are_no_pair_though_the_numbers_are_equal(lesions: Path) -> None:
    arms = [
        {"name": "a", "method": TRANSFER, "label_fractions": ["40 images"]},
        {"name": "b", "method": "classical", "label_fractions": [40]},
    ]
    assert planned(lesions, arms=arms)[0].pairs == ()
    assert "difference of two techniques: cannot be tested" in said(lesions, arms=arms)


def test_the_largest_amount_is_the_one_of_most_labels_whatever_its_unit(lesions: Path) -> None:
    arms = [
        {"name": "a", "method": "classical", "label_fractions": ["40 images"]},
        {"name": "b", "method": {**TRANSFER, "backbone": "tiny_vit"}, "label_fractions": ["40 images"]},
        {"name": "c", "method": TRANSFER, "label_fractions": [10, 50]},
    ]
    (one,) = planned(lesions, arms=arms)
    assert [str(amount) for amount in one.amounts] == ["10 %", "50 %", "40 images"]
    assert one.pairs == (3,), "those of most labels, 40 of at most 48 images"


def test_full_supervision_is_planned_beside_a_number_of_images(lesions: Path) -> None:
    text = said(lesions, label_fractions=["30 images", 100])
    assert "full supervision" not in text
    assert "(2 label fractions, needs 4: 'label_fractions=[30 images," in text, "the number of images stays one"
    text = said(lesions, label_fractions=["30 images", 50])
    assert "full supervision: not tested" in text
    assert "('label_fractions=[30 images,50,100]' tests it)" in text
    assert "full supervision: not tested" in said(lesions, label_fractions=["48 images", 10])


def test_techniques_without_labels_are_compared_with_each_other_alone(lesions: Path) -> None:
    arms = [
        {"name": "m", "method": DEDL, "label_fractions": [100]},
        {"name": "p", "method": PICIE},
        {"name": "c", "method": "colour_clusters"},
    ]
    (one,) = planned(lesions, arms=arms)
    assert one.pairs == (3,), "a report has them in a column of their own, at 0 %"
    assert one.amounts == (LabelAmount(100),)
    assert sorted(amount.value for _, amount in one.cells) == [NO_LABELS.value, NO_LABELS.value, 100]
    (one,) = planned(lesions, arms=arms[1:])
    assert one.amounts == ()
    assert "labels needed: cannot be estimated, no technique uses labels" in said(lesions, arms=arms[1:])


def test_fine_tuning_after_pre_training_is_no_full_supervision(lesions: Path) -> None:
    arms = [{"name": "a", "method": TRANSFER, "pretraining": "dino"}]
    text = said(lesions, arms=arms, pretraining={"dino": {"method": DINO}})
    assert "full supervision: not tested" in text
    assert "(no technique learns from labels alone; one with label_fractions=[10,20,50,100] tests it)" in text


def test_a_learning_curve_has_the_amounts_of_one_technique(lesions: Path) -> None:
    arms = [
        {"name": "a", "method": TRANSFER, "label_fractions": [10, 20]},
        {"name": "b", "method": "classical", "label_fractions": [50, 100]},
    ]
    text = said(lesions, arms=arms)
    assert "4 amounts of labels" in text
    assert "not estimable beyond what is tested (2 label fractions for each technique, needs 4: " in text


def test_two_versions_of_a_data_set_are_not_compared(lesions: Path, tmp_path: Path) -> None:
    shutil.copytree(lesions, tmp_path / "data")
    manifest = load_version(tmp_path / "data")
    assert write_version(manifest, manifest.spec, manifest.rows[:-1]) == 2
    runs = [
        run
        for version in (1, 2)
        for run in status(tmp_path / "data", data={"path": str(tmp_path / "data"), "version": version}).runs
    ]
    old, new = planned_tasks(StudyStatus(tuple(runs), None), None)
    assert new.title == old.title.replace(",", ", version 2,")
    assert (len(old.runs), len(new.runs)) == (24, 24)


def test_arms_that_share_a_technique_are_compared_as_a_report_compares_them(lesions: Path) -> None:
    arms = [
        {"name": "slow", "method": TRANSFER, "optim": {"lr": 2e-3}},
        {"name": "fast", "method": TRANSFER, "optim": {"lr": 1e-3}},
    ]
    (one,) = planned(lesions, arms=arms)
    assert one.pairs == (3, 3)
    assert {each.name for each in one.techniques} == {"from scratch: slow", "from scratch: fast"}
    assert "2 techniques, 4 amounts of labels" in said(lesions, arms=arms)
