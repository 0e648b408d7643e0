"""Loggers that follow training, one record per epoch.

<run>/metrics.csv      one line per epoch, always; metrics.jsonl, which the report reads, holds the same as JSON
      tensorboard/     with the extra `tensorboard`
      mlflow_run.json  with the extra `mlflow`: ID of the MLflow run, so that a resumed run continues it

They are for people to watch. A logger that fails is reported once and then disabled; it never stops training.
"""

import csv
import io
import logging
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, final

from s4mi.config import RunConfig
from s4mi.config.loggers import LoggerName
from s4mi.errors import S4miError
from s4mi.records import EpochRecord, PretrainingRecord, RunRecord, read_epochs, write_text_atomically
from s4mi.records.flatten import of_epoch, of_run
from s4mi.training.mlflow_logger import MlflowLog

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

CSV_NAME = "metrics.csv"
TENSORBOARD_FOLDER = "tensorboard"

log = logging.getLogger("s4mi")


class Logger(Protocol):
    """Interface of a logger; its methods may raise any exception."""

    def begin(self, first_epoch: int) -> None:
        """Called before training starts or resumes at `first_epoch`; entries of that and later epochs are obsolete."""

    def epoch(self, record: EpochRecord) -> None:
        """Called after each epoch."""

    def end(self, record: RunRecord | PretrainingRecord) -> None:
        """Called when the run has finished."""

    def close(self, *, why: type[BaseException] | None) -> None:
        """Called when training ends, finished or not; `why` is the exception that ended it, if any."""


class Loggers:
    """All loggers of a run; as a context manager it closes them however training ends."""

    def __init__(self, loggers: dict[LoggerName, Logger]) -> None:
        self._loggers = loggers

    def begin(self, first_epoch: int) -> None:
        """Tell every logger that training starts or resumes at `first_epoch`."""
        self._each(lambda logger: logger.begin(first_epoch))

    def epoch(self, record: EpochRecord) -> None:
        """Log an epoch."""
        self._each(lambda logger: logger.epoch(record))

    def end(self, record: RunRecord | PretrainingRecord) -> None:
        """Log the final results of the run."""
        self._each(lambda logger: logger.end(record))

    def __enter__(self) -> "Loggers":
        return self

    def __exit__(self, why: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        self._each(lambda logger: logger.close(why=why))

    def _each(self, call: Callable[[Logger], None]) -> None:
        for name, logger in list(self._loggers.items()):
            try:
                call(logger)
            except Exception as error:  # no failing disk, server or library is worth losing the training for
                del self._loggers[name]
                reason = (str(error).splitlines() or [""])[0]
                log.warning(
                    "logger %s failed and is now disabled (%s: %s); training continues",
                    name, type(error).__name__, reason,
                )  # fmt: skip


def make_loggers(config: RunConfig, run: Path, *, dataset: str) -> Loggers:
    """Return the loggers that the settings ask for, and always the CSV file."""
    wanted, settings = {"csv", *config.loggers.names}, config.loggers
    known: dict[LoggerName, Callable[[], Logger]] = {
        "csv": lambda: CsvLog(run),
        "tensorboard": lambda: TensorboardLog(run),
        "mlflow": lambda: MlflowLog(
            run, config, tracking_uri=settings.tracking_uri, experiment=settings.experiment or dataset
        ),
    }
    return Loggers({name: make() for name, make in known.items() if name in wanted})


def check_loggers(config: RunConfig) -> None:
    """Check that the packages of all loggers are installed, before anything is written.

    Raises:
        S4miError: a package is missing.
    """
    for name in config.loggers.names:
        if name != "csv" and find_spec(name) is None:
            raise S4miError(f"loggers: {name} is not installed; install it with: pip install 's4mi[{name}]'")


@final
class CsvLog:
    """Appends a line per epoch; rewrites the file when an epoch has a new column."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._columns: list[str] = []

    def begin(self, first_epoch: int) -> None:
        """Rewrite the file from `metrics.jsonl`, which no longer holds epochs that will run again."""
        self._columns = []
        self._write([record for record in read_epochs(self._run) if record.epoch < first_epoch])

    def epoch(self, record: EpochRecord) -> None:
        row = _row(record)
        if not {*row} <= {*self._columns}:
            previous = [epoch for epoch in read_epochs(self._run) if epoch.epoch < record.epoch]
            self._write([*previous, record])
            return
        with (self._run / CSV_NAME).open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, self._columns, restval="", lineterminator="\n").writerow(row)

    def end(self, record: RunRecord | PretrainingRecord) -> None:
        """Nothing to do: final scores are in the run's record."""

    def close(self, *, why: type[BaseException] | None) -> None:
        """Nothing to do: every line is on disk already."""

    def _write(self, records: list[EpochRecord]) -> None:
        rows = [_row(record) for record in records]
        self._columns = list(dict.fromkeys(column for row in rows for column in row)) or ["epoch"]
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text_atomically(self._run / CSV_NAME, text.getvalue())


def _row(record: EpochRecord) -> dict[str, float]:
    return {"epoch": record.epoch, **of_epoch(record)}


@final
class TensorboardLog:
    """Writes an event file each time training starts or resumes."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._writer: SummaryWriter | None = None
        self._last = 0

    def begin(self, first_epoch: int) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        self.close(why=None)
        # Hides entries of these epochs in earlier files.
        purged = first_epoch if (self._run / TENSORBOARD_FOLDER).exists() else None
        self._writer = SummaryWriter(str(self._run / TENSORBOARD_FOLDER), purge_step=purged)

    def epoch(self, record: EpochRecord) -> None:
        self._last = record.epoch
        self._add(of_epoch(record))

    def end(self, record: RunRecord | PretrainingRecord) -> None:
        self._last = record.epochs
        self._add(of_run(record))

    def close(self, *, why: type[BaseException] | None) -> None:
        del why
        if self._writer is not None:
            self._writer.close()

    def _add(self, numbers: dict[str, float]) -> None:
        assert self._writer is not None
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, self._last)
        self._writer.flush()
