import pytest
import torch
from torch import Tensor, nn

from s4mi.nets.backbone import IMAGENET_MEAN, IMAGENET_STD
from s4mi.nets.small_unet import SmallUNet


def images(*size: int, count: int = 2) -> Tensor:
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(0))


def settled(classes: int = 2) -> SmallUNet:
    """A network in evaluation mode with batch statistics of some images."""
    torch.manual_seed(0)
    net = SmallUNet(classes=classes)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        net(images(64, 64, count=4))
    return net.eval()


def test_it_has_as_many_parameters_as_the_network_of_cross_teaching() -> None:
    count = sum(parameter.numel() for parameter in SmallUNet(classes=2).parameters())
    assert count == 1_813_762
    assert count == pytest.approx(1.81e6, rel=0.01)


@pytest.mark.parametrize("size", [(64, 64), (16, 48), (100, 70), (17, 33), (1, 5)])
def test_the_logits_have_the_size_of_the_image(size: tuple[int, int]) -> None:
    net = SmallUNet(classes=5).eval()
    with torch.no_grad():
        assert net(images(*size)).shape == (2, 5, *size)


def test_the_features_are_a_pyramid_of_strides_1_to_16() -> None:
    with torch.no_grad():
        shapes = [tuple(feature.shape) for feature in SmallUNet(classes=2).encode(images(32, 64))]
    assert shapes == [(2, 16, 32, 64), (2, 32, 16, 32), (2, 64, 8, 16), (2, 128, 4, 8), (2, 256, 2, 4)]


def plain(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """Forward pass of the same network in evaluation mode, written out by names of weights."""
    F = nn.functional  # noqa: N806

    def conv(name: str, x: Tensor) -> Tensor:
        weight = weights[f"{name}.weight"]
        return F.conv2d(x, weight, weights[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def norm(name: str, x: Tensor) -> Tensor:
        mean, variance, scale, shift = (
            weights[f"{name}.{key}"][:, None, None] for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * scale + shift

    def block(name: str, x: Tensor) -> Tensor:
        for convolution, normalisation in ((0, 1), (4, 5)):
            x = norm(f"{name}.{normalisation}", conv(f"{name}.{convolution}", x))
            x = torch.where(x > 0, x, 0.01 * x)
        return x

    mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    maps = [block("down.0", (x - mean) / std)]
    for level in range(1, 5):
        halved = maps[-1].unfold(2, 2, 2).unfold(3, 2, 2).amax(dim=(-2, -1))
        maps.append(block(f"down.{level}", halved))
    x = maps[4]
    for level in range(4):
        x = nn.UpsamplingBilinear2d(scale_factor=2)(conv(f"up.{level}.narrow", x))
        x = block(f"up.{level}.block", torch.cat([maps[3 - level], x], dim=1))
    return conv("head", x)


def test_it_computes_what_the_plain_formula_does() -> None:
    net, x = settled(), images(32, 48)
    with torch.no_grad():
        torch.testing.assert_close(net(x), plain(net.state_dict(), x), rtol=1e-4, atol=1e-5)


def test_the_encoder_drops_more_the_deeper_it_is_and_the_decoder_nothing() -> None:
    net = SmallUNet(classes=2)
    rates = [[layer.p for layer in part.modules() if isinstance(layer, nn.Dropout)] for part in (net.down, net.up)]
    assert rates == [[0.05, 0.1, 0.2, 0.3, 0.5], [0.0] * 4]


def test_every_parameter_gets_a_gradient() -> None:
    net = SmallUNet(classes=2)
    net(images(32, 32)).square().mean().backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []


def test_encoder_and_decoder_together_are_the_network() -> None:
    net, x = settled(), images(50, 70)
    with torch.no_grad():
        assert torch.equal(net.decode(net.encode(x), (50, 70)), net(x))


def test_the_decoder_depends_on_every_feature_map() -> None:
    net, x = settled(), images(32, 32)
    with torch.no_grad():
        maps = net.encode(x)
        answer = net.decode(maps, (32, 32))
        for level in range(len(maps)):
            without = [torch.zeros_like(one) if place == level else one for place, one in enumerate(maps)]
            assert not torch.allclose(net.decode(without, (32, 32)), answer, atol=1e-4), level


def test_each_image_is_processed_independently() -> None:
    net, x = settled(), images(40, 56, count=3)
    with torch.no_grad():
        torch.testing.assert_close(net(x), torch.cat([net(one[None]) for one in x]), rtol=0, atol=1e-5)


def test_the_same_seed_gives_the_same_weights_and_another_other_ones() -> None:
    states = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        states.append(SmallUNet(classes=2).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not torch.equal(states[0]["head.weight"], states[2]["head.weight"])
