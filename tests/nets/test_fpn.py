"""PiCIE's feature pyramid, against timm's feature maps and a sum computed position by position."""

from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from s4mi.errors import S4miError
from s4mi.nets.backbone import IMAGENET_MEAN, Backbone, tiny_resnet
from s4mi.nets.fpn import FPN, STRIDES, check_pyramid
from s4mi.nets.initial_weights import encoder_file
from s4mi.nets.weights import save_encoder

SMALL = ["tiny_resnet", "resnet18", "convnext_atto", "mobilenetv3_small_050", "regnety_002"]


def images(*size: int, count: int = 2) -> Tensor:
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(0))


def tiny(width: int = 16, seed: int = 0) -> FPN:
    torch.manual_seed(seed)
    return FPN("tiny_resnet", width=width, image_size=64)


def one_line(error: pytest.ExceptionInfo[S4miError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def refused(name: str, weights: str = "none", image_size: int = 64) -> str:
    with pytest.raises(S4miError) as error:
        FPN(name, image_size=image_size, weights=weights)
    return one_line(error)


# Shapes and sizes


@pytest.mark.parametrize("name", SMALL)
def test_there_is_a_feature_every_four_pixels(name: str) -> None:
    net = FPN(name, image_size=64)
    assert net.training
    for height, width in [(64, 64), (32, 96), (50, 70), (33, 4)]:
        with torch.no_grad():
            features = net.eval()(images(height, width))
        assert features.shape == (2, 128, -(-height // 4), -(-width // 4))
        assert torch.isfinite(features).all()


def test_the_features_have_the_set_width_and_are_not_normalised() -> None:
    features = tiny(width=24)(images(64, 64))
    assert features.shape == (2, 24, 16, 16)
    assert features.norm(dim=1).std() > 0.01


@pytest.mark.parametrize(("height", "width"), [(50, 70), (1, 33), (64, 65)])
def test_images_are_padded_with_their_last_rows_and_columns(height: int, width: int) -> None:
    net, x = tiny().eval(), images(height, width)
    rows = [min(row, height - 1) for row in range(height + -height % 32)]
    columns = [min(column, width - 1) for column in range(width + -width % 32)]
    with torch.no_grad():
        padded = net(x[:, :, rows][:, :, :, columns])
        torch.testing.assert_close(net(x), padded[:, :, : -(-height // 4), : -(-width // 4)])


@settings(deadline=None, max_examples=8)
@given(size=st.integers(1, 200))
def test_the_size_it_was_built_for_changes_no_feature(size: int) -> None:
    torch.manual_seed(0)
    other, net = FPN("tiny_resnet", width=16, image_size=size).eval(), tiny().eval()
    other.load_state_dict(net.state_dict())
    with torch.no_grad():
        assert torch.equal(net(images(64, 96)), other(images(64, 96)))


def test_each_image_is_processed_independently() -> None:
    net, x = tiny().eval(), images(64, 96, count=3)
    with torch.no_grad():
        torch.testing.assert_close(net(x), torch.cat([net(one[None]) for one in x]), rtol=1e-4, atol=1e-5)


# The pyramid


def enlarge(small: Tensor, times: int) -> Tensor:
    """(B, C, h, w) → `times` as large, bilinear between the centres of positions, one position at a time."""
    height, width = small.shape[-2:]
    large = torch.empty(*small.shape[:2], times * height, times * width)

    def between(place: int, sides: int) -> tuple[int, int, float]:
        at = min(max((place + 0.5) / times - 0.5, 0), sides - 1)
        return int(at), min(int(at) + 1, sides - 1), at - int(at)

    for row in range(times * height):
        above, below, down = between(row, height)
        for column in range(times * width):
            left, right, along = between(column, width)
            upper = (1 - along) * small[:, :, above, left] + along * small[:, :, above, right]
            lower = (1 - along) * small[:, :, below, left] + along * small[:, :, below, right]
            large[:, :, row, column] = (1 - down) * upper + down * lower
    return large


def test_the_features_are_the_sum_of_all_levels_from_the_top_down() -> None:
    net, x = tiny(width=5).eval(), images(64, 96)
    with torch.no_grad():
        maps = net.encode(x)
        levels = []
        for map_, lateral in zip(maps, net.laterals, strict=True):
            weight, bias = lateral.parameters()
            levels.append(torch.einsum("bchw,dc->bdhw", map_, weight[:, :, 0, 0]) + bias[:, None, None])
        total = levels[3]
        for level in (levels[2], levels[1], levels[0]):
            total = level + enlarge(total, 2)
        torch.testing.assert_close(net(x), total, rtol=1e-4, atol=1e-5)


def test_the_decoder_is_four_convolutions_of_one_pixel() -> None:
    net = FPN("resnet34", image_size=64)
    shapes = [tuple(next(lateral.parameters()).shape) for lateral in net.laterals]
    assert shapes == [(128, channels, 1, 1) for channels in (64, 128, 256, 512)]
    decoder = sum(weight.numel() for name, weight in net.named_parameters() if not name.startswith("encoder."))
    assert decoder == 128 * (64 + 128 + 256 + 512) + 4 * 128


@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["resnet18", "resnetv2_18", "convnext_atto", "efficientnet_b0", "mobilenetv3_small_050", "regnety_002",
             "densenet121", "dla34", "hrnet_w18_small", "fastvit_t8", "starnet_s1"],
)  # fmt: skip
def test_the_feature_maps_are_those_of_timm(name: str) -> None:
    torch.manual_seed(0)
    net = FPN(name, image_size=64).eval()
    peer = timm.create_model(name, features_only=True).eval()
    given = {key.replace(".", "_"): tensor for key, tensor in net.encoder.state_dict().items()}
    peer.load_state_dict({key: given[key.replace(".", "_")] for key in peer.state_dict()})  # which timm renamed
    x = images(64, 96, count=1)
    with torch.no_grad():
        expected = dict(zip(peer.feature_info.reduction(), peer(net.normalise(x)), strict=True))
        for stride, map_ in zip(STRIDES, net.encode(x), strict=True):
            torch.testing.assert_close(map_, expected[stride], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", SMALL)
def test_images_are_normalised_as_for_the_backbone(name: str) -> None:
    whole, net = Backbone(name, image_size=64), FPN(name, image_size=64)
    assert torch.equal(net.normalise.mean, whole.normalise.mean)
    assert torch.equal(net.normalise.std, whole.normalise.std)


def test_a_backbone_with_its_own_mean_gets_it() -> None:
    net = FPN("resnetv2_50x1_bit", image_size=64)
    assert net.normalise.mean.flatten().tolist() == [0.5, 0.5, 0.5] != list(IMAGENET_MEAN)


# Training


@pytest.mark.long
@pytest.mark.parametrize("name", SMALL)
def test_a_gradient_reaches_every_trained_parameter(name: str) -> None:
    net = FPN(name, image_size=64)
    net(images(64, 64)).square().sum().backward()
    assert [key for key, weight in net.named_parameters() if weight.requires_grad != (weight.grad is not None)] == []
    assert [key for key, weight in net.named_parameters() if not weight.requires_grad] == []  # no unused head remains
    assert all(torch.isfinite(weight.grad).all() for weight in net.parameters() if weight.grad is not None)


def test_building_it_changes_no_statistics_and_leaves_no_gradients() -> None:
    net, fresh = tiny(), tiny_resnet().state_dict()
    state = net.encoder.state_dict()
    assert all(torch.equal(state[key], fresh[key]) for key in fresh if "running" in key or "num_batches" in key)
    assert all(weight.grad is None for weight in net.parameters())


def test_it_can_be_built_without_gradients() -> None:
    with torch.no_grad():
        net = tiny()
    assert all(weight.requires_grad for weight in net.parameters())


@pytest.mark.parametrize("size", [(64, 64), (50, 70)])
def test_it_can_be_trained_in_half_precision(size: tuple[int, int]) -> None:
    net = tiny()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = net(images(*size))
    features.float().square().mean().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in net.parameters() if weight.grad is not None)


# Weights


def unlike(net: nn.Module) -> nn.Module:
    """Perturb weights and statistics, so that they differ from those of a fresh network."""
    with torch.no_grad():
        for tensor in net.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(0.01 * torch.rand_like(tensor))
    return net


@pytest.mark.long
@pytest.mark.parametrize("name", SMALL)
def test_all_of_the_encoder_of_a_pre_training_run_is_loaded(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    trained = unlike(Backbone(name, image_size=32).net).eval()
    save_encoder(trained, tmp_path, name)
    net = FPN(name, image_size=64, weights=str(encoder_file(tmp_path, name))).eval()
    state, given = net.encoder.state_dict(), trained.state_dict()
    assert len(state) > 10
    assert all(torch.equal(tensor, given[key]) for key, tensor in state.items())
    x = net.normalise(images(64, 64))
    with torch.no_grad():
        last = trained.forward_intermediates(x, intermediates_only=True)[-1]  # type: ignore[operator]
        torch.testing.assert_close(net.encode(images(64, 64))[-1], last)


@pytest.mark.long
@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", "mobilenetv3_small_050"])
def test_a_published_file_with_its_head_is_loaded(name: str, tmp_path: Path) -> None:
    published = unlike(timm.create_model(name)).state_dict()
    save_file(published, tmp_path / "w.safetensors")
    state = FPN(name, image_size=64, weights=str(tmp_path / "w.safetensors")).encoder.state_dict()
    assert all(torch.equal(tensor, published[key]) for key, tensor in state.items())


def test_a_file_changes_nothing_of_the_decoder(tmp_path: Path) -> None:
    path = save_encoder(unlike(tiny_resnet()), tmp_path, "tiny_resnet")
    torch.manual_seed(3)
    random = FPN("tiny_resnet", width=16, image_size=64).laterals.state_dict()
    torch.manual_seed(3)
    loaded = FPN("tiny_resnet", width=16, image_size=64, weights=str(path)).laterals.state_dict()
    assert all(torch.equal(random[key], loaded[key]) for key in random)


def test_weights_of_imagenet_come_from_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    create, asked = timm.create_model, []

    def offline(name: str, *, pretrained: bool = False, **options: object) -> nn.Module:
        asked.append(pretrained)
        net: nn.Module = create(name, **options)
        return unlike(net) if pretrained else net

    monkeypatch.setattr(timm, "create_model", offline)
    net = FPN("resnet18.a1_in1k", image_size=64, weights="imagenet")
    assert not asked[0]  # checked before anything is downloaded
    assert all(asked[1:])
    assert net.encoder.bn1.bias.any()


def test_its_weights_can_be_saved_and_loaded() -> None:
    one, other, x = tiny(seed=1).eval(), tiny(seed=2).eval(), images(64, 64)
    other.load_state_dict(one.state_dict())
    with torch.no_grad():
        assert torch.equal(one(x), other(x))


def test_weights_that_do_not_fit_are_a_one_line_error(tmp_path: Path) -> None:
    other = save_encoder(timm.create_model("resnet18", num_classes=0), tmp_path, "resnet18")
    assert "pass weights of this network" in refused("mobilenetv3_small_050", str(other))
    state = {**tiny_resnet().state_dict(), "conv1.weight": torch.zeros(8, 3, 7, 7)}
    save_file(state, tmp_path / "narrow.safetensors")
    narrow = refused("tiny_resnet", str(tmp_path / "narrow.safetensors"))
    assert "narrow.safetensors: does not fit 'tiny_resnet' (size mismatch for conv1.weight" in narrow
    assert "does not exist; pass 'imagenet', 'none' or the path" in refused("resnet18", str(tmp_path / "nowhere.pth"))
    assert refused("tiny_resnet", "imagenet").startswith("'tiny_resnet' has no ImageNet weights")


# Errors


@pytest.mark.parametrize(
    "name", ["swin_tiny_patch4_window7_224", "tiny_swin", "pvt_v2_b0", "coatnet_nano_rw_224", "mobilevit_xxs"]
)
def test_a_transformer_is_refused_even_with_four_stages(name: str) -> None:
    message = refused(name)
    assert message.startswith(f"{name!r} contains attention layers; ")
    assert message.endswith("set method.backbone to a CNN, such as resnet34")


@pytest.mark.parametrize(
    ("name", "there"), [("vit_tiny_patch16_224", "16"), ("tiny_vit", "8"), ("visformer_tiny", "8, 16, 32"),
                        ("convmixer_768_32", "7")],
)  # fmt: skip
@pytest.mark.parametrize("image_size", [64, 50])
def test_a_network_without_four_stages_is_refused(name: str, there: str, image_size: int) -> None:
    message = refused(name, image_size=image_size)
    assert message.startswith(f"{name!r} has no feature maps at strides 4, 8, 16 and 32 (found {there}); ")
    assert message.endswith("set method.backbone to a CNN that has, such as resnet34")


def test_a_cnn_that_does_not_pad_its_convolutions_is_refused() -> None:
    assert refused("legacy_xception").startswith("'legacy_xception' has feature maps of [(15, 23), ")
    assert refused("inception_v4", image_size=128).startswith("'inception_v4' cannot serve as a feature pyramid (")


def test_the_error_for_an_unknown_network_names_the_nearest() -> None:
    assert refused("resnet43") == "backbone 'resnet43' is unknown; did you mean 'resnet34'?"


@pytest.mark.parametrize("name", ["tiny_resnet", "resnet34", "resnet50"])
def test_a_backbone_can_be_checked_beforehand(name: str) -> None:
    check_pyramid(name)
    with pytest.raises(S4miError, match="has no feature maps"):
        check_pyramid("vit_base_patch16_224")


def test_the_upsampling_written_out_is_that_of_torch() -> None:
    small = torch.rand(1, 2, 3, 4, generator=torch.Generator().manual_seed(1))
    expected = F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(enlarge(small, 2), expected)
