"""Progress: a line an epoch where nobody watches, a bar where somebody does, nothing where nothing is wanted."""

import sys
import types
import warnings
from pathlib import Path

import pytest

from s4mi.api.progress import NotebookBar, in_notebook, step_progress, study_progress, training_progress
from s4mi.config import PlannedRun
from s4mi.records import EpochRecord
from s4mi.studies.events import AttemptFailed, RunEnded, RunOutcome, RunStarted, StudyChecked
from s4mi.training.progress import Progress


def epoch(number: int) -> EpochRecord:
    return EpochRecord(
        epoch=number, losses={"total": 1 / number}, val={"iou": 0.5}, lr=0.1, seconds=1.0, images_per_second=8.0
    )  # fmt: skip


def moments() -> list[Progress]:
    steps = [
        Progress("train", step, 4, epoch=1 + step // 3, epochs=2, latest=epoch(step // 2) if step > 1 else None)
        for step in range(1, 5)
    ]
    return [Progress("decode", 3, 3), *steps, Progress("evaluate", 0, 1, 2, 2, epoch(2))]


def test_elsewhere_training_prints_a_line_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    with training_progress(True) as watch:
        for moment in moments():
            watch(moment)
    assert capsys.readouterr().err.splitlines() == [
        "epoch 1/2  loss 1.0000  val iou 0.5000",
        "epoch 2/2  loss 0.5000  val iou 0.5000",
    ]


def test_false_is_silent_and_a_function_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    with training_progress(False) as watch, step_progress(False) as step:
        watch(moments()[-1])
        step("predicting", 1, 2)
    seen: list[Progress] = []
    with training_progress(seen.append) as watch:
        for moment in moments():
            watch(moment)
    assert seen == moments()
    assert capsys.readouterr() == ("", "")


def test_of_several_processes_the_first_alone_shows_progress(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    with training_progress(True) as watch:
        watch(moments()[-1])
    assert capsys.readouterr().err == ""


def test_a_study_prints_a_line_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    run = PlannedRun("runs/a-seed0", None)  # type: ignore[arg-type]
    with study_progress(True) as tell:
        tell(StudyChecked((run,), ()))
        tell(RunStarted(run, 1))
        tell(AttemptFailed(run, "no memory"))
        tell(RunEnded(RunOutcome(run, None, "no memory again")))
    assert capsys.readouterr().err.splitlines() == [
        "runs/a-seed0: failed, to be retried: no memory",
        "runs/a-seed0: failed: no memory again",
    ]


class Kernel:
    """Stands for IPython's shell in a notebook."""

    config = types.MappingProxyType({"IPKernelApp": {}})


def test_a_notebook_is_told_from_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not in_notebook()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))  # type: ignore[misc]
    assert not in_notebook()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=Kernel))  # type: ignore[misc]
    assert in_notebook()


def test_without_widgets_a_notebook_gets_a_bar_of_text_and_no_warning(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bar = NotebookBar(stays=True)
        bar.update("decoding", 0, 3)
        bar.update("epoch 1/2", 2, 4, "loss 0.5000")
        bar.update("epoch 2/2", 4, 4, "loss 0.2500")
        bar.close()
    last = capsys.readouterr().err.split("\r")[-1]
    assert "epoch 2/2 100%" in last
    assert "loss 0.2500" in last


def test_a_bar_that_never_moved_leaves_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    NotebookBar(stays=False).close()
    assert capsys.readouterr() == ("", "")
