"""Batch normalisation of few channels, whose way back a CPU does up to ten times as fast when it takes pixels together.

    ∂w    Σ g x̂          over the images and pixels of a channel;  x̂ = (x - μ) / σ, g: gradient of the answer
    ∂b    Σ g
    ∂x    w/σ (g - ∂b/M - x̂ ∂w/M)                                  M: values of a channel

With channels last, torch adds up the channels of a pixel at a time, which are fewer than a register of the processor
holds in a U-Net's last layers. Some pixels that lie side by side are as good as one with so many more channels, whose
sums are then added up. The same numbers are added, in another order (docs/decisions/0018).
"""

from math import gcd
from typing import Any, final

import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from s4mi.engine.batch_norm import ReplacedBatchNorm

TOGETHER = 32
"""Channels that are added up at a time are a multiple of this: two registers of AVX-512, single precision."""
LANES = 16
"""Torch is as fast where the channels are a multiple of this,"""
MOST = 32
"""or as many."""
LEAST = 2**16
"""Values of a map below which calling torch several times costs more than it saves."""


def speed_up_narrow_batch_norm(module: nn.Module) -> None:
    """Let the layers of few channels within a module take pixels together; what they compute stays what it is.

    For CPUs. Layers of other classes than torch's and timm's are left alone, since they may compute something else.
    """
    for name, child in module.named_children():
        if type(child) in (nn.BatchNorm2d, BatchNormAct2d) and _fits(child):  # type: ignore[arg-type]
            module.add_module(name, NarrowBatchNorm(child))  # type: ignore[arg-type]
        else:
            speed_up_narrow_batch_norm(child)


@final
class NarrowBatchNorm(ReplacedBatchNorm, nn.BatchNorm2d):
    """Batch normalisation of (B, C, H, W) that takes pixels together on its way back, where C is small."""

    def _normalised(self, x: Tensor) -> Tensor:
        if not (self.training and torch.is_grad_enabled() and self._suits(x)):
            return super()._normalised(x)
        y: Tensor = _Narrow.apply(
            x, self.weight, self.bias, self.running_mean, self.running_var, self._count_batch(), self.eps
        )
        return y

    def _suits(self, x: Tensor) -> bool:
        return (
            x.dtype == self.weight.dtype
            and x.numel() >= LEAST
            and x.is_contiguous(memory_format=torch.channels_last)
            and x.numel() % (x.shape[1] * _pixels(x.shape[1])) == 0
        )


class _Narrow(torch.autograd.Function):
    """(B, C, H, W) → (B, C, H, W), channels last in memory; the running averages move."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        rate: float,
        eps: float,
    ) -> Tensor:
        y, mean, scale = torch.native_batch_norm(x, weight, bias, running_mean, running_var, True, rate, eps)
        ctx.save_for_backward(x, weight, mean, scale)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale = ctx.saved_tensors
        together, values = _pixels(x.shape[1]), x.numel() // x.shape[1]
        g, seen = _rows(gradient, together), _rows(x, together)
        apart = [one.repeat(together) for one in (weight, mean, scale)]
        _, to_weight, to_bias = torch.ops.aten.native_batch_norm_backward(
            g, seen, apart[0], None, None, apart[1], apart[2], True, 0.0, [False, True, True]
        )
        to_weight, to_bias = (one.view(together, -1).sum(dim=0) for one in (to_weight, to_bias))
        to_x = None
        if ctx.needs_input_grad[0]:
            by_g = weight * scale
            by_x = -by_g * scale * to_weight / values
            rest = -by_g * to_bias / values - by_x * mean
            rows = torch.addcmul(rest.repeat(together), g, by_g.repeat(together))
            rows.addcmul_(seen, by_x.repeat(together))
            to_x = rows.view(x.permute(0, 2, 3, 1).shape).permute(0, 3, 1, 2)
        return to_x, to_weight, to_bias, None, None, None, None


def _rows(x: Tensor, together: int) -> Tensor:
    """(B, C, H, W) → (B H W / n, n C): n pixels beside each other in a row."""
    return x.permute(0, 2, 3, 1).reshape(-1, together * x.shape[1])


def _pixels(channels: int) -> int:
    """How many are taken together."""
    return TOGETHER // gcd(TOGETHER, channels)


def _fits(layer: nn.BatchNorm2d) -> bool:
    """Whether it has few channels, weights, and averages to move."""
    few = layer.num_features < MOST and layer.num_features % LANES != 0
    return few and layer.affine and layer.track_running_stats
