"""Batch normalisation that groups pixels equals torch's: forward, backward and running statistics."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from s4mi.engine.cpu import narrow_batch_norm
from s4mi.engine.cpu.fold_batch_norm import fold_batch_norm
from s4mi.engine.cpu.narrow_batch_norm import MIN_VALUES, NarrowBatchNorm, speed_up_narrow_batch_norm
from s4mi.engine.cpu.optimise import optimise_for_device

CPU = torch.device("cpu")


@pytest.fixture
def grouped(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Channels of each layer whose backward pass grouped pixels."""
    channels: list[int] = []
    backward = narrow_batch_norm._Narrow.backward

    def recorded(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        channels.append(gradient.shape[1])
        gradients: tuple[Tensor | None, ...] = backward(ctx, gradient)
        return gradients

    monkeypatch.setattr(narrow_batch_norm._Narrow, "backward", staticmethod(recorded))
    return channels


def narrow(layer: nn.BatchNorm2d) -> nn.Module:
    """The layer as `optimise_for_device` leaves it."""
    holder = nn.Sequential(deepcopy(layer))
    speed_up_narrow_batch_norm(holder)
    return holder[0]


def maps(channels: int, side: int = 64, images: int = 2) -> Tensor:
    draws = torch.Generator().manual_seed(0)
    x = 3 + 5 * torch.randn(images, channels, side, side, generator=draws, dtype=torch.float64)
    return x.contiguous(memory_format=torch.channels_last)


def outputs_of(layer: nn.Module, x: Tensor, *, channels_first: bool = False) -> dict[str, Tensor]:
    """Output, gradients and state after two forward passes, one backward pass and one pass in evaluation mode."""
    x = x.clone().requires_grad_(True)
    layer(x.detach() * 2)
    y = layer(x)
    gradient = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=y.dtype)
    if not channels_first:
        gradient = gradient.contiguous(memory_format=torch.channels_last)
    y.backward(gradient)
    assert x.grad is not None
    gradients = {f"to {name}": weight.grad for name, weight in layer.named_parameters() if weight.grad is not None}
    return {"y": y.detach(), "to x": x.grad, "seen": layer.eval()(x).detach(), **gradients, **layer.state_dict()}


def layer_of(channels: int, kind: str = "plain") -> nn.BatchNorm2d:
    torch.manual_seed(0)
    layers: dict[str, nn.BatchNorm2d] = {
        "plain": nn.BatchNorm2d(channels),
        "activated": BatchNormAct2d(channels),
        "cumulative": nn.BatchNorm2d(channels, momentum=None),
    }
    layer = layers[kind].double()
    nn.init.uniform_(layer.weight, 0.5, 1.5)
    nn.init.uniform_(layer.bias)
    return layer


@pytest.mark.parametrize("kind", ["plain", "activated", "cumulative"])
@pytest.mark.parametrize("channels_first", [True, False])
def test_equals_torch(kind: str, channels_first: bool, grouped: list[int]) -> None:
    layer, x = layer_of(8, kind), maps(8)
    expected = outputs_of(deepcopy(layer), x, channels_first=channels_first)
    got = outputs_of(narrow(layer), x, channels_first=channels_first)
    assert grouped == [8], "pixels were grouped once"
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, rtol=1e-10, atol=1e-10)


@settings(max_examples=40, deadline=None)
@given(channels=st.integers(1, 31), images=st.integers(1, 3), side=st.integers(1, 40))
def test_any_number_of_channels_and_pixels(channels: int, images: int, side: int) -> None:
    if images * side * side < 2:  # torch requires more than one value per channel
        return
    layer, x = layer_of(channels), maps(channels, side, images)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(narrow_batch_norm, "MIN_VALUES", 0)  # or torch would handle most of these maps
        expected, got = outputs_of(deepcopy(layer), x), outputs_of(narrow(layer), x)
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, rtol=1e-8, atol=1e-8)


def test_single_precision_is_as_accurate_as_torch(grouped: list[int]) -> None:
    exact = outputs_of(layer_of(8), maps(8))
    layer, x = layer_of(8).float(), maps(8).float().contiguous(memory_format=torch.channels_last)
    torchs, ours = outputs_of(deepcopy(layer), x), outputs_of(narrow(layer), x)
    assert grouped
    for name in ("to x", "to weight", "to bias"):
        largest = float(exact[name].abs().max())
        torch_error, error = (
            float((each[name].double() - exact[name]).abs().max()) / largest for each in (torchs, ours)
        )
        assert error <= max(2 * torch_error, 1e-6)


def test_parameters_get_gradients_if_the_input_needs_none(grouped: list[int]) -> None:
    layer, x = narrow(layer_of(8)), maps(8)
    layer(x).square().sum().backward()
    assert grouped == [8]
    assert all(weight.grad is not None for weight in layer.parameters())


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.BatchNorm2d(16), "torch is as fast"),
        (nn.BatchNorm2d(40), "many channels"),
        (nn.BatchNorm2d(8, affine=False), "no parameters"),
        (nn.BatchNorm2d(8, track_running_stats=False), "no running statistics"),
        (nn.BatchNorm1d(8), "no maps"),
        (nn.GroupNorm(2, 8), "another layer"),
    ],
)
def test_other_layers_are_not_replaced(layer: nn.Module, reason: str) -> None:
    holder = nn.Sequential(layer)
    speed_up_narrow_batch_norm(holder)
    assert holder[0] is layer, reason


def test_torch_handles_small_maps_and_other_layouts(grouped: list[int]) -> None:
    layer = narrow(layer_of(8))
    small = maps(8, side=4)
    assert small.numel() < MIN_VALUES <= maps(8, side=45, images=5).numel()
    odd = maps(8, side=45, images=5)  # 10,125 pixels are not a multiple of the four per group
    for x in (small, odd, maps(8).contiguous()):
        layer(x.clone().requires_grad_(True)).sum().backward()
    with torch.no_grad():
        layer(maps(8))
    layer.eval()(maps(8).requires_grad_(True)).sum().backward()
    assert not grouped


def test_it_is_used_on_a_cpu_and_parameters_keep_their_names() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
    names = set(network.state_dict())
    optimise_for_device(network, CPU)
    assert isinstance(network[1], NarrowBatchNorm)
    assert set(network.state_dict()) == names


def test_it_is_folded_like_any_batch_normalisation() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
    optimise_for_device(network, CPU)
    with torch.no_grad():
        network(torch.rand(4, 3, 16, 16))
    images = torch.rand(2, 3, 16, 16)
    assert fold_batch_norm(network.eval(), lambda x: network(x), images) == 1
