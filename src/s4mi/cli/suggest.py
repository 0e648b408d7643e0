"""`s4mi suggest`: which images to annotate next."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from s4mi.cli.options import Task

if TYPE_CHECKING:
    from s4mi.active_learning.strategies import Strategy


class Uncertainty(StrEnum):
    """What makes an answer unsure."""

    both = "both"
    entropy = "entropy"
    disagreement = "disagreement"
    none = "none"


class Diversity(StrEnum):
    """What keeps the chosen images apart."""

    auto = "auto"
    k_centre = "k-centre"
    typicality = "typicality"
    none = "none"


class Format(StrEnum):
    """What is written beside the table."""

    csv = "csv"
    label_studio = "label-studio"
    coco = "coco"


class Shapes(StrEnum):
    """How masks are written for people to correct."""

    polygons = "polygons"
    rle = "rle"


def suggest(
    source: Path = typer.Argument(
        ..., metavar="RUN_OR_STUDY", help="A run, or the folder of a study."
    ),
    dataset: Path = typer.Argument(..., metavar="DATASET", help="A data set with images to annotate."),
    out: Path = typer.Option(Path("next.csv"), "-o", "--out", help="The table."),
    count: int = typer.Option(50, "-n", "--count", min=1, help="Images to suggest."),
    task: Task = typer.Option(Task.any, "--task", help="Of a study: the best of the runs with this task."),
    uncertainty: Uncertainty = typer.Option(
        Uncertainty.both, help="entropy, disagreement of seeds or networks, both, or none."
    ),
    diversity: Diversity = typer.Option(
        Diversity.auto, help="auto: k-centre, with --cold-start typicality; none: by uncertainty alone."
    ),
    cold_start: bool = typer.Option(
        False, "--cold-start", help="By features alone, where nothing is annotated yet; of a pre-training run."
    ),
    per_patient: int = typer.Option(3, "--per-patient", min=0, help="At most so many images of one; 0: any number."),
    seed: int = typer.Option(0, "--seed", min=0, help="Of k-means and of choices at random."),
    format_: Format = typer.Option(
        Format.csv, "--format", help="Also write the run's answers for people to correct: label-studio or coco (CVAT)."
    ),
    shapes: Shapes = typer.Option(
        Shapes.polygons, "--shapes", help="Of masks there: polygons where a region has no hole, or rle for all."
    ),
) -> None:  # fmt: skip
    """Choose the images without annotation that are most worth it: those a run is unsure of, unlike each other.

    Images that the run validates or tests with are never chosen. Fill in the column label, or correct what --format
    wrote, and bring it back with: s4mi data merge.
    """
    from s4mi.cli.console import print_line, progress_bar, setup_logging
    from s4mi.recipes.suggest import SuggestOptions
    from s4mi.recipes.suggest import suggest as choose_images

    setup_logging(facts=False)
    options = SuggestOptions(
        count, _strategy(uncertainty, diversity, cold=cold_start), cold=cold_start, per_patient=per_patient, seed=seed,
        format=format_.value, rle=shapes is Shapes.rle, task=task.kind,
    )  # fmt: skip
    with progress_bar() as bar:
        made = choose_images(source, dataset, out, options=options, progress=bar)
    print_line(f"{made.chosen} of {made.candidates} images without annotation, by {made.strategy}: {made.files[0]}")
    print_line(f"asked: {made.source}")
    if made.chosen < min(count, made.candidates):
        print_line(
            f"no more, as every patient has {per_patient} in it by now; raise --per-patient, or 0 for any number"
        )
    for line in _next(made.files, str(dataset), format_):
        print_line(line)
    if made.note:
        print_line(f"note: {made.note}", style="yellow")
    if made.failed:
        typer.echo(f"{made.failed} could not be read: {out.with_name(f'{out.stem}.errors.csv')}", err=True)
        raise typer.Exit(1)


def _next(files: Sequence[Path], dataset: str, format_: Format) -> Iterator[str]:
    """What to do with the files."""
    if format_ is Format.csv:
        yield f"when its column label is filled in: s4mi data merge {dataset} {files[0]}"
        return
    program = "Label Studio" if format_ is Format.label_studio else "CVAT, or another program that reads COCO"
    interface = f", with the labelling interface {files[2]}" if files[2:] else ""
    yield f"to correct: import {files[1]} into {program}{interface}"
    yield (
        f"then merge what is exported there as {'JSON' if format_ is Format.label_studio else 'COCO'}: "
        f"s4mi data merge {dataset} EXPORT.json"
    )


def _strategy(uncertainty: Uncertainty, diversity: Diversity, *, cold: bool) -> "Strategy":
    from s4mi.active_learning.strategies import Strategy

    spread = diversity.value
    if diversity is Diversity.auto:
        spread = "typicality" if cold else "k-centre"
    return Strategy(uncertainty.value, spread)  # type: ignore[arg-type]
