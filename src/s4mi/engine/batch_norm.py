"""Batch normalisation over the images of all processes, so that how many there are changes nothing.

    μ, σ²    mean and variance of a channel over the whole batch
    y        w (x - μ) / √(σ² + ε) + b

torch's own, and timm's for layers that activate as well, run on GPUs alone; on CPUs the layers here do the same.
"""

from typing import Any, final

import torch
import torch.distributed as dist
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm


def sync_batch_norm(module: nn.Module, *, device: torch.device) -> nn.Module:
    """The module with its batch normalisation over all processes; its weights and their names stay what they are."""
    if device.type == "cuda":
        shared: nn.Module = convert_sync_batchnorm(module)
        return shared
    if isinstance(module, _BatchNorm):
        return SyncedBatchNorm(module)
    for name, child in module.named_children():
        module.add_module(name, sync_batch_norm(child, device=device))
    return module


class ReplacedBatchNorm(_BatchNorm):
    """A layer of batch normalisation, and of activation where it had one, with another's weights and averages.

    A class derived from it says how it normalises a batch in training.
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
        """Any number of dimensions does."""

    def _normalised(self, x: Tensor) -> Tensor:
        """As torch does."""
        return super().forward(x)

    def _count_batch(self) -> float:
        """Another batch of training has come: how far it moves the averages."""
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        return 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum


@final
class SyncedBatchNorm(ReplacedBatchNorm):
    """Batch normalisation that trains over all processes."""

    def _normalised(self, x: Tensor) -> Tensor:
        if not self.training:
            return super()._normalised(x)
        y, mean, variance, count = _Normalise.apply(x, self.weight, self.bias, self.eps)
        if self.track_running_stats and self.running_mean is not None and self.running_var is not None:
            rate = self._count_batch()
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), rate)
            unbiased = variance * count / (count - 1).clamp_min(1)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), rate)
        normalised: Tensor = y
        return normalised


class _Normalise(torch.autograd.Function):
    """y, and the mean, variance and number of values of each channel over all processes."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        wide = _wide(x)
        over = [0, *range(2, x.dim())]
        mean, own = wide.mean(over), wide.new_full((1,), x.numel() / x.shape[1])
        scatter = (wide - _beside(mean, x)).square().sum(over)
        facts = torch.cat([mean, scatter, own])
        parts = [torch.empty_like(facts) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, facts)
        c, table = len(mean), torch.stack(parts)
        means, scatters, counts = table[:, :c], table[:, c:-1], table[:, -1:]  # (P, C), (P, C), (P, 1)
        count = counts.sum()
        mean = (counts * means).sum(dim=0) / count
        # Squared distances from the common mean: those from each process's own, and of that from the common one.
        variance = (scatters + counts * (means - mean).square()).sum(dim=0) / count
        scale = (variance + eps).rsqrt()
        standard = (wide - _beside(mean, x)) * _beside(scale, x)
        ctx.save_for_backward(standard, scale, weight, count)
        y = standard if weight is None else standard * _beside(weight, x)
        y = y if bias is None else y + _beside(bias, x)
        ctx.mark_non_differentiable(mean, variance, count)
        return y.to(x.dtype), mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, None]:
        standard, scale, weight, count = ctx.saved_tensors
        g = _wide(gradient)
        over = [0, *range(2, g.dim())]
        to_bias, to_weight = g.sum(over), (g * standard).sum(over)
        sums = torch.stack([to_bias, to_weight])
        dist.all_reduce(sums)
        common, along = (_beside(each, g) for each in sums / count)
        to_x = (g - common - standard * along) * _beside(scale if weight is None else scale * weight, g)
        if weight is None:
            return to_x.to(gradient.dtype), None, None, None
        return to_x.to(gradient.dtype), to_weight, to_bias, None


def _wide(x: Tensor) -> Tensor:
    """Half precision becomes single; sums over many pixels need it."""
    return x if x.dtype == torch.float64 else x.float()


def _beside(channels: Tensor, x: Tensor) -> Tensor:
    """(C,) so that it broadcasts over (B, C, ...)."""
    return channels.reshape(1, -1, *[1] * (x.dim() - 2))
