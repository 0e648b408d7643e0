"""Which version of a data set a run used, and which runs used an older one than others."""

from collections.abc import Collection, Sequence

from s4mi.records import RunRecord, TaskKind
from s4mi.reporting.results.runs import ReportRun


def dataset_and_version(record: RunRecord) -> tuple[str, int]:
    """Data set name and version of a run; version 1 if it was not recorded."""
    version = 1 if record.data is None else record.data.version
    return record.dataset.removesuffix(f", version {version}"), version


def is_older(one: RunRecord, other: RunRecord) -> bool:
    """Whether a run used an older version than another of the same data set, for the same task, and counts alike."""
    (name, version), (other_name, other_version) = dataset_and_version(one), dataset_and_version(other)
    same = (name, one.task, one.labels.counted) == (other_name, other.task, other.labels.counted)
    return same and version < other_version


def older_versions(runs: Sequence[ReportRun], named: Collection[str]) -> list[ReportRun]:
    """Runs on an older version of a data set than every run in the folders `named`."""
    oldest: dict[tuple[str, TaskKind], int] = {}
    for run in runs:
        if run.directory in named:
            name, version = dataset_and_version(run.record)
            key = (name, run.record.task)
            oldest[key] = min(version, oldest.get(key, version))
    return [
        run
        for run in runs
        if run.directory not in named
        for name, version in [dataset_and_version(run.record)]
        if version < oldest.get((name, run.record.task), 1)
    ]
