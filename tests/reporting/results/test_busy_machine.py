"""Times measured beside other programs are called so."""

import os

import pytest

from made_records import record
from s4mi.records import RunRecord
from s4mi.reporting.results.comparison import compare
from s4mi.reporting.results.costs import BUSY_NOTE, cost_table
from s4mi.reporting.results.scores import metric_of
from s4mi.training.machine_load import machine_load


def loaded(load: float | None, **about) -> RunRecord:
    run = record(0.5, **about)
    return run.model_copy(update={"cost": run.cost.model_copy(update={"load": load})})


def badges(*runs: RunRecord) -> tuple[list[str], str]:
    table = cost_table(compare(list(runs))[0], metric_of("multiclass"))
    time = [column.title for column in table.columns].index("Time")
    return [row.cells[time].badge for row in table.rows], table.caption


def test_the_time_of_a_run_beside_other_programs_has_a_badge_and_the_caption_says_why() -> None:
    shown, caption = badges(loaded(2.0, method="a"), loaded(1.0, method="b"), loaded(None, method="c"))
    assert shown == ["busy machine", "", ""]
    assert BUSY_NOTE in caption
    shown, caption = badges(loaded(1.2, method="a"))
    assert shown == [""]
    assert "Busy" not in caption


def test_the_load_is_that_of_about_the_time_of_the_run_per_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (8.0, 4.0, 2.0), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert [machine_load(seconds) for seconds in (20, 300, 3600)] == [2.0, 1.0, 0.5]
    monkeypatch.delattr(os, "getloadavg")
    assert machine_load(20) is None
