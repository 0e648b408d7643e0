"""Predict images with trained models: class probabilities, or masks at each image's own size."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from s4mi.errors import S4miError
from s4mi.inference.image_list import InputImage, find_inputs
from s4mi.inference.input_files import ErrorList, Unreadable
from s4mi.inference.load import LoadedModels, load_models
from s4mi.inference.overlays.masks import class_colour, cluster_colour
from s4mi.inference.pipeline import DecodedImage, KeepOptions, prediction_stream
from s4mi.inference.predictor import OVERLAP, Precision, Predictor, Probabilities
from s4mi.inference.unlike_training import UnlikeTraining
from s4mi.inference.writers.classification import PredictionWriter
from s4mi.inference.writers.only_writer import only_writer
from s4mi.inference.writers.output_settings import MaskFormat, OutputSettings, begin_folder
from s4mi.inference.writers.segmentation import OVERLAYS, MaskMeasurements, MaskWriter
from s4mi.records import Part, TaskKind

if TYPE_CHECKING:
    from s4mi.visualisation.cluster_sheet import ClusterSheet

log = logging.getLogger("s4mi")

MAX_LISTED = 8
"""Maximum number of clusters in the legend."""


@dataclass(frozen=True)
class PredictResult:
    """What `predict_run` wrote.

    Attributes:
        output: file or folder of the predictions. overlays: folder of the overlays, if requested.
        legend: meaning of the overlays' colours, in one line.
        predicted: predicted images. kept: of these, those predicted by an earlier call. failed: unreadable images.
        why: for a folder of runs, which of them made the predictions, in one line.
        sheet: contact sheet of the clusters, if requested. next_steps: how to name the clusters, one line each.
    """

    output: Path
    predicted: int
    failed: int
    kept: int = 0
    why: str = ""
    overlays: Path | None = None
    legend: str = ""
    sheet: Path | None = None
    next_steps: tuple[str, ...] = ()


class _Writer(Protocol):
    output: Path
    keep: KeepOptions

    def __enter__(self) -> object: ...
    def __exit__(self, *_: object) -> None: ...
    def has(self, image: InputImage, /) -> bool:
        """Whether an earlier call has written this prediction."""

    def process(self, decoded: DecodedImage, predictions: Iterator[Probabilities], /) -> Any:
        """Return what to write for a file; called in a thread."""

    def write(self, image: InputImage, result: Any, /) -> None:
        """Write the result of `process`; called in the order of the images."""

    def discard(self, image: InputImage, /) -> None:
        """Remove what an earlier call, perhaps of another network, wrote for an image that cannot be predicted."""


def predict_run(
    run: Path,
    inputs: Sequence[Path],
    out: Path,
    *,
    overlay: bool = False,
    clusters: bool = False,
    part: Part | None = None,
    unannotated: bool = False,
    ensemble: bool = False,
    task: TaskKind | None = None,
    raw: bool = False,
    tta: bool = False,
    overlap: float = OVERLAP,
    form: MaskFormat = "png",
    precision: Precision = "32",
    resume: bool = False,
    loaded: LoadedModels | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> PredictResult:
    """Predict every image in `inputs`: files, folders searched recursively, or the rows of data sets.

    Classification writes `out/predictions.csv`: id, a probability per class, the decision (for multi-label tasks the
    classes above their thresholds, joined by `;`) and the entropy. Segmentation writes a mask per image at its own
    size, with the mask values of the training data set, and `out/measurements.csv`. Unreadable images are listed in
    `out/errors.csv` and skipped; those unlike the training images in `out/unlike_training.csv`, with a warning. Each
    page, frame or slice of a file is predicted separately.

    Args:
        run: folder of a run, an exported model, or a folder of runs, of which the best by validation is used.
        overlay: also write each image with its mask as overlay to `out/overlays`; if a data set has the ground truth,
            the overlay shows what was found, missed and wrong.
        clusters: for a run that found clusters, write these, named or not: masks of cluster numbers, overlays in
            `out/overlays`, the contact sheet `out/clusters.png`, and the share of each cluster in `out/clusters.csv`.
        part: for a data set, predict only this part of the run's own split; None for all images.
        unannotated: for a data set, predict only images without a label, or without a mask for segmentation.
        ensemble: for a folder of runs, average over all seeds of the best technique.
        task: for a folder of runs, consider only runs with this task.
        raw: do not apply temperature scaling and thresholds.
        tta: test-time augmentation: average over the eight rotations and reflections of an image.
        overlap: overlap of the windows of a segmenter trained on tiles, as a share of their side, in [0, 1).
        form: file format of masks: PNG, or that of the image.
        precision: of runs on a CPU: float32, or bfloat16 where that changes no decision; auto: bfloat16 where the
            processor multiplies in it.
        resume: keep complete predictions of an earlier call.
        loaded: the models of `run`, if they are loaded already; their own precision counts.

    Raises:
        S4miError: the run or the images do not exist, overlays are requested from a classifier or clusters from a run
            without any, `part` is given for something other than a data set, a file would overwrite an image or
            another prediction, predictions to be kept were made with other settings, or another process writes here.
    """
    if not 0 <= overlap < 1:
        raise S4miError(f"--overlap must be at least 0 and below 1 (given {overlap:g})")
    if loaded is None:
        loaded = load_models(run, ensemble=ensemble, task=task, clusters=clusters, raw=raw, precision=precision)
    kind = loaded.models[0].info.kind if unannotated else None
    images = find_inputs(inputs, _run_dirs(loaded) if part is not None else (), part, unannotated=kind)
    predictor = Predictor(loaded.models, raw=raw or clusters, tta=tta, overlap=overlap)
    if overlay and not clusters:
        _check_overlays(predictor, images)
    overlay = overlay or clusters
    sheet = _sheet(out, images, predictor) if clusters else None
    _writer(out, images, predictor, overlay=overlay, sheet=sheet, form=form, resume=False)  # only to check the paths
    with only_writer(out):
        kept = begin_folder(out, _settings(predictor, form), resume=resume)
        writer = _writer(out, images, predictor, overlay=overlay, sheet=sheet, form=form, resume=kept)
        failed, finished = ErrorList(out / "errors.csv"), [image for image in images if writer.has(image)]
        remaining = [image for image in images if not writer.has(image)] if finished else images
        done = len(finished)
        unlike = UnlikeTraining(out, loaded.runs, images, kept=finished)

        def process(decoded: DecodedImage, predictions: Iterator[Probabilities]) -> Any:
            written = writer.process(decoded, predictions)
            unlike.look(decoded)
            return written

        with writer, sheet or nullcontext():
            for image, result in prediction_stream(remaining, predictor, process, writer.keep):
                if isinstance(result, Unreadable):
                    failed.add(result)
                    writer.discard(image)
                else:
                    unlike.keep(image)
                    writer.write(image, result)
                    if sheet is not None and isinstance(result, MaskMeasurements):
                        for frame in result.frames:
                            sheet.add(*frame)
                done += 1
                progress(done, len(images))
        if warning := unlike.write():
            log.warning(warning)
        written = PredictResult(
            output=writer.output,
            predicted=len(images) - failed.count,
            failed=failed.count,
            kept=len(finished),
            why=loaded.why,
            overlays=out / OVERLAYS if overlay else None,
            legend=_legend(predictor, images) if overlay else "",
        )
        return written if sheet is None else _with_sheet(written, sheet, loaded)


def _run_dirs(loaded: LoadedModels) -> Sequence[Any]:
    """Return the runs whose splits define the parts; none for an exported file, which needs no torch."""
    if not loaded.runs:
        return ()
    from s4mi.training.run_dir import RunDir

    return [RunDir(run) for run in loaded.runs]


def _writer(
    out: Path,
    images: Sequence[InputImage],
    predictor: Predictor,
    *,
    overlay: bool,
    sheet: "ClusterSheet | None",
    form: MaskFormat,
    resume: bool,
) -> _Writer:
    if not predictor.segments:
        return PredictionWriter(out, images, predictor, resume=resume)
    return MaskWriter(out, images, predictor, overlay=overlay, sheet=sheet is not None, form=form, resume=resume)


def _settings(predictor: Predictor, form: MaskFormat) -> OutputSettings:
    calibrations = [None if predictor.raw else model.calibration for model in predictor.models]
    return OutputSettings(
        models=[model.info.digest for model in predictor.models],
        calibration=[None if calibration is None else calibration.temperature for calibration in calibrations],
        thresholds=list(predictor.thresholds) if predictor.multilabel else [],
        classes=list(predictor.info.classes),
        raw=predictor.raw,
        tta=predictor.tta,
        overlap=predictor.overlap,
        format=form,
        precision=[model.precision if hasattr(model, "precision") else "32" for model in predictor.models],
    )


def _sheet(out: Path, images: Sequence[InputImage], predictor: Predictor) -> "ClusterSheet":
    from s4mi.visualisation.cluster_sheet import ClusterSheet

    sheet = ClusterSheet(
        out, clusters=len(predictor.info.classes), images=[name for image in images for name in image.ids]
    )
    for image in images:
        if image.source.path.resolve() == sheet.path.resolve() or (
            image.source.mask is not None and image.source.mask.resolve() == sheet.path.resolve()
        ):
            raise S4miError(f"{sheet.path}: would be overwritten by the contact sheet; choose another folder with -o")
        if any(out / f"{path}.png" == sheet.path for path in image.output_stems):
            raise S4miError(f"{image.source.path}: its mask would be overwritten by {sheet.path}; rename the image")
    return sheet


def _with_sheet(written: PredictResult, sheet: "ClusterSheet", loaded: LoadedModels) -> PredictResult:
    from s4mi.inference.run_model import RunModel
    from s4mi.visualisation.cluster_sheet import next_steps

    model = loaded.models[0]
    if not written.predicted or not isinstance(model, RunModel):
        return written
    return replace(written, sheet=sheet.path, next_steps=next_steps(model))


def _check_overlays(predictor: Predictor, images: Sequence[InputImage]) -> None:
    """Refuse overlays for a model that predicts no masks, or for ground truth in other classes than the model's."""
    about = predictor.info
    if not predictor.segments:
        raise S4miError(
            f"{about.name}: a {about.kind} run predicts no masks; omit --overlay, or show saliency maps with: "
            f"s4mi explain {about.name}"
        )
    for image in images:
        if image.source.mask is not None and image.source.mask_classes != about.classes:
            raise S4miError(
                f"{image.source.mask}: has the classes {', '.join(image.source.mask_classes)}, but {about.name} was "
                f"trained on {', '.join(about.classes)}; pass only the images, or a data set with these classes"
            )


def _legend(predictor: Predictor, images: Sequence[InputImage]) -> str:
    """Return the legend of overlays without ground truth, with ground truth, or of both kinds."""
    names = predictor.info.classes
    if predictor.info.unnamed:
        colours = [f"{name} {cluster_colour(number)[0]}" for number, name in enumerate(names)]
        return ", ".join(colours if len(colours) <= MAX_LISTED else [*colours[: MAX_LISTED - 1], "…"])
    has_truth = {image.source.mask is not None for image in images}
    classes = [f"{name} {class_colour(index)[0]}" for index, name in enumerate(names) if index]
    lines = [", ".join(classes)] if False in has_truth else []
    if True in has_truth:
        lines.append("correct green, missed orange, false positive purple, ground-truth outline white")
    return "; ".join(lines)
