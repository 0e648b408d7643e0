"""A run in Python is the run of the command: its settings, epochs, scores and errors."""

import json
import logging
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import s4mi
from conftest import DEDL, TRANSFER, Command
from parsed_page import Page
from s4mi.config import RunConfig, save_run_config
from s4mi.errors import S4miError
from s4mi.records import RunRecord, read_record

Quick = Callable[..., RunConfig]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, lesions: Path, quick: Quick) -> s4mi.Run:
    """A segmentation run of two epochs."""
    return s4mi.train(quick(lesions, DEDL, epochs=2), tmp_path_factory.mktemp("runs") / "one", progress=False)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory, lesions: Path, quick: Quick) -> s4mi.Run:
    """A pre-training run of two epochs."""
    method = {"name": "simclr", "backbone": "tiny_resnet", "weights": "none"}
    return s4mi.train(quick(lesions, method, epochs=2), tmp_path_factory.mktemp("runs") / "simclr", progress=False)


@pytest.mark.long
def test_settings_are_a_file_a_mapping_or_a_config(
    tmp_path: Path, lesions: Path, quick: Quick, cache_dir: Path
) -> None:
    config = quick(lesions, TRANSFER, epochs=9)
    save_run_config(config, tmp_path / "run.yaml")
    mapping = {
        "data": {"path": s4mi.Dataset(lesions)}, "data.image_size": 32, "data.cache": cache_dir, "method": TRANSFER,
        "batch_size": 8, "optim.lr": 1e-3, "hardware": {"accelerator": "cpu", "checkpoint_seconds": 0},
    }  # fmt: skip
    changes: dict[str, Any] = {"epochs": 1, "seed": 3}
    for number, given in enumerate((tmp_path / "run.yaml", str(tmp_path / "run.yaml"), mapping, config)):
        settings = changes if number % 2 else [f"{key}={value}" for key, value in changes.items()]
        run = s4mi.train(given, tmp_path / str(number), settings=settings, progress=False)
        assert run.config == quick(lesions, TRANSFER, epochs=1, seed=3)
        assert run.settings["seed"] == 3
        assert isinstance(run.record, RunRecord)


def test_history_is_metrics_jsonl(trained: s4mi.Run) -> None:
    lines = (trained.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rows = trained.history.to_dicts()
    assert len(rows) == len(lines) == 2
    for row, line in zip(rows, map(json.loads, lines), strict=True):
        named = {f"loss/{name}": value for name, value in line["losses"].items()}
        named |= {f"val/{name}": value for name, value in line["val"].items()}
        named |= {name: line[name] for name in ("epoch", "lr", "seconds", "images_per_second")}
        assert row == named
    assert trained.model.history.equals(trained.history)


def test_of_pretraining_the_history_has_the_health_of_the_features(pretrained: s4mi.Run) -> None:
    assert pretrained.history["health/tiny_resnet/std"].null_count() == 0
    assert "feature std" in pretrained.plot().svg
    assert len(pretrained.scores) == 0
    with pytest.raises(S4miError, match=r"a simclr run [^\n]*; fine-tune it first"):
        pretrained.predict("a.png")


def test_scores_are_those_of_the_record_and_of_an_evaluation(trained: s4mi.Run) -> None:
    record = read_record(trained.path)
    assert record.test is not None
    scores = {row["score"]: row["test"] for row in trained.scores.to_dicts()}
    evaluated = trained.evaluate()
    for name in ("iou", "dice", "pixel_accuracy"):
        assert scores[name] == getattr(record.test, name) == evaluated[name]
    assert evaluated.scores == record.test
    assert evaluated.per_class["class"].to_list() == list(record.classes)
    assert s4mi.evaluate(trained, part="val").scores == record.val
    with pytest.raises(S4miError, match="unknown score 'iuo'; did you mean 'iou'"):
        _ = evaluated["iuo"]
    with pytest.raises(S4miError, match="unknown part 'tset'; did you mean 'test'"):
        s4mi.evaluate(trained, part="tset")  # type: ignore[arg-type]


def test_a_calibration_is_the_one_of_the_run(trained: s4mi.Run, tmp_path: Path) -> None:
    shutil.copytree(trained.path, tmp_path / "run")
    before = json.loads((trained.path / "calibration.json").read_text())
    fitted = s4mi.Run(tmp_path / "run").calibrate()
    assert fitted.temperature == before["temperature"]
    assert fitted.file == tmp_path / "run" / "calibration.json"
    assert fitted.table["nll"].to_list() == [before["val"]["nll"], before["test"]["nll"]]


def test_the_learning_curve_marks_the_best_epoch(trained: s4mi.Run, tmp_path: Path) -> None:
    figure = trained.plot()
    best = read_record(trained.path).best_epoch
    assert figure.title == "Learning curve of one"
    assert f"best epoch: {best}" in figure.svg
    assert Page(figure._repr_html_()).all("svg")
    written = figure.save(tmp_path / "curve.svg").read_text(encoding="utf-8")
    assert written.startswith("<svg")
    assert written.strip() == figure._repr_svg_().strip()
    with pytest.raises(S4miError, match=r"ends in \.svg"):
        figure.save(tmp_path / "curve.png")


def test_a_finished_run_is_returned_on_resume_and_refused_without(
    trained: s4mi.Run, s4mi: Command, tmp_path: Path
) -> None:
    from s4mi import train

    before = {path: path.stat().st_mtime_ns for path in trained.path.rglob("*")}
    again = train(trained.config, trained.path, resume=True)
    assert again.record == trained.record
    assert {path: path.stat().st_mtime_ns for path in trained.path.rglob("*")} == before
    with pytest.raises(S4miError) as refused:
        train(trained.config, trained.path)
    printed = s4mi("train", trained.path / "config.yaml", "-o", trained.path)
    assert printed.stderr == f"error: {refused.value}\n"


@pytest.mark.parametrize("word", ["method.encodr=resnet18", "epochs=many", "optim.lr", "data.path=/nowhere"])
def test_errors_are_those_of_the_command(word: str, trained: s4mi.Run, s4mi: Command, tmp_path: Path) -> None:
    from s4mi import train

    file = trained.path / "config.yaml"
    with pytest.raises(S4miError) as refused:
        train(file, tmp_path / "run", settings=[word])
    assert s4mi("train", file, word, "-o", tmp_path / "run").stderr == f"error: {refused.value}\n"
    with pytest.raises(S4miError) as refused:
        train(tmp_path / "none.yaml", tmp_path / "run")
    assert s4mi("train", tmp_path / "none.yaml", "-o", tmp_path / "run").stderr == f"error: {refused.value}\n"


def test_a_folder_that_is_no_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(S4miError, match=r"^[^\n]+s4mi train RUN\.yaml[^\n]+$"):
        s4mi.Run(tmp_path)


def test_an_unfinished_run_shows_how_far_it_is(trained: s4mi.Run, tmp_path: Path) -> None:
    shutil.copytree(trained.path, tmp_path / "run")
    (tmp_path / "run" / "record.json").unlink()
    run = s4mi.Run(tmp_path / "run")
    assert not run.finished
    assert "not finished (2 of 2 epochs)" in repr(run)
    assert "not finished (2 of 2 epochs)" in Page(run._repr_html_()).text
    assert run.plot().svg
    with pytest.raises(S4miError, match="finished run"):
        _ = run.record
    (tmp_path / "run" / "metrics.jsonl").unlink()
    assert run.history.columns == ["epoch"]
    with pytest.raises(S4miError, match="no epoch is finished yet"):
        run.plot()


def test_notebooks_show_runs_and_escape_names(trained: s4mi.Run, pretrained: s4mi.Run, tmp_path: Path) -> None:
    for run in (trained, pretrained):
        shown = Page(run._repr_html_())
        assert "(synthetic images)" in shown.text
        assert shown.all("svg")
    for one in (trained.evaluate(), trained.calibrate()):
        assert Page(one._repr_html_()).all("table")
    strange = tmp_path / "<i>run"
    shutil.copytree(trained.path, strange)
    record = json.loads((strange / "record.json").read_text())
    (strange / "record.json").write_text(json.dumps({**record, "dataset": "<b>&lesions"}))
    shown = Page(s4mi.Run(strange)._repr_html_())
    assert "on <b>&lesions" in shown.text
    assert not [tag for tag, _ in shown.elements if tag in ("b", "i")]


def test_training_leaves_warnings_and_logging_of_the_user_alone(
    tmp_path: Path, lesions: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("", "s4mi", "timm", "lightning_fabric")
    monkeypatch.setattr(logging.getLogger("timm"), "level", logging.DEBUG)
    before = [(logging.getLogger(name).level, list(logging.getLogger(name).handlers)) for name in names]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        filters = list(warnings.filters)
        s4mi.train(quick(lesions, TRANSFER, epochs=1), tmp_path / "run", progress=False)
        assert warnings.filters == filters
    assert [(logging.getLogger(n).level, list(logging.getLogger(n).handlers)) for n in names] == before


@pytest.mark.long
def test_a_script_prints_a_line_an_epoch_and_nothing_else(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    save_run_config(quick(lesions, DEDL, epochs=2), tmp_path / "run.yaml")
    code = f"import s4mi; s4mi.train({str(tmp_path / 'run.yaml')!r}, {str(tmp_path / 'run')!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert [line.split()[:2] for line in done.stderr.splitlines()] == [["epoch", "1/2"], ["epoch", "2/2"]]
