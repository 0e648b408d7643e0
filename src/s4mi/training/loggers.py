"""Who else is told how training goes, an epoch at a time.

<run>/metrics.csv      a line an epoch, always; metrics.jsonl, which the report reads, holds the same as JSON
      tensorboard/     with the extra of that name
      mlflow_run.json  with the extra `mlflow`: which run there this one is, so that a resumed run goes on with it

They are for people to watch. One that fails is said once and left out from then on; it never stops training.
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

log = logging.getLogger("s4mi")


class Logger(Protocol):
    """One of them. Any of these may raise anything."""

    def begin(self, first_epoch: int) -> None:
        """Training is about to begin or to go on with that epoch; what was told of it and later ones is void."""

    def epoch(self, record: EpochRecord) -> None:
        """An epoch is over."""

    def end(self, record: RunRecord | PretrainingRecord) -> None:
        """The run has finished."""

    def close(self, *, why: type[BaseException] | None) -> None:
        """Training has ended, finished or not: by what, if by an error or an interruption."""


class Loggers:
    """All loggers of a run. As a context manager it closes them, however training ends."""

    def __init__(self, loggers: dict[LoggerName, Logger]) -> None:
        self._loggers = loggers

    def begin(self, first_epoch: int) -> None:
        """To each that training begins, or goes on, with that epoch."""
        self._each(lambda logger: logger.begin(first_epoch))

    def epoch(self, record: EpochRecord) -> None:
        """To each what an epoch has come to."""
        self._each(lambda logger: logger.epoch(record))

    def end(self, record: RunRecord | PretrainingRecord) -> None:
        """To each what the run has come to."""
        self._each(lambda logger: logger.end(record))

    def __enter__(self) -> "Loggers":
        return self

    def __exit__(self, why: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        self._each(lambda logger: logger.close(why=why))

    def _each(self, tell: Callable[[Logger], None]) -> None:
        for name, logger in list(self._loggers.items()):
            try:
                tell(logger)
            except Exception as error:  # a disk, a server, a library: none of them is worth the training
                del self._loggers[name]
                said = (str(error).splitlines() or [""])[0]
                log.warning(
                    "the logger %s has failed and is left out from now on (%s: %s); training goes on",
                    name, type(error).__name__, said,
                )  # fmt: skip


def loggers_of(config: RunConfig, run: Path, *, dataset: str) -> Loggers:
    """The loggers that a run asks for, and the CSV file."""
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
    """Refuse a logger that is not installed, before anything is written.

    Raises:
        S4miError: one is not.
    """
    for name in config.loggers.names:
        if name != "csv" and find_spec(name) is None:
            raise S4miError(f"loggers: {name} is not installed; get it with: pip install 's4mi[{name}]'")


CSV_NAME = "metrics.csv"


@final
class CsvLog:
    """A line is appended; where an epoch brings a number that none before it had, the file is written anew."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._columns: list[str] = []

    def begin(self, first_epoch: int) -> None:
        """From what `metrics.jsonl` holds, from which epochs that run again are gone already."""
        self._columns = []
        self._write([record for record in read_epochs(self._run) if record.epoch < first_epoch])

    def epoch(self, record: EpochRecord) -> None:
        row = _row(record)
        if not {*row} <= {*self._columns}:
            before = [one for one in read_epochs(self._run) if one.epoch < record.epoch]
            self._write([*before, record])
            return
        with (self._run / CSV_NAME).open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, self._columns, restval="", lineterminator="\n").writerow(row)

    def end(self, record: RunRecord | PretrainingRecord) -> None:
        """Scores of the finished run are in its record."""

    def close(self, *, why: type[BaseException] | None) -> None:
        """Every line is on the disk already."""

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


if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

FOLDER = "tensorboard"


@final
class TensorboardLog:
    """An event file for each time that training begins or goes on."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._writer: SummaryWriter | None = None
        self._last = 0

    def begin(self, first_epoch: int) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        self.close(why=None)
        # What earlier files say of these epochs is not shown any more.
        purged = first_epoch if (self._run / FOLDER).exists() else None
        self._writer = SummaryWriter(str(self._run / FOLDER), purge_step=purged)

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
