"""DPT against the decoder as its authors and Depth Anything wrote it, and the rates of its encoder."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s4mi.errors import S4miError
from s4mi.nets.dpt import DPT, ENCODER_RATE
from s4mi.nets.network_names import network_label
from s4mi.nets.networks import build_network


def built(image_size: int = 32, classes: int = 3) -> DPT:
    torch.manual_seed(0)
    return DPT("tiny_vit", classes=classes, image_size=image_size)


def reference(net: DPT, maps: list[Tensor], size: tuple[int, int]) -> Tensor:
    """`DPTHead` of Depth Anything and UniMatch V2, with its names for the layers, on the weights of `net`."""
    w = net.state_dict()

    def conv(x: Tensor, name: str, **settings: int) -> Tensor:
        return F.conv2d(x, w[f"{name}.weight"], w.get(f"{name}.bias"), **settings)

    def residual_unit(x: Tensor, name: str) -> Tensor:
        out = conv(F.relu(x), f"{name}.first", padding=1)
        return conv(F.relu(out), f"{name}.second", padding=1) + x

    projects = [conv(x, f"reassemble.{i}.0") for i, x in enumerate(maps)]
    layer_1 = F.conv_transpose2d(projects[0], w["reassemble.0.1.weight"], w["reassemble.0.1.bias"], stride=4)
    layer_2 = F.conv_transpose2d(projects[1], w["reassemble.1.1.weight"], w["reassemble.1.1.bias"], stride=2)
    layer_3 = projects[2]
    layer_4 = conv(projects[3], "reassemble.3.1", stride=2, padding=1)
    layers = (layer_1, layer_2, layer_3, layer_4)
    ends = ("reassemble.0.2", "reassemble.1.2", "reassemble.2.1", "reassemble.3.2")
    rn_1, rn_2, rn_3, rn_4 = (conv(x, name, padding=1) for x, name in zip(layers, ends, strict=True))

    def refine(number: int, *inputs: Tensor, size: tuple[int, int]) -> Tensor:
        output = inputs[0]
        if len(inputs) == 2:
            output = output + residual_unit(inputs[1], f"fuse.{number}.skip")
        output = residual_unit(output, f"fuse.{number}.merged")
        output = F.interpolate(output, size, mode="bilinear", align_corners=True)
        return conv(output, f"fuse.{number}.out")

    path_4 = refine(3, rn_4, size=rn_3.shape[2:])
    path_3 = refine(2, path_4, rn_3, size=rn_2.shape[2:])
    path_2 = refine(1, path_3, rn_2, size=rn_1.shape[2:])
    path_1 = refine(0, path_2, rn_1, size=(2 * rn_1.shape[2], 2 * rn_1.shape[3]))
    logits = conv(F.relu(conv(path_1, "head.0", padding=1)), "head.2")
    return F.interpolate(logits, size, mode="bilinear", align_corners=True)


@pytest.mark.parametrize("image_size", [32, 40])  # an even and an odd grid of tokens
def test_the_decoder_is_that_of_depth_anything(image_size: int) -> None:
    net, images = built(image_size).eval(), torch.rand(2, 3, image_size, image_size)
    with torch.no_grad():
        maps = net.encoder.backbone.net.get_intermediate_layers(
            net.encoder.backbone.normalise(images), n=[0, 1, 2, 3], reshape=True, norm=True
        )
        expected = reference(net, list(maps), (image_size, image_size))
        torch.testing.assert_close(net(images), expected, rtol=1e-5, atol=1e-6)


def test_images_of_other_sizes_are_padded_to_the_patches() -> None:
    net = built(image_size=35)
    with torch.no_grad():
        assert net.eval()(torch.rand(1, 3, 35, 35)).shape == (1, 3, 35, 35)
        assert net.encode(torch.rand(1, 3, 35, 35))[0].shape == (1, 96, 5, 5)


def test_the_encoder_alone_has_a_fortieth_of_the_learning_rate() -> None:
    net = build_network("dpt/tiny_vit", classes=2, image_size=32)
    scales = {
        part: {getattr(weight, "lr_scale", 1.0) for name, weight in net.named_parameters() if name.startswith(part)}
        for part in ("encoder", "reassemble", "fuse", "head")
    }
    assert scales == {"encoder": {ENCODER_RATE}, "reassemble": {1.0}, "fuse": {1.0}, "head": {1.0}}
    assert ENCODER_RATE == 1 / 40


def test_every_weight_of_decoder_and_encoder_is_trained() -> None:
    net = built()
    net(torch.rand(2, 3, 32, 32)).square().sum().backward()
    for name, weight in net.named_parameters():
        assert weight.requires_grad, name
        assert weight.grad is not None, name


def test_the_label_names_the_vit() -> None:
    assert network_label("dpt/vit_small_patch14_dinov2") == "vit_small_patch14_dinov2 DPT"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dpt/tiny_resnet", "dpt/tiny_resnet: 'tiny_resnet' is no plain ViT; choose one, or a U-Net on tu-tiny_resnet"),
        ("dpt/tiny_swin", "dpt/tiny_swin: 'tiny_swin' is no plain ViT"),
        ("dpt/vit_smal_patch14_dinov2", "backbone 'vit_smal_patch14_dinov2' is unknown; did you mean "),
    ],
)
def test_what_is_no_plain_vit_is_refused(name: str, message: str) -> None:
    with pytest.raises(S4miError) as error:
        build_network(name, classes=2, image_size=32)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_dropping_out_channels_changes_the_logits() -> None:
    """`weak_to_strong` perturbs the feature maps between `encode` and `decode`."""
    net, images = built().eval(), torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        features = net.encode(images)
        assert torch.equal(net.decode(features, (32, 32)), net(images))
        dropped = [nn.functional.dropout2d(level, 0.5) for level in features]
        assert not torch.allclose(net.decode(dropped, (32, 32)), net(images))
