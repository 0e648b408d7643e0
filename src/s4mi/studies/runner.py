"""Runs the queue of a study on a worker pool, and collects the outcomes."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from s4mi.config import PlannedRun
from s4mi.errors import S4miError
from s4mi.records import PretrainingRecord, RunRecord, read_any_record, read_epochs
from s4mi.studies.budget import STOPPED, Budget
from s4mi.studies.devices import with_threads
from s4mi.studies.erased_runs import erased_line, erased_runs
from s4mi.studies.events import (
    AttemptFailed,
    EventHandler,
    RunEnded,
    RunOutcome,
    RunPostponed,
    RunProgress,
    RunStarted,
    StudyChecked,
    StudyStopping,
)
from s4mi.studies.queue import RunQueue
from s4mi.studies.run_id import RunIdentity, RunMetadata, metadata_of, read_metadata, starts_of, write_metadata
from s4mi.studies.run_state import claim_folder, clear_failure, disk_is_full, run_state, write_failure, write_study_file
from s4mi.studies.run_store import arrange_runs, run_locations
from s4mi.studies.scheduler import Scheduler
from s4mi.studies.signals import StopRequest
from s4mi.studies.worker import AttemptResult, Job
from s4mi.studies.worker_pool import WorkerPool
from s4mi.training.installed import git_revision, versions
from s4mi.training.progress import Progress
from s4mi.training.run_dir import tidy
from s4mi.training.versions import version_note


class StudyRunner:
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
        self._starts = starts_of(self._plan)
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
        erased = erased_runs(locations, self._identities)
        line = erased_line(erased, done=True)
        moved = [*([line] if line else ()), *arrange_runs(locations, erased=erased)]
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
            tidy(self._out / outcome.planned.name)
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
        trainable = [run for run in self._plan if run.name not in self.outcomes or self.outcomes[run.name].record]
        scheduler = Scheduler(
            trainable, self._queue, self._budget, epochs_done=self._epochs_done, together=pool.together
        )
        with self._storing_seconds(), pool:
            while not self._queue.done:
                while pool.has_capacity and (planned := scheduler.start_next()) is not None:
                    epochs = self._epochs_done[planned.name]
                    self._on_event(RunStarted(planned, self._queue.attempt(planned), epochs))
                    self._submit(planned, pool, threads)
                if not self._queue.active:
                    for planned, reason in scheduler.reasons_to_skip():
                        self._skip(planned, reason)
                    return
                for planned, result in pool.wait():
                    self._handle_result(planned, result, scheduler)
                if request.requested:
                    self._on_event(StudyStopping())
                    pool.stop()
                    raise KeyboardInterrupt

    @contextmanager
    def _storing_seconds(self) -> Iterator[None]:
        """Store the seconds of the runs that are active when the study is interrupted: they count as spent too."""
        try:
            yield
        except BaseException:
            for planned in self._budget.active:
                with suppress(S4miError):
                    self._store_seconds(planned, None)
            raise

    def on_progress(self, planned: PlannedRun, progress: Progress) -> None:
        """Forward the progress of a run, and cancel it if it will exceed the remaining budget."""
        self._on_event(RunProgress(planned, progress))
        if self._pool is not None and planned.name not in self._overran and self._budget.overruns(planned, progress):
            self._overran.add(planned.name)
            self._pool.cancel(planned)

    def _submit(self, planned: PlannedRun, pool: WorkerPool, threads: int | None) -> None:
        run, config = self._out / planned.name, with_threads(planned.config, threads)
        try:
            claim_folder(run, config, self._metadata(planned, read_metadata(run).seconds))
        except OSError as error:
            raise self._write_error(run, error) from error
        self._budget.start(planned)
        pool.submit(planned, Job(config, run))

    def _metadata(self, planned: PlannedRun, seconds: float) -> RunMetadata:
        return metadata_of(self._starts.get(planned.name), self._identities[planned.name], seconds=seconds)

    def _handle_result(self, planned: PlannedRun, result: AttemptResult, scheduler: Scheduler) -> None:
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
            self._overran.discard(planned.name)
            self._epochs_done[planned.name] = len(read_epochs(run))
            scheduler.postpone(planned, epochs_done=self._epochs_done[planned.name])
            self._on_event(RunPostponed(planned, STOPPED))
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
