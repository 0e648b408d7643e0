from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from s4mi.contract import Batch, Task
from s4mi.errors import S4miError
from s4mi.maths.losses import focal
from s4mi.methods.classification.finetune import Finetune
from s4mi.nets.backbone import tiny_resnet
from s4mi.nets.weights import save_encoder
from s4mi.records import TaskKind
from s4mi.settings.classification.finetune import FinetuneConfig


def task(kind: TaskKind = "multiclass") -> Task:
    return Task(kind=kind, classes=("a", "b", "c"), image_size=32, counts=(10, 30, 60), labelled=100)


def built(kind: TaskKind = "multiclass", **settings: object) -> Finetune:
    torch.manual_seed(0)
    return FinetuneConfig.model_validate({"backbone": "tiny_resnet", "weights": "none", **settings}).build(task(kind))


def batch(kind: TaskKind = "multiclass") -> Batch:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(5, 3, 32, 32, generator=generator)
    labels = torch.tensor([0, 1, 2, 2, 1]) if kind == "multiclass" else (torch.rand(5, 3, generator=generator) < 0.4)
    return Batch(images, torch.arange(5), labels=labels if kind == "multiclass" else labels.float())


def logits(method: Finetune, given: Batch) -> Tensor:
    """W · backbone(x) + b"""
    return method.backbone(given.images) @ method.head.weight.T + method.head.bias


def test_the_defaults_are_the_paper_s() -> None:
    config = FinetuneConfig()
    assert (config.backbone, config.weights, config.criterion) == ("resnet50", "imagenet", "cross_entropy")
    assert config.backbone_name == "resnet50"
    assert config.gamma == 2


@pytest.mark.parametrize(
    ("rule", "weight"),
    [
        ("none", None),
        ("inverse", [100 / 30, 100 / 90, 100 / 180]),
        ("median", [3.0, 1.0, 0.5]),
        ((1, 2, 0.5), [1.0, 2.0, 0.5]),
    ],
)
def test_one_class_an_image_is_a_weighted_softmax(rule, weight: list[float] | None) -> None:
    method, given = built(class_weights=rule), batch()
    expected = F.cross_entropy(
        logits(method, given), given.known_labels, weight=None if weight is None else torch.tensor(weight)
    )
    losses = method.loss(given)
    assert list(losses) == ["cross_entropy"]
    torch.testing.assert_close(losses.total, expected)


@pytest.mark.parametrize(
    ("rule", "weight"),
    [
        ("none", None),
        ("inverse", [90 / 10, 70 / 30, 40 / 60]),  # images without the class over images with it
        ("median", [3.0, 1.0, 0.5]),
        ((1, 2, 0.5), [1.0, 2.0, 0.5]),
    ],
)
def test_several_labels_an_image_are_a_sigmoid_each_with_weighted_positives(rule, weight: list[float] | None) -> None:
    method, given = built("multilabel", class_weights=rule), batch("multilabel")
    expected = F.binary_cross_entropy_with_logits(
        logits(method, given), given.known_labels, pos_weight=None if weight is None else torch.tensor(weight)
    )
    losses = method.loss(given)
    assert list(losses) == ["cross_entropy"]
    torch.testing.assert_close(losses.total, expected)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_the_focal_loss_takes_gamma_and_the_same_weights(kind: TaskKind) -> None:
    method, given = built(kind, criterion="focal", gamma=1.5, class_weights=[1, 2, 3]), batch(kind)
    expected = focal(logits(method, given), given.known_labels, gamma=1.5, weight=torch.tensor([1.0, 2.0, 3.0]))
    losses = method.loss(given)
    assert list(losses) == ["focal"]
    torch.testing.assert_close(losses.total, expected)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_a_wrong_count_of_class_weights_is_refused(kind: TaskKind) -> None:
    with pytest.raises(S4miError, match="class_weights names 2 numbers but there are 3 classes"):
        built(kind, class_weights=[1, 2])


def test_the_backbone_starts_from_a_weight_file_and_the_head_afresh(tmp_path: Path) -> None:
    torch.manual_seed(9)
    given = tiny_resnet().state_dict()
    save_file(given, tmp_path / "w.safetensors")
    method = built(weights=str(tmp_path / "w.safetensors"))
    assert all(torch.equal(tensor, given[name]) for name, tensor in method.backbone.net.state_dict().items())
    assert method.head.weight.shape == (3, 128)


def test_a_batch_without_labels_is_an_error() -> None:
    with pytest.raises(AssertionError, match="this method requires labels"):
        built().loss(Batch(torch.rand(2, 3, 32, 32), torch.arange(2)))


def test_a_linear_probe_trains_the_head_alone_on_frozen_features() -> None:
    method, given = built(linear_probe=True), batch()
    method.train()
    method.before_epoch([])
    before = {name: tensor.clone() for name, tensor in method.backbone.state_dict().items()}
    features = method.backbone(given.images)
    method.loss(given).total.backward()
    assert {name for name, weight in method.named_parameters() if weight.grad is not None} == {
        "head.weight",
        "head.bias",
    }
    assert all(torch.equal(tensor, before[name]) for name, tensor in method.backbone.state_dict().items())
    assert torch.equal(
        method.eval().backbone(given.images), features
    )  # batch normalisation used its running statistics


def test_fine_tuning_trains_everything() -> None:
    method = built()
    method.train()
    method.before_epoch([])
    assert method.backbone.training
    method.loss(batch()).total.backward()
    assert all(weight.grad is not None for weight in method.parameters())


@pytest.mark.parametrize(
    ("settings", "pretraining", "technique"),
    [
        ({}, None, "transfer"),
        ({"weights": "file.pth"}, None, "transfer"),
        ({"weights": "none"}, None, "transfer from scratch"),
        ({"weights": "none"}, "dino", "dino"),
        ({"linear_probe": True}, "cass", "cass, linear probe"),
        ({"linear_probe": True}, None, "transfer, linear probe"),
    ],
)
def test_its_name_in_tables_is_that_of_its_start(settings, pretraining: str | None, technique: str) -> None:
    assert FinetuneConfig.model_validate(settings).technique(pretraining) == technique


def test_the_encoder_of_a_run_takes_precedence_over_weights(tmp_path: Path) -> None:
    encoder = tiny_resnet()
    save_encoder(encoder, tmp_path, "tiny_resnet")
    method = built(weights="imagenet", pretrained=tmp_path)
    assert all(
        torch.equal(tensor, encoder.state_dict()[key]) for key, tensor in method.backbone.net.state_dict().items()
    )


def test_a_run_without_encoders_is_refused() -> None:
    with pytest.raises(S4miError, match=r"holds no encoders; pass the folder of a finished pre-training run"):
        built(pretrained=Path("nowhere"))


def test_the_error_for_a_run_of_other_networks_names_them(tmp_path: Path) -> None:
    for name in ("resnet18", "hf-hub:a/vit"):
        save_encoder(tiny_resnet(), tmp_path, name)
    message = (
        r"is a pre-training run of hf-hub:a/vit and resnet18, not of 'tiny_resnet'; set method.backbone to hf-hub:a/vi"
    )
    with pytest.raises(S4miError, match=message):
        built(pretrained=tmp_path)
