"""Score a finished run on external test sets, and add the results to its record.

<run>/external/NAME_predictions.csv   prediction of each external image
               NAME_images.csv        for segmentation, scores of each external image

Nothing is chosen or fitted: weights, temperature and thresholds are those of the run. A result is added to the record
as soon as it is there, so that an interrupted evaluation goes on with the next test set.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from s4mi.config import RunConfig, save_run_config
from s4mi.config.external_tests import ExternalTestConfig
from s4mi.contract import FittedClassifier, FittedSegmenter, Task
from s4mi.data.loading.cache import open_cache
from s4mi.data.spec import load_spec
from s4mi.data.splits.split_file import Split
from s4mi.engine.fabric import Fabric
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.records import (
    ExternalTest,
    PretrainingRecord,
    RunRecord,
    external_images,
    external_predictions,
    read_record,
    write_image_scores,
    write_predictions,
    write_record,
)
from s4mi.records.calibration import read_calibration
from s4mi.training.calibrate import reliability_with
from s4mi.training.evaluate import Evaluation, evaluate_rows
from s4mi.training.external_data import ExternalData, external_data
from s4mi.training.external_leaks import OwnImages, leaked_rows, own_images
from s4mi.training.external_state import pending_tests
from s4mi.training.feature_stores import feature_store
from s4mi.training.prepare import Prepared
from s4mi.training.progress import Progress, ProgressCallback
from s4mi.training.rank_errors import raise_on_all_ranks
from s4mi.training.row_labels import shows_labels, unknown_labels
from s4mi.training.run_dir import RunDir, only_process
from s4mi.training.run_method import load_method, make_fabric
from s4mi.training.scoring import for_classes, score_predictions

log = logging.getLogger("s4mi")
StepCallback = Callable[[str, int, int], None]
"""Called with the name of a test set, and how many of how many are done."""


def score_finished_run(
    config: RunConfig, run: Path, record: RunRecord | PretrainingRecord, watch: ProgressCallback
) -> RunRecord | PretrainingRecord:
    """Score a finished run on the external test sets of its settings whose results are missing; nothing is trained.

    Raises:
        S4miError: as in `score_external_tests`.
    """
    if isinstance(record, PretrainingRecord) or not pending_tests(config, run, record):
        return record
    with only_process(run):
        save_run_config(config, RunDir(run).config_path)
        fabric = make_fabric(config, together=True)
        fabric.launch()
        with raise_on_all_ranks(fabric):
            return score_pending_tests(fabric, config, run, record, watch)


def score_pending_tests(
    fabric: Fabric, config: RunConfig, run: Path, record: RunRecord | PretrainingRecord, watch: ProgressCallback
) -> RunRecord | PretrainingRecord:
    """Do the same within the processes of a run that has just finished."""
    if isinstance(record, PretrainingRecord) or not config.tests:
        return record
    tests = {name: config.tests[name] for name in pending_tests(config, run, record)}

    def on_step(name: str, done: int, total: int) -> None:
        log.info("scoring on the external test set %s", name)
        watch(Progress("evaluate", done, total, config.epochs, config.epochs))

    return score_external_tests(fabric, run, record, tests, on_step=on_step) if tests else record


def evaluate_external(run: Path, name: str, test: ExternalTestConfig) -> ExternalTest:
    """Score a finished run on one external test set, and add the result to its record under `name`.

    Raises:
        S4miError: the run is not finished, or as in `score_external_tests`.
    """
    record = read_record(run)
    config = RunDir(run).config()
    return score_external_tests(make_fabric(config), run, record, {name: test.absolute()}).external[name]


def score_external_tests(
    fabric: Fabric,
    run: Path,
    record: RunRecord,
    tests: Mapping[str, ExternalTestConfig],
    *,
    on_step: StepCallback = lambda *_: None,
) -> RunRecord:
    """Score a finished run on external test sets, and return its record with the results, which it has written.

    Raises:
        S4miError: a set cannot be read or does not fit the run, or all of its images are known to the run.
    """
    run_dir, spec = RunDir(run), load_spec(run)
    config = run_dir.config()
    names = tuple(record.classes)
    counts = tuple(record.labels.per_class.get(name, 0) for name in names)
    task = Task(record.task, names, config.data.image_size, counts=(), labelled=0)
    method = load_method(fabric, config, task, run_dir.best)
    own = own_images(run_dir, config, with_masks=record.task == "segmentation")
    scored = replace(task, counts=counts, labelled=record.labels.train_labelled)
    for number, (name, test) in enumerate(tests.items()):
        begun = time.perf_counter()
        on_step(name, number, len(tests))
        data = external_data(test, spec, record.task, name=name, classes=names)
        prepared, leaks = _prepared(config, data, own, scored, name=name)
        rows = list(prepared.split.test)
        if isinstance(method, FittedClassifier | FittedSegmenter):  # other runs read the same features
            store, entries = feature_store(config, fabric), prepared.cache.entries_of(rows)
            for extractor in method.extractors:
                store.fill(extractor, prepared.cache, entries)
        shared = data.shared if data.kind == "segmentation" and data.missing else None
        evaluation = evaluate_rows(fabric, method, config, prepared, rows, shared=shared)
        result = _result(data, prepared, evaluation, run, leaks=leaks, note=own.note)
        result = result.model_copy(update={"seconds": time.perf_counter() - begun})
        record = record.model_copy(update={"external": {**record.external, name: result}})
        if fabric.is_global_zero:
            _write_files(evaluation, run, name)
            write_record(record, run)
        fabric.barrier()
    return record


def _prepared(config: RunConfig, data: ExternalData, own: OwnImages, task: Task, *, name: str) -> tuple[Prepared, int]:
    """Decode an external test set as the run does; its test part has all images that the run has not seen.

    Raises:
        S4miError: an image cannot be read, or the run has seen all of them.
    """
    manifest, masks = data.manifest, data.kind == "segmentation"
    cache = open_cache(manifest, config.data.preprocessing, folder=config.data.cache, with_masks=masks)
    leaks = leaked_rows(own, manifest, cache)
    rows = tuple(sorted({*range(len(manifest.rows))} - {*leaks}))
    if not rows:
        raise S4miError(
            f"tests.{name}: {manifest.folder}: all {plural(len(leaks), 'image')} are among the run's own images, or "
            "near-duplicates of them; use images from elsewhere"
        )
    split = Split(train=(), val=(), test=rows, labelled=(), hash=data.hash)
    prepared = Prepared(
        manifest, cache, split, task, labels=None, shows=shows_labels(manifest), leaks=(),
        unknown=unknown_labels(manifest) if data.kind == "multilabel" else None,
    )  # fmt: skip
    return prepared, len(leaks)


def _result(
    data: ExternalData, prepared: Prepared, evaluation: Evaluation, run: Path, *, leaks: int, note: str
) -> ExternalTest:
    scores, predictions = evaluation.scores, evaluation.predictions
    if predictions is not None and data.kind == "multilabel" and data.missing:
        predictions = for_classes(predictions, data.shared)
        scores = score_predictions(predictions, prepared.task)
        evaluation = replace(evaluation, predictions=predictions)
    rows = [prepared.manifest.rows[row] for row in prepared.split.test]
    grouped = any(row.group is not None for row in rows)
    return ExternalTest(
        dataset=data.title,
        synthetic=data.manifest.spec.synthetic,
        images=len(rows),
        patients=len({row.group or f"row {row.id}" for row in rows}) if grouped else None,
        classes=list(data.shared.names),
        missing=list(data.missing),
        additional=dict(data.additional),
        leaks=leaks,
        scores=scores,
        calibration=reliability_with(read_calibration(run), evaluation, prepared),
        data_hash=data.hash,
        seconds=0.0,
        notes=[*_notes(data, leaks), *([note] if note else [])],
    )


def _notes(data: ExternalData, leaks: int) -> list[str]:
    notes = []
    if leaks:
        notes.append(f"{plural(leaks, 'image')} left out: identical to, or near-duplicates of, the run's own images")
    if data.missing:
        notes.append(
            f"without {', '.join(data.missing)}, which the external set does not have; scores are of the others"
        )
    if data.additional:
        named = ", ".join(f"{name} ({count})" if count else name for name, count in data.additional.items())
        what = {"multiclass": "images left out", "multilabel": "labels not scored", "segmentation": "pixels ignored"}
        notes.append(f"classes that the run does not know, {what[data.kind]}: {named}")
    if data.unannotated:
        notes.append(f"{plural(data.unannotated, 'image')} left out: not annotated")
    return notes


def _write_files(evaluation: Evaluation, run: Path, name: str) -> None:
    if evaluation.predictions is not None:
        path = run / external_predictions(name)
        path.parent.mkdir(exist_ok=True)
        write_predictions(evaluation.predictions, path)
    if evaluation.images:
        path = run / external_images(name)
        path.parent.mkdir(exist_ok=True)
        write_image_scores(evaluation.images, path)
