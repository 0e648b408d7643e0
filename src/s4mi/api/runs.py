"""A training run in Python: its settings, learning curve, scores and model."""

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from s4mi.api.inputs import StrPath, as_path, shown_path
from s4mi.api.progress import StepCallback
from s4mi.api.show import Figure, Html, facts, heading, note, table, whole
from s4mi.errors import S4miError
from s4mi.formatting import plural

if TYPE_CHECKING:
    import polars

    from s4mi.api.images import Images
    from s4mi.api.models import Model
    from s4mi.api.predictions import Prediction, PredictionList, Probabilities
    from s4mi.api.scores import CalibrationOutput, Evaluation
    from s4mi.config import RunConfig
    from s4mi.records import EpochRecord, Part, PretrainingRecord, RunRecord


class Run(os.PathLike[str]):
    """A training run, finished or not: its folder, settings, learning curve, scores and model.

    Attributes:
        path: folder of the run.
    """

    def __init__(self, path: StrPath) -> None:
        """Open the run in the folder `path`.

        Raises:
            S4miError: the folder holds no run.
        """
        from s4mi.records import CONFIG_NAME

        self.path: Path = as_path(path).absolute()  # stays the same folder after os.chdir
        if not (self.path / CONFIG_NAME).exists():
            _ = self.config  # raises, and says what to do

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def finished(self) -> bool:
        """Whether the run has ended and left its record."""
        from s4mi.records import RECORD_NAME

        return (self.path / RECORD_NAME).exists()

    @property
    def config(self) -> "RunConfig":
        """The settings of the run, validated.

        Raises:
            S4miError: the folder holds no run.
        """
        from s4mi.training.run_dir import RunDir

        return RunDir(self.path).config()

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting with its value, as in `config.yaml`."""
        import yaml

        from s4mi.records import CONFIG_NAME

        contents: dict[str, Any] = yaml.safe_load((self.path / CONFIG_NAME).read_text(encoding="utf-8"))
        return contents

    @property
    def record(self) -> "RunRecord | PretrainingRecord":
        """All results of a finished run.

        Raises:
            S4miError: the run is not finished.
        """
        from s4mi.records import read_any_record

        return read_any_record(self.path)

    @property
    def history(self) -> "polars.DataFrame":
        """One row per epoch: `epoch`, `loss/total` and other losses, `val/…` scores, `lr`, `seconds`, …

        Columns are those of `metrics.csv`. Losses are means over the epoch, validation scores lie in [0, 1] and are
        measured at network resolution; of pre-training, `health/…` describes the features.
        """
        from s4mi.api.history import history_of

        return history_of(self.path)

    @property
    def scores(self) -> "polars.DataFrame":
        """One row per score with the columns `score`, `val` and `test`; empty for a pre-training run.

        Raises:
            S4miError: the run is not finished.
        """
        import polars

        from s4mi.api.scores import main_scores

        record = self.record
        parts = {part: main_scores(getattr(record, part, None)) for part in ("val", "test")}
        names = list(dict.fromkeys(name for scores in parts.values() for name in scores))
        columns = {part: [scores.get(name) for name in names] for part, scores in parts.items()}
        schema = {"score": polars.String, "val": polars.Float64, "test": polars.Float64}
        return polars.DataFrame({"score": names, **columns}, schema=schema)

    def plot(self) -> Figure:
        """The learning curve: training losses above; below validation scores or, of pre-training, the features.

        Raises:
            S4miError: no epoch is finished yet.
        """
        from s4mi.reporting.figures.run_history import run_history

        metric, best = self._selection()
        svg = run_history(self._epochs(), title=self.path.resolve().name, metric=metric, best_epoch=best)
        if svg is None:
            raise S4miError(f"{self.path}: no epoch is finished yet; continue with: s4mi train --resume")
        return Figure(svg)

    @cached_property
    def model(self) -> "Model":
        """The best weights, loaded once.

        Raises:
            S4miError: the run has no weights yet, or is a pre-training run, which predicts nothing.
        """
        from s4mi.api.models import load

        return load(self.path)

    def predict(
        self,
        images: "Images",
        *,
        part: "Part | None" = None,
        raw: bool = False,
        tta: bool = False,
        overlap: float = 0.25,
        progress: bool | StepCallback = True,
    ) -> "Prediction | PredictionList":
        """Predict images with the best weights; see `Model.predict`."""
        made: Prediction | PredictionList = self.model.predict(
            cast("Any", images), part=part, raw=raw, tta=tta, overlap=overlap, progress=progress
        )
        return made

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
        """Probabilities of images with the best weights; see `Model.predict_proba`."""
        made: Probabilities | list[Probabilities] = self.model.predict_proba(
            cast("Any", images), part=part, raw=raw, tta=tta, overlap=overlap, progress=progress
        )
        return made

    def evaluate(self, part: "Part" = "test") -> "Evaluation":
        """Score the best weights on a part of the run's own split; see `s4mi.evaluate`."""
        from s4mi.api.scores import evaluate

        return evaluate(self.path, part=part)

    def calibrate(self) -> "CalibrationOutput":
        """Fit temperature scaling on validation again; see `s4mi.calibrate`."""
        from s4mi.api.scores import calibrate

        return calibrate(self.path)

    def __repr__(self) -> str:
        return f"Run({shown_path(self.path)!r}): {self._summary()}"

    def _repr_html_(self) -> str:
        scores, record = "", self.record if self.finished else None
        if record is not None and len(self.scores):
            scores = table(("score", "validation", "test"), map(whole, self.scores.rows()))
        curve = self.plot()._repr_html_() if self._epochs() else ""
        return (
            heading(self._title(), synthetic=record is not None and record.synthetic)
            + facts((("folder", self.path), *self._facts()))
            + Html(f'<div style="display:flex;flex-wrap:wrap;align-items:flex-start;gap:0 2.5em">{scores}{curve}</div>')
            + (note(self._summary()) if record is None else "")
        )

    def _epochs(self) -> "list[EpochRecord]":
        from s4mi.records import read_epochs

        return read_epochs(self.path)

    def _selection(self) -> tuple[str | None, int | None]:
        """The score that selects the best epoch, and that epoch, where they are known."""
        from s4mi.records import RunRecord

        record = self.record if self.finished else None
        if not isinstance(record, RunRecord) or record.val is None:
            return None, None
        return record.metric, record.best_epoch

    def _title(self) -> str:
        from s4mi.records import RunRecord

        if not self.finished:
            method = self.settings.get("method")
            return str(method.get("name", "run") if isinstance(method, dict) else method)
        record = self.record
        name = record.technique or record.method if isinstance(record, RunRecord) else record.method
        return f"{name} ({record.backbone}) on {record.dataset}"

    def _summary(self) -> str:
        """How far the run is, in a line."""
        epochs = len(self._epochs())
        if not self.finished:
            return f"{self._title()}, not finished ({epochs} of {self.settings.get('epochs')} epochs)"
        metric, best = self._selection()
        score = getattr(getattr(self.record, "test", None), metric or "", None)
        told = f", test {metric} {score:.3f}" if score is not None else ""
        return f"{self._title()}, {plural(epochs, 'epoch')}{told}" + (
            f" (best epoch {best})" if best is not None else ""
        )

    def _facts(self) -> tuple[tuple[str, object], ...]:
        from s4mi.formatting import duration
        from s4mi.records import RunRecord

        if not self.finished:
            return ()
        record = self.record
        if not isinstance(record, RunRecord):
            return (
                ("training images", f"{record.images}, no labels used"),
                ("epochs", record.epochs),
                ("training time", duration(record.cost.seconds)),
                ("encoders", ", ".join(record.encoders)),
            )
        metric, best = self._selection()
        labels = record.labels
        return (
            ("training images", f"{labels.train_images}, {labels.train_labelled} of them labelled"),
            ("classes", ", ".join(record.classes)),
            ("epochs", f"{record.epochs}" + (f", best {best} by validation {metric}" if metric else "")),
            ("training time", duration(record.cost.seconds)),
            ("seed", record.seed),
            ("leakage", f"{record.leaks} pairs of the same image or patient in two parts" if record.leaks else ""),
        )
