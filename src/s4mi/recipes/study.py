"""A whole study: every run once, several at a time; what is finished is kept, and what fails stops nothing else.

A run that fails is put on record and tried once more when nothing else is ready; the runs that start from it are given
up with it. A full disk ends the study, as nothing else could be written either.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import joblib
import torch

from s4mi.config import PlannedRun, RunConfig, StudyConfig, plan_study
from s4mi.errors import S4miError
from s4mi.recipes.progress import Progress
from s4mi.recipes.study_crew import Alone, Crew, Request, Workers, stop_requests
from s4mi.recipes.study_events import Begun, Ended, Failed, Looked, Moved, Outcome, Stopping, Tell
from s4mi.recipes.study_folder import claim, disk_is_full, forget_failure, standing_of, write_failure
from s4mi.recipes.study_graph import Graph
from s4mi.recipes.study_lock import study_lock
from s4mi.recipes.study_versions import version_note
from s4mi.recipes.study_worker import Job, Result
from s4mi.recipes.surroundings import git_revision, versions
from s4mi.records import read_any_record


def run_study(study: StudyConfig, out: Path, *, workers: int = 0, tell: Tell = lambda _: None) -> list[Outcome]:
    """Run what is not finished yet; a second call goes on where the first was interrupted.

    Args:
        workers: processes that make a run each at a time and share the cores; 0: this process makes them one by one,
            and dies with a run that crashes. Processes are spawned, so a script needs its `if __name__ == "__main__":`.
        tell: told what happens, as it happens.

    Raises:
        S4miError: another process runs a study in `out`, or there is no room left on the disk.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the runs have ended and left their checkpoints.
    """
    plan = tuple(plan_study(study, out.absolute()))
    if workers:
        _check_devices(plan)
    with study_lock(out):
        job = _Study(plan, out, tell)
        job.look()
        if not workers:
            job.work(Alone(job.moved), Request())
        else:
            threads = max(1, min(torch.get_num_threads(), joblib.cpu_count()) // workers)
            with stop_requests() as request:
                job.work(Workers(workers, threads, job.moved), request, threads=threads)
    return [job.outcomes[planned.name] for planned in plan]


class _Study:
    """A study under way."""

    def __init__(self, plan: Sequence[PlannedRun], out: Path, tell: Tell) -> None:
        self._plan, self._out, self._tell = tuple(plan), out, tell
        self._graph = Graph(self._plan)
        self.outcomes: dict[str, Outcome] = {}

    def look(self) -> None:
        """Find what is finished, and what can never be as its folder holds another run."""
        standings = [standing_of(planned, self._out) for planned in self._plan]
        finished = tuple(Outcome(one.planned, one.record) for one in standings if one.record is not None)
        for outcome in finished:
            self._graph.finish(outcome.planned)
            self.outcomes[outcome.planned.name] = outcome
        records = [outcome.record for outcome in finished if outcome.record is not None]
        note = None
        if records and not self._graph.over:
            note = version_note(records, current=versions(), revision=git_revision())
        self._tell(Looked(self._plan, finished, note))
        for one in standings:
            if one.conflict and one.planned.name not in self.outcomes:
                self._lose(Outcome(one.planned, None, one.conflict, tried=False))

    def work(self, crew: Crew, request: Request, *, threads: int | None = None) -> None:
        """Make the runs that are left."""
        with crew:
            while not self._graph.over:
                while crew.free and (planned := self._graph.begin()) is not None:
                    self._tell(Begun(planned, self._graph.attempt(planned)))
                    self._begin(planned, crew, threads)
                for planned, result in crew.wait():
                    self._take(planned, result)
                if request.made:
                    self._tell(Stopping())
                    crew.stop()
                    raise KeyboardInterrupt

    def moved(self, planned: PlannedRun, progress: Progress) -> None:
        """Pass on how far a run is."""
        self._tell(Moved(planned, progress))

    def _begin(self, planned: PlannedRun, crew: Crew, threads: int | None) -> None:
        run, config = self._out / planned.name, _with_threads(planned.config, threads)
        try:
            claim(run, config)
        except OSError as error:
            raise self._unwritable(run, error) from error
        crew.begin(planned, Job(config, run))

    def _take(self, planned: PlannedRun, result: Result) -> None:
        run = self._out / planned.name
        if result.full:
            raise S4miError(_no_room(self._out, f"{planned.name}: {result.reason}"))
        reason = result.reason
        if not reason:
            try:
                record = read_any_record(run)
            except S4miError as error:
                reason = str(error)
            else:
                forget_failure(run)
                self._graph.finish(planned)
                self.outcomes[planned.name] = Outcome(planned, record)
                self._tell(Ended(self.outcomes[planned.name]))
                return
        try:
            write_failure(run, reason)
        except OSError as error:
            raise self._unwritable(run, error) from error
        if self._graph.fail(planned):
            self._tell(Failed(planned, reason))
        else:
            self._lose(Outcome(planned, None, reason))

    def _lose(self, outcome: Outcome) -> None:
        """Give up a run and those that need it."""
        stranded = (
            Outcome(other, None, f"{other.needs}, which it starts from, has failed", tried=False)
            for other in self._graph.give_up(outcome.planned)
        )
        for one in (outcome, *stranded):
            self.outcomes[one.planned.name] = one
            self._tell(Ended(one))

    def _unwritable(self, run: Path, error: OSError) -> S4miError:
        if disk_is_full(error, self._out):
            return S4miError(_no_room(self._out, str(error)))
        return S4miError(f"{run}: cannot be written ({error.strerror or error}); choose another folder")


def _no_room(out: Path, reason: str) -> str:
    free = shutil.disk_usage(out).free / 2**20
    return (
        f"{out}: the disk is full ({reason}; {free:.0f} MiB are free here); finished runs are kept, make room "
        "and give the same command"
    )


def _check_devices(plan: Sequence[PlannedRun]) -> None:
    for planned in plan:
        hardware = planned.config.hardware
        if hardware.devices > 1 or hardware.num_nodes > 1:
            asked = hardware.devices * hardware.num_nodes
            raise S4miError(
                f"{planned.name}: hardware asks for {asked} devices, but a run of a study takes one; leave "
                "hardware.devices and hardware.num_nodes out, and make several runs at a time with --workers"
            )


def _with_threads(config: RunConfig, threads: int | None) -> RunConfig:
    """The run's settings with its share of the cores, where it does not say how many it wants."""
    if threads is None or config.hardware.threads is not None:
        return config
    return config.model_copy(update={"hardware": config.hardware.model_copy(update={"threads": threads})})
