"""What of a pre-trained encoder is trained, and when."""

from itertools import pairwise

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from torch import nn

from s4mi.contract import Batch, Method, Task, TrainState
from s4mi.engine.optim import make_optimizer
from s4mi.nets.tuning import hold_frozen, parameter_groups
from s4mi.settings.classification.finetune import FinetuneConfig
from s4mi.settings.optim import OptimConfig
from s4mi.settings.segmentation.supervised import SupervisedConfig

SIZE = 32
TASKS = {
    "finetune": Task(kind="multiclass", classes=("a", "b"), image_size=SIZE, counts=(2, 2), labelled=4),
    "dedl": Task(kind="segmentation", classes=("a", "b"), image_size=SIZE, counts=(2, 2), labelled=4),
}
TUNINGS = ("full", "head", "last_blocks", "lora")


def built(method: str, **settings: object) -> Method:
    torch.manual_seed(0)
    if method == "finetune":
        config = FinetuneConfig.model_validate({"backbone": "tiny_resnet", "weights": "none", **settings})
        return config.build(TASKS[method])
    small = {"encoder": "tiny_resnet", "weights": "none", "decoder_channels": [16, 8, 8, 8, 8]}
    return SupervisedConfig.model_validate({**small, **settings}).build(TASKS[method])


def batch(method: str) -> Batch:
    images = torch.rand(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    rows = torch.arange(4)
    if method == "finetune":
        return Batch(images, rows, labels=torch.tensor([0, 1, 0, 1]))
    return Batch(images, rows, masks=(images.mean(dim=1) > 0.5).long())


def train(method: Method, given: Batch, *, steps: int = 3, lr: float = 0.01) -> list[dict[str, torch.Tensor]]:
    """Train as the loop does; the weights before the first and after each step."""
    optimizer = make_optimizer(OptimConfig(lr=lr, min_lr=lr), method.parameters(), device=torch.device("cpu"))
    method.train()
    method.before_epoch([given])
    states = [{name: tensor.clone() for name, tensor in method.state_dict().items()}]
    for step in range(steps):
        state = TrainState(step=step, per_epoch=steps, total=steps)
        method.before_step(state)
        optimizer.zero_grad(set_to_none=True)
        method.loss(given).total.backward()
        method.after_backward(state)
        optimizer.step()
        method.after_step(TrainState(step=step + 1, per_epoch=steps, total=steps))
        states.append({name: tensor.clone() for name, tensor in method.state_dict().items()})
    return states


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}


def is_encoder(name: str) -> bool:
    return name.startswith(("backbone.", "net.net.encoder."))


@pytest.mark.parametrize("method", TASKS)
@pytest.mark.parametrize("tuning", TUNINGS)
def test_only_what_is_tuned_changes_and_only_that_is_given_to_the_optimiser(method: str, tuning: str) -> None:
    net = built(method, tuning=tuning, tuned_blocks=1, lora_rank=2)
    optimizer = make_optimizer(OptimConfig(), net.parameters(), device=torch.device("cpu"))
    given = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    assert given == {id(parameter) for parameter in net.parameters() if parameter.requires_grad}
    start, *_, end = train(net, batch(method))
    encoder = {name for name in changed(start, end) if is_encoder(name)}
    assert changed(start, end) - encoder  # the head or decoder
    all_of_it = {name for name in start if is_encoder(name)}
    if tuning == "full":
        assert any("running_mean" in name for name in encoder)
        assert any("layer1" in name for name in encoder)
    elif tuning == "head":
        assert encoder == set()  # batch statistics are kept too
    elif tuning == "lora":
        assert encoder == {name for name in all_of_it if "lora_" in name}
    else:
        assert encoder
        assert all("layer4" in name for name in encoder)


@pytest.mark.parametrize("method", TASKS)
def test_the_first_prediction_with_lora_is_that_of_the_frozen_encoder(method: str) -> None:
    images = batch(method).images
    frozen, lora = built(method, tuning="head").eval(), built(method, tuning="lora").eval()
    head = {name: tensor for name, tensor in frozen.state_dict().items() if not is_encoder(name)}
    lora.load_state_dict(head, strict=False)  # building LoRA draws random numbers before the head does
    assert torch.equal(frozen.logits(images), lora.logits(images))  # type: ignore[operator]


@pytest.mark.parametrize("method", TASKS)
def test_a_checkpoint_with_lora_is_loaded_and_merged(method: str) -> None:
    net, given = built(method, tuning="lora", lora_rank=2), batch(method)
    train(net, given)
    trained = net.eval().logits(given.images)  # type: ignore[operator]
    again = built(method, tuning="lora", lora_rank=2)
    again.load_state_dict(net.state_dict())
    again.before_inference()
    torch.testing.assert_close(again.eval().logits(given.images), trained, atol=1e-5, rtol=1e-5)  # type: ignore[operator]
    assert again.state_dict().keys() == built(method).state_dict().keys()


@pytest.mark.parametrize("method", TASKS)
@pytest.mark.parametrize("tuning", ["full", "last_blocks", "lora"])
def test_the_head_alone_is_trained_in_the_first_steps(method: str, tuning: str) -> None:
    states = train(built(method, tuning=tuning, head_first=2), batch(method), steps=4)
    steps = [changed(before, after) for before, after in pairwise(states)]
    for step in steps[:2]:
        assert step
        assert not any(map(is_encoder, step))  # batch statistics neither
    for step in steps[2:]:
        assert any(map(is_encoder, step))


def test_blocks_are_timm_s_with_the_last_norm_in_the_last_one() -> None:
    groups = parameter_groups(timm.create_model("vit_tiny_patch16_224", num_classes=0, depth=3))
    assert len(groups) == 4  # the patch embedding, then the blocks
    assert {name.split(".")[0] for name in groups[-1]} == {"blocks", "norm"}
    assert {name.split(".")[1] for name in groups[-1] if name.startswith("blocks.")} == {"2"}
    assert sorted(name for group in groups for name in group) == sorted(
        name for name, _ in timm.create_model("vit_tiny_patch16_224", num_classes=0, depth=3).named_parameters()
    )


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet18"])
def test_encoders_of_segmentation_networks_are_grouped_by_stage(encoder: str) -> None:
    with torch.device("meta"):
        net = smp.encoders.get_encoder(encoder, weights=None)
    groups = parameter_groups(net)
    assert [{name.removeprefix("model.").split(".")[0] for name in group} for group in groups] == [
        {"conv1", "bn1"}, {"layer1"}, {"layer2"}, {"layer3"}, {"layer4"},
    ]  # fmt: skip


def test_frozen_parts_are_in_evaluation_mode_and_others_train() -> None:
    net = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), nn.Sequential(nn.Linear(2, 2), nn.Dropout()))
    net[0].requires_grad_(False)
    hold_frozen(net.train())
    assert [module.training for module in net] == [False, True]
    assert not net[0][1].training
    assert net[1][1].training
