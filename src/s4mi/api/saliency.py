"""Explain classifiers: saliency maps, scored against masks where there are some."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from s4mi.api.inputs import StrPath, as_path, as_paths
from s4mi.api.progress import StepCallback, step_progress
from s4mi.api.quiet import quiet
from s4mi.api.show import heading, note, png, table
from s4mi.formatting import plural
from s4mi.system_errors import system_errors

if TYPE_CHECKING:
    import polars

    from s4mi.inference.saliency_maps import MapName
    from s4mi.inference.saliency_scores import ExplainSummary
    from s4mi.records import Part


@dataclass(frozen=True, repr=False)
class ExplainOutput:
    """Saliency maps that were written.

    Attributes:
        folder: output folder: overlays, `sheet.png`, `scores.csv` and `summary.json`.
        summary: means over the images, with 95 % intervals.
        sheet: the maps side by side; None where no image could be read.
        errors: CSV file of images that could not be read; None where there are none.
    """

    folder: Path
    summary: "ExplainSummary"
    sheet: Path | None = None
    errors: Path | None = None

    @property
    def table(self) -> "polars.DataFrame":
        """One row per run and kind of map: means over images of the pointing game, the energy inside the mask, the area
        of the mask, and the rank correlation with maps of a randomised network; beside the two scores those of a
        blob in the centre and of the maps of other images, and whether they are above both beyond chance."""
        import polars

        rows = []
        for one in self.summary.maps:
            numbers: list[float | bool | None] = []
            for score, found in ((one.pointing, one.pointing_baselines), (one.energy, one.energy_baselines)):
                centre, others = (None, None) if found is None else (found.centre, found.others)
                numbers += [_mean(score), _mean(centre), _mean(others), None if found is None else found.beyond_chance]
            numbers += [_mean(one.area), _mean(one.randomised)]
            rows.append((one.run, one.technique, one.method, one.images, *numbers, one.warning))
        schema = {"run": polars.String, "technique": polars.String, "map": polars.String, "images": polars.Int64}
        for name in ("pointing", "energy"):
            schema |= dict.fromkeys((name, f"{name}_centre", f"{name}_others"), polars.Float64)
            schema |= {f"{name}_beyond_chance": polars.Boolean}
        schema |= {"area": polars.Float64, "randomised": polars.Float64, "warning": polars.String}
        return polars.DataFrame(rows, schema=schema, orient="row")

    def __repr__(self) -> str:
        return f"ExplainOutput({str(self.folder)!r}): {plural(self.summary.images, 'image')}"

    def _repr_html_(self) -> str:
        title = f"{plural(self.summary.images, 'image')}, {self.summary.explained_class} class"
        columns = ("pointing", "pointing_centre", "pointing_others", "energy", "energy_centre", "energy_others", "area",
                   "randomised")  # fmt: skip
        names = ("pointing game", "centre blob", "other images", "energy inside", "centre blob", "other images", "area",
                 "randomised")  # fmt: skip
        rows = [(f"{row['run']}: {row['map']}", *(row[name] for name in columns)) for row in self.table.to_dicts()]
        shown = heading(title, synthetic=self.summary.synthetic)
        shown += table(("map", *names), rows)
        for one in self.summary.maps:
            notes = (*filter(None, (one.warning,)), *one.verdicts)
            shown += "".join(note(f"{one.run}, {one.method}: {text}") for text in notes)
        return shown + (png(self.sheet.read_bytes(), alt="saliency maps") if self.sheet is not None else "")


@system_errors()
def explain(
    runs: StrPath | Iterable[StrPath],
    images: StrPath | Iterable[StrPath],
    out: StrPath,
    *,
    methods: "Sequence[MapName] | None" = None,
    target: str | None = None,
    part: "Part | None" = "test",
    limit: int = 16,
    tolerance: float = 0,
    sanity: bool = True,
    seed: int = 0,
    progress: bool | StepCallback = True,
) -> ExplainOutput:
    """Write saliency maps of one or several classifiers side by side, scored against masks where there are some.

    Args:
        runs: folder of a run, or several to compare.
        images: image files, folders (searched recursively) or data set folders.
        out: output folder.
        methods: kinds of maps: input_gradient, smooth_grad, grad_cam, attention_rollout (of plain ViTs, the same for
            all classes); None for all that each of the runs has.
        target: name of the class to explain, `truth` for each image's own, or None for the predicted one.
        part: for data sets, the images in this part of the runs' own split; None for all.
        limit: most images of each folder or data set, spread over its classes.
        tolerance: pixels by which a hit of the pointing game may miss the mask.
        sanity: compare with maps of the same network with random weights.
        seed: seed of SmoothGrad's noise and of the random weights.
        progress: True shows a bar (terminal, notebook); a function is called with what is done, done and total.

    Raises:
        S4miError: a run is not a classifier or has no such class, or there are no such images.
    """
    folder = as_path(out)
    with quiet(), step_progress(progress) as step:
        from s4mi.recipes.explain import explain as recipe

        made = recipe(
            as_paths(runs),
            as_paths(images),
            folder,
            methods=methods,
            target=target,
            part=part,
            limit=limit,
            tolerance=tolerance,
            sanity=sanity,
            seed=seed,
            progress=lambda done, total: step("explaining", done, total),
        )
    return ExplainOutput(folder, made.summary, made.sheet, folder / "errors.csv" if made.summary.failed else None)


def _mean(interval: object) -> float | None:
    mean: float | None = getattr(interval, "mean", None)
    return mean
