"""MLflow: settings, numbers of every epoch and final scores of a run, in a local file or on a server."""

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
"""Of the folder of a study, whose runs share a database."""
QUIET = {
    # No telemetry, and no waiting for minutes on a server that is gone.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""Read by MLflow when it is imported; what the user has set stays, but for telemetry, which is always off."""
PARAMETERS_AT_ONCE, LONGEST = 100, 500
"""What every server takes: parameters in one message, and characters of one."""


@final
class MlflowLog:
    """One run there, which a resumed run goes on with."""

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
        known = self._known()
        if known is not None:
            self._id = known
            self._client.update_run(known, status="RUNNING")
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
        os.environ.update({name: QUIET[name] for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")})
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        if self._uri is not None:
            return MlflowClient(tracking_uri=self._uri)
        with FileLock(self._home / f".{DATABASE}.lock"):  # of several runs that begin together one makes the tables
            client = MlflowClient(tracking_uri=f"sqlite:///{self._home / DATABASE}?timeout=60")
            client.search_experiments(max_results=1)
        return client

    def _known(self) -> str | None:
        """The run there that this one is already, or None."""
        assert self._client is not None
        with suppress(Exception):  # no file, or the server has no such run: it is begun anew
            known: dict[str, str] = json.loads((self._run / RUN_NAME).read_text(encoding="utf-8"))
            return str(self._client.get_run(known["run_id"]).info.run_id)
        return None

    def _create(self, client: "MlflowClient") -> str:
        local = None if self._uri is not None else (self._home / "mlflow_artifacts").as_uri()
        with FileLock(self._home / f".{DATABASE}.lock"):
            known = client.get_experiment_by_name(self._experiment)
            experiment = (
                client.create_experiment(self._experiment, artifact_location=local)
                if known is None
                else known.experiment_id
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
        made: str = client.create_run(experiment, run_name=name, tags=tags).info.run_id
        write_text_atomically(self._run / RUN_NAME, json.dumps({"run_id": made, "experiment_id": experiment}) + "\n")
        self._log_settings(client, made)
        return made

    def _log_settings(self, client: "MlflowClient", made: str) -> None:
        from mlflow.entities import Param

        settings = leaves(self._config.model_dump(mode="json", exclude={"loggers"}))
        given = [Param(name, str(value)[:LONGEST]) for name, value in settings]
        for start in range(0, len(given), PARAMETERS_AT_ONCE):
            client.log_batch(made, params=given[start : start + PARAMETERS_AT_ONCE])

    def _log(self, numbers: dict[str, float], *, step: int) -> None:
        from mlflow.entities import Metric

        assert self._client is not None
        now = time.time_ns() // 10**6
        named = {re.sub(r"[^\w\-. :/]", "_", name): value for name, value in numbers.items()}
        self._client.log_batch(self._id, metrics=[Metric(name, value, now, step) for name, value in named.items()])
