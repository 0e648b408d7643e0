"""How long a run trains: `steps`, resolved to epochs of `epoch_steps`, so that few labels do not mean few steps.

    steps               20 epochs of steps / 20
    steps, epoch_steps  as many epochs as needed
    epochs              as many steps as its images make, or epochs · epoch_steps

An epoch ends with a validation and a step of the learning-rate schedule.
"""

import math
from typing import Any

from s4mi.config.layers import Settings

EPOCHS = 20
"""Number of epochs, and so of validations, if only `steps` is set."""


def resolved_length(settings: Settings) -> Settings:
    """Return the settings of a run with `epochs` and `epoch_steps` that follow from `steps`, unchanged without it.

    The cosine schedule then spans all epochs, unless `optim.cosine_epochs` is set.

    Raises:
        ValueError: `epochs` is set too and differs.
    """
    steps, epochs, epoch_steps = (settings.get(key) for key in ("steps", "epochs", "epoch_steps"))
    if not _count(steps) or not all(value is None or _count(value) for value in (epochs, epoch_steps)):
        return settings  # no steps, or values that validation will refuse
    if epoch_steps is None:
        epoch_steps = math.ceil(steps / (epochs or EPOCHS))
    needed = math.ceil(steps / epoch_steps)
    if epochs not in (None, needed):
        raise ValueError(
            f"steps: {steps} steps are {needed} epochs of {epoch_steps}, but epochs is {epochs}; set only one of the two"
        )
    optim = settings.get("optim") or {}
    if isinstance(optim, dict):
        optim = {"cosine_epochs": needed, **optim}
    return {**settings, "epochs": needed, "epoch_steps": epoch_steps, "optim": optim}


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
