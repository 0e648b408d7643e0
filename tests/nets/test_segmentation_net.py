"""The base class of segmentation networks pads images to the stride and crops logits back."""

import logging
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from s4mi.nets.segmentation import SegmentationNet, log_padding


class Echo(SegmentationNet):
    """Returns the image itself; its one feature map has a position per `stride`² pixels."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def _features(self, images: Tensor) -> list[Tensor]:
        assert images.shape[2] % self.stride == images.shape[3] % self.stride == 0
        return [nn.functional.pixel_unshuffle(images, self.stride)]

    def _logits(self, features: Sequence[Tensor]) -> Tensor:
        return nn.functional.pixel_shuffle(features[0], self.stride)


def pictures(height: int, width: int) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(height * 100 + width))


@given(height=st.integers(1, 40), width=st.integers(1, 40), stride=st.sampled_from([1, 2, 7, 16]))
def test_every_pixel_keeps_its_position_at_any_size(height: int, width: int, stride: int) -> None:
    net, images = Echo(stride), pictures(height, width)
    assert torch.equal(net(images), images)
    assert torch.equal(net.decode(net.encode(images), (height, width)), images)


@given(height=st.integers(1, 20), width=st.integers(1, 20))
def test_padding_repeats_the_last_row_and_column(height: int, width: int) -> None:
    net, images = Echo(8), pictures(height, width)
    padded = net._logits(net.encode(images))
    rows = [min(row, height - 1) for row in range(height + -height % 8)]
    columns = [min(column, width - 1) for column in range(width + -width % 8)]
    assert torch.equal(padded, images[:, :, rows][:, :, :, columns])


def test_a_gradient_reaches_every_pixel_of_a_padded_image() -> None:
    images = pictures(5, 9).requires_grad_()
    Echo(4)(images).sum().backward()
    assert images.grad is not None
    assert torch.equal(images.grad, torch.ones_like(images))  # padding adds no gradient


def test_a_network_must_define_its_encoder_and_decoder() -> None:
    with pytest.raises(TypeError, match="abstract"):
        SegmentationNet()  # type: ignore[abstract]


@pytest.mark.parametrize(("size", "stride", "padded"), [(100, 32, 128), (33, 32, 64), (15, 16, 16)])
def test_padding_is_logged_once_in_one_line(
    caplog: pytest.LogCaptureFixture, size: int, stride: int, padded: int
) -> None:
    log_padding.cache_clear()
    with caplog.at_level(logging.INFO, logger="s4mi"):
        for _ in range(3):
            log_padding(size, stride)
    assert [record.getMessage() for record in caplog.records] == [
        f"data.image_size {size} is not a multiple of the network's stride {stride}: "
        f"images are padded to {padded} pixels and predictions cropped back"
    ]


@pytest.mark.parametrize(("size", "stride"), [(96, 32), (224, 16), (7, 1)])
def test_nothing_is_logged_for_images_that_fit(caplog: pytest.LogCaptureFixture, size: int, stride: int) -> None:
    with caplog.at_level(logging.INFO, logger="s4mi"):
        log_padding(size, stride)
    assert not caplog.records


def test_a_network_itself_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    net = Echo(16)
    with caplog.at_level(logging.INFO, logger="s4mi"):
        for _ in range(3):
            net(pictures(10, 10))
    assert not caplog.records
