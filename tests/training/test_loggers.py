"""Loggers receive every epoch once, whatever interrupts training, and none of them can stop it."""

import csv
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import DEDL
from s4mi.config import RunConfig, differences, make_run_config
from s4mi.errors import S4miError
from s4mi.recipes.train import train
from s4mi.records import EpochRecord, FeatureHealth, RunRecord, read_epochs
from s4mi.records.flatten import of_epoch, of_run
from s4mi.records.pretraining import FeatureSpread
from s4mi.training import loggers as module
from s4mi.training.loggers import CsvLog, Loggers, check_loggers
from s4mi.training.mlflow_logger import MlflowLog
from s4mi.training.progress import Progress


def epoch(number: int, *, health: FeatureHealth | None = None) -> EpochRecord:
    return EpochRecord(
        epoch=number, losses={"total": 1 / number}, val={"iou": 0.5}, health=health, lr=0.1, seconds=2.0,
        images_per_second=3.0,
    )  # fmt: skip


HEALTH = FeatureHealth(
    features={"tiny": FeatureSpread(std=0.5, effective_rank=3.0, dimensions=8)}, signals={"teacher_entropy": 0.9},
    knn={"tiny": 0.7},
)  # fmt: skip


def told(run: Path, *records: EpochRecord) -> list[dict[str, str]]:
    """Return the lines of the CSV file after these epochs, which are in metrics.jsonl already."""
    logger = CsvLog(run)
    logger.begin(records[0].epoch)
    for record in records:
        with (run / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(record.model_dump_json() + "\n")
        logger.epoch(record)
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_line_an_epoch_and_a_column_a_number(tmp_path: Path) -> None:
    first, second = told(tmp_path, epoch(1), epoch(2))
    assert [*first] == ["epoch", "loss/total", "val/iou", "lr", "seconds", "images_per_second"]
    assert (first["epoch"], second["epoch"]) == ("1", "2")
    assert float(second["loss/total"]) == 0.5


def test_a_number_that_comes_later_is_a_column_of_all_lines(tmp_path: Path) -> None:
    lines = told(tmp_path, epoch(1), epoch(2, health=HEALTH), epoch(3))
    assert [line["health/tiny/std"] for line in lines] == ["", "0.5", ""]
    assert [line["epoch"] for line in lines] == ["1", "2", "3"]


def test_a_resumed_run_goes_on_below_what_is_kept(tmp_path: Path) -> None:
    told(tmp_path, epoch(1), epoch(2))
    (tmp_path / "metrics.jsonl").write_text(epoch(1).model_dump_json() + "\n", encoding="utf-8")
    assert [line["epoch"] for line in told(tmp_path, epoch(2), epoch(3))] == ["1", "2", "3"]


def test_flat_names_of_an_epoch() -> None:
    assert of_epoch(epoch(1, health=HEALTH)) == {
        "loss/total": 1.0, "val/iou": 0.5, "health/tiny/std": 0.5, "health/tiny/effective_rank": 3.0,
        "health/teacher_entropy": 0.9, "health/tiny/knn_f1_macro": 0.7, "lr": 0.1, "seconds": 2.0,
        "images_per_second": 3.0,
    }  # fmt: skip


class Broken:
    """A logger whose server disappears at the second epoch."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def begin(self, first_epoch: int) -> None:
        self.told.append(first_epoch)

    def epoch(self, record: EpochRecord) -> None:
        self.told.append(record.epoch)
        if record.epoch == 2:
            raise ConnectionError("no route to host\nand much more")

    def end(self, record: object) -> None:
        self.told.append(record)

    def close(self, *, why: type[BaseException] | None) -> None:
        self.told.append(why)


def test_a_logger_that_fails_is_said_once_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    broken = Broken()
    with caplog.at_level(logging.WARNING, logger="s4mi"), Loggers({"mlflow": broken}) as several:
        several.begin(1)
        for number in (1, 2, 3):
            several.epoch(epoch(number))
    assert broken.told == [1, 1, 2]
    assert [record.getMessage() for record in caplog.records] == [
        "logger mlflow failed and is now disabled (ConnectionError: no route to host); training continues"
    ]


def test_loggers_hear_why_training_ends() -> None:
    broken = Broken()
    with pytest.raises(KeyboardInterrupt), Loggers({"mlflow": broken}):
        raise KeyboardInterrupt
    assert broken.told == [KeyboardInterrupt]


def test_a_logger_that_is_not_installed_is_one_line_with_a_hint(
    monkeypatch: pytest.MonkeyPatch, lesions: Path, quick: Callable[..., RunConfig]
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    check_loggers(quick(lesions, DEDL, loggers="csv"))
    hint = r"install it with: pip install 's4mi\[mlflow\]'"
    with pytest.raises(S4miError, match=rf"loggers: mlflow is not installed; {hint}"):
        check_loggers(quick(lesions, DEDL, loggers=["csv", "mlflow"]))


def test_loggers_are_no_part_of_what_is_computed() -> None:
    def made(loggers: Any) -> RunConfig:
        return make_run_config({"data": {"path": "d"}, "method": "dedl", "loggers": loggers}, origin="test")

    plain, told_of = made([]), made({"names": ["tensorboard", "mlflow"], "experiment": "mine"})
    assert plain.hash == told_of.hash
    assert differences(plain, told_of) == []
    with pytest.raises(S4miError, match=r"loggers"):
        made(["wandb"])


class StoppedError(Exception):
    """As a power cut between two epochs."""


def stopping_after(number: int) -> Callable[[Progress], None]:
    def watch(progress: Progress) -> None:
        if progress.latest is not None and progress.latest.epoch == number:
            raise StoppedError

    return watch


def trained_in_two_sessions(config: RunConfig, run: Path) -> RunRecord:
    with pytest.raises(StoppedError):
        train(config, run, watch=stopping_after(2))
    record = train(config, run, resume=True)
    assert isinstance(record, RunRecord)
    return record


def test_a_run_leaves_a_csv_of_its_epochs(tmp_path: Path, lesions: Path, quick: Callable[..., RunConfig]) -> None:
    trained_in_two_sessions(quick(lesions, DEDL), tmp_path / "run")
    with (tmp_path / "run" / "metrics.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["loss/total"]) for line in lines] == [
        record.losses["total"] for record in read_epochs(tmp_path / "run")
    ]


def test_tensorboard_shows_each_epoch_once(tmp_path: Path, lesions: Path, quick: Callable[..., RunConfig]) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    record = trained_in_two_sessions(quick(lesions, DEDL, loggers="tensorboard"), tmp_path / "run")
    events = accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    shown = {scalar.step: scalar.value for scalar in events.Scalars("loss/total")}
    assert len(events.Scalars("loss/total")) == 3
    assert shown == pytest.approx({one.epoch: one.losses["total"] for one in read_epochs(tmp_path / "run")}, rel=1e-6)
    (tested,) = events.Scalars("best/test/iou")
    assert record.test is not None
    assert tested.value == pytest.approx(of_run(record)["best/test/iou"], rel=1e-6)


def test_mlflow_has_one_run_with_settings_epochs_and_scores(
    tmp_path: Path, lesions: Path, quick: Callable[..., RunConfig]
) -> None:
    mlflow = pytest.importorskip("mlflow")
    config = quick(lesions, DEDL, loggers="mlflow")
    record = trained_in_two_sessions(config, tmp_path / "run")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'run' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(record.dataset)
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.info.run_id == json.loads((tmp_path / "run" / "mlflow_run.json").read_text(encoding="utf-8"))["run_id"]
    assert run.data.params["method.encoder"] == "tiny_resnet"
    assert run.data.params["optim.lr"] == "0.001"
    assert run.data.tags["config_hash"] == record.config_hash
    history = {one.step: one.value for one in client.get_metric_history(run.info.run_id, "loss/total")}
    assert history == pytest.approx({one.epoch: one.losses["total"] for one in read_epochs(tmp_path / "run")})
    assert run.data.metrics["best/test/iou"] == pytest.approx(of_run(record)["best/test/iou"])


def test_a_server_that_is_not_there_stops_no_training(
    tmp_path: Path, lesions: Path, quick: Callable[..., RunConfig], caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("mlflow")
    config = quick(lesions, DEDL, epochs=1, loggers={"names": ["mlflow"], "tracking_uri": "http://127.0.0.1:9"})
    with caplog.at_level(logging.WARNING, logger="s4mi"):
        assert isinstance(train(config, tmp_path / "run"), RunRecord)
    assert sum("logger mlflow failed" in record.getMessage() for record in caplog.records) == 1


def test_runs_of_a_study_share_a_database(tmp_path: Path, lesions: Path, quick: Callable[..., RunConfig]) -> None:
    pytest.importorskip("mlflow")
    (tmp_path / "study.json").write_text("{}", encoding="utf-8")
    for name in ("a", "b"):
        (tmp_path / "arms" / name).mkdir(parents=True)
        logger = MlflowLog(tmp_path / "arms" / name, quick(lesions, DEDL), tracking_uri=None, experiment="mine")
        logger.begin(1)
        logger.epoch(epoch(1))
        logger.close(why=KeyboardInterrupt)
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert {run.info.run_name for run in runs} == {"arms/a", "arms/b"}
    assert {run.info.status for run in runs} == {"KILLED"}


def test_mlflow_is_imported_with_its_telemetry_off(
    tmp_path: Path, lesions: Path, quick: Callable[..., RunConfig]
) -> None:
    """In a separate process, with a stand-in for the package that prints its environment variables."""
    (tmp_path / "mlflow.py").write_text(
        "import os; print(os.environ['MLFLOW_DISABLE_TELEMETRY'], os.environ['DO_NOT_TRACK'])\n", encoding="utf-8"
    )
    code = (
        "from pathlib import Path\n"
        "from s4mi.config import make_run_config\n"
        "from s4mi.training.mlflow_logger import MlflowLog\n"
        "config = make_run_config({'data': {'path': 'd'}, 'method': 'dedl'}, origin='test')\n"
        "try: MlflowLog(Path('.'), config, tracking_uri=None, experiment='e').begin(1)\n"
        "except ImportError: pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["true", "true"]
