"""Endpoint of the study, and a thread that tells the pages when the study has changed."""

import logging
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from s4mi.errors import S4miError
from s4mi.viewer.events import Events
from s4mi.viewer.requests import RequestError
from s4mi.viewer.workspace import Workspace

if TYPE_CHECKING:  # imports what a report needs
    from s4mi.viewer.study import LiveStudy

log = logging.getLogger("s4mi.viewer")

LOOK_SECONDS = 2.0


def study(_: Workspace, request: Request) -> dict[str, Any]:
    """What the study does."""
    live: LiveStudy | None = request.app.state.study
    if live is None:
        raise RequestError(404, "study: none is shown; start s4mi view with --study STUDY")
    return live.describe()


class StudyWatch:
    """Sends the event `study` whenever files of the study have changed and a page listens."""

    def __init__(self, live: "LiveStudy", events: Events) -> None:
        self._live, self._events = live, events
        self._stopped = Event()
        self._thread = Thread(target=self._work, name="s4mi-view-study", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._thread.join(timeout=LOOK_SECONDS + 3)

    def _work(self) -> None:
        known: object = None
        while not self._stopped.wait(LOOK_SECONDS):
            if not self._events.listened:
                continue
            try:
                state = self._live.state()
                if state != known:
                    self._events.send("study", self._live.describe())
                    known = state
            except (S4miError, OSError) as error:
                log.warning("study: %s", error)
