"""The loop that trains a light decoder on stored or precomputed feature maps, without epochs."""

from collections.abc import Callable, Iterable

import torch
from torch import nn

from s4mi.contract import Losses

WARM_UP = 0.1
"""Share of the steps in which the learning rate rises; it then falls to zero along a cosine."""


def train_decoder(
    parameters: Iterable[nn.Parameter],
    draw_losses: Callable[[], Losses],
    *,
    steps: int,
    lr: float,
    weight_decay: float,
) -> Losses:
    """Minimise losses by AdamW in a fixed number of steps, and return those of the last one.

    Args:
        draw_losses: draws a batch and returns its losses.
        lr: greatest learning rate.
    """
    optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay)
    warm_up = WARM_UP if steps * WARM_UP != 1 else 2 / steps  # OneCycleLR divides by steps * warm_up - 1
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, lr, total_steps=steps, pct_start=warm_up, cycle_momentum=False
    )
    losses = Losses(total=torch.zeros(()))
    for _ in range(steps):
        losses = draw_losses()
        optimizer.zero_grad(set_to_none=True)
        losses.total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return losses
