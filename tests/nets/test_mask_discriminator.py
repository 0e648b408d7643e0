import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s4mi.nets.backbone import IMAGENET_MEAN, IMAGENET_STD
from s4mi.nets.mask_discriminator import MaskDiscriminator


def built(*, classes: int = 3, width: int = 4) -> MaskDiscriminator:
    torch.manual_seed(0)
    net = MaskDiscriminator(classes=classes, width=width)
    with torch.no_grad():
        for weight in net.parameters():  # so that scales and shifts of the normalisation are not ones and zeros
            weight.add_(0.1 * torch.randn_like(weight))
    return net


def given(count: int = 3, *, classes: int = 3, size: tuple[int, int] = (32, 48)) -> tuple[Tensor, Tensor]:
    """Images and probabilities."""
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(count, 3, *size, generator=generator)
    return images, torch.randn(count, classes, *size, generator=generator).softmax(dim=1)


def plain(net: MaskDiscriminator, images: Tensor, masks: Tensor) -> Tensor:
    """The same network, written out."""
    convolutions = [layer for layer in net.features if isinstance(layer, nn.Conv2d)]
    norms: list[nn.GroupNorm | None] = [None, *(layer for layer in net.features if isinstance(layer, nn.GroupNorm))]
    mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    x = torch.cat([(images - mean) / std, masks], dim=1)
    for convolution, norm in zip(convolutions, norms, strict=True):
        x = F.conv2d(x, convolution.weight, convolution.bias, stride=2, padding=1)
        if norm is not None:
            grouped = x.reshape(len(x), min(8, x.shape[1]), -1)
            spread = grouped.var(dim=2, correction=0, keepdim=True)
            x = ((grouped - grouped.mean(dim=2, keepdim=True)) / (spread + 1e-5).sqrt()).reshape(x.shape)
            x = x * norm.weight[:, None, None] + norm.bias[:, None, None]
        x = torch.where(x > 0, x, 0.2 * x)
    return x.mean(dim=(2, 3)) @ net.score.weight[0] + net.score.bias


@pytest.mark.parametrize("width", [4, 8])
def test_it_computes_what_the_plain_formula_does(width: int) -> None:
    net, (images, masks) = built(width=width), given()
    answer = net(images, masks)
    assert answer.shape == (3,)
    torch.testing.assert_close(answer, plain(net, images, masks), rtol=1e-4, atol=1e-5)


def test_each_convolution_has_twice_the_channels_of_the_last_and_halves_the_sides() -> None:
    layers = [layer for layer in built(classes=2, width=8).features if isinstance(layer, nn.Conv2d)]
    assert [(layer.in_channels, layer.out_channels) for layer in layers] == [(5, 8), (8, 16), (16, 32), (32, 64)]
    with torch.no_grad():
        assert built(classes=2, width=8).features(torch.rand(1, 5, 32, 48)).shape == (1, 64, 2, 3)


@pytest.mark.parametrize("training", [True, False])
def test_each_image_is_scored_independently(training: bool) -> None:
    net, (images, masks) = built().train(training), given()
    with torch.no_grad():
        together = net(images, masks)
        alone = torch.cat([net(images[i : i + 1], masks[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_it_depends_on_image_and_mask_with_a_gradient_to_both() -> None:
    net, (images, masks) = built(), given()
    images.requires_grad_()
    masks.requires_grad_()
    for gradient in torch.autograd.grad(net(images, masks).sum(), [images, masks]):
        assert gradient.flatten(1).abs().sum(dim=1).min() > 0


@pytest.mark.parametrize("size", [(16, 16), (17, 50)])
def test_images_of_any_size_from_16_pixels_are_scored(size: tuple[int, int]) -> None:
    assert torch.isfinite(built()(*given(size=size))).all()
