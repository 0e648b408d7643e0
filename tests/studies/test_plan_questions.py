"""What `s4mi study plan` says of a plan before anything is trained."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conftest import DEDL, TRANSFER
from s4mi.config import make_study, plan_study
from s4mi.maths.power import Design, power, smallest_difference
from s4mi.studies.plan_questions import ASSUMED, PlannedTask, _more, planned_tasks, questions
from s4mi.studies.status import study_status


def planned(data: Path, **changes: Any) -> list[PlannedTask]:
    return planned_tasks(status(data, **changes), None)


def status(data: Path, **changes: Any):
    contents = {
        "data": {"path": str(data), "image_size": 32}, "seeds": [0, 1, 2], "label_fractions": [10, 20, 50, 100],
        "arms": [{"name": "a", "method": TRANSFER}, {"name": "b", "method": "classical"}], **changes,
    }  # fmt: skip
    return study_status(list(plan_study(make_study(contents, origin="study.yaml"), Path("/out"))), None)


def said(data: Path, **changes: Any) -> str:
    return "\n".join(questions(status(data, **changes), None))


def test_the_plan_is_described_with_its_test_patients(lesions: Path) -> None:
    (one,) = planned(lesions)
    assert one.fractions == (10, 20, 50, 100)
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
