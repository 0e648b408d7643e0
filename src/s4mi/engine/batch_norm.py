"""Synchronised batch normalisation, so that results do not depend on the number of processes.

    μ, σ²    mean and variance of a channel over the batch of all processes
    y        w (x - μ) / √(σ² + ε) + b

The implementations of torch, and of timm for layers with an activation, support GPUs only; the layers here are their
equivalent on CPUs.
"""

from typing import Any, final

import torch
import torch.distributed as dist
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm


def sync_batch_norm(module: nn.Module, *, device: torch.device) -> nn.Module:
    """Replace all batch normalisation in a module by a synchronised one with the same weights and parameter names."""
    if device.type == "cuda":
        synced: nn.Module = convert_sync_batchnorm(module)
        return synced
    if isinstance(module, _BatchNorm):
        return SyncedBatchNorm(module)
    for name, child in module.named_children():
        module.add_module(name, sync_batch_norm(child, device=device))
    return module


class ReplacedBatchNorm(_BatchNorm):
    """Batch normalisation, and activation if any, that shares the parameters and running statistics of another layer.

    Subclasses implement the normalisation of a training batch.
    """

    def __init__(self, layer: _BatchNorm) -> None:
        super().__init__(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
        self.weight, self.bias = layer.weight, layer.bias
        self.running_mean, self.running_var = layer.running_mean, layer.running_var
        self.num_batches_tracked = layer.num_batches_tracked
        self.drop: nn.Module = getattr(layer, "drop", nn.Identity())
        self.act: nn.Module = getattr(layer, "act", nn.Identity())
        self.train(layer.training)

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, ...) → the same shape."""
        y: Tensor = self.act(self.drop(self._normalised(input)))
        return y

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept any number of dimensions."""

    def _normalised(self, x: Tensor) -> Tensor:
        """Normalise as torch does."""
        return super().forward(x)

    def _count_batch(self) -> float:
        """Count a training batch and return its weight in the running statistics."""
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        return 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum


@final
class SyncedBatchNorm(ReplacedBatchNorm):
    """Batch normalisation over the training batch of all processes."""

    def _normalised(self, x: Tensor) -> Tensor:
        if not self.training:
            return super()._normalised(x)
        y, mean, variance, count = _Normalise.apply(x, self.weight, self.bias, self.eps)
        if self.track_running_stats and self.running_mean is not None and self.running_var is not None:
            weight = self._count_batch()
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), weight)
            unbiased = variance * count / (count - 1).clamp_min(1)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), weight)
        normalised: Tensor = y
        return normalised


class _Normalise(torch.autograd.Function):
    """Return y, and the mean, variance and number of values of each channel over all processes."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        wide = _at_least_float32(x)
        dims = [0, *range(2, x.dim())]
        mean, local_count = wide.mean(dims), wide.new_full((1,), x.numel() / x.shape[1])
        scatter = (wide - _per_channel(mean, x)).square().sum(dims)
        local = torch.cat([mean, scatter, local_count])
        gathered = [torch.empty_like(local) for _ in range(dist.get_world_size())]
        dist.all_gather(gathered, local)
        c, table = len(mean), torch.stack(gathered)
        means, scatters, counts = table[:, :c], table[:, c:-1], table[:, -1:]  # (P, C), (P, C), (P, 1)
        count = counts.sum()
        mean = (counts * means).sum(dim=0) / count
        # Total scatter: within each process around its own mean, plus that of these means around the common mean.
        variance = (scatters + counts * (means - mean).square()).sum(dim=0) / count
        scale = (variance + eps).rsqrt()
        standard = (wide - _per_channel(mean, x)) * _per_channel(scale, x)
        ctx.save_for_backward(standard, scale, weight, count)
        y = standard if weight is None else standard * _per_channel(weight, x)
        y = y if bias is None else y + _per_channel(bias, x)
        ctx.mark_non_differentiable(mean, variance, count)
        return y.to(x.dtype), mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, None]:
        standard, scale, weight, count = ctx.saved_tensors
        g = _at_least_float32(gradient)
        dims = [0, *range(2, g.dim())]
        grad_bias, grad_weight = g.sum(dims), (g * standard).sum(dims)
        sums = torch.stack([grad_bias, grad_weight])
        dist.all_reduce(sums)
        mean_g, mean_g_standard = (_per_channel(each, g) for each in sums / count)
        factor = _per_channel(scale if weight is None else scale * weight, g)
        grad_x = (g - mean_g - standard * mean_g_standard) * factor
        if weight is None:
            return grad_x.to(gradient.dtype), None, None, None
        return grad_x.to(gradient.dtype), grad_weight, grad_bias, None


def _at_least_float32(x: Tensor) -> Tensor:
    """Convert half precision to single, which sums over many pixels need."""
    return x if x.dtype == torch.float64 else x.float()


def _per_channel(channels: Tensor, x: Tensor) -> Tensor:
    """Reshape (C,) to broadcast over (B, C, ...)."""
    return channels.reshape(1, -1, *[1] * (x.dim() - 2))
