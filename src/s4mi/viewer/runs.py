"""The runs that the page shows: what they are, what they predict, and how that differs from the annotations."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from s4mi.data.formats.intensity import Pixels
from s4mi.data.loading.default_cache import default_cache
from s4mi.data.manifest import Manifest
from s4mi.data.row import Row
from s4mi.data.spec import DatasetSpec
from s4mi.errors import S4miError
from s4mi.records import RECORD_NAME, RunRecord, TaskKind, read_any_record
from s4mi.records.calibration import CALIBRATION_NAME
from s4mi.reporting.results.scores import metric_of, percent, score_of
from s4mi.viewer.columns import Labels
from s4mi.viewer.grid import Predicted
from s4mi.viewer.masks import dice, truth_like
from s4mi.viewer.prediction_store import ImagePrediction, PredictionStore, StoredSummary, stamp_of
from s4mi.viewer.requests import RequestError

log = logging.getLogger("s4mi.viewer")


@dataclass(frozen=True)
class RunSource:
    """Where a run is and what its record says; without record it is an exported model, or not finished."""

    path: Path
    name: str
    record: RunRecord | None
    task: TaskKind | None = None

    @property
    def kind(self) -> str:
        """Task as the page names it."""
        task = self.record.task if self.record else self.task
        return "segmentation" if task == "segmentation" else "classification"


class ViewRun:
    """A run and its predictions for the images of a data set.

    Attributes:
        key: its name in requests. identity: hash of the run and the data set.
    """

    def __init__(self, key: str, source: RunSource, manifest: Manifest, numbers: Mapping[str, int]) -> None:
        self.key, self.source = key, source
        self.identity = _identity(source.path, manifest.folder)
        self._store = PredictionStore(default_cache() / "view" / f"{self.identity}.sqlite")
        self._lock, self._explain_lock = Lock(), Lock()
        self._explainer: Any = None
        self._reset(len(manifest.rows))
        self._load(manifest, numbers)

    def describe(self) -> dict[str, Any]:
        """The run as the session lists it."""
        record, score = self.source.record, None
        if record is not None:
            metric = metric_of(record.task)
            value = score_of(record, metric)
            score = None if value is None else {"name": metric.label, "value": value}
        return {
            "key": self.key, "name": self.source.name, "task": self.source.kind,
            "technique": record.technique or record.method if record else self.source.name, "score": score,
            "predicted": bool(self._codes.all()), "known": int(np.count_nonzero(self._codes)),
        }  # fmt: skip

    def predicted(self) -> Predicted:
        """The columns of its predictions."""
        with self._lock:
            labels = Labels((None, *self._names[1:]), self._codes.copy())
            return Predicted(labels, self._doubt.copy(), self._agreement.copy())

    def summary(self, n: int) -> dict[str, Any] | None:
        """The prediction of an image as the grid shows it."""
        with self._lock:
            if not self._codes[n]:
                return None
            labels, doubt = self._names[self._codes[n]], float(self._doubt[n])
            return {"labels": list(labels), "doubt": None if np.isnan(doubt) else round(doubt, 4)}

    def unknown(self, numbers: Sequence[int]) -> list[int]:
        """Return those images that it has not predicted."""
        with self._lock:
            return [n for n in numbers if not self._codes[n]]

    def describe_image(self, n: int, row: Row) -> dict[str, Any] | None:
        """Everything about its prediction of an image, None if it has none."""
        summary = self.summary(n)
        if summary is None:
            return None
        stored, agreement = self._store.probabilities(row.id, stamp_of(row.image)), float(self._agreement[n])
        name = "Dice" if self.source.kind == "segmentation" else "agreement"
        return {
            "run": self.key, **summary, "probabilities": self._tested.get(row.id, {}) if stored is None else stored,
            "mask": stored is not None and self.source.kind == "segmentation", "saliency": self.explainable,
            "score": None if np.isnan(agreement) else {"name": name, "value": agreement},
        }  # fmt: skip

    @property
    def explainable(self) -> bool:
        """Whether it has saliency maps."""
        return self.source.kind == "classification" and self.source.record is not None

    def mask(self, row: Row) -> Pixels | None:
        """The predicted mask of an image, (H, W) class indices, None if it has none."""
        one = self.stored(row)
        return None if one is None else one.mask

    def doubt_map(self, row: Row) -> Pixels | None:
        """Doubt in each pixel of an image, (H, W) of 0..255, None if unknown."""
        one = self.stored(row)
        return None if one is None else one.doubt_map

    def saliency(self, pixels: Pixels) -> Pixels:
        """The saliency map of an image (H, W, 3) for the predicted class, (H, W) of 0..255.

        Raises:
            RequestError: the run has no saliency maps, or they are too coarse.
        """
        if not self.explainable:
            raise RequestError(404, f"{self.source.name}: a segmenter is explained by its masks; show these")
        with self._explain_lock:
            try:
                explainer = self._explainer = self._explainer or self._load_explainer()
            except S4miError as error:
                raise RequestError(404, f"{self.source.name}: no saliency maps: {error}") from error
            if reason := explainer.coarse("grad_cam"):
                raise RequestError(404, f"{self.source.name}: {reason}")
            found = explainer.explain(pixels, None).maps["grad_cam"]
        return np.asarray(np.rint(found * 255), dtype=np.uint8)

    def _load_explainer(self) -> Any:
        from s4mi.inference.saliency_maps import Explainer

        return Explainer(self.source.path, name=self.source.name, methods=("grad_cam",), sanity=False, seed=0)

    def keep(self, n: int, row: Row, one: ImagePrediction) -> None:
        """Keep the prediction of an image."""
        self._store.write(row.id, stamp_of(row.image), one)
        self._set(n, one.labels, one.doubt, one.agreement)

    def renumber(self, manifest: Manifest, numbers: Mapping[str, int]) -> None:
        """Read the predictions again for another version of the data set."""
        self._reset(len(manifest.rows))
        self._load(manifest, numbers)

    def stored(self, row: Row) -> ImagePrediction | None:
        """The kept prediction of an image, None if there is none of its file as it is now."""
        return self._store.read(row.id, stamp_of(row.image))

    def _reset(self, count: int) -> None:
        self._names: list[tuple[str, ...]] = [()]  # the code 0 stands for images that are not predicted
        self._code_of: dict[tuple[str, ...], int] = {}
        self._codes = np.zeros(count, dtype=np.int32)
        self._doubt = np.full(count, np.nan, dtype=np.float32)
        self._agreement = np.full(count, np.nan, dtype=np.float32)
        self._tested: dict[str, dict[str, float]] = {}

    def _set(self, n: int, labels: tuple[str, ...], doubt: float, agreement: float | None) -> None:
        with self._lock:
            if labels not in self._code_of:
                self._code_of[labels] = len(self._names)
                self._names.append(labels)
            self._codes[n], self._doubt[n] = self._code_of[labels], doubt
            self._agreement[n] = np.nan if agreement is None else agreement

    def _load(self, manifest: Manifest, numbers: Mapping[str, int]) -> None:
        """Read stored predictions, and those that the run made of its test images."""
        for stored in self._store.summaries():
            n = numbers.get(stored.id)
            if n is None:
                continue
            row = manifest.rows[n]
            if stamp_of(row.image) != stored.stamp:
                continue
            if self.source.kind == "classification":
                agreement = agreement_of(row, stored.labels)
            elif stored.truth == stamp_of(row.mask):
                agreement = stored.agreement
            else:
                agreement = self._compared(row, stored, manifest.spec)
            self._set(n, stored.labels, stored.doubt, agreement)
        self._load_tested(manifest, numbers)

    def _compared(self, row: Row, stored: StoredSummary, spec: DatasetSpec) -> float | None:
        """Dice of a kept mask with a mask that is new in the data set, which is kept too."""
        one = self._store.read(row.id, stored.stamp)
        if one is None or one.mask is None:
            return None
        truth = truth_like(one.mask.shape, row, spec)
        agreement = None if truth is None else dice(truth, one.mask)
        self._store.compare(row.id, agreement, "" if truth is None else stamp_of(row.mask))
        return agreement

    def _load_tested(self, manifest: Manifest, numbers: Mapping[str, int]) -> None:
        record = self.source.record
        if record is None or record.task == "segmentation" or not is_of(record, manifest.spec):
            return
        from s4mi.viewer.tested import calibrated_predictions  # imports scipy

        multilabel = record.task == "multilabel"
        try:
            tested = calibrated_predictions(self.source.path, multilabel=multilabel)
        except (S4miError, OSError) as error:
            log.warning("%s: its test predictions are not used (%s)", self.source.name, error)
            return
        if tested is None:
            return
        for i, name in enumerate(tested.images):
            n = numbers.get(name)
            if n is None or self._codes[n]:
                continue
            probabilities = tested.probabilities[i]
            labels = tuple(k for k, on in zip(tested.classes, tested.decisions[i], strict=True) if on)
            self._tested[name] = dict(zip(tested.classes, map(float, probabilities), strict=True))
            doubt = doubt_of(probabilities, multilabel=multilabel)
            self._set(n, labels, doubt, agreement_of(manifest.rows[n], labels))


def doubt_of(probabilities: Any, *, multilabel: bool) -> float:
    """Entropy of (K,) probabilities in [0, 1]; the mean over labels of multi-label tasks."""
    from s4mi.maths.acquisition import binary, entropy

    p = np.asarray(probabilities, dtype=np.float64)
    return float(entropy(binary(p)).mean()) if multilabel else float(entropy(p))


def agreement_of(row: Row, labels: tuple[str, ...]) -> float | None:
    """1 if an image has these labels, as far as they are known, 0 if it has others, None if it is not labelled."""
    return None if row.labels is None else float({*row.labels} ^ {*labels} <= {*row.unknown})


def is_of(record: RunRecord, spec: DatasetSpec) -> bool:
    """Whether a run was trained on a version of this data set."""
    return record.dataset == spec.name or record.dataset.startswith(f"{spec.name}, version ")


def check_classes_of(record: RunRecord, spec: DatasetSpec) -> None:
    """Refuse a run with other classes than the data set.

    Raises:
        S4miError: they differ.
    """
    classes = spec.classes_of(record.task)
    if classes and tuple(record.classes) != classes:
        raise S4miError(
            f"{record.technique or record.method}: a run of the classes {', '.join(record.classes)}, but {spec.name} "
            f"has {', '.join(classes)}; choose a run on this data set"
        )


def read_source(path: Path, name: str = "") -> RunSource:
    """Read what a finished run or an exported model is.

    Raises:
        S4miError: it is neither.
    """
    if path.is_file():
        return RunSource(path, name or path.name, None, _exported_task(path))
    record = read_any_record(path)
    if not isinstance(record, RunRecord):
        raise S4miError(f"{path}: a pre-training run predicts nothing; choose a run that was trained on labels")
    technique = record.technique or record.method
    return RunSource(
        path, name or f"{technique} {record.labels_asked or percent(record.label_fraction)} seed {record.seed}", record
    )


def _exported_task(path: Path) -> TaskKind:
    from s4mi.inference.load import load_exported

    return load_exported(path).info.kind


def _identity(path: Path, folder: Path) -> str:
    """A name for the predictions of a run in a data set; the run trained or calibrated again has another one."""
    contents = stamp_of(path).encode()
    if path.is_dir():
        calibration = path / CALIBRATION_NAME  # which decides too, and may be fitted again
        contents = (path / RECORD_NAME).read_bytes() + (calibration.read_bytes() if calibration.exists() else b"")
    parts = json.dumps([str(path.resolve()), str(folder.resolve())]).encode()
    return hashlib.blake2b(contents + parts, digest_size=16).hexdigest()
