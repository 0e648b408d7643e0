"""The report of a study while it runs: written after finished runs, on interruption, and at the end.

Writing may take at most `SHARE` of the time: after a report that took a second, the next one comes `1 / SHARE` seconds
later at the earliest. Until the end only pictures that were drawn before are shown, as drawing takes longest.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from s4mi.config import PlannedRun
from s4mi.errors import S4miError
from s4mi.recipes.report import ReportResult
from s4mi.records import read_any_record
from s4mi.reporting.writers.html import ReportImage
from s4mi.studies.events import Event, EventHandler, RunEnded, RunOutcome, StudyChecked
from s4mi.studies.progress_line import progress_line
from s4mi.studies.report import write_study_report
from s4mi.training.run_dir import RunDir

SHARE = 0.05
"""Largest share of the time that reports may take while runs are trained."""
INTERVAL = 5.0
"""Fewest seconds between two reports."""

log = logging.getLogger("s4mi")


class LiveReport:
    """Writes `report.html` into the folder of a study whenever it is due.

    Args:
        notes: more lines for the notes of the page.
        images: more images, which precede those of the runs.
        sheets: include pictures of test images.
    """

    def __init__(
        self,
        out: Path,
        *,
        title: str,
        notes: Sequence[str] = (),
        images: Sequence[ReportImage] = (),
        sheets: bool = True,
    ) -> None:
        self._out, self._title, self._notes, self._images, self._sheets = out, title, notes, images, sheets
        self._plan: tuple[PlannedRun, ...] = ()
        self._outcomes: dict[str, RunOutcome] = {}
        self._next = time.monotonic() + INTERVAL

    def handle(self, event: Event) -> None:
        """Learn of an event, and write the report if it is due.

        When the study begins with finished runs, it is due at once: an earlier call may have been killed.
        """
        match event:
            case StudyChecked():
                self._plan = event.plan
                self._outcomes = {outcome.planned.name: outcome for outcome in event.finished}
                if event.finished and len(event.finished) < len(event.plan):
                    self._write_quickly()
            case RunEnded():
                self._outcomes[event.outcome.planned.name] = event.outcome
                if event.outcome.record is not None and time.monotonic() >= self._next:
                    self._write_quickly()

    def interrupted(self) -> None:
        """Write the report of what is there when the study is stopped; a run may have finished meanwhile."""
        for planned in self._plan:
            if planned.name not in self._outcomes and RunDir(self._out / planned.name).finished:
                with suppress(S4miError, OSError):
                    record = read_any_record(self._out / planned.name)
                    self._outcomes[planned.name] = RunOutcome(planned, record)
        if any(outcome.record is not None for outcome in self._outcomes.values()):
            self._write_quickly(stopped=True)

    def finish(self, outcomes: Sequence[RunOutcome]) -> ReportResult:
        """Write the report at the end, with all pictures."""
        return write_study_report(
            self._out, outcomes, title=self._title, notes=self._notes, images=self._images, sheets=self._sheets
        )

    def _write_quickly(self, *, stopped: bool = False) -> None:
        """Write it without drawing pictures; an error is a warning, as it must not end the study."""
        start = time.monotonic()
        try:
            write_study_report(
                self._out, list(self._outcomes.values()), title=self._title, notes=self._notes, images=self._images,
                sheets="drawn" if self._sheets else False,
                progress=progress_line(self._plan, self._outcomes, stopped=stopped),
                planned={planned.name for planned in self._plan},
            )  # fmt: skip
        except Exception as error:
            log.warning("the report could not be written yet: %s", error)
        took = time.monotonic() - start
        self._next = time.monotonic() + max(INTERVAL, took / SHARE)


def reported(
    run: Callable[..., Sequence[RunOutcome]], out: Path, *, title: str, tell: EventHandler
) -> Sequence[RunOutcome]:
    """Call `run(on_event=…)`, which runs a study in `out`, and write its report meanwhile and at the end.

    Args:
        tell: called with every event before the report learns of it.
    """
    live = LiveReport(out, title=title)

    def handle(event: Event) -> None:
        tell(event)
        live.handle(event)

    try:
        outcomes = run(on_event=handle)
    except KeyboardInterrupt:
        live.interrupted()
        raise
    live.finish(outcomes)
    return outcomes
