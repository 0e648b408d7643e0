"""An exported network includes the same preprocessing as the data pipeline outside it."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from s4mi.contract import Task
from s4mi.data.images import normalise_red
from s4mi.inference.export.deployable import Deployable, normalised_red
from s4mi.settings.segmentation.cross_teaching import CrossTeachingConfig
from s4mi.settings.segmentation.frozen_segmenter import FrozenSegmenterConfig


@given(seed=st.integers(0, 10_000), dark=st.booleans())
def test_red_channel_normalisation_is_bit_identical_to_that_of_images(seed: int, dark: bool) -> None:
    pixels = np.random.default_rng(seed).integers(0, 4 if dark else 256, (9, 7, 3), dtype=np.uint8)
    inside = normalised_red(torch.from_numpy(pixels).permute(2, 0, 1)[None].float())
    np.testing.assert_array_equal(inside[0].permute(1, 2, 0).numpy(), normalise_red(pixels))


def test_red_channel_normalisation_is_identical_for_every_colour() -> None:
    """All values of two channels, and every 15th of the third; black is among them."""
    red, green, blue = np.meshgrid(np.arange(256), np.arange(256), np.arange(0, 256, 15), indexing="ij")
    pixels = np.stack([red, green, blue], axis=-1).reshape(256, -1, 3).astype(np.uint8)
    inside = normalised_red(torch.from_numpy(pixels).permute(2, 0, 1)[None].float())
    np.testing.assert_array_equal(inside[0].permute(1, 2, 0).numpy(), normalise_red(pixels))


def test_the_selected_ensemble_member_stays_fixed() -> None:
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


def test_a_frozen_encoder_is_part_of_what_is_exported_and_predicts_as_before() -> None:
    task = Task(kind="segmentation", classes=("a", "b"), image_size=32, counts=(1, 1), labelled=2)
    method = FrozenSegmenterConfig(backbone="tiny_vit", weights="none", width=16).build(task).eval()
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    with torch.no_grad():
        before = method.logits(images.permute(0, 3, 1, 2).float() / 255)
        assert not [name for name, _ in method.named_parameters() if "blocks" in name]
        model = Deployable(method, multilabel=False, red_channel_normalisation=False, temperature=1.0)
        assert [name for name, _ in model.named_parameters() if "blocks.0.attn" in name]
        torch.testing.assert_close(model(images)[1], before)
