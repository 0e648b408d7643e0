"""The extractor of colour, texture and shape."""

import numpy as np
import pytest
import torch

from s4mi.contract import POOLED
from s4mi.nets.classical_features import SIDE, ClassicalFeatures, describe


def images(count: int = 3, side: int = 40, *, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 8, 8, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")


def test_each_feature_has_a_name_of_its_own() -> None:
    extractor = ClassicalFeatures()
    width = extractor.widths[POOLED]
    assert len(set(extractor.names)) == len(extractor.names) == width
    assert extractor(images())[POOLED].shape == (3, width)
    for name in ("red histogram 1", "mean saturation", "core foreground shape solidity", "dark grains 2"):
        assert name in extractor.names


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("side", [8, 40, 200])
def test_features_of_constant_images_are_finite(value: float, side: int) -> None:
    features = ClassicalFeatures()(torch.full((1, 3, side, side), value))[POOLED]
    assert features.isfinite().all()
    assert features.dtype == torch.float32


@pytest.mark.parametrize("seed", range(5))
def test_features_are_finite_in_16_bits_too(seed: int) -> None:
    generator = np.random.default_rng(seed)
    image = (generator.random((33, 33, 3)) > generator.random()).astype(np.float32)
    assert np.isfinite(describe(image).astype(np.float16)).all()


def test_threads_change_nothing() -> None:
    batch = images(6)
    assert torch.equal(ClassicalFeatures(threads=1)(batch)[POOLED], ClassicalFeatures(threads=3)(batch)[POOLED])


def test_an_image_does_not_depend_on_its_batch() -> None:
    batch = images(4)
    whole = ClassicalFeatures()(batch)[POOLED]
    for number in range(4):
        assert torch.equal(ClassicalFeatures()(batch[number : number + 1])[POOLED][0], whole[number])


def test_a_turned_image_has_nearly_the_same_colours_and_patterns() -> None:
    extractor, batch = ClassicalFeatures(), images(2, side=64)
    one, turned = extractor(batch)[POOLED], extractor(torch.rot90(batch, 1, (2, 3)))[POOLED]
    for number, name in enumerate(extractor.names):
        if "histogram" in name or name.startswith(("mean", "deviation", "bright", "dark")):
            torch.testing.assert_close(one[:, number], turned[:, number], atol=1e-3, rtol=1e-3, msg=name)


def test_great_images_are_reduced_first() -> None:
    small = images(1, side=SIDE)
    large = torch.nn.functional.interpolate(small, scale_factor=2, mode="nearest")
    torch.testing.assert_close(
        ClassicalFeatures()(large)[POOLED], ClassicalFeatures()(small)[POOLED], atol=1e-4, rtol=0
    )


def test_the_key_is_the_same_in_every_process() -> None:
    assert ClassicalFeatures().key == ClassicalFeatures(threads=4).key
    assert len(bytes.fromhex(ClassicalFeatures().key)) == 16
