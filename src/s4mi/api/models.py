"""A trained model in Python: load it from a run, a study or an exported file, and predict images in memory."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, overload

from s4mi.api.history import history_of
from s4mi.api.images import list_images
from s4mi.api.inputs import StrPath, as_path, one_of, shown_path
from s4mi.api.predictions import Prediction, PredictionList, PredictionSource
from s4mi.api.progress import StepCallback, step_progress
from s4mi.api.quiet import quiet
from s4mi.api.show import facts, heading
from s4mi.errors import S4miError
from s4mi.system_errors import system_errors

if TYPE_CHECKING:
    from typing import Any

    import polars
    from numpy.typing import NDArray

    from s4mi.api.images import Image, Images
    from s4mi.api.predictions import Probabilities
    from s4mi.inference.load import LoadedModels
    from s4mi.inference.pipeline import DecodedImage
    from s4mi.inference.predictor import Precision, Predictor
    from s4mi.records import Part, TaskKind

T = TypeVar("T")


@system_errors()
def load(
    path: StrPath, *, task: "TaskKind | None" = None, ensemble: bool = False, clusters: bool = False,
    precision: "Precision" = "32",
) -> "Model":  # fmt: skip
    """Load a trained model. A run that was never calibrated is calibrated now if its data set is still there.

    Args:
        path: folder of a run, folder of a study (its best run by validation), or an exported .onnx or .pt2 file.
        task: for a study, only runs of this task.
        ensemble: for a study, average the probabilities of all seeds of its best technique.
        clusters: for a run that found clusters, predict these instead of the classes assigned to them.
        precision: of runs on a CPU; see `s4mi.predict`.

    Raises:
        S4miError: `path` is none of these, has no finished run, or its runs cannot be combined.
    """
    with quiet():
        from s4mi.inference.load import load_models

        one_of("precision", precision, ("auto", "32", "bf16"))
        path = as_path(path).absolute()  # stays the same after os.chdir
        loaded = load_models(path, ensemble=ensemble, task=task, clusters=clusters, precision=precision)
    return Model(loaded, path, task=task, ensemble=ensemble, clusters=clusters)


class Model:
    """A trained model, made by `s4mi.load`.

    Attributes:
        path: what it was loaded from.
        runs: folders of its runs, several of an ensemble, none of an exported file.
        reason: for a study, which of its runs were selected and why; else empty.
    """

    def __init__(
        self, loaded: "LoadedModels", path: Path, *, task: "TaskKind | None", ensemble: bool, clusters: bool
    ) -> None:
        """Not for users: call `s4mi.load`."""
        self.path, self.reason, self.runs = path, loaded.why, loaded.runs
        self.selected_task, self.ensemble, self.clusters = task, ensemble, clusters
        self.loaded, self._info = loaded, loaded.models[0].info

    @property
    def task(self) -> "TaskKind":
        """`multiclass`, `multilabel` or `segmentation`."""
        return self._info.kind

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of probabilities and mask indices; the first of a segmenter is the background."""
        return self._info.classes

    @property
    def intensity(self) -> str:
        """The rule that maps images of more than 8 bits to 0–255, such as `percentiles:0.1:99.9`."""
        return str(self._info.spec.rule)

    @property
    def image_size(self) -> int:
        """Side in pixels of the square that the network sees; images of any size are resized to it."""
        return self._info.preprocessing.image_size

    @property
    def history(self) -> "polars.DataFrame":
        """One row per epoch, as `Run.history`; of an ensemble with the name of each run in the column `run`.

        Raises:
            S4miError: an exported file holds no history.
        """
        import polars

        if not self.runs:
            raise S4miError(f"{self.path}: an exported model holds no training history; load the folder of its run")
        if len(self.runs) == 1:
            return history_of(self.runs[0])
        frames = [history_of(run).insert_column(0, polars.lit(run.name).alias("run")) for run in self.runs]
        return polars.concat(frames, how="diagonal")

    @overload
    def predict(  # type: ignore[overload-overlap]
        self,
        images: "NDArray[Any]",
        *,
        part: "Part | None" = None,
        raw: bool = False,
        tta: bool = False,
        overlap: float = 0.25,
        progress: bool | StepCallback = True,
    ) -> Prediction: ...
    @overload
    def predict(  # type: ignore[overload-overlap]
        self,
        images: StrPath,
        *,
        part: "Part | None" = None,
        raw: bool = False,
        tta: bool = False,
        overlap: float = 0.25,
        progress: bool | StepCallback = True,
    ) -> Prediction | PredictionList: ...
    @overload
    def predict(
        self,
        images: "Iterable[Image]",
        *,
        part: "Part | None" = None,
        raw: bool = False,
        tta: bool = False,
        overlap: float = 0.25,
        progress: bool | StepCallback = True,
    ) -> PredictionList: ...
    def predict(
        self,
        images: "Images",
        *,
        part: "Part | None" = None,
        raw: bool = False,
        tta: bool = False,
        overlap: float = 0.25,
        progress: bool | StepCallback = True,
    ) -> Prediction | PredictionList:
        """Predict images: a class (or classes) per image, or a mask at each image's own size.

        An array or a file with one picture gives a `Prediction`; a list, a folder, a data set or a file with several
        pages gives a `PredictionList` with one per picture. Arrays are read exactly as files are: uint8 as it is,
        other types mapped to 0–255 by the rule `intensity`, grey repeated, transparency dropped.

        Args:
            images: arrays (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), bool, uint8, other integers or floats without NaN;
                paths of files, folders (searched recursively) or data sets; or a list of these.
            part: for data sets, only images in this part of the run's own split.
            raw: leave out temperature scaling and per-class thresholds.
            tta: average over the eight flips and quarter turns; 8× slower.
            overlap: overlap of neighbouring windows as a share of their side, for segmenters trained on tiles.
            progress: True shows a bar (terminal, notebook); a function is called with what is done, done and total.

        Raises:
            S4miError: an image cannot be read, is not an image, or does not suit the model.
        """
        predictor = self._predictor(raw=raw, tta=tta, overlap=overlap)

        def work(decoded: "DecodedImage", pages: "Iterator[Probabilities]") -> list[Prediction]:
            return [self._prediction(predictor, decoded, page, given) for page, given in enumerate(pages)]

        found, single = self._run(images, predictor, work, part=part, progress=progress)
        return found[0] if single else PredictionList(found)

    @overload
    def predict_proba(  # type: ignore[overload-overlap]
        self,
        images: "NDArray[Any]",
        *,
        part: "Part | None" = None,
        raw: bool = False,
        tta: bool = False,
        overlap: float = 0.25,
        progress: bool | StepCallback = True,
    ) -> "Probabilities": ...
    @overload
    def predict_proba(  # type: ignore[overload-overlap]
        self,
        images: StrPath,
        *,
        part: "Part | None" = None,
        raw: bool = False,
        tta: bool = False,
        overlap: float = 0.25,
        progress: bool | StepCallback = True,
    ) -> "Probabilities | list[Probabilities]": ...
    @overload
    def predict_proba(
        self,
        images: "Iterable[Image]",
        *,
        part: "Part | None" = None,
        raw: bool = False,
        tta: bool = False,
        overlap: float = 0.25,
        progress: bool | StepCallback = True,
    ) -> "list[Probabilities]": ...
    def predict_proba(
        self,
        images: "Images",
        *,
        part: "Part | None" = None,
        raw: bool = False,
        tta: bool = False,
        overlap: float = 0.25,
        progress: bool | StepCallback = True,
    ) -> "Probabilities | list[Probabilities]":
        """Calibrated probabilities of images: (K,) float32, of a segmenter (K, H, W) at the image's own size.

        They sum to 1 over the classes, unless the model is multi-label. Arguments and errors as of `predict`; one image
        gives one array, several give a list.
        """
        from s4mi.inference.page_prediction import probabilities_of

        predictor = self._predictor(raw=raw, tta=tta, overlap=overlap)
        found, single = self._run(
            images, predictor, lambda _, pages: [*map(probabilities_of, pages)], part=part, progress=progress
        )
        return found[0] if single else found

    def _predictor(self, *, raw: bool, tta: bool, overlap: float) -> "Predictor":
        from s4mi.inference.predictor import Predictor

        if not 0 <= overlap < 1:
            raise S4miError(f"overlap must be in [0, 1) (given {overlap:g})")
        return Predictor(self.loaded.models, raw=raw or self.clusters, tta=tta, overlap=overlap)

    @system_errors()
    def _run(
        self,
        images: "Images",
        predictor: "Predictor",
        work: "Callable[[DecodedImage, Iterator[Probabilities]], list[T]]",
        *,
        part: "Part | None",
        progress: bool | StepCallback,
    ) -> tuple[list[T], bool]:
        """The results of `work` for every picture, and whether one picture was passed by itself."""
        with quiet():
            from s4mi.inference.input_files import Unreadable
            from s4mi.inference.pipeline import KeepOptions, prediction_stream

            listed, single = list_images(images, self.runs, part)
            results: list[T] = []
            with step_progress(progress if len(listed) > 1 else False) as step:
                for number, (image, made) in enumerate(prediction_stream(listed, predictor, work, KeepOptions()), 1):
                    if isinstance(made, Unreadable):
                        raise S4miError(f"{image.source.path}: {made.message}")
                    results += made
                    step("predicting", number, len(listed))
        return results, single

    def _prediction(
        self, predictor: "Predictor", decoded: "DecodedImage", page: int, probabilities: "Probabilities"
    ) -> Prediction:
        import numpy as np

        from s4mi.inference.page_prediction import mask_of

        info = self._info
        source, name = PredictionSource(decoded.image, page, info.spec.rule), decoded.image.ids[page]
        if not predictor.segments:
            labels = predictor.labels(probabilities)
            return Prediction(name, info.kind, info.classes, labels, source, _probabilities=probabilities)
        mask = mask_of(probabilities)
        present = tuple(info.classes[k] for k in np.unique(mask).tolist() if k or info.unnamed)
        return Prediction(name, info.kind, info.classes, present, source, info.unnamed, _mask=mask)

    def __repr__(self) -> str:
        return f"Model({shown_path(self.path)!r}): {self.task}, {', '.join(self.classes)}"

    def _repr_html_(self) -> str:
        members, calibration = len(self.loaded.models), self.loaded.models[0].calibration
        return heading(self._info.name if members == 1 else f"Ensemble of {members} runs") + facts(
            (
                ("selected", self.reason),
                ("task", self.task),
                ("classes", ", ".join(self.classes)),
                ("network input", f"{self.image_size}×{self.image_size} pixels"),
                ("16-bit images", self.intensity),
                ("trained on", self._info.spec.name + (" (synthetic images)" if self._info.spec.synthetic else "")),
                ("temperature", "not calibrated" if calibration is None else f"{calibration.temperature:.3f}"),
            )
        )
