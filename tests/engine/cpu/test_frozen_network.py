"""Networks arranged for inference compute the same."""

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from s4mi.engine.cpu.frozen_network import Arithmetic, frozen_network, input_dtype
from s4mi.engine.cpu.lowered import Converted
from s4mi.engine.cpu.prepacked_linear import PrepackedLinear, prepack_linear

NAMES = {
    "test_vit": {"img_size": 64},
    "test_resnet": {},
    "test_efficientnet": {},
    "test_convnext": {},
}


def network_of(name: str) -> nn.Module:
    torch.manual_seed(0)
    network: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, **NAMES[name])
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("arithmetic", "least"), [("float32", 1 - 1e-6), ("mixed", 0.9999), ("bfloat16", 0.999)])
@torch.inference_mode()
def test_the_features_are_those_of_the_plain_network(name: str, arithmetic: Arithmetic, least: float) -> None:
    network = network_of(name)
    arranged = frozen_network(network, arithmetic, image_size=64, batch=4)
    assert arranged is not network
    images = torch.rand(5, 3, 64, 64)
    features = arranged(images.to(input_dtype(arranged))).float()
    assert F.cosine_similarity(features, network(images)).min() >= least


@pytest.mark.parametrize("arithmetic", ["mixed", "bfloat16"])
@torch.inference_mode()
def test_a_processor_without_the_packed_layout_computes_the_same(
    arithmetic: Arithmetic, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> torch.Tensor:
        raise RuntimeError("mkldnn_reorder_linear_weight: bf16 path needs the cpu support")

    network, images = network_of("test_vit"), torch.rand(5, 3, 64, 64)
    packed = frozen_network(network, arithmetic, image_size=64, batch=4)(images)
    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_linear_weight", refuse)
    arranged = frozen_network(network, arithmetic, image_size=64, batch=4)
    assert arranged is not network
    unpacked = arranged(images)
    assert not torch.equal(unpacked, network(images))
    assert F.cosine_similarity(unpacked, packed).min() >= 0.9999


@torch.inference_mode()
def test_a_mixed_transformer_keeps_its_attention_in_float32() -> None:
    network = network_of("test_vit")
    arranged = frozen_network(network, "mixed", image_size=64, batch=4)
    images = torch.rand(2, 3, 64, 64)
    seen: dict[str, torch.dtype] = {}
    for name, module in arranged.named_modules():
        if name.endswith((".qkv", ".fc1", ".fc2", ".proj")) and isinstance(module, PrepackedLinear):
            module.register_forward_hook(lambda *call, name=name: seen.update({name: call[2].dtype}))
    arranged(images)
    assert seen
    assert all((dtype == torch.float32) == (".attn." in name) for name, dtype in seen.items())


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_efficientnet"])
@torch.inference_mode()
def test_a_mixed_network_of_convolutions_begins_in_float32_and_ends_in_bfloat16(name: str) -> None:
    arranged = frozen_network(network_of(name), "mixed", image_size=64, batch=4)
    assert input_dtype(arranged) == torch.float32
    assert sum(isinstance(module, Converted) for module in arranged.modules()) == 1
    assert arranged(torch.rand(2, 3, 64, 64)).dtype == torch.bfloat16


def test_what_bfloat16_would_change_too_much_is_float32() -> None:
    class Amplifies(nn.Module):
        """Its features are what bfloat16 rounds away, and it does not say where its stages end."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x - x.bfloat16().float()).flatten(1)

    arranged = frozen_network(Amplifies().eval(), "mixed", image_size=8, batch=2)
    images = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(arranged(images), Amplifies()(images))


def test_the_network_itself_is_left_as_it_was() -> None:
    network = network_of("test_vit")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    frozen_network(network, "bfloat16", image_size=64, batch=4)
    torch.testing.assert_close(dict(network.state_dict()), before, rtol=0, atol=0)


def test_a_network_that_cannot_be_arranged_is_returned_itself() -> None:
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 3)
            self.patch_embed = None

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.linear.weight.dtype != torch.float32:
                raise RuntimeError("expected float32")
            return self.linear(x.mean(dim=(2, 3)))  # type: ignore[no-any-return]

    network = Reads().eval()
    assert frozen_network(network, "bfloat16", image_size=8, batch=2) is network


@pytest.mark.parametrize("bias", [True, False])
@torch.inference_mode()
def test_a_prepacked_layer_is_linear(bias: bool) -> None:
    layer = nn.Linear(12, 7, bias=bias)
    packed = PrepackedLinear(layer, torch.float32, rows=10)
    for x in (torch.randn(10, 12), torch.randn(3, 5, 12), torch.randn(1, 12)):
        torch.testing.assert_close(packed(x), layer(x))


@torch.inference_mode()
def test_gelu_is_fused_only_after_fc1() -> None:
    mlp = timm.layers.Mlp(12, 24).eval()
    x = torch.randn(4, 12)
    expected = mlp(x)
    assert prepack_linear(mlp, torch.float32, rows=4) == 2
    assert isinstance(mlp.act, nn.Identity)
    torch.testing.assert_close(mlp(x), expected)
