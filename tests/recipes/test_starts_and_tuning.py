"""From `weights: auto` and `tuning: lora` to the record, the predictions and an exported model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import DEDL, TRANSFER
from s4mi.config import RunConfig
from s4mi.engine.checkpoint import load_weights
from s4mi.inference.load import load_exported
from s4mi.nets.backbone import tiny_resnet
from s4mi.recipes.export import export_run
from s4mi.recipes.train import train, train_supervised
from s4mi.records import read_pretraining, read_record
from s4mi.training.prepare import prepare
from s4mi.training.run_dir import RunDir
from s4mi.training.run_method import build_method, load_method, make_runtime

Quick = Callable[..., RunConfig]


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with weights of tiny_resnet, named in S4MI_WEIGHTS."""
    folder = tmp_path / "weights"
    folder.mkdir()
    torch.manual_seed(5)
    save_file(tiny_resnet().state_dict(), folder / "tiny_resnet.safetensors")
    monkeypatch.setenv("S4MI_WEIGHTS", str(folder))
    return folder


def test_a_run_begins_with_the_weights_at_hand_and_says_which(
    weights: Path, lesions: Path, quick: Quick, tmp_path: Path
) -> None:
    config = quick(lesions, {**TRANSFER, "backbone": "tiny_resnet", "weights": "auto"}, epochs=1)
    begun = build_method(config, prepare(config).task).state_dict()
    given = load_file(weights / "tiny_resnet.safetensors")
    assert torch.equal(begun["backbone.net.conv1.weight"], given["conv1.weight"])
    record = train_supervised(config, tmp_path / "run")
    (start,) = record.starts
    assert (start.network, start.weights, start.auto) == ("tiny_resnet", "file tiny_resnet.safetensors", True)
    assert read_record(tmp_path / "run") == record
    assert RunDir(tmp_path / "run").config().hash == config.hash


@pytest.mark.slow
@pytest.mark.parametrize("method", [TRANSFER, DEDL], ids=["finetune", "dedl"])
def test_a_run_with_lora_is_predicted_and_exported_with_merged_weights(
    method: dict[str, Any], lesions: Path, quick: Quick, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    config = quick(lesions, {**method, "tuning": "lora", "lora_rank": 2}, epochs=1, epoch_steps=4, optim={"lr": 1e-2})
    train_supervised(config, run)
    saved = load_weights(RunDir(run).best)
    assert any("lora_B" in name and tensor.abs().max() > 0 for name, tensor in saved.items())
    prepared = prepare(config)
    trained = load_method(make_runtime(config), config, prepared.task, RunDir(run).best)
    assert not any("lora" in name for name in trained.state_dict())
    unmerged = build_method(config, prepared.task, pretrained=False)
    unmerged.load_state_dict(saved)
    images = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        x = images.permute(0, 3, 1, 2).float() / 255
        expected = unmerged.eval().logits(x)  # type: ignore[operator]
        torch.testing.assert_close(trained.logits(x), expected, atol=1e-5, rtol=1e-5)
    export_run(run, tmp_path / "model.onnx")
    assert load_exported(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (logits,) = session.run(["logits"], {"images": images.numpy()})
    np.testing.assert_allclose(logits, expected.numpy(), atol=1e-4, rtol=1e-4)


def test_diet_leaves_an_encoder_to_fine_tune(weights: Path, lesions: Path, quick: Quick, tmp_path: Path) -> None:
    diet = {"name": "diet", "backbone": "tiny_resnet", "weights": "auto", "tuning": "lora", "head_first": 1}
    train(quick(lesions, diet, epochs=1), tmp_path / "diet")
    record = read_pretraining(tmp_path / "diet")
    assert record.starts[0].weights == "file tiny_resnet.safetensors"
    assert record.start.features["tiny_resnet"].dimensions == 128
    before, after = (
        load_file(path)
        for path in (weights / "tiny_resnet.safetensors", tmp_path / "diet" / "encoders" / "tiny_resnet.safetensors")
    )
    assert before.keys() == after.keys()  # merged
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(before[name].shape[2:] == (1, 1) for name in changed)
    tuned = {**TRANSFER, "pretrained": str(tmp_path / "diet")}
    assert train_supervised(quick(lesions, tuned, epochs=1), tmp_path / "run").technique == "diet"
