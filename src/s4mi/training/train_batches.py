"""The training batches of a run: which images it learns from, and how they are divided among its processes."""

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from s4mi.config import RunConfig
from s4mi.contract import Method, Segmenter, SemiSupervisedConfig, TrainLoader
from s4mi.data.loading.loader import TrainBatches
from s4mi.data.loading.semi_supervised_loader import SemiSupervisedBatches
from s4mi.engine.fabric import Fabric
from s4mi.errors import S4miError
from s4mi.training.prepare import Prepared


class _Common(TypedDict):
    seed: int
    steps: int | None
    rank: int
    world: int


def train_loader(fabric: Fabric, config: RunConfig, prepared: Prepared, method: Method) -> TrainLoader:
    """Return the training batches of this process.

    Raises:
        S4miError: a process would have no image, or batch normalisation only one.
    """
    source, split = prepared.source(fabric.device), prepared.split
    entries = prepared.cache.entries_of(split.train if config.method.unlabelled else split.labelled)
    common = _Common(seed=config.seed, steps=config.epoch_steps, rank=fabric.global_rank, world=fabric.world_size)
    if not isinstance(config.method, SemiSupervisedConfig):
        crops = config.method.crops(config.data.image_size)
        loader = TrainBatches(source, entries, batch_size=config.batch_size, crops=crops, **common)
        _check_batch_norm(loader.order(1), config, method, processes=fabric.world_size)
        return loader
    # Training images whose annotation is missing or must not be read.
    unlabelled = prepared.cache.entries_of(sorted({*split.train} - {*split.labelled}))
    return SemiSupervisedBatches(
        source,
        entries,
        unlabelled,
        composition=config.method.batch_composition(config.batch_size, unlabelled=len(unlabelled)),
        views=config.method.views,
        **common,
    )


def _check_batch_norm(order: list[NDArray[np.int64]], config: RunConfig, method: Method, *, processes: int) -> None:
    """Refuse batches of one image for a network that trains batch normalisation on single values per channel."""
    shared = processes == 1 or config.hardware.sync_batch_norm
    fewest = min(map(len, order)) // (1 if shared else processes)
    views = fewest * len(config.method.crops(config.data.image_size).images)
    if isinstance(method, Segmenter) or views > 1:  # feature maps have enough positions to average over
        return
    if any(_trains_batch_norm(module) for module in method.modules()):
        per_process = "" if shared else f" in each of {processes} processes"
        sync = "" if shared else ", set hardware.sync_batch_norm=true"
        raise S4miError(
            f"batches of one image{per_process} (batch_size {config.batch_size}, {sum(map(len, order))} training "
            f"images) are too small for batch normalisation; raise batch_size or label_fraction{sync}, or choose a "
            "network without it"
        )


def _trains_batch_norm(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm) and module.weight is not None and module.weight.requires_grad
