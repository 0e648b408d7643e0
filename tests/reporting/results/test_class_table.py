import pytest

from made_records import LESIONS, record
from s4mi.maths.stats import mean_interval
from s4mi.reporting.results.class_table import class_table
from s4mi.reporting.results.comparison import compare
from s4mi.reporting.results.scores import metric_of
from s4mi.reporting.results.tables import MeanScore


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_each_cell_is_the_mean_of_its_class_over_seeds(task: str) -> None:
    runs = [record(0.5 + 0.1 * seed, task=task, seed=seed) for seed in (0, 1)]
    table = class_table(compare(runs)[0], metric_of(task))
    assert table.title == "Test F1 per class"
    assert [column.title for column in table.columns[2:]] == list(LESIONS)
    assert [column.note for column in table.columns[2:]] == ["20 test images", "40 test images", "60 test images"]
    (row,) = table.rows
    for name, cell in zip(LESIONS, row.cells[2:], strict=True):
        interval = mean_interval([run.test.per_class[name].f1 for run in runs])
        assert cell == MeanScore.of(interval, 2, metric_of(task)).cell
        assert cell.details == ("n = 2",)


def test_one_class_needs_no_table_of_classes() -> None:
    (comparison,) = compare([record(0.5, task="segmentation")])
    assert class_table(comparison, metric_of("segmentation")) is None


def test_several_mask_classes_have_one() -> None:
    run = record(0.5, task="segmentation")
    lesion = run.test.per_class["lesion"]
    test = run.test.model_copy(update={"per_class": {"lesion": lesion, "vessel": lesion}})
    run = run.model_copy(update={"test": test, "classes": ["background", "lesion", "vessel"]})
    table = class_table(compare([run])[0], metric_of("segmentation"))
    assert table.title == "Test IoU per class"
    assert [column.plain for column in table.columns[2:]] == [
        "lesion (90\N{NARROW NO-BREAK SPACE}000 test pixels)",
        "vessel (90\N{NARROW NO-BREAK SPACE}000 test pixels)",
    ]


def test_without_a_test_there_is_none() -> None:
    assert class_table(compare([record(None)])[0], metric_of("multiclass")) is None
