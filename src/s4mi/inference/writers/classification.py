"""`predictions.csv` of a classifier: a row a picture."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from s4mi.data.spec import NO_CLASS
from s4mi.inference.image_list import InputImage
from s4mi.inference.pipeline import Decoded, KeepOptions
from s4mi.inference.predictor import Predictor, Probabilities
from s4mi.inference.writers.resumable_csv import Cells, ResumableCsv
from s4mi.maths.calibration import entropy

NAME = "predictions.csv"


class PredictionWriter:
    """id, a probability a class, the decision (of several labels joined by `;`, or `none`), the entropy in bits."""

    wanted = KeepOptions()

    def __init__(self, out: Path, images: Sequence[InputImage], answerer: Predictor, *, resume: bool) -> None:
        self.output = out / NAME
        self._answerer = answerer
        self._rows = ResumableCsv(
            self.output,
            ("id", *answerer.about.classes, "decision", "entropy"),
            ids=[name for image in images for name in image.ids],
            rows_each=1,
            resume=resume,
        )

    def __enter__(self) -> None:
        self._rows.__enter__()

    def __exit__(self, *_: object) -> None:
        self._rows.__exit__()

    def has(self, asked: InputImage) -> bool:
        """Whether the answer is there from an earlier time."""
        return self._rows.has(asked.ids)

    def work(self, decoded: Decoded, pages: Iterator[Probabilities]) -> list[Cells]:
        """The rows of a file."""
        return [self._row(name, page) for name, page in zip(decoded.asked.ids, pages, strict=True)]

    def take(self, asked: InputImage, rows: list[Cells]) -> None:  # noqa: ARG002
        """Write the rows of a file."""
        self._rows.add(rows)

    def _row(self, name: str, probabilities: Probabilities) -> Cells:
        decision = ";".join(self._answerer.labels(probabilities)) or NO_CLASS
        unsure = entropy(probabilities, multilabel=self._answerer.multilabel)
        return [name, *(f"{p:.6f}" for p in probabilities.tolist()), decision, f"{unsure:.6f}"]
