"""Convolutions of small maps as one matrix product, which a CPU does two to three times as fast.

    y = cols(x) Wᵀ        cols(x): what each place of y sees of x, a row a place; W: the filters, a row each

Deep layers have many filters and, of the images that few cores are trained on, maps of a few pixels: a convolution then
moves its weights about for longer than it multiplies by them. The same numbers are added up, in another order
(docs/decisions/0016).
"""

from typing import Any, final

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

PLACES = 16
"""Places of a map of answers up to which a product is faster; measured from 2×2 to 14×14, 32 to 512 filters."""
PLACES_OF_POINTS = 49
"""The same of filters of one pixel, which need no `cols`."""
WEIGHTS = 2**18
"""Weights of a layer from which that is so."""


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
            return F.linear(seen, self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)
        y: Tensor = _Product.apply(input, self.weight, self.stride, self.padding)
        return y if self.bias is None else y + self.bias[:, None, None]

    def _small(self, x: Tensor) -> bool:
        h, w = _places(x, self.weight, self.stride, self.padding)  # type: ignore[arg-type]
        return 0 < h * w <= (PLACES_OF_POINTS if self.kernel_size == (1, 1) else PLACES)


class _Product(torch.autograd.Function):
    """(B, C, H, W), (K, C, p, q) → (B, K, h, w), channels last in memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
        count, (height, width) = len(weight), _places(x, weight, stride, padding)
        cols, padded = _cols(x, weight, stride, padding)
        ctx.save_for_backward(x, weight)  # cols is larger than x, which the layer before keeps anyway
        ctx.shapes = padded, (height, width), stride, padding
        return (cols @ _filters(weight).t()).view(len(x), height, width, count).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        padded, (height, width), stride, padding = ctx.shapes
        (down, right), (top, left) = stride, padding
        channels, p, q = weight.shape[1:]
        rows = gradient.permute(0, 2, 3, 1).reshape(len(x) * height * width, -1)
        of_x = of_weight = None
        if ctx.needs_input_grad[1]:
            cols, _ = _cols(x, weight, stride, padding)
            of_weight = (rows.t() @ cols).view(-1, p, q, channels).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[0]:
            windows = (rows @ _filters(weight)).view(len(x), height, width, p, q, channels)
            whole = windows.new_zeros(padded)
            for i in range(p):
                for j in range(q):
                    whole[:, i : i + down * height : down, j : j + right * width : right] += windows[:, :, :, i, j]
            of_x = whole[:, top : top + x.shape[2], left : left + x.shape[3]].permute(0, 3, 1, 2)
        return of_x, of_weight, None, None


def _cols(
    x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> tuple[Tensor, tuple[int, ...]]:
    """(B h w, p q C), what each place of the answer sees, and the shape of (B, H, W, C) with its padding."""
    p, q = weight.shape[2:]
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, padding[1], padding[1], padding[0], padding[0]))
    windows = padded.unfold(1, p, stride[0]).unfold(2, q, stride[1])  # (B, h, w, C, p, q), a view
    return windows.permute(0, 1, 2, 4, 5, 3).reshape(-1, p * q * x.shape[1]), tuple(padded.shape)


def _filters(weight: Tensor) -> Tensor:
    """(K, C, p, q) → (K, p q C), a view where channels come last."""
    return weight.permute(0, 2, 3, 1).reshape(len(weight), -1)


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
