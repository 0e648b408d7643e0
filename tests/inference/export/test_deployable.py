"""What is inside an exported network is what the data path does outside of it."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from s4mi.contract import Task
from s4mi.data.images import normalise_red
from s4mi.inference.export.deployable import Deployable, normalised_red
from s4mi.methods.segmentation.cross_teaching import CrossTeachingConfig


@given(seed=st.integers(0, 10_000), dark=st.booleans())
def test_red_is_normalised_to_the_bit_as_images_are(seed: int, dark: bool) -> None:
    pixels = np.random.default_rng(seed).integers(0, 4 if dark else 256, (9, 7, 3), dtype=np.uint8)
    inside = normalised_red(torch.from_numpy(pixels).permute(2, 0, 1)[None].float())
    np.testing.assert_array_equal(inside[0].permute(1, 2, 0).numpy(), normalise_red(pixels))


def test_every_colour_has_the_red_that_images_get() -> None:
    """All of two channels against all of the third in steps; black is among them."""
    red, green, blue = np.meshgrid(np.arange(256), np.arange(256), np.arange(0, 256, 15), indexing="ij")
    pixels = np.stack([red, green, blue], axis=-1).reshape(256, -1, 3).astype(np.uint8)
    inside = normalised_red(torch.from_numpy(pixels).permute(2, 0, 1)[None].float())
    np.testing.assert_array_equal(inside[0].permute(1, 2, 0).numpy(), normalise_red(pixels))


def test_the_reading_that_was_chosen_stays_whatever_happens_to_the_choice() -> None:
    task = Task(kind="segmentation", classes=("a", "b"), image_size=32, counts=(1, 1), labelled=2)
    config = CrossTeachingConfig(cnn="tiny_resnet", transformer="tiny_swin_unet", transformer_weights="none")
    method = config.build(task)
    method.members.choice.take("cnn")
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    deployable = Deployable(method, multilabel=False, red_channel_normalisation=False, temperature=1.0)
    method.members.choice.take("transformer")
    with torch.no_grad():
        expected = method.committee["cnn"](images.permute(0, 3, 1, 2).float() / 255)
        assert torch.equal(deployable(images)[1], expected)
