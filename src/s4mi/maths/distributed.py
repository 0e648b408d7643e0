"""What several training processes know together. With one process each of these is the tensor itself.

The images of a batch are dealt out: of P processes, number r has images r, r + P, r + 2P, … of the whole batch. A loss
that is made of sums over all of them is one and the same number in every process: that of the whole batch. What a
process takes from the others gives P times the gradient back to its own part, which makes up for the mean over
processes that is taken of gradients afterwards. The gradient is therefore that of one process with the whole batch.

Every process must come by here equally often and in the same order, or they wait for each other.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

Whole = TypeVar("Whole", Tensor, list[int])


def is_distributed() -> bool:
    """Whether there are other processes to train together with."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def sum_over_processes(tensor: Tensor) -> Tensor:
    """The sum of each process's tensor."""
    total: Tensor = _Sum.apply(tensor) if is_distributed() else tensor
    return total


def mean_over_images(values: Tensor) -> Tensor:
    """The mean of (B, ...) values over all images of the whole batch and over all else → scalar."""
    if not is_distributed():
        return values.mean()
    return ratio_over_images(values.sum(), torch.full((), float(values.numel()), device=values.device))


def ratio_over_images(part: Tensor, whole: Tensor, *, least: float = 1e-8) -> Tensor:
    """Sum over processes of `part` by that of `whole`, two scalars; `whole` is at least `least`."""
    if not is_distributed():
        return part / whole.clamp_min(least)
    total, amount = sum_over_processes(torch.stack([part, whole.to(part.dtype)])).unbind()
    return total / amount.clamp_min(least)


def from_all_processes(tensor: Tensor) -> Tensor:
    """(B, ...) → those of the images of all processes, in the order of the whole batch."""
    whole: Tensor = _Gather.apply(tensor) if is_distributed() else tensor
    return whole


def own_share(whole: Whole) -> Whole:
    """Of all images, in their order, those of this process."""
    return whole[dist.get_rank() :: dist.get_world_size()] if is_distributed() else whole


def draw_for_batch(count: int, draw: Callable[[int], Tensor]) -> Tensor:
    """This process's `count` rows of what `draw` gives for all images of the whole batch.

    Processes with the same state of their random generators thus draw what one process alone would draw.
    """
    return own_share(draw(sum(_counts(count)))) if is_distributed() else draw(count)


def from_first_process(tensor: Tensor) -> Tensor:
    """The tensor of the first process, for all; it carries no gradient."""
    if not is_distributed():
        return tensor
    own = tensor.clone()
    dist.broadcast(own, src=0)
    return own


def values_of_all(value: Any) -> list[Any]:
    """The value of each process, in order; anything that can be pickled."""
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
        own = tensor.new_zeros(max(counts), *tensor.shape[1:])
        own[: len(tensor)] = tensor
        parts = [torch.empty_like(own) for _ in counts]
        dist.all_gather(parts, own)
        return torch.stack(parts, dim=1).flatten(0, 1)[: sum(counts)]

    @staticmethod
    @once_differentiable
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return own_share(gradient) * dist.get_world_size()


def _counts(own: int) -> list[int]:
    """How many images each process has of this batch."""
    on_device = dist.get_backend() == "nccl"
    mine = torch.tensor([own], device=torch.cuda.current_device() if on_device else "cpu")
    counts = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, mine)
    return torch.cat(counts).tolist()
