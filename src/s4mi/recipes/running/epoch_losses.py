"""The losses of training, for people: their means over an epoch, and one line about one that is no number."""

from collections.abc import Iterator

import torch
from lightning_fabric import Fabric

from s4mi.config import RunConfig
from s4mi.engine.fit import LossNotFiniteError, Step
from s4mi.errors import S4miError
from s4mi.maths.processes import values_of_all
from s4mi.recipes.running.prepare import Prepared


def in_one_line(steps: Iterator[Step], config: RunConfig, prepared: Prepared) -> Iterator[Step]:
    """The steps; a loss that is not finite becomes one line naming the step, the images and what to try."""
    try:
        yield from steps
    except LossNotFiniteError as error:
        rows = dict.fromkeys(row for own in values_of_all(error.rows) for row in own)
        ids = [prepared.manifest.rows[row].id for row in rows]
        shown = ", ".join(ids[:16]) + (f" and {len(ids) - 16} more" if len(ids) > 16 else "")
        terms = ", ".join(f"{name} {value:g}" for name, value in error.terms.items() if name != "total")
        raise S4miError(
            f"epoch {error.epoch}, step {error.index}: the loss is not finite ({terms}) on the images {shown}; "
            f"try a smaller optim.lr (now {config.optim.lr:g}), optim.clip_norm=1 or hardware.precision=32, "
            "then go on from the last epoch with --resume"
        ) from error


def mean_losses(fabric: Fabric, steps: list[Step]) -> dict[str, float]:
    """Mean of each loss term over an epoch and all processes; the one moment at which losses leave the device."""
    names = list(steps[0].losses)
    table = torch.stack([torch.stack([step.losses[name].float() for name in names]) for step in steps])
    means: torch.Tensor = fabric.all_reduce(table.mean(dim=0), reduce_op="mean")  # type: ignore[assignment]
    return dict(zip(names, means.tolist(), strict=True))


def images_seen(fabric: Fabric, steps: list[Step]) -> int:
    """Images in the steps of all processes."""
    own = torch.tensor(sum(step.images for step in steps), device=fabric.device)
    total: torch.Tensor = fabric.all_reduce(own, reduce_op="sum")  # type: ignore[assignment]
    return int(total)
