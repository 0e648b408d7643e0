"""Loading and saving of weights, feature maps, and networks for one image size or for any."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from s4mi.errors import S4miError
from s4mi.nets.backbone import Backbone
from s4mi.nets.initial_weights import NONE, encoder_file, encoder_path
from s4mi.nets.weights import classifier_of, save_encoder

NETWORKS = ["tiny_resnet", "tiny_vit", "tiny_swin", "resnet18", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"]


def images(size: int, count: int = 2) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def perturbed(backbone: Backbone) -> Backbone:
    """Change all weights and statistics, so that they differ from those of a fresh network."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in [*backbone.net.parameters(), *backbone.net.buffers()]:
            if tensor.is_floating_point():
                tensor.add_(0.02 * torch.rand(tensor.shape, generator=generator))
    return backbone.eval()


@pytest.mark.long
@pytest.mark.parametrize("name", ["tiny_resnet", "tiny_vit", "tiny_swin", "vit_tiny_patch16_224", "resnet18"])
def test_a_saved_encoder_is_found_and_loaded_to_the_bit(tmp_path: Path, name: str) -> None:
    backbone = perturbed(Backbone(name, image_size=32))
    path = save_encoder(backbone.net, tmp_path, name)
    assert path == encoder_file(tmp_path, name) == tmp_path / "encoders" / f"{name}.safetensors"
    loaded = Backbone(name, image_size=32, weights=str(path)).eval()
    with torch.no_grad():
        assert torch.equal(loaded(images(32)), backbone(images(32)))
    assert [file.name for file in (tmp_path / "encoders").iterdir()] == [path.name]


def test_a_saved_encoder_loads_into_timm_by_itself(tmp_path: Path) -> None:
    backbone = perturbed(Backbone("resnet18", image_size=32))
    path = save_encoder(backbone.net, tmp_path, "resnet18")
    peer: nn.Module = timm.create_model("resnet18", num_classes=0, checkpoint_path=str(path)).eval()
    with torch.no_grad():
        assert torch.equal(peer(images(32)), backbone.net(images(32)))


def test_an_encoder_stored_channels_last_or_in_parts_is_saved_in_plain_order(tmp_path: Path) -> None:
    backbone = perturbed(Backbone("tiny_resnet", image_size=32))
    plain = {key: tensor.clone() for key, tensor in backbone.net.state_dict().items()}
    backbone.to(memory_format=torch.channels_last)
    saved = load_file(save_encoder(backbone.net, tmp_path, "tiny_resnet"))
    assert set(saved) == set(plain)
    assert all(torch.equal(saved[key], tensor) and saved[key].is_contiguous() for key, tensor in plain.items())


def test_saving_again_replaces_the_file(tmp_path: Path) -> None:
    first, second = Backbone("tiny_vit", image_size=32), perturbed(Backbone("tiny_vit", image_size=32))
    save_encoder(first.net, tmp_path, "tiny_vit")
    path = save_encoder(second.net, tmp_path, "tiny_vit")
    assert torch.equal(load_file(path)["cls_token"], second.net.state_dict()["cls_token"])


def test_the_name_of_a_network_from_a_hub_is_not_a_path(tmp_path: Path) -> None:
    name = "hf-hub:some/where"
    assert encoder_path(tmp_path, name).parent == tmp_path / "encoders"
    assert save_encoder(nn.Linear(1, 1), tmp_path, name) == encoder_path(tmp_path, name) == encoder_file(tmp_path, name)
    with pytest.raises(S4miError, match="is a pre-training run of hf-hub:some/where, not of 'tiny_vit'"):
        encoder_file(tmp_path, "tiny_vit")


def test_the_error_for_a_missing_encoder_names_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(S4miError) as none:
        encoder_file(tmp_path, "tiny_vit")
    assert str(none.value).startswith(f"{tmp_path}: holds no encoders; pass the folder of a finished pre-training run")
    for name in ("tiny_vit", "tiny_resnet"):
        save_encoder(nn.Linear(1, 1), tmp_path, name)
    with pytest.raises(S4miError) as other:
        encoder_file(tmp_path, "resnet18")
    assert str(other.value) == (
        f"{tmp_path}: is a pre-training run of tiny_resnet and tiny_vit, not of 'resnet18'; "
        "set method.backbone to tiny_resnet or tiny_vit, or pre-train 'resnet18'"
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "key", "size"),
    [("resnet18", "fc", {}), ("vit_tiny_patch16_224", "head", {"img_size": 32}),
     ("swin_tiny_patch4_window7_224", "head.fc", {"img_size": 32})],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_the_classifier_is_read_from_a_file_that_has_one(
    tmp_path: Path, name: str, key: str, size: dict[str, Any], suffix: str
) -> None:
    net: nn.Module = timm.create_model(name, num_classes=12, **size)
    tensors = {part: tensor.contiguous() for part, tensor in net.state_dict().items()}
    path = tmp_path / f"weights{suffix}"
    save_file(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
    layer = classifier_of(name, str(path))
    assert layer is not None
    assert torch.equal(layer.weight, tensors[f"{key}.weight"])
    assert torch.equal(layer.bias, tensors[f"{key}.bias"])
    # The backbone followed by the classifier equals the network.
    backbone = Backbone(name, image_size=32, weights=str(path)).eval()
    with torch.no_grad():
        expected = net.eval()(backbone.normalise(images(32)))
        torch.testing.assert_close(layer(backbone(images(32))), expected)


def test_weights_without_a_classifier_have_none(tmp_path: Path) -> None:
    path = save_encoder(Backbone("resnet18", image_size=32).net, tmp_path, "resnet18")
    assert classifier_of("resnet18", str(path)) is None
    assert classifier_of("resnet18", NONE) is None
    for name in ("tiny_resnet", "tiny_vit", "tiny_swin"):
        path = save_encoder(Backbone(name, image_size=32).net, tmp_path, name)
        assert classifier_of(name, str(path)) is None
        assert classifier_of(name, NONE) is None


def test_a_classifier_that_is_a_1x1_convolution_is_linear_or_ignored(tmp_path: Path) -> None:
    head = {"head.fc.weight": torch.rand(10, 2048, 1, 1), "head.fc.bias": torch.rand(10)}
    assert timm.get_pretrained_cfg("resnetv2_50").classifier == "head.fc"
    save_file(head, tmp_path / "weights.safetensors")
    layer = classifier_of("resnetv2_50", str(tmp_path / "weights.safetensors"))
    assert layer is None or torch.equal(layer.weight, head["head.fc.weight"].flatten(1))


@pytest.mark.long
@pytest.mark.parametrize("name", [*NETWORKS, "convnext_atto", "mobilenetv3_small_050", "vit_tiny_r_s16_p8_224"])
def test_the_feature_map_is_that_of_timm_at_every_position(name: str) -> None:
    size = 64
    backbone = perturbed(Backbone(name, image_size=size))
    with torch.no_grad():
        found = backbone.feature_map(images(size))
        given = backbone.net.forward_features(backbone.normalise(images(size)))  # type: ignore[operator]
    batch, channels, height, width = found.shape
    assert batch == 2
    assert height == width
    if given.ndim == 3:  # tokens in row-major order
        first = given.shape[1] - height * width
        expected = torch.stack([torch.stack([given[:, first + y * width + x] for x in range(width)], 1)
                                for y in range(height)], 1)  # fmt: skip
    else:
        expected = given if "swin" in name else given.movedim(1, -1)
    assert expected.shape == (2, height, width, channels)
    assert torch.equal(found.movedim(1, -1), expected)


@pytest.mark.parametrize(("name", "patch"), [("tiny_vit", 8), ("vit_tiny_patch16_224", 16), ("tiny_swin", 32)])
def test_a_position_of_the_feature_map_depends_most_on_its_own_part_of_the_image(name: str, patch: int) -> None:
    """Whatever order tokens come in, a change in a corner of the image changes that corner of the map."""
    torch.manual_seed(0)
    backbone = Backbone(name, image_size=4 * patch).eval()
    before = images(4 * patch, count=1)
    after = before.clone()
    after[:, :, :patch, 2 * patch : 3 * patch] = 1 - after[:, :, :patch, 2 * patch : 3 * patch]
    with torch.no_grad():
        change = (backbone.feature_map(after) - backbone.feature_map(before)).square().sum(dim=1)[0]
    side = change.shape[0]
    assert divmod(int(change.argmax()), side) == (0, 2 * side // 4)


def test_a_network_without_a_feature_map_is_refused() -> None:
    backbone = Backbone("tiny_resnet", image_size=32)
    backbone.net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4))
    with pytest.raises(S4miError, match="'tiny_resnet' has no feature map; choose another backbone"):
        backbone.feature_map(images(32))


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "size", "other"),
    [
        ("tiny_resnet", 64, 40), ("tiny_vit", 64, 32), ("tiny_swin", 64, 48), ("tiny_swin", 64, 16),
        ("resnet18", 64, 32), ("vit_tiny_patch16_224", 64, 32), ("swin_tiny_patch4_window7_224", 64, 32),
    ],
)  # fmt: skip
def test_a_network_for_any_size_takes_other_sizes_and_is_unchanged_at_its_own(name: str, size: int, other: int) -> None:
    free = perturbed(Backbone(name, image_size=size, any_size=True))
    fixed = Backbone(name, image_size=size).eval()
    fixed.load_state_dict(free.state_dict())
    assert set(free.state_dict()) == set(fixed.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(free(images(size)), fixed(images(size)), rtol=1e-5, atol=1e-6)
        small = free(images(other))
        assert small.shape == (2, free.features)
        assert torch.isfinite(small).all()
        # At another size, features still differ between images and do not depend on the batch.
        torch.testing.assert_close(free(images(other)[1:]), small[1:], rtol=1e-4, atol=1e-5)
        assert not torch.allclose(small[0], small[1])
    free.check_size(other, setting="method.local_size")


@pytest.mark.parametrize("name", ["tiny_vit", "tiny_swin", "vit_tiny_patch16_224"])
def test_a_network_for_one_size_refuses_another_in_a_line(name: str) -> None:
    with pytest.raises(S4miError) as refused:
        Backbone(name, image_size=64).check_size(32, setting="method.local_size")
    message = str(refused.value)
    assert message.startswith(f"{name!r} cannot take images of 32 pixels (")
    assert message.endswith("; change method.local_size")
    assert "\n" not in message


@pytest.mark.parametrize(("size", "near"), [(20, 16), (29, 32), (3, 8), (12, 16)])
def test_the_error_for_a_size_that_is_not_a_multiple_of_the_patch_size_names_the_nearest(size: int, near: int) -> None:
    backbone = Backbone("tiny_vit", image_size=64, any_size=True)
    with pytest.raises(S4miError) as refused:
        backbone.check_size(size, setting="method.local_size")
    assert str(refused.value) == (
        f"method.local_size {size} is not a multiple of the patch size 8 of 'tiny_vit'; set it to {near}"
    )
    backbone.check_size(near, setting="method.local_size")


@pytest.mark.parametrize("training", [True, False])
def test_checking_a_size_leaves_the_network_as_it_was(training: bool) -> None:
    backbone = Backbone("tiny_resnet", image_size=32, any_size=True).train(training)
    before = {key: tensor.clone() for key, tensor in backbone.state_dict().items()}
    backbone.check_size(16, setting="method.local_size")
    assert backbone.training == training
    assert all(torch.equal(tensor, before[key]) for key, tensor in backbone.state_dict().items())
