"""Batch normalisation of few channels, with a backward pass that is up to ten times as fast on a CPU.

    ∂w    Σ g x̂          over the images and pixels of a channel;  x̂ = (x - μ) / σ, g: gradient of the output
    ∂b    Σ g
    ∂x    w/σ (g - ∂b/M - x̂ ∂w/M)                                  M: values of a channel

In channels-last layout, torch sums the channels of one pixel at a time, which in the last layers of a U-Net are fewer
than a vector register holds. Here, several adjacent pixels are treated as one pixel with that many more channels, whose
sums are then added up. The sums are the same, in another order (docs/decisions/0018).
"""

from math import gcd
from typing import Any, final

import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from s4mi.engine.batch_norm import ReplacedBatchNorm

CHANNEL_MULTIPLE = 32
"""Adjacent pixels are grouped to a multiple of this many channels: two AVX-512 registers in single precision."""
REGISTER = 16
"""Torch is as fast if the number of channels is a multiple of this,"""
MAX_CHANNELS = 32
"""or at least this."""
MIN_VALUES = 2**16
"""Size of a feature map below which the overhead of several calls exceeds the gain."""


def speed_up_narrow_batch_norm(module: nn.Module) -> None:
    """Replace batch normalisation of few channels within a module by a faster equivalent for CPUs.

    Only the classes of torch and timm are replaced, since subclasses may compute something else.
    """
    for name, child in module.named_children():
        if type(child) in (nn.BatchNorm2d, BatchNormAct2d) and _is_narrow(child):  # type: ignore[arg-type]
            module.add_module(name, NarrowBatchNorm(child))  # type: ignore[arg-type]
        else:
            speed_up_narrow_batch_norm(child)


@final
class NarrowBatchNorm(ReplacedBatchNorm, nn.BatchNorm2d):
    """Batch normalisation of (B, C, H, W) for small C that groups adjacent pixels in the backward pass."""

    def _normalised(self, x: Tensor) -> Tensor:
        if not (self.training and torch.is_grad_enabled() and self._can_group(x)):
            return super()._normalised(x)
        y: Tensor = _Narrow.apply(
            x, self.weight, self.bias, self.running_mean, self.running_var, self._count_batch(), self.eps
        )
        return y

    def _can_group(self, x: Tensor) -> bool:
        return (
            x.dtype == self.weight.dtype
            and x.numel() >= MIN_VALUES
            and x.is_contiguous(memory_format=torch.channels_last)
            and x.numel() % (x.shape[1] * _group_size(x.shape[1])) == 0
        )


class _Narrow(torch.autograd.Function):
    """(B, C, H, W) → (B, C, H, W) in channels-last layout; updates the running statistics."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        momentum: float,
        eps: float,
    ) -> Tensor:
        y, mean, scale = torch.native_batch_norm(x, weight, bias, running_mean, running_var, True, momentum, eps)
        ctx.save_for_backward(x, weight, mean, scale)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale = ctx.saved_tensors
        group, count = _group_size(x.shape[1]), x.numel() // x.shape[1]
        g, grouped_x = _rows(gradient, group), _rows(x, group)
        grouped_weight, grouped_mean, grouped_scale = (each.repeat(group) for each in (weight, mean, scale))
        _, grad_weight, grad_bias = torch.ops.aten.native_batch_norm_backward(
            g, grouped_x, grouped_weight, None, None, grouped_mean, grouped_scale, True, 0.0, [False, True, True]
        )
        grad_weight, grad_bias = (each.view(group, -1).sum(dim=0) for each in (grad_weight, grad_bias))
        grad_x = None
        if ctx.needs_input_grad[0]:  # linear in g and x: ∂x = factor_g g + factor_x x + constant
            factor_g = weight * scale
            factor_x = -factor_g * scale * grad_weight / count
            constant = -factor_g * grad_bias / count - factor_x * mean
            rows = torch.addcmul(constant.repeat(group), g, factor_g.repeat(group))
            rows.addcmul_(grouped_x, factor_x.repeat(group))
            grad_x = rows.view(x.permute(0, 2, 3, 1).shape).permute(0, 3, 1, 2)
        return grad_x, grad_weight, grad_bias, None, None, None, None


def _rows(x: Tensor, group: int) -> Tensor:
    """(B, C, H, W) → (B H W / n, n C): rows of n adjacent pixels."""
    return x.permute(0, 2, 3, 1).reshape(-1, group * x.shape[1])


def _group_size(channels: int) -> int:
    """Number of adjacent pixels to group."""
    return CHANNEL_MULTIPLE // gcd(CHANNEL_MULTIPLE, channels)


def _is_narrow(layer: nn.BatchNorm2d) -> bool:
    """Whether a layer has few channels, trainable parameters and running statistics."""
    narrow = layer.num_features < MAX_CHANNELS and layer.num_features % REGISTER != 0
    return narrow and layer.affine and layer.track_running_stats
