"""A whole study: every run once, one after the other; what is finished is kept, and what fails stops nothing else."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from s4mi.config import PlannedRun, StudyConfig, plan_study
from s4mi.errors import S4miError
from s4mi.recipes.progress import Watcher
from s4mi.recipes.run_dir import RunDir
from s4mi.recipes.train import train
from s4mi.records import PretrainingRecord, RunRecord


@dataclass(frozen=True)
class Outcome:
    """What became of a planned run: its record, or why there is none."""

    planned: PlannedRun
    record: RunRecord | PretrainingRecord | None
    failure: str = ""


def run_study(
    study: StudyConfig,
    out: Path,
    *,
    done: Callable[[Outcome], None] = lambda _: None,
    watch: Callable[[PlannedRun], Watcher] = lambda _: lambda _: None,
) -> list[Outcome]:
    """Run what is not finished yet; a second call goes on where the first was interrupted.

    Args:
        done: called after each run. watch: makes the watcher of a run that is about to begin.
    """
    out.mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    failed: set[str] = set()
    for planned in plan_study(study, out.absolute()):
        outcome = _run(planned, out, failed, watch)
        if outcome.record is None:
            failed.add(planned.name)
        outcomes.append(outcome)
        done(outcome)
    return outcomes


def _run(planned: PlannedRun, out: Path, failed: set[str], watch: Callable[[PlannedRun], Watcher]) -> Outcome:
    if planned.needs in failed:
        return Outcome(planned, None, f"{planned.needs}, which it starts from, has failed")
    try:
        watcher: Watcher = (lambda _: None) if RunDir(out / planned.name).finished else watch(planned)
        return Outcome(planned, train(planned.config, out / planned.name, resume=True, watch=watcher))
    except S4miError as error:
        return Outcome(planned, None, str(error))
