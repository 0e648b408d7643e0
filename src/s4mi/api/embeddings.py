"""Embed images: the features that a trained encoder computes."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from s4mi.api.inputs import StrPath, as_path, one_of
from s4mi.api.progress import StepCallback, step_progress
from s4mi.api.quiet import quiet
from s4mi.api.show import Figure, facts, heading
from s4mi.formatting import plural
from s4mi.system_errors import system_errors

if TYPE_CHECKING:
    import polars


@dataclass(frozen=True, repr=False)
class EmbedOutput:
    """Features that were written.

    Attributes:
        file: the Parquet file.
        picture: SVG file of the images on a plane, coloured by class.
        points: JSON file of their coordinates.
        encoder: the encoder that was used; the run also has `others`.
        images: images embedded.
        failed: images that could not be read; `errors` lists them.
        errors: CSV file of images that could not be read; None where there are none.
    """

    file: Path
    picture: Path
    points: Path
    encoder: str
    others: tuple[str, ...]
    images: int
    failed: int
    errors: Path | None = None

    @property
    def table(self) -> "polars.DataFrame":
        """One row per image: `id`, `image`, `label`, `group`, `split`, `encoder`, and `feature`, (D,) float32."""
        import polars

        return polars.read_parquet(self.file)

    def plot(self) -> Figure:
        """The images on a plane, coloured by class."""
        from s4mi.records import FeatureMap
        from s4mi.reporting.figures.feature_maps import draw_feature_map

        drawn = FeatureMap.model_validate_json(self.points.read_bytes())
        return Figure(draw_feature_map(drawn, title=f"Features by {self.encoder}") or "")

    def __repr__(self) -> str:
        return f"EmbedOutput({str(self.file)!r}): {plural(self.images, 'image')} embedded by {self.encoder}"

    def _repr_html_(self) -> str:
        rows = (("file", self.file), ("failed", self.failed or ""), ("other encoders", ", ".join(self.others)))
        title = f"{plural(self.images, 'image')} embedded by {self.encoder}"
        return heading(title) + facts(rows) + self.plot()._repr_html_()


@system_errors()
def embed(
    run: StrPath,
    dataset: StrPath,
    out: StrPath = "features.parquet",
    *,
    encoder: str | None = None,
    projection: Literal["pca", "umap"] = "pca",
    batch_size: int = 64,
    progress: bool | StepCallback = True,
) -> EmbedOutput:
    """Compute a feature vector per image with a trained encoder, and a map of the images.

    Args:
        run: folder of a pre-training run or of a classifier.
        dataset: a data set folder, or a plain folder of images.
        out: the table, a .parquet file; a map (.svg), its points (.json) and errors.csv go beside it.
        encoder: which of the run's encoders; None for its first.
        projection: projection of the map: pca, or umap, which needs the extra `umap`.
        batch_size: images per forward pass.
        progress: True shows a bar (terminal, notebook); a function is called with what is done, done and total.

    Raises:
        S4miError: no such run, encoder or images, a segmentation run, or features that cannot be projected.
    """
    one_of("projection", projection, ("pca", "umap"))
    file = as_path(out)
    with quiet(), step_progress(progress) as step:
        from s4mi.recipes.embed import embed_run

        made = embed_run(
            as_path(run),
            as_path(dataset),
            file,
            encoder=encoder,
            projection=projection,
            batch_size=batch_size,
            progress=lambda done, total: step("embedding", done, total),
        )
    errors = file.parent / "errors.csv" if made.failed else None
    return EmbedOutput(
        made.table, made.picture, made.points, made.encoder, made.others, made.embedded, made.failed, errors
    )
