from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from s4mi.engine.cpu.matmul_conv import MAX_POSITIONS, MAX_POSITIONS_1X1, SmallMapConv2d, speed_up_small_maps
from s4mi.engine.cpu.optimise import optimise_for_device

CPU = torch.device("cpu")


def both(layer: nn.Conv2d) -> tuple[nn.Conv2d, SmallMapConv2d]:
    """A layer, and its faster equivalent with a copy of its weights."""
    return layer, SmallMapConv2d(deepcopy(layer))


def outputs_of(layer: nn.Conv2d, images: Tensor) -> list[Tensor]:
    """The output and all gradients."""
    x = images.clone().requires_grad_()
    y = layer(x)
    (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape)).sum().backward()
    assert x.grad is not None
    return [y.detach(), x.grad, *(parameter.grad for parameter in layer.parameters() if parameter.grad is not None)]


@settings(max_examples=60, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    bias=st.booleans(),
    last=st.booleans(),
)
def test_outputs_and_gradients_equal_those_of_a_convolution(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    size: tuple[int, int],
    bias: bool,
    last: bool,
) -> None:
    if any(side + 2 * pad < extent for side, pad, extent in zip(size, padding, kernel, strict=True)):
        return
    if kernel == (1, 1):
        padding = (0, 0)
    torch.manual_seed(0)
    layer, quick = both(nn.Conv2d(3, 4, kernel, stride, padding, bias=bias).double())
    images = torch.rand(2, 3, *size, dtype=torch.float64)
    if last:
        images = images.contiguous(memory_format=torch.channels_last)
    for expected, got in zip(outputs_of(layer, images), outputs_of(quick, images), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("kernel", "limit"), [(3, MAX_POSITIONS), (1, MAX_POSITIONS_1X1)])
def test_only_small_outputs_use_matrix_products(kernel: int, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = SmallMapConv2d(nn.Conv2d(3, 4, kernel, padding=kernel // 2))
    sides = []
    plain = nn.Conv2d.forward
    monkeypatch.setattr(nn.Conv2d, "forward", lambda self, x: (sides.append(x.shape[-1]), plain(self, x))[1])
    largest = int(limit**0.5)
    for side in (1, largest, largest + 1, 20):
        assert layer(torch.rand(1, 3, side, side)).shape == (1, 4, side, side)
    assert sides == [largest + 1, 20]


def test_autocast_uses_the_convolution() -> None:
    layer = SmallMapConv2d(nn.Conv2d(3, 4, 3, padding=1))
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.rand(1, 3, 2, 2)).dtype == torch.bfloat16


def test_an_empty_output_is_refused_as_by_torch() -> None:
    with pytest.raises(RuntimeError, match="Kernel size can't be greater"):
        SmallMapConv2d(nn.Conv2d(3, 4, 3))(torch.rand(1, 3, 2, 2))


class Own(nn.Conv2d):
    """A layer that computes something else."""


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 256, 3, stride=2, padding=1),
        nn.Sequential(nn.Conv2d(256, 256, 3, padding=1, bias=False), nn.BatchNorm2d(256), nn.ReLU()),
        nn.Conv2d(256, 1024, 1),
        nn.Conv2d(1024, 1024, 3, padding=1, groups=4),
        nn.Conv2d(1024, 64, 3, padding=2, dilation=2),
        nn.Conv2d(64, 512, 3, padding="same"),
        nn.Conv2d(512, 64, 3, padding=1, padding_mode="reflect"),
        Own(64, 512, 3, padding=1),
    )


def test_only_large_plain_layers_are_replaced_and_parameters_keep_their_names() -> None:
    net, same = network(), network()
    speed_up_small_maps(net)
    assert [name for name, layer in net.named_modules() if isinstance(layer, SmallMapConv2d)] == ["1.0", "2"]
    before, after = same.state_dict(), net.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_network_trains_as_before_and_its_copies_too() -> None:
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    losses = []
    for optimised in (False, True):
        net = network()
        if optimised:
            optimise_for_device(net, CPU)
            net = deepcopy(net)
            assert isinstance(net[2], SmallMapConv2d)
        optimizer, curve = torch.optim.SGD(net.parameters(), lr=0.1), []
        for _ in range(4):
            optimizer.zero_grad()
            loss = net(images).square().mean()
            loss.backward()
            optimizer.step()
            curve.append(loss.item())
        losses.append(curve)
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert losses[0][-1] < losses[0][0]
