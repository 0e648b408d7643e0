import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from s4mi.errors import S4miError
from s4mi.nets.backbone import tiny_resnet
from s4mi.nets.network_names import encoder_of, network_label
from s4mi.nets.networks import build_network
from s4mi.nets.segmentation import log_padding
from s4mi.nets.small_unet import SmallUNet
from s4mi.nets.smp_net import SmpNet
from s4mi.nets.swin_unet import SwinUNet


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("small_unet", SmallUNet),
        ("tiny_swin_unet", SwinUNet),
        ("swin_unet", SwinUNet),
        ("tiny_resnet", SmpNet),
        ("unet/tiny_resnet", SmpNet),
        ("resnet18", SmpNet),
        ("tu-mobilenetv3_small_050", SmpNet),
        ("unetplusplus/resnet18", SmpNet),
        ("pspnet/tu-mobilenetv3_small_050", SmpNet),
    ],
)
def test_a_name_gives_a_network_with_logits_at_the_size_of_the_image(name: str, kind: type) -> None:
    net = build_network(name, classes=3, image_size=50)
    assert type(net) is kind
    assert net.training
    with torch.no_grad():
        assert net.eval()(torch.rand(2, 3, 50, 50)).shape == (2, 3, 50, 50)


@pytest.mark.long
def test_an_encoder_alone_makes_a_u_net() -> None:
    states = []
    for name in ("resnet18", "unet/resnet18"):
        torch.manual_seed(0)
        states.append(build_network(name, classes=2, image_size=32).state_dict())
    torch.manual_seed(0)
    states.append(SmpNet("resnet18", architecture="unet", classes=2).state_dict())
    assert all(torch.equal(states[0][key], other[key]) for other in states[1:] for key in states[0])


def test_the_u_net_on_the_tiny_encoder_is_tiny() -> None:
    net = build_network("tiny_resnet", classes=2, image_size=32)
    assert net.stride == 16
    assert sum(parameter.numel() for parameter in net.parameters()) < 0.7e6


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("small_unet", "U-Net (small)"),
        ("swin_unet", "Swin-UNet"),
        ("tiny_swin_unet", "Swin-UNet (tiny)"),
        ("resnet34", "resnet34 U-Net"),
        ("unet/resnet34", "resnet34 U-Net"),
        ("tu-convnext_atto", "tu-convnext_atto U-Net"),
        ("unetplusplus/resnet34", "resnet34 UNet++"),
        ("deeplabv3plus/tu-regnetx_002", "tu-regnetx_002 DeepLabV3+"),
    ],
)
def test_a_label_names_encoder_and_architecture(name: str, label: str) -> None:
    assert network_label(name) == label


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smal_unet", "network 'smal_unet' is unknown; did you mean 'small_unet'?; pass small_unet, "),
        ("resnet43", "network 'resnet43' is unknown; did you mean 'resnet34'?"),
        ("unetpp/resnet34", "architecture 'unetpp' is unknown"),
        ("unet/resnet43", "encoder 'resnet43' is unknown; did you mean 'resnet34'?"),
        ("unet/", "encoder '' is unknown; for a timm encoder, prefix it with 'tu-'"),
        ("tu-resnet81", "encoder 'tu-resnet81' is unknown"),
        ("unetplusplus/tiny_resnet", "encoder 'tiny_resnet' works with unet only; choose another for 'unetplusplus'"),
    ],
)
def test_an_unknown_name_is_a_one_line_error(name: str, message: str) -> None:
    with pytest.raises(S4miError) as error:
        build_network(name, classes=2, image_size=32)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_label_of_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(S4miError, match=r"architecture 'nonet' is unknown.*; choose from unet, unetplusplus, "):
        network_label("nonet/resnet34")


def test_the_small_u_net_takes_no_weights() -> None:
    with pytest.raises(S4miError) as error:
        build_network("small_unet", classes=2, image_size=32, weights="imagenet")
    assert str(error.value) == ("'small_unet' has no pre-trained weights (given 'imagenet'); set its weights to none")


def test_the_encoder_starts_from_a_file(tmp_path: Path) -> None:
    given = tiny_resnet().state_dict()
    save_file(given, tmp_path / "w.safetensors")
    net = build_network("tiny_resnet", classes=2, image_size=32, weights=str(tmp_path / "w.safetensors"))
    loaded = net.get_submodule("net.encoder").state_dict()
    assert loaded
    assert all(torch.equal(tensor, given[key]) for key, tensor in loaded.items())


def test_padding_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    log_padding.cache_clear()
    with caplog.at_level(logging.INFO, logger="s4mi"):
        build_network("resnet18", classes=2, image_size=50)
        assert "data.image_size 50 is not a multiple of the network's stride 32: images are padded to 64" in caplog.text
        caplog.clear()
        build_network("resnet18", classes=2, image_size=64)
        assert caplog.text == ""


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("dpt/vit_small_patch14_dinov2", ("timm", "vit_small_patch14_dinov2")),
        ("frozen/resnet50", ("timm", "resnet50")),
        ("unet/tu-resnet50", ("timm", "resnet50")),
        ("small_unet", None),
    ],
)
def test_weights_are_looked_for_by_the_encoder(name: str, encoder: tuple[str, str] | None) -> None:
    assert encoder_of(name) == encoder
