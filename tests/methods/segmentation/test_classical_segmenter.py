"""The random forest of pixels."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor

from made_features import InMemoryMaskedFeatures
from s4mi.contract import Fit, Task
from s4mi.errors import S4miError
from s4mi.methods.segmentation.classical_segmenter import UNCERTAIN, ClassicalSegmenter
from s4mi.records import IGNORE
from s4mi.settings.segmentation.classical_segmenter import ClassicalSegmenterConfig

SIDE = 24
TASK = Task(kind="segmentation", classes=("background", "disc", "bar"), image_size=SIDE, counts=(1, 1, 1), labelled=1)


def method(**settings: Any) -> ClassicalSegmenter:
    return ClassicalSegmenterConfig.model_validate({"trees": 12, "depth": 8, "pixels": 3000, **settings}).build(TASK)


def scenes(count: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images with a red square and a green bar on noise, and their masks."""
    generator = torch.Generator().manual_seed(seed)
    images, masks = 0.4 * torch.rand(count, 3, SIDE, SIDE, generator=generator), torch.zeros(count, SIDE, SIDE).long()
    for number in range(count):
        row, column = torch.randint(2, 8, (2,), generator=generator).tolist()
        masks[number, row : row + 7, column : column + 7] = 1
        masks[number, 18:21] = 2
    images[:, 0] += 0.5 * (masks == 1)
    images[:, 1] += 0.5 * (masks == 2)
    return images, masks


def fitted(built: ClassicalSegmenter, images: Tensor, masks: Tensor, *, seed: int = 0) -> Fit:
    return built.fit(InMemoryMaskedFeatures((), images, masks, np.arange(len(images))), np.random.default_rng(seed))


def test_objects_of_new_images_are_found() -> None:
    built, (images, masks) = method(), scenes(14)
    fitted(built, images[:8], masks[:8])
    found = built.logits(images[8:]).argmax(dim=1)
    for label in (1, 2):
        both, either = ((found == label) & (masks[8:] == label)).sum(), ((found == label) | (masks[8:] == label)).sum()
        assert both / either > 0.8


def test_the_probabilities_are_those_of_a_forest_of_all_pixels() -> None:
    images, masks = scenes(2)
    built = method(pixels=10**6)
    fitted(built, images, masks, seed=5)
    x = built.features(images).movedim(1, -1).flatten(0, 2).numpy()
    probability = built.logits(images).movedim(1, -1).flatten(0, 2).exp().numpy()
    generator = np.random.default_rng(5)
    order = [
        number * SIDE**2 + generator.permutation(np.flatnonzero(masks[number] == label))
        for number in range(2)
        for label in range(3)
    ]
    rows = np.concatenate(order)
    peer = RandomForestClassifier(12, max_depth=8, min_samples_leaf=5, random_state=int(generator.integers(2**31)))
    weight = np.full(len(rows), 1 / SIDE**2)  # every pixel is drawn, so that all count the same
    peer.fit(x[rows], masks.flatten().numpy()[rows], sample_weight=weight)
    np.testing.assert_allclose(probability, peer.predict_proba(x).clip(UNCERTAIN), atol=1e-6)


def test_drawing_few_pixels_keeps_the_shares_of_the_classes() -> None:
    """On noise, where nothing can be learnt, the mean probability is the share of the class."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(6, 3, SIDE, SIDE, generator=generator)
    masks = (torch.rand(6, SIDE, SIDE, generator=generator) < 0.1).long()
    built = method(pixels=900, depth=2, trees=40)
    fitted(built, images, masks)
    other = torch.rand(4, 3, SIDE, SIDE, generator=generator)
    assert built.logits(other).softmax(dim=1)[:, 1].mean().item() == pytest.approx(0.1, abs=0.04)


def test_pixels_that_are_not_annotated_are_not_drawn() -> None:
    images, masks = scenes(6)
    masks[:, :, 16:] = IGNORE
    result = fitted(method(pixels=10**6), images, masks)
    assert (result.chosen or {})["pixels"] == float((masks != IGNORE).sum())


def test_a_class_without_a_pixel_is_noted_and_not_predicted() -> None:
    images, masks = scenes(4)
    built = method()
    result = fitted(built, images, masks.masked_fill(masks == 2, 0))
    assert result.notes == ("without an annotated pixel, never predicted: bar",)
    assert not (built.logits(images).argmax(dim=1) == 2).any()


def test_masks_without_an_annotated_pixel_are_refused() -> None:
    images, masks = scenes(2)
    with pytest.raises(S4miError, match="no annotated pixel in the labelled images"):
        fitted(method(), images, torch.full_like(masks, IGNORE))


def test_a_weight_makes_a_class_more_frequent() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(4, 3, SIDE, SIDE, generator=generator)
    masks = (torch.rand(4, SIDE, SIDE, generator=generator) < 0.1).long()
    shares = []
    for weights in ("none", (1.0, 9.0, 1.0)):
        built = method(class_weights=weights, depth=2)
        fitted(built, images, masks)
        shares.append(built.logits(images).softmax(dim=1)[:, 1].mean().item())
    assert shares[1] > 3 * shares[0]
