"""A weight file is taken for the network it is named for, and only if its tensors are that network's."""

import os
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from s4mi.nets.backbone import Backbone, tiny_resnet
from s4mi.nets.weight_names import is_named_for, misfit, weight_file

SMALL = "lcnet_035"


@pytest.mark.parametrize(
    ("stem", "network", "right"),
    [
        ("resnet50", "resnet50", True),
        ("resnet50_imagenet_keras.fp16", "resnet50", True),
        ("resnet50-0676ba61", "resnet50", True),
        ("resnet50.a1_in1k", "resnet50", True),
        ("resnet50.a1_in1k", "resnet50.a1_in1k", True),
        ("resnet50.a2_in1k", "resnet50.a1_in1k", False),
        ("resnet50_imagenet", "resnet50.a1_in1k", False),
        ("resnet50_gn.a1h_in1k", "resnet50", False),  # a network of its own
        ("resnet50_gn.a1h_in1k", "resnet50_gn", True),
        ("resnet50d", "resnet50", False),
        ("my_resnet50", "resnet50", False),
        ("vit_small_patch14_dinov2.fp16", "vit_small_patch14_dinov2", True),
        ("vit_small_patch14_reg4_dinov2", "vit_small_patch14_dinov2", False),
        ("tiny_vit_5m_mobilesam.fp16", "tiny_vit_5m_224", True),  # without the image size
        ("tiny_vit_5m_mobilesam.fp16", "tiny_vit_11m_224", False),
        ("tiny_vit_5m_mobilesam.fp16", "tiny_vit", False),
        ("vit_small_patch16_224_dino", "vit_small_patch16_224", True),
        ("vit_small_patch16_384", "vit_small_patch16_224", False),
        ("efficientnet-b0-355c32eb", "efficientnet-b0", True),  # of segmentation_models_pytorch
        ("", "resnet50", False),
    ],
)
def test_the_longest_name_that_a_file_begins_with_is_its_network(stem: str, network: str, right: bool) -> None:
    assert is_named_for(stem, network) is right


def saved(path: Path, net: nn.Module, dtype: torch.dtype = torch.float32) -> Path:
    tensors = {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in net.state_dict().items()
    }
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save({"state_dict": tensors}, path)
    return path


@pytest.mark.parametrize("ending", ["safetensors", "pth", "pth.tar"])
def test_a_file_that_fits_is_found_and_loaded(tmp_path: Path, ending: str) -> None:
    net = timm.create_model(SMALL, num_classes=3)
    path = saved(tmp_path / f"{SMALL}.fp16.{ending}", net, torch.float16)
    found, refused = weight_file(SMALL, [tmp_path])
    assert (found, refused) == (path, [])
    loaded = Backbone(SMALL, image_size=32, weights=str(found)).net.state_dict()
    torch.testing.assert_close(loaded["conv_stem.weight"], net.state_dict()["conv_stem.weight"], atol=1e-3, rtol=1e-3)


def test_a_file_of_another_network_under_the_name_is_refused_with_the_reason(tmp_path: Path) -> None:
    saved(tmp_path / f"{SMALL}-wide.pth", timm.create_model("lcnet_050", num_classes=0))
    (tmp_path / f"{SMALL}-x.pth").write_text("nothing")
    saved(tmp_path / f"{SMALL}.half.pth", nn.Conv2d(3, 4, 1))
    found, refused = weight_file(SMALL, [tmp_path])
    assert found is None
    reasons = dict(line.split(": ", 1) for line in refused)
    assert list(reasons) == [f"{SMALL}-x.pth", f"{SMALL}-wide.pth", f"{SMALL}.half.pth"]  # the shortest name first
    assert reasons[f"{SMALL}-x.pth"].startswith("not a valid weight file")
    assert reasons[f"{SMALL}-wide.pth"] == "'blocks.1.0.conv_pw.weight' is 32×16×1×1, not 24×16×1×1"
    assert reasons[f"{SMALL}.half.pth"] == "lacks 'conv_stem.weight'"


def test_the_first_folder_with_a_fitting_file_counts(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    net = tiny_resnet()
    right = saved(second / "tiny_resnet.safetensors", net)
    assert weight_file("tiny_resnet", [tmp_path / "missing", first, second])[0] == right
    saved(first / "tiny_resnet_other.safetensors", nn.Linear(2, 2))
    found, refused = weight_file("tiny_resnet", [first, second])
    assert found == right
    assert refused == ["tiny_resnet_other.safetensors: lacks 'conv1.weight'"]


def test_published_weights_are_known_by_the_name_of_their_file(tmp_path: Path) -> None:
    path = saved(tmp_path / "lcnet_original.pth", timm.create_model(SMALL, num_classes=0))
    assert weight_file(SMALL, [tmp_path])[0] is None
    assert weight_file(SMALL, [tmp_path], url="https://somewhere/lcnet_original.pth")[0] == path


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = saved(tmp_path / "tiny_resnet.pth", nn.Linear(2, 2))
    assert misfit(path, "tiny_resnet") == "lacks 'conv1.weight'"
    saved(path, tiny_resnet())
    os.utime(path, ns=(1, 1))
    assert misfit(path, "tiny_resnet") == ""
