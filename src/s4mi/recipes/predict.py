"""Use what was trained on any images: probabilities of classifiers, masks at each image's own size of segmenters."""

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
from s4mi.inference.predictor import OVERLAP, Predictor, Probabilities
from s4mi.inference.writers.classification import PredictionWriter
from s4mi.inference.writers.output_settings import MaskFormat, OutputSettings, begin_folder
from s4mi.inference.writers.segmentation import OVERLAYS, MaskMeasurements, MaskWriter
from s4mi.records import Part, TaskKind

if TYPE_CHECKING:
    from s4mi.visualisation.cluster_sheet import ClusterSheet

LISTED = 8
"""More clusters than these are not all in a line."""


@dataclass(frozen=True)
class PredictResult:
    """What `predict_run` wrote.

    Attributes:
        output: the file or folder of answers. overlays: the folder of overlays, if they were asked for.
        legend: what the colours of the overlays mean, in a line.
        answered: images. kept: of these, answered at an earlier time. failed: images that could not be answered.
        why: of a folder of runs, which of them answered, in a line.
        sheet: the sheet on which clusters are looked at, if it was asked for, and a line each on what to do then.
    """

    output: Path
    answered: int
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
    def has(self, image: InputImage) -> bool:
        """Whether the answer is there from an earlier time."""

    def process(self, decoded: DecodedImage, predictions: Iterator[Probabilities]) -> Any:
        """In a thread: what is to be written of a file."""

    def write(self, image: InputImage, result: Any) -> None:
        """In the order of the images: write it."""


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
    resume: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> PredictResult:
    """Answer every image in `inputs`: files, folders searched recursively, or the rows of data sets.

    Classification writes `out/predictions.csv`: id, a probability per class, the decision (of several labels those
    above their thresholds, joined by `;`) and its entropy. Segmentation writes a mask per image at its own size, with
    the pixel values of the data set it was trained on, and `out/measurements.csv`. An image that cannot be read gets a
    line in `out/errors.csv`; the others go on. Pages, frames and slices of one file are answered each.

    Args:
        run: the folder of a run, an ONNX file, or a folder of runs, of which the best by validation answers.
        overlay: also write the image with its mask laid over it, in `out/overlays`; where a data set has the true mask,
            with what was found, missed and wrongly seen.
        clusters: of a run that found clusters, write these, whatever they are called: their numbers for masks, each
            image in their colours in `out/overlays`, a sheet to look at, `out/clusters.png`, and their shares,
            `out/clusters.csv`.
        part: of a data set, the images in this part of the run's own split; None for all. unannotated: of these, the
            images without a label, of a segmentation run without a mask.
        ensemble: of a folder of runs, the mean over all seeds of the best technique. task: of its runs, those of this.
        raw: without the temperature and the thresholds that validation chose.
        tta: average over the eight ways to turn and mirror an image.
        overlap: of the windows of a segmenter that learnt from tiles, as a share of their side.
        form: of masks: PNG, or as the image is.
        resume: keep the answers that are there and whole.

    Raises:
        S4miError: no such run, no images, overlays of a classifier, clusters of a run without, a part of what is no
            data set, a file that would be written over an image or another answer, or answers that were made in
            another way where they shall be kept.
    """
    if not 0 <= overlap < 1:
        raise S4miError(f"--overlap {overlap:g}: is no share of a window; give a number from 0 up to, but not, 1")
    opened = load_models(run, ensemble=ensemble, task=task, clusters=clusters, raw=raw)
    kind = opened.models[0].info.kind if unannotated else None
    images = find_inputs(inputs, _run_dirs(opened) if part is not None else (), part, unannotated=kind)
    answerer = Predictor(opened.models, raw=raw or clusters, tta=tta, overlap=overlap)
    if overlay and not clusters:
        _check_overlays(answerer, images)
    overlay = overlay or clusters
    sheet = _sheet(out, images, answerer) if clusters else None
    _writer(out, images, answerer, overlay=overlay, sheet=sheet, form=form, resume=False)  # refuses before it begins
    kept = begin_folder(out, _settings(answerer, form), resume=resume)
    writer = _writer(out, images, answerer, overlay=overlay, sheet=sheet, form=form, resume=kept)
    failed, before = ErrorList(out / "errors.csv"), [image for image in images if writer.has(image)]
    left = [image for image in images if not writer.has(image)] if before else images
    done = len(before)
    with writer, sheet or nullcontext():
        for asked, made in prediction_stream(left, answerer, writer.process, writer.keep):
            if isinstance(made, Unreadable):
                failed.add(made)
            else:
                writer.write(asked, made)
                if sheet is not None and isinstance(made, MaskMeasurements):
                    for frame in made.frames:
                        sheet.add(*frame)
            done += 1
            progress(done, len(images))
    predicted = PredictResult(
        output=writer.output,
        answered=len(images) - failed.count,
        failed=failed.count,
        kept=len(before),
        why=opened.why,
        overlays=out / OVERLAYS if overlay else None,
        legend=_legend(answerer, images) if overlay else "",
    )
    return predicted if sheet is None else _with_sheet(predicted, sheet, opened)


def _run_dirs(opened: LoadedModels) -> Sequence[Any]:
    """The runs whose splits say what a part is; none where a file answers, which needs no torch."""
    if not opened.runs:
        return ()
    from s4mi.training.run_dir import RunDir

    return [RunDir(run) for run in opened.runs]


def _writer(
    out: Path,
    images: Sequence[InputImage],
    answerer: Predictor,
    *,
    overlay: bool,
    sheet: "ClusterSheet | None",
    form: MaskFormat,
    resume: bool,
) -> _Writer:
    if not answerer.segments:
        return PredictionWriter(out, images, answerer, resume=resume)
    return MaskWriter(out, images, answerer, overlay=overlay, sheet=sheet is not None, form=form, resume=resume)


def _settings(answerer: Predictor, form: MaskFormat) -> OutputSettings:
    known = [None if answerer.raw else model.calibration for model in answerer.models]
    return OutputSettings(
        models=[model.info.digest for model in answerer.models],
        calibration=[None if one is None else one.temperature for one in known],
        thresholds=list(answerer.thresholds) if answerer.multilabel else [],
        classes=list(answerer.info.classes),
        raw=answerer.raw,
        tta=answerer.tta,
        overlap=answerer.overlap,
        format=form,
    )


def _sheet(out: Path, images: Sequence[InputImage], answerer: Predictor) -> "ClusterSheet":
    from s4mi.visualisation.cluster_sheet import ClusterSheet

    sheet = ClusterSheet(
        out, clusters=len(answerer.info.classes), images=[name for image in images for name in image.ids]
    )
    for image in images:
        if image.source.path.resolve() == sheet.path.resolve() or (
            image.source.mask is not None and image.source.mask.resolve() == sheet.path.resolve()
        ):
            raise S4miError(f"{sheet.path}: would be overwritten by the sheet; choose another folder with -o")
        if any(out / f"{place}.png" == sheet.path for place in image.output_stems):
            raise S4miError(f"{image.source.path}: its clusters would be overwritten by {sheet.path}; rename it")
    return sheet


def _with_sheet(predicted: PredictResult, sheet: "ClusterSheet", opened: LoadedModels) -> PredictResult:
    from s4mi.inference.run_model import RunModel
    from s4mi.visualisation.cluster_sheet import next_steps

    model = opened.models[0]
    if not predicted.answered or not isinstance(model, RunModel):
        return predicted
    return replace(predicted, sheet=sheet.path, next_steps=next_steps(model))


def _check_overlays(answerer: Predictor, images: Sequence[InputImage]) -> None:
    """Refuse overlays of what has no masks, or of truths in other classes than those of the run."""
    about = answerer.info
    if not answerer.segments:
        raise S4miError(
            f"{about.name}: is a {about.kind} run and predicts no masks to lay over images; leave out --overlay, "
            f"or see where it looks with: s4mi explain {about.name}"
        )
    for image in images:
        if image.source.mask is not None and image.source.mask_classes != about.classes:
            raise S4miError(
                f"{image.source.mask}: is a mask of {', '.join(image.source.mask_classes)}, but {about.name} was "
                f"trained on {', '.join(about.classes)}; give the images alone, or a data set of these classes"
            )


def _legend(answerer: Predictor, images: Sequence[InputImage]) -> str:
    """The colours of overlays without a truth, of those with one, or both."""
    names = answerer.info.classes
    if answerer.info.unnamed:
        colours = [f"{name} {cluster_colour(number)[0]}" for number, name in enumerate(names)]
        return ", ".join(colours if len(colours) <= LISTED else [*colours[: LISTED - 1], "…"])
    known = {image.source.mask is not None for image in images}
    classes = [f"{name} {class_colour(index)[0]}" for index, name in enumerate(names) if index]
    lines = [", ".join(classes)] if False in known else []
    if True in known:
        lines.append("found green, missed orange, wrong purple, outline of the truth white")
    return "; ".join(lines)
