"""A process of a cluster that makes one run after the other, and is asked what there is to tell.

It may be on another host than the study, so it shows first that both see the same folder. Nothing here imports torch
before the process has said how many threads it may take, and nothing knows whose cluster it is.
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
    divide_threads,
    execute,
    log,
)

if TYPE_CHECKING:
    from s4mi.training.progress import Progress

BREATH = 0.5
"""Seconds that a question waits for news."""
LOOK = 1.0
"""Seconds between two looks at whether the study is still that of the run."""


@dataclass(frozen=True)
class StudyToken:
    """A file in the study's folder, there for as long as this study is run.

    `patience`: seconds that it may need until other hosts see it.
    """

    path: Path
    text: str
    patience: float = 10.0

    @property
    def lost(self) -> bool:
        """Whether it is gone, or another's; a moment's trouble with the network says neither."""
        try:
            return self.path.read_text(encoding="utf-8") != self.text
        except FileNotFoundError:
            return True
        except OSError:
            return False

    def seen(self) -> bool:
        """Whether it is there, or soon is."""
        end = time.monotonic() + self.patience
        while self.lost or not self.path.exists():
            if time.monotonic() > end:
                return False
            time.sleep(BREATH)
        return True


@dataclass(frozen=True)
class WorkerHost:
    """Where the process is."""

    host: str
    pid: int


@dataclass(frozen=True)
class StudyFolderMissing:
    """The study's folder is not there, or is another one."""


Message: TypeAlias = "WorkerHost | StudyFolderMissing | JobStarted | WorkerWarning | Progress | AttemptResult"


@final
class RemoteWorker:
    """Makes runs in a thread, so that it can be asked meanwhile."""

    def __init__(self, threads: int, folder: str) -> None:
        divide_threads(threads)
        with suppress(OSError):  # settings may name files from there
            os.chdir(folder)
        self._news = threading.Condition()
        self._messages: list[Message] = [WorkerHost(socket.gethostname(), os.getpid())]
        self._dropped = 0
        self._asked = threading.Event()
        log.addHandler(ForwardWarnings(self._tell))

    def begin(self, job: Job, token: StudyToken) -> None:
        """Make a run, which `hear` will tell about."""
        self._asked.clear()
        self._tell(JobStarted())
        threading.Thread(target=self._make, args=(job, token), daemon=True).start()

    def hear(self, known: int) -> list[Message]:
        """All messages since this process began but the first `known`; after a moment, if there is none.

        What was asked for is forgotten at the next question, so that an answer that got lost can be asked for again.
        """
        with self._news:
            del self._messages[: known - self._dropped]
            self._dropped = known
            self._news.wait_for(lambda: self._messages, timeout=BREATH)
            return list(self._messages)

    def stop(self) -> None:
        """End the run after its step."""
        self._asked.set()

    def _make(self, job: Job, token: StudyToken) -> None:
        if not token.seen():
            self._tell(StudyFolderMissing())
            return
        looked = time.monotonic()

        def asked() -> bool:
            nonlocal looked
            if time.monotonic() - looked > LOOK:
                looked = time.monotonic()
                if token.lost:
                    self._asked.set()
            return self._asked.is_set()

        self._tell(execute(job, self._tell, asked) or AttemptResult("it was asked to stop"))

    def _tell(self, message: Message) -> None:
        with self._news:
            self._messages.append(message)
            self._news.notify()
