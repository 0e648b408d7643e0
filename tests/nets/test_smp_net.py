from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
import torchvision
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import Tensor, nn

from s4mi.errors import S4miError
from s4mi.nets.architectures import ARCHITECTURES, ArchitectureName
from s4mi.nets.backbone import IMAGENET_MEAN, IMAGENET_STD, tiny_resnet
from s4mi.nets.smp_net import PAPER_CHANNELS, SmpNet, check_encoder

SMALL = (16, 8, 8)
DEEP = (16, 16, 8, 8, 8)


def one_line(error: pytest.ExceptionInfo[S4miError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.long
@pytest.mark.parametrize(
    ("encoder", "channels", "size"),
    [
        ("tiny_resnet", SMALL, 40),
        ("tiny_resnet", (16, 16, 8, 8), 48),
        ("tiny_resnet", DEEP, 96),
        ("resnet18", SMALL, 40),
        ("resnet18", DEEP, 96),
        ("mobilenet_v2", (16, 16, 8, 8), 48),
        ("tu-mobilenetv3_small_050", DEEP, 64),
        ("tu-swin_tiny_patch4_window7_224", DEEP, 64),
    ],
)
def test_the_logits_have_the_size_of_the_image(encoder: str, channels: tuple[int, ...], size: int) -> None:
    net = SmpNet(encoder, classes=3, image_size=size, decoder_channels=channels)
    assert net.training
    with torch.no_grad():
        assert net.eval()(torch.rand(2, 3, size, size)).shape == (2, 3, size, size)


every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)


def test_all_architectures_of_the_library_except_dpt_are_available() -> None:
    assert {*ARCHITECTURES, "dpt"} == set(smp.MODEL_ARCHITECTURES_MAPPING)
    assert tuple(ARCHITECTURES) == get_args(ArchitectureName)


@pytest.mark.long
@every_architecture
def test_the_network_is_the_library_s_on_normalised_images(architecture: str) -> None:
    net = SmpNet("resnet18", architecture=architecture, classes=3, image_size=128).eval()
    torch.manual_seed(0)
    peer = smp.create_model(architecture, "resnet18", encoder_weights=None, classes=3).eval()
    peer.load_state_dict(net.net.state_dict())
    assert net.stride == peer.encoder.output_stride
    images = torch.rand(2, 3, 128, 128)
    with torch.no_grad():
        torch.testing.assert_close(net(images), peer(net.normalise(images)))


@pytest.mark.parametrize("architecture", ["unet", "pan", "pspnet"])  # strides 32, 16 and 8
def test_images_of_any_size_are_padded_and_the_logits_cropped(architecture: str) -> None:
    net = SmpNet("mobilenet_v2", architecture=architecture, classes=2, image_size=130).eval()
    images = torch.rand(1, 3, 130, 141)
    below, right = -130 % net.stride, -141 % net.stride
    padded = torch.cat([images, images[:, :, -1:].expand(-1, -1, below, -1)], dim=2)
    padded = torch.cat([padded, padded[..., -1:].expand(-1, -1, -1, right)], dim=3)
    with torch.no_grad():
        torch.testing.assert_close(net(images), net(padded)[:, :, :130, :141])


@pytest.mark.long
@every_architecture
def test_a_gradient_reaches_every_trained_parameter_in_every_architecture(architecture: str) -> None:
    net = SmpNet("resnet18", architecture=architecture, classes=2)
    images = torch.rand(2 if ARCHITECTURES[architecture].pooled else 1, 3, 128, 128)
    net(images).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.requires_grad == (parameter.grad is not None), name


@pytest.mark.long
def test_a_transformer_is_built_for_the_padded_size() -> None:
    net = SmpNet("tu-swin_tiny_patch4_window7_224", classes=2, image_size=50).eval()
    with torch.no_grad():
        assert net(torch.rand(1, 3, 50, 50)).shape == (1, 2, 50, 50)


@pytest.mark.parametrize("architecture", [name for name, known in ARCHITECTURES.items() if known.widths])
def test_the_decoder_has_the_set_depth_and_widths(architecture: str) -> None:
    net = SmpNet("resnet18", architecture=architecture, classes=2, decoder_channels=(32, 24, 16)).eval()
    assert net.stride == 8
    with torch.no_grad():
        features = net.encode(torch.rand(1, 3, 64, 64))
        decoded = net.net.get_submodule("decoder")(features)
    assert [tuple(map_.shape[2:]) for map_ in features] == [(64, 64), (32, 32), (16, 16), (8, 8)]
    assert decoded.shape == (1, 16, 64, 64)


@pytest.mark.parametrize("architecture", [name for name, known in ARCHITECTURES.items() if known.attention])
def test_attention_is_in_every_architecture_that_supports_it(architecture: str) -> None:
    net = SmpNet("resnet18", architecture=architecture, classes=2, attention="scse")
    assert "SCSEModule" in {type(module).__name__ for module in net.modules()}


@pytest.mark.long
@pytest.mark.parametrize("architecture", [name for name, known in ARCHITECTURES.items() if known.pooled])
def test_architectures_with_global_pooling_predict_one_image_but_do_not_train_on_it(architecture: str) -> None:
    net = SmpNet("resnet18", architecture=architecture, classes=2)
    with pytest.raises(S4miError) as error:
        net(torch.rand(1, 3, 128, 128))
    assert one_line(error).startswith(f"{architecture!r} normalises over the images of a batch and cannot train")
    with torch.no_grad():
        assert net.eval()(torch.rand(1, 3, 128, 128)).shape == (1, 2, 128, 128)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"architecture": "unett"},
            "architecture 'unett' is unknown; did you mean 'unet'?; choose from unet, unetplusplus, manet, ",
        ),
        ({"architecture": "unett"}, ", segformer"),
        ({"architecture": "dpt"}, "architecture 'dpt' is unknown"),
        (
            {"architecture": "fpn", "decoder_channels": PAPER_CHANNELS},
            "decoder_channels works with unet, unetplusplus and manet; leave it out for 'fpn'",
        ),
        ({"architecture": "manet", "attention": "scse"}, "attention works with unet and unetplusplus; leave it out"),
        ({"architecture": "fpn", "encoder": "tiny_resnet"}, "encoder 'tiny_resnet' works with unet only; choose"),
        ({"architecture": "unetplusplus", "encoder": "mit_b0"}, "encoder 'mit_b0' does not work with UNet++ ("),
        ({"architecture": "pan", "encoder": "tu-pvt_v2_b0"}, "encoder 'tu-pvt_v2_b0' does not work with PAN ("),
        ({"architecture": "pan", "encoder": "tu-vgg11"}, "with PAN (its last stages cannot be dilated); choose"),
        ({"architecture": "pan", "image_size": 64}, "'pan/resnet18' cannot take images of 64 pixels ("),
    ],
)
def test_unsupported_combinations_are_a_one_line_error(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(S4miError) as error:
        SmpNet(**{"encoder": "resnet18", "classes": 2, **settings})
    assert message in one_line(error)


def test_a_cnn_takes_images_of_any_size_and_shape() -> None:
    net = SmpNet("tiny_resnet", classes=2, image_size=64, decoder_channels=SMALL).eval()
    with torch.no_grad():
        assert net(torch.rand(1, 3, 32, 72)).shape == (1, 2, 32, 72)


@pytest.mark.parametrize("encoder", ["tiny_resnet", "resnet18"])
def test_attention_adds_squeeze_and_excitation_to_the_decoder(encoder: str) -> None:
    plain, scse = (SmpNet(encoder, classes=2, decoder_channels=(32, 16, 16), attention=kind) for kind in (None, "scse"))
    names = {type(module).__name__ for module in scse.modules()}
    assert "SCSEModule" in names
    assert "SCSEModule" not in {type(module).__name__ for module in plain.modules()}
    with torch.no_grad():
        assert scse.eval()(torch.rand(1, 3, 32, 32)).shape == (1, 2, 32, 32)


def test_attention_in_a_decoder_that_is_too_narrow_is_refused() -> None:
    with pytest.raises(S4miError) as error:
        SmpNet("tiny_resnet", classes=2, decoder_channels=(32, 16, 8), attention="scse")
    assert one_line(error) == (
        "attention 'scse' squeezes channels 16-fold; make each of decoder_channels at least 16 (given [32, 16, 8])"
    )


@pytest.mark.parametrize(
    ("encoder", "channels"),
    [("resnet18", SMALL), ("tiny_resnet", SMALL), ("resnet18", DEEP), ("efficientnet-b0", DEEP)],
)
def test_parameters_are_trained_if_and_only_if_a_gradient_reaches_them(encoder: str, channels: tuple[int, ...]) -> None:
    net = SmpNet(encoder, classes=2, decoder_channels=channels)
    net(torch.rand(2, 3, 64, 64)).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.requires_grad == (parameter.grad is not None), name
    frozen = [name for name, parameter in net.named_parameters() if not parameter.requires_grad]
    if encoder == "resnet18" and channels == SMALL:  # 3 of its 5 stages are used
        assert {name.split(".")[2] for name in frozen} == {"layer3", "layer4"}


def test_the_same_seed_gives_the_same_weights() -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(SmpNet("resnet18", classes=2, decoder_channels=SMALL).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.long
@pytest.mark.parametrize(
    ("encoder", "mean", "std"),
    [
        ("resnet34", IMAGENET_MEAN, IMAGENET_STD),
        ("tiny_resnet", IMAGENET_MEAN, IMAGENET_STD),
        ("mobilenet_v2", IMAGENET_MEAN, IMAGENET_STD),
        ("tu-tf_efficientnet_lite0", (0.5,) * 3, (0.5,) * 3),
        ("timm-tf_efficientnet_lite0", (0.5,) * 3, (0.5,) * 3),
        ("xception", (0.5,) * 3, (0.5,) * 3),
    ],
)
def test_images_are_normalised_as_in_pre_training(
    encoder: str, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    normalise = SmpNet(encoder, classes=2, decoder_channels=SMALL).normalise
    images = torch.rand(1, 3, 4, 4)
    expected = torch.stack([(images[:, c] - mean[c]) / std[c] for c in range(3)], dim=1)
    torch.testing.assert_close(normalise(images), expected)


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ("resnet43", "encoder 'resnet43' is unknown; did you mean 'resnet34'?; for a timm encoder, prefix"),
        ("tiny_resnett", "did you mean 'tiny_resnet'?"),
        ("vit_tiny_patch16_224", "for a timm encoder, prefix it with 'tu-'"),
        ("tu-resnet81", "encoder 'tu-resnet81' is unknown"),
        ("tu-resnet18.imagenet", "'resnet18' has no weights 'imagenet'"),
    ],
)
def test_the_error_for_an_unknown_encoder_names_the_nearest(encoder: str, message: str) -> None:
    with pytest.raises(S4miError) as error:
        check_encoder(encoder)
    assert message in one_line(error)


def test_an_encoder_without_a_pyramid_is_refused() -> None:
    with pytest.raises(S4miError) as error:
        SmpNet("tu-vit_tiny_patch16_224", classes=2, image_size=64)
    assert one_line(error).startswith("encoder 'tu-vit_tiny_patch16_224' does not work with U-Net (")


@pytest.mark.parametrize("encoder", ["tiny_resnet", "dpn92", "tu-darknet17"])
def test_unavailable_imagenet_weights_are_refused(encoder: str) -> None:
    with pytest.raises(S4miError) as error:
        SmpNet(encoder, classes=2, weights="imagenet")
    assert one_line(error).startswith(f"{encoder!r} has no ImageNet weights; pass method.weights=none")


@pytest.mark.parametrize("encoder", ["resnet34", "tu-resnet18"])
def test_weights_that_cannot_be_downloaded_are_a_one_line_error_with_a_hint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, encoder: str
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(S4miError) as error:
        SmpNet(encoder, classes=2, weights="imagenet")
    assert one_line(error).startswith(f"ImageNet weights of '{encoder}' cannot be downloaded (")
    assert "method.weights=none" in one_line(error)


def written(tensors: dict[str, Tensor], folder: Path) -> str:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "w.safetensors")
    return str(folder / "w.safetensors")


def encoder_of(net: SmpNet) -> dict[str, Tensor]:
    state: dict[str, Tensor] = net.net.get_submodule("encoder").state_dict()
    return state


@pytest.mark.parametrize(
    ("encoder", "source"),
    [
        ("resnet18", lambda: smp.encoders.get_encoder("resnet18")),
        ("resnet18", lambda: torchvision.models.resnet18()),
        ("resnet18", lambda: timm.create_model("resnet18")),
        ("tiny_resnet", tiny_resnet),
    ],
    ids=["smp", "torchvision", "timm", "tiny"],
)
def test_the_encoder_loads_all_weights_of_a_file(tmp_path: Path, encoder: str, source: Callable[[], nn.Module]) -> None:
    given = source().state_dict()
    net = SmpNet(encoder, classes=2, weights=written(given, tmp_path), decoder_channels=SMALL)
    loaded = encoder_of(net)
    assert all(torch.equal(tensor, given[name]) for name, tensor in loaded.items())


def test_an_encoder_of_timm_loads_a_file_of_timm(tmp_path: Path) -> None:
    given = timm.create_model("resnet18").state_dict()
    net = SmpNet("tu-resnet18", classes=2, weights=written(given, tmp_path), decoder_channels=DEEP)
    loaded = encoder_of(net)
    assert len(loaded) == len(given) - 2  # without the head
    assert all(torch.equal(tensor, given[name.removeprefix("model.")]) for name, tensor in loaded.items())


def _without_a_stage(net: nn.Module) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in net.state_dict().items() if not name.startswith("layer4")}


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet18", "tiny_resnet"])
def test_weights_that_do_not_fit_are_a_one_line_error(tmp_path: Path, encoder: str) -> None:
    net = tiny_resnet() if encoder == "tiny_resnet" else timm.create_model("resnet18")

    def refused(path: str) -> str:
        with pytest.raises(S4miError) as error:
            SmpNet(encoder, classes=2, weights=path, decoder_channels=DEEP)
        return one_line(error)

    partial = refused(written(_without_a_stage(net), tmp_path))
    assert "w.safetensors: holds " in partial
    assert "'layer4.0.conv1.weight' is missing" in partial
    wrong = refused(written({**net.state_dict(), "layer1.0.conv1.weight": torch.zeros(2)}, tmp_path))
    assert f"w.safetensors: does not fit '{encoder}' (size mismatch for layer1.0.conv1.weight" in wrong
    (tmp_path / "note.pth").write_text("no weights")
    assert "note.pth: not a valid weight file" in refused(str(tmp_path / "note.pth"))
    assert "does not exist" in refused(str(tmp_path / "nowhere.pth"))


@pytest.mark.real
@pytest.mark.parametrize("encoder", ["tu-tf_efficientnet_lite0", "timm-tf_efficientnet_lite0"])
def test_real_weights_make_an_encoder(real_data: Path, encoder: str) -> None:
    path = real_data / "weights" / "tf_efficientnet_lite0.safetensors"
    net = SmpNet(encoder, classes=2, image_size=96, weights=str(path), decoder_channels=DEEP).eval()
    given = timm.models.load_state_dict(str(path))
    for name, tensor in encoder_of(net).items():
        assert torch.equal(tensor, given[name.removeprefix("model.")]), name
    with torch.no_grad():
        assert torch.isfinite(net(torch.rand(1, 3, 96, 96))).all()
