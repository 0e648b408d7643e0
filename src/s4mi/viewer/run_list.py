"""Which runs the page shows: those named, and the finished ones of a study on the same data set."""

import logging
from collections.abc import Sequence
from pathlib import Path

from s4mi.data.splits.split_file import read_parts
from s4mi.errors import S4miError
from s4mi.records import CONFIG_NAME, SPLIT_NAME, RunRecord, finished_runs, read_any_record
from s4mi.viewer.columns import UNASSIGNED, columns_of
from s4mi.viewer.runs import RunSource, ViewRun, check_classes_of, is_of, read_source
from s4mi.viewer.workspace import Workspace

log = logging.getLogger("s4mi.viewer")

MOST_RUNS = 200


def open_runs(space: Workspace, runs: Sequence[Path], study: Path | None) -> None:
    """Add runs to the workspace, and take the parts of the first one's split where the data set has none.

    Raises:
        S4miError: one of `runs` is no finished run or exported model, or has other classes than the data set.
    """
    sources = [read_source(_run_in(path)) for path in runs]
    for source in sources:
        if source.record is not None:
            check_classes_of(source.record, space.manifest.spec)
    if study is not None:
        known = {source.path.resolve() for source in sources}
        sources += [one for one in _finished(space, study) if one.path.resolve() not in known]
    for number, source in enumerate(sources[:MOST_RUNS]):
        space.runs[f"r{number}"] = ViewRun(f"r{number}", source, space.manifest, space.numbers)
    if len(sources) > MOST_RUNS:
        log.warning("%s: shows %d of %d runs", study, MOST_RUNS, len(sources))
    if sources and (space.columns.parts == UNASSIGNED).all():
        _take_parts(space, sources)


def _run_in(path: Path) -> Path:
    """Return a run or model as it is, and of a folder of runs the best."""
    if path.is_file() or (path / CONFIG_NAME).exists() or not path.is_dir():
        return path
    from s4mi.inference.load import select_runs

    return select_runs(path).runs[0]


def _finished(space: Workspace, study: Path) -> list[RunSource]:
    """The finished runs of a study that were trained on annotations of this data set."""
    found = []
    for path in finished_runs(study):
        try:
            record = read_any_record(path)
            if isinstance(record, RunRecord) and is_of(record, space.manifest.spec):
                check_classes_of(record, space.manifest.spec)
                found.append(read_source(path))
        except (S4miError, OSError) as error:
            log.warning("%s: not shown (%s)", path.name, error)
    return found


def _take_parts(space: Workspace, sources: Sequence[RunSource]) -> None:
    """Use the split of the first run that has one of this data set."""
    for source in sources:
        if not (source.path / SPLIT_NAME).is_file():
            continue
        try:
            space.parts = read_parts(source.path / SPLIT_NAME, space.manifest)
        except S4miError as error:
            log.warning("%s: its split is not shown (%s)", source.name, error)
            continue
        space.columns = columns_of(space.manifest, space.parts)
        return
