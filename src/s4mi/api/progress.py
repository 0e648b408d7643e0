"""Progress where a person sees it: a bar on a terminal, a widget in a notebook, a line an epoch or run elsewhere."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from s4mi.formatting import plural

if TYPE_CHECKING:
    from rich.console import Console

    from s4mi.studies.events import Event, RunOutcome
    from s4mi.training.progress import Progress

StepCallback = Callable[[str, int, int], None]
"""Called with what is being done, and how many of how many images are."""
TrainingCallback = Callable[["Progress"], None]
"""Called after every optimiser step with the state of the run."""
StudyCallback = Callable[["Event"], None]
"""Called with every event of a study: a run has started, progressed, failed or ended."""


class Bar(Protocol):
    """A bar that is drawn at once."""

    def update(self, description: str, done: float, total: float, facts: str = "") -> None:
        """Show `done` of `total`, with text before and after."""

    def line(self, text: str) -> None:
        """Print a line that stays."""

    def close(self) -> None:
        """Draw no more."""


class TerminalBar:
    """A bar on standard error, by rich."""

    def __init__(self, *, stays: bool) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        left = [] if stays else [TimeRemainingColumn()]  # what stays says the time that is left itself
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24), *left, TextColumn("{task.fields[facts]}"),
            console=error_console(), transient=not stays,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=None, facts="")
        self._bar.start()

    def update(self, description: str, done: float, total: float, facts: str = "") -> None:
        self._bar.update(self._task, description=description, completed=done, total=total, facts=facts)

    def line(self, text: str) -> None:
        self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        self._bar.stop()


class NotebookBar:
    """A widget where ipywidgets is installed, else a bar of text."""

    def __init__(self, *, stays: bool) -> None:
        self._stays = stays
        self._bar: Any = None

    def update(self, description: str, done: float, total: float, facts: str = "") -> None:
        if self._bar is None:
            self._bar = _tqdm()(total=total, leave=self._stays, bar_format="{desc} {percentage:3.0f}% {bar} {facts}")
        if self._bar.total != total:
            self._bar.reset(total=total)
        self._bar.set_description_str(description, refresh=False)
        self._bar.facts = facts
        self._bar.update(done - self._bar.n)  # redraws ten times a second, however many steps there are
        if done == total:
            self._bar.refresh()

    def line(self, text: str) -> None:
        self._bar.write(text) if self._bar is not None else print(text)  # noqa: T201 - where a notebook shows it

    def close(self) -> None:
        if self._bar is not None:
            self._bar.refresh()
            self._bar.close()


class NoBar:
    """Draws nothing; its lines go to standard error, unless it is silent."""

    def __init__(self, *, silent: bool = False) -> None:
        self._silent = silent

    def update(self, description: str, done: float, total: float, facts: str = "") -> None:  # noqa: ARG002
        return

    def line(self, text: str) -> None:
        if not self._silent:
            print(text, file=sys.stderr, flush=True)  # noqa: T201 - for who watches a log

    def close(self) -> None:
        return


@contextmanager
def step_progress(progress: bool | StepCallback) -> Iterator[StepCallback]:
    """A callback for a job over images; True: a bar where somebody watches, else nothing."""
    if callable(progress):
        yield progress
        return
    with _bar(shown=progress, stays=False) as bar:
        yield lambda what, done, total: bar.update(what, done, total, f"{done}/{total}")


@contextmanager
def training_progress(progress: bool | TrainingCallback) -> Iterator[TrainingCallback]:
    """A callback for a run; True: a bar where somebody watches, else a line an epoch on standard error."""
    if callable(progress):
        yield progress
        return
    with _bar(shown=progress, stays=True) as bar:
        run = _Training(bar)
        yield run.show
        run.finish()


@contextmanager
def study_progress(progress: bool | StudyCallback) -> Iterator[StudyCallback]:
    """A callback for a study; True: a bar where somebody watches, else a line a run on standard error."""
    if callable(progress):
        yield progress
        return
    with _bar(shown=progress, stays=True) as bar:
        yield _Study(bar).show


class _Training:
    """Shows a run."""

    def __init__(self, bar: Bar) -> None:
        self._bar, self._printed = bar, 0
        self._done: tuple[float, float] = (0, 1)
        self._latest: Progress | None = None

    def show(self, progress: "Progress") -> None:
        self._latest = progress
        description = phase_of(progress)
        if progress.phase in ("decode", "encode", "train"):
            self._done = (progress.done, progress.total)
        facts = facts_of(progress)
        self._bar.update(description, *self._done, facts)  # what comes after training is short: the bar stays full
        finished = progress.latest.epoch if progress.latest else 0
        if isinstance(self._bar, NoBar) and finished > self._printed:
            self._printed = finished
            self._bar.line(f"epoch {finished}/{progress.epochs}  {facts}")

    def finish(self) -> None:
        """Show that the run has ended."""
        if self._latest is not None:
            self._bar.update(plural(self._latest.epochs, "epoch"), *self._done, facts_of(self._latest))


class _Study:
    """Shows a study: how many of its runs have ended, and the result of each."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._running: dict[str, float] = {}
        self._ended, self._total, self._latest = 0, 1, ""

    def show(self, event: "Event") -> None:
        from s4mi.studies.events import AttemptFailed, RunEnded, RunPostponed, RunProgress, RunStarted, StudyChecked

        match event:
            case StudyChecked():
                self._total, self._ended = max(1, len(event.plan)), len(event.finished)
            case RunStarted():
                self._running[event.planned.name] = 0.0
            case RunProgress(progress=moved) if moved.phase == "train":
                self._running[event.planned.name] = moved.done / max(1, moved.total)
            case AttemptFailed():
                self._running.pop(event.planned.name, None)
                self._bar.line(f"{event.planned.name}: failed, to be retried: {event.reason}")
            case RunPostponed():
                self._running.pop(event.planned.name, None)
            case RunEnded():
                self._running.pop(event.outcome.planned.name, None)
                self._ended += 1
                self._latest = _outcome(event.outcome)
                if isinstance(self._bar, NoBar) or event.outcome.record is None:
                    self._bar.line(self._latest)
        done = min(self._ended + sum(self._running.values()), self._total)
        facts = self._latest or ", ".join(self._running)
        self._bar.update(f"{self._ended}/{self._total} runs", done, self._total, facts)


def phase_of(progress: "Progress") -> str:
    """What a run does now."""
    return {
        "decode": "decoding images",
        "encode": "computing features",
        "train": f"epoch {progress.epoch}/{progress.epochs}",
        "evaluate": "scoring the best epoch",
        "export": "writing the encoders",
    }[progress.phase]


def facts_of(progress: "Progress") -> str:
    """The latest losses and scores of a run, its speed, and the time it still needs."""
    parts = []
    if progress.latest is not None:
        parts.append(f"loss {progress.latest.losses['total']:.4f}")
        parts += [f"val {name} {value:.4f}" for name, value in list(progress.latest.val.items())[:1]]
        if (health := progress.latest.health) is not None:
            parts += [f"{name} std {features.std:.3f}" for name, features in health.features.items()]
    if progress.images_per_second:
        parts.append(f"{progress.images_per_second:.1f} images/s")
    if progress.seconds_left:
        minutes, seconds = divmod(round(progress.seconds_left), 60)
        parts.append(f"{minutes}:{seconds:02d} left")
    return "  ".join(parts)


def _outcome(outcome: "RunOutcome") -> str:
    """The result of a run in a line."""
    from s4mi.records import RunRecord

    name, record = outcome.planned.name, outcome.record
    if record is None:
        what = "skipped" if outcome.skipped else "failed" if outcome.attempted else "not run"
        return f"{name}: {what}: {outcome.reason}"
    scores = record.test or record.val if isinstance(record, RunRecord) else None
    if not isinstance(record, RunRecord) or scores is None:
        return f"{name}: {record.epochs} epochs"
    part = "validation" if record.test is None else "test"
    return f"{name}: {part} {record.metric} {getattr(scores, record.metric):.3f}"


@cache
def error_console() -> "Console":
    """The console on standard error; bars and messages that share it do not overwrite each other."""
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True)


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and "IPKernelApp" in shell.config


@contextmanager
def _bar(*, shown: bool, stays: bool) -> Iterator[Bar]:
    bar: Bar
    if not shown or os.environ.get("LOCAL_RANK", "0") != "0":  # of several processes the first alone shows progress
        bar = NoBar(silent=True)
    elif in_notebook():
        bar = NotebookBar(stays=stays)
    elif sys.stderr.isatty():
        bar = TerminalBar(stays=stays)
    else:
        bar = NoBar()
    try:
        yield bar
    finally:
        bar.close()


def _tqdm() -> Any:
    """The class of the bar; the widget only where it can be shown, as `tqdm.auto` would warn that it cannot."""
    from importlib.util import find_spec

    if find_spec("ipywidgets") is not None:
        from tqdm.notebook import tqdm
    else:
        from tqdm.std import tqdm

    class BarWithFacts(tqdm):  # type: ignore[misc]
        """A bar with text of its own on the right, where tqdm's begins with a comma."""

        facts = ""

        @property
        def format_dict(self) -> Any:
            return {**super().format_dict, "facts": self.facts}

    return BarWithFacts
