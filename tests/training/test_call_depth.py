"""Few frames lie between the recipe and a method's loss, so that a traceback or a debugger shows the loop at once."""

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

import s4mi
from conftest import TRANSFER
from s4mi.config import RunConfig
from s4mi.contract import Batch, Losses
from s4mi.methods.classification.finetune import Finetune
from s4mi.recipes.train import train

PACKAGE = Path(s4mi.__file__).parent


def test_the_loss_is_called_by_the_loop_in_engine_fit_which_the_recipe_reaches_through_the_session(
    tmp_path: Path, lesions: Path, quick: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
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
    train(quick(lesions, TRANSFER, epochs=1), tmp_path / "run")
    assert frames == [
        ("recipes/train.py", "train"),
        ("recipes/train.py", "_supervise"),
        ("training/session.py", "epochs"),
        ("engine/fit.py", "fit"),
        ("engine/fit.py", "forward"),
    ]  # with the command above and the loss below: 7 frames in 5 files
    assert len(frames) + 2 < 10
    assert len({file for file, _ in frames}) + 2 < 6
