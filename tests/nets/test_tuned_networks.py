"""What is trained of the encoders of the networks of semi-supervised methods."""

from typing import Any

import pytest
import torch
from torch import Tensor

from s4mi.config.methods import parse_method
from s4mi.contract import Batch, SemiSupervised, SemiSupervisedConfig, Task, TrainState
from s4mi.engine.optim import make_optimizer
from s4mi.errors import S4miError
from s4mi.settings.optim import OptimConfig

SIZE = 32
TASK = Task(kind="segmentation", classes=("a", "b"), image_size=SIZE, counts=(2, 2), labelled=2)
TINY: dict[str, dict[str, Any]] = {
    "self_training": {},
    "mean_teacher": {"passes": 2},
    "weak_to_strong": {},
    "co_training": {},
    "cross_pseudo_supervision": {},
    "adversarial": {"evaluator": 4},
    "frozen_teacher": {"teacher": "tiny_resnet", "teacher_weights": "none", "teacher_steps": 1, "folds": 2},
    "cross_teaching": {"cnn": "tiny_resnet", "transformer": "tiny_swin_unet", "transformer_weights": "none"},
}
COPIES = ("teacher.", "committee.networks.teacher.", "evaluator.")
"""Networks that the loss does not train, and that of `adversarial` which has no encoder."""


def config_of(name: str, **settings: Any) -> SemiSupervisedConfig:
    network = {} if name == "cross_teaching" else {"network": "tiny_resnet"}
    config = parse_method({"name": name, **network, **TINY[name], **settings})
    assert isinstance(config, SemiSupervisedConfig)
    return config


def built(name: str, **settings: Any) -> SemiSupervised:
    torch.manual_seed(0)
    method = config_of(name, **settings).build(TASK)
    assert isinstance(method, SemiSupervised)
    return method


def batch(views: int) -> Batch:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(2, 3, SIZE, SIZE, generator=generator)
    others = torch.rand(2 * views, 3, SIZE, SIZE, generator=generator)
    return Batch(images, torch.arange(4), masks=(images.mean(dim=1) > 0.5).long(), unlabelled=others)


def train(method: SemiSupervised, *, steps: int) -> list[dict[str, Tensor]]:
    """Train as the loop does; the weights before the first and after each step."""
    given = batch(1 + len(method.config.strong_views))
    optimizer = make_optimizer(OptimConfig(lr=0.01, min_lr=0.01), method.parameters(), device=torch.device("cpu"))
    method.train()
    method.before_epoch([given])
    states = [{name: tensor.clone() for name, tensor in method.state_dict().items()}]
    for step in range(steps):
        state = TrainState(step=step, per_epoch=steps, total=steps)
        method.before_step(state)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(method.loss(given).total)
        method.after_backward(state)
        optimizer.step()
        method.after_step(TrainState(step=step + 1, per_epoch=steps, total=steps))
        states.append({name: tensor.clone() for name, tensor in method.state_dict().items()})
    return states


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    """Names of the tensors of trained networks that differ."""
    return {name for name in before if not name.startswith(COPIES) and not torch.equal(before[name], after[name])}


def in_encoder(names: set[str]) -> set[str]:
    return {name for name in names if "encoder." in name}


@pytest.mark.parametrize("name", TINY)
def test_with_head_the_decoder_alone_is_trained(name: str) -> None:
    first, *_, last = train(built(name, tuning="head"), steps=2)
    assert not in_encoder(changed(first, last))
    assert any("decoder" in tensor for tensor in changed(first, last))


@pytest.mark.long
@pytest.mark.parametrize("name", TINY)
def test_with_lora_only_updates_of_the_encoder_are_trained_and_merged_for_predictions(name: str) -> None:
    pytest.importorskip("peft")
    method = built(name, tuning="lora", lora_rank=2)
    first, *_, last = train(method, steps=2)
    updated = in_encoder(changed(first, last))
    assert updated
    assert all("lora_" in tensor for tensor in updated)
    images = torch.rand(2, 3, SIZE, SIZE)
    with torch.inference_mode():
        before = method.eval().logits(images)
        method.before_inference()
        torch.testing.assert_close(method.logits(images), before, rtol=1e-4, atol=1e-4)
    assert not any("lora_" in tensor for tensor in method.state_dict())


@pytest.mark.long
@pytest.mark.parametrize("name", TINY)
def test_last_blocks_are_the_end_of_the_encoder(name: str) -> None:
    first, *_, last = train(built(name, tuning="last_blocks", tuned_blocks=1), steps=2)
    full_first, *_, full_last = train(built(name), steps=2)
    few, all_of_it = in_encoder(changed(first, last)), in_encoder(changed(full_first, full_last))
    assert few
    assert few < all_of_it


@pytest.mark.long
@pytest.mark.parametrize("name", TINY)
def test_the_head_comes_first(name: str) -> None:
    begun, first, second, third = train(built(name, head_first=2), steps=3)
    assert not in_encoder(changed(begun, second))
    assert changed(begun, first)
    assert in_encoder(changed(second, third))


@pytest.mark.parametrize("settings", [{"tuning": "head"}, {"head_first": 5}])
@pytest.mark.parametrize("network", ["small_unet", "frozen/tiny_resnet"])
def test_a_network_without_an_encoder_to_train_is_refused(network: str, settings: dict[str, Any]) -> None:
    (setting,) = settings
    with pytest.raises(S4miError, match=rf"method\.{setting}.*{network} has no encoder that is trained"):
        built("self_training", network=network, **settings)


def test_cross_teaching_tunes_the_network_that_has_an_encoder() -> None:
    method = built("cross_teaching", cnn="small_unet", tuning="head")
    first, *_, last = train(method, steps=2)
    names = changed(first, last)
    assert any(name.startswith("committee.networks.cnn.down") for name in names)
    assert not any(name.startswith("committee.networks.transformer.encoder") for name in names)


def test_what_is_trained_is_in_the_name_of_the_technique() -> None:
    assert config_of("mean_teacher", tuning="head").technique().endswith(", frozen encoder")
    assert config_of("mean_teacher", tuning="lora").technique().endswith(", LoRA")
    assert config_of("mean_teacher").technique() == config_of("mean_teacher", head_first=3).technique()
