"""Who else is told how training goes, an epoch at a time.

<run>/metrics.csv      a line an epoch, always; metrics.jsonl, which the report reads, holds the same as JSON
      tensorboard/     with the extra of that name
      mlflow_run.json  with the extra `mlflow`: which run there this one is, so that a resumed run goes on with it

They are for people to watch. One that fails is said once and left out from then on; it never stops training.
"""

import logging
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Protocol

from s4mi.config import RunConfig
from s4mi.config.loggers import LoggerName
from s4mi.errors import S4miError
from s4mi.recipes.running.csv_log import CsvLog
from s4mi.recipes.running.mlflow_log import MlflowLog
from s4mi.recipes.running.tensorboard_log import TensorboardLog
from s4mi.records import EpochRecord, PretrainingRecord, RunRecord

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
