"""Log a run's settings, epoch metrics and final scores to MLflow, in a local database or on a server."""

import json
import logging
import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, final

from filelock import FileLock

from s4mi import __version__
from s4mi.config import RunConfig
from s4mi.config.layers import leaves
from s4mi.records import EpochRecord, PretrainingRecord, RunRecord, write_text_atomically
from s4mi.records.flatten import of_epoch, of_run

if TYPE_CHECKING:
    from mlflow import MlflowClient

RUN_NAME = "mlflow_run.json"
DATABASE = "mlflow.db"
STUDY = "study.json"
"""File that marks the folder of a study, whose runs share a database."""
ENVIRONMENT = {
    # No telemetry, and no waiting for minutes for an unreachable server.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""Read by MLflow on import; the user's own values are kept, except that telemetry is always off."""
PARAMETERS_PER_REQUEST, MAX_LENGTH = 100, 500
"""Limits that every server accepts: parameters in a request, and characters in a parameter."""


@final
class MlflowLog:
    """Logs to one MLflow run, which a resumed run continues."""

    def __init__(self, run: Path, config: RunConfig, *, tracking_uri: str | None, experiment: str) -> None:
        self._run, self._config, self._experiment = run.absolute(), config, experiment
        self._home = next((folder for folder in self._run.parents if (folder / STUDY).exists()), self._run)
        self._uri = tracking_uri
        self._client: MlflowClient | None = None
        self._id = ""

    def begin(self, first_epoch: int) -> None:
        del first_epoch  # MLflow keeps both values of an epoch that runs again, and shows the later one
        if self._client is None:
            self._client = self._connect()
        existing = self._existing_run()
        if existing is not None:
            self._id = existing
            self._client.update_run(existing, status="RUNNING")
            return
        self._id = self._create(self._client)

    def epoch(self, record: EpochRecord) -> None:
        self._log(of_epoch(record), step=record.epoch)

    def end(self, record: RunRecord | PretrainingRecord) -> None:
        self._log(of_run(record), step=record.epochs)

    def close(self, *, why: type[BaseException] | None) -> None:
        if self._client is None or not self._id:
            return
        interrupted = why is not None and not issubclass(why, Exception)
        self._client.set_terminated(self._id, "FINISHED" if why is None else "KILLED" if interrupted else "FAILED")

    def _connect(self) -> "MlflowClient":
        os.environ.update({name: ENVIRONMENT[name] for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")})
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        if self._uri is not None:
            return MlflowClient(tracking_uri=self._uri)
        with FileLock(self._home / f".{DATABASE}.lock"):  # only one of several runs that start together creates tables
            client = MlflowClient(tracking_uri=f"sqlite:///{self._home / DATABASE}?timeout=60")
            client.search_experiments(max_results=1)
        return client

    def _existing_run(self) -> str | None:
        """Return the ID of the MLflow run that this run has already, or None."""
        assert self._client is not None
        with suppress(Exception):  # no file, or the server does not have this run: a new one is created
            saved: dict[str, str] = json.loads((self._run / RUN_NAME).read_text(encoding="utf-8"))
            return str(self._client.get_run(saved["run_id"]).info.run_id)
        return None

    def _create(self, client: "MlflowClient") -> str:
        local = None if self._uri is not None else (self._home / "mlflow_artifacts").as_uri()
        with FileLock(self._home / f".{DATABASE}.lock"):
            existing = client.get_experiment_by_name(self._experiment)
            experiment = (
                client.create_experiment(self._experiment, artifact_location=local)
                if existing is None
                else existing.experiment_id
            )
        name = self._run.name if self._home == self._run else self._run.relative_to(self._home).as_posix()
        config = self._config
        tags = {
            "s4mi": __version__,
            "method": config.method.name,
            "backbone": config.method.backbone_name,
            "config_hash": config.hash,
            "seed": str(config.seed),
            "folder": str(self._run),
        }
        run_id: str = client.create_run(experiment, run_name=name, tags=tags).info.run_id
        write_text_atomically(self._run / RUN_NAME, json.dumps({"run_id": run_id, "experiment_id": experiment}) + "\n")
        self._log_settings(client, run_id)
        return run_id

    def _log_settings(self, client: "MlflowClient", run_id: str) -> None:
        from mlflow.entities import Param

        settings = leaves(self._config.model_dump(mode="json", exclude={"loggers"}))
        parameters = [Param(name, str(value)[:MAX_LENGTH]) for name, value in settings]
        for start in range(0, len(parameters), PARAMETERS_PER_REQUEST):
            client.log_batch(run_id, params=parameters[start : start + PARAMETERS_PER_REQUEST])

    def _log(self, values: dict[str, float], *, step: int) -> None:
        from mlflow.entities import Metric

        assert self._client is not None
        now = time.time_ns() // 10**6
        valid_names = {re.sub(r"[^\w\-. :/]", "_", name): value for name, value in values.items()}
        metrics = [Metric(name, value, now, step) for name, value in valid_names.items()]
        self._client.log_batch(self._id, metrics=metrics)
