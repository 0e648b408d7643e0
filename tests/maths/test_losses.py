import itertools
import math
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.losses import DiceLoss
from torch import Tensor

from s4mi.errors import S4miError
from s4mi.maths.losses import (
    class_weights,
    cross_entropy,
    dice,
    dice_cross_entropy,
    focal,
    multilabel_cross_entropy,
    positive_weights,
)
from s4mi.records import IGNORE


def pixels(seed: int, *, classes: int = 3, batch: int = 2, size: int = 6) -> tuple[Tensor, Tensor]:
    """(B, K, H, W) logits and (B, H, W) targets, none of them ignored."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(batch, classes, size, size, generator=generator)
    return logits, torch.randint(classes, (batch, size, size), generator=generator)


def holed(targets: Tensor, seed: int) -> Tensor:
    """`targets` with about a third of them ignored."""
    generator = torch.Generator().manual_seed(seed + 1)
    return targets.masked_fill(torch.rand(targets.shape, generator=generator) < 1 / 3, IGNORE)


WEIGHT = torch.tensor([0.5, 1.0, 3.0])


@pytest.mark.parametrize(("classes", "seed"), [(2, 0), (3, 1), (5, 2)])
def test_dice_is_that_of_monai(classes: int, seed: int) -> None:
    logits, targets = pixels(seed, classes=classes)
    targets[targets == classes - 1] = 0  # the last class is absent from the batch
    oracle = DiceLoss(
        squared_pred=True, batch=True, softmax=True, to_onehot_y=True, smooth_nr=1e-5, smooth_dr=1e-5, reduction="mean"
    )
    assert dice(logits, targets).item() == pytest.approx(oracle(logits, targets[:, None]).item(), abs=1e-6)


def test_dice_of_the_truth_is_zero_and_of_its_opposite_one() -> None:
    _, targets = pixels(0, classes=2)
    certain = 100 * F.one_hot(targets, 2).movedim(-1, 1).float()
    assert dice(certain, targets).item() == pytest.approx(0, abs=1e-6)
    assert dice(certain, 1 - targets).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_cross_entropy_is_that_of_torch(weight: Tensor | None) -> None:
    logits, targets = pixels(3)
    targets = holed(targets, 3)
    expected = F.cross_entropy(logits, targets, weight=weight, ignore_index=IGNORE)
    assert cross_entropy(logits, targets, weight).item() == pytest.approx(expected.item(), abs=1e-6)
    assert cross_entropy(logits[:, :, 0, 0], targets[:, 0, 0], weight).item() == pytest.approx(
        F.cross_entropy(logits[:, :, 0, 0], targets[:, 0, 0], weight=weight, ignore_index=IGNORE).item(), abs=1e-6
    )


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_half_dice_and_half_cross_entropy_are_monai_s_and_torch_s(weight: Tensor | None) -> None:
    """½ [Dice + CE] in double precision, with class weights in the cross-entropy alone."""
    logits, targets = pixels(3)
    logits = logits.double().requires_grad_()
    weight = None if weight is None else weight.double()
    oracle = DiceLoss(squared_pred=True, batch=True, softmax=True, to_onehot_y=True, smooth_nr=1e-5, smooth_dr=1e-5)
    expected = 0.5 * oracle(logits, targets[:, None]) + 0.5 * F.cross_entropy(logits, targets, weight=weight)
    ours = dice_cross_entropy(logits, targets, weight)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-6)
    gradients = [torch.autograd.grad(one, logits)[0] for one in (ours, expected)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-8)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**20), weighted=st.booleans())
def test_half_dice_and_half_cross_entropy_written_out(seed: int, weighted: bool) -> None:
    logits, targets = pixels(seed)
    targets = holed(targets, seed)
    overlap, p_squared, q_squared, nats, amount = [0.0] * 3, [0.0] * 3, [0.0] * 3, 0.0, 0.0
    for b, i, j in itertools.product(range(2), range(6), range(6)):
        y = int(targets[b, i, j])
        if y == IGNORE:
            continue
        z = logits[b, :, i, j].tolist()
        p = [math.exp(each) / sum(math.exp(other) for other in z) for each in z]
        for k in range(3):
            overlap[k] += p[k] * (y == k)
            p_squared[k] += p[k] ** 2
            q_squared[k] += y == k
        w = WEIGHT[y].item() if weighted else 1.0
        nats -= w * math.log(p[y])
        amount += w
    dices = [1 - (2 * overlap[k] + 1e-5) / (p_squared[k] + q_squared[k] + 1e-5) for k in range(3)]
    ours = dice_cross_entropy(logits, targets, WEIGHT if weighted else None)
    assert ours.item() == pytest.approx((sum(dices) / 3 + nats / amount) / 2, rel=1e-5)


@pytest.mark.parametrize("loss", [cross_entropy, dice, dice_cross_entropy, focal])
def test_a_batch_that_is_all_ignored_has_loss_zero_and_a_gradient(loss) -> None:
    logits, targets = pixels(4)
    logits.requires_grad_()
    value = loss(logits, torch.full_like(targets, IGNORE))
    value.backward()
    assert value.item() == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**20), weighted=st.booleans(), name=st.sampled_from(["cross_entropy", "dice", "both", "focal"])
)
def test_ignored_pixels_change_nothing(seed: int, weighted: bool, name: str) -> None:
    logits, targets = pixels(seed)
    targets = holed(targets, seed)
    weight = {"weight": WEIGHT} if weighted and name != "dice" else {}
    loss = {"cross_entropy": cross_entropy, "dice": dice, "both": dice_cross_entropy, "focal": focal}[name]
    other = torch.where((targets == IGNORE)[:, None], 50 * torch.rand_like(logits), logits)
    torch.testing.assert_close(loss(other, targets, **weight), loss(logits, targets, **weight))


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_focal_loss_of_gamma_zero_is_the_cross_entropy(weight: Tensor | None) -> None:
    logits, targets = pixels(5)
    torch.testing.assert_close(focal(logits, targets, gamma=0, weight=weight), cross_entropy(logits, targets, weight))
    several = (torch.rand(7, 3) < 0.4).float()
    scores = torch.randn(7, 3)
    torch.testing.assert_close(
        focal(scores, several, gamma=0, weight=weight), multilabel_cross_entropy(scores, several, weight)
    )


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**20), gamma=st.sampled_from([0.5, 1.0, 2.0, 3.5]), weighted=st.booleans())
def test_multi_class_focal_loss_is_its_formula(seed: int, gamma: float, weighted: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits, targets = torch.randn(6, 3, generator=generator), torch.randint(3, (6,), generator=generator)
    total = amount = 0.0
    for z, y in zip(logits.double(), targets.tolist(), strict=True):
        p = math.exp(z[y]) / sum(math.exp(other) for other in z)
        w = WEIGHT[y].item() if weighted else 1.0
        total += w * (1 - p) ** gamma * -math.log(p)
        amount += w
    ours = focal(logits, targets, gamma=gamma, weight=WEIGHT if weighted else None)
    assert ours.item() == pytest.approx(total / amount, rel=1e-4)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**20), gamma=st.sampled_from([0.5, 1.0, 2.0, 3.5]), weighted=st.booleans())
def test_multi_label_focal_loss_is_its_formula(seed: int, gamma: float, weighted: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(6, 3, generator=generator)
    targets = (torch.rand(6, 3, generator=generator) < 0.4).float()
    terms = []
    for i, k in itertools.product(range(6), range(3)):
        yes = 1 / (1 + math.exp(-logits[i, k].item()))
        p, w = (yes, WEIGHT[k].item() if weighted else 1.0) if targets[i, k] else (1 - yes, 1.0)
        terms.append(w * (1 - p) ** gamma * -math.log(p))
    ours = focal(logits, targets, gamma=gamma, weight=WEIGHT if weighted else None)
    assert ours.item() == pytest.approx(sum(terms) / len(terms), rel=1e-4)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("multilabel", [False, True])
def test_focal_loss_of_a_certain_prediction_has_a_finite_gradient(gamma: float, multilabel: bool) -> None:
    logits = torch.tensor([[200.0, -200.0], [0.0, 300.0]], requires_grad=True)
    targets = torch.tensor([[1.0, 0.0], [1.0, 1.0]]) if multilabel else torch.tensor([0, 0])
    focal(logits, targets, gamma=gamma).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_multi_label_cross_entropy_weights_the_positives() -> None:
    logits, targets = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])
    # -log(1/2) for each class, with weight 2 for the positive of the first
    assert multilabel_cross_entropy(logits, targets, torch.tensor([2.0, 9.0])).item() == pytest.approx(
        (2 + 1) / 2 * math.log(2)
    )


@settings(deadline=None, max_examples=30)
@given(each=st.integers(1, 10**9), classes=st.integers(1, 8), rule=st.sampled_from(["inverse", "median"]))
def test_a_balanced_set_has_weights_of_one(each: int, classes: int, rule) -> None:
    weight = class_weights([each] * classes, rule)
    assert weight is not None
    torch.testing.assert_close(weight, torch.ones(classes))


@pytest.mark.parametrize(
    ("counts", "rule", "expected"),
    [
        ((10, 30, 60), "inverse", (100 / 30, 100 / 90, 100 / 180)),
        ((10, 30, 60), "median", (3.0, 1.0, 0.5)),
        ((10, 30, 40, 80), "median", (3.5, 35 / 30, 35 / 40, 35 / 80)),
        # an absent class has weight 0 and no effect on the others
        ((10, 0, 30), "inverse", (2.0, 0.0, 2 / 3)),
        ((10, 0, 30), "median", (2.0, 0.0, 2 / 3)),
        ((10, 30, 60), (1, 2, 0.5), (1.0, 2.0, 0.5)),
    ],
)
def test_class_weights_by_hand(counts: tuple[int, ...], rule, expected: tuple[float, ...]) -> None:
    weight = class_weights(counts, rule)
    assert weight is not None
    assert weight.tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("counts", "rule", "expected"),
    [
        ((10, 50, 90), "inverse", (9.0, 1.0, 1 / 9)),
        ((10, 20, 80), "median", (2.0, 1.0, 0.25)),
        # a class in none or all of the images needs no balance
        ((0, 100, 20), "inverse", (1.0, 1.0, 4.0)),
        ((0, 100, 20), "median", (1.0, 1.0, 3.0)),
        ((0, 0, 0), "median", (1.0, 1.0, 1.0)),
        ((10, 20, 80), (1, 2, 0.5), (1.0, 2.0, 0.5)),
    ],
)
def test_positive_weights_by_hand(counts: tuple[int, ...], rule, expected: tuple[float, ...]) -> None:
    weight = positive_weights(counts, 100, rule)
    assert weight is not None
    assert weight.tolist() == pytest.approx(expected)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**20))
def test_inverse_positive_weights_balance_positives_and_negatives(seed: int) -> None:
    shows = torch.rand(40, 4, generator=torch.Generator().manual_seed(seed)) < torch.tensor([0.1, 0.3, 0.5, 0.9])
    weight = positive_weights(shows.sum(0).tolist(), len(shows), "inverse")
    assert weight is not None
    mixed = shows.any(0) & ~shows.all(0)
    torch.testing.assert_close((shows * weight).sum(0)[mixed], (~shows).sum(0)[mixed].float())


@pytest.mark.parametrize("weights", [class_weights, lambda counts, rule: positive_weights(counts, 9, rule)])
def test_no_rule_means_no_weights(weights) -> None:
    assert weights([1, 2, 3], "none") is None


@pytest.mark.parametrize("weights", [class_weights, lambda counts, rule: positive_weights(counts, 9, rule)])
@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((1.0, 2.0), "class_weights names 2 numbers but there are 3 classes"),
        ((), "class_weights names 0 numbers but there are 3 classes"),
        ((1.0, -2.0, 1.0), "class_weights must be at least 0, and one of them positive"),
        ((1.0, math.nan, 1.0), "class_weights must be at least 0, and one of them positive"),
        ((1.0, math.inf, 1.0), "class_weights must be at least 0, and one of them positive"),
        ((0.0, 0.0, 0.0), "class_weights must be at least 0, and one of them positive"),
    ],
)
def test_invalid_weights_are_refused(weights, numbers: Sequence[float], message: str) -> None:
    with pytest.raises(S4miError, match=message):
        weights([1, 2, 3], numbers)
