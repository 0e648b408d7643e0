"""`s4mi export` as a user meets it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import TRANSFER, Command
from s4mi.config import RunConfig
from s4mi.recipes.train import train

Quick = Callable[..., RunConfig]


def test_what_cannot_be_exported_is_one_line_on_standard_error(s4mi: Command, tmp_path: Path) -> None:
    for out, words in (("model.onnx", "no such folder"), ("model.txt", "unknown model format")):
        status, shown, error = s4mi("export", tmp_path / "nowhere", "-o", tmp_path / out)
        assert (status, shown, error.count("\n")) == (1, "", 1)
        assert words in error


@pytest.mark.slow
def test_it_says_what_was_written_and_how_it_was_compared(
    s4mi: Command, lesions: Path, quick: Quick, tmp_path: Path
) -> None:
    train(quick(lesions, TRANSFER, epochs=1), tmp_path / "run")
    out = tmp_path / "out" / "model.onnx"
    status, shown, _ = s4mi("export", tmp_path / "run", "-o", out)
    lines = shown.splitlines()
    assert status == 0
    assert lines[0].startswith(f"{out} (")
    assert "same predictions as the run, to " in lines[0]
    assert lines[1:] == ["compared on 8 images of its test part", f"model card: {out.parent / 'MODEL_CARD.md'}"]
    assert sorted(path.name for path in out.parent.iterdir()) == ["MODEL_CARD.md", "model.onnx"]
