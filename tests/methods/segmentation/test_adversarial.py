"""The deep adversarial network against its formulas, and which part each loss trains."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from few_masks import TASK, batch_of, half_dice_half_cross_entropy
from torch import Tensor, nn

from s4mi.contract import Batch, TrainState
from s4mi.methods.segmentation.adversarial import Adversarial, bce
from s4mi.records import IGNORE
from s4mi.settings.segmentation.adversarial import AdversarialConfig


def built(**settings: Any) -> Adversarial:
    torch.manual_seed(0)
    small = {"network": "tiny_resnet", "evaluator": 8, "ramp_up": 0, "unlabelled_weight": 1}
    return AdversarialConfig.model_validate({**small, **settings}).build(TASK)


def batch() -> Batch:
    return batch_of(5, 3)


def trained(module: nn.Module) -> list[Tensor]:
    return [weight for weight in module.parameters() if weight.requires_grad]


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def test_the_losses_are_the_formulas() -> None:
    method, given = built(class_weights=(1, 2, 3), unlabelled_weight=0.3), batch()
    losses = method.loss(given)
    x = torch.cat([given.images, given.known_unlabelled])
    z = method.network(x)
    p = torch.exp(z) / torch.exp(z).sum(dim=1, keepdim=True)
    # the discriminator on each image by itself
    d = [sigmoid(method.evaluator(x[i : i + 1], p[i : i + 1]).item()) for i in range(8)]
    of_labelled = sum(-math.log(each) for each in d[:5]) / 5
    of_others = sum(-math.log(1 - each) for each in d[5:]) / 3
    convincing = 0.3 * sum(-math.log(each) for each in d[5:]) / 3
    assert list(losses) == ["supervised", "evaluation", "convincing"]
    assert losses["evaluation"].item() == pytest.approx(of_labelled + of_others, abs=1e-5)
    assert losses["convincing"].item() == pytest.approx(convincing, abs=1e-5)
    supervised = half_dice_half_cross_entropy(z[:5], given.known_masks, torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(losses["supervised"], supervised, rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    ("term", "of_network", "of_evaluator"),
    [("supervised", True, False), ("evaluation", False, True), ("convincing", True, False)],
)
def test_each_term_trains_one_of_the_two(term: str, of_network: bool, of_evaluator: bool) -> None:
    method = built()
    loss = method.loss(batch())[term]
    for module, trains in ((method.network, of_network), (method.evaluator, of_evaluator)):
        gradients = torch.autograd.grad(loss, trained(module), allow_unused=True, retain_graph=True)
        reached = [gradient for gradient in gradients if gradient is not None]
        assert len(reached) == (len(gradients) if trains else 0)
        assert not trains or max(gradient.abs().max() for gradient in reached) > 0


def test_after_one_backward_pass_each_has_the_gradient_of_its_own_terms() -> None:
    method, given = built(unlabelled_weight=0.3), batch()
    method.loss(given).total.backward()  # type: ignore[no-untyped-call]
    x = torch.cat([given.images, given.known_unlabelled])
    z = method.network(x)
    p = z.softmax(dim=1)
    truth = torch.tensor([1.0] * 5 + [0.0] * 3)
    d = method.evaluator(x, p.detach())
    evaluation = sum(F.binary_cross_entropy_with_logits(d[own], truth[own]) for own in (truth == 1, truth == 0))
    ours = torch.autograd.grad(torch.as_tensor(evaluation), trained(method.evaluator))
    torch.testing.assert_close([weight.grad for weight in trained(method.evaluator)], list(ours), rtol=1e-3, atol=1e-6)
    convincing = -F.logsigmoid(method.evaluator(x[5:], p[5:])).mean()
    segmenting = half_dice_half_cross_entropy(z[:5], given.known_masks, torch.ones(3)) + 0.3 * convincing
    theirs = torch.autograd.grad(segmenting, trained(method.network))
    torch.testing.assert_close([weight.grad for weight in trained(method.network)], list(theirs), rtol=1e-3, atol=1e-6)


def test_a_step_of_the_segmenter_lowers_its_adversarial_loss() -> None:
    method, given = built(), batch()
    before = method.loss(given)["convincing"]
    before.backward()  # type: ignore[no-untyped-call]
    torch.optim.SGD(trained(method.network), lr=0.01).step()
    assert method.loss(given)["convincing"] < before


@pytest.mark.parametrize(("step", "risen"), [(0, math.exp(-5)), (20, math.exp(-5 / 4)), (40, 1.0), (100, 1.0)])
def test_the_weight_of_the_adversarial_loss_alone_ramps_up(step: int, risen: float) -> None:
    full, method = built(), built(unlabelled_weight=0.1, ramp_up=0.4)
    for one in (full, method):
        one.before_step(TrainState(step, 10, 100))
    losses = [one.loss(batch()) for one in (full, method)]
    torch.testing.assert_close(losses[1]["convincing"], 0.1 * risen * losses[0]["convincing"])
    for name in ("supervised", "evaluation"):
        assert torch.equal(losses[1][name], losses[0][name])


@pytest.mark.parametrize(("logits", "target", "nats"), [((0.0,), 1, math.log(2)), ((0.0, math.log(3)), 0, 1.0397208)])
def test_the_binary_cross_entropy_by_hand(logits: tuple[float, ...], target: float, nats: float) -> None:
    # ½ [log 2 + log 4] for the second
    assert bce(torch.tensor(logits), target).item() == pytest.approx(nats)


def test_masks_without_known_pixels_give_finite_losses_and_gradients() -> None:
    method, full = built(class_weights="inverse"), batch()
    masks = torch.full((5, 32, 32), IGNORE)
    losses = method.loss(Batch(full.images, full.rows, masks=masks, unlabelled=full.unlabelled))
    assert losses["supervised"] == 0
    gradients = torch.autograd.grad(losses.total, trained(method))
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_predictions_are_those_of_the_segmenter() -> None:
    method, x = built().eval(), batch().images
    with torch.no_grad():
        assert torch.equal(method.logits(x), method.network(x))
    assert method.members is None
