"""Matmul convolution: convolutions of small feature maps as matrix products, up to five times as fast on a CPU.

    y[k] = Σᵢ x[s k + i - a] Wᵢᵀ        over the kernel positions i for which s k + i - a lies in the input;
                                        k: output position, s: stride, a: padding, Wᵢ: weights (K, C) at position i

Deep layers have many filters and, for the image sizes used on few cores, feature maps of a few pixels. A convolution
then spends more time on reordering its weights than on multiplying, mostly by padding. One product per kernel position
reads the weights in place and skips the padding. The sums are the same, in another order (docs/decisions/0016).
"""

from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

MAX_POSITIONS = 16
"""Largest output, in positions h·w, for which products are faster; measured for 2×2 to 14×14 and 32 to 512 filters."""
MAX_POSITIONS_1X1 = 49
"""The same for 1×1 kernels, which need a single product."""
MIN_WEIGHTS = 2**18
"""Least number of weights of a layer for which products are faster."""
ALL = slice(None)


def speed_up_small_maps(module: nn.Module) -> None:
    """Replace large convolutions within a module by `SmallMapConv2d`, with the same parameters, names and outputs.

    For CPUs. Subclasses of `nn.Conv2d` are not replaced, since they may compute something else.
    """
    for name, child in module.named_children():
        if type(child) is nn.Conv2d and _is_supported(child):
            module.add_module(name, SmallMapConv2d(child))
        else:
            speed_up_small_maps(child)


@final
class SmallMapConv2d(nn.Conv2d):
    """A convolution, (B, C, H, W) → (B, K, h, w), that uses matrix products where the output is small."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,  # type: ignore[arg-type]
            layer.stride,  # type: ignore[arg-type]
            layer.padding,  # type: ignore[arg-type]
            bias=layer.bias is not None,
            device="meta",  # replaced by the weights of the layer
        )
        self.weight, self.bias = layer.weight, layer.bias
        self.train(layer.training)

    def forward(self, input: Tensor) -> Tensor:
        plain = input.dtype == self.weight.dtype and not torch.is_autocast_enabled(input.device.type)
        if not plain or input.ndim != 4 or not self._output_is_small(input):
            return super().forward(input)
        if self.kernel_size == (1, 1):
            strided = input[:, :, :: self.stride[0], :: self.stride[1]].permute(0, 2, 3, 1)
            rows = F.linear(_rows(strided), self.weight.flatten(1), self.bias)
            return rows.view(*strided.shape[:3], -1).permute(0, 3, 1, 2)
        y: Tensor = _Product.apply(input, self.weight, self.stride, self.padding)
        return y if self.bias is None else y + self.bias[:, None, None]

    def _output_is_small(self, x: Tensor) -> bool:
        h, w = _output_size(x, self.weight, self.stride, self.padding)  # type: ignore[arg-type]
        return 0 < h * w <= (MAX_POSITIONS_1X1 if self.kernel_size == (1, 1) else MAX_POSITIONS)


class _Product(torch.autograd.Function):
    """(B, C, H, W), (K, C, p, q) → (B, K, h, w), in channels-last layout."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.taps = _taps(x, weight, stride, padding)
        last_x = x.permute(0, 2, 3, 1)  # channels last
        y = last_x.new_zeros(len(x), *_output_size(x, weight, stride, padding), len(weight))
        for tap in ctx.taps:
            pixels = last_x[tap.input]
            y[tap.output] += (_rows(pixels) @ weight[tap.weight].t()).view(*pixels.shape[:3], -1)
        return y.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        last_x, last_gradient = x.permute(0, 2, 3, 1), gradient.permute(0, 2, 3, 1)
        grad_x = last_x.new_zeros(last_x.shape) if ctx.needs_input_grad[0] else None
        all_written = len(ctx.taps) == weight.shape[2] * weight.shape[3]
        allocate = torch.empty_like if all_written else torch.zeros_like
        grad_weight = allocate(weight) if ctx.needs_input_grad[1] else None
        for tap in ctx.taps:
            rows, pixels = _rows(last_gradient[tap.output]), last_x[tap.input]
            if grad_weight is not None:
                torch.mm(rows.t(), _rows(pixels), out=grad_weight[tap.weight])
            if grad_x is not None:
                grad_x[tap.input] += (rows @ weight[tap.weight]).view(pixels.shape)
        return None if grad_x is None else grad_x.permute(0, 3, 1, 2), grad_weight, None, None


class _Tap(NamedTuple):
    """A kernel position (i, j), with the input and output positions that it connects, without padding."""

    weight: tuple[slice, slice, int, int]
    """Index into the weights (K, C, p, q), selecting (K, C)."""
    input: tuple[slice, slice, slice]
    """Index into the input (B, H, W, C)."""
    output: tuple[slice, slice, slice]
    """Index into the output (B, h, w, K)."""


def _taps(x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> list[_Tap]:
    """Return the kernel positions that cover at least one input pixel."""
    sides = zip(x.shape[2:], weight.shape[2:], _output_size(x, weight, stride, padding), stride, padding, strict=True)
    down, across = (_overlaps(*side) for side in sides)
    return [
        _Tap(weight=(ALL, ALL, i, j), input=(ALL, rows, columns), output=(ALL, out_rows, out_columns))
        for i, rows, out_rows in down
        for j, columns, out_columns in across
    ]


def _overlaps(size: int, kernel: int, outputs: int, stride: int, padding: int) -> list[tuple[int, slice, slice]]:
    """Return the input and output positions along one side that each kernel position i connects, if any.

    Output position k reads input position stride k + i - padding.
    """
    overlaps = []
    for i in range(kernel):
        first, last = max(0, -((i - padding) // stride)), min(outputs - 1, (size - 1 - i + padding) // stride)
        if first <= last:
            start = stride * first + i - padding
            overlaps.append((i, slice(start, stride * last + i - padding + 1, stride), slice(first, last + 1)))
    return overlaps


def _rows(x: Tensor) -> Tensor:
    """(B, h, w, C) → (B h w, C)."""
    return x.reshape(-1, x.shape[-1])


def _is_supported(layer: nn.Conv2d) -> bool:
    """Whether a layer is large, without groups and dilation, and padded with zeros."""
    return (
        layer.groups == 1
        and layer.dilation == (1, 1)
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
        and (layer.kernel_size != (1, 1) or layer.padding == (0, 0))
        and layer.weight.numel() >= MIN_WEIGHTS
    )


def _output_size(x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> tuple[int, int]:
    """Return height and width of the output."""
    height, width = (
        (side + 2 * pad - kernel) // step + 1
        for side, pad, kernel, step in zip(x.shape[2:], padding, weight.shape[2:], stride, strict=True)
    )
    return height, width
