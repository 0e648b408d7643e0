"""Display of a running study: a live table on a terminal, one line per event elsewhere."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, assert_never, final

import typer

from s4mi.formatting import duration, plural

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from s4mi.config import PlannedRun
    from s4mi.studies.events import Event, RunOutcome, RunStarted, StudyChecked
    from s4mi.training.progress import Progress

BAR = 16
"""Characters of the bar of a run."""
MAX_FAILURES = 5
"""Failures listed below the table; the others are counted."""
STOPPING = "stopping after the current step; interrupt again to stop immediately"


class Display(ABC):
    """Displays the events of a study; used as a context manager."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        return None

    @abstractmethod
    def handle(self, event: "Event") -> None:
        """Display an event."""


@final
class ProgressLines(Display):
    """Prints starts and results on standard output, and failures on standard error."""

    def handle(self, event: "Event") -> None:
        from s4mi.studies.events import (
            AttemptFailed,
            RunEnded,
            RunPostponed,
            RunProgress,
            RunStarted,
            StudyChecked,
            StudyStopping,
        )

        match event:
            case StudyChecked():
                for line in _check_lines(event):
                    typer.echo(line)
            case RunStarted():
                typer.echo(f"{event.planned.name}: {_started(event)}")
            case RunProgress():
                pass
            case AttemptFailed():
                typer.echo(f"{event.planned.name}: failed, will be retried: {event.reason}", err=True)
            case RunPostponed():
                typer.echo(f"{event.planned.name}: postponed: {event.reason}")
            case RunEnded():
                typer.echo(outcome_line(event.outcome), err=event.outcome.failed)
            case StudyStopping():
                typer.echo(STOPPING, err=True)
            case _:
                assert_never(event)


@final
class ProgressTable(Display):
    """Table of the active runs, with counts and the last failures; above it a line for each run that has ended."""

    def __init__(self, console: "Console") -> None:
        from rich.live import Live

        from s4mi.studies.cost_model import CostModel

        self._console, self._cost_model = console, CostModel()
        self._plan: tuple[PlannedRun, ...] = ()
        self._ended: set[str] = set()
        self._finished = self._skipped = 0
        self._deadline: float | None = None
        self._failures: dict[str, str] = {}
        self._active: dict[str, Progress | None] = {}
        self._stopping = False
        self._start = time.monotonic()
        self._live = Live(console=console, refresh_per_second=4, get_renderable=self._render, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._live.stop()

    def handle(self, event: "Event") -> None:
        from s4mi.studies.events import (
            AttemptFailed,
            RunEnded,
            RunPostponed,
            RunProgress,
            RunStarted,
            StudyChecked,
            StudyStopping,
        )

        match event:
            case StudyChecked():
                self._plan = event.plan
                self._deadline = None if event.seconds_left is None else time.monotonic() + event.seconds_left
                for outcome in event.finished:
                    self._end(outcome)
                for line in _check_lines(event):
                    self._print(line)
            case RunStarted():
                self._active = {**self._active, event.planned.name: None}
            case RunProgress():
                self._active = {**self._active, event.planned.name: event.progress}
            case AttemptFailed():
                self._deactivate(event.planned.name)
                self._failures = {**self._failures, event.planned.name: f"will be retried: {event.reason}"}
            case RunPostponed():
                self._deactivate(event.planned.name)
            case RunEnded():
                self._end(event.outcome)
                self._print(outcome_line(event.outcome), style="red" if event.outcome.failed else None)
            case StudyStopping():
                self._stopping = True
            case _:
                assert_never(event)

    def _deactivate(self, name: str) -> None:
        self._active = {other: progress for other, progress in self._active.items() if other != name}

    def _end(self, outcome: "RunOutcome") -> None:
        name = outcome.planned.name
        self._deactivate(name)
        self._ended = {*self._ended, name}
        if outcome.skipped:
            self._skipped += 1
            return
        if outcome.record is None:
            self._failures = {**self._failures, name: outcome.reason}
            return
        self._finished += 1
        self._failures = {other: reason for other, reason in self._failures.items() if other != name}
        self._cost_model.add_record(outcome.planned.config, outcome.record)

    def _print(self, line: str, *, style: str | None = None) -> None:
        self._console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)

    def _render(self) -> "RenderableType":
        """Called from another thread: `handle` replaces the attributes read here and never mutates them."""
        from rich.console import Group
        from rich.text import Text

        active, failures = self._active, self._failures
        lines = [Text(f"{name}: {reason}", style="red", no_wrap=True, overflow="ellipsis")
                 for name, reason in list(failures.items())[-MAX_FAILURES:]]  # fmt: skip
        more = len(failures) - len(lines)
        if more:
            lines.append(Text(f"and {more} more", style="red"))
        return Group(
            Text(self._summary(active, failures), style="bold"), _active_table(active, self._console.width), *lines
        )

    def _summary(self, active: "dict[str, Progress | None]", failures: dict[str, str]) -> str:
        if self._stopping:
            return STOPPING
        pending = len(self._plan) - len(self._ended | active.keys())
        parts = [f"{self._finished} of {len(self._plan)} finished", f"{len(active)} running", f"{pending} pending"]
        if failures:
            parts.append(f"{len(failures)} failed")
        if self._skipped:
            parts.append(f"{self._skipped} skipped")
        left = self._time_left(active)
        if left is not None:
            parts.append(left)
        parts.append(f"{duration(time.monotonic() - self._start)} elapsed")
        if self._deadline is not None:
            parts.append(f"{duration(max(0.0, self._deadline - time.monotonic()))} of the budget left")
        return " · ".join(parts)

    def _time_left(self, active: "dict[str, Progress | None]") -> str | None:
        """Return the training time left, divided by the number of active runs; None without an estimate."""
        estimates: list[float] = []
        unknown = 0
        for planned in self._plan:
            if planned.name in self._ended:
                continue
            progress = active.get(planned.name)
            if progress is not None and progress.phase in ("evaluate", "export"):
                continue
            seconds = None if progress is None else progress.seconds_left
            seconds = self._cost_model.seconds(planned.config) if seconds is None else seconds
            if seconds is None:
                unknown += 1
            else:
                estimates.append(seconds)
        if not estimates:
            return None
        return f"{'at least' if unknown else 'about'} {duration(sum(estimates) / max(1, len(active)))} left"


def create_display() -> Display:
    """Return the display that suits standard output."""
    from rich.console import Console

    console = Console()
    return ProgressTable(console) if console.is_terminal else ProgressLines()


def outcome_line(outcome: "RunOutcome") -> str:
    """Return a line on the outcome of a run."""
    from s4mi.records import RunRecord

    name, record = outcome.planned.name, outcome.record
    if outcome.skipped:
        return f"{name}: skipped: {outcome.reason}"
    if record is None:
        return f"{name}: {'failed' if outcome.attempted else 'not run'}: {outcome.reason}"
    epochs, seconds = plural(record.epochs, "epoch"), duration(record.cost.seconds)
    if not isinstance(record, RunRecord):
        return f"{name}: {epochs} in {seconds}"
    scores = record.test or record.val
    score = None if scores is None else getattr(scores, record.metric)
    if scores is None or score is None:
        return f"{name}: {epochs} in {seconds}, not scored"
    part = "validation" if record.test is None else "test"
    return f"{name}: {record.metric} {score:.3f} on {plural(scores.images, f'{part} image')}, in {seconds}"


def _started(event: "RunStarted") -> str:
    """Whether a run begins, is retried, or goes on after an interruption."""
    if event.epochs:
        return f"goes on after epoch {event.epochs} of {event.planned.config.epochs}"
    return "started" if event.attempt == 1 else "started again"


def _check_lines(event: "StudyChecked") -> list[str]:
    lines = list(event.moved)
    if event.finished:
        lines.append(f"{len(event.finished)} of {plural(len(event.plan), 'run')} already finished")
    if event.version_note is not None:
        lines.append(event.version_note)
    return lines


def _active_table(active: "dict[str, Progress | None]", width: int) -> "RenderableType":
    """One row per run: its name, never cut, and as much of score, phase, time left and bar as fits beside it."""
    from rich.progress_bar import ProgressBar

    rows: list[tuple[str, RenderableType, str, str, str]] = []
    for name, progress in active.items():
        if progress is None:
            rows.append((name, ProgressBar(total=1, completed=0, width=BAR), "starting", "", ""))
            continue
        phase = {
            "decode": "decoding images",
            "encode": "computing features",
            "train": f"epoch {progress.epoch}/{progress.epochs}",
            "evaluate": "evaluating the best epoch",
            "export": "writing the encoders",
        }[progress.phase]
        latest = progress.latest
        score = next((f"val {score} {value:.3f}" for score, value in latest.val.items()), "") if latest else ""
        if latest and not score:
            score = f"loss {latest.losses['total']:.3f}"
        left = "" if progress.seconds_left is None else f"{duration(progress.seconds_left)} left"
        bar = ProgressBar(total=max(1, progress.total), completed=progress.done, width=BAR)
        rows.append((name, bar, phase, score, left))
    return _grid(rows, width)


def _grid(rows: "Sequence[tuple[str, RenderableType, str, str, str]]", width: int) -> "RenderableType":
    from rich.table import Table as Grid

    widths = [BAR if at == 1 else max((len(str(row[at])) for row in rows), default=0) for at in range(5)]
    shown, used = [0], min(widths[0], width)
    for at in (2, 3, 4, 1):
        if widths[at] and used + 2 + widths[at] <= width:
            shown.append(at)
            used += 2 + widths[at]
    grid = Grid(box=None, pad_edge=False, show_header=False)
    for at in sorted(shown):
        grid.add_column(overflow="fold", no_wrap=at > 0, justify="right" if at == 4 else "left")
    for row in rows:
        grid.add_row(*(row[at] for at in sorted(shown)))
    return grid
