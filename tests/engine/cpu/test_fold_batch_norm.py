"""Folded networks have the same outputs; networks that would not are restored."""

import pytest
import torch
from torch import Tensor, nn

from s4mi.engine.cpu.fold_batch_norm import fold_batch_norm
from s4mi.nets.backbone import tiny_resnet


def randomised(network: nn.Module) -> nn.Module:
    """The network in evaluation mode, with random batch-norm statistics and parameters."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_mean, module.weight.data, module.bias.data):
                values.copy_(torch.randn(values.shape, generator=generator) * 0.3 + 0.5)
            module.running_var.copy_(torch.rand(module.running_var.shape, generator=generator) + 0.5)
    return network.eval()


def images() -> Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["tiny_resnet", "tf_efficientnet_lite0", "mobilenetv3_small_100"])
def test_a_folded_network_has_the_same_outputs_without_normalisation(name: str) -> None:
    import timm

    network = randomised(tiny_resnet() if name == "tiny_resnet" else timm.create_model(name, num_classes=3))
    count = sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    with torch.inference_mode():
        before = network(images())
    assert fold_batch_norm(network, network, images()) == count > 0
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    with torch.inference_mode():
        after = network(images())
    assert (after - before).abs().max() <= 1e-4 * max(1.0, float(before.abs().max()))


class Crossed(nn.Module):
    """Normalises before it convolves, unlike the order of its modules."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.conv(self.norm(images))
        return out


def test_a_network_that_calls_its_modules_in_another_order_is_restored() -> None:
    network = randomised(Crossed())
    conv, norm = network.conv, network.norm
    assert fold_batch_norm(network, network, images()) == 0
    assert network.conv is conv
    assert network.norm is norm


def test_a_shared_module_is_not_folded() -> None:
    conv = nn.Conv2d(3, 3, 3, padding=1)
    network = randomised(nn.Sequential(conv, nn.BatchNorm2d(3), nn.ReLU(), conv, nn.BatchNorm2d(3)))
    assert fold_batch_norm(network, network, images()) == 0


def test_networks_without_normalisation_or_in_training_mode_are_not_folded() -> None:
    assert fold_batch_norm(nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3), images()) == 0
    network = nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)).train()
    assert fold_batch_norm(network, network, images()) == 0
