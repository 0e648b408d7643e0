"""The data card says what the runs knew of their data, leaks first, and what they did not."""

from made_data import knowing
from made_records import record
from s4mi.records import Leakage, RunRecord
from s4mi.reporting.results.comparison import compare, comparison_warnings
from s4mi.reporting.results.data_card import UNKNOWN, DataCard, data_card
from s4mi.reporting.results.table_model import Table

LEAK = Leakage(kind="exact", parts=("train", "test"), pairs=3)


def runs(**about) -> list[RunRecord]:
    return [
        knowing(record(0.6, method=m, fraction=f, seed=seed), **about)
        for m in "ab"
        for f in (10.0, 100.0)
        for seed in (0, 1)
    ]


def card(records: list[RunRecord]) -> DataCard:
    return data_card(compare(records), [])


def texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row.cells] for row in table.rows]


def test_facts_are_those_recorded() -> None:
    facts = dict(card(runs()).facts)
    assert facts["Source"] == "A hospital"
    assert facts["Licence"] == "CC0-1.0"
    assert facts["Images"] == "660 (660 PNG)"
    assert facts["Image size"] == "400 × 300 to 1600 × 1200 pixels (width × height)"
    assert facts["Patients or lesions"] == "165"
    assert facts["Network input"] == "224 × 224 pixels, colour"
    assert facts["Split"] == "random, by patient and in proportion, 70:10:20"


def test_parts_and_classes_are_counted_with_what_is_labelled_at_each_fraction() -> None:
    (task,) = card(runs()).tasks
    rows = {name: numbers for name, *numbers in texts(task.counts)}
    assert [column.title for column in task.counts.columns[4:]] == ["Labelled at 10 %", "Labelled at 100 %"]
    assert rows["All images"] == ["480", "60", "120", "48", "480"]
    assert rows["melanoma"] == ["160", "20", "40", "16", "160"]
    assert rows["Patients or lesions"][:3] == ["120", "15", "30"]


def test_every_split_is_listed_by_seed_and_fraction() -> None:
    (task,) = card(runs()).tasks
    assert texts(task.splits) == [["0", "0", "test0", "s010", "s0100"], ["1", "1", "test1", "s110", "s1100"]]
    assert "2 different test sets" in task.splits.caption
    assert card(runs(test="same")).tasks[0].splits.caption.endswith("All seeds share the same test images.")
    mixed = [*runs(test="same"), knowing(record(0.6, method="0", seed=0), test="other")]
    assert "2 different test sets" in card(mixed).tasks[0].splits.caption, "one technique was tested on others"
    assert texts(card(runs(division_seed=None)).tasks[0].splits)[0][1] == "fixed"


def test_a_clean_split_says_what_was_checked() -> None:
    (task,) = card(runs()).tasks
    assert task.leaks == ()
    assert task.clean.startswith("None found. Checked in every run: byte-identical files, near-duplicate images")
    assert "overlap" not in task.clean


def test_without_patients_overlap_cannot_be_excluded() -> None:
    made = card(runs(grouped=0))
    assert "The data set gives no patients or lesions, so overlap between parts cannot be" in made.tasks[0].clean
    assert dict(made.facts)["Patients or lesions"] == "not given by the data set"
    assert "20 images without a patient or lesion could not be checked" in card(runs(grouped=640)).tasks[0].clean


def test_what_leaks_is_said_by_kind_parts_and_seeds() -> None:
    made = card(runs(leaks=[LEAK]))
    assert made.leaks
    (leak,) = made.tasks[0].leaks
    assert leak == "3 pairs of byte-identical files, one training and one test image each (seeds 0, 1)"
    assert made.tasks[0].clean == ""


def test_pre_training_that_saw_test_images_is_a_leak() -> None:
    origin = {
        "method": "dino", "config_hash": "p", "encoder": "resnet10", "weights_hash": "w", "epochs": 3, "images": 9,
        "seconds": 1.0, "spoilt": {"test": 4},
    }  # fmt: skip
    spoilt = RunRecord.model_validate({**knowing(record(0.9)).model_dump(), "pretraining": origin})
    (task,) = card([spoilt]).tasks
    assert task.leaks == ("4 test images were used in the pre-training of transfer · resnet10 (seed 0)",)
    assert any("started from pre-training that used their" in note for note in comparison_warnings([spoilt]))


def test_older_runs_know_less_and_the_card_says_so() -> None:
    made = card([record(0.6)])
    facts = dict(made.facts)
    assert facts["Licence"] == facts["Split"] == UNKNOWN
    (task,) = made.tasks
    assert task.clean.startswith("None recorded; these runs are from an older version of s4mi")
    assert texts(task.counts)[0][1:4] == ["480", "60", "120"]
    assert texts(task.counts)[1][4:] == ["16"]
    assert texts(task.splits) == [["0", UNKNOWN, UNKNOWN, "s010"]]
    old = record(0.6).model_copy(update={"leaks": 2})
    assert card([old]).tasks[0].leaks == (
        f"2 pairs of the same image or patient in two parts; the kind was {UNKNOWN} (seed 0)",
    )
    assert "not recorded for 1 older run." in card([record(0.6), *runs()[1:]]).tasks[0].clean


def test_techniques_of_one_seed_on_different_splits_are_doubted() -> None:
    one, other = record(0.5, method="a"), record(0.6, method="b").model_copy(update={"split_hash": "another"})
    assert card([one, other]).tasks[0].splits.rows[0].cells[-1].text == "another, s010"
    assert any("seed 0 at 10 %: 2 different splits" in note for note in comparison_warnings([one, other]))
    assert comparison_warnings([one, record(0.6, method="b")]) == []
