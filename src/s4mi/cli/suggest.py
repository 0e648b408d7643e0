"""`s4mi suggest`: which images to annotate next."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path

import typer

from s4mi.cli.options import Task


class Uncertainty(StrEnum):
    """Measures of a model's uncertainty."""

    both = "both"
    entropy = "entropy"
    disagreement = "disagreement"
    none = "none"


class Diversity(StrEnum):
    """Ways to keep the chosen images diverse."""

    auto = "auto"
    k_centre = "k-centre"
    typicality = "typicality"
    none = "none"


class Format(StrEnum):
    """Formats of predictions for annotation tools."""

    csv = "csv"
    label_studio = "label-studio"
    coco = "coco"


class Shapes(StrEnum):
    """Shapes of masks for annotation tools."""

    polygons = "polygons"
    rle = "rle"


def suggest(
    source: Path = typer.Argument(
        ..., metavar="RUN_OR_STUDY", help="Folder of a run, or of a study: its best technique."
    ),
    dataset: Path = typer.Argument(..., metavar="DATASET", help="Data set folder with images to annotate."),
    out: Path = typer.Option(Path("next.csv"), "-o", "--out", help="Output table, .csv."),
    count: int = typer.Option(50, "-n", "--count", min=1, help="Number of images to suggest."),
    task: Task = typer.Option(Task.any, "--task", help="For a study: only runs of this task."),
    uncertainty: Uncertainty = typer.Option(
        Uncertainty.both, help="Measure of uncertainty: entropy, disagreement (of seeds or networks), both, or none."
    ),
    diversity: Diversity = typer.Option(
        Diversity.auto,
        help="Diversity of the images: k-centre, typicality, none, or auto: typicality with --cold-start, else "
        "k-centre.",
    ),
    cold_start: bool = typer.Option(
        False, "--cold-start",
        help="Choose by features alone, where nothing is annotated yet; needs a pre-training run.",
    ),
    per_patient: int = typer.Option(
        3, "--per-patient", min=0, help="Maximum number of images per patient; 0: no limit."
    ),
    seed: int = typer.Option(0, "--seed", min=0, help="Seed of k-means and of random choices."),
    format_: Format = typer.Option(
        Format.csv, "--format",
        help="Also write predictions for an annotation tool to correct: label-studio, or coco (CVAT).",
    ),
    shapes: Shapes = typer.Option(
        Shapes.polygons, "--shapes",
        help="Shape of masks there: polygons where a region has no hole, or rle (run lengths) for all.",
    ),
) -> None:  # fmt: skip
    """Choose images to annotate next: images the model is uncertain about, chosen to be diverse.

    Images of the validation and test parts are never chosen. Fill in the column label, draw the masks, or correct
    what --format wrote, and merge it with: s4mi data merge.
    """
    from s4mi import api
    from s4mi.cli.console import print_line, setup_logging

    setup_logging(facts=False)
    made = api.suggest(
        source, dataset, out, count=count, task=task.kind, uncertainty=uncertainty.value, diversity=diversity.value,
        cold_start=cold_start, per_patient=per_patient, seed=seed, format=format_.value, shapes=shapes.value,
    )  # fmt: skip
    print_line(f"{made.chosen} of {made.candidates} images without annotation, by {made.strategy}: {made.file}")
    print_line(f"source: {made.source}")
    if made.chosen < min(count, made.candidates):
        print_line(f"every patient has {per_patient} images by now; raise --per-patient, or pass 0 for no limit")
    for line in _next(made.files, str(dataset), format_, masks=made.masks):
        print_line(line)
    if made.note:
        print_line(f"note: {made.note}", style="yellow")
    if made.errors is not None:
        typer.echo(f"{made.failed} could not be read: {made.errors}", err=True)
        raise typer.Exit(1)


def _next(files: Sequence[Path], dataset: str, format_: Format, *, masks: bool) -> Iterator[str]:
    """Next steps with the files; of a segmenter, masks are what is to be annotated."""
    if format_ is Format.csv and masks:
        yield f"draw their masks, in files named like the images, then: s4mi data merge {dataset} FOLDER"
        yield "or correct predicted ones: the same command with --format label-studio, or coco"
        return
    if format_ is Format.csv:
        yield f"fill in its column label, then: s4mi data merge {dataset} {files[0]}"
        return
    program = "Label Studio" if format_ is Format.label_studio else "CVAT or another tool that reads COCO"
    interface = f", with the labelling interface {files[2]}" if files[2:] else ""
    yield f"to correct: import {files[1]} into {program}{interface}"
    yield (
        f"then export it there as {'JSON' if format_ is Format.label_studio else 'COCO'}: "
        f"s4mi data merge {dataset} EXPORT.json"
    )
