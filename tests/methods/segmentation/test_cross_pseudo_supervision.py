"""Cross pseudo supervision against MONAI's Dice and torch's cross-entropy of the pixels that are known."""

import math
from typing import Any

import pytest
import torch
from few_masks import TASK, batch_of, half_dice_half_cross_entropy
from torch import Tensor

from s4mi.contract import Batch, TrainState
from s4mi.methods.segmentation.cross_pseudo_supervision import CrossPseudoSupervision
from s4mi.records import IGNORE
from s4mi.settings.segmentation.cross_pseudo_supervision import CrossPseudoSupervisionConfig


def built(*, seed: int = 0, **settings: Any) -> CrossPseudoSupervision:
    torch.manual_seed(seed)
    return CrossPseudoSupervisionConfig.model_validate({"network": "tiny_resnet", **settings}).build(TASK)


def batch() -> Batch:
    return batch_of(8, 8)


def by_hand(z: Tensor, labels: Tensor) -> Tensor:
    """Mean over pixels of -log softmax(z) of the label, written out."""
    p = z.exp() / z.exp().sum(dim=1, keepdim=True)
    of_classes = [-(p[:, k].log() * (labels == k)) for k in range(3)]
    return torch.stack(of_classes).sum() / labels.numel()


def outputs_of(method: CrossPseudoSupervision) -> dict[str, list[Tensor]]:
    """Record the output of each network from now on."""
    seen: dict[str, list[Tensor]] = {"first": [], "second": []}
    for name, one in seen.items():
        method.committee[name].register_forward_hook(lambda _module, _given, z, one=one: one.append(z))
    return seen


def test_losses_and_their_gradients_are_the_formulas_and_labels_are_constants() -> None:
    method, given = built(class_weights=(1, 2, 3), unlabelled_weight=0.7), batch()
    seen = outputs_of(method)
    losses = method.loss(given)
    assert [[len(z) for z in of_one] for of_one in seen.values()] == [[16], [16]]  # one forward pass for all images
    z = [seen["first"][0], seen["second"][0]]
    (p, p_u), (q, q_u) = z[0].chunk(2), z[1].chunk(2)
    weight = torch.tensor([1.0, 2.0, 3.0])  # not of the pseudo-label loss
    labels_of_p, labels_of_q = (torch.tensor(one.argmax(dim=1).tolist()) for one in (p_u, q_u))
    expected = {
        "supervised": half_dice_half_cross_entropy(p, given.known_masks, weight)
        + half_dice_half_cross_entropy(q, given.known_masks, weight),
        "crossed": 0.7 * (by_hand(p_u, labels_of_q) + by_hand(q_u, labels_of_p)),
    }
    assert list(losses) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, rtol=2e-6, atol=2e-6)
        ours, theirs = (torch.autograd.grad(one, z, retain_graph=True) for one in (losses[name], value))
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-8)


def test_the_networks_start_differently_and_reproducibly_from_a_seed() -> None:
    one, same = built(seed=3), built(seed=3)
    first, second = (list(one.committee[name].parameters()) for name in ("first", "second"))
    drawn = [(a, b) for a, b in zip(first, second, strict=True) if a.dim() == 4]  # the convolutions
    assert drawn
    assert not any(torch.equal(a, b) for a, b in drawn)
    for a, b in zip(one.parameters(), same.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(("step", "risen"), [(0, math.exp(-5)), (50, math.exp(-5 / 4)), (100, 1.0)])
def test_the_weight_ramps_up_over_training(step: int, risen: float) -> None:
    plain, method = built(unlabelled_weight=1), built(ramp_up=1)
    for one in (plain, method):
        one.before_step(TrainState(step, 10, 100))
    losses = [one.loss(batch()) for one in (plain, method)]
    torch.testing.assert_close(losses[1]["crossed"], 1.5 * risen * losses[0]["crossed"])
    assert torch.equal(losses[1]["supervised"], losses[0]["supervised"])


def test_the_logits_are_those_of_one_network_or_of_their_average_and_checkpoints_hold_which() -> None:
    method, other, x = built().eval(), built(seed=1).eval(), batch().images
    with torch.no_grad():
        members = method.members.member_logits(x)
        assert list(members) == ["first", "second", "average"]
        mean = (members["first"].softmax(dim=1) + members["second"].softmax(dim=1)) / 2
        torch.testing.assert_close(members["average"].softmax(dim=1), mean)
        for name, logits in members.items():
            method.members.choice.take(name)
            other.load_state_dict(method.state_dict())
            assert other.members.choice.name == name
            assert torch.equal(other.logits(x), logits)


@pytest.mark.parametrize("everywhere", [0, IGNORE], ids=["background", "unknown"])
def test_masks_without_foreground_give_finite_losses_and_gradients(everywhere: int) -> None:
    method, full = built(class_weights="inverse"), batch()
    masks = torch.full((8, 32, 32), everywhere)
    losses = method.loss(Batch(full.images, full.rows, masks=masks, unlabelled=torch.zeros(8, 3, 32, 32)))
    assert (losses["supervised"] == 0) == (everywhere == IGNORE)
    trained = [weight for weight in method.parameters() if weight.requires_grad]
    assert all(torch.isfinite(gradient).all() for gradient in torch.autograd.grad(losses.total, trained))


def test_the_defaults_are_the_paper_s() -> None:
    config = CrossPseudoSupervisionConfig()
    assert (config.network, config.unlabelled_weight, config.ramp_up) == ("small_unet", 1.5, 0)
    assert config.backbone_name == "2 × U-Net (small)"
