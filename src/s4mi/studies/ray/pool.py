"""Worker pool on a Ray cluster: remote workers on its hosts, each of which trains one run after the other.

Only this module and `connect.py` import ray. Ray places and starts the workers and reports when one has died; the study
decides what that means for the run, as with other pools, so Ray retries nothing.
"""

import logging
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import ray
from ray.exceptions import ActorUnavailableError, RayError

from s4mi.config import PlannedRun
from s4mi.errors import S4miError
from s4mi.records import LOG_NAME, RECORD_NAME
from s4mi.studies.ray.connect import (
    ResourceRequest,
    cause_of_death,
    connect,
    head_endpoint,
    host_resources,
    last_line,
    resources_per_run,
    responds,
)
from s4mi.studies.ray.remote_worker import Message, RemoteWorker, StudyFolderMissing, StudyToken, WorkerHost
from s4mi.studies.repeated_warnings import RepeatedWarnings
from s4mi.studies.worker import AttemptResult, Job, JobStarted, WorkerWarning
from s4mi.studies.worker_pool import POLL_INTERVAL, STOP_TIMEOUT, ProgressHandler, WorkerPool
from s4mi.training.progress import Progress

TOKEN_NAME = ".study.token"
IDLE_TIMEOUT = 10.0
"""Seconds that a worker without a run keeps its resources."""
VISIBILITY_TIMEOUT = 90.0
"""Seconds until this host must see files that another host has written; network file systems cache missing files."""
HEAD_TIMEOUT = 20.0
"""Seconds without a response of the head node after which the cluster is gone; Ray would end this process after 60."""
MAX_FAILED_STARTS = 3
"""Workers in a row that may die before they have started."""

log = logging.getLogger("s4mi")


@dataclass
class _Worker:
    actor: Any
    request: ResourceRequest
    reply: Any
    received: int = 0
    location: WorkerHost | None = None
    planned: PlannedRun | None = None
    job: Job | None = None
    job_started: bool = False
    has_finished_a_job: bool = False
    idle_since: float = 0.0

    def poll(self) -> None:
        """Request new messages."""
        self.reply = self.actor.poll.remote(self.received)


@dataclass
class _EndedRun:
    planned: PlannedRun
    result: AttemptResult
    record: Path
    deadline: float

    @property
    def visible(self) -> bool:
        """Whether this host sees the record of the run, or need not wait for it."""
        return bool(self.result.reason) or self.record.exists() or time.monotonic() > self.deadline


@final
class RayPool(WorkerPool):
    """Remote workers on a Ray cluster: as many as it has room for, or at most `max_workers` unless that is 0.

    Only one run at a time waits for room, so that the others still start in the order of the study.
    """

    def __init__(self, address: str, out: Path, on_progress: ProgressHandler, *, max_workers: int = 0) -> None:
        """Connect to a cluster, or start one on this machine for `local`, unless this process is already connected.

        Raises:
            S4miError: the cluster cannot be reached, or refuses the connection.
        """
        self._address, self._on_progress, self._max_workers = address, on_progress, max_workers
        self._owns_connection = not ray.is_initialized()
        if self._owns_connection:
            connect(address)
        self._head, self._last_response = head_endpoint(address), time.monotonic()
        self._has_gpus = any(host.get("GPU", 0) for host in host_resources())
        self._hosts_seen: list[dict[str, float]] = []
        self._workers: list[_Worker] = []
        self._ended: list[_EndedRun] = []
        self._failed_starts, self._warnings = 0, RepeatedWarnings()
        self._token = StudyToken(out.absolute() / TOKEN_NAME, secrets.token_hex(8))
        try:
            self._token.path.write_text(self._token.text, encoding="utf-8")
        except OSError as error:
            self.stop()
            raise S4miError(f"{self._token.path}: cannot be written ({error.strerror or error})") from error

    @property
    def has_capacity(self) -> bool:
        waiting = any(worker.location is None for worker in self._workers)
        return not waiting and (not self._max_workers or len(self._busy) < self._max_workers)

    @property
    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.planned is not None]

    def submit(self, planned: PlannedRun, job: Job) -> None:
        request = resources_per_run(planned.config.hardware, gpus=self._has_gpus)
        job = replace(job, run=job.run.absolute())
        suitable = [host for host in host_resources() if request.fits(host)]
        self._hosts_seen += [host for host in suitable if host not in self._hosts_seen]
        if not any(request.fits(host) for host in self._hosts_seen):
            reason = f"no host of the cluster has {request}; set hardware.threads or hardware.gpu_share"
            self._end(planned, job, AttemptResult(reason))
            return
        if not suitable:
            log.warning("%s: waiting for a host with %s; the hosts that had as much are gone", planned.name, request)
        self._assign(planned, job, request)

    def wait(self) -> list[tuple[PlannedRun, AttemptResult]]:
        self._check_cluster()
        replies = [worker.reply for worker in self._busy]
        if replies:
            ray.wait(replies, num_returns=len(replies), timeout=POLL_INTERVAL)
        else:
            time.sleep(POLL_INTERVAL)
        for worker in self._busy:
            self._receive(worker)
        for worker in [one for one in self._workers if _idle_too_long(one)]:
            self._dismiss(worker)
        visible = [one for one in self._ended if one.visible]
        self._ended = [one for one in self._ended if one not in visible]
        return [(one.planned, one.result) for one in visible]

    def cancel(self, planned: PlannedRun) -> None:
        for worker in self._busy:
            if worker.planned == planned:
                worker.actor.stop.remote()

    def stop(self) -> None:
        workers, self._workers = self._workers, []
        self._warnings.finish()
        try:
            busy = [worker for worker in workers if worker.planned is not None and worker.location is not None]
            with suppress(RayError, OSError):
                for worker in busy:
                    worker.actor.stop.remote()
            end = time.monotonic() + STOP_TIMEOUT
            while busy and time.monotonic() < end:
                busy = [worker for worker in busy if not _has_stopped(worker)]
        finally:
            if not self._token.lost:
                self._token.path.unlink(missing_ok=True)
            with suppress(Exception):  # a cluster that is gone has ended them
                for worker in workers:
                    ray.kill(worker.actor, no_restart=True)
            if self._owns_connection:
                self._owns_connection = False
                ray.shutdown()

    def _assign(self, planned: PlannedRun, job: Job, request: ResourceRequest) -> None:
        """Assign a run to an idle worker with these resources, or to a new one."""
        idle = [worker for worker in self._workers if worker.planned is None]
        worker = next((worker for worker in idle if worker.request == request), None)
        if worker is None:
            for other in idle:  # they may hold the resources that are needed
                self._dismiss(other)
            worker = self._start_worker(request)
        worker.planned, worker.job, worker.job_started = planned, job, False
        if worker.location is not None:
            worker.actor.start.remote(job, self._token)
            worker.poll()

    def _start_worker(self, request: ResourceRequest) -> _Worker:
        actor_class = ray.remote(RemoteWorker).options(
            num_cpus=request.cpus, num_gpus=request.gpus, max_restarts=0, max_task_retries=0
        )
        worker = _Worker(actor_class.remote(request.cpus, str(Path.cwd())), request, None)
        worker.poll()
        self._workers.append(worker)
        return worker

    def _receive(self, worker: _Worker) -> None:
        """Handle the messages of a worker, if it has replied."""
        ready, _ = ray.wait([worker.reply], timeout=0)
        if not ready:
            return
        try:
            messages = ray.get(worker.reply)
        except ActorUnavailableError:  # perhaps for a moment
            worker.poll()
            return
        except RayError as error:
            self._handle_death(worker, error)
            return
        worker.received += len(messages)
        for message in messages:
            self._handle(worker, message)
        if worker.planned is not None:
            worker.poll()

    def _handle(self, worker: _Worker, message: Message) -> None:
        if (planned := worker.planned) is None or (job := worker.job) is None:
            return
        match message:
            case WorkerHost():
                worker.location, self._failed_starts = message, 0
                worker.actor.start.remote(job, self._token)
            case StudyFolderMissing():
                host = "a host" if worker.location is None else worker.location.host
                raise S4miError(
                    f"{self._token.path.parent}: not visible on {host}; choose a folder that all hosts of the cluster "
                    "share under the same path"
                )
            case JobStarted():
                worker.job_started = True
            case WorkerWarning():
                self._warnings.show(planned.name, message.text)
            case Progress():
                self._on_progress(planned, message)
            case AttemptResult():
                worker.planned, worker.job, worker.has_finished_a_job = None, None, True
                worker.idle_since = time.monotonic()
                self._end(planned, job, message)
                if message.unexpected:
                    self._dismiss(worker)

    def _end(self, planned: PlannedRun, job: Job, result: AttemptResult) -> None:
        self._ended.append(_EndedRun(planned, result, job.run / RECORD_NAME, time.monotonic() + VISIBILITY_TIMEOUT))

    def _handle_death(self, worker: _Worker, error: RayError) -> None:
        """Report the death of a worker as the result of its run, or reassign the run if the worker died idle."""
        planned, job = worker.planned, worker.job
        assert planned is not None
        assert job is not None
        self._workers.remove(worker)
        with suppress(RayError):
            ray.kill(worker.actor, no_restart=True)
        self._check_cluster(at_once=True)
        if worker.location is None:
            self._failed_starts += 1
            if self._failed_starts >= MAX_FAILED_STARTS:
                raise S4miError(
                    f"{self._address}: no worker can start on this cluster ({last_line(error)}); check that s4mi is "
                    "installed on each of its hosts"
                )
        if worker.location is None or (worker.has_finished_a_job and not worker.job_started):
            self._assign(planned, job, worker.request)
            return
        self._end(planned, job, AttemptResult(f"{cause_of_death(error, worker.location.host)}; see its {LOG_NAME}"))

    def _dismiss(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        ray.kill(worker.actor, no_restart=True)

    def _check_cluster(self, *, at_once: bool = False) -> None:
        """Check that the head node and a host are alive; Ray would end this process, or wait forever.

        Raises:
            S4miError: the cluster is gone.
        """
        silence = time.monotonic() - self._last_response
        if silence < 2 and not at_once:
            return
        if responds(self._head) and host_resources():
            self._last_response = time.monotonic()
        elif at_once or silence > HEAD_TIMEOUT:
            raise S4miError(
                f"{self._address}: the Ray cluster is gone; finished runs are kept, rerun the command when it is back"
            )


def _idle_too_long(worker: _Worker) -> bool:
    return worker.planned is None and time.monotonic() - worker.idle_since > IDLE_TIMEOUT


def _has_stopped(worker: _Worker) -> bool:
    """Wait a moment for a worker that was asked to stop, and return whether its run has ended."""
    try:
        if not ray.wait([worker.reply], timeout=POLL_INTERVAL)[0]:
            return False
        messages = ray.get(worker.reply)
        worker.received += len(messages)
        worker.poll()
    except (RayError, OSError):
        return True
    return any(isinstance(message, AttemptResult | StudyFolderMissing) for message in messages)
