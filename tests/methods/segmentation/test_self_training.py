"""Self-training against its formula, and the rounds of its pseudo-labels."""

import itertools
import math
from typing import Any

import pytest
import torch
from few_masks import TASK, batch_of, half_dice_half_cross_entropy
from torch import Tensor

from s4mi.contract import Batch, TrainState
from s4mi.methods.segmentation.self_training import SelfTraining
from s4mi.records import IGNORE
from s4mi.settings.segmentation.self_training import SelfTrainingConfig


def built(*, seed: int = 0, **settings: Any) -> SelfTraining:
    torch.manual_seed(seed)
    return SelfTrainingConfig.model_validate({"network": "tiny_resnet", **settings}).build(TASK)


def batch() -> Batch:
    return batch_of(4, 4)


def change(method: SelfTraining) -> None:
    """Change the network as a step does, including the statistics of batch normalisation."""
    with torch.no_grad():
        for weight in method.network.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
        method.train().logits(batch().images)


def state(network: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def alike(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def at(method: SelfTraining, step: int, *, per_epoch: int, total: int) -> None:
    """Call the hooks that the training loop calls between two steps."""
    if step:
        method.after_step(TrainState(step, per_epoch, total))
    method.before_step(TrainState(step, per_epoch, total))


def in_second_round(**settings: Any) -> SelfTraining:
    """A method in the second round, whose network differs from its teacher."""
    method = built(rounds=2, **settings)
    change(method)
    at(method, 5, per_epoch=5, total=10)
    change(method)
    return method


def between(values: Tensor) -> float:
    """A number in the middle of the values that is not close to any of them."""
    middle = values.flatten().sort().values[values.numel() // 3 : 2 * values.numel() // 3]
    widest = middle.diff().argmax()
    return ((middle[widest] + middle[widest + 1]) / 2).item()


def labels_by_hand(z: Tensor, confidence: float) -> Tensor:
    """Pixel by pixel: the most probable class, `IGNORE` below the confidence."""
    labels = torch.full((z.shape[0], *z.shape[2:]), IGNORE)
    for u, i, j in itertools.product(*map(range, labels.shape)):
        scores = z[u, :, i, j].tolist()
        p = [math.exp(score) / sum(math.exp(other) for other in scores) for score in scores]
        if max(p) >= confidence:
            labels[u, i, j] = p.index(max(p))
    return labels


@pytest.mark.parametrize("ignores", [False, True])
def test_the_loss_is_the_formula_with_the_labels_of_the_last_round(ignores: bool) -> None:
    given = batch()
    method = in_second_round(class_weights=(1, 2, 3), unlabelled_weight=0.7)
    with torch.no_grad():
        q_u = method.teacher.eval()(given.known_unlabelled)
    confidence = between(q_u.softmax(dim=1).amax(dim=1)) if ignores else 0.0
    labels = labels_by_hand(q_u, confidence)
    assert (0.2 < (labels == IGNORE).float().mean() < 0.8) == ignores
    method.config = method.config.model_copy(update={"confidence": confidence})
    outputs: list[Tensor] = []
    method.network.register_forward_hook(lambda _module, _given, z: outputs.append(z))
    losses = method.train().loss(given)
    (z,) = outputs  # one forward pass for all images
    weight = torch.tensor([1.0, 2.0, 3.0])  # not of the pseudo-label loss
    expected = {
        "supervised": half_dice_half_cross_entropy(z[:4], given.known_masks, weight),
        "pseudo_label": 0.7 * half_dice_half_cross_entropy(z[4:], labels),
    }
    assert list(losses) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, rtol=0, atol=2e-6)
        ours, theirs = (torch.autograd.grad(one, z, retain_graph=True)[0] for one in (losses[name], value))
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-8)


def test_the_first_round_trains_on_masks_alone() -> None:
    method = built(rounds=3)
    for step in range(4):
        at(method, step, per_epoch=5, total=12)
        losses = method.loss(batch())
        assert losses["pseudo_label"].item() == 0
        trained = [weight for weight in method.network.parameters() if weight.requires_grad]
        total, supervised = (
            torch.autograd.grad(one, trained, retain_graph=True) for one in (losses.total, losses["supervised"])
        )
        torch.testing.assert_close(total, supervised)
    at(method, 4, per_epoch=5, total=12)
    assert method.loss(batch())["pseudo_label"] > 0


def test_the_teacher_is_the_network_at_the_start_of_the_round() -> None:
    method, began = built(rounds=3), {}
    for step in range(12):
        at(method, step, per_epoch=5, total=12)
        if step % 4 == 0:
            began = state(method.network)
        assert alike(state(method.teacher), began), step
        method.loss(batch())
        assert alike(state(method.teacher), began), step  # including its statistics of batch normalisation
        change(method)
        assert not alike(state(method.network), began)


@pytest.mark.long
@pytest.mark.parametrize(("rounds", "total"), [(1, 7), (4, 10), (5, 9), (49, 49), (7, 4)])
def test_rounds_begin_as_soon_as_their_share_of_training_is_over(rounds: int, total: int) -> None:
    method = built(rounds=rounds)
    for step in range(total):
        before = state(method.teacher)
        change(method)
        at(method, step, per_epoch=2, total=total)
        over = [n for n in range(rounds) if n * total <= step * rounds]
        assert method.round == over[-1]
        begins = step > 0 and over != [n for n in range(rounds) if n * total <= (step - 1) * rounds]
        assert alike(state(method.teacher), state(method.network)) == begins
        assert alike(state(method.teacher), before) == (not begins)


def test_a_run_that_was_interrupted_within_a_round_goes_on_with_the_same_teacher() -> None:
    method, fresh = in_second_round(), built(rounds=2, seed=1)
    fresh.load_state_dict(method.state_dict())
    losses = []
    for one in (method, fresh):
        one.before_step(TrainState(7, 5, 10))
        losses.append(one.loss(batch()))
    assert losses[0]["pseudo_label"] > 0
    assert [torch.equal(losses[0][name], losses[1][name]) for name in losses[0]] == [True, True]
    assert not alike(state(fresh.teacher), state(fresh.network))


def test_where_nothing_is_sure_enough_nothing_is_learnt() -> None:
    method = in_second_round(confidence=0.999)
    losses = method.loss(batch())
    assert losses["pseudo_label"].item() == 0
    trained = [weight for weight in method.network.parameters() if weight.requires_grad]
    gradients = torch.autograd.grad(losses["pseudo_label"], trained)
    assert all((gradient == 0).all() for gradient in gradients)


def test_the_weight_ramps_up_over_training_from_the_second_round_on() -> None:
    config = SelfTrainingConfig(network="tiny_resnet", rounds=4, unlabelled_weight=0.5, ramp_up=1)
    torch.manual_seed(0)
    method = config.build(TASK)
    pseudo_label = built(rounds=4).loss(batch())["pseudo_label"]  # at full weight
    for step, weight in ((0, 0.0), (24, 0.0), (25, math.exp(-5 * 0.75**2) / 2), (50, math.exp(-5 / 4) / 2)):
        method.before_step(TrainState(step, 10, 100))
        torch.testing.assert_close(method.loss(batch())["pseudo_label"], weight * pseudo_label)


def test_the_teacher_is_frozen_and_the_network_predicts() -> None:
    method, x = in_second_round(), batch().images
    assert not any(weight.requires_grad for weight in method.teacher.parameters())
    with torch.no_grad():
        assert torch.equal(method.eval().logits(x), method.network(x))
        assert not torch.equal(method.logits(x), method.teacher(x))
    assert method.members is None
