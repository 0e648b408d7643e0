"""Load the models that predict: a run, an exported file, or the best run or ensemble of a study."""

import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.inference.model_metadata import ENDINGS, ONNX, ExportedModel
from s4mi.inference.predictor import Model, Precision
from s4mi.records import CONFIG_NAME, RECORD_NAME, RunRecord, TaskKind, finished_runs, read_any_record
from s4mi.records.calibration import read_calibration

if TYPE_CHECKING:
    from s4mi.inference.run_model import RunModel

log = logging.getLogger("s4mi")

SEED = re.compile(r"-seed\d+$")
AMOUNT = re.compile(r"-[\d.]+(pct|images?|patients?)(?=$|-v\d+$)")
"""The amount of labels in the name of a technique, which is that of the folder of its runs."""


@dataclass(frozen=True)
class RunSelection:
    """Folders of the selected runs.

    Attributes:
        why: how they were selected, in one line; empty if there was no choice.
    """

    runs: tuple[Path, ...]
    why: str = ""


@dataclass(frozen=True)
class LoadedModels:
    """The models that predict, averaged if there are several.

    Attributes:
        runs: their run folders; empty for an exported file.
        why: how they were selected, in one line; empty if there was no choice.
    """

    models: tuple[Model, ...]
    runs: tuple[Path, ...]
    why: str = ""


def load_models(
    path: Path,
    *,
    ensemble: bool = False,
    task: TaskKind | None = None,
    clusters: bool = False,
    raw: bool = False,
    precision: Precision = "32",
) -> LoadedModels:
    """Load the models of a run, an exported file or a folder of runs; calibrate runs that are not calibrated yet.

    Args:
        ensemble: of a folder of runs, load all seeds of the best technique. task: select among runs of this task.
        clusters: predict the clusters that the run found instead of their classes.
        raw: probabilities are used uncalibrated, so do not calibrate.
        precision: of runs on a CPU; see `RunModel`. An exported file has its own.

    Raises:
        S4miError: the path is none of these, or several runs are incompatible.
    """
    if path.is_file() or (path.suffix.lower() in ENDINGS and not path.is_dir()):
        if ensemble or clusters:
            option = "--ensemble" if ensemble else "--clusters"
            raise S4miError(f"{path}: is a single file; leave out {option}, or use the folder of the runs")
        if path.suffix.lower() not in ENDINGS:
            raise S4miError(f"{path}: neither a run folder nor an exported model (.onnx, .pt2); use one of these")
        return LoadedModels((load_exported(path),), ())
    selection = select_runs(path, ensemble=ensemble, task=task)
    if not (raw or clusters):
        for run in selection.runs:
            ensure_calibrated(run)
    from s4mi.inference.run_model import RunModel

    models = tuple(RunModel(run, clusters=clusters, precision=precision) for run in selection.runs)
    _check_compatible(models)
    return LoadedModels(models, selection.runs, selection.why)


def select_runs(folder: Path, *, ensemble: bool = False, task: TaskKind | None = None) -> RunSelection:
    """Select the run in `folder`, or among the runs below it, of one `task`, the best by validation score.

    If labels were merged into the data set, only runs on its newest version count. Of one technique at several label
    fractions the largest counts: its validation images are others than those of the smaller ones, so that their scores
    do not tell which is better, and more labels do. Techniques are compared by the mean over their seeds, only those
    with the largest number of finished seeds.

    Args:
        ensemble: select all seeds of the best technique instead of its best seed.

    Raises:
        S4miError: there is no finished run, or the runs are of several data sets or tasks.
    """
    if (folder / CONFIG_NAME).exists():
        if ensemble:
            raise S4miError(f"{folder}: is a single run; leave out --ensemble, or use the folder of a study")
        return RunSelection((folder,))
    techniques = _at_most_labels(_finished_by_technique(folder, task))
    most_seeds = max(len(runs) for runs in techniques.values())
    means = {
        name: sum(score for _, score in runs) / most_seeds
        for name, runs in techniques.items()
        if len(runs) == most_seeds
    }
    name = max(means, key=lambda name: means[name])
    runs = sorted(techniques[name], key=lambda run: -run[1] if run[1] == run[1] else 0.0)
    record = read_any_record(runs[0][0])
    assert isinstance(record, RunRecord)
    score = f"validation {record.metric} {means[name]:.3f}, mean of {plural(most_seeds, 'seed')}"
    if math.isnan(means[name]):
        score = "the only technique; its runs were chosen without validation"
    if ensemble:
        return RunSelection(
            tuple(sorted(run for run, _ in runs)), f"{name}: all {plural(most_seeds, 'seed')} ({score})"
        )
    return RunSelection((runs[0][0],), f"{name}: best seed {runs[0][0].name} ({score})")


def _at_most_labels(techniques: Mapping[str, list[tuple[Path, float]]]) -> dict[str, list[tuple[Path, float]]]:
    """Return each technique at its largest label fraction."""
    largest: dict[str, tuple[float, str]] = {}
    for name, runs in techniques.items():
        record = read_any_record(runs[0][0])
        assert isinstance(record, RunRecord)
        arm, found = AMOUNT.sub("", name), (record.label_fraction, name)
        largest[arm] = max(largest.get(arm, found), found)
    return {name: techniques[name] for _, name in largest.values()}


def _finished_by_technique(folder: Path, task: TaskKind | None) -> dict[str, list[tuple[Path, float]]]:
    """Finished runs below a folder on the newest data version, with their validation scores, by technique.

    Runs that were chosen without validation (`selection: last`) have none, and are left out beside others. Where all
    runs are of one technique there is nothing to choose between, and their scores are NaN.
    """
    every: list[tuple[Path, RunRecord, float]] = []
    for run in finished_runs(folder):
        record = read_any_record(run)
        if isinstance(record, RunRecord):
            score = getattr(record.val, record.metric, None)
            every.append((run, record, math.nan if score is None else float(score)))
    found = [one for one in every if not math.isnan(one[2])]
    if not found and len({_technique(run, folder) for run, record, _ in every if record.selection is not None}) == 1:
        found = [one for one in every if one[1].selection is not None]
    tasks = sorted({record.task for _, record, _ in found})
    if tasks and task not in (None, *tasks):
        raise S4miError(f"{folder}: no finished {task} run, only {' and '.join(tasks)}; choose with --task")
    found = [(run, record, score) for run, record, score in found if task in (None, record.task)]
    newest = max((_data_version(record) for _, record, _ in found), default=1)
    techniques: dict[str, list[tuple[Path, float]]] = {}
    kinds: set[tuple[str, str]] = set()
    for run, record, score in found:
        if _data_version(record) == newest:
            kinds.add((record.dataset, f"{record.task} by {record.metric}"))
            name = _technique(run, folder)
            techniques.setdefault(name, []).append((run, score))
    if not folder.is_dir():
        raise S4miError(f"{folder}: no such folder; pass the folder of a run or of a study")
    if not techniques:
        raise S4miError(
            f"{folder}: not a run (no config.yaml), and contains no finished run with a validation score; "
            "use the folder of a run, or of a study whose runs were not chosen with selection=last"
        )
    if len(kinds) > 1:
        several = len({dataset for dataset, _ in kinds}) > 1
        listed = " and ".join(f"{dataset}, {kind}" if several else kind for dataset, kind in sorted(kinds))
        hint = "use the folder of one data set" if several else "choose with --task, or use one of the runs"
        raise S4miError(f"{folder}: its runs cannot be compared: {listed}; {hint}")
    return techniques


def _technique(run: Path, folder: Path) -> str:
    return SEED.sub("", run.relative_to(folder).as_posix()).removeprefix("runs/")


def _data_version(record: RunRecord) -> int:
    """Version of the data set; earlier ones had fewer labels."""
    return 1 if record.data is None else record.data.version


def ensure_calibrated(run: Path) -> None:
    """Calibrate a finished run that is not calibrated; log a warning if its data set is no longer available."""
    if not (run / RECORD_NAME).exists() or read_calibration(run) is not None:
        return
    from s4mi.training.calibrate import calibrate_run

    record = read_any_record(run)
    if not isinstance(record, RunRecord) or record.val is None:  # nothing to calibrate on
        return
    try:
        log.info("%s: calibrating on its validation images (once)", run)
        calibrate_run(run)
    except (S4miError, OSError) as error:
        log.warning("%s: not calibrated, so its probabilities are uncalibrated (%s)", run, error)


def _check_compatible(models: "tuple[RunModel, ...]") -> None:
    first = models[0].info
    for model in models[1:]:
        other = model.info
        for what, a, b in (
            ("classes", first.classes, other.classes),
            ("preprocessing", first.preprocessing, other.preprocessing),
            ("mask values", first.spec.mask_values, other.spec.mask_values),
            ("intensity", first.spec.intensity, other.spec.intensity),
        ):
            if a != b:
                raise S4miError(
                    f"{other.name}: {what} differ from those of {first.name} ({b} and {a}); use one of the runs"
                )


def load_exported(path: Path) -> ExportedModel:
    """Load a model file written by `s4mi export`; an ONNX file runs without torch.

    Raises:
        S4miError: it does not exist, was not written by s4mi export, or the package to run it is not installed.
    """
    if not path.is_file():
        raise S4miError(f"{path}: does not exist; create it with: s4mi export RUN_DIR -o {path}")
    if path.suffix.lower() == ONNX:
        from s4mi.inference.onnx_model import OnnxModel

        return OnnxModel(path)
    from s4mi.inference.exported_program import ProgramModel

    return ProgramModel(path)
