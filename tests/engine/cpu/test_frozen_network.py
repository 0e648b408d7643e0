"""Networks arranged for inference compute the same."""

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from s4mi.engine.cpu.frozen_network import frozen_network, input_dtype
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
@pytest.mark.parametrize(("dtype", "least"), [(torch.float32, 1 - 1e-6), (torch.bfloat16, 0.999)])
@torch.inference_mode()
def test_the_features_are_those_of_the_plain_network(name: str, dtype: torch.dtype, least: float) -> None:
    network = network_of(name)
    arranged = frozen_network(network, dtype, image_size=64, batch=4)
    assert arranged is not network
    images = torch.rand(5, 3, 64, 64)
    features = arranged(images.to(input_dtype(arranged))).float()
    assert F.cosine_similarity(features, network(images)).min() >= least


def test_the_network_itself_is_left_as_it_was() -> None:
    network = network_of("test_vit")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    frozen_network(network, torch.bfloat16, image_size=64, batch=4)
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
    assert frozen_network(network, torch.bfloat16, image_size=8, batch=2) is network


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
