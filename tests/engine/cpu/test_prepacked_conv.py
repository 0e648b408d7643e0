"""Prepacked convolutions compute the same, with what follows them fused."""

import pytest
import timm
import torch
from torch import nn

from s4mi.engine.cpu.fold_batch_norm import fold_batch_norm
from s4mi.engine.cpu.prepacked_conv import FusedBlock, PrepackedConv, prepack_convolutions


def filled(network: nn.Module) -> nn.Module:
    """Evaluation mode, with statistics that batch normalisation must not ignore."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.1)
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def images(count: int, size: int = 40) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "groups", "bias"),
    [
        (3, 1, 1, 1, 1, True),
        (1, 2, 0, 1, 1, False),
        (3, 2, 2, 2, 2, True),
        (5, 1, 2, 1, 6, False),
        (7, 4, 0, 1, 3, True),
    ],
)
@torch.inference_mode()
def test_a_packed_layer_is_the_convolution(
    kernel: int, stride: int, padding: int, dilation: int, groups: int, bias: bool
) -> None:
    layer = nn.Conv2d(
        6, 12, kernel, stride=stride, padding=padding, dilation=dilation, groups=groups, bias=bias
    ).requires_grad_(False)
    packed = PrepackedConv(layer, ("none", []), size=(4, 6, 17, 17))
    for x in (torch.randn(4, 6, 17, 17), torch.randn(1, 6, 23, 19).to(memory_format=torch.channels_last)):
        torch.testing.assert_close(packed(x), layer(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.ReLU6(), nn.Hardswish(), nn.SiLU()])
@torch.inference_mode()
def test_the_activation_after_a_convolution_is_fused(activation: nn.Module) -> None:
    network = filled(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Identity(), activation, nn.Conv2d(8, 5, 1)))
    x = 8 * images(2) - 4
    expected = network(x)
    assert prepack_convolutions(network, x, batch=2) == 2
    assert isinstance(network, nn.Sequential)
    assert isinstance(network[2], nn.Identity)
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_what_is_not_fused_stays() -> None:
    """GELU has two forms in oneDNN; dropout and pooling stand between; a subclass may compute something else."""

    class Own(nn.Conv2d):
        pass

    network = filled(
        nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.GELU(), Own(4, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.MaxPool2d(2), nn.ReLU()
        )
    )
    expected = network(images(2))
    assert prepack_convolutions(network, images(2), batch=2) == 2
    assert isinstance(network, nn.Sequential)
    assert [type(layer) for layer in network] == [
        PrepackedConv, nn.GELU, Own, nn.ReLU, PrepackedConv, nn.MaxPool2d, nn.ReLU
    ]  # fmt: skip
    torch.testing.assert_close(network(images(2)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize(("name", "blocks"), [("resnet18", 8), ("resnet26", 8), ("test_resnet", 0)])
@torch.inference_mode()
def test_residual_blocks_add_their_shortcut_in_the_last_convolution(name: str, blocks: int) -> None:
    torch.manual_seed(0)
    network = filled(timm.create_model(name, pretrained=False, num_classes=0))
    x = images(3, 64)
    before, maps = network(x), network.forward_intermediates(x, intermediates_only=True)  # type: ignore[operator]
    fold_batch_norm(network, network, x)
    prepack_convolutions(network, x, batch=3)
    fused = sum(isinstance(module, FusedBlock) for module in network.modules())
    assert fused == blocks or (not blocks and fused >= 0)
    torch.testing.assert_close(network(x), before, rtol=1e-3, atol=1e-4)
    for found, expected in zip(
        network.forward_intermediates(x, intermediates_only=True), maps, strict=True  # type: ignore[operator]
    ):  # fmt: skip
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@torch.inference_mode()
def test_the_images_are_not_changed_in_place() -> None:
    """The shortcut of a block is also the feature map that a decoder reads."""
    torch.manual_seed(0)
    network = filled(timm.create_model("resnet18", pretrained=False, num_classes=0))
    fold_batch_norm(network, network, images(2, 64))
    prepack_convolutions(network, images(2, 64), batch=2)
    block = next(module for module in network.modules() if isinstance(module, FusedBlock) and module.downsample is None)
    x = torch.randn(2, 64, 16, 16).to(memory_format=torch.channels_last)
    kept = x.clone()
    block(x)
    torch.testing.assert_close(x, kept, rtol=0, atol=0)
