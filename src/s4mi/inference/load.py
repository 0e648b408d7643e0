"""What answers: a run, an ONNX file, or of a folder of runs the best by validation, alone or with its other seeds."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from s4mi.errors import S4miError
from s4mi.inference.model_metadata import ENDINGS, ONNX, ExportedModel
from s4mi.inference.predictor import Model
from s4mi.records import CONFIG_NAME, RECORD_NAME, RunRecord, TaskKind, finished_runs, read_any_record
from s4mi.records.calibration import read_calibration

if TYPE_CHECKING:
    from s4mi.inference.run_model import RunModel

log = logging.getLogger("s4mi")

SEED = re.compile(r"-seed\d+$")


@dataclass(frozen=True)
class RunSelection:
    """Folders of runs that answer together, and why these, in a line; empty where there was nothing to choose."""

    runs: tuple[Path, ...]
    why: str = ""


@dataclass(frozen=True)
class LoadedModels:
    """What answers.

    Attributes:
        runs: their folders; none of an ONNX file.
        why: why these, in a line; empty where there was nothing to choose.
    """

    models: tuple[Model, ...]
    runs: tuple[Path, ...]
    why: str = ""


def open_models(
    given: Path, *, ensemble: bool = False, task: TaskKind | None = None, clusters: bool = False, raw: bool = False
) -> LoadedModels:
    """Load what `given` names. A run that was never calibrated is calibrated now, if its data set is still there.

    Args:
        ensemble: of a folder of runs, all seeds of the best technique. task: of its runs, those of this task.
        clusters: of a run that found clusters, these.
        raw: nobody asks how sure it may be, so nothing is calibrated.

    Raises:
        S4miError: it is none of these, or several runs do not fit together.
    """
    if given.is_file() or (given.suffix.lower() in ENDINGS and not given.is_dir()):
        if ensemble or clusters:
            option = "--ensemble" if ensemble else "--clusters"
            raise S4miError(f"{given}: is one file; leave out {option}, or give the folder of the runs")
        if given.suffix.lower() not in ENDINGS:
            raise S4miError(
                f"{given}: is neither the folder of a run nor an exported model (.onnx, .pt2); give one of these"
            )
        return LoadedModels((open_exported(given),), ())
    chosen = choose_runs(given, ensemble=ensemble, task=task)
    if not (raw or clusters):
        for run in chosen.runs:
            calibrated(run)
    from s4mi.inference.run_model import RunModel

    models = tuple(RunModel(run, clusters=clusters) for run in chosen.runs)
    _check_alike(models)
    return LoadedModels(models, chosen.runs, chosen.why)


def choose_runs(given: Path, *, ensemble: bool = False, task: TaskKind | None = None) -> RunSelection:
    """The run in the folder `given`, or of the runs below it, of one `task`, those of the best technique by validation.

    Where labels were merged into the data set since, runs on its newest version alone count. Techniques are compared by
    the mean over their seeds, those with the most finished seeds alone. A technique at another label fraction counts as
    another.

    Raises:
        S4miError: there is no finished run, or the runs are of several data sets or tasks.
    """
    if (given / CONFIG_NAME).exists():
        if ensemble:
            raise S4miError(f"{given}: is one run; leave out --ensemble, or give the folder of a study")
        return RunSelection((given,))
    techniques = _finished(given, task)
    most = max(len(runs) for runs in techniques.values())
    means = {name: sum(score for _, score in runs) / most for name, runs in techniques.items() if len(runs) == most}
    name = max(means, key=lambda name: means[name])
    runs = sorted(techniques[name], key=lambda run: -run[1])
    record = read_any_record(runs[0][0])
    assert isinstance(record, RunRecord)
    scored = f"validation {record.metric} {means[name]:.3f}, mean of {most} seed{'' if most == 1 else 's'}"
    if ensemble:
        return RunSelection(tuple(sorted(run for run, _ in runs)), f"{name}: all {most} seeds ({scored})")
    return RunSelection((runs[0][0],), f"{name}: the best of its seeds, {runs[0][0].name} ({scored})")


def _finished(folder: Path, task: TaskKind | None) -> dict[str, list[tuple[Path, float]]]:
    """By technique the finished runs below a folder, each with its validation score: those on the newest labels."""
    found: list[tuple[Path, RunRecord, float]] = []
    for run in finished_runs(folder):
        record = read_any_record(run)
        if isinstance(record, RunRecord) and record.val is not None:
            score = getattr(record.val, record.metric, None)
            if score is not None:
                found.append((run, record, float(score)))
    tasks = sorted({record.task for _, record, _ in found})
    if tasks and task not in (None, *tasks):
        raise S4miError(f"{folder}: has no finished {task} run, but for {' and '.join(tasks)}; name one with --task")
    found = [one for one in found if task in (None, one[1].task)]
    newest = max((_version(record) for _, record, _ in found), default=1)
    techniques: dict[str, list[tuple[Path, float]]] = {}
    kinds: set[tuple[str, str]] = set()
    for run, record, score in found:
        if _version(record) == newest:
            kinds.add((record.dataset, f"{record.task} by {record.metric}"))
            name = SEED.sub("", run.relative_to(folder).as_posix()).removeprefix("runs/")
            techniques.setdefault(name, []).append((run, score))
    if not techniques:
        raise S4miError(
            f"{folder}: is no run (it holds no config.yaml), and below it is no finished run with a validation "
            "score; give the folder of a run or of a study"
        )
    if len(kinds) > 1:
        several = len({dataset for dataset, _ in kinds}) > 1
        listed = " and ".join(f"{dataset}, {kind}" if several else kind for dataset, kind in sorted(kinds))
        cure = "the folder of one data set" if several else "one of them, or say which with --task"
        raise S4miError(f"{folder}: its runs cannot be compared: {listed}; give {cure}")
    return techniques


def _version(record: RunRecord) -> int:
    """Of the data set: those before had fewer labels."""
    return 1 if record.data is None else record.data.version


def calibrated(run: Path) -> None:
    """See to it that a finished run is calibrated; where its data set is gone, say so once and go on."""
    if not (run / RECORD_NAME).exists() or read_calibration(run) is not None:
        return
    from s4mi.training.calibrate import calibrate_run

    record = read_any_record(run)
    if not isinstance(record, RunRecord) or record.val is None:  # nothing to learn it from
        return
    try:
        log.info("%s: is calibrated on its validation images, once", run)
        calibrate_run(run)
    except (S4miError, OSError) as error:
        log.warning("%s: is not calibrated, and its probabilities are as the network gives them (%s)", run, error)


def _check_alike(models: "tuple[RunModel, ...]") -> None:
    first = models[0].about
    for model in models[1:]:
        other = model.about
        for what, a, b in (
            ("classes", first.classes, other.classes),
            ("preprocessing", first.preprocessing, other.preprocessing),
            ("mask values", first.spec.mask_values, other.spec.mask_values),
            ("intensity", first.spec.intensity, other.spec.intensity),
        ):
            if a != b:
                raise S4miError(f"{other.name}: has other {what} than {first.name} ({b} and {a}); give one of them")


def open_exported(path: Path) -> ExportedModel:
    """The model in a file that `s4mi export` wrote; an ONNX file is run without torch.

    Raises:
        S4miError: it is not there, was not written by s4mi export, or the package that runs it is missing.
    """
    if not path.is_file():
        raise S4miError(f"{path}: not there; make one with: s4mi export RUN_DIR -o {path}")
    if path.suffix.lower() == ONNX:
        from s4mi.inference.onnx_model import OnnxModel

        return OnnxModel(path)
    from s4mi.inference.exported_program import ProgramModel

    return ProgramModel(path)
