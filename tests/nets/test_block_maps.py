"""Feature maps by description, against those that the networks give."""

import pytest
import torch

from s4mi.errors import S4miError
from s4mi.nets.backbone import fitting_size
from s4mi.nets.block_maps import block_widths, default_blocks, frozen_encoders, has_one_stride
from s4mi.nets.frozen_encoder import TOKENS


@pytest.mark.parametrize("name", ["tiny_vit", "tiny_resnet", "tiny_swin", "resnet18"])
def test_widths_are_those_of_the_maps(name: str) -> None:
    (encoder,) = frozen_encoders(name, weights="none", image_size=64, sizes=None, blocks=None)
    maps = {key: map_ for key, map_ in encoder(torch.rand(1, 3, 64, 64)).items() if key.startswith(TOKENS)}
    assert [map_.shape[1] for map_ in maps.values()] == list(block_widths(name, encoder.blocks))


def test_four_blocks_are_spread_over_a_vit_and_the_last_stages_of_a_cnn() -> None:
    assert default_blocks("vit_small_patch14_dinov2") == (-1, -4, -7, -10)
    assert default_blocks("resnet50") == (-1, -2, -3, -4)
    assert default_blocks("tiny_vit") == (-1, -2, -3, -4)


def test_a_vit_has_one_stride_and_a_cnn_several() -> None:
    assert has_one_stride("vit_small_patch14_dinov2")
    assert not has_one_stride("resnet50")
    assert not has_one_stride("tiny_swin")


@pytest.mark.parametrize(
    ("name", "size", "fitting"),
    [("vit_small_patch14_dinov2", 224, 224), ("vit_small_patch14_dinov2", 256, 252), ("tiny_vit", 33, 32),
     ("vit_small_patch14_dinov2", 3, 14), ("resnet50", 100, 100)],
)  # fmt: skip
def test_the_size_is_the_nearest_multiple_of_the_patches(name: str, size: int, fitting: int) -> None:
    assert fitting_size(name, size) == fitting


def test_a_block_that_is_not_there_is_named() -> None:
    with pytest.raises(S4miError, match=r"method.blocks: 'tiny_vit' has 4 blocks .* -1 to -4 \(given -5\)"):
        frozen_encoders("tiny_vit", weights="none", image_size=32, sizes=None, blocks=(-1, -5))


def test_images_of_another_size_are_resized_to_the_encoder_s() -> None:
    small, large = frozen_encoders("tiny_vit", weights="none", image_size=32, sizes=(16, 48), blocks=(-1,))
    images = torch.rand(2, 3, 32, 32)
    assert small(images)["tokens_0"].shape[-2:] == (2, 2)
    assert large(images)["tokens_0"].shape[-2:] == (6, 6)
    smaller = torch.nn.functional.interpolate(images, (16, 16), mode="bilinear", antialias=True)
    torch.testing.assert_close(small(images)["tokens_0"], small(smaller)["tokens_0"])
    assert small.key != large.key


def test_an_encoder_is_built_in_full_precision_even_under_autocast_and_inference_mode() -> None:
    (encoder,) = frozen_encoders("tiny_vit", weights="none", image_size=32, sizes=None, blocks=(-1,))
    images = torch.rand(1, 3, 32, 32)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        encoder(images)
    assert all(weight.dtype == torch.float32 and not weight.is_inference() for weight in encoder.net.parameters())
    wanted = images.clone().requires_grad_()
    encoder(wanted)["tokens_0"].sum().backward()
    assert wanted.grad is not None
