"""Predict images into files, as the command `s4mi predict` does."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from s4mi.api.inputs import StrPath, as_path, as_paths, one_of
from s4mi.api.models import Model
from s4mi.api.progress import StepCallback, step_progress
from s4mi.api.quiet import quiet
from s4mi.api.show import cards, facts, heading, note, png, table, thumbnail
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.system_errors import system_errors

if TYPE_CHECKING:
    import polars

    from s4mi.inference.predictor import Precision
    from s4mi.inference.writers.output_settings import MaskFormat
    from s4mi.records import Part, TaskKind

SHOWN = 6
"""Overlays that a notebook shows."""
ROWS = 10
"""Rows of the table that a notebook shows."""


@dataclass(frozen=True, repr=False)
class PredictOutput:
    """Predictions that were written.

    Attributes:
        folder: output folder.
        output: the CSV file of a classifier's predictions, or the folder of a segmenter's masks.
        images: images predicted, `kept` of them by an earlier call.
        failed: images that could not be predicted; `errors` lists them.
        reason: for a study, which of its runs were selected and why; else empty.
        overlays: folder of overlays, if they were asked for; `legend` names their colours.
        sheet: contact sheet of clusters, if they were asked for; `next_steps` says how to name them.
        errors: CSV file of images that could not be predicted; None where there are none.
    """

    folder: Path
    output: Path
    images: int
    failed: int
    kept: int = 0
    reason: str = ""
    overlays: Path | None = None
    legend: str = ""
    sheet: Path | None = None
    next_steps: tuple[str, ...] = ()
    errors: Path | None = None

    @property
    def table(self) -> "polars.DataFrame":
        """The CSV file: probabilities and decision per image, or the measurements of each class in each mask."""
        import polars

        masks = self.output.suffix != ".csv"
        file = self.output / "measurements.csv" if masks else self.output
        names = dict.fromkeys(("id", "class" if masks else "decision"), polars.String)  # a class may be called 0
        return polars.read_csv(file, infer_schema_length=None, schema_overrides=names)

    def __repr__(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        return f"PredictOutput({str(self.output)!r}): {plural(self.images, 'image')} predicted{failed}"

    def _repr_html_(self) -> str:
        shown = heading(f"{plural(self.images, 'image')} predicted") + facts(
            (("files", self.output), ("model", self.reason), ("failed", self.failed or ""), ("list", self.errors or ""))
        )
        if self.sheet is not None:
            return shown + png(self.sheet.read_bytes(), alt="clusters")
        if self.overlays is not None:
            files = sorted(self.overlays.rglob("*.png"))[:SHOWN]
            return shown + cards((thumbnail(file), file.stem) for file in files) + note(self.legend)
        frame = self.table
        more = len(frame) - ROWS
        rows = table(frame.columns, frame.head(ROWS).rows())
        return shown + rows + note(f"and {plural(more, 'more row')}; all are in .table" if more > 0 else "")


@system_errors()
def predict(
    model: StrPath | Model,
    images: StrPath | Iterable[StrPath],
    out: StrPath,
    *,
    overlay: bool = False,
    format: "MaskFormat" = "png",
    ensemble: bool = False,
    task: "TaskKind | None" = None,
    clusters: bool = False,
    part: "Part | None" = None,
    unannotated: bool = False,
    raw: bool = False,
    tta: bool = False,
    overlap: float = 0.25,
    precision: "Precision" = "32",
    resume: bool = False,
    progress: bool | StepCallback = True,
) -> PredictOutput:
    """Predict images into files: probabilities and decisions as CSV, or a mask per image at its own size.

    For predictions in memory, and of arrays, use `s4mi.load(model).predict(images)`. An image that cannot be read gets
    a line in `errors.csv`, and the others go on.

    Args:
        model: folder of a run or a study, an exported file, or a loaded model, with the run and the options that it was
            loaded with.
        images: image files, folders (searched recursively) or data set folders.
        out: output folder.
        overlay: for a segmenter, also write each image with its mask over it, compared with the true mask if there is
            one.
        format: masks as `png`, or `match` for the format of their image: TIFF, NIfTI, DICOM-SEG.
        ensemble: for a study, average over all seeds of its best technique.
        task: for a study, only runs of this task.
        clusters: for a run that found clusters, write these, and a contact sheet to name them from.
        part: for data sets, only images in this part of the run's own split.
        unannotated: for data sets, only images without a label or, for segmentation, without a mask.
        raw: leave out temperature scaling and per-class thresholds.
        tta: average over the eight flips and quarter turns; 8× slower.
        overlap: overlap of neighbouring windows as a share of their side, for segmenters trained on tiles.
        precision: of runs on a CPU: `32`, or `bf16`, which is faster where the processor multiplies in bfloat16 and is
            used as far as it changes no decision; `auto` is bf16 on such processors.
        resume: keep predictions that are already there.
        progress: True shows a bar (terminal, notebook); a function is called with what is done, done and total.

    Raises:
        S4miError: no such model or images, options that do not suit the model, or a file that would be overwritten.
    """
    if isinstance(model, Model):
        ensemble, task, clusters = model.ensemble, model.selected_task, model.clusters
    given = images if isinstance(images, str | os.PathLike) else list(images)
    if isinstance(given, list) and any(hasattr(one, "ndim") for one in given):
        raise S4miError("predict writes files for image files; for arrays use s4mi.load(model).predict(images)")
    one_of("format", format, ("png", "match"))
    one_of("precision", precision, ("auto", "32", "bf16"))
    folder = as_path(out)
    with quiet(), step_progress(progress) as step:
        from s4mi.recipes.predict import predict_run

        made = predict_run(
            model.path if isinstance(model, Model) else as_path(model),
            as_paths(given),
            folder,
            overlay=overlay,
            clusters=clusters,
            part=part,
            unannotated=unannotated,
            ensemble=ensemble,
            task=task,
            raw=raw,
            tta=tta,
            overlap=overlap,
            form=format,
            precision=precision,
            resume=resume,
            loaded=model.loaded if isinstance(model, Model) else None,
            progress=lambda done, total: step("predicting", done, total),
        )
    return PredictOutput(
        folder, made.output, made.predicted, made.failed, made.kept, made.why, made.overlays, made.legend, made.sheet,
        made.next_steps, folder / "errors.csv" if made.failed else None,
    )  # fmt: skip
