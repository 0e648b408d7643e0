"""Few frames lie between the recipe and a method's loss, so that a traceback or a debugger shows the loop at once."""

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

import s4mi as package
from conftest import TRANSFER, Command
from s4mi.config import RunConfig, save_run_config
from s4mi.contract import Batch, Losses
from s4mi.methods.classification.finetune import Finetune

PACKAGE = Path(package.__file__).parent


def test_the_command_reaches_the_loss_in_seven_frames_and_five_files(
    s4mi: Command, tmp_path: Path, lesions: Path, quick: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    frames: list[tuple[str, str]] = []
    loss = Finetune.loss

    def recorded(self: Finetune, batch: Batch) -> Losses:
        stack = [(Path(frame.filename), frame.name) for frame in traceback.extract_stack()]
        frames[:] = [
            (path.relative_to(PACKAGE).as_posix(), name) for path, name in stack if path.is_relative_to(PACKAGE)
        ]
        return loss(self, batch)

    monkeypatch.setattr(Finetune, "loss", recorded)
    save_run_config(quick(lesions, TRANSFER, epochs=1), tmp_path / "run.yaml")
    done = s4mi("train", tmp_path / "run.yaml", "-o", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert frames[frames.index(("cli/train.py", "train")) :] == [
        ("cli/train.py", "train"),
        ("recipes/train.py", "train"),
        ("recipes/train.py", "_supervise"),
        ("training/session.py", "epochs"),
        ("engine/fit.py", "fit"),
        ("engine/fit.py", "forward"),
    ]  # and the loss itself: 7 frames in 5 files, where it was 10 in 6
