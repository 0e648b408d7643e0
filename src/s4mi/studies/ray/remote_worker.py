"""Remote worker: a Ray actor that trains one run after the other and is polled for its messages.

It may be on another host than the study, so it first checks that it sees the same folder. This module imports torch
only after the process has limited its threads, and does not import Ray.
"""

import os
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, final

from s4mi.studies.worker import (
    AttemptResult,
    ForwardWarnings,
    Job,
    JobStarted,
    WorkerWarning,
    limit_resources,
    log,
    run_job,
)

if TYPE_CHECKING:
    from s4mi.training.progress import Progress

POLL_TIMEOUT = 0.5
"""Seconds that a poll waits for a message."""
TOKEN_INTERVAL = 1.0
"""Seconds between two checks of the study's token."""


@dataclass(frozen=True)
class StudyToken:
    """A file in the study's folder that exists while the study is running.

    Attributes:
        text: contents of the file, which differ for every study.
        timeout: seconds until other hosts must see the file.
    """

    path: Path
    text: str
    timeout: float = 10.0

    @property
    def lost(self) -> bool:
        """Whether the file is gone or belongs to another study; a network error means neither."""
        try:
            return self.path.read_bytes() != self.text.encode()
        except FileNotFoundError:
            return True
        except OSError:
            return False

    def wait_until_visible(self) -> bool:
        """Whether the file is visible on this host, now or within the timeout."""
        end = time.monotonic() + self.timeout
        while self.lost or not self.path.exists():
            if time.monotonic() > end:
                return False
            time.sleep(POLL_TIMEOUT)
        return True


@dataclass(frozen=True)
class WorkerHost:
    """Host and process id of a remote worker, its first message."""

    host: str
    pid: int


@dataclass(frozen=True)
class StudyFolderMissing:
    """The study's folder does not exist on the host of the worker, or is another one."""


Message: TypeAlias = "WorkerHost | StudyFolderMissing | JobStarted | WorkerWarning | Progress | AttemptResult"


@final
class RemoteWorker:
    """Trains runs in a thread, so that it can be polled meanwhile."""

    def __init__(self, threads: int, folder: str) -> None:
        limit_resources(threads)
        with suppress(OSError):  # settings may contain paths relative to it
            os.chdir(folder)
        self._changed = threading.Condition()
        self._messages: list[Message] = [WorkerHost(socket.gethostname(), os.getpid())]
        self._acknowledged = 0
        self._stop_requested = threading.Event()
        log.addHandler(ForwardWarnings(self._send))

    def start(self, job: Job, token: StudyToken) -> None:
        """Start a run in a thread; its messages are returned by `poll`."""
        self._stop_requested.clear()
        self._send(JobStarted())
        threading.Thread(target=self._run, args=(job, token), daemon=True).start()

    def poll(self, received: int) -> list[Message]:
        """Return all messages since the process started except the first `received`; wait a moment if there is none.

        Messages are discarded only at the next poll, so that a reply that was lost can be requested again.
        """
        with self._changed:
            del self._messages[: received - self._acknowledged]
            self._acknowledged = received
            self._changed.wait_for(lambda: self._messages, timeout=POLL_TIMEOUT)
            return list(self._messages)

    def stop(self) -> None:
        """End the run after its current step."""
        self._stop_requested.set()

    def _run(self, job: Job, token: StudyToken) -> None:
        if not token.wait_until_visible():
            self._send(StudyFolderMissing())
            return
        checked = time.monotonic()

        def stop_requested() -> bool:
            nonlocal checked
            if time.monotonic() - checked > TOKEN_INTERVAL:
                checked = time.monotonic()
                if token.lost:
                    self._stop_requested.set()
            return self._stop_requested.is_set()

        self._send(run_job(job, self._send, stop_requested) or AttemptResult("stopped on request"))

    def _send(self, message: Message) -> None:
        with self._changed:
            self._messages.append(message)
            self._changed.notify()
