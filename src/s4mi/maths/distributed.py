"""Collective operations over training processes, with gradients. With one process, each returns its input.

Rank r of P processes has images r, r + P, r + 2P, … of the whole batch. A loss made of sums over all processes has the
same value in each of them, that of the whole batch. The backward pass of a collective multiplies gradients by P, which
cancels the mean over processes that is taken of gradients afterwards: the gradient is that of one process with the
whole batch.

All processes must call these functions equally often and in the same order; otherwise they deadlock.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

Whole = TypeVar("Whole", Tensor, list[int])


def is_distributed() -> bool:
    """Whether several processes train together."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def sum_over_processes(tensor: Tensor) -> Tensor:
    """Sum of the tensors of all processes."""
    total: Tensor = _Sum.apply(tensor) if is_distributed() else tensor
    return total


def mean_over_images(values: Tensor) -> Tensor:
    """Mean of (B, ...) values over all axes and over all images of the whole batch → scalar."""
    if not is_distributed():
        return values.mean()
    return ratio_over_images(values.sum(), torch.full((), float(values.numel()), device=values.device))


def ratio_over_images(part: Tensor, whole: Tensor, *, least: float = 1e-8) -> Tensor:
    """Sum of the scalar `part` over processes, divided by that of the scalar `whole`, which is at least `least`."""
    if not is_distributed():
        return part / whole.clamp_min(least)
    total, amount = sum_over_processes(torch.stack([part, whole.to(part.dtype)])).unbind()
    return total / amount.clamp_min(least)


def from_all_processes(tensor: Tensor) -> Tensor:
    """Gather (B, ...) rows of all processes, in the order of the whole batch."""
    whole: Tensor = _Gather.apply(tensor) if is_distributed() else tensor
    return whole


def own_share(whole: Whole) -> Whole:
    """This process's share of all images of the whole batch, in their order."""
    return whole[dist.get_rank() :: dist.get_world_size()] if is_distributed() else whole


def draw_for_batch(count: int, draw: Callable[[int], Tensor]) -> Tensor:
    """This process's `count` rows of random draws for all images of the whole batch.

    Given the same state of their random generators, processes together draw what a single process would.
    """
    return own_share(draw(sum(_counts(count)))) if is_distributed() else draw(count)


def from_first_process(tensor: Tensor) -> Tensor:
    """Broadcast the tensor of the first process to all, without gradient."""
    if not is_distributed():
        return tensor
    broadcast = tensor.clone()
    dist.broadcast(broadcast, src=0)
    return broadcast


def values_of_all(value: Any) -> list[Any]:
    """Gather a picklable value of every process, in the order of their ranks."""
    if not is_distributed():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return gradient * dist.get_world_size()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, tensor: Tensor) -> Tensor:
        counts = _counts(len(tensor))
        padded = tensor.new_zeros(max(counts), *tensor.shape[1:])
        padded[: len(tensor)] = tensor
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.stack(parts, dim=1).flatten(0, 1)[: sum(counts)]

    @staticmethod
    @once_differentiable
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return own_share(gradient) * dist.get_world_size()


def _counts(count: int) -> list[int]:
    """Number of images of this batch in each process."""
    on_device = dist.get_backend() == "nccl"
    local = torch.tensor([count], device=torch.cuda.current_device() if on_device else "cpu")
    counts = [torch.empty_like(local) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, local)
    return torch.cat(counts).tolist()
