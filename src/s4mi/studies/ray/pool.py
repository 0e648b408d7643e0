"""The runs of a study on a Ray cluster: processes on its hosts, each of which makes one run after the other.

This and its way in, `ray_door.py`, are all that imports ray. Ray places and starts the processes and says when one has
died; what that means for the run is the study's affair as everywhere, so Ray repeats nothing.
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
from s4mi.studies.ray.connect import ResourceRequest, connect, head, hosts, last_line, resources_per_run, responds
from s4mi.studies.ray.remote_worker import Message, RemoteWorker, StudyFolderMissing, StudyToken, WorkerHost
from s4mi.studies.worker import AttemptResult, Job, JobStarted, WorkerWarning
from s4mi.studies.worker_pool import GRACE, PATIENCE, ProgressHandler, WorkerPool
from s4mi.training.progress import Progress

TOKEN_NAME = ".study.token"
IDLE = 10.0
"""Seconds that a process keeps its share of a host without a run."""
SHARED = 90.0
"""Seconds until the study's host sees what another one has written; network file systems remember for a while what is
not there."""
SILENCE = 20.0
"""Seconds without its head after which a cluster is gone; Ray would end this process after 60."""
STARTS = 3
"""How often in a row a process may end before it has begun."""

log = logging.getLogger("s4mi")


@dataclass
class _Worker:
    hand: Any
    request: ResourceRequest
    news: Any
    known: int = 0
    place: WorkerHost | None = None
    planned: PlannedRun | None = None
    job: Job | None = None
    taken: bool = False
    ran: bool = False
    since: float = 0.0

    def ask(self) -> None:
        """Ask what is new."""
        self.news = self.hand.hear.remote(self.known)


@dataclass
class _Ended:
    planned: PlannedRun
    result: AttemptResult
    record: Path
    until: float

    @property
    def seen(self) -> bool:
        """Whether what the run has left is to be seen on this host."""
        return bool(self.result.reason) or self.record.exists() or time.monotonic() > self.until


@final
class RayPool(WorkerPool):
    """Processes on the hosts of a Ray cluster, as many as it has room for, or `most` where that is not 0.

    One run at a time waits for room, so that the others can still begin in the order of the study.
    """

    def __init__(self, address: str, out: Path, moved: ProgressHandler, *, most: int = 0) -> None:
        """Connect to a cluster, or start one on this machine for `local`; one that this process is in already is taken.

        Raises:
            S4miError: there is no such cluster, or it does not let us in.
        """
        self._address, self._moved, self._most = address, moved, most
        self._mine = not ray.is_initialized()
        if self._mine:
            connect(address)
        self._head = head(address)
        self._heard = time.monotonic()
        self._gpus = any(host.get("GPU", 0) for host in hosts())
        self._known_hosts: list[dict[str, float]] = []
        self._workers: list[_Worker] = []
        self._ended: list[_Ended] = []
        self._failed_starts = 0
        self._token = StudyToken(out.absolute() / TOKEN_NAME, secrets.token_hex(8))
        try:
            self._token.path.write_text(self._token.text, encoding="utf-8")
        except OSError as error:
            self.stop()
            raise S4miError(f"{self._token.path}: cannot be written ({error.strerror or error})") from error

    @property
    def free(self) -> bool:
        waiting = any(worker.place is None for worker in self._workers)
        return not waiting and (not self._most or len(self._busy) < self._most)

    @property
    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.planned is not None]

    def begin(self, planned: PlannedRun, job: Job) -> None:
        wanted = resources_per_run(planned.config.hardware, gpus=self._gpus)
        job = replace(job, run=job.run.absolute())
        now = [host for host in hosts() if wanted.fits(host)]
        self._known_hosts += [host for host in now if host not in self._known_hosts]
        if not any(wanted.fits(host) for host in self._known_hosts):
            reason = f"no host of the cluster has {wanted}; set hardware.threads or hardware.gpu_share"
            self._end(planned, job, AttemptResult(reason))
            return
        if not now:
            log.warning("%s: waits for a host with %s; those that had as much are gone", planned.name, wanted)
        self._give(planned, job, wanted)

    def wait(self) -> list[tuple[PlannedRun, AttemptResult]]:
        self._check()
        news = [worker.news for worker in self._busy]
        if news:
            ray.wait(news, num_returns=len(news), timeout=PATIENCE)
        else:
            time.sleep(PATIENCE)
        for worker in self._busy:
            self._listen(worker)
        for worker in [one for one in self._workers if one.planned is None and time.monotonic() - one.since > IDLE]:
            self._dismiss(worker)
        over, self._ended = [one for one in self._ended if one.seen], [one for one in self._ended if not one.seen]
        return [(one.planned, one.result) for one in over]

    def end(self, planned: PlannedRun) -> None:
        for worker in self._busy:
            if worker.planned == planned:
                worker.hand.stop.remote()

    def stop(self) -> None:
        workers, self._workers = self._workers, []
        try:
            busy = [worker for worker in workers if worker.planned is not None and worker.place is not None]
            with suppress(RayError, OSError):
                for worker in busy:
                    worker.hand.stop.remote()
            end = time.monotonic() + GRACE
            while busy and time.monotonic() < end:
                busy = [worker for worker in busy if not _over(worker)]
        finally:
            if not self._token.lost:
                self._token.path.unlink(missing_ok=True)
            with suppress(Exception):  # a cluster that is gone has ended them
                for worker in workers:
                    ray.kill(worker.hand, no_restart=True)
            if self._mine:
                self._mine = False
                ray.shutdown()

    def _give(self, planned: PlannedRun, job: Job, wanted: ResourceRequest) -> None:
        """Let a process have the run that has nothing to do, or a new one."""
        idle = [worker for worker in self._workers if worker.planned is None]
        worker = next((worker for worker in idle if worker.request == wanted), None)
        if worker is None:
            for other in idle:  # they may be what is in the way
                self._dismiss(other)
            worker = self._start(wanted)
        worker.planned, worker.job, worker.taken = planned, job, False
        if worker.place is not None:
            worker.hand.begin.remote(job, self._token)
            worker.ask()

    def _start(self, wanted: ResourceRequest) -> _Worker:
        remote = ray.remote(RemoteWorker).options(
            num_cpus=wanted.cpus, num_gpus=wanted.gpus, max_restarts=0, max_task_retries=0
        )
        hand = remote.remote(wanted.cpus, str(Path.cwd()))
        worker = _Worker(hand, wanted, None)
        worker.ask()
        self._workers.append(worker)
        return worker

    def _listen(self, worker: _Worker) -> None:
        """Take in what a process tells, if it has answered."""
        ready, _ = ray.wait([worker.news], timeout=0)
        if not ready:
            return
        try:
            messages = ray.get(worker.news)
        except ActorUnavailableError:  # perhaps for a moment
            worker.ask()
            return
        except RayError as error:
            self._lost(worker, error)
            return
        worker.known += len(messages)
        for message in messages:
            self._take(worker, message)
        if worker.planned is not None:
            worker.ask()

    def _take(self, worker: _Worker, message: Message) -> None:
        planned, job = worker.planned, worker.job
        if planned is None or job is None:
            return
        match message:
            case WorkerHost():
                worker.place, self._failed_starts = message, 0
                worker.hand.begin.remote(job, self._token)
            case StudyFolderMissing():
                host = "a host" if worker.place is None else worker.place.host
                raise S4miError(
                    f"{self._token.path.parent}: {host} does not see this folder; choose one that all hosts of the "
                    "cluster share, under the same path"
                )
            case JobStarted():
                worker.taken = True
            case WorkerWarning():
                log.warning("%s: %s", planned.name, message.text)
            case Progress():
                self._moved(planned, message)
            case AttemptResult():
                worker.planned, worker.job, worker.ran, worker.since = None, None, True, time.monotonic()
                self._end(planned, job, message)
                if message.unforeseen:
                    self._dismiss(worker)

    def _end(self, planned: PlannedRun, job: Job, result: AttemptResult) -> None:
        self._ended.append(_Ended(planned, result, job.run / RECORD_NAME, time.monotonic() + SHARED))

    def _lost(self, worker: _Worker, error: RayError) -> None:
        """A process has died: that is how its run ended, unless it died before, with nothing to do."""
        planned, job = worker.planned, worker.job
        assert planned is not None
        assert job is not None
        self._workers.remove(worker)
        with suppress(RayError):
            ray.kill(worker.hand, no_restart=True)
        self._check(at_once=True)
        if worker.place is None:
            self._failed_starts += 1
            if self._failed_starts >= STARTS:
                raise S4miError(
                    f"{self._address}: no process can begin on this cluster ({last_line(error)}); is s4mi installed "
                    "on each of its hosts?"
                )
        if worker.place is None or (worker.ran and not worker.taken):
            self._give(planned, job, worker.request)
            return
        self._end(planned, job, AttemptResult(f"{_how(error, worker.place.host)}; see its {LOG_NAME}"))

    def _dismiss(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        ray.kill(worker.hand, no_restart=True)

    def _check(self, *, at_once: bool = False) -> None:
        """See that the head of the cluster and a host are there; Ray would end this process, or let it wait for ever.

        Raises:
            S4miError: it is gone.
        """
        silence = time.monotonic() - self._heard
        if silence < 2 and not at_once:
            return
        if responds(self._head) and hosts():
            self._heard = time.monotonic()
        elif at_once or silence > SILENCE:
            raise S4miError(
                f"{self._address}: the Ray cluster is gone; finished runs are kept, give the same command when it is "
                "back"
            )


def _over(worker: _Worker) -> bool:
    """Whether the run of a process that was asked to stop has ended, after a moment."""
    try:
        if not ray.wait([worker.news], timeout=PATIENCE)[0]:
            return False
        messages = ray.get(worker.news)
        worker.known += len(messages)
        worker.ask()
    except (RayError, OSError):
        return True
    return any(isinstance(message, AttemptResult | StudyFolderMissing) for message in messages)


def _how(error: RayError, host: str) -> str:
    """In what way a process has died."""
    text = str(error)
    if "low on memory" in text:
        return f"its process was ended by Ray, as the memory of {host} was full"
    if "node has died" in text or "node was terminated" in text or "node has crashed" in text:
        return f"{host}, on which it ran, is gone"
    return f"its process on {host} has died, perhaps for want of memory"
