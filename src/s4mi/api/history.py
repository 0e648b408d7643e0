"""The epochs of a run as a data frame."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars


def history_of(run: Path) -> "polars.DataFrame":
    """One row per epoch in `metrics.jsonl` of the folder `run`, with the columns of `metrics.csv`."""
    import polars

    from s4mi.records import read_epochs
    from s4mi.records.flatten import of_epoch

    rows = [{"epoch": epoch.epoch, **of_epoch(epoch)} for epoch in read_epochs(run)]
    if not rows:
        return polars.DataFrame(schema={"epoch": polars.Int64})
    return polars.from_dicts(rows, infer_schema_length=None)
