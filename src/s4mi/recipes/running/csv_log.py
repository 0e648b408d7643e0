"""`metrics.csv`: a line an epoch, a column a number, for spreadsheets."""

import csv
import io
from pathlib import Path
from typing import final

from s4mi.recipes.running.flat_metrics import of_epoch
from s4mi.records import EpochRecord, PretrainingRecord, RunRecord, read_epochs, write_text_atomically

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
