"""What a run learns from which labels: its task, its division and its label budget, known before images are opened."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from s4mi.config import RunConfig, SplitConfig
from s4mi.config.labels import holds_out
from s4mi.data.manifest import Manifest
from s4mi.data.spec import DatasetSpec
from s4mi.data.splits.label_budget import LabelBudget
from s4mi.data.splits.split import SplitMethod
from s4mi.errors import S4miError
from s4mi.records import TaskKind


def task_kind(config: RunConfig, spec: DatasetSpec) -> TaskKind:
    """Return the task of a run: the one that both its method and its data set support.

    Pre-training supports all tasks and uses the one that its encoders will be fine-tuned for, so that the split is the
    same: classification if there are labels, unless `task` is set.

    Raises:
        S4miError: there is no common task.
    """
    if config.task is not None:
        if config.task not in spec.tasks or config.task not in config.method.tasks:
            where = f"{config.data.path}" if config.task not in spec.tasks else f"method {config.method.name!r}"
            supported = spec.tasks if config.task not in spec.tasks else sorted(config.method.tasks)
            raise S4miError(
                f"task: {where} does not support {config.task}; choose {' or '.join(supported) or 'another data set'}"
            )
        return config.task
    kinds = sorted(spec.tasks, key=lambda kind: kind == "segmentation") if config.method.pretrains else spec.tasks
    for kind in kinds:
        if kind in config.method.tasks:
            return kind
    raise S4miError(
        f"method {config.method.name!r} supports {' or '.join(sorted(config.method.tasks))}, but {config.data.path} "
        f"has annotations for {' and '.join(spec.tasks) or 'no task'}; choose another method (s4mi methods) or data set"
    )


def budget_of(
    config: RunConfig, *, shows: NDArray[np.bool_] | None = None, foreground: Sequence[float] | None = None
) -> LabelBudget | None:
    """Return where the labels of a run come from; None: its training part, beside a validation part of its own.

    A method that learns without labels keeps the validation part, whose labels name its clusters and are counted.

    Args:
        shows, foreground: as in `LabelBudget`; needed for the split of a run that holds labels out.
    """
    if not config.labels.count_validation or (config.method.unlabelled and not config.method.pretrains):
        return None
    held_out = shows is not None and not config.method.pretrains and holds_out(config.selection, config.method)
    return LabelBudget(config.labels.hold_out if held_out else 0.0, shows, foreground)


def prediction_spec(config: RunConfig, spec: DatasetSpec) -> DatasetSpec:
    """Return the data set description of a run's predictions, with the method's own classes if there are no masks."""
    names = config.method.own_classes
    if not names or "segmentation" in spec.tasks:
        return spec
    values = (0, 255) if len(names) == 2 and config.method.named else range(len(names))
    mask_values = dict(zip(values, names, strict=True))
    return spec.model_copy(update={"tasks": ("segmentation",), "mask_values": mask_values})


def division_of(config: SplitConfig, manifest: Manifest, *, seed: int) -> SplitMethod:
    """Return the split method of a run with this seed."""
    kind = config.kind
    if kind == "auto":
        kind = "official" if manifest.official else "random"
    return SplitMethod(
        kind=kind, ratios=config.ratios, folds=config.folds, fold=config.fold,
        seed=seed if config.seed is None else config.seed, file=config.file, test_seed=config.test_seed,
    )  # fmt: skip
