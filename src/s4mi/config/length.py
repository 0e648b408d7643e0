"""How long a run trains: `steps`, resolved to epochs of `epoch_steps`, so that few labels do not mean few steps.

    steps               20 epochs of steps / 20
    steps, epoch_steps  as many epochs as needed
    epochs              as many steps as its images make, or epochs · epoch_steps

An epoch ends with a validation and a step of the learning-rate schedule.
"""

import math
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from s4mi.config.layers import Settings

EPOCHS = 20
"""Number of epochs, and so of validations, if only `steps` is set."""
KEYS = ("steps", "epochs", "epoch_steps")
_COUNT: TypeAdapter[int | None] = TypeAdapter(Annotated[int, Field(ge=1)] | None)


def resolved_length(settings: Settings) -> Settings:
    """Return the settings of a run with `epochs` and `epoch_steps` that follow from `steps`, unchanged without it.

    The cosine schedule then spans all epochs, unless `optim.cosine_epochs` is set.

    Raises:
        ValueError: `epochs` is set too and differs.
    """
    try:
        steps, epochs, epoch_steps = (_COUNT.validate_python(settings.get(key)) for key in KEYS)
    except ValidationError:
        return settings  # validation of the run will name the value
    if steps is None:
        return settings
    if epoch_steps is None:
        epoch_steps = math.ceil(steps / (epochs or EPOCHS))
    needed = math.ceil(steps / epoch_steps)
    if epochs not in (None, needed):
        raise ValueError(
            f"steps: {steps} steps are {needed} epochs of {epoch_steps}, but epochs is {epochs}; set only one of them"
        )
    optim = settings.get("optim") or {}
    if isinstance(optim, dict):
        optim = {"cosine_epochs": needed, **optim}
    return {**settings, "epochs": needed, "epoch_steps": epoch_steps, "optim": optim}
