"""The runs below a folder: what each left behind, and which never finished."""

from dataclasses import dataclass
from pathlib import Path

from s4mi.errors import S4miError
from s4mi.records import RECORD_NAME, EpochRecord, RunRecord, read_epochs, read_record

CONFIG_NAME = "config.yaml"


@dataclass(frozen=True)
class ReportRun:
    """One finished run as a report shows it; `directory` is a label relative to the folder, never a machine's path."""

    record: RunRecord
    epochs: tuple[EpochRecord, ...]
    config_text: str
    directory: str


def load_runs(folder: Path) -> tuple[list[ReportRun], list[str]]:
    """Every finished run at or below `folder`, sorted by directory, and a one-line note on each that is not.

    A folder with a `config.yaml` and no `record.json` is a run that has not finished. A record that cannot be read
    becomes a note too: one broken run never hides the others.

    Raises:
        S4miError: there is no such folder.
    """
    if not folder.is_dir():
        raise S4miError(f"{folder}: no such folder; give the folder that holds the runs")
    runs, notes = [], []
    found = {path.parent for name in (RECORD_NAME, CONFIG_NAME) for path in folder.rglob(name)}
    for directory in sorted(found):
        label = directory.relative_to(folder).as_posix()
        label = directory.resolve().name if label == "." else label
        if not (directory / RECORD_NAME).exists():
            notes.append(_unfinished(directory, label))
            continue
        try:
            runs.append(_load(directory, label))
        except (S4miError, OSError, UnicodeDecodeError) as error:
            problem = str(error).removeprefix(f"{directory / RECORD_NAME}: ")
            notes.append(f"{label}: left out, {RECORD_NAME} cannot be read: {problem}")
    return runs, notes


def _load(directory: Path, label: str) -> ReportRun:
    config = directory / CONFIG_NAME
    return ReportRun(
        record=read_record(directory),
        epochs=tuple(read_epochs(directory)),
        config_text=config.read_text(encoding="utf-8") if config.exists() else "",
        directory=label,
    )


def _unfinished(directory: Path, label: str) -> str:
    try:
        epochs = len(read_epochs(directory))
    except (OSError, UnicodeDecodeError):
        epochs = 0
    so_far = f"{epochs} epoch{'' if epochs == 1 else 's'} so far"
    return f"{label}: not finished ({so_far}) and not counted; finish it with: s4mi train --resume"
