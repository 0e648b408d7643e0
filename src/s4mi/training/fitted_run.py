"""Fit a method to stored features: what the store lacks is computed, then the head is fitted at once.

All fractions, seeds and heads of an encoder share the store, so that a run costs its head. Its checkpoint holds the
head alone; the encoder is loaded from its own weights again, whose content the checkpoint verifies.
"""

import logging
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s4mi.config import RunConfig
from s4mi.contract import Extractor, FittedClassifier, FittedSegmenter
from s4mi.engine.checkpoint import save_best
from s4mi.engine.fabric import Fabric
from s4mi.errors import S4miError
from s4mi.records import Cost, EncodedFeatures, EpochRecord, FitRecord, write_text_atomically
from s4mi.training.energy import energy_meter
from s4mi.training.environment import forget_peak_memory
from s4mi.training.evaluate import Evaluation, classification_metrics, evaluate, validate
from s4mi.training.feature_stores import feature_store
from s4mi.training.features import StoredFeatures
from s4mi.training.head_fit import fit_to_rows
from s4mi.training.installed import now
from s4mi.training.loggers import Loggers, make_loggers
from s4mi.training.measured_cost import measured_cost
from s4mi.training.out_of_fold import fresh_copy, out_of_fold
from s4mi.training.prepare import Prepared
from s4mi.training.progress import Progress, ProgressCallback
from s4mi.training.run_dir import RunDir
from s4mi.training.run_files import write_run_files
from s4mi.training.run_method import build_method
from s4mi.training.selection import SelectionPlan, selection_plan

log = logging.getLogger("s4mi")


@dataclass(frozen=True)
class FittedRun:
    """A run whose method has been fitted, in place of a `Session`.

    Attributes:
        chosen_with: scores of what it is chosen with, where they are known: of its own labels under `selection:
            cross_validation`, if there were folds, or a classifier's of the validation part.
    """

    fabric: Fabric
    config: RunConfig
    prepared: Prepared
    run_dir: RunDir
    method: FittedClassifier | FittedSegmenter
    loggers: Loggers
    cost: Cost
    fit: FitRecord
    started: str
    chosen_with: Evaluation | None
    best_epoch: int = 1
    epoch: int = 1
    steps: None = None
    restarts: int = 0


def fit_run(
    fabric: Fabric, config: RunConfig, prepared: Prepared, run_dir: RunDir, watch: ProgressCallback
) -> FittedRun:
    """Compute the features that the store lacks, fit the method, score it on what it is chosen with, and save it.

    Raises:
        S4miError: several processes are asked for, the encoder cannot be loaded, the features cannot be stored, or the
            labels do not suffice.
    """
    if fabric.world_size > 1:
        raise S4miError(
            f"hardware.devices: method {config.method.name!r} is fitted by one process; set hardware.devices=1"
        )
    forget_peak_memory(fabric.device)
    started, meter = now(), energy_meter(fabric)
    method = build_method(config, prepared.task)
    assert isinstance(method, FittedClassifier | FittedSegmenter)
    method = method.to(fabric.device).eval()
    write_run_files(run_dir, config, prepared)
    loggers = make_loggers(config, run_dir.path, dataset=prepared.manifest.spec.name)
    loggers.begin(1)
    store = feature_store(config, fabric)
    rows = list(prepared.split.train if config.method.unlabelled else prepared.split.labelled)
    entries = prepared.cache.entries_of(rows)
    features = [
        _encode(store, extractor, prepared, entries, views=method.views, watch=watch) for extractor in method.extractors
    ]
    plan, fresh = selection_plan(config, prepared), fresh_copy(method)
    begun = time.perf_counter()
    watch(Progress("train", 0, 1, 1, 1))
    result = fit_to_rows(method, store, prepared, rows, generator=np.random.default_rng(config.seed))
    by_folds = plan.used == "cross_validation"
    out_of_folds = out_of_fold(fabric, fresh, config, prepared, store) if by_folds else None
    seconds = time.perf_counter() - begun
    for note in result.notes:
        log.warning(note)
    chosen_with, val = _validation_scores(fabric, method, config, prepared, plan=plan, out_of_folds=out_of_folds)
    losses = result.losses or {}
    epoch = EpochRecord(
        epoch=1, losses={**losses, "total": sum(losses.values())}, val=val, lr=0.0, seconds=seconds,
        images_per_second=len(entries) / max(seconds, 1e-9),
    )  # fmt: skip
    run_dir.checkpoints.mkdir(parents=True, exist_ok=True)
    save_best(run_dir.checkpoints, method.state_dict(), epoch=1)
    write_text_atomically(run_dir.metrics, epoch.model_dump_json() + "\n")
    loggers.epoch(epoch)
    watch(Progress("train", 1, 1, 1, 1, latest=epoch))
    cost = measured_cost(
        fabric,
        meter,
        seconds=seconds,
        images=len(entries),
        parameters=sum(buffer.numel() for buffer in method.buffers()) + sum(p.numel() for p in method.parameters()),
        preparation=sum(each.seconds for each in features),
    )
    fit = FitRecord(
        features=features, seconds=seconds, notes=list(result.notes), chosen=result.chosen or {},
        scores=result.scores or {},
    )  # fmt: skip
    return FittedRun(fabric, config, prepared, run_dir, method, loggers, cost, fit, started, chosen_with)


def _validation_scores(
    fabric: Fabric,
    method: FittedClassifier | FittedSegmenter,
    config: RunConfig,
    prepared: Prepared,
    *,
    plan: SelectionPlan,
    out_of_folds: Evaluation | None,
) -> tuple[Evaluation | None, dict[str, float]]:
    """Return the evaluation of what the run is chosen with, where there is a full one, and its scores by name."""
    metric = config.metric(prepared.task.kind)
    if plan.reads_validation and isinstance(method, FittedClassifier):  # no epochs to choose from: scored once, fully
        evaluation = evaluate(fabric, method, config, prepared, "val")
        return evaluation, {} if evaluation is None else classification_metrics(evaluation.scores)
    if plan.reads_validation:
        return out_of_folds, validate(fabric, method, prepared, metric=metric)
    score = None if out_of_folds is None else getattr(out_of_folds.scores, metric)
    return out_of_folds, {} if score is None else {metric: score}


def _encode(
    store: StoredFeatures,
    extractor: Extractor,
    prepared: Prepared,
    entries: NDArray[np.int64],
    *,
    views: int,
    watch: ProgressCallback,
) -> EncodedFeatures:
    """Store the features of every image of the data set, which runs on other labels need too, and further views."""
    begun, cache = time.perf_counter(), prepared.cache

    def progress(done: int, total: int) -> None:
        left = (time.perf_counter() - begun) / max(done, 1) * (total - done)
        watch(Progress("encode", done, total, seconds_left=left))

    extractor.store = store
    computed = store.fill(extractor, cache, np.arange(len(cache.row)), views=1, progress=progress)
    if views > 1:
        computed += store.fill(extractor, cache, entries, views=views, progress=progress)
    seconds = time.perf_counter() - begun if computed else 0.0
    return EncodedFeatures(name=extractor.name, key=extractor.key, computed=computed, seconds=seconds)
