"""A checkpoint is entirely of the new epoch or of the old one, wherever the process dies."""

import os
from pathlib import Path

import pytest
import torch

from s4mi.engine import checkpoint
from s4mi.engine.checkpoint import load_last, load_weights, save_best, save_last
from s4mi.errors import S4miError
from s4mi.records.checkpoint_files import LAST, TRAINING


def weights(value: float) -> dict[str, torch.Tensor]:
    return {"w": torch.full((3, 2), value), "n": torch.tensor(7)}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    save_last(tmp_path, weights(0.5), {"best": 0.25, "optimizer": {"state": {}}}, epoch=3)
    loaded = load_last(tmp_path)
    assert loaded is not None
    torch.testing.assert_close(loaded[0], weights(0.5))
    assert loaded[1] == {"best": 0.25, "optimizer": {"state": {}}, "epoch": 3}


def test_a_folder_without_a_finished_epoch_has_no_checkpoint(tmp_path: Path) -> None:
    assert load_last(tmp_path) is None


class DiedError(Exception):
    """Simulates `kill -9`."""


@pytest.mark.parametrize("allowed_calls", range(12))
def test_dying_at_any_call_leaves_one_complete_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed_calls: int
) -> None:
    save_last(tmp_path, weights(1.0), {"best": 1.0}, epoch=1)
    calls = 0

    def dying(call: object) -> object:
        def wrapped(*args: object, **kwargs: object) -> object:
            nonlocal calls
            calls += 1
            if calls > allowed_calls:
                raise DiedError
            return call(*args, **kwargs)  # type: ignore[operator]

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", dying(checkpoint.save_file))
        patch.setattr(torch, "save", dying(torch.save))
        patch.setattr(Path, "replace", dying(Path.replace))
        patch.setattr(os, "fsync", dying(os.fsync))
        try:
            save_last(tmp_path, weights(2.0), {"best": 2.0}, epoch=2)
            assert allowed_calls >= 8
        except DiedError:
            assert allowed_calls < 8
    loaded = load_last(tmp_path)
    assert loaded is not None
    epoch = loaded[1]["epoch"]
    assert epoch in (1, 2)
    assert loaded[1]["best"] == float(epoch)
    assert loaded[0]["w"].unique().tolist() == [float(epoch)]


def test_a_damaged_checkpoint_is_one_line(tmp_path: Path) -> None:
    save_last(tmp_path, weights(1.0), {}, epoch=1)
    (tmp_path / TRAINING).write_bytes(b"nonsense")
    with pytest.raises(S4miError, match=r"training\.pt: damaged"):
        load_last(tmp_path)


def test_weights_of_another_epoch_are_refused(tmp_path: Path) -> None:
    save_last(tmp_path, weights(1.0), {}, epoch=1)
    save_best(tmp_path, weights(2.0), epoch=2)
    (tmp_path / checkpoint.BEST).replace(tmp_path / LAST)
    with pytest.raises(S4miError, match="not the weights of epoch 1"):
        load_last(tmp_path)


def test_missing_and_damaged_weights_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(S4miError, match="not found; the run has not finished an epoch"):
        load_weights(tmp_path / "best.safetensors")
    (tmp_path / "best.safetensors").write_bytes(b"short")
    with pytest.raises(S4miError, match="damaged"):
        load_weights(tmp_path / "best.safetensors")
