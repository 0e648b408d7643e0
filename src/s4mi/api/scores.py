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
        part: train, val or test, or the name of an external test set.
        scores: all scores, with the confusion matrix of a classifier.
        notes: what the scores leave out, a sentence each.
    """

    run: Path
    part: str
    scores: "Scores"
    notes: tuple[str, ...] = ()

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
            + "".join(map(note, self.notes))
        )


@system_errors()
def evaluate(
    run: StrPath,
    *,
    part: "Part" = "test",
    on: StrPath | None = None,
    name: str | None = None,
    classes: Mapping[str, str] | None = None,
) -> Evaluation:
    """Score the best weights of a run on a part of its own split, or on another data set.

    Segmentation is scored at the images' own size. Scores on another data set are added to the run's record.

    Args:
        run: folder of a finished run whose data set is still there.
        part: train, val or test.
        on: folder of another data set, an external test set; its classes are matched by name.
        name: name of this test set in the record and in reports; by default that of its folder.
        classes: classes of the other data set that have another name in the run, as {theirs: the run's}.

    Raises:
        S4miError: no such run, its data set has changed, nothing in the part is annotated, or the other data set does
            not fit the run.
    """
    from s4mi.api.inputs import one_of

    one_of("part", part, ("train", "val", "test"))
    if on is not None:
        return _evaluate_external(as_path(run), as_path(on), name=name, classes=dict(classes or {}))
    with quiet():
        from s4mi.training.erased_since import erased_note
        from s4mi.training.evaluate import evaluate_run

        scores = evaluate_run(as_path(run), part)
        erased = erased_note(as_path(run), part, scores)
        return Evaluation(as_path(run), part, scores, () if erased is None else (erased,))


def _evaluate_external(run: Path, on: Path, *, name: str | None, classes: dict[str, str]) -> Evaluation:
    with quiet():
        from s4mi.config.external_tests import ExternalTestConfig, check_names
        from s4mi.formatting import folder_name
        from s4mi.training.external import evaluate_external

        test, name = ExternalTestConfig(path=on, classes=classes), name or folder_name(on.resolve().name)
        try:
            check_names({name: test})
        except ValueError as error:
            raise S4miError(f"name: {error}") from error
        result = evaluate_external(run, name, test)
        return Evaluation(run, name, result.scores, tuple(result.notes))


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
    """Fit temperature scaling and, for multi-label tasks, per-class thresholds; write calibration.json.

    They are fitted on what the run was chosen with: validation, or labels that were held out, or its labels by folds.

    Args:
        run: folder of a finished run whose data set is still there.

    Raises:
        S4miError: no such run, its data set is gone or has changed, or it was chosen with no label.
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
