"""Exponential moving averages of weights, for mean teachers (Tarvainen & Valpola 2017)."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor


@torch.no_grad()
def ema_update(teacher: Iterable[Tensor], student: Iterable[Tensor], *, momentum: float) -> None:
    """Update t ← m t + (1 - m) s in place for every pair of tensors, in one fused call."""
    torch._foreach_lerp_(list(teacher), list(student), 1 - momentum)


def cosine_momentum(start: float, progress: float) -> float:
    """Momentum that rises from `start` at progress 0 to 1 at progress 1 along half a cosine (Grill et al. 2020)."""
    return 1 - (1 - start) * (math.cos(math.pi * progress) + 1) / 2
