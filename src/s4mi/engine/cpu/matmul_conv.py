"""Convolutions of small maps as matrix products, which a CPU does up to five times as fast.

    y[k] = Σᵢ x[s k + i - a] Wᵢᵀ        over the pixels i of the filters, where s k + i - a is in the image;
                                        k: place, s: stride, a: padding, Wᵢ: what all filters have at pixel i

Deep layers have many filters and, of the images that few cores are trained on, maps of a few pixels: a convolution then
moves its weights about for longer than it multiplies by them, and most of what they are multiplied by is padding. A
product for each pixel of the filters reads the weights where they lie and leaves the padding out. The same numbers are
added up, in another order (docs/decisions/0016).
"""

from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

PLACES = 16
"""Places of a map of answers up to which a product is faster; measured from 2×2 to 14×14, 32 to 512 filters."""
PLACES_OF_POINTS = 49
"""The same of filters of one pixel, which are one product."""
WEIGHTS = 2**18
"""Weights of a layer from which that is so."""
ALL = slice(None)


def speed_up_small_maps(module: nn.Module) -> None:
    """Let the layers of a module choose; its weights, their names and what it computes stay what they are.

    For CPUs. Layers of a class derived from `nn.Conv2d` are left alone, since they may compute something else.
    """
    for name, child in module.named_children():
        if type(child) is nn.Conv2d and _fits(child):
            module.add_module(name, SmallMapConv2d(child))
        else:
            speed_up_small_maps(child)


@final
class SmallMapConv2d(nn.Conv2d):
    """A convolution that is a matrix product where the map of answers is small: (B, C, H, W) → (B, K, h, w)."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,  # type: ignore[arg-type]
            layer.stride,  # type: ignore[arg-type]
            layer.padding,  # type: ignore[arg-type]
            bias=layer.bias is not None,
            device="meta",  # it gets the layer's weights
        )
        self.weight, self.bias = layer.weight, layer.bias
        self.train(layer.training)

    def forward(self, input: Tensor) -> Tensor:
        plain = input.dtype == self.weight.dtype and not torch.is_autocast_enabled(input.device.type)
        if not plain or input.ndim != 4 or not self._small(input):
            return super().forward(input)
        if self.kernel_size == (1, 1):
            seen = input[:, :, :: self.stride[0], :: self.stride[1]].permute(0, 2, 3, 1)
            points = F.linear(_rows(seen), self.weight.flatten(1), self.bias)
            return points.view(*seen.shape[:3], -1).permute(0, 3, 1, 2)
        y: Tensor = _Product.apply(input, self.weight, self.stride, self.padding)
        return y if self.bias is None else y + self.bias[:, None, None]

    def _small(self, x: Tensor) -> bool:
        h, w = _places(x, self.weight, self.stride, self.padding)  # type: ignore[arg-type]
        return 0 < h * w <= (PLACES_OF_POINTS if self.kernel_size == (1, 1) else PLACES)


class _Product(torch.autograd.Function):
    """(B, C, H, W), (K, C, p, q) → (B, K, h, w), channels last in memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.taps = _taps(x, weight, stride, padding)
        of_x = x.permute(0, 2, 3, 1)
        y = of_x.new_zeros(len(x), *_places(x, weight, stride, padding), len(weight))
        for tap in ctx.taps:
            seen = of_x[tap.seen]
            y[tap.by] += (_rows(seen) @ weight[tap.at].t()).view(*seen.shape[:3], -1)
        return y.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        of_x, of_y = x.permute(0, 2, 3, 1), gradient.permute(0, 2, 3, 1)
        to_x = of_x.new_zeros(of_x.shape) if ctx.needs_input_grad[0] else None
        met_by_all = len(ctx.taps) == weight.shape[2] * weight.shape[3]
        fresh = torch.empty_like if met_by_all else torch.zeros_like
        to_weight = fresh(weight) if ctx.needs_input_grad[1] else None
        for tap in ctx.taps:
            rows, seen = _rows(of_y[tap.by]), of_x[tap.seen]
            if to_weight is not None:
                torch.mm(rows.t(), _rows(seen), out=to_weight[tap.at])
            if to_x is not None:
                to_x[tap.seen] += (rows @ weight[tap.at]).view(seen.shape)
        return None if to_x is None else to_x.permute(0, 3, 1, 2), to_weight, None, None


class _Tap(NamedTuple):
    """One pixel (i, j) of the filters, and where it falls on the image rather than on its padding."""

    at: tuple[slice, slice, int, int]
    """Of the weights, (K, C, p, q): those of this pixel, (K, C)."""
    seen: tuple[slice, slice, slice]
    """Of x, (B, H, W, C): what it is multiplied by."""
    by: tuple[slice, slice, slice]
    """Of y, (B, h, w, K): the places that see it."""


def _taps(x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> list[_Tap]:
    """Those that see any of the image."""
    sides = zip(x.shape[2:], weight.shape[2:], _places(x, weight, stride, padding), stride, padding, strict=True)
    down, across = (_falls(*side) for side in sides)
    return [
        _Tap(at=(ALL, ALL, i, j), seen=(ALL, rows, columns), by=(ALL, to_rows, to_columns))
        for i, rows, to_rows in down
        for j, columns, to_columns in across
    ]


def _falls(size: int, filter_size: int, places: int, step: int, around: int) -> list[tuple[int, slice, slice]]:
    """Along one side, for each pixel i of the filter: which pixels of the image it meets, and at which places.

    Place k has it on pixel step k + i - around.
    """
    falls = []
    for i in range(filter_size):
        first, last = max(0, -((i - around) // step)), min(places - 1, (size - 1 - i + around) // step)
        if first <= last:
            start = step * first + i - around
            falls.append((i, slice(start, step * last + i - around + 1, step), slice(first, last + 1)))
    return falls


def _rows(places: Tensor) -> Tensor:
    """(B, h, w, C) → (B h w, C)."""
    return places.reshape(-1, places.shape[-1])


def _fits(layer: nn.Conv2d) -> bool:
    """Whether it has enough weights, and neither groups, nor holes, nor a padding that is not zeros."""
    return (
        layer.groups == 1
        and layer.dilation == (1, 1)
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
        and (layer.kernel_size != (1, 1) or layer.padding == (0, 0))
        and layer.weight.numel() >= WEIGHTS
    )


def _places(x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the map of answers."""
    height, width = (
        (side + 2 * around - filter_side) // step + 1
        for side, around, filter_side, step in zip(x.shape[2:], padding, weight.shape[2:], stride, strict=True)
    )
    return height, width
