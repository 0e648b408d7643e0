"""The time of runs that are active when a study is interrupted counts as spent, as that of finished runs does."""

import time
from pathlib import Path
from typing import final

import pytest

from conftest import TRANSFER
from s4mi.config import PlannedRun, make_study, plan_study
from s4mi.errors import S4miError
from s4mi.studies.run_id import read_metadata, run_identities
from s4mi.studies.runner import StudyRunner
from s4mi.studies.signals import StopRequest
from s4mi.studies.worker import AttemptResult, Job
from s4mi.studies.worker_pool import WorkerPool

SECONDS = 0.05


@final
class EndingPool(WorkerPool):
    """Trains two runs at a time for a moment, and ends with an error."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.submitted: list[PlannedRun] = []

    @property
    def has_capacity(self) -> bool:
        return len(self.submitted) < 2

    def submit(self, planned: PlannedRun, job: Job) -> None:  # noqa: ARG002
        self.submitted.append(planned)

    def wait(self) -> list[tuple[PlannedRun, AttemptResult]]:
        time.sleep(SECONDS)
        raise self.error

    def stop(self) -> None:
        pass


@pytest.mark.parametrize("error", [KeyboardInterrupt(), S4miError("the Ray cluster is gone")])
def test_the_time_until_an_interruption_is_spent(lesions: Path, tmp_path: Path, error: BaseException) -> None:
    contents = {
        "data": {"path": lesions, "image_size": 32}, "label_fractions": [100], "seeds": [0, 1, 2], "budget": "1 h",
        "arms": [{"method": TRANSFER}],
    }  # fmt: skip
    plan = list(plan_study(make_study(contents, origin="study.yaml"), tmp_path))
    runner = StudyRunner(plan, tmp_path, lambda _: None, identities=run_identities(plan), budget=3600.0)
    runner.load_state()
    pool = EndingPool(error)
    with pytest.raises(type(error)):
        runner.run(pool, StopRequest(), threads=1)
    spent = {planned.name: read_metadata(tmp_path / planned.name).seconds for planned in plan}
    assert len(pool.submitted) == 2
    assert sum(spent[planned.name] for planned in pool.submitted) >= SECONDS - 0.002, "rounded to ms"
    assert spent[plan[2].name] == 0
