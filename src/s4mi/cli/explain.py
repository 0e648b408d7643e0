"""`s4mi explain`: where trained classifiers look."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from s4mi.cli.options import Split

if TYPE_CHECKING:
    from s4mi.inference.mean_interval import MeanInterval
    from s4mi.inference.saliency_scores import ExplainSummary


class MapMethod(StrEnum):
    """Kinds of saliency maps."""

    input_gradient = "input_gradient"
    smooth_grad = "smooth_grad"
    grad_cam = "grad_cam"
    attention_rollout = "attention_rollout"


def explain(
    run: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Folder of a classification run.")],
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGES...", help="Image files, folders (searched recursively) or data set folders."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Output folder for overlays, sheet and scores.")],
    beside: Annotated[
        list[Path] | None,
        typer.Option("--beside", metavar="RUN_DIR", help="Another run to show side by side; repeatable."),
    ] = None,
    method: Annotated[
        list[MapMethod] | None,
        typer.Option("--method", help="Kind of map; repeatable.  [default: all that the runs have]"),
    ] = None,
    target: Annotated[
        str,
        typer.Option(
            "--class", metavar="NAME", help="Class to explain, or truth for each image's own.  [default: predicted]"
        ),
    ] = "",
    split: Annotated[
        Split, typer.Option("--split", help="For a data set: only images in this part of the run's own split.")
    ] = Split.test,
    limit: Annotated[
        int,
        typer.Option("--limit", min=1, help="Maximum images of each folder or data set, spread over its classes."),
    ] = 16,
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0, help="Pixels by which a hit of the pointing game may miss.")
    ] = 0,
    sanity: Annotated[
        bool, typer.Option("--sanity/--no-sanity", help="Compare with the same network with random weights.")
    ] = True,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Seed of SmoothGrad's noise and of the random weights.")
    ] = 0,
) -> None:
    """Draw saliency maps of classifiers side by side, scored against masks where the data set has some."""
    from s4mi import api
    from s4mi.cli.console import setup_logging
    from s4mi.inference.saliency_maps import MAP_NAMES

    setup_logging()
    explained = api.explain(
        [run, *(beside or ())],
        images,
        out,
        methods=[name for name in MAP_NAMES if name in method] if method else None,
        target=target or None,
        part=split.part,
        limit=limit,
        tolerance=tolerance,
        sanity=sanity,
        seed=seed,
    )
    _print(explained.summary)
    if explained.sheet is not None:
        typer.echo(f"side by side: {explained.sheet}")
    if explained.errors is not None:
        typer.echo(f"{explained.summary.failed} could not be read: {explained.errors}", err=True)
        raise typer.Exit(1)


def _print(summary: "ExplainSummary") -> None:
    """Print a table for each run, and its warnings."""
    from rich.console import Console

    from s4mi.cli.tables import print_table

    console = Console()
    synthetic = " (synthetic)" if summary.synthetic else ""
    means = [mean for one in summary.maps for mean in (one.pointing, one.energy, one.area) if mean is not None]
    widened = ", widened (few images)" if any(mean.few for mean in means) else ""
    console.print(
        f"{summary.images} images{synthetic}, {summary.explained_class} class; with 95 % intervals{widened}\n"
    )
    for run, technique in dict.fromkeys((one.run, one.technique) for one in summary.maps):
        maps = [one for one in summary.maps if one.run == run]
        compared = any(one.energy_baselines for one in maps)
        beside = ("centre blob", "other images") if compared else ()
        rows = []
        for one in maps:
            cells = []
            for score, found in ((one.pointing, one.pointing_baselines), (one.energy, one.energy_baselines)):
                cells.append(_cell(score))
                if compared:
                    cells += [_cell(found.centre), _cell(found.others)] if found is not None else ["–", "–"]
            rows.append((one.method, *cells, _cell(one.area), _cell(one.randomised)))
        print_table(
            ("map", "pointing game", *beside, "energy inside", *beside, "area", "randomised"),
            rows,
            title=f"{run}: {technique}",
            numbers=True,
        )
        for one in maps:
            for verdict in one.verdicts:
                console.print(f"{one.method}, {verdict}", soft_wrap=True)
            if one.warning:
                console.print(f"{one.method}: {one.warning}", style="yellow", soft_wrap=True)
        console.print()


def _cell(mean: "MeanInterval | None") -> str:
    if mean is None:
        return "–"
    return f"{mean.mean:.2f}" + ("" if mean.high is None else f" ({mean.low:.2f}–{mean.high:.2f})")
