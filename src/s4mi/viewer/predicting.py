"""Predict images in the background, opened ones first, by the pipeline of `s4mi predict`."""

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from threading import Condition, Lock, Thread
from typing import TYPE_CHECKING

import numpy as np

from s4mi.data.formats.intensity import Pixels
from s4mi.data.row import Row
from s4mi.errors import S4miError
from s4mi.viewer.masks import dice, resized_grey, truth_like
from s4mi.viewer.prediction_store import ImagePrediction, stamp_of
from s4mi.viewer.runs import ViewRun, agreement_of, doubt_of
from s4mi.viewer.workspace import Workspace

if TYPE_CHECKING:
    from s4mi.inference.pipeline import DecodedImage
    from s4mi.inference.predictor import Predictor, Probabilities

log = logging.getLogger("s4mi.viewer")

CHUNK = 16
"""Images predicted before the queue is looked at again."""
DOUBT_SIDE = "640"
"""Longest side of a kept map of doubt."""


class Predicting:
    """A thread that predicts the queued images, one run after the other."""

    def __init__(self, space: Workspace) -> None:
        self._space = space
        self._waiting: deque[tuple[str, int]] = deque()
        self._queued: set[tuple[str, int]] = set()
        self._asked: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self._predictors: dict[str, Predictor] = {}
        self._errors: dict[str, str] = {}
        self._changed, self._stopped = Condition(), False
        self._model_lock = Lock()
        self._thread: Thread | None = None

    def ask(self, run: ViewRun, numbers: Iterable[int], *, first: bool = False) -> int:
        """Ask for the predictions of images, before all others if `first`; return how many were not known."""
        wanted = [n for n in run.unknown(list(numbers)) if first or (run.key, n) not in self._queued]
        with self._changed:
            for n in wanted:
                key = (run.key, n)
                if key in self._queued:
                    if first and key in self._waiting:
                        self._waiting.remove(key)
                        self._waiting.appendleft(key)
                    continue
                self._queued.add(key)
                (self._waiting.appendleft if first else self._waiting.append)(key)
                self._asked[run.key] = self._asked.get(run.key, 0) + 1
            if wanted and self._thread is None:
                self._thread = Thread(target=self._work, name="s4mi-view-predict", daemon=True)
                self._thread.start()
            self._changed.notify()
        return len(wanted)

    def error_of(self, run: ViewRun) -> str:
        """Why a run cannot predict this data set, empty if it can or has not tried."""
        return self._errors.get(run.key, "")

    def predict(self, run: ViewRun, n: int) -> ImagePrediction | None:
        """Predict an image at once; None if it cannot be read.

        Raises:
            S4miError: the run cannot predict images of this data set.
        """
        for _, one in self._predictions(run, [n]):
            return one
        return None

    def stop(self) -> None:
        """Stop after the images under way."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._stopped:
                    self._changed.wait()
                if self._stopped:
                    return
                key, numbers = self._next()
            run = self._space.runs.get(key)
            try:
                if run is not None:
                    for n, _ in self._predictions(run, numbers):
                        self._space.events.send("predicted", {"run": key, "n": n})
            except S4miError as error:
                self._fail(key, str(error))
            except Exception:  # a broken run must not end the thread
                log.exception("predicting with %s", key)
                self._fail(key, f"{key}: cannot predict; see the log of s4mi view")
            with self._changed:
                self._queued.difference_update((key, n) for n in numbers)
                self._done[key] = self._done.get(key, 0) + len(numbers)
                progress = {"run": key, "done": self._done[key], "total": self._asked.get(key, 0)}
            self._space.touch()
            self._space.events.send("predicting", progress)

    def _next(self) -> tuple[str, list[int]]:
        """Take the next images of one run from the queue."""
        key, numbers = self._waiting[0][0], list[int]()
        while self._waiting and self._waiting[0][0] == key and len(numbers) < CHUNK:
            numbers.append(self._waiting.popleft()[1])
        return key, numbers

    def _fail(self, key: str, message: str) -> None:
        log.warning(message)
        with self._changed:
            self._errors[key] = message
            self._waiting = deque(one for one in self._waiting if one[0] != key)
            self._queued = {one for one in self._queued if one[0] != key}
            self._asked[key] = self._done[key] = 0

    def _predictor(self, run: ViewRun) -> "Predictor":
        """Load a run, and check that it fits the data set."""
        with self._model_lock:
            if run.key not in self._predictors:
                self._predictors[run.key] = self._load(run)
            return self._predictors[run.key]

    def _load(self, run: ViewRun) -> "Predictor":
        from s4mi.active_learning.candidates import check_compatible
        from s4mi.inference.load import load_models
        from s4mi.inference.predictor import Predictor

        predictor = Predictor(load_models(run.source.path).models)
        check_compatible(predictor.info, self._space.manifest)
        return predictor

    def _predictions(self, run: ViewRun, numbers: Sequence[int]) -> Iterator[tuple[int, ImagePrediction]]:
        """Predict images and keep the predictions; unreadable images are left out.

        Raises:
            S4miError: the run cannot predict images of this data set.
        """
        from s4mi.inference.dataset_images import DatasetImage
        from s4mi.inference.image_list import InputImage
        from s4mi.inference.input_files import Unreadable
        from s4mi.inference.pipeline import KeepOptions, prediction_stream

        predictor = self._predictor(run)
        rows = {str(n): self._space.row(n) for n in numbers}
        images = [InputImage(key, key, DatasetImage(row.image, key, of_data_set=True)) for key, row in rows.items()]

        def process(decoded: "DecodedImage", predictions: "Iterator[Probabilities]") -> ImagePrediction:
            return self._prediction(predictor, rows[decoded.image.name], next(predictions))

        with self._model_lock:
            predicted = list(prediction_stream(images, predictor, process, KeepOptions()))
        for image, result in predicted:
            n = int(image.name)
            if isinstance(result, Unreadable):
                log.warning("image %r cannot be predicted: %s", rows[image.name].id, result.message)
                continue
            run.keep(n, rows[image.name], result)
            yield n, result

    def _prediction(self, predictor: "Predictor", row: Row, probabilities: "Probabilities") -> ImagePrediction:
        names = predictor.info.classes
        if not predictor.segments:
            labels = predictor.labels(probabilities)
            by_class = {name: round(float(p), 6) for name, p in zip(names, probabilities, strict=True)}
            doubt = doubt_of(probabilities, multilabel=predictor.multilabel)
            return ImagePrediction(labels, by_class, doubt, agreement_of(row, labels))
        truth = truth_like(probabilities.shape[1:], row, self._space.manifest.spec)
        return segmented(names, probabilities, truth, stamp_of(row.mask))


def segmented(
    names: Sequence[str], probabilities: "Probabilities", truth: Pixels | None, truth_stamp: str
) -> ImagePrediction:
    """Summarise (K, H, W) probabilities of a segmenter: mask, share of each class, doubt, and Dice with the truth."""
    from s4mi.inference.predictor import classes_of
    from s4mi.maths.acquisition import entropy

    mask = classes_of(probabilities)
    shares = np.bincount(mask.ravel(), minlength=len(names)) / mask.size
    labels = tuple(name for name, share in zip(names[1:], shares[1:], strict=True) if share)
    doubts = entropy(probabilities)
    grey = np.asarray(np.rint(doubts * 255), dtype=np.uint8)
    return ImagePrediction(
        labels, {name: round(float(share), 6) for name, share in zip(names, shares, strict=True)},
        float(doubts.mean()), None if truth is None else dice(truth, mask), truth_stamp if truth is not None else "",
        mask, resized_grey(grey, DOUBT_SIDE),
    )  # fmt: skip
