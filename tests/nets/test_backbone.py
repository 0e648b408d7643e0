import re
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from huggingface_hub import errors as hub
from safetensors.torch import save_file
from torch import Tensor, nn

from s4mi.errors import S4miError
from s4mi.nets.backbone import IMAGENET_MEAN, IMAGENET_STD, TINY, Backbone, check_backbone, check_weights


def one_line(error: pytest.ExceptionInfo[S4miError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("resnet18", 96),
        ("resnet18", 75),
        ("vit_tiny_patch16_224", 96),
        ("swin_tiny_patch4_window7_224", 64),
        ("mobilenetv3_small_050", 64),  # its features are not the width of its last convolution
        ("tiny_resnet", 50),
        ("tiny_vit", 40),
        ("tiny_swin", 48),
    ],
)
def test_the_number_of_features_is_as_declared_at_any_size(name: str, size: int) -> None:
    backbone = Backbone(name, image_size=size)
    assert backbone.training
    features = backbone.eval()(torch.rand(2, 3, size, size))
    assert features.shape == (2, backbone.features)
    assert torch.isfinite(features).all()


@pytest.mark.parametrize("name", TINY)
def test_tiny_networks_have_the_documented_number_of_parameters(name: str) -> None:
    said = re.search(r"\((\d\.\d) M parameters\)", TINY[name].__doc__ or "")
    assert said is not None
    count = sum(parameter.numel() for parameter in TINY[name](image_size=64).parameters())
    assert f"{count / 1e6:.1f}" == said[1]


def test_the_same_seed_gives_the_same_weights() -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(Backbone("tiny_swin", image_size=32).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet15", "backbone 'resnet15' is unknown; did you mean 'resnet1"),
        ("tiny_vitt", "backbone 'tiny_vitt' is unknown; did you mean 'tiny_vit'?"),
        ("qqqq", "backbone 'qqqq' is unknown"),
        ("resnet18.imagenet", "'resnet18' has no weights 'imagenet'; it has resnet18.a1_in1k, "),
    ],
)
def test_the_error_for_an_unknown_backbone_names_the_nearest(name: str, message: str) -> None:
    with pytest.raises(S4miError) as error:
        check_backbone(name)
    assert one_line(error).startswith(message)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        # timm would silently drop the last 4 pixels
        (
            "vit_tiny_patch16_224",
            100,
            "100 is not a multiple of the patch size 16 of 'vit_tiny_patch16_224'; set it to 96",
        ),
        ("swin_tiny_patch4_window7_224", 50, "patch size 4 of 'swin_tiny_patch4_window7_224'; set it to 48"),
        ("tiny_vit", 18, "patch size 8 of 'tiny_vit'; set it to 16"),
        ("vit_tiny_patch16_224", 7, "set it to 16"),
        ("densenet121", 16, "'densenet121' cannot take images of 16 pixels"),
        ("crossvit_tiny_240", 96, "'crossvit_tiny_240' cannot take images of 96 pixels"),
    ],
)
def test_a_size_that_a_network_cannot_take_is_refused_in_a_line(name: str, size: int, message: str) -> None:
    with pytest.raises(S4miError) as error:
        Backbone(name, image_size=size)
    assert message in one_line(error)
    assert "data.image_size" in one_line(error)


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("resnet18", IMAGENET_MEAN, IMAGENET_STD),
        ("tiny_resnet", IMAGENET_MEAN, IMAGENET_STD),
        ("tf_efficientnet_lite0", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("vit_tiny_patch16_224", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ],
)
def test_images_are_normalised_as_in_pre_training(name: str, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    backbone = Backbone(name, image_size=32)
    images = torch.rand(1, 3, 4, 4)
    expected = torch.stack([(images[:, c] - mean[c]) / std[c] for c in range(3)], dim=1)
    torch.testing.assert_close(backbone.normalise(images), expected)
    assert not any("normalise" in key for key in backbone.state_dict())


def saved(net: nn.Module, path: Path) -> str:
    """A weight file with the tensors of `net`."""
    tensors = {name: tensor.contiguous() for name, tensor in net.state_dict().items()}
    save_file(tensors, path) if path.suffix == ".safetensors" else torch.save(tensors, path)
    return str(path)


def with_head(name: str, **size: int) -> nn.Module:
    """A timm network with a head, as weights are published, and perturbed weights."""
    net: nn.Module = timm.create_model(name, num_classes=10, **size)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.01)
    return net


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_all_of_a_weight_file_is_loaded(tmp_path: Path, suffix: str) -> None:
    net = with_head("resnet18")
    backbone = Backbone("resnet18", image_size=32, weights=saved(net, tmp_path / f"w{suffix}"))
    loaded, given = backbone.net.state_dict(), net.state_dict()
    assert set(given) - set(loaded) == {"fc.weight", "fc.bias"}
    assert all(torch.equal(tensor, given[name]) for name, tensor in loaded.items())


@pytest.mark.parametrize("name", TINY)
def test_all_of_a_weight_file_of_a_tiny_network_is_loaded(tmp_path: Path, name: str) -> None:
    net = TINY[name](image_size=32)
    loaded = Backbone(name, image_size=32, weights=saved(net, tmp_path / "w.safetensors")).net.state_dict()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in net.state_dict().items())


def test_position_embeddings_of_a_weight_file_are_resized(tmp_path: Path) -> None:
    net = with_head("vit_tiny_patch16_224", img_size=64)
    path = saved(net, tmp_path / "w.safetensors")
    loaded = Backbone("vit_tiny_patch16_224", image_size=96, weights=path).net.state_dict()
    assert loaded["pos_embed"].shape == (1, 1 + 36, 192)
    assert all(
        torch.equal(loaded[key], tensor)
        for key, tensor in net.state_dict().items()
        if key in loaded and key != "pos_embed"
    )


def test_a_weight_file_needs_no_batch_counters(tmp_path: Path) -> None:
    tensors = {k: v for k, v in with_head("resnet18").state_dict().items() if "num_batches_tracked" not in k}
    save_file(tensors, tmp_path / "w.safetensors")
    Backbone("resnet18", image_size=32, weights=str(tmp_path / "w.safetensors"))


def test_tensors_that_are_missing_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    tensors = {k: v for k, v in with_head("resnet18").state_dict().items() if not k.startswith("layer4")}
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(S4miError) as error:
        Backbone("resnet18", image_size=32, weights=str(tmp_path / "w.safetensors"))
    # 100 tensors without the counters, 25 of them in the last stage
    message = "w.safetensors: holds 75% of the tensors of 'resnet18', 'layer4.0.conv1.weight' is missing"
    assert message in one_line(error)


@pytest.mark.parametrize(
    ("name", "first"),
    [("resnet18", "conv1.weight"), ("tiny_resnet", "layer1.0.conv1.weight"), ("tiny_vit", "pos_embed")],
)
def test_tensors_of_another_shape_are_refused_and_the_first_is_named(tmp_path: Path, name: str, first: str) -> None:
    net = TINY[name](image_size=32) if name in TINY else with_head(name)
    tensors = dict(net.state_dict())
    tensors[first] = torch.zeros(2, 3)
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(S4miError) as error:
        Backbone(name, image_size=32, weights=str(tmp_path / "w.safetensors"))
    assert f"w.safetensors: does not fit '{name}' (size mismatch for {first}" in one_line(error)


class Sneaky:
    """Code that unpickling would run if it were allowed to."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return (print, ("this must not be run",))


def test_a_file_without_weights_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.safetensors").write_text("these are no weights at all")
    (tmp_path / "text.pth").write_text("these are no weights either")
    (tmp_path / "empty.pth").touch()
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"state_dict": {}, "more": Sneaky()}, tmp_path / "code.pth")
    for path in sorted(tmp_path.iterdir()):
        for name in ("resnet18", "tiny_resnet"):
            with pytest.raises(S4miError) as error:
                Backbone(name, image_size=32, weights=str(path))
            assert f"{path}: not a valid weight file" in one_line(error)
    assert "this must not be run" not in capsys.readouterr().out


@pytest.mark.parametrize("weights", ["nowhere.safetensors", "Imagenet", "", "."])
def test_missing_weights_are_refused(weights: str) -> None:
    with pytest.raises(S4miError, match="pass 'imagenet', 'none' or the path of a weight file"):
        check_weights(weights)


UNPUBLISHED = next(name for name in timm.list_models() if not timm.models.is_model_pretrained(name))


@pytest.mark.parametrize("name", ["tiny_resnet", UNPUBLISHED])
def test_unavailable_imagenet_weights_are_refused(name: str) -> None:
    with pytest.raises(S4miError) as error:
        Backbone(name, image_size=32, weights="imagenet")
    assert one_line(error).startswith(f"{name!r} has no ImageNet weights; pass method.weights=none")


@pytest.mark.parametrize(
    "raised",
    [
        ConnectionError("no route to host"),
        hub.LocalEntryNotFoundError("cannot find the requested files in the local cache.\nMore."),
        hub.OfflineModeIsEnabled("offline mode is enabled"),
        hub.HTTPError("[Errno -2] Name or service not known"),  # the HTTP client's, which is not an OSError
        TimeoutError(),
        RuntimeError("invalid hash value"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_weights_that_cannot_be_downloaded_are_a_one_line_error_with_a_hint(
    monkeypatch: pytest.MonkeyPatch, raised: Exception
) -> None:
    def fail(*_: object, **__: object) -> nn.Module:
        raise raised

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(S4miError) as error:
        Backbone("resnet18", image_size=32, weights="imagenet")
    assert one_line(error).startswith("ImageNet weights of 'resnet18' cannot be downloaded (")
    assert "pass method.weights=none to start from random weights, or method.weights=FILE" in one_line(error)
    assert "method.teacher_weights" in one_line(error)  # a method may have several networks


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224"])
def test_without_a_connection_the_hub_leads_to_that_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(S4miError) as error:
        Backbone(name, image_size=32, weights="imagenet")
    assert f"ImageNet weights of '{name}' cannot be downloaded" in one_line(error)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "file", "size", "features"),
    [
        ("tf_efficientnet_lite0", "tf_efficientnet_lite0.safetensors", 224, 1280),
        ("tf_efficientnet_lite0", "tf_efficientnet_lite0.safetensors", 98, 1280),
        ("vit_small_patch14_dinov2", "vit_small_patch14_dinov2.fp16.safetensors", 224, 384),
        ("vit_small_patch14_dinov2", "vit_small_patch14_dinov2.fp16.safetensors", 98, 384),
    ],
)
def test_real_weights_load_completely_and_give_features(
    real_data: Path, name: str, file: str, size: int, features: int
) -> None:
    path = real_data / "weights" / file
    backbone = Backbone(name, image_size=size, weights=str(path)).eval()
    given: dict[str, Tensor] = timm.models.load_state_dict(str(path))
    for key, tensor in backbone.net.state_dict().items():
        if key != "pos_embed":
            assert torch.equal(tensor, given[key].to(tensor.dtype)), key
    with torch.no_grad():
        answer = backbone(torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)))
    assert answer.shape == (2, features)
    assert torch.isfinite(answer).all()
    assert answer.std(dim=0).mean() > 0  # features differ between the two images
