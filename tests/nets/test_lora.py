"""LoRA starts as the frozen network, changes what it should, and can be merged."""

import copy
from typing import Any

import pytest
import timm
import torch
from torch import nn

from s4mi.errors import S4miError
from s4mi.nets.backbone import Backbone
from s4mi.nets.lora import add_lora, merge_lora

SIZE = 32


def images(count: int = 2, size: int = SIZE) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def adapted(name: str, *, size: int = SIZE, rank: int = 3, alpha: float = 6) -> tuple[Backbone, Backbone]:
    """A network, and a copy of it with LoRA."""
    torch.manual_seed(0)
    frozen = Backbone(name, image_size=size).eval()
    net = copy.deepcopy(frozen)
    add_lora(net, name=name, rank=rank, alpha=alpha, image_size=size)
    return frozen, net


def train(net: nn.Module, *, size: int = SIZE, steps: int = 3) -> None:
    optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=0.05, weight_decay=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        net(images(size=size)).square().sum().backward()
        optimizer.step()


@pytest.mark.parametrize("name", ["tiny_vit", "tiny_swin", "tiny_resnet"])
def test_before_training_it_is_the_frozen_network_to_the_bit(name: str) -> None:
    frozen, net = adapted(name)
    assert torch.equal(frozen(images()), net.eval()(images()))
    assert all("lora_" in each for each, p in net.named_parameters() if p.requires_grad)


@pytest.mark.parametrize("name", ["tiny_vit", "tiny_swin", "tiny_resnet"])
def test_merged_weights_give_the_same_features(name: str) -> None:
    frozen, net = adapted(name)
    train(net.eval())
    trained = net(images())
    assert not torch.allclose(trained, frozen(images()), atol=1e-3)
    merge_lora(net)
    torch.testing.assert_close(net(images()), trained, atol=1e-5, rtol=1e-5)
    assert net.state_dict().keys() == frozen.state_dict().keys()
    assert not any("lora" in type(module).__module__ for module in net.modules())


@torch.no_grad()
def test_the_update_of_a_projection_is_alpha_over_rank_times_b_a_for_queries_and_values() -> None:
    frozen, net = adapted("tiny_vit", rank=3, alpha=6)
    with torch.enable_grad():
        train(net.eval())
    before, layer = frozen.net.blocks[1].attn.qkv, net.net.blocks[1].attn.qkv
    a, b = layer.lora_A.default.weight.clone(), layer.lora_B.default.weight.clone()
    assert (a.shape, b.shape) == ((3, 96), (288, 3))
    q, k, v = b.chunk(3)
    assert q.abs().max() > 0
    assert torch.equal(k, torch.zeros(96, 3))  # the keys' rows never change
    assert v.abs().max() > 0
    merge_lora(net)
    torch.testing.assert_close(net.net.blocks[1].attn.qkv.weight, before.weight + 6 / 3 * b @ a)
    assert torch.equal(net.net.blocks[1].attn.qkv.weight[96:192], before.weight[96:192])
    assert torch.equal(net.net.blocks[1].mlp.fc1.weight, frozen.net.blocks[1].mlp.fc1.weight)


@torch.no_grad()
def test_the_update_of_a_1x1_convolution_is_that_of_a_linear_layer_on_each_pixel() -> None:
    frozen, net = adapted("tiny_resnet", rank=2, alpha=2)
    with torch.enable_grad():
        train(net.eval())
    name = next(name for name, module in frozen.net.named_modules() if getattr(module, "kernel_size", 0) == (1, 1))
    before, layer = frozen.net.get_submodule(name), net.net.get_submodule(name)
    b_a = layer.lora_B.default.weight.flatten(1) @ layer.lora_A.default.weight.flatten(1)
    merge_lora(net)
    torch.testing.assert_close(net.net.get_submodule(name).weight.flatten(1), before.weight.flatten(1) + b_a)


def test_attention_ordered_by_head_is_adapted_as_a_whole() -> None:
    net = timm.create_model("tiny_vit_5m_224", num_classes=0, embed_dims=(8, 16, 24, 32), num_heads=(1, 1, 2, 2))
    add_lora(net, name="tiny_vit_5m_224", rank=2, alpha=2, image_size=224)
    train(net.eval(), size=224)
    b = next(p for name, p in net.named_parameters() if "lora_B" in name and p.requires_grad)
    assert (b.abs().sum(dim=1) > 0).all()


def test_a_network_that_does_not_call_its_layers_is_refused() -> None:
    net: Any = timm.models.Beit(
        img_size=32, patch_size=16, embed_dim=24, depth=1, num_heads=2, num_classes=0, qkv_bias=True
    )
    with pytest.raises(S4miError, match=r"no effect on 'beit'.*last_blocks"):
        add_lora(net, name="beit", rank=2, alpha=2, image_size=32)


def test_a_network_without_such_layers_is_refused() -> None:
    with pytest.raises(S4miError, match="'plain' has no attention, 1×1 convolution or linear layer"):
        add_lora(nn.Sequential(nn.Conv2d(3, 4, 3)), name="plain", rank=2, alpha=2, image_size=SIZE)
