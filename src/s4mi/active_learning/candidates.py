"""The images that may be suggested for annotation, and checks that a run fits them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from s4mi.active_learning.known_images import known_images
from s4mi.contract import PretrainedConfig
from s4mi.data.manifest import Manifest
from s4mi.data.row import Row
from s4mi.errors import S4miError
from s4mi.inference.predictor import ModelInfo
from s4mi.records import CONFIG_NAME, RECORD_NAME, PretrainingRecord, TaskKind, finished_runs, read_any_record
from s4mi.training.run_dir import RunDir


@dataclass(frozen=True)
class Candidates:
    """Images that may be annotated next, sorted by id, and the annotated training images.

    Attributes:
        held_out: number of validation and test images, which are never suggested.
        note: warning about runs that were trained on another data set, or empty.
    """

    rows: tuple[Row, ...]
    annotated: tuple[Row, ...]
    held_out: int = 0
    note: str = ""


def find_candidates(
    manifest: Manifest,
    kind: TaskKind | None,
    *,
    runs: Sequence[Path],
    source: Path,
    answered: Collection[str] = (),
    skipped: Collection[str] = (),
) -> Candidates:
    """Collect the images without annotation for a task, except validation and test images of runs and official splits.

    Images that runs on other data sets have annotations of, as their content shows, are left out as well.

    Args:
        kind: the task; None: images without any annotation.
        runs: runs whose splits are respected.
        source: folder of runs whose splits are respected if `runs` is empty.
        answered: ids of images that are annotated, although the data set does not have it yet.
        skipped: ids of images that are not to be suggested.

    Raises:
        S4miError: there are none.
    """
    held_out = {row.id for row in manifest.rows if row.split in ("val", "test")}
    known = [known_images(run, manifest) for run in runs or finished_runs(source)]
    held_out.update(*(run.held_out for run in known))
    labelled: set[str] = set().union(*(run.labelled for run in known))
    notes = list(dict.fromkeys(run.note for run in known if run.note))
    more = f" (and {len(notes) - 1} more runs)" if len(notes) > 1 else ""
    rows = sorted(manifest.rows, key=lambda row: row.id)
    training = [row for row in rows if row.id not in held_out]
    annotated = [row for row in training if _annotated(row, kind) or row.id in answered]
    left_out = labelled.union(answered, skipped)
    unannotated = [row for row in training if not _annotated(row, kind) and row.id not in left_out]
    if not unannotated:
        status = f"annotated for {kind}" if kind else "annotated"
        raise S4miError(
            f"{manifest.folder}: all {len(training)} training images are already {status}; add images, or train with "
            "the existing annotations"
        )
    return Candidates(
        tuple(unannotated), tuple(annotated), held_out=len(rows) - len(training), note="".join(notes[:1]) + more
    )


def check_can_predict(source: Path) -> None:
    """Raise unless the run, or one below the folder, was trained on annotations.

    Raises:
        S4miError: it is a pre-training run, or a folder of pre-training runs only.
    """
    below = () if (source / CONFIG_NAME).exists() else finished_runs(source)
    if _is_pretraining(source) or (below and all(_is_pretraining(run) for run in below)):
        raise S4miError(
            f"{source}: a pre-training run has features but no predictions; choose by features alone with "
            "--cold-start, or use a run that was trained on labels"
        )


def check_compatible(info: ModelInfo, manifest: Manifest) -> None:
    """Raise unless the model was trained on images and classes like those of the data set.

    Raises:
        S4miError: channels, classes or task differ, or its classes are unnamed clusters.
    """
    spec = manifest.spec
    if spec.channels != info.spec.channels:
        kinds = {"rgb": "colour images", "grey": "greyscale images"}
        raise S4miError(
            f"{manifest.folder}: contains {kinds[spec.channels]}, but {info.name} was trained on "
            f"{kinds[info.spec.channels]}; use a run trained on {kinds[spec.channels]}"
        )
    classes = spec.mask_classes if info.kind == "segmentation" else spec.classes
    if info.unnamed:
        raise S4miError(f"{info.name}: predicts unnamed clusters; name them first (s4mi predict --clusters)")
    if classes and classes != info.classes:
        raise S4miError(
            f"{info.name}: was trained on the {'mask ' if info.kind == 'segmentation' else ''}classes "
            f"{', '.join(info.classes)}, but {manifest.folder} has {', '.join(classes)}; use a run of these classes"
        )
    if not classes and spec.tasks:
        raise S4miError(
            f"{info.name}: is a {info.kind} run, but {manifest.folder} is for {' and '.join(spec.tasks)}; "
            "use a run of that task"
        )


def encoder_run(source: Path, runs: Sequence[Path]) -> Path:
    """Select the run whose encoder computes features: the pre-training of the runs or of the study, or the first run.

    Raises:
        S4miError: there is none.
    """
    for run in runs:
        method = RunDir(run).config().method
        if isinstance(method, PretrainedConfig) and method.pretrained and _is_pretraining(method.pretrained):
            return method.pretrained
    if _is_pretraining(source):
        return source
    below = [run for run in finished_runs(source) if _is_pretraining(run)]
    if below:
        return below[0]
    if runs:
        return runs[0]
    if (source / RECORD_NAME).exists():
        return source
    raise S4miError(
        f"{source}: not a finished run, and contains no finished pre-training run; train one with: s4mi train"
    )


def _is_pretraining(run: Path) -> bool:
    return (run / RECORD_NAME).exists() and isinstance(read_any_record(run), PretrainingRecord)


def _annotated(row: Row, kind: TaskKind | None) -> bool:
    return row.annotated(kind) if kind is not None else row.labels is not None or row.mask is not None
