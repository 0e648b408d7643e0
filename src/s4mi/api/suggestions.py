"""Suggest which images to annotate next."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from s4mi.api.inputs import StrPath, as_path, one_of
from s4mi.api.progress import StepCallback, step_progress
from s4mi.api.quiet import quiet
from s4mi.api.show import facts, heading, note, table
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.system_errors import system_errors

if TYPE_CHECKING:
    import polars

    from s4mi.active_learning.strategies import Strategy
    from s4mi.records import TaskKind

Uncertainty = Literal["both", "entropy", "disagreement", "none"]
Diversity = Literal["auto", "k-centre", "typicality", "none"]
Format = Literal["csv", "label-studio", "coco"]
Shapes = Literal["polygons", "rle"]
UNCERTAINTIES: tuple[Uncertainty, ...] = ("both", "entropy", "disagreement", "none")
DIVERSITIES: tuple[Diversity, ...] = ("auto", "k-centre", "typicality", "none")
FORMATS: tuple[Format, ...] = ("csv", "label-studio", "coco")
SHAPES: tuple[Shapes, ...] = ("polygons", "rle")


@dataclass(frozen=True, repr=False)
class SuggestOutput:
    """Suggested images, written as a table.

    Attributes:
        file: the CSV file; fill in its column `label`, or draw the masks of its images.
        files: all files, the table first, then those for an annotation tool.
        chosen: images suggested, out of so many `candidates` without annotation.
        strategy: how they were chosen.
        source: the models whose predictions and features were used, in words.
        failed: candidates that could not be read; `errors` lists them.
        note: what to know before anything is annotated; often empty.
        errors: CSV file of candidates that could not be read; None where there are none.
        masks: whether masks, not classes, are to be annotated.
    """

    file: Path
    files: tuple[Path, ...]
    chosen: int
    candidates: int
    strategy: str
    source: str
    failed: int
    note: str = ""
    errors: Path | None = None
    masks: bool = False

    @property
    def table(self) -> "polars.DataFrame":
        """One row per image in order: `rank`, `id`, `image`, what it was chosen for, `why`, and an empty `label`."""
        import polars

        text = dict.fromkeys(("id", "image", "patient", "near", "prediction", "why", "label"), polars.String)
        return polars.read_csv(self.file, infer_schema_length=None, schema_overrides=text)

    def __repr__(self) -> str:
        return f"SuggestOutput({str(self.file)!r}): {self.chosen} of {plural(self.candidates, 'candidate')}"

    def _repr_html_(self) -> str:
        frame = self.table
        rows = frame.select(("id", "worth", "why")).head(20).rows()
        files = ", ".join(map(str, self.files))
        return (
            heading(f"{self.chosen} of {plural(self.candidates, 'image')} without annotation, by {self.strategy}")
            + facts((("files", files), ("source", self.source), ("failed", self.failed or "")))
            + note(self.note)
            + table(("image", "worth", "why"), rows, text=("why",))
            + note(f"and {len(frame) - len(rows)} more; all are in .table" if len(frame) > len(rows) else "")
        )


@system_errors()
def suggest(
    source: StrPath,
    dataset: StrPath,
    out: StrPath = "next.csv",
    *,
    count: int = 50,
    task: "TaskKind | None" = None,
    uncertainty: Uncertainty = "both",
    diversity: Diversity = "auto",
    cold_start: bool = False,
    per_patient: int = 3,
    seed: int = 0,
    format: Format = "csv",
    shapes: Shapes = "polygons",
    progress: bool | StepCallback = True,
) -> SuggestOutput:
    """Choose images without annotation that are most worth annotating: uncertain ones, chosen to be diverse.

    Images of the validation and test parts are never chosen, nor those that were answered or skipped in `s4mi view`,
    merged or not.

    Args:
        source: folder of a run, or of a study (its best technique).
        dataset: a data set with images to annotate.
        out: the table, a .csv file.
        count: number of images.
        task: for a study, only runs of this task.
        uncertainty: entropy, disagreement (of seeds or networks), both, or none.
        diversity: k-centre, typicality, none, or auto: typicality with `cold_start`, else k-centre.
        cold_start: choose by features alone, where nothing is annotated yet; `source` is then a pre-training run.
        per_patient: most images of one patient; 0 for any number.
        seed: seed of k-means and of random choices.
        format: also write predictions for an annotation tool to correct: label-studio, or coco (CVAT).
        shapes: shape of masks there: polygons where a region has no hole, or rle (run lengths) for all.
        progress: True shows a bar (terminal, notebook); a function is called with what is done, done and total.

    Raises:
        S4miError: no such run or data set, of another task, classes or channels, or nothing to choose from.
    """
    one_of("format", format, FORMATS)
    one_of("shapes", shapes, SHAPES)
    if count < 1 or per_patient < 0:
        raise S4miError(f"count must be at least 1 and per_patient at least 0 (given {count} and {per_patient})")
    file = as_path(out)
    with quiet(), step_progress(progress) as step:
        from s4mi.recipes.suggest import SuggestOptions
        from s4mi.recipes.suggest import suggest as recipe
        from s4mi.viewer.unmerged import read_unmerged

        left = read_unmerged(as_path(dataset))
        options = SuggestOptions(
            count, _strategy(uncertainty, diversity, cold_start=cold_start), cold=cold_start, per_patient=per_patient,
            seed=seed, format=format, rle=shapes == "rle", task=task, labelled=left.labelled, masked=left.masked,
            skipped=left.skipped,
        )  # fmt: skip
        made = recipe(as_path(source), as_path(dataset), file, options=options, progress=step)
    errors = file.with_name(f"{file.stem}.errors.csv") if made.failed else None
    return SuggestOutput(
        made.files[0], made.files, made.chosen, made.candidates, made.strategy, made.source, made.failed, made.note,
        errors, made.masks,
    )  # fmt: skip


def _strategy(uncertainty: Uncertainty, diversity: Diversity, *, cold_start: bool) -> "Strategy":
    from s4mi.active_learning.strategies import Strategy

    one_of("uncertainty", uncertainty, UNCERTAINTIES)
    one_of("diversity", diversity, DIVERSITIES)
    if diversity == "auto":
        return Strategy(uncertainty, "typicality" if cold_start else "k-centre")
    return Strategy(uncertainty, diversity)
