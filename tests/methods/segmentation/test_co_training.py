"""Deep co-training against its formulas, and the properties of its adversarial examples."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from few_masks import TASK, batch_of, half_dice_half_cross_entropy
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from s4mi.contract import Batch, TrainState
from s4mi.methods.segmentation.co_training import CoTraining, divergence, jensen_shannon
from s4mi.records import IGNORE
from s4mi.settings.segmentation.co_training import CoTrainingConfig

OTHER = {"first": "second", "second": "first"}


def built(*, seed: int = 0, **settings: Any) -> CoTraining:
    torch.manual_seed(seed)
    return CoTrainingConfig.model_validate({"network": "tiny_resnet", "ramp_up": 0, **settings}).build(TASK)


def batch() -> Batch:
    return batch_of(8, 8)


def kl(target: Tensor, z: Tensor) -> Tensor:
    """Mean over pixels of Σ_k q log(q / p), q and p the softmax by hand."""
    q, p = (one.exp() / one.exp().sum(dim=1, keepdim=True) for one in (target, z))
    return sum((q[:, k] * (q[:, k] / p[:, k]).log() for k in range(3)), torch.zeros(())).mean()


def watch(method: CoTraining) -> dict[str, list[tuple[Tensor, Tensor]]]:
    """Record inputs and outputs of each network from now on."""
    seen: dict[str, list[tuple[Tensor, Tensor]]] = {"first": [], "second": []}
    for name, one in seen.items():
        method.committee[name].register_forward_hook(lambda _module, inputs, z, one=one: one.append((inputs[0], z)))
    return seen


def adversarial_examples(method: CoTraining, given: Batch) -> dict[str, Tensor]:
    """Adversarial examples for each network, which the other one gets as input; in evaluation mode."""
    seen = watch(method.eval())
    method.loss(given)
    return {name: seen[OTHER[name]][1][0] for name in OTHER}


def test_losses_and_their_gradients_are_the_formulas() -> None:
    method, given = built(class_weights=(1, 2, 3), unlabelled_weight=0.7, diversity=0.4), batch()
    seen = watch(method)
    losses = method.loss(given)
    (x, p), (x_q, p_of_x_q) = seen["first"]
    (_, q), (x_p, q_of_x_p) = seen["second"]
    assert x.shape == x_q.shape == x_p.shape == (16, 3, 32, 32)
    weight = torch.tensor([1.0, 2.0, 3.0])
    p_u, q_u = p[8:].softmax(dim=1), q[8:].softmax(dim=1)
    m = (p_u + q_u) / 2
    towards_the_mean = [(one * (one / m).log()).sum(dim=1).mean() for one in (p_u, q_u)]
    expected = {
        "supervised": half_dice_half_cross_entropy(p[:8], given.known_masks, weight)
        + half_dice_half_cross_entropy(q[:8], given.known_masks, weight),
        "agreement": 0.7 * sum(towards_the_mean) / 2,
        "diversity": 0.7 * 0.4 * (kl(q.detach(), p_of_x_q) + kl(p.detach(), q_of_x_p)),
    }
    assert list(losses) == list(expected)
    outputs = [p, q, p_of_x_q, q_of_x_p]
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], torch.as_tensor(value), rtol=1e-5, atol=2e-6)
        ours, theirs = (
            torch.autograd.grad(one, outputs, retain_graph=True, materialize_grads=True)
            for one in (losses[name], torch.as_tensor(value))
        )
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-8)


def test_adversarial_examples_of_a_network_train_only_the_other() -> None:
    method = built()
    seen = watch(method)
    diversity = method.loss(batch())["diversity"]
    (_, p), (x_q, p_of_x_q) = seen["first"]
    (_, q), (x_p, q_of_x_p) = seen["second"]
    assert not x_q.requires_grad
    assert not x_p.requires_grad
    gradients = torch.autograd.grad(diversity, [p, q, p_of_x_q, q_of_x_p], allow_unused=True, retain_graph=True)
    assert [gradient is None for gradient in gradients] == [True, True, False, False]
    for name, target, z in (("first", q, p_of_x_q), ("second", p, q_of_x_p)):
        of_one = [weight for weight in method.committee[name].parameters() if weight.requires_grad]
        ours, theirs = (
            torch.autograd.grad(one, of_one, retain_graph=True) for one in (diversity, 0.5 * kl(target.detach(), z))
        )
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("deception", [0.0, 0.03, 0.2])
def test_adversarial_examples_are_valid_images_within_the_step_size(deception: float) -> None:
    method, given = built(deception=deception), batch()
    x = torch.cat([given.images, given.known_unlabelled])
    for images in adversarial_examples(method, given).values():
        assert images.min() >= 0
        assert images.max() <= 1
        moved = (images - x).abs()
        assert moved.max() <= deception + 1e-6
        # the full step, except for clipping to [0, 1] and gradients of 0
        assert (moved > deception - 1e-6).float().mean() > 0.5


def test_an_adversarial_example_is_a_step_up_the_loss_of_its_mask_or_pseudo_label() -> None:
    method, given = built(), batch()
    images = adversarial_examples(method, given)
    for name, ours in images.items():
        network = method.committee[name]
        for i in range(8):
            for known, one in ((True, given.images[i]), (False, given.known_unlabelled[i])):
                x = one[None].clone().requires_grad_()
                z = network(x)
                y = given.known_masks[i][None] if known else z.argmax(dim=1)
                (gradient,) = torch.autograd.grad(F.cross_entropy(z, y, ignore_index=IGNORE, reduction="sum"), x)
                theirs = torch.clamp(one + 0.03 * torch.sign(gradient[0]), 0, 1)
                # except for gradients close to 0, whose sign is rounding
                same = (ours[i if known else 8 + i] - theirs).abs() < 1e-6
                assert same.float().mean() > 0.995


def test_adversarial_examples_raise_the_loss_of_their_network() -> None:
    method, given = built(), batch()
    method.loss(given)  # sets the statistics of batch normalisation
    images = adversarial_examples(method, given)
    x = torch.cat([given.images, given.known_unlabelled])
    for name in OTHER:
        network = method.committee[name]
        with torch.no_grad():
            target = torch.cat([given.known_masks, network(x)[8:].argmax(dim=1)])
            before, after = (
                F.cross_entropy(network(one), target, ignore_index=IGNORE, reduction="none").sum(dim=(1, 2))
                for one in (x, images[name])
            )
        assert (after > before).sum() >= 15


def test_masks_affect_the_adversarial_examples_of_labelled_images_only() -> None:
    given = batch()
    changed = Batch(given.images, given.rows, masks=(given.known_masks == 0).long(), unlabelled=given.unlabelled)
    before, after = (adversarial_examples(built(), one) for one in (given, changed))
    for name in OTHER:
        other = (before[name] - after[name]).abs() > 1e-6
        assert other[:8].float().mean() > 0.1
        assert other[8:].float().mean() < 0.005


def test_without_diversity_there_are_no_adversarial_examples() -> None:
    method = built(diversity=0)
    seen = watch(method)
    assert list(method.loss(batch())) == ["supervised", "agreement"]
    assert [len(of_one) for of_one in seen.values()] == [1, 1]


@pytest.mark.parametrize(("step", "risen"), [(0, math.exp(-5)), (20, math.exp(-5 / 4)), (40, 1.0), (100, 1.0)])
def test_the_weight_ramps_up_over_two_fifths_of_training(step: int, risen: float) -> None:
    plain, method = built(), built(ramp_up=0.4, unlabelled_weight=0.5)
    for one in (plain, method):
        one.before_step(TrainState(step, 10, 100))
    full, weighed = plain.loss(batch()), method.loss(batch())
    for name in ("agreement", "diversity"):
        torch.testing.assert_close(weighed[name], 0.5 * risen * full[name], rtol=1e-4, atol=1e-7)
    assert torch.equal(weighed["supervised"], full["supervised"])


def distributions(seed: int, *, classes: int = 4) -> tuple[Tensor, Tensor]:
    """Two distributions (2, K, 3, 3), from flat to sharp."""
    generator = torch.Generator().manual_seed(seed)
    scale = 20 * torch.rand(2, 2, 1, 3, 3, generator=generator)
    p, q = (scale * torch.randn(2, 2, classes, 3, 3, generator=generator)).softmax(dim=2)
    return p, q


def pixel(*p: float) -> Tensor:
    return torch.tensor(p)[None, :, None, None]


@pytest.mark.parametrize(
    ("p", "q", "nats"),
    [
        ((0.2, 0.3, 0.5), (0.2, 0.3, 0.5), 0.0),
        ((1.0, 0.0), (0.0, 1.0), math.log(2)),
        ((0.5, 0.5, 0.0, 0.0), (0.0, 0.0, 0.3, 0.7), math.log(2)),
        # m = (3/4, 1/4): ½ log 4/3 + ½ [½ log 2/3 + ½ log 2]
        ((1.0, 0.0), (0.5, 0.5), 0.5 * math.log(4 / 3) + 0.25 * math.log(2 / 3) + 0.25 * math.log(2)),
    ],
)
def test_the_jensen_shannon_divergence_by_hand(p: tuple[float, ...], q: tuple[float, ...], nats: float) -> None:
    assert jensen_shannon(pixel(*p), pixel(*q)).item() == pytest.approx(nats, abs=1e-6)


@settings(deadline=None, max_examples=30)
@drawn(seed=st.integers(0, 2**20), classes=st.integers(2, 5))
def test_the_jensen_shannon_divergence_is_symmetric_and_from_0_to_log_2(seed: int, classes: int) -> None:
    p, q = distributions(seed, classes=classes)
    value = jensen_shannon(p, q).item()
    assert -1e-6 <= value <= math.log(2) + 1e-6
    assert jensen_shannon(q, p).item() == pytest.approx(value, abs=1e-6)
    assert jensen_shannon(p, p).item() == pytest.approx(0, abs=1e-6)


def test_certain_predictions_have_a_finite_gradient() -> None:
    z = torch.tensor([[300.0, -300.0]])[:, :, None, None].requires_grad_()
    value = jensen_shannon(z.softmax(dim=1), (-z).softmax(dim=1))
    assert value.item() == pytest.approx(math.log(2))
    assert torch.isfinite(torch.autograd.grad(value, z)[0]).all()


@settings(deadline=None, max_examples=20)
@drawn(seed=st.integers(0, 2**20))
def test_the_divergence_is_that_of_kullback_and_leibler(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    target, z = 2 * torch.randn(2, 2, 3, 4, 4, generator=generator)
    assert divergence(target, z).item() == pytest.approx(kl(target, z).item(), abs=1e-5)
    assert divergence(target, target).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("everywhere", [0, IGNORE], ids=["background", "unknown"])
def test_masks_without_foreground_give_finite_losses_and_gradients(everywhere: int) -> None:
    method, full = built(class_weights="inverse"), batch()
    masks = torch.full((8, 32, 32), everywhere)
    losses = method.loss(Batch(full.images, full.rows, masks=masks, unlabelled=torch.zeros(8, 3, 32, 32)))
    assert (losses["supervised"] == 0) == (everywhere == IGNORE)
    trained = [weight for weight in method.parameters() if weight.requires_grad]
    assert all(torch.isfinite(gradient).all() for gradient in torch.autograd.grad(losses.total, trained))


def test_the_networks_start_differently_and_their_average_predicts_by_default() -> None:
    method, x = built().eval(), batch().images
    with torch.no_grad():
        members = method.members.member_logits(x)
        assert not torch.allclose(members["first"], members["second"])
        mean = (members["first"].softmax(dim=1) + members["second"].softmax(dim=1)) / 2
        torch.testing.assert_close(method.logits(x).softmax(dim=1), mean)
        assert method.members.choice.name == "average"
        method.members.choice.take("second")
        assert torch.equal(method.logits(x), members["second"])
