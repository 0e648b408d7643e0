"""A study while it runs, or after, from the files of its runs: what runs, how far, curves and verdict so far."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from s4mi.config import METHODS
from s4mi.contract import MethodConfig
from s4mi.errors import S4miError
from s4mi.records import (
    CONFIG_NAME,
    FAILURE_NAME,
    LOG_NAME,
    METRICS_NAME,
    RECORD_NAME,
    SPLIT_NAME,
    STUDY_NAME,
    EpochRecord,
    PretrainingRecord,
    RunRecord,
    read_any_record,
    read_epochs,
    read_failure,
)
from s4mi.records.plain import load_json, load_yaml
from s4mi.reporting.results.runs import load_runs, planned_runs, run_folders, shorten_paths
from s4mi.studies.lock import LOCK_NAME, running_since
from s4mi.viewer.study_curves import task_results

SEED = re.compile(r"-seed\d+$")
"""The end of a run's name by which the seeds of one technique differ."""
Record = RunRecord | PretrainingRecord
Value = TypeVar("Value")


@dataclass(frozen=True)
class LiveRun:
    """A planned run as its folder shows it.

    Attributes:
        epochs: finished epochs. planned: epochs in its settings, 0 if unknown.
        active: whether it is under way.
    """

    name: str
    record: Record | None = None
    failure: str = ""
    epochs: tuple[EpochRecord, ...] = ()
    planned: int = 0
    active: bool = False
    settings: Mapping[str, Any] | None = None
    labels: int | None = None


class LiveStudy:
    """A study whose files are read again as they change."""

    def __init__(self, folder: Path) -> None:
        """Open the folder of a study, or any folder with runs.

        Raises:
            S4miError: there is no such folder, or it holds neither a study nor a run.
        """
        self.folder, self._lock = folder, Lock()
        self._files: dict[Path, tuple[int, Any]] = {}
        self._results: tuple[tuple[object, ...], list[dict[str, Any]]] = ((), [])
        if not (folder / STUDY_NAME).exists() and next(run_folders(folder), None) is None:
            raise S4miError(f"{folder}: holds no study; begin it with: s4mi study run STUDY.yaml -o {folder}")

    @property
    def name(self) -> str:
        """Its name on the page."""
        return self.folder.resolve().name

    def state(self) -> tuple[object, ...]:
        """What changes when the study does: times of change of its files, of which only the list of runs is read.

        Raises:
            S4miError: the study file cannot be read.
        """
        changed = [_changed(self.folder / name) for name in (STUDY_NAME, LOCK_NAME)]
        for name in planned_runs(self.folder):
            changed += [_changed(self.folder / name / file) for file in (RECORD_NAME, METRICS_NAME, FAILURE_NAME)]
        return (*changed, running_since(self.folder) is not None)

    def describe(self) -> dict[str, Any]:
        """Everything that the page shows of the study.

        Raises:
            S4miError: the study file cannot be read.
        """
        with self._lock:
            since = running_since(self.folder)
            runs = [self._run(name, since) for name in planned_runs(self.folder)]
            done = [run for run in runs if run.record is not None]
            active = [run for run in runs if run.active]
            state = "running" if since is not None else "finished" if len(done) == len(runs) else "stopped"
            return {
                "name": self.name, "state": state, "started": _started(runs, since),
                "time_left_s": time_left(runs) if state == "running" else None, "done": len(done), "total": len(runs),
                "running": [_running(run) for run in active], "tasks": self._tasks(done),
                "failed": [{"run": run.name, "error": shorten_paths(run.failure)} for run in runs if run.failure],
            }  # fmt: skip

    def _run(self, name: str, since: float | None) -> LiveRun:
        run = self.folder / name
        if (record := self._record(run)) is not None:
            return LiveRun(name, record)
        settings = self._read(run / CONFIG_NAME, _settings)
        if settings is None:
            return LiveRun(name)
        failure = read_failure(run)
        touched = max(_changed(run / file) for file in (LOG_NAME, METRICS_NAME, CONFIG_NAME)) / 1e9
        active = (
            since is not None
            and touched >= since - 1
            and (failure is None or _changed(run / FAILURE_NAME) / 1e9 < since)
        )
        return LiveRun(
            name, None, "" if failure is None or active else failure.reason,
            self._read(run / METRICS_NAME, lambda _: tuple(read_epochs(run))) or (), _number(settings.get("epochs")),
            active, settings, _labels(self._read(run / SPLIT_NAME, _split_sizes), settings),
        )  # fmt: skip

    def _record(self, run: Path) -> Record | None:
        """The record of a run, None if it is not finished."""
        try:
            return self._read(run / RECORD_NAME, lambda _: read_any_record(run))
        except (S4miError, OSError):
            return None

    def _read(self, path: Path, read: Callable[[Path], Value]) -> Value | None:
        """What `read` makes of a file, anew only when the file has changed; None if there is none."""
        changed = _changed(path)
        if not changed:
            return None
        if path not in self._files or self._files[path][0] != changed:
            self._files[path] = changed, read(path)
        value: Value = self._files[path][1]
        return value

    def _tasks(self, done: Sequence[LiveRun]) -> list[dict[str, Any]]:
        """Curves and verdict, computed anew only when another run has finished."""
        key = tuple((run.name, self._files[self.folder / run.name / RECORD_NAME][0]) for run in done)
        if self._results[0] != key:
            names = {run.name for run in done}
            tested = [run for run in load_runs(self.folder)[0] if run.directory in names]
            self._results = key, task_results(tested)
        return self._results[1]


def time_left(runs: Sequence[LiveRun]) -> float | None:
    """Seconds until all runs are finished, by what finished runs of the same technique took; None without any.

    Runs that are under way at the same time share the rest.
    """
    costs: dict[str, list[float]] = {}
    for run in runs:
        if run.record is not None:
            costs.setdefault(SEED.sub("", run.name), []).append(run.record.cost.seconds)
    everything = [seconds for own in costs.values() for seconds in own]
    if not everything:
        return None
    left = 0.0
    for run in runs:
        if run.record is None and not run.failure:
            own = costs.get(SEED.sub("", run.name), everything)
            share = min(1.0, len(run.epochs) / run.planned) if run.planned else 0.0
            left += sum(own) / len(own) * (1 - share)
    return round(left / max(1, sum(run.active for run in runs)), 1)


def _running(run: LiveRun) -> dict[str, Any]:
    settings = run.settings or {}
    method = settings.get("method")
    technique = str(method.get("name", "")) if isinstance(method, Mapping) else str(method or "")
    score = next(iter(run.epochs[-1].val.items()), None) if run.epochs else None
    return {
        "run": run.name, "technique": technique, "labels": run.labels, "seed": settings.get("seed"),
        "epoch": len(run.epochs), "epochs": run.planned,
        "score": None if score is None else {"name": score[0], "value": score[1]},
    }  # fmt: skip


def _started(runs: Sequence[LiveRun], since: float | None) -> str | None:
    """When the study was begun, ISO 8601 in UTC."""
    begun = [run.record.started for run in runs if run.record is not None]
    if begun:
        return min(begun)
    return None if since is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(since))


def _settings(path: Path) -> Mapping[str, Any] | None:
    """The settings of a run, None if it has not begun."""
    try:
        settings = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return settings if isinstance(settings, dict) else None


def _split_sizes(path: Path) -> tuple[int, int] | None:
    """Number of labelled training images and of validation images in a split, None if there is none."""
    try:
        split = load_json(path.read_text(encoding="utf-8"))
        return len(split["labelled"]), len(split["val"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _labels(sizes: tuple[int, int] | None, settings: Mapping[str, Any]) -> int | None:
    """Number of labels as `label_fraction` counts them: with those of validation images, or without.

    A method that learns without labels uses none of the training images, pre-training none at all.
    """
    if sizes is None:
        return None
    labelled, chosen_with = sizes
    config = _method(settings)
    if config is not None and config.unlabelled:
        labelled, chosen_with = 0, 0 if config.pretrains else chosen_with
    counting = settings.get("labels")
    counted = isinstance(counting, Mapping) and counting.get("count_validation")
    return labelled + chosen_with if counted else labelled


def _method(settings: Mapping[str, Any]) -> type[MethodConfig] | None:
    """The method of a run; None if its package is not installed here."""
    method = settings.get("method")
    with suppress(S4miError):
        return METHODS.get(str(method.get("name"))) if isinstance(method, Mapping) else None
    return None


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _changed(path: Path) -> int:
    """When a file was changed, in ns; 0 if there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
