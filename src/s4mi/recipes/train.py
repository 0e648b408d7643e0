"""One training run, from settings to record.

<run>/config.yaml                  every setting, resolved
      dataset.yaml                 classes and mask values of the data set
      split.json                   images for training, validation and test, and the hash of the split
      data.json                    content hashes of the images, masks and labels that it began with
      pretraining.json             the pre-training run it starts from, if any
      metrics.jsonl, metrics.csv   one line per epoch; see training/loggers.py for further logs
      checkpoints/                 last.safetensors + training.pt, best.safetensors
      test_predictions.csv         prediction of each test image; for segmentation test_images.csv with its scores
      training_images.json         sizes and appearance of the training images, with which predictions compare others
      external/                    predictions on external test sets; see training/external.py
      calibration.json             temperature and thresholds, fitted on what the run is chosen with
      record.json                  the RunRecord, written last: its presence means that the run has finished

A pre-training run writes other files; see `pretrain.py`.
"""

import logging
import math
from dataclasses import dataclass
from pathlib import Path

from s4mi.config import RunConfig
from s4mi.config.starts import starts_of
from s4mi.contract import Classifier, Pretrainer, Segmenter
from s4mi.data.versions import load_version
from s4mi.errors import S4miError
from s4mi.recipes.pretrain import pretrain
from s4mi.records import (
    TEST_IMAGES_NAME,
    TEST_PREDICTIONS_NAME,
    MemberScores,
    Pretraining,
    PretrainingRecord,
    RunRecord,
    read_any_record,
    write_image_scores,
    write_predictions,
    write_record,
)
from s4mi.records.calibration import write_calibration
from s4mi.records.reliability import Reliability
from s4mi.records.training_features import write_training_features
from s4mi.records.training_images import write_training_images
from s4mi.training.calibrate import calibrate, reliability_with
from s4mi.training.data_state import check_data_state, data_state, read_data_state
from s4mi.training.data_summary import summarise_data
from s4mi.training.evaluate import Evaluation, evaluate, validate
from s4mi.training.external import score_finished_run, score_pending_tests
from s4mi.training.external_state import check_external_tests
from s4mi.training.fitted_run import FittedRun, fit_run
from s4mi.training.installed import git_revision, now, versions
from s4mi.training.length_notes import length_notes
from s4mi.training.loggers import check_loggers
from s4mi.training.prepare import prepare
from s4mi.training.pretrained_start import check_pretrained_start, read_pretrained_start, write_pretraining
from s4mi.training.progress import Progress, ProgressCallback
from s4mi.training.rank_errors import raise_on_all_ranks
from s4mi.training.run_dir import RunDir, check_folder, only_process, tidy
from s4mi.training.run_method import load_method, make_fabric
from s4mi.training.selection import SelectionPlan, selection_plan
from s4mi.training.session import Session
from s4mi.training.training_features import describe_training_features
from s4mi.training.training_images import describe_training_images

log = logging.getLogger("s4mi")


def train(
    config: RunConfig, run: Path, *, resume: bool = False, watch: ProgressCallback = lambda _: None
) -> RunRecord | PretrainingRecord:
    """Train a run, select its best epoch on validation, score that once on test, and return the record it wrote.

    Pre-training selects and scores nothing. With `resume`, a finished run is returned as it is; an unfinished one
    continues after its last checkpoint and ends with the weights of an uninterrupted run (to the bit on one CPU).

    Args:
        run: folder of the run.
        watch: called with the progress after every step.

    Raises:
        S4miError: invalid settings or data, a folder in use, a loss that is not finite, or collapsed features.
    """
    run_dir = RunDir(run)
    check_folder(run_dir, config, resume=resume)
    if run_dir.finished:
        tidy(run)
        return score_finished_run(config, run, read_any_record(run), watch)
    with only_process(run):
        check_loggers(config)
        check_pretrained_start(config, run, resumed=run_dir.begun)
        if config.tests:
            check_external_tests(config, load_version(config.data.path, config.data.version).spec)
        fabric = make_fabric(config, together=True)
        fabric.launch()
        with raise_on_all_ranks(fabric):
            prepared = prepare(config, progress=lambda done, total: watch(Progress("decode", done, total)))
            if resume and run_dir.split_path.exists():
                check_data_state(run, prepared, data_state(config, prepared))
                run_dir.check_split(prepared.split, prepared.manifest)
            pretraining = read_pretrained_start(config, prepared, run, resumed=run_dir.begun)
            record: RunRecord | PretrainingRecord
            if config.method.fitted:
                record = _fit(fit_run(fabric, config, prepared, run_dir, watch), pretraining, watch)
                return score_pending_tests(fabric, config, run, record, watch)
            session = Session.begin(fabric, config, prepared, run_dir)
            with session.loggers:
                if isinstance(session.method, Pretrainer):
                    record = pretrain(session, session.method, watch)
                else:
                    assert isinstance(session.method, Classifier | Segmenter)
                    record = _supervise(session, session.method, pretraining, watch)
                if fabric.is_global_zero:
                    write_record(record, run)
                    session.loggers.end(record)
                fabric.barrier()
            return score_pending_tests(fabric, config, run, record, watch)


def train_supervised(config: RunConfig, run: Path, *, resume: bool = False) -> RunRecord:
    """Train a run whose method makes predictions, as `train` does.

    Raises:
        S4miError: the method only pre-trains, or as in `train`.
    """
    record = train(config, run, resume=resume)
    if isinstance(record, PretrainingRecord):
        raise S4miError(f"{run}: a {config.method.name} run makes no predictions; fine-tune it first")
    return record


def _supervise(
    session: Session, method: Classifier | Segmenter, pretraining: Pretraining | None, watch: ProgressCallback
) -> RunRecord:
    """Train, select the best epoch if labels are there for it, and score it once on test; the last epoch too."""
    config, metric = session.config, session.config.metric(session.prepared.task.kind)
    session.write_settings()
    if session.fabric.is_global_zero:
        write_pretraining(session.run_dir.path, pretraining)
    plan = selection_plan(config, session.prepared)
    for epoch in session.epochs(watch):
        if plan.used != "validation":  # the last epoch counts as the best
            if plan.names_clusters and epoch.epoch == config.epochs:
                validate(session.fabric, method, session.prepared, metric=metric)
            session.finish_epoch(epoch, score=float(epoch.epoch))
            continue
        scores = validate(session.fabric, method, session.prepared, metric=metric)
        # Some scores are undefined on some validation sets.
        session.finish_epoch(epoch.model_copy(update={"val": scores}), score=scores.get(metric, math.nan))
    watch(Progress("evaluate", 0, 1, config.epochs, config.epochs, session.latest))
    fabric, prepared = session.fabric, session.prepared
    fabric.barrier()
    best = load_method(fabric, config, prepared.task, session.run_dir.best)
    record = _record(session, best, pretraining)
    for note in length_notes(record):
        log.info(note)
    return record


def _fit(fitted: FittedRun, pretraining: Pretraining | None, watch: ProgressCallback) -> RunRecord:
    """Score a method that was fitted to stored features once on test."""
    run_dir = fitted.run_dir
    with fitted.loggers:
        write_pretraining(run_dir.path, pretraining)
        watch(Progress("evaluate", 0, 1, 1, 1))
        record = _record(fitted, fitted.method, pretraining)
        write_record(record, run_dir.path)
        fitted.loggers.end(record)
    return record


@dataclass(frozen=True)
class _FinalScores:
    """Scores of a run that has ended: its best weights on each part, `last` those of the last epoch on test."""

    plan: SelectionPlan
    val: Evaluation | None
    test: Evaluation | None
    last: Evaluation | None
    reliability: Reliability | None


def _score(session: Session | FittedRun, method: Classifier | Segmenter) -> _FinalScores:
    """Score and calibrate the best weights, and write the predictions and what describes the training images."""
    fabric, config, prepared, run = session.fabric, session.config, session.prepared, session.run_dir.path
    plan = selection_plan(config, prepared)
    val = session.chosen_with if isinstance(session, FittedRun) else None
    if val is None and plan.reads_validation:
        val = evaluate(fabric, method, config, prepared, "val")
    test = evaluate(fabric, method, config, prepared, "test")
    calibration = None
    if fabric.is_global_zero:
        if test is not None and test.images:
            write_image_scores(test.images, run / TEST_IMAGES_NAME)
        if test is not None and test.predictions is not None:
            write_predictions(test.predictions, run / TEST_PREDICTIONS_NAME)
        write_training_images(describe_training_images(prepared), run)
        write_training_features(describe_training_features(fabric, method, prepared), run)
        calibration = calibrate(fabric, method, config, prepared, chosen_with=val, test=test)
        if calibration is not None:
            write_calibration(calibration, run)
    last = None
    if test is not None and session.best_epoch != session.epoch:
        method_at_end = load_method(fabric, config, prepared.task, session.run_dir.last)
        last = evaluate(fabric, method_at_end, config, prepared, "test", distances=False)
    reliability = reliability_with(None, test, prepared) if calibration is None else calibration.test
    return _FinalScores(plan, val, test, last, reliability)


def _record(session: Session | FittedRun, method: Classifier | Segmenter, pretraining: Pretraining | None) -> RunRecord:
    """Score a run that has ended, and return its record, which is not yet written."""
    config, prepared = session.config, session.prepared
    scored = _score(session, method)
    val, test, last, used = scored.val, scored.test, scored.last, scored.plan.used
    state = read_data_state(session.run_dir.path)
    return RunRecord(
        method=config.method.name,
        technique=config.method.technique(None if pretraining is None else pretraining.method),
        pretraining=pretraining,
        backbone=config.method.backbone_name,
        starts=starts_of(config.method, config.auto),
        dataset=prepared.manifest.title,
        synthetic=prepared.manifest.spec.synthetic,
        task=prepared.task.kind,
        classes=list(prepared.task.classes),
        label_fraction=0.0 if config.method.unlabelled else prepared.label_percent(config.amount),
        labels_asked=prepared.labels_asked(config),
        leaks=len(prepared.leaks),
        data=summarise_data(config, prepared),
        seed=config.seed,
        config_hash=config.hash,
        split_hash=prepared.split.hash,
        data_hash=prepared.cache.key,
        labels_hash="" if state is None else state.labels_hash,
        metric=config.metric(prepared.task.kind),
        best_epoch=session.best_epoch,
        epochs=session.epoch,
        steps=session.steps,
        ended_improving=session.steps is not None and used == "validation" and session.best_epoch == session.epoch,
        labels=scored.plan.label_counts(config, prepared),
        selection=scored.plan.result(prepared, folds=None if val is None else val.scores.images),
        val=None if val is None else val.scores,
        test=None if test is None else test.scores,
        last_test=None if last is None else last.scores,
        calibration=scored.reliability,
        member=method.members.choice.name if isinstance(method, Segmenter) and method.members is not None else "",
        members=_member_scores(val, test),
        restarts=session.restarts,
        fit=session.fit if isinstance(session, FittedRun) else None,
        cost=session.cost,
        versions=versions(),
        git_revision=git_revision(),
        started=session.started,
        finished=now(),
    )


def _member_scores(val: Evaluation | None, test: Evaluation | None) -> dict[str, MemberScores]:
    """Scores of each member of an ensemble; empty without one."""
    of_val, of_test = ({} if part is None else part.members for part in (val, test))
    return {
        name: MemberScores(val=of_val.get(name), test=of_test.get(name)) for name in dict.fromkeys([*of_val, *of_test])
    }
