"""`predictions.csv` of a classifier: one row per frame."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from s4mi.data.spec import NO_CLASS
from s4mi.inference.image_list import InputImage
from s4mi.inference.pipeline import DecodedImage, KeepOptions
from s4mi.inference.predictor import Predictor, Probabilities
from s4mi.inference.writers.resumable_csv import Cells, ResumableCsv
from s4mi.maths.calibration import entropy

NAME = "predictions.csv"


class PredictionWriter:
    """Columns: id, one probability per class, decision (multi-label: joined by `;`, or `none`), entropy in bits."""

    keep = KeepOptions()

    def __init__(self, out: Path, images: Sequence[InputImage], predictor: Predictor, *, resume: bool) -> None:
        self.output = out / NAME
        self._predictor = predictor
        self._rows = ResumableCsv(
            self.output,
            ("id", *predictor.info.classes, "decision", "entropy"),
            ids=[frame_id for image in images for frame_id in image.ids],
            rows_per_id=1,
            resume=resume,
        )

    def __enter__(self) -> None:
        self._rows.__enter__()

    def __exit__(self, *_: object) -> None:
        self._rows.__exit__()

    def has(self, image: InputImage) -> bool:
        """Whether an earlier call predicted the image."""
        return self._rows.has(image.ids)

    def process(self, decoded: DecodedImage, predictions: Iterator[Probabilities]) -> list[Cells]:
        """Format the rows of a file; called in a thread."""
        return [
            self._row(frame_id, probabilities)
            for frame_id, probabilities in zip(decoded.image.ids, predictions, strict=True)
        ]

    def write(self, image: InputImage, rows: list[Cells]) -> None:  # noqa: ARG002
        """Write the rows of a file; called in the order of the images."""
        self._rows.add(rows)

    def discard(self, image: InputImage) -> None:
        """An image that cannot be predicted has no row."""

    def _row(self, frame_id: str, probabilities: Probabilities) -> Cells:
        decision = ";".join(self._predictor.labels(probabilities)) or NO_CLASS
        bits = entropy(probabilities, multilabel=self._predictor.multilabel)
        return [frame_id, *(f"{p:.6f}" for p in probabilities.tolist()), decision, f"{bits:.6f}"]
