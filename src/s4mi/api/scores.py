"""Scores of a run on a part of its split, and its calibration."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from s4mi.api.inputs import StrPath, as_path
from s4mi.api.quiet import quiet
from s4mi.api.show import facts, heading, note, table, whole
from s4mi.errors import S4miError, nearest
from s4mi.system_errors import system_errors

if TYPE_CHECKING:
    import polars

    from s4mi.records import Part, Scores
    from s4mi.records.calibration import Calibration

PER_CLASS = ("support", "f1", "recall", "precision", "auroc", "average_precision", "iou", "dice", "hd95", "assd")


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Scores of a run on one part of its split; `evaluation["iou"]` is one of them.

    Attributes:
        run: folder of the run.
        part: train, val or test.
        scores: all scores, with the confusion matrix of a classifier.
    """

    run: Path
    part: "Part"
    scores: "Scores"

    def __getitem__(self, name: str) -> float:
        known = main_scores(self.scores)
        if name not in known:
            raise S4miError(f"unknown score {name!r}{nearest(name, known)}; choose from {', '.join(known)}")
        return known[name]

    @property
    def table(self) -> "polars.DataFrame":
        """One row per score, with the columns `score` and `value`; distances are in pixels, all others in [0, 1]."""
        import polars

        known = main_scores(self.scores)
        return polars.DataFrame({"score": [*known], "value": [float(value) for value in known.values()]})

    @property
    def per_class(self) -> "polars.DataFrame":
        """One row per class; `support` counts images (classification) or pixels (segmentation)."""
        import polars

        rows = [{"class": name, **one.model_dump()} for name, one in self.scores.per_class.items()]
        columns = [name for name in PER_CLASS if any(row[name] is not None for row in rows)]
        return polars.from_dicts(rows, infer_schema_length=None).select("class", *columns)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} {value:.3f}" for name, value in list(main_scores(self.scores).items())[1:4])
        return f"Evaluation of {self.run} on {self.part}: {self.scores.images} images, {shown}"

    def _repr_html_(self) -> str:
        per_class = self.per_class
        return (
            heading(f"{self.run}: {self.part}")
            + table(("score", "value"), map(whole, self.table.rows()))
            + table(per_class.columns, per_class.rows())
        )


@system_errors()
def evaluate(run: StrPath, *, part: "Part" = "test") -> Evaluation:
    """Score the best weights of a run on a part of its own split; segmentation at the images' own size.

    Args:
        run: folder of a finished run whose data set is still there.
        part: train, val or test.

    Raises:
        S4miError: no such run, its data set has changed, or nothing in the part is annotated.
    """
    from s4mi.api.inputs import one_of

    one_of("part", part, ("train", "val", "test"))
    with quiet():
        from s4mi.training.evaluate import evaluate_run

        return Evaluation(as_path(run), part, evaluate_run(as_path(run), part))


@dataclass(frozen=True, repr=False)
class CalibrationOutput:
    """Temperature scaling of a run.

    Attributes:
        file: the `calibration.json` that was written.
        calibration: temperature, per-class thresholds of a multi-label task, and what they change.
    """

    file: Path
    calibration: "Calibration"

    @property
    def temperature(self) -> float:
        """Logits are divided by it; above 1 it makes predictions less confident."""
        return self.calibration.temperature

    @property
    def thresholds(self) -> Mapping[str, float]:
        """Of a multi-label task, the probability above which each label is predicted; else empty."""
        return self.calibration.thresholds

    @property
    def warnings(self) -> list[str]:
        """Reasons not to trust the probabilities, a sentence each."""
        return self.calibration.warnings

    @property
    def table(self) -> "polars.DataFrame":
        """One row per part: predictions counted, expected calibration error and negative log-likelihood (nats), each
        without and with the temperature."""
        import polars

        rows = [
            {
                "part": name,
                "predictions": one.predictions,
                "ece": one.ece,
                "ece_calibrated": one.ece_calibrated,
                "nll": one.nll,
                "nll_calibrated": one.nll_calibrated,
            }
            for name, one in (("val", self.calibration.val), ("test", self.calibration.test))
            if one is not None
        ]
        return polars.from_dicts(rows, infer_schema_length=None)

    def __repr__(self) -> str:
        return f"CalibrationOutput({str(self.file)!r}): temperature {self.temperature:.3f}"

    def _repr_html_(self) -> str:
        header = ("part", "predictions", "calibration error", "calibrated", "NLL (nats)", "calibrated")
        return (
            heading(f"{self.file.parent}: temperature {self.temperature:.3f}")
            + table(header, self.table.rows())
            + facts((f"threshold of {name}", f"{value:.3f}") for name, value in self.thresholds.items())
            + "".join(map(note, self.warnings))
        )


@system_errors()
def calibrate(run: StrPath) -> CalibrationOutput:
    """Fit temperature scaling and, for multi-label tasks, per-class thresholds on validation; write calibration.json.

    Args:
        run: folder of a finished run whose data set is still there.

    Raises:
        S4miError: no such run, its data set is gone or has changed, or no validation image is annotated.
    """
    with quiet():
        from s4mi.records.calibration import CALIBRATION_NAME
        from s4mi.training.calibrate import calibrate_run

        run = as_path(run)
        return CalibrationOutput(run / CALIBRATION_NAME, calibrate_run(run))


def main_scores(scores: "Scores | None") -> dict[str, float]:
    """The single numbers among scores, by name; none where nothing was scored."""
    if scores is None:
        return {}
    return {name: value for name, value in scores.model_dump().items() if isinstance(value, int | float)}
