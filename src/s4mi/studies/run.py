"""A whole study: every run once, several at a time; what is finished is kept, and what fails stops nothing else.

A run that fails is put on record and tried once more when nothing else is ready; the runs that start from it are given
up with it. A full disk ends the study, as nothing else could be written either. Of a study with a budget the runs that
do not fit are left out, which is no failure; a later call with more goes on with them.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import joblib
import torch

from s4mi.config import PlannedRun, RunConfig, StudyConfig, plan_study
from s4mi.errors import S4miError, require_extra
from s4mi.records import PretrainingRecord, RunRecord, read_any_record
from s4mi.studies.budget import Budget
from s4mi.studies.events import (
    AttemptFailed,
    EventHandler,
    RunEnded,
    RunOutcome,
    RunProgress,
    RunStarted,
    StudyChecked,
    StudyStopping,
)
from s4mi.studies.lock import study_lock
from s4mi.studies.preflight import check_plan
from s4mi.studies.queue import RunQueue
from s4mi.studies.run_id import RunIdentity, RunMetadata, metadata_of, read_metadata, run_identities, write_metadata
from s4mi.studies.run_state import (
    check_format,
    claim,
    disk_is_full,
    forget_failure,
    run_state,
    write_failure,
    write_format,
)
from s4mi.studies.run_store import arrange_runs, is_done, run_locations
from s4mi.studies.worker import AttemptResult, Job
from s4mi.studies.worker_pool import InProcessPool, ProcessPool, StopRequest, WorkerPool, stop_requests, visible_gpus
from s4mi.training.environment import git_revision, versions
from s4mi.training.progress import Progress
from s4mi.training.versions import version_note


def run_study(
    study: StudyConfig, out: Path, *, workers: int = 0, ray: str | None = None, tell: EventHandler = lambda _: None
) -> list[RunOutcome]:
    """Run what is not finished yet; a second call goes on where the first was interrupted.

    Args:
        workers: processes that make a run each at a time and share the cores; 0: this process makes them one by one,
            and dies with a run that crashes. Processes are spawned, so a script needs its `if __name__ == "__main__":`.
        ray: address of a Ray cluster whose processes make the runs, `workers` of them at a time, or, if that is 0, as
            many as there is room for; its hosts share the folder `out`. None: this machine makes them.
        tell: told what happens, as it happens.

    Raises:
        S4miError: another process runs a study in `out`, there is no room left on the disk, or no such cluster; `out`
            is of another format; or a run that is not finished does not fit its data set.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the runs have ended and left their checkpoints.
    """
    plan = tuple(plan_study(study, out.absolute()))
    if workers or ray is not None:
        _check_devices(plan)
    known = run_identities(plan)
    _check(plan, out, known)
    with study_lock(out):
        job = _Study(plan, out, tell, known=known, budget=study.seconds)
        job.look()
        if job.over:
            pass  # a cluster, for one, need not be there
        elif ray is not None:
            crew = _cluster(ray, out, job, most=workers)
            with stop_requests() as request:
                job.work(crew, request, threads=1)
        elif workers:
            threads = max(1, min(torch.get_num_threads(), joblib.cpu_count()) // workers)
            gpus = visible_gpus(torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES"))
            with stop_requests() as request:
                job.work(ProcessPool(workers, threads, job.moved, gpus), request, threads=threads)
        else:
            job.work(InProcessPool(job.moved), StopRequest())
    return [job.outcomes[planned.name] for planned in plan]


def _check(plan: Sequence[PlannedRun], out: Path, known: Mapping[str, RunIdentity]) -> None:
    """Hold what is not finished against the data sets, before anything is moved or trains."""
    check_format(out)
    found = run_locations(plan, out, known)
    done = {place.planned.name for place in found if is_done(place)}
    check_plan([planned for planned in plan if planned.name not in done])


def _cluster(address: str, out: Path, job: "_Study", *, most: int) -> WorkerPool:
    require_extra("ray", extra="ray", purpose="--ray")
    from s4mi.studies.ray.pool import RayPool

    return RayPool(address, out, job.moved, most=most)


class _Study:
    """A study under way."""

    def __init__(
        self,
        plan: Sequence[PlannedRun],
        out: Path,
        tell: EventHandler,
        *,
        known: Mapping[str, RunIdentity],
        budget: float | None,
    ) -> None:
        self._plan, self._out, self._tell = tuple(plan), out, tell
        self._known, self._seconds = known, budget
        self._graph = RunQueue(self._plan)
        self._budget = Budget(None, {})
        self._epochs: dict[str, int] = {}
        self._stopped: set[str] = set()
        self._crew: WorkerPool | None = None
        self.outcomes: dict[str, RunOutcome] = {}

    @property
    def over(self) -> bool:
        """Whether there is nothing left to do."""
        return self._graph.over

    def look(self) -> None:
        """Put every run where it belongs; find what is finished, and what can never be as its folder is taken."""
        found = run_locations(self._plan, self._out, self._known)
        moved = arrange_runs(found)
        write_format(self._out, self._plan, self._known)
        standings = [run_state(place.planned, place.home, conflict=place.conflict) for place in found]
        self._epochs = {one.planned.name: one.epochs for one in standings}
        spent = {planned.name: read_metadata(self._out / planned.name).seconds for planned in self._plan}
        self._budget = Budget(self._seconds, spent)
        finished = tuple(RunOutcome(one.planned, one.record) for one in standings if one.record is not None)
        for outcome in finished:
            assert outcome.record is not None
            forget_failure(self._out / outcome.planned.name)  # it may have ended after it was given up
            self._graph.finish(outcome.planned)
            self._budget.learn(outcome.planned, outcome.record)
            self.outcomes[outcome.planned.name] = outcome
        records = [outcome.record for outcome in finished if outcome.record is not None]
        note = None
        if records and not self._graph.over:
            note = version_note(records, current=versions(), revision=git_revision())
        self._tell(StudyChecked(self._plan, finished, note, moved=tuple(moved), left=self._budget.left))
        for one in standings:
            if one.conflict and one.planned.name not in self.outcomes:
                self._lose(RunOutcome(one.planned, None, one.conflict, tried=False))

    def work(self, crew: WorkerPool, request: StopRequest, *, threads: int | None = None) -> None:
        """Make the runs that are left."""
        self._crew = crew
        with crew:
            while not self._graph.over:
                while crew.free and (planned := self._graph.begin()) is not None:
                    if (reason := self._lacks(planned)) is not None:
                        self._leave_out(planned, reason)
                        continue
                    self._tell(RunStarted(planned, self._graph.attempt(planned)))
                    self._begin(planned, crew, threads)
                for planned, result in crew.wait():
                    self._take(planned, result)
                if request.made:
                    self._tell(StudyStopping())
                    crew.stop()
                    raise KeyboardInterrupt

    def moved(self, planned: PlannedRun, progress: Progress) -> None:
        """Pass on how far a run is, and stop one that cannot end within the budget."""
        self._tell(RunProgress(planned, progress))
        if self._crew is not None and planned.name not in self._stopped and self._budget.overruns(planned, progress):
            self._stopped.add(planned.name)
            self._crew.end(planned)

    def _lacks(self, planned: PlannedRun) -> str | None:
        """Why there is no time for a run."""
        after = [other for other in self._graph.waiting if other.needs == planned.name]
        return self._budget.lacks(planned, epochs=self._epochs[planned.name], next_ones=after)

    def _begin(self, planned: PlannedRun, crew: WorkerPool, threads: int | None) -> None:
        run, config = self._out / planned.name, _with_threads(planned.config, threads)
        try:
            claim(run, config, self._kept(planned, read_metadata(run).seconds))
        except OSError as error:
            raise self._unwritable(run, error) from error
        self._budget.begin(planned)
        crew.begin(planned, Job(config, run))

    def _kept(self, planned: PlannedRun, seconds: float) -> RunMetadata:
        needed = next((other.config for other in self._plan if other.name == planned.needs), None)
        return metadata_of(needed, self._known[planned.name], seconds=seconds)

    def _take(self, planned: PlannedRun, result: AttemptResult) -> None:
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
                self._count(planned, record)
                self._graph.finish(planned)
                self.outcomes[planned.name] = RunOutcome(planned, record)
                self._tell(RunEnded(self.outcomes[planned.name]))
                return
        self._count(planned, None)
        if planned.name in self._stopped:
            self._leave_out(planned, "its own steps have shown that it does not fit into what is left of the budget")
            return
        try:
            write_failure(run, reason)
        except OSError as error:
            raise self._unwritable(run, error) from error
        if self._graph.fail(planned):
            self._tell(AttemptFailed(planned, reason))
        else:
            self._lose(RunOutcome(planned, None, reason))

    def _count(self, planned: PlannedRun, record: RunRecord | PretrainingRecord | None) -> None:
        """A run is over: put on record what it has taken of the study's time."""
        seconds = self._budget.end(planned, record, whole=not self._epochs[planned.name])
        run = self._out / planned.name
        try:
            write_metadata(run, self._kept(planned, seconds))
        except OSError as error:
            raise self._unwritable(run, error) from error

    def _leave_out(self, planned: PlannedRun, reason: str) -> None:
        """There is no time for a run, nor for those that need it."""
        left_out = [(planned, reason)]
        left_out += [(other, f"as {other.needs} is, which it starts from") for other in self._graph.give_up(planned)]
        for other, why in left_out:
            self.outcomes[other.name] = RunOutcome(other, None, why, tried=False, left_out=True)
            self._tell(RunEnded(self.outcomes[other.name]))

    def _lose(self, outcome: RunOutcome) -> None:
        """Give up a run and those that need it."""
        stranded = (
            RunOutcome(other, None, f"{other.needs}, which it starts from, has failed", tried=False)
            for other in self._graph.give_up(outcome.planned)
        )
        for one in (outcome, *stranded):
            self.outcomes[one.planned.name] = one
            self._tell(RunEnded(one))

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
