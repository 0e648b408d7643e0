"""A study while it is run: a table that moves on a terminal, a line an event elsewhere."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, assert_never, final

import typer

from s4mi.formatting import duration

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from s4mi.config import PlannedRun
    from s4mi.studies.events import Event, RunOutcome, StudyChecked
    from s4mi.training.progress import Progress

FAILURES = 5
"""Failures that the table shows; the rest are counted."""


class Display(ABC):
    """Shows what a study tells; used as a context."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        return None

    @abstractmethod
    def tell(self, event: "Event") -> None:
        """Something has happened."""


@final
class ProgressLines(Display):
    """What begins, and results, on standard output; what fails on standard error."""

    def tell(self, event: "Event") -> None:
        from s4mi.studies.events import AttemptFailed, RunEnded, RunProgress, RunStarted, StudyChecked, StudyStopping

        match event:
            case StudyChecked():
                for line in _beginning(event):
                    typer.echo(line)
            case RunStarted():
                typer.echo(f"{event.planned.name}: begins{'' if event.attempt == 1 else ' again'}")
            case RunProgress():
                pass
            case AttemptFailed():
                typer.echo(f"{event.planned.name}: failed and will be tried again: {event.reason}", err=True)
            case RunEnded():
                typer.echo(ending(event.outcome), err=_lost(event.outcome))
            case StudyStopping():
                typer.echo(STOPPING, err=True)
            case _:
                assert_never(event)


@final
class ProgressTable(Display):
    """The runs that are under way, what is done and left, and the last failures; above it a line a finished run."""

    def __init__(self, console: "Console") -> None:
        from rich.live import Live

        from s4mi.studies.cost_model import CostModel

        self._console, self._pace = console, CostModel()
        self._plan: tuple[PlannedRun, ...] = ()
        self._over: set[str] = set()
        self._finished = self._left_out = 0
        self._deadline: float | None = None
        self._failures: dict[str, str] = {}
        self._running: dict[str, Progress | None] = {}
        self._stopping = False
        self._begin = time.monotonic()
        self._live = Live(console=console, refresh_per_second=4, get_renderable=self._render, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._live.stop()

    def tell(self, event: "Event") -> None:
        from s4mi.studies.events import AttemptFailed, RunEnded, RunProgress, RunStarted, StudyChecked, StudyStopping

        match event:
            case StudyChecked():
                self._plan = event.plan
                self._deadline = None if event.left is None else time.monotonic() + event.left
                for outcome in event.finished:
                    self._end(outcome)
                for line in _beginning(event):
                    self._print(line)
            case RunStarted():
                self._running = {**self._running, event.planned.name: None}
            case RunProgress():
                self._running = {**self._running, event.planned.name: event.progress}
            case AttemptFailed():
                self._stop(event.planned.name)
                self._failures = {**self._failures, event.planned.name: f"to be tried again: {event.reason}"}
            case RunEnded():
                self._end(event.outcome)
                self._print(ending(event.outcome), style="red" if _lost(event.outcome) else None)
            case StudyStopping():
                self._stopping = True
            case _:
                assert_never(event)

    def _stop(self, name: str) -> None:
        self._running = {other: progress for other, progress in self._running.items() if other != name}

    def _end(self, outcome: "RunOutcome") -> None:
        name = outcome.planned.name
        self._stop(name)
        self._over = {*self._over, name}
        if outcome.left_out:
            self._left_out += 1
            return
        if outcome.record is None:
            self._failures = {**self._failures, name: outcome.failure}
            return
        self._finished += 1
        self._failures = {other: reason for other, reason in self._failures.items() if other != name}
        self._pace.learn(outcome.planned.config, outcome.record)

    def _print(self, line: str, *, style: str | None = None) -> None:
        self._console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)

    def _render(self) -> "RenderableType":
        """Called from a thread of its own: what it reads is replaced by `tell`, never changed."""
        from rich.console import Group
        from rich.text import Text

        running, failures = self._running, self._failures
        lines = [Text(f"{name}: {reason}", style="red", no_wrap=True, overflow="ellipsis")
                 for name, reason in list(failures.items())[-FAILURES:]]  # fmt: skip
        more = len(failures) - len(lines)
        if more:
            lines.append(Text(f"and {more} more", style="red"))
        return Group(Text(self._summary(running, failures), style="bold"), _running_table(running), *lines)

    def _summary(self, running: "dict[str, Progress | None]", failures: dict[str, str]) -> str:
        to_do = len(self._plan) - len(self._over | running.keys())
        parts = [f"{self._finished} of {len(self._plan)} done", f"{len(running)} running", f"{to_do} to do"]
        if failures:
            parts.append(f"{len(failures)} failed")
        if self._left_out:
            parts.append(f"{self._left_out} left out")
        left = self._left(running)
        if left is not None:
            parts.append(left)
        parts.append(f"{duration(time.monotonic() - self._begin)} so far")
        if self._deadline is not None:
            parts.append(f"budget for {duration(max(0.0, self._deadline - time.monotonic()))} more")
        return STOPPING if self._stopping else " · ".join(parts)

    def _left(self, running: "dict[str, Progress | None]") -> str | None:
        """Of training, shared by as many runs as are under way now."""
        known: list[float] = []
        unknown = 0
        for planned in self._plan:
            if planned.name in self._over:
                continue
            progress = running.get(planned.name)
            if progress is not None and progress.phase in ("evaluate", "export"):
                continue
            seconds = None if progress is None else progress.seconds_left
            seconds = self._pace.seconds(planned.config) if seconds is None else seconds
            if seconds is None:
                unknown += 1
            else:
                known.append(seconds)
        if not known:
            return None
        return f"about {duration(sum(known) / max(1, len(running)))}{' or more' if unknown else ''} left"


STOPPING = "stopping after this step; again to stop at once"


def display() -> Display:
    """What suits standard output."""
    from rich.console import Console

    console = Console()
    return ProgressTable(console) if console.is_terminal else ProgressLines()


def ending(outcome: "RunOutcome") -> str:
    """A line on what became of a run."""
    from s4mi.records import RunRecord

    name, record = outcome.planned.name, outcome.record
    if outcome.left_out:
        return f"{name}: left out: {outcome.failure}"
    if record is None:
        return f"{name}: {'failed' if outcome.tried else 'not run'}: {outcome.failure}"
    took = f"in {duration(record.cost.seconds)}"
    if not isinstance(record, RunRecord):
        return f"{name}: {record.epochs} epochs {took}"
    scores = record.test or record.val
    score = None if scores is None else getattr(scores, record.metric)
    if scores is None or score is None:
        return f"{name}: {record.epochs} epochs {took}, not scored"
    part = "validation" if record.test is None else "test"
    images = f"{scores.images} {part} image{'' if scores.images == 1 else 's'}"
    return f"{name}: {record.metric} {score:.3f} on {images}, {took}"


def skipped_lines(outcomes: Sequence["RunOutcome"], *, named: bool) -> list[str]:
    """A line on the runs for which there was no time, if there are any."""
    names = [outcome.planned.name for outcome in outcomes if outcome.left_out]
    if not names:
        return []
    one = len(names) == 1
    line = f"{len(names)} run{'' if one else 's'} did not fit into the budget and {'was' if one else 'were'} left out"
    return [f"{line}: {', '.join(names)}" if named else f"{line}; the same command with more goes on with them"]


def _lost(outcome: "RunOutcome") -> bool:
    return outcome.record is None and not outcome.left_out


def _beginning(event: "StudyChecked") -> list[str]:
    lines = list(event.moved)
    if event.finished:
        lines.append(f"{len(event.finished)} of {len(event.plan)} runs are done already")
    if event.note is not None:
        lines.append(event.note)
    return lines


def _running_table(running: "dict[str, Progress | None]") -> "RenderableType":
    from rich.progress_bar import ProgressBar
    from rich.table import Table as Grid

    grid = Grid(box=None, pad_edge=False, show_header=False)
    grid.add_column(no_wrap=True, overflow="ellipsis", ratio=None)
    for _ in range(3):
        grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, justify="right")
    for name, progress in running.items():
        if progress is None:
            grid.add_row(name, ProgressBar(total=1, completed=0, width=16), "begins", "", "")
            continue
        phase = {
            "decode": "decoding images",
            "train": f"epoch {progress.epoch}/{progress.epochs}",
            "evaluate": "scoring the best epoch",
            "export": "writing the encoders",
        }[progress.phase]
        latest = progress.latest
        score = next((f"val {score} {value:.3f}" for score, value in latest.val.items()), "") if latest else ""
        if latest and not score:
            score = f"loss {latest.losses['total']:.3f}"
        left = "" if progress.seconds_left is None else f"{duration(progress.seconds_left)} left"
        bar = ProgressBar(total=max(1, progress.total), completed=progress.done, width=16)
        grid.add_row(name, bar, phase, score, left)
    return grid
