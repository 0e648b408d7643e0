"""A copy of a network that computes in bfloat16: close to the network, which stays as it is."""

import copy

import pytest
import torch
from torch import Tensor, nn

from s4mi.engine.cpu import bfloat16
from s4mi.engine.cpu.bfloat16 import gains_from_bfloat16, in_bfloat16
from s4mi.nets.backbone import Backbone
from s4mi.nets.smp_net import SmpNet


class Headed(nn.Module):
    """A backbone and its head."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.backbone = Backbone(name, image_size=64)
        self.head = nn.Linear(self.backbone.features, 3)

    def logits(self, images: Tensor) -> Tensor:
        z: Tensor = self.head(self.backbone(images))
        return z


class Unet(nn.Module):
    """A small U-Net."""

    def __init__(self) -> None:
        super().__init__()
        self.net = SmpNet("tiny_resnet", classes=2, decoder_channels=(32, 16, 8))

    def logits(self, images: Tensor) -> Tensor:
        z: Tensor = self.net(images)
        return z


def _images(count: int = 4) -> Tensor:
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["tiny_resnet", "tiny_vit", "tiny_swin", "unet"])
def test_outputs_are_those_of_float32_to_the_precision_of_bfloat16(name: str) -> None:
    torch.manual_seed(0)
    network = (Unet() if name == "unet" else Headed(name)).eval()
    before = copy.deepcopy(network.state_dict())
    fast = in_bfloat16(network, "logits", _images(2))
    with torch.inference_mode():
        exact, output = network.logits(_images()), fast(_images())
    assert output.dtype == torch.float32
    error = (output - exact).norm() / exact.norm()
    assert 0 < error < 0.02
    assert all(torch.equal(weight, before[key]) for key, weight in network.state_dict().items())


def test_the_last_layer_does_not_round_its_outputs() -> None:
    torch.manual_seed(0)
    network = Headed("tiny_resnet").eval()
    output = in_bfloat16(network, "logits", _images(2))(_images())
    assert not torch.equal(output, output.bfloat16().float())


def test_hooks_of_the_copy_share_what_they_are_told_to() -> None:
    class Taps:
        def __init__(self) -> None:
            self.seen = 0

        def take(self, *_: object) -> None:
            self.seen += 1

    network, taps = Headed("tiny_resnet").eval(), Taps()
    network.backbone.register_forward_hook(taps.take)
    fast = in_bfloat16(network, "logits", _images(2), shared={id(taps): taps})
    seen = taps.seen
    fast(_images(1))
    assert taps.seen == seen + 1


@pytest.mark.parametrize(("flag", "weights", "expected"), [(True, 10, True), (True, 10**9, False), (False, 10, False)])
def test_large_networks_gain_on_processors_with_bfloat16(
    flag: bool, weights: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bfloat16, "has_bfloat16", lambda: flag)
    monkeypatch.setattr(bfloat16, "LEAST_WEIGHTS", weights)
    assert gains_from_bfloat16(nn.Linear(8, 8)) is expected
