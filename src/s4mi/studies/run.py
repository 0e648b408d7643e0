"""Run a study: train every planned run once, several at a time, and keep what is finished.

A run that fails is recorded and retried once no other run is ready; if it fails again, the runs that start from it are
given up too. A full disk ends the study, as nothing else could be written either. Runs that do not fit into the study's
budget are skipped, which is not a failure: a later call with a larger budget trains them.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import joblib
import torch

from s4mi.config import PlannedRun, StudyConfig, plan_study
from s4mi.errors import S4miError, require_extra
from s4mi.records import PretrainingRecord, RunRecord, read_any_record
from s4mi.studies.budget import Budget
from s4mi.studies.devices import check_devices, with_threads
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
from s4mi.studies.preflight import check_plan, too_few_labels
from s4mi.studies.queue import RunQueue
from s4mi.studies.run_id import RunIdentity, RunMetadata, metadata_of, read_metadata, run_identities, write_metadata
from s4mi.studies.run_state import (
    as_begun,
    check_study_format,
    claim_folder,
    clear_failure,
    disk_is_full,
    run_state,
    write_failure,
    write_study_file,
)
from s4mi.studies.run_store import arrange_runs, is_finished, run_locations
from s4mi.studies.worker import AttemptResult, Job
from s4mi.studies.worker_pool import (
    InProcessPool,
    ProcessPool,
    StopRequest,
    WorkerPool,
    check_importable,
    stop_requests,
    visible_gpus,
)
from s4mi.training.environment import git_revision, versions
from s4mi.training.progress import Progress
from s4mi.training.versions import version_note


def run_study(
    study: StudyConfig, out: Path, *, workers: int = 0, ray: str | None = None, on_event: EventHandler = lambda _: None
) -> list[RunOutcome]:
    """Train the unfinished runs of a study in the folder `out`; call it again to resume after an interruption.

    Args:
        workers: worker processes, which train a run each at a time and share the cores; 0: train one run after the
            other in this process, which a crash of a run ends. Worker processes are spawned, so a script needs
            `if __name__ == "__main__":`.
        ray: address of a Ray cluster that trains the runs, at most `workers` at a time, or as many as it has room for
            if that is 0; its hosts must share the folder `out`. None: train on this machine.
        on_event: called with each event as it happens.

    Raises:
        S4miError: another process is running a study in `out`, the disk is full, or the cluster cannot be reached;
            `out` has another format; an unfinished run does not fit its data set; or worker processes cannot import a
            method.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the active runs have written checkpoints.
    """
    plan = tuple(plan_study(as_begun(study, out), out.absolute()))
    if workers or ray is not None:
        check_devices(plan)
        check_importable(plan)
    identities = run_identities(plan)
    skipped = _check_unfinished(plan, out, identities, skip=study.unsupported == "skip")
    with study_lock(out):
        runner = _StudyRunner(plan, out, on_event, identities=identities, budget=study.seconds)
        runner.load_state()
        runner.leave_out(skipped)
        if runner.done:
            pass  # without connecting to a cluster
        elif ray is not None:
            pool = _ray_pool(ray, out, runner, max_workers=workers)
            with stop_requests() as request:
                runner.run(pool, request, threads=1)
        elif workers:
            threads = max(1, min(torch.get_num_threads(), joblib.cpu_count()) // workers)
            gpus = visible_gpus(torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES"))
            with stop_requests() as request:
                runner.run(ProcessPool(workers, threads, runner.on_progress, gpus), request, threads=threads)
        else:
            runner.run(InProcessPool(runner.on_progress), StopRequest())
    return [runner.outcomes[planned.name] for planned in plan]


def _check_unfinished(
    plan: Sequence[PlannedRun], out: Path, identities: Mapping[str, RunIdentity], *, skip: bool
) -> dict[str, str]:
    """Check the unfinished runs against their data sets before anything is moved or trained.

    Args:
        skip: leave out runs whose label fraction leaves a class without labels, and return them with the reason.
    """
    check_study_format(out)
    locations = run_locations(plan, out, identities)
    finished = {location.planned.name for location in locations if is_finished(location)}
    unfinished = [planned for planned in plan if planned.name not in finished]
    if skip:
        return too_few_labels(unfinished)
    check_plan(unfinished)
    return {}


def _ray_pool(address: str, out: Path, runner: "_StudyRunner", *, max_workers: int) -> WorkerPool:
    require_extra("ray", extra="ray", purpose="--ray")
    from s4mi.studies.ray.pool import RayPool

    return RayPool(address, out, runner.on_progress, max_workers=max_workers)


class _StudyRunner:
    """Runs the queue of a study on a worker pool and collects the outcomes."""

    def __init__(
        self,
        plan: Sequence[PlannedRun],
        out: Path,
        on_event: EventHandler,
        *,
        identities: Mapping[str, RunIdentity],
        budget: float | None,
    ) -> None:
        self._plan, self._out, self._on_event = tuple(plan), out, on_event
        self._identities, self._budget_seconds = identities, budget
        self._queue = RunQueue(self._plan)
        self._budget = Budget(None, {})
        self._epochs_done: dict[str, int] = {}
        self._overran: set[str] = set()
        self._pool: WorkerPool | None = None
        self.outcomes: dict[str, RunOutcome] = {}

    @property
    def done(self) -> bool:
        """Whether no run is left to train."""
        return self._queue.done

    def load_state(self) -> None:
        """Move every run to its folder, and find the finished runs and those whose folder is in use."""
        locations = run_locations(self._plan, self._out, self._identities)
        moved = arrange_runs(locations)
        write_study_file(self._out, self._plan, self._identities)
        states = [run_state(one.planned, one.target, conflict=one.conflict) for one in locations]
        self._epochs_done = {state.planned.name: state.epochs for state in states}
        spent = {planned.name: read_metadata(self._out / planned.name).seconds for planned in self._plan}
        self._budget = Budget(self._budget_seconds, spent)
        finished = tuple(RunOutcome(state.planned, state.record) for state in states if state.done)
        for state in states:
            if state.record is not None:
                self._budget.add_record(state.planned, state.record)
        for outcome in finished:
            clear_failure(self._out / outcome.planned.name)  # it may have ended after it was given up
            self._queue.finish(outcome.planned)
            self.outcomes[outcome.planned.name] = outcome
        records = [outcome.record for outcome in finished if outcome.record is not None]
        note = None
        if records and not self._queue.done:
            note = version_note(records, current=versions(), revision=git_revision())
        left = self._budget.seconds_left
        self._on_event(StudyChecked(self._plan, finished, note, moved=tuple(moved), seconds_left=left))
        for state in states:
            if state.conflict and state.planned.name not in self.outcomes:
                self._give_up(RunOutcome(state.planned, None, state.conflict, attempted=False))

    def leave_out(self, reasons: Mapping[str, str]) -> None:
        """Skip runs that cannot be trained, each for its reason."""
        for planned in self._plan:
            if planned.name in reasons and planned.name not in self.outcomes:
                self._skip(planned, reasons[planned.name], unsupported=True)

    def run(self, pool: WorkerPool, request: StopRequest, *, threads: int | None = None) -> None:
        """Train the remaining runs."""
        self._pool = pool
        with pool:
            while not self._queue.done:
                while pool.has_capacity and (planned := self._queue.start_next()) is not None:
                    if (reason := self._reason_to_skip(planned)) is not None:
                        self._skip(planned, reason)
                        continue
                    self._on_event(RunStarted(planned, self._queue.attempt(planned)))
                    self._submit(planned, pool, threads)
                for planned, result in pool.wait():
                    self._handle_result(planned, result)
                if request.requested:
                    self._on_event(StudyStopping())
                    pool.stop()
                    raise KeyboardInterrupt

    def on_progress(self, planned: PlannedRun, progress: Progress) -> None:
        """Forward the progress of a run, and cancel it if it will exceed the remaining budget."""
        self._on_event(RunProgress(planned, progress))
        if self._pool is not None and planned.name not in self._overran and self._budget.overruns(planned, progress):
            self._overran.add(planned.name)
            self._pool.cancel(planned)

    def _reason_to_skip(self, planned: PlannedRun) -> str | None:
        dependents = [other for other in self._queue.pending if other.needs == planned.name]
        return self._budget.reason_to_skip(planned, epochs_done=self._epochs_done[planned.name], dependents=dependents)

    def _submit(self, planned: PlannedRun, pool: WorkerPool, threads: int | None) -> None:
        run, config = self._out / planned.name, with_threads(planned.config, threads)
        try:
            claim_folder(run, config, self._metadata(planned, read_metadata(run).seconds))
        except OSError as error:
            raise self._write_error(run, error) from error
        self._budget.start(planned)
        pool.submit(planned, Job(config, run))

    def _metadata(self, planned: PlannedRun, seconds: float) -> RunMetadata:
        pretraining = next((other.config for other in self._plan if other.name == planned.needs), None)
        return metadata_of(pretraining, self._identities[planned.name], seconds=seconds)

    def _handle_result(self, planned: PlannedRun, result: AttemptResult) -> None:
        run = self._out / planned.name
        if result.disk_full:
            raise S4miError(_disk_full(self._out, f"{planned.name}: {result.reason}"))
        reason = result.reason
        if not reason:
            try:
                record = read_any_record(run)
            except S4miError as error:
                reason = str(error)
            else:
                clear_failure(run)
                self._store_seconds(planned, record)
                self._queue.finish(planned)
                self._end(RunOutcome(planned, record))
                return
        self._store_seconds(planned, None)
        if planned.name in self._overran:
            self._skip(planned, "stopped: at its measured speed it exceeds the remaining budget")
            return
        try:
            write_failure(run, reason)
        except OSError as error:
            raise self._write_error(run, error) from error
        if self._queue.fail(planned):
            self._on_event(AttemptFailed(planned, reason))
        else:
            self._give_up(RunOutcome(planned, None, reason))

    def _store_seconds(self, planned: PlannedRun, record: RunRecord | PretrainingRecord | None) -> None:
        """Store the seconds of the budget that a run has taken in its folder."""
        seconds = self._budget.stop(planned, record, from_scratch=not self._epochs_done[planned.name])
        run = self._out / planned.name
        try:
            write_metadata(run, self._metadata(planned, seconds))
        except OSError as error:
            raise self._write_error(run, error) from error

    def _skip(self, planned: PlannedRun, reason: str, *, unsupported: bool = False) -> None:
        """Skip a run that does not fit into the budget, and the runs that depend on it."""
        self._end(RunOutcome(planned, None, reason, attempted=False, skipped=True, unsupported=unsupported))
        for other in self._queue.drop(planned):
            reason = f"depends on {other.needs}, which was skipped"
            self._end(RunOutcome(other, None, reason, attempted=False, skipped=True))

    def _give_up(self, outcome: RunOutcome) -> None:
        """Give up a run and the runs that depend on it."""
        self._end(outcome)
        for other in self._queue.drop(outcome.planned):
            self._end(RunOutcome(other, None, f"depends on {other.needs}, which failed", attempted=False))

    def _end(self, outcome: RunOutcome) -> None:
        self.outcomes[outcome.planned.name] = outcome
        self._on_event(RunEnded(outcome))

    def _write_error(self, run: Path, error: OSError) -> S4miError:
        if disk_is_full(error, self._out):
            return S4miError(_disk_full(self._out, str(error)))
        return S4miError(f"{run}: cannot be written ({error.strerror or error}); choose another folder")


def _disk_full(out: Path, reason: str) -> str:
    free = shutil.disk_usage(out).free / 2**20
    return (
        f"{out}: the disk is full ({reason}; {free:.0f} MiB free); finished runs are kept: free some space and rerun "
        "the same command"
    )
