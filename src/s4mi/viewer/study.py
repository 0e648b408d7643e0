"""A study while it runs, or after, from the files of its runs: what runs, how far, curves and verdict so far."""

import json
import os
import re
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import yaml

from s4mi.errors import S4miError
from s4mi.records import (
    CONFIG_NAME,
    LOG_NAME,
    RECORD_NAME,
    EpochRecord,
    PretrainingRecord,
    RunRecord,
    read_any_record,
    read_epochs,
    read_failure,
)
from s4mi.reporting.results.runs import load_runs, run_folders, shorten_paths
from s4mi.viewer.study_curves import task_results

STUDY_NAME = "study.json"
LOCK_NAME = "study.lock"
SPLIT_NAME = "split.json"
METRICS_NAME = "metrics.jsonl"
SEED = re.compile(r"-seed\d+$")
"""The end of a run's name by which the seeds of one technique differ."""
Record = RunRecord | PretrainingRecord


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
    """A study that is read again whenever the page asks."""

    def __init__(self, folder: Path) -> None:
        """Open the folder of a study, or any folder with runs.

        Raises:
            S4miError: there is no such folder, or it holds neither a study nor a run.
        """
        self.folder, self._lock = folder, Lock()
        self._records: dict[Path, tuple[int, Record]] = {}
        self._results: tuple[tuple[int, ...], list[dict[str, Any]]] = ((), [])
        if not (folder / STUDY_NAME).exists() and next(run_folders(folder), None) is None:
            raise S4miError(f"{folder}: holds no study; begin it with: s4mi study run STUDY.yaml -o {folder}")

    @property
    def name(self) -> str:
        """Its name on the page."""
        return self.folder.resolve().name

    def state(self) -> tuple[object, ...]:
        """What changes when the study does, without reading any file."""
        changed = [_changed(self.folder / STUDY_NAME), _changed(self.folder / LOCK_NAME)]
        for name in self._names():
            run = self.folder / name
            changed += [_changed(run / file) for file in (RECORD_NAME, METRICS_NAME, "failure.json")]
        return (*changed, self._since() is not None)

    def describe(self) -> dict[str, Any]:
        """Everything that the page shows of the study."""
        with self._lock:
            since = self._since()
            runs = [self._run(name, since) for name in self._names()]
            done = [run for run in runs if run.record is not None]
            active = [run for run in runs if run.active]
            state = "running" if since is not None else "finished" if len(done) == len(runs) else "stopped"
            return {
                "name": self.name, "state": state, "started": _started(runs, since),
                "time_left_s": time_left(runs) if state == "running" else None, "done": len(done), "total": len(runs),
                "running": [_running(run) for run in active], "tasks": self._tasks(done),
                "failed": [{"run": run.name, "error": shorten_paths(run.failure)} for run in runs if run.failure],
            }  # fmt: skip

    def _names(self) -> list[str]:
        """The planned runs, or those that are there."""
        try:
            return list(json.loads((self.folder / STUDY_NAME).read_text(encoding="utf-8"))["runs"])
        except (OSError, ValueError, KeyError, TypeError):
            return [str(run.relative_to(self.folder)) for run, _ in run_folders(self.folder)]

    def _since(self) -> float | None:
        """Since when a process has been running the study, None if none does."""
        path = self.folder / LOCK_NAME
        try:
            pid, host, *_ = path.read_text(encoding="utf-8", errors="replace").splitlines()
            since = path.stat().st_mtime
        except (OSError, ValueError):
            return None
        # The process id of another host or container says nothing here; its lock is believed.
        return since if host != socket.gethostname() or _is_alive(pid) else None

    def _run(self, name: str, since: float | None) -> LiveRun:
        run = self.folder / name
        if (record := self._record(run)) is not None:
            return LiveRun(name, record)
        settings = _settings(run)
        if settings is None:
            return LiveRun(name)
        failure = read_failure(run)
        touched = max(_changed(run / file) for file in (LOG_NAME, METRICS_NAME, CONFIG_NAME)) / 1e9
        active = (
            since is not None
            and touched >= since - 1
            and (failure is None or _changed(run / "failure.json") / 1e9 < since)
        )
        return LiveRun(
            name, None, "" if failure is None or active else failure.reason, tuple(read_epochs(run)),
            _number(settings.get("epochs")), active, settings, _labelled(run),
        )  # fmt: skip

    def _record(self, run: Path) -> Record | None:
        """The record of a finished run, read once."""
        changed = _changed(run / RECORD_NAME)
        if not changed:
            return None
        if self._records.get(run, (0, None))[0] != changed:
            try:
                self._records[run] = changed, read_any_record(run)
            except (S4miError, OSError):
                return None
        return self._records[run][1]

    def _tasks(self, done: Sequence[LiveRun]) -> list[dict[str, Any]]:
        """Curves and verdict, computed anew only when another run has finished."""
        key = tuple(sorted(self._records[self.folder / run.name][0] for run in done))
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


def _settings(run: Path) -> Mapping[str, Any] | None:
    """The settings of a run, None if it has not begun."""
    try:
        settings = yaml.safe_load((run / CONFIG_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return settings if isinstance(settings, dict) else None


def _labelled(run: Path) -> int | None:
    """Number of labels that a run may use."""
    try:
        return len(json.loads((run / SPLIT_NAME).read_text(encoding="utf-8"))["labelled"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _changed(path: Path) -> int:
    """When a file was changed, in ns; 0 if there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is another user's
        return True
    return True
