"""Cross teaching against MONAI's Dice and torch's cross-entropy of the pixels that are known."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from few_masks import MONAI, TASK, batch_of, half_dice_half_cross_entropy, known
from safetensors.torch import save_file
from torch import Tensor, nn

from s4mi.contract import Batch, BatchComposition, TrainState
from s4mi.engine.checkpoint import load_weights, save_best
from s4mi.errors import S4miError
from s4mi.methods.segmentation.cross_teaching import CrossTeaching
from s4mi.nets.backbone import Backbone
from s4mi.records import IGNORE
from s4mi.settings.segmentation.cross_teaching import CrossTeachingConfig

SMALL = {"recipe": "paper", "cnn": "tiny_resnet", "transformer": "tiny_swin_unet", "transformer_weights": "none"}


def built(*, seed: int = 0, **settings: Any) -> CrossTeaching:
    torch.manual_seed(seed)
    return CrossTeachingConfig.model_validate({**SMALL, **settings}).build(TASK)


def batch() -> Batch:
    return batch_of(8, 8)


def dice(z: Tensor, y: Tensor) -> Tensor:
    value: Tensor = MONAI(*known(z, y))
    return value


def outputs_of(method: CrossTeaching) -> dict[str, list[Tensor]]:
    """Record the output of each network from now on."""
    seen: dict[str, list[Tensor]] = {"cnn": [], "transformer": []}
    for name, one in seen.items():
        method.committee[name].register_forward_hook(lambda _module, _given, z, one=one: one.append(z))
    return seen


def weights_of(network: nn.Module) -> list[Tensor]:
    return [weight for weight in network.parameters() if weight.requires_grad]


@pytest.mark.parametrize("class_weights", ["none", (1, 2, 3)])
def test_losses_and_their_gradients_are_the_formulas(class_weights: object) -> None:
    method, given = built(class_weights=class_weights, unlabelled_weight=0.7), batch()
    seen = outputs_of(method)
    losses = method.loss(given)
    z = [seen["cnn"][0], seen["transformer"][0]]
    (p, p_u), (q, q_u) = z[0].chunk(2), z[1].chunk(2)
    weight = None if class_weights == "none" else torch.tensor([1.0, 2.0, 3.0])
    expected = {
        "supervised": half_dice_half_cross_entropy(p, given.known_masks, weight)
        + half_dice_half_cross_entropy(q, given.known_masks, weight),
        "pseudo_label": 0.7 * (dice(p_u, q_u.argmax(dim=1)) + dice(q_u, p_u.argmax(dim=1))),
    }
    assert list(losses) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, rtol=0, atol=2e-6)
        ours, theirs = (torch.autograd.grad(one, z, retain_graph=True) for one in (losses[name], value))
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-8)


def test_pixels_of_low_confidence_are_ignored() -> None:
    method, given = built(), batch()
    seen = outputs_of(method)
    torch.manual_seed(7)  # the transformer skips blocks
    method.loss(given)
    of_transformer = seen["transformer"][0][8:].softmax(dim=1).amax(dim=1).flatten().sort().values
    method.config = method.config.model_copy(update={"confidence": of_transformer[4000:4002].mean().item()})
    torch.manual_seed(7)
    pseudo_label = method.loss(given)["pseudo_label"]
    z = [of_one[1] for of_one in seen.values()]
    p_u, q_u = (one[8:] for one in z)
    labels, confident = [], []
    for one in (p_u, q_u):
        probability, classes = one.softmax(dim=1).max(dim=1)
        confident.append(probability >= method.config.confidence)
        labels.append(torch.where(confident[-1], classes, IGNORE))
    assert confident[1].sum() == 8 * 32 * 32 - 4001
    torch.testing.assert_close(pseudo_label, dice(p_u, labels[1]) + dice(q_u, labels[0]), rtol=0, atol=2e-6)
    of_p, of_q = (gradient[8:].abs().sum(dim=1) for gradient in torch.autograd.grad(pseudo_label, z))
    assert torch.equal(of_p > 0, confident[1])
    assert torch.equal(of_q > 0, confident[0])


@pytest.mark.parametrize(("student", "teacher"), [("cnn", "transformer"), ("transformer", "cnn")])
def test_pseudo_labels_are_constants(student: str, teacher: str) -> None:
    method, given = built(), batch()
    seen = outputs_of(method)
    pseudo_label = method.loss(given)["pseudo_label"]
    labels = torch.tensor(seen[teacher][0][8:].argmax(dim=1).tolist())  # values without a graph
    of_student = weights_of(method.committee[student])
    ours = torch.autograd.grad(pseudo_label, of_student, retain_graph=True)
    theirs = torch.autograd.grad(dice(seen[student][0][8:], labels), of_student, retain_graph=True)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6)
    assert max(gradient.abs().max().item() for gradient in ours) > 1e-4


def test_each_network_has_one_forward_pass_for_all_images() -> None:
    method = built()
    seen = outputs_of(method)
    method.loss(batch())
    assert [[tuple(z.shape) for z in of_one] for of_one in seen.values()] == [[(16, 3, 32, 32)], [(16, 3, 32, 32)]]


def test_the_pseudo_label_loss_has_no_class_weights() -> None:
    terms = []
    for class_weights in ("none", (1, 2, 3), "inverse"):
        method = built(class_weights=class_weights)
        torch.manual_seed(7)  # the transformer skips blocks
        terms.append(method.loss(batch()))
    assert len({losses["pseudo_label"].item() for losses in terms}) == 1
    assert len({losses["supervised"].item() for losses in terms}) == 3


@pytest.mark.parametrize(("step", "risen"), [(0, math.exp(-5)), (50, math.exp(-5 / 4)), (100, 1.0)])
def test_the_weight_ramps_up_over_training(step: int, risen: float) -> None:
    plain, method = built(), built(unlabelled_weight=0.1, ramp_up=1)
    plain.before_step(TrainState(step, 10, 100))
    method.before_step(TrainState(step, 10, 100))
    losses = []
    for one in (plain, method):
        torch.manual_seed(7)
        losses.append(one.loss(batch()))
    torch.testing.assert_close(losses[1]["pseudo_label"], 0.1 * risen * losses[0]["pseudo_label"])
    assert torch.equal(losses[1]["supervised"], losses[0]["supervised"])


def test_one_step_moves_both_networks() -> None:
    method = built()
    before = {name: weight.clone() for name, weight in method.named_parameters()}
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1)
    method.loss(batch()).total.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    for network in ("cnn", "transformer"):
        first, *_, last = (name for name in before if name.startswith(f"committee.networks.{network}."))
        for name in (first, last):
            assert not torch.equal(method.get_parameter(name), before[name]), name


def test_the_logits_are_those_of_one_network_or_of_their_average() -> None:
    method, x = built().eval(), batch().images
    with torch.no_grad():
        members = method.members.member_logits(x)
        assert list(members) == ["cnn", "transformer", "average"]
        assert method.members.choice.name == "average"
        for name, logits in members.items():
            method.members.choice.take(name)
            assert method.members.choice.name == name
            assert torch.equal(method.logits(x), logits)
    mean = (members["cnn"].softmax(dim=1) + members["transformer"].softmax(dim=1)) / 2
    torch.testing.assert_close(members["average"].softmax(dim=1), mean)
    with pytest.raises(S4miError, match="unknown ensemble member 'swin'; choose from cnn, transformer, average"):
        method.members.choice.take("swin")


def test_a_checkpoint_holds_the_selected_member(tmp_path: Path) -> None:
    method, other = built().eval(), built(seed=1).eval()
    method.members.choice.take("cnn")
    save_best(tmp_path, method.state_dict(), epoch=1)
    other.load_state_dict(load_weights(tmp_path / "best.safetensors"))
    assert other.members.choice.name == "cnn"
    with torch.no_grad():
        assert torch.equal(other.logits(batch().images), method.members.member_logits(batch().images)["cnn"])


@pytest.mark.parametrize("everywhere", [0, IGNORE], ids=["background", "unknown"])
def test_masks_without_foreground_give_finite_losses_and_gradients(everywhere: int) -> None:
    method, full = built(class_weights="inverse"), batch()
    given = Batch(
        full.images, full.rows, masks=torch.full((8, 32, 32), everywhere), unlabelled=torch.zeros(8, 3, 32, 32)
    )
    losses = method.loss(given)
    assert all(torch.isfinite(term) for term in losses.values())
    assert (losses["supervised"] == 0) == (everywhere == IGNORE)
    gradients = torch.autograd.grad(losses.total, weights_of(method))
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_the_networks_are_the_paper_s() -> None:
    config = CrossTeachingConfig()
    assert (config.cnn, config.transformer) == ("small_unet", "swin_unet")
    assert (config.cnn_weights, config.transformer_weights) == ("none", "imagenet")
    assert (config.confidence, config.class_weights) == (0, "none")
    assert config.backbone_name == "U-Net (small) + Swin-UNet"
    assert (config.from_scratch().cnn_weights, config.from_scratch().transformer_weights) == ("none", "none")


@pytest.mark.parametrize(
    ("settings", "weight", "ramp_up"),
    [
        ({}, 0.1, 1.0),
        ({"recipe": "s4mi", "ramp_up": 0.5}, 0.1, 0.5),
        ({"recipe": "paper"}, 1.0, 0.0),
        ({"recipe": "paper", "ramp_up": 0.5}, 1.0, 0.5),
        ({"unlabelled_weight": 2, "recipe": "paper"}, 2.0, 0.0),
    ],
)
def test_a_recipe_sets_the_defaults(settings: dict[str, Any], weight: float, ramp_up: float) -> None:
    config = CrossTeachingConfig.model_validate(settings)
    assert (config.unlabelled_weight, config.ramp_up) == (weight, ramp_up)
    assert config.labelled_share == (0.5 if settings.get("recipe") == "paper" else 0.75)
    assert CrossTeachingConfig.model_validate(config.model_dump()) == config  # as when a run is loaded


@pytest.mark.parametrize(("batch_size", "labelled"), [(16, 12), (8, 6), (4, 3), (3, 2), (2, 1)])
def test_three_quarters_of_a_batch_have_masks_and_at_least_one_image_has_none(batch_size: int, labelled: int) -> None:
    assert CrossTeachingConfig().batch_composition(batch_size, unlabelled=100) == BatchComposition(
        labelled, batch_size - labelled
    )


def test_a_frozen_network_teaches_and_is_taught_without_its_encoder() -> None:
    method, given = built(transformer="frozen/tiny_vit"), batch()
    frozen = method.committee["transformer"]
    before = {name: tensor.clone() for name, tensor in frozen.state_dict().items()}
    optimizer = torch.optim.SGD([weight for weight in method.parameters() if weight.requires_grad], lr=0.1)
    method.train().loss(given)["pseudo_label"].backward()
    assert all(weight.grad is not None for weight in weights_of(method.committee["cnn"]))
    optimizer.step()
    changed = {name for name, tensor in frozen.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed
    assert not any(name.startswith("encoder.") for name in changed)
    assert method.config.backbone_name == "tiny_resnet U-Net + tiny_vit (frozen)"


def test_the_weights_of_a_frozen_network_are_those_of_the_setting(tmp_path: Path) -> None:
    torch.manual_seed(3)
    given = Backbone("tiny_vit", image_size=32).net.state_dict()
    save_file(given, tmp_path / "w.safetensors")
    method = built(transformer="frozen/tiny_vit", transformer_weights=str(tmp_path / "w.safetensors"))
    loaded = method.committee["transformer"].get_submodule("encoder.backbone.net").state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in given.items())
