"""Weak-to-strong consistency against its formula, and the properties of CutMix."""

import itertools
import math
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from few_masks import TASK, batch_of, half_dice_half_cross_entropy
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from s4mi.contract import Batch, TrainState
from s4mi.methods.segmentation.weak_to_strong import (
    WeakToStrong,
    complementary_halves,
    cut,
    cutmix_boxes,
    over_all_pixels,
)
from s4mi.records import IGNORE
from s4mi.settings.segmentation.weak_to_strong import WeakToStrongConfig

PLAIN = {"cutmix": 0, "feature_dropout": 0}


def built(**settings: Any) -> WeakToStrong:
    torch.manual_seed(0)
    # an untrained network has low confidence: this threshold ignores a part of its pixels
    small = {"network": "tiny_resnet", "confidence": 0.45}
    return WeakToStrongConfig.model_validate({**small, **settings}).build(TASK)


def batch() -> Batch:
    return batch_of(4, 4, views=3)


@dataclass
class Seen:
    """Inputs and outputs of encoder and decoder, call by call."""

    images: list[Tensor] = field(default_factory=list)
    features: list[list[Tensor]] = field(default_factory=list)
    decoded: list[list[Tensor]] = field(default_factory=list)
    logits: list[Tensor] = field(default_factory=list)


def watch(method: WeakToStrong, monkeypatch: pytest.MonkeyPatch) -> Seen:
    seen, encode, decode = Seen(), method.network.encode, method.network.decode

    def encoding(images: Tensor) -> list[Tensor]:
        seen.images.append(images)
        seen.features.append(encode(images))
        return seen.features[-1]

    def decoding(features: list[Tensor], size: tuple[int, int]) -> Tensor:
        seen.decoded.append(features)
        seen.logits.append(decode(features, size))
        return seen.logits[-1]

    monkeypatch.setattr(method.network, "encode", encoding)
    monkeypatch.setattr(method.network, "decode", decoding)
    return seen


def softmax(scores: list[float]) -> list[float]:
    return [math.exp(score) / sum(math.exp(other) for other in scores) for score in scores]


def labels_by_hand(z: Tensor, confidence: float) -> Tensor:
    """Pixel by pixel: the most probable class, `IGNORE` below the confidence."""
    labels = torch.full((z.shape[0], *z.shape[2:]), IGNORE)
    for u, i, j in itertools.product(*map(range, labels.shape)):
        p = softmax(z[u, :, i, j].tolist())
        if max(p) >= confidence:
            labels[u, i, j] = p.index(max(p))
    return labels


def naive(z: Tensor, labels: Tensor) -> float:
    """Sum of -log p over known labels, divided by the number of all pixels."""
    total = 0.0
    for u, i, j in itertools.product(*map(range, labels.shape)):
        if labels[u, i, j] != IGNORE:
            total -= math.log(softmax(z[u, :, i, j].tolist())[labels[u, i, j]])
    return total / labels.numel()


def cut_by_hand(images: Tensor, boxes: Tensor) -> Tensor:
    """Pixel by pixel: (U, C, H, W) images with the box of the image before, the last one before the first."""
    mixed = images.clone()
    for u, i, j in itertools.product(range(len(images)), *map(range, images.shape[-2:])):
        if boxes[u, 0, i, j]:
            mixed[u, :, i, j] = images[u - 1, :, i, j]
    return mixed


def test_without_perturbations_the_loss_is_the_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    method, given = built(**PLAIN, class_weights=(1, 2, 3), unlabelled_weight=0.7), batch()
    seen = watch(method, monkeypatch)
    losses = method.loss(given)
    (p, w), (s_1, s_2) = (z.chunk(2) for z in seen.logits)
    labels = labels_by_hand(w, 0.45)
    assert 0.2 < (labels == IGNORE).float().mean() < 0.8
    assert list(losses) == ["supervised", "images"]
    weight = torch.tensor([1.0, 2.0, 3.0])  # not of the consistency loss
    supervised = half_dice_half_cross_entropy(p, given.known_masks, weight)
    torch.testing.assert_close(losses["supervised"], supervised, rtol=0, atol=2e-6)
    expected = 0.7 / 2 * (naive(s_1, labels) + naive(s_2, labels)) / 2
    assert losses["images"].item() == pytest.approx(expected, rel=1e-4)
    assert torch.equal(seen.images[0], torch.cat([given.images, given.known_unlabelled[:4]]))
    assert torch.equal(seen.images[1], given.known_unlabelled[4:])


@pytest.mark.parametrize("network", ["tiny_resnet", "dpt/tiny_vit"])
def test_with_all_perturbations_the_loss_is_the_formula(network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, given = built(network=network, cutmix=0.8, feature_dropout=0.5, unlabelled_weight=0.7), batch()
    weak, *strong = given.known_unlabelled.chunk(3)
    seen = watch(method, monkeypatch)
    torch.manual_seed(5)
    losses = method.loss(given)
    torch.manual_seed(5)
    boxes = [cutmix_boxes(weak, 0.8) for _ in strong]
    assert all(box.any() for box in boxes)
    assert not torch.equal(*boxes)
    mixed = torch.cat([cut_by_hand(view, box) for view, box in zip(strong, boxes, strict=True)])
    assert torch.equal(seen.images[1], mixed)
    labels = labels_by_hand(seen.logits[0][4:], 0.45)
    targets = torch.cat([cut_by_hand(labels[:, None], box)[:, 0] for box in boxes])
    assert list(losses) == ["supervised", "images", "features"]
    assert losses["images"].item() == pytest.approx(0.7 / 2 * naive(seen.logits[1], targets), rel=1e-4)
    assert losses["features"].item() == pytest.approx(0.7 / 2 * naive(seen.logits[2], labels), rel=1e-4)


def test_the_feature_loss_drops_half_of_the_channels_and_doubles_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    method = built(feature_dropout=0.5)
    seen = watch(method, monkeypatch)
    method.loss(batch())
    dropped, kept = 0, 0
    for whole, given in zip(seen.features[0][1:], seen.decoded[2][1:], strict=True):  # the first is the image itself
        for u, channel in itertools.product(range(4), range(whole.shape[1])):
            if (given[u, channel] == 0).all():
                dropped += 1
            else:
                torch.testing.assert_close(given[u, channel], 2 * whole[4 + u, channel])
                kept += 1
    assert 0.4 < dropped / (dropped + kept) < 0.6


@pytest.mark.parametrize("network", ["tiny_resnet", "dpt/tiny_vit"])
def test_with_complementary_halves_the_loss_is_the_formula(network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, given = built(network=network, complementary=True, cutmix=0, unlabelled_weight=0.7), batch()
    seen = watch(method, monkeypatch)
    losses = method.loss(given)
    labels = labels_by_hand(seen.logits[0][4:], 0.45)
    assert list(losses) == ["supervised", "images"]
    assert torch.equal(seen.images[1], given.known_unlabelled[4:])
    assert seen.decoded[1][-1].shape == seen.features[1][-1].shape
    expected = 0.7 * naive(seen.logits[1], torch.cat([labels, labels]))
    assert losses["images"].item() == pytest.approx(expected, rel=1e-4)


def test_halves_complement_each_other_in_half_of_the_images() -> None:
    """As UniMatch V2's masks: 0 or 2 per channel, together 2; the same for all levels of one width."""
    torch.manual_seed(0)
    widths = (16, 32, 16)
    factors = complementary_halves([torch.ones(12, width, 2, 3) for width in widths])
    for width, factor in zip(widths, factors, strict=True):
        first, second = factor.chunk(2)
        assert torch.equal(first + second, torch.full((6, width, 2, 3), 2.0))
        assert torch.equal(first, first[..., :1, :1].expand_as(first))
        whole = (first == 1).flatten(1).all(dim=1)
        assert whole.sum() == 3
        assert set(first[~whole].unique().tolist()) == {0.0, 2.0}
        assert 0.3 < first[~whole].mean() / 2 < 0.7
    assert torch.equal(factors[0], factors[2])


def test_labels_and_features_share_one_forward_pass_of_the_weak_views(monkeypatch: pytest.MonkeyPatch) -> None:
    method = built()
    seen = watch(method, monkeypatch)
    method.loss(batch())
    assert [len(images) for images in seen.images] == [4 + 4, 2 * 4]
    assert [len(z) for z in seen.logits] == [4 + 4, 2 * 4, 4]


def test_only_confident_pixels_have_a_gradient_and_labels_are_constants(monkeypatch: pytest.MonkeyPatch) -> None:
    method = built(cutmix=0)
    seen = watch(method, monkeypatch)
    losses = method.loss(batch())
    confident = labels_by_hand(seen.logits[0][4:], 0.45) != IGNORE
    for name, call, of_views in (("images", 1, confident.repeat(2, 1, 1)), ("features", 2, confident)):
        gradients: tuple[Tensor | None, ...] = torch.autograd.grad(
            losses[name], [seen.logits[0], seen.logits[call]], allow_unused=True, retain_graph=True
        )
        of_weak, of_strong = gradients
        assert of_weak is None
        assert of_strong is not None
        trains = of_strong.abs().sum(dim=1) > 0
        assert torch.equal(trains, of_views)


@settings(deadline=None, max_examples=20)
@drawn(seed=st.integers(0, 2**20), share=st.floats(0, 1))
def test_the_mean_is_over_all_pixels_known_or_not(seed: int, share: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    z = 2 * torch.randn(2, 3, 4, 5, generator=generator)
    labels = torch.randint(3, (2, 4, 5), generator=generator)
    labels[torch.rand(labels.shape, generator=generator) < share] = IGNORE
    assert over_all_pixels(z, labels).item() == pytest.approx(naive(z, labels), abs=1e-5)


def test_without_confident_pixels_the_consistency_losses_are_zero() -> None:
    method = built(confidence=0.999)
    losses = method.loss(batch())
    assert losses["images"].item() == losses["features"].item() == 0
    trained = [weight for weight in method.parameters() if weight.requires_grad]
    assert all(torch.isfinite(gradient).all() for gradient in torch.autograd.grad(losses.total, trained))


def test_masks_that_are_unknown_give_finite_losses_and_gradients() -> None:
    method, full = built(class_weights="inverse"), batch()
    masks = torch.full((4, 32, 32), IGNORE)
    losses = method.loss(Batch(full.images, full.rows, masks=masks, unlabelled=full.unlabelled))
    assert losses["supervised"] == 0
    trained = [weight for weight in method.parameters() if weight.requires_grad]
    assert all(torch.isfinite(gradient).all() for gradient in torch.autograd.grad(losses.total, trained))


@pytest.mark.parametrize(("step", "risen"), [(0, math.exp(-5)), (50, math.exp(-5 / 4)), (100, 1.0)])
def test_the_weight_ramps_up_over_training(step: int, risen: float) -> None:
    full, method = built(), built(unlabelled_weight=0.5, ramp_up=1)
    losses = []
    for one in (full, method):
        one.before_step(TrainState(step, 10, 100))
        torch.manual_seed(5)
        losses.append(one.loss(batch()))
    for name in ("images", "features"):
        torch.testing.assert_close(losses[1][name], 0.5 * risen * losses[0][name])
    assert torch.equal(losses[1]["supervised"], losses[0]["supervised"])


@settings(deadline=None, max_examples=20)
@drawn(seed=st.integers(0, 2**20), height=st.integers(20, 120), width=st.integers(20, 120))
def test_a_box_is_a_rectangle_of_2_to_40_percent_and_sides_of_up_to_1_to_3(seed: int, height: int, width: int) -> None:
    torch.manual_seed(seed)
    boxes = cutmix_boxes(torch.zeros(30, 3, height, width), 1.0)
    assert boxes.shape == (30, 1, height, width)
    assert boxes.dtype == torch.bool
    for (box,) in boxes:
        rows, columns = box.any(dim=1), box.any(dim=0)
        assert torch.equal(box, rows[:, None] & columns[None])
        for side in (rows, columns):  # without a gap
            (inside,) = side.nonzero(as_tuple=True)
            assert inside[-1] - inside[0] + 1 == len(inside)
        tall, wide = int(rows.sum()), int(columns.sum())
        # a side of s pixels covers the centres of more than s - 1 and fewer than s + 1
        assert (tall + 1) * (wide + 1) > 0.02 * height * width
        assert (tall - 1) * (wide - 1) < 0.4 * height * width
        assert max(tall - 1, 0) / (wide + 1) < 1 / 0.3
        assert max(wide - 1, 0) / (tall + 1) < 1 / 0.3


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_boxes_are_drawn_with_the_probability_anywhere_in_the_image(probability: float) -> None:
    torch.manual_seed(0)
    boxes = cutmix_boxes(torch.zeros(2000, 3, 32, 32), probability)
    share = boxes.flatten(1).any(dim=1).float().mean().item()
    assert share == pytest.approx(probability, abs=0.03)  # three deviations
    if probability:
        for side in (2, 3):  # the edges are reached, and both alike
            covered = boxes.any(dim=side).float().mean(dim=(0, 1))
            assert (covered > 0).all()
            torch.testing.assert_close(covered, covered.flip(0), rtol=0, atol=0.05)


@settings(deadline=None, max_examples=20)
@drawn(seed=st.integers(0, 2**20), count=st.integers(1, 5))
def test_labels_are_cut_as_their_images_are(seed: int, count: int) -> None:
    """A label that encodes the brightness of its pixel does so in the mixed image too."""
    torch.manual_seed(seed)
    images = torch.rand(count, 3, 16, 16)

    def brightness(images: Tensor) -> Tensor:
        return (3 * images.mean(dim=1)).long().masked_fill(images[:, 0] < 0.1, IGNORE)

    boxes = cutmix_boxes(images, 0.7)
    mixed = cut(images, boxes)
    assert torch.equal(mixed, cut_by_hand(images, boxes))
    assert torch.equal(cut(brightness(images), boxes[:, 0]), brightness(mixed))


def test_there_are_two_strong_views_of_colour_alone() -> None:
    config = WeakToStrongConfig()
    first, second = config.strong_views
    assert first == second == config.strong
    assert (config.confidence, config.feature_dropout, config.cutmix) == (0.95, 0.5, 0.5)
    assert config.batch_composition(16, unlabelled=100).strong == config.strong_views
