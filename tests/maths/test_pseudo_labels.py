import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from s4mi.maths.pseudo_labels import class_thresholds, confident, entropy, hard, largest_share
from s4mi.records import IGNORE


def drawn(seed: int, *, classes: int = 3) -> Tensor:
    """(2, K, 4, 5) logits."""
    return 2 * torch.randn(2, classes, 4, 5, generator=torch.Generator().manual_seed(seed))


def softmax(scores: list[float]) -> list[float]:
    return [math.exp(score) / sum(math.exp(other) for other in scores) for score in scores]


def places(z: Tensor) -> list[tuple[int, int, int]]:
    return list(itertools.product(range(z.shape[0]), range(z.shape[2]), range(z.shape[3])))


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**20), classes=st.integers(2, 5), threshold=st.floats(0, 0.99))
def test_labels_are_the_most_probable_classes_and_ignored_below_the_threshold(
    seed: int, classes: int, threshold: float
) -> None:
    z = drawn(seed, classes=classes)
    every, sure = hard(z), confident(z, threshold)
    assert every.dtype == sure.dtype == torch.int64
    for b, i, j in places(z):
        p = softmax(z[b, :, i, j].tolist())
        assert every[b, i, j] == p.index(max(p))
        if abs(max(p) - threshold) > 1e-5:
            assert sure[b, i, j] == (p.index(max(p)) if max(p) >= threshold else IGNORE)


def test_a_label_at_the_threshold_is_kept() -> None:
    even = torch.zeros(1, 2, 1, 1)
    assert confident(even, 0.5).item() == 0
    assert confident(even, 0.5001).item() == IGNORE


def test_confidence_zero_ignores_no_pixel() -> None:
    assert torch.equal(confident(drawn(0), 0.0), hard(drawn(0)))


def test_confidence_is_computed_in_single_precision() -> None:
    """The softmax is 0.9519, which half precision rounds to 0.9531."""
    z = torch.tensor([[2.984375, 0.0]], dtype=torch.bfloat16)
    assert confident(z, 0.9525).item() == IGNORE
    assert confident(z, 0.9515).item() == 0


@pytest.mark.parametrize("label", [hard, lambda z: confident(z, 0.5)], ids=["hard", "confident"])
def test_no_gradient_flows_into_a_label(label) -> None:  # type: ignore[no-untyped-def]
    z = drawn(0).requires_grad_()
    assert not label(z).requires_grad
    # not even if it is used as a number
    (gradient,) = torch.autograd.grad((label(z) * z.sum(dim=1)).sum(), z)
    torch.testing.assert_close(gradient, label(z)[:, None].expand_as(z).float())


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**20), classes=st.integers(2, 5))
def test_entropy_is_its_formula_and_at_most_that_of_a_uniform_prediction(seed: int, classes: int) -> None:
    z = drawn(seed, classes=classes)
    h = entropy(z.softmax(dim=1))
    assert h.shape == (2, 4, 5)
    for b, i, j in places(z):
        naive = -sum(p * math.log(p) for p in softmax(z[b, :, i, j].tolist()))
        assert h[b, i, j].item() == pytest.approx(naive, abs=1e-5)
    assert (h >= 0).all()
    assert (h <= math.log(classes) + 1e-6).all()


@pytest.mark.parametrize(
    ("p", "nats"),
    [
        ((1.0, 0.0), 0.0),
        ((0.0, 1.0), 0.0),
        ((0.5, 0.5), math.log(2)),
        ((0.0, 0.5, 0.5), math.log(2)),
        ((0.25,) * 4, math.log(4)),
    ],
)
def test_entropy_by_hand(p: tuple[float, ...], nats: float) -> None:
    assert entropy(torch.tensor([p])).item() == pytest.approx(nats, abs=1e-6)


def test_the_entropy_of_a_certain_prediction_has_a_finite_gradient() -> None:
    """-log p grows without bound towards 0, which a softmax in single precision reaches."""
    z = torch.tensor([[200.0, -200.0, 0.0]], requires_grad=True)
    p = z.softmax(dim=1)
    assert (p == 0).sum() == 2
    (gradient,) = torch.autograd.grad(entropy(p).sum(), z)
    assert torch.equal(gradient, torch.zeros(1, 3))


def test_a_threshold_of_each_class() -> None:
    p = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.45, 0.55], [0.2, 0.8]])
    labels = confident(p.log(), torch.tensor([0.7, 0.5]))
    assert labels.tolist() == [0, IGNORE, 1, 1]


def test_thresholds_keep_the_same_share_of_every_class() -> None:
    p = torch.tensor([0.99, 0.95, 0.9, 0.8, 0.6, 0.55])
    predicted = torch.tensor([0, 0, 0, 0, 2, 2])
    half = class_thresholds(p, predicted, classes=3, keep=0.5)
    assert half.tolist() == pytest.approx([0.95, 0.9, 0.6])  # class 1 is never predicted: 3 of all 6
    assert class_thresholds(p, predicted, classes=3, keep=0.75).tolist() == pytest.approx([0.9, 0.6, 0.55])
    assert class_thresholds(p, predicted, classes=3, keep=1).tolist() == [0, 0, 0]


@given(
    predicted=st.lists(st.integers(0, 3), min_size=1, max_size=60),
    keep=st.floats(0.01, 0.99),
    seed=st.integers(0, 100),
)
def test_the_kept_of_each_class_are_its_most_probable_share(predicted: list[int], keep: float, seed: int) -> None:
    classes = torch.tensor(predicted)
    p = torch.rand(len(classes), generator=torch.Generator().manual_seed(seed))
    thresholds = class_thresholds(p, classes, classes=4, keep=keep)
    for k in set(predicted):
        own = p[classes == k]
        kept = own >= thresholds[k]
        assert kept.sum() == max(1, math.ceil(keep * len(own) - 1e-9))
        assert not (~kept).any() or own[~kept].max() < own[kept].min()


def test_the_largest_share_whose_classes_are_precise_enough() -> None:
    p = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.95, 0.85])
    predicted = torch.tensor([0, 0, 0, 0, 1, 1])
    true = torch.tensor([0, 0, 1, 1, 1, 0])
    chosen = {
        precision: largest_share(p, predicted, true, classes=2, precision=precision, shares=(1.0, 0.75, 0.5))
        for precision in (0.5, 0.58, 0.6, 1.0)
    }
    # mean precision: all 1/2 and 1/2; three quarters (3 of 4 and 2 of 2) 2/3 and 1/2; half 1 and 1
    assert chosen == {0.5: 1.0, 0.58: 0.75, 0.6: 0.5, 1.0: 0.5}
    assert largest_share(p, predicted, 1 - predicted, classes=2, precision=0.1, shares=(1.0, 0.5)) == 0.5
