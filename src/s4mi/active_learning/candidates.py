"""Which images may be suggested, and whether a run can say anything of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from s4mi.contract import PretrainedConfig
from s4mi.data.manifest import Manifest, Row
from s4mi.errors import S4miError
from s4mi.inference.predictor import ModelInfo
from s4mi.records import CONFIG_NAME, RECORD_NAME, PretrainingRecord, TaskKind, finished_runs, read_any_record
from s4mi.training.run_dir import RunDir


@dataclass(frozen=True)
class Candidates:
    """Images that may be annotated next, by id, and those that are annotated and train.

    Attributes:
        held: how many others validate or test.
    """

    rows: tuple[Row, ...]
    known: tuple[Row, ...]
    held: int = 0


def candidates_of(manifest: Manifest, kind: TaskKind | None, *, runs: Sequence[Path], source: Path) -> Candidates:
    """The images without annotation for a task, but none that a run validates or tests with, or official ones.

    Args:
        kind: None: without any annotation. runs: whose splits are kept to, if the data set is theirs.
        source: a folder of runs, of which those on the data set are kept to where `runs` is empty.

    Raises:
        S4miError: there is none.
    """
    held = {row.id for row in manifest.rows if row.split in ("val", "test")}
    for run in runs or finished_runs(source):
        held |= _held_out(run, manifest)
    rows = sorted(manifest.rows, key=lambda row: row.id)
    free = [row for row in rows if row.id not in held]
    known = [row for row in free if _annotated(row, kind)]
    left = [row for row in free if not _annotated(row, kind)]
    if not left:
        what = f"annotated for {kind}" if kind else "annotated"
        raise S4miError(
            f"{manifest.folder}: all {len(free)} images that may train are {what}, so there is nothing to suggest; "
            "add images, or train with what there is"
        )
    return Candidates(tuple(left), tuple(known), held=len(rows) - len(free))


def check_predicts(source: Path) -> None:
    """Refuse what pre-trained alone, which has features and no answers.

    Raises:
        S4miError: it is a pre-training run, or a folder of nothing else.
    """
    below = () if (source / CONFIG_NAME).exists() else finished_runs(source)
    if _pretrains(source) or (below and all(_pretrains(run) for run in below)):
        raise S4miError(
            f"{source}: has learnt features and no answers, as it is of pre-training alone; let the features choose "
            "with --cold-start, or give a run that was trained on labels"
        )


def check_fits(about: ModelInfo, manifest: Manifest) -> None:
    """Refuse a run of other images or classes than those of the data set.

    Raises:
        S4miError: it is one.
    """
    spec = manifest.spec
    if spec.channels != about.spec.channels:
        words = {"rgb": "images in colour", "grey": "grey images"}
        raise S4miError(
            f"{manifest.folder}: holds {words[spec.channels]}, but {about.name} was trained on "
            f"{words[about.spec.channels]}; give a run on images like these"
        )
    named = spec.mask_classes if about.kind == "segmentation" else spec.classes
    if about.unnamed:
        raise S4miError(
            f"{about.name}: answers clusters that nobody has named; name them first (s4mi predict --clusters)"
        )
    if named and named != about.classes:
        raise S4miError(
            f"{about.name}: is of the {'mask ' if about.kind == 'segmentation' else ''}classes "
            f"{', '.join(about.classes)}, but {manifest.folder} has {', '.join(named)}; give a run of these classes"
        )
    if not named and spec.tasks:
        raise S4miError(
            f"{about.name}: is a {about.kind} run, but {manifest.folder} is for {' and '.join(spec.tasks)}; "
            "give a run of that task"
        )


def encoder_run(source: Path, runs: Sequence[Path]) -> Path:
    """The run whose encoder looks at the images: the pre-training of the runs, of the study, or else the first run.

    Raises:
        S4miError: there is none.
    """
    for run in runs:
        method = RunDir(run).config().method
        if isinstance(method, PretrainedConfig) and method.pretrained and _pretrains(method.pretrained):
            return method.pretrained
    if _pretrains(source):
        return source
    below = [run for run in finished_runs(source) if _pretrains(run)]
    if below:
        return below[0]
    if runs:
        return runs[0]
    if (source / RECORD_NAME).exists():
        return source
    raise S4miError(f"{source}: is no finished run, and no folder of a pre-training run; make one with: s4mi train")


def _pretrains(run: Path) -> bool:
    return (run / RECORD_NAME).exists() and isinstance(read_any_record(run), PretrainingRecord)


def _annotated(row: Row, kind: TaskKind | None) -> bool:
    return row.annotated(kind) if kind is not None else row.labels is not None or row.mask is not None


def _held_out(run: Path, manifest: Manifest) -> set[str]:
    """The images that a run validates or tests with, if it is a run on this data set."""
    if RunDir(run).config().data.path.resolve() != manifest.folder.resolve():
        return set()
    path = RunDir(run).split_path
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
        return {str(one) for part in ("val", "test") for one in contents[part]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise S4miError(f"{path}: is no saved split ({error}); train the run again") from error
