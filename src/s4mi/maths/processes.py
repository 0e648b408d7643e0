"""What several training processes know together. With one process each of these is the tensor itself."""

import torch
import torch.distributed as dist
from torch import Tensor


def mean_over_processes(tensor: Tensor) -> Tensor:
    """The mean of each process's tensor, which carries no gradient."""
    if not (dist.is_available() and dist.is_initialized()):
        return tensor
    total = tensor.clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()


def from_all_processes(tensor: Tensor) -> Tensor:
    """(B, ...) → (P·B, ...), the tensors of all P processes in order; the gradient flows to each process's own.

    It is P times as large, which makes up for the mean over processes that is taken of gradients afterwards.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return tensor
    own = tensor.detach().contiguous()
    parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, own)
    parts[dist.get_rank()] = own + len(parts) * (tensor - own)
    return torch.cat(parts)


def sum_over_processes(tensor: Tensor) -> Tensor:
    """The sum of each process's tensor, which carries no gradient."""
    if not (dist.is_available() and dist.is_initialized()):
        return tensor
    total = tensor.clone()
    dist.all_reduce(total)
    return total


def from_first_process(tensor: Tensor) -> Tensor:
    """The tensor of the first process, for all."""
    if not (dist.is_available() and dist.is_initialized()):
        return tensor
    own = tensor.clone()
    dist.broadcast(own, src=0)
    return own
