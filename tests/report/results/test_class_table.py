import pytest

from made_records import LESIONS, record
from s4mi.maths.stats import mean_interval
from s4mi.report.results.class_table import class_table
from s4mi.report.results.comparison import compare
from s4mi.report.results.scores import metric_of


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_each_cell_is_the_mean_of_its_class_over_seeds(task: str) -> None:
    runs = [record(0.5 + 0.1 * seed, task=task, seed=seed) for seed in (0, 1)]
    table = class_table(compare(runs)[0], metric_of(task))
    assert [column.name for column in table.classes] == list(LESIONS)
    assert [column.support for column in table.classes] == ["20", "40", "60"]
    assert (table.score, table.unit) == ("F1", "images")
    (row,) = table.rows
    for name, cell in zip(LESIONS, row.cells, strict=True):
        assert cell.interval == mean_interval([run.test.per_class[name].f1 for run in runs])
        assert cell.count == "n = 2"


def test_one_class_needs_no_table_of_classes() -> None:
    (comparison,) = compare([record(0.5, task="segmentation")])
    assert class_table(comparison, metric_of("segmentation")) is None


def test_several_mask_classes_have_one() -> None:
    run = record(0.5, task="segmentation")
    lesion = run.test.per_class["lesion"]
    test = run.test.model_copy(update={"per_class": {"lesion": lesion, "vessel": lesion}})
    run = run.model_copy(update={"test": test, "classes": ["background", "lesion", "vessel"]})
    table = class_table(compare([run])[0], metric_of("segmentation"))
    assert [column.name for column in table.classes] == ["lesion", "vessel"]
    assert (table.score, table.unit) == ("IoU", "pixels")


def test_without_a_test_there_is_none() -> None:
    assert class_table(compare([record(None)])[0], metric_of("multiclass")) is None
