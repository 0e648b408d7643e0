"""Weight files as training code publishes them load exactly, or not at all; what was changed is reported."""

import argparse
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import timm
import torch
import torchvision
from torch import Tensor, nn

from s4mi.errors import S4miError
from s4mi.nets.backbone import Backbone
from s4mi.nets.smp_net import SmpNet
from s4mi.nets.swin_unet import SwinUNet
from s4mi.nets.weight_files import CONTAINERS
from s4mi.nets.weights import classifier_of

State = dict[str, Tensor]
RESNET, VIT = "resnet18", "vit_tiny_patch16_224"
SWIN, CONVNEXT, DENSENET = "swin_tiny_patch4_window7_224", "convnext_atto", "densenet121"


def network(name: str, *, seed: int = 1) -> nn.Module:
    """A timm network with a head and tensors that no fresh network has."""
    torch.manual_seed(seed)
    size = {"img_size": 32} if "vit" in name else {}
    net: nn.Module = timm.create_model(name, num_classes=5, **size)
    with torch.no_grad():
        for key, tensor in net.state_dict().items():
            if tensor.is_floating_point() and "index" not in key:
                tensor.add_(0.02 * torch.rand(tensor.shape))
    return net


def under(prefix: str, state: State) -> State:
    return {prefix + key: tensor for key, tensor in state.items()}


def without_head(state: State) -> State:
    return {key: tensor for key, tensor in state.items() if not key.startswith(("fc.", "head."))}


def dino(state: State, other: State) -> dict[str, Any]:
    """facebookresearch/dino, main_dino.py: checkpoint.pth."""
    head = {"head.mlp.0.weight": torch.rand(4, 4), "head.last_layer.weight_g": torch.rand(4, 1)}
    return {
        "student": {**under("module.backbone.", without_head(other)), **under("module.", head)},
        "teacher": {**under("backbone.", without_head(state)), **head},
        "optimizer": {"state": {0: {"exp_avg": torch.rand(3)}}, "param_groups": []},
        "epoch": 100, "args": argparse.Namespace(arch="vit_small", lr=5e-4), "dino_loss": {"center": torch.rand(1, 4)},
        "fp16_scaler": {"scale": 65536.0},
    }  # fmt: skip


def moco_v2(state: State, other: State) -> dict[str, Any]:
    """facebookresearch/moco, main_moco.py."""
    head = {"fc.0.weight": torch.rand(4, 4), "fc.2.weight": torch.rand(4, 4)}
    return {
        "epoch": 200, "arch": "resnet50", "optimizer": {"state": {}, "param_groups": []},
        "state_dict": {
            **under("module.encoder_q.", {**without_head(state), **head}),
            **under("module.encoder_k.", {**without_head(other), **head}),
            "module.queue": torch.rand(4, 8), "module.queue_ptr": torch.zeros(1),
        },
    }  # fmt: skip


def moco_v3(state: State, other: State) -> dict[str, Any]:
    """facebookresearch/moco-v3, main_moco.py."""
    head = {"head.0.weight": torch.rand(4, 4)}
    return {
        "epoch": 300, "arch": "vit_small", "scaler": {"scale": 1.0},
        "state_dict": {
            **under("module.base_encoder.", {**without_head(state), **head}),
            **under("module.momentum_encoder.", {**without_head(other), **head}),
            "module.predictor.0.weight": torch.rand(4, 4),
        },
    }  # fmt: skip


def mae(state: State, other: State) -> dict[str, Any]:
    """facebookresearch/mae, util/misc.py: save_model."""
    decoder = {"mask_token": torch.rand(1, 1, 4), "decoder_embed.weight": torch.rand(4, 4)}
    return {"model": {**without_head(state), **decoder}, "epoch": 799, "args": argparse.Namespace(mask_ratio=0.75)}


def solo_learn(state: State, other: State) -> dict[str, Any]:
    """vturrisi/solo-learn: a Lightning checkpoint, with a momentum network for BYOL, MoCo and DINO."""
    return {
        "epoch": 399, "pytorch-lightning_version": "2.1.2", "hyper_parameters": {"backbone": {"name": "resnet18"}},
        "state_dict": {
            **under("backbone.", without_head(state)), **under("momentum_backbone.", without_head(other)),
            "projector.0.weight": torch.rand(4, 4), "classifier.weight": torch.rand(5, 4),
        },
    }  # fmt: skip


def swin_authors(state: State, other: State) -> dict[str, Any]:
    """microsoft/Swin-Transformer: downsampling ends a stage, masks and indices are saved."""
    model: State = {"layers.0.blocks.1.attn_mask": torch.rand(4, 49, 49)}
    for key, tensor in state.items():
        key = re.sub(r"layers\.(\d)\.downsample", lambda found: f"layers.{int(found[1]) - 1}.downsample", key)
        model[key.replace("head.fc.", "head.")] = tensor
    model["layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(49, 49)
    return {"model": model, "epoch": 299, "max_accuracy": np.float64(81.2)}


def convnext_authors(state: State, other: State) -> dict[str, Any]:
    """facebookresearch/ConvNeXt: `downsample_layers`, `dwconv`, linear layers for 1×1 convolutions."""
    model: State = {}
    for key, tensor in state.items():
        key = re.sub(r"^stem\.", "downsample_layers.0.", key)
        key = re.sub(r"^stages\.(\d)\.downsample\.", r"downsample_layers.\1.", key)
        key = re.sub(r"^stages\.(\d)\.blocks\.", r"stages.\1.", key)
        key = key.replace("conv_dw", "dwconv").replace("mlp.fc", "pwconv")
        key = key.replace("head.norm.", "norm.").replace("head.fc.", "head.")
        model[key] = tensor.flatten(1) if "pwconv" in key and tensor.ndim == 4 else tensor
    return {"model": model}


Published = Callable[[State, State], dict[str, Any]]
LAYOUTS: dict[str, tuple[str, Published, str]] = {
    "plain": (RESNET, lambda state, other: state, ""),
    "DINO, ViT": (VIT, dino, "from 'teacher'; without the prefix 'backbone.'"),
    "DINO, ResNet": (RESNET, dino, "from 'teacher'; without the prefix 'backbone.'"),
    "MoCo v2": (RESNET, moco_v2, "from 'state_dict'; without the prefix 'encoder_q.'"),
    "MoCo v3, ViT": (VIT, moco_v3, "from 'state_dict'; without the prefix 'base_encoder.'"),
    "MoCo v3, ResNet": (RESNET, moco_v3, "from 'state_dict'; without the prefix 'base_encoder.'"),
    "MAE": (VIT, mae, "from 'model'; 2 tensors not used (mask_token, decoder_embed)"),
    "solo-learn": (RESNET, solo_learn, "from 'state_dict'; without the prefix 'backbone.'"),
    "Swin": (SWIN, swin_authors, "from 'model'; renamed: timm's conversion of its authors' layout"),
    "ConvNeXt": (CONVNEXT, convnext_authors, "from 'model'; renamed: timm's conversion of its authors' layout"),
    "Lightning module": (RESNET, lambda s, _: {"state_dict": under("model.", s), "hparams": {}}, "prefix 'model.'"),
    "DataParallel": (VIT, lambda s, _: under("module.", s), ""),
    "torch.compile": (RESNET, lambda s, _: {"net": under("_orig_mod.", s)}, "from 'net'"),
    "nested": (RESNET, lambda s, _: {"state_dict": {"model": under("encoder.", s)}}, "from 'state_dict.model'"),
    "own name": (RESNET, lambda s, _: {"best_net": s, "optimizer": {"state": {0: torch.rand(2)}}}, "from 'best_net'"),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_published_layout_is_loaded_exactly_and_what_was_changed_is_said(
    layout: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name, publish, said = LAYOUTS[layout]
    net = network(name)
    torch.save(publish(net.state_dict(), network(name, seed=2).state_dict()), tmp_path / "w.pth")
    size = 224 if name == SWIN else 32
    with caplog.at_level(logging.INFO, logger="s4mi"):
        loaded = Backbone(name, image_size=size, weights=str(tmp_path / "w.pth")).net.state_dict()
    expected = net.state_dict()
    assert {key for key in loaded if not torch.equal(loaded[key], expected[key])} == set()
    assert said in caplog.text
    assert "(100 %)" in caplog.text


@pytest.mark.long
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("prefix", ["", "backbone.", "encoder.", "module.", "model.", "module.net.0.", "a.b.c.d."])
def test_every_container_and_any_one_prefix_are_taken_off(container: str, prefix: str, tmp_path: Path) -> None:
    state = Backbone("tiny_resnet", image_size=32).net.state_dict()
    torch.save({container: under(prefix, state), "epoch": 3, "args": argparse.Namespace()}, tmp_path / "w.pt")
    loaded = Backbone("tiny_resnet", image_size=32, weights=str(tmp_path / "w.pt")).net.state_dict()
    assert all(torch.equal(loaded[key], state[key]) for key in state)


@pytest.mark.long
@pytest.mark.parametrize("name", [RESNET, DENSENET])
def test_radimagenet_numbers_the_parts_of_a_network(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its `backbone` is an `nn.Sequential` of the children of torchvision's network but the last."""
    peer = torchvision.models.get_model(name, weights=None)
    body = nn.Sequential(*list(peer.children())[:-1])
    torch.save(under("backbone.", body.state_dict()), tmp_path / "w.pt")
    with caplog.at_level(logging.INFO, logger="s4mi"):
        net = Backbone(name, image_size=64, weights=str(tmp_path / "w.pt")).net.eval()
    assert "without the prefix 'backbone.'; renamed: parts by number" in caplog.text
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        features = body.eval()(x)
        features = features.flatten(1) if name == RESNET else torch.relu(features).mean(dim=(2, 3))
        torch.testing.assert_close(net(x), features, rtol=1e-4, atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("source", ["resnet18", "tu-resnet18"])
@pytest.mark.parametrize("target", ["backbone", "resnet18", "tu-resnet18"])
def test_the_encoder_of_a_unet_of_smp_starts_a_backbone_and_a_unet(source: str, target: str, tmp_path: Path) -> None:
    peer = smp.Unet(source, encoder_weights=None, classes=3)
    torch.save({"model_state_dict": peer.state_dict(), "epoch": 7}, tmp_path / "w.pth")
    path = str(tmp_path / "w.pth")
    net = Backbone(RESNET, image_size=32, weights=path) if target == "backbone" else SmpNet(
        target, classes=2, image_size=32, weights=path
    )  # fmt: skip
    given, loaded = peer.encoder.state_dict(), net.state_dict()
    weights = {key: tensor for key, tensor in loaded.items() if not key.startswith(("net.decoder", "net.segm"))}
    bare = {key.removeprefix("net.").removeprefix("encoder.").removeprefix("model."): t for key, t in weights.items()}
    assert all(torch.equal(tensor, bare[key.removeprefix("model.")]) for key, tensor in given.items())


@pytest.mark.long
@pytest.mark.parametrize("publish", [lambda s, _: s, swin_authors, lambda s, _: {"model": under("backbone.", s)}])
def test_the_swin_unet_takes_the_layouts_of_swin(publish: Published, tmp_path: Path) -> None:
    state = network(SWIN).state_dict()
    torch.save(publish(state, state), tmp_path / "w.pth")
    loaded = SwinUNet(classes=2, image_size=64, weights=str(tmp_path / "w.pth")).encoder.state_dict()
    assert all(torch.equal(tensor, state[key]) for key, tensor in loaded.items())


def test_the_classifier_is_found_behind_the_same_prefix_and_layout(tmp_path: Path) -> None:
    for name, publish in ((RESNET, lambda s: {"net": under("model.", s)}), (SWIN, lambda s: swin_authors(s, s))):
        state = network(name).state_dict()
        torch.save(publish(state), tmp_path / "w.pth")
        layer = classifier_of(name, str(tmp_path / "w.pth"))
        assert layer is not None
        assert torch.equal(layer.weight, state["fc.weight" if name == RESNET else "head.fc.weight"])


def refusal(contents: object, tmp_path: Path, name: str = RESNET) -> str:
    torch.save(contents, tmp_path / "w.pth")
    with pytest.raises(S4miError) as error:
        Backbone(name, image_size=32, weights=str(tmp_path / "w.pth"))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_missing_tensor_is_an_error_behind_every_prefix(tmp_path: Path) -> None:
    state = network(RESNET).state_dict()
    for prefix in ("", "backbone."):
        for left_out in ("layer4.1.bn2.running_var", "conv1.weight"):
            partial = under(prefix, {key: tensor for key, tensor in state.items() if key != left_out})
            assert f"{prefix + left_out!r} is missing; pass weights of this network (the file holds " in refusal(
                {"model": partial}, tmp_path
            )


def test_the_hint_names_a_key_of_the_file(tmp_path: Path) -> None:
    message = refusal(network(VIT).state_dict(), tmp_path)
    assert message.endswith("'conv1.weight' is missing; pass weights of this network (the file holds 'cls_token')")


def test_of_two_networks_that_fit_none_is_guessed(tmp_path: Path) -> None:
    state, other = network(RESNET).state_dict(), network(RESNET, seed=2).state_dict()
    message = refusal({**under("left.", state), **under("right.", other)}, tmp_path)
    assert "holds several networks that fit 'resnet18', under 'left.' and 'right.'; save one of them alone" in message


class Settings:
    """A class of somebody's training code."""


def test_a_file_with_code_is_not_read_and_the_way_out_is_named(tmp_path: Path) -> None:
    message = refusal({"state_dict": {}, "config": Settings()}, tmp_path)
    assert "Settings, which is not read as that could run code); save the weights alone: torch.save(" in message


def test_a_file_without_tensors_says_what_it_holds(tmp_path: Path) -> None:
    assert "holds 'epoch', 'state_dict', of which none holds tensors" in refusal(
        {"epoch": 3, "state_dict": {}}, tmp_path
    )
    assert "of which several hold tensors" in refusal({"a": {"w": torch.rand(1)}, "b": {"w": torch.rand(1)}}, tmp_path)
