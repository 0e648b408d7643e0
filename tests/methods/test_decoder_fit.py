"""A decoder is trained in any number of steps."""

import pytest
import torch
from torch import nn

from s4mi.contract import Losses
from s4mi.methods.decoder_fit import train_decoder


@pytest.mark.parametrize("steps", [*range(1, 13), 20, 150])
def test_every_number_of_steps_makes_as_many_steps(steps: int) -> None:
    weight = nn.Parameter(torch.zeros(3))
    drawn = []

    def draw() -> Losses:
        drawn.append(weight.detach().clone())
        return Losses(square=(weight - 1).square().sum())

    losses = train_decoder([weight], draw, steps=steps, lr=0.05, weight_decay=0.0)
    assert len(drawn) == steps
    assert torch.isfinite(losses.total)
    assert steps < 20 or losses.total < 3  # three squares of 1 at the start
    assert (weight > 0).all()
