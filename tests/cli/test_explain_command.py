"""`s4mi explain` as a user meets it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import DEDL, TRANSFER
from s4mi.cli import main
from s4mi.config import RunConfig
from s4mi.recipes.train import train

Quick = Callable[..., RunConfig]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit status of a command line in this process."""
    monkeypatch.setattr(sys, "argv", ["s4mi", "explain", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code if isinstance(left.value.code, int) else 0


def test_two_runs_are_explained_beside_each_other(
    tmp_path: Path, lesions: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train(quick(lesions, TRANSFER, epochs=1), tmp_path / "one")
    train(quick(lesions, TRANSFER, epochs=1, seed=1), tmp_path / "two")
    out = tmp_path / "out"
    options = ("--split", "all", "--limit", "3", "--method", "input_gradient", "--no-sanity")
    assert run(monkeypatch, tmp_path / "one", lesions, "-o", out, "--beside", tmp_path / "two", *options) == 0
    shown = capsys.readouterr().out
    assert "3 images (synthetic), predicted class" in shown
    assert "one: transfer from scratch tiny_resnet" in shown
    assert "two: transfer from scratch tiny_resnet" in shown
    assert (out / "sheet.png").is_file()
    assert len(list(out.glob("*_input_gradient.png"))) == 6

    (tmp_path / "broken.png").write_bytes(b"no image")
    assert run(monkeypatch, tmp_path / "one", tmp_path / "broken.png", "-o", out, *options) == 1
    assert "1 could not be read" in capsys.readouterr().err
    assert not (out / "sheet.png").exists()


def test_a_segmentation_run_is_one_line(
    tmp_path: Path, lesions: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train(quick(lesions, DEDL, epochs=1), tmp_path / "run")
    capsys.readouterr()  # of the training
    assert run(monkeypatch, tmp_path / "run", lesions, "-o", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert "a segmentation run is explained by its masks" in error
    assert len(error.strip().splitlines()) == 1


def test_the_command_imports_no_torch_before_it_runs() -> None:
    code = "import sys, s4mi.cli.explain; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
