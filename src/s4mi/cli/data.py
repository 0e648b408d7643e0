"""`s4mi data`: import, check, split, merge data sets, and erase patients from them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from s4mi.cli import erase, import_folder, merge, split
from s4mi.cli.console import counted, how_many, print_facts, print_findings, print_line

if TYPE_CHECKING:
    from s4mi.data.checks.check import CheckReport

WEIGHTS, DISTANCE = "imagenet", 0.03
"""Of a search by the features of a network, unless options say otherwise."""
app = typer.Typer(help="Import, check, split and merge data sets, and erase patients.", no_args_is_help=True)
app.add_typer(import_folder.app, name="import")
app.command("split")(split.split)
app.command("merge")(merge.merge)
app.command("erase")(erase.erase)


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="Data set folder, folder of several, folder of images, or table.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print a single JSON document.")] = False,
    duplicates: Annotated[
        bool,
        typer.Option(
            "--duplicates/--no-duplicates", help="Search for duplicates and near-duplicates among all images."
        ),
    ] = True,
    embeddings: Annotated[
        str,
        typer.Option(
            "--embeddings",
            metavar="BACKBONE",
            help="Also search for images with similar features of this timm network.",
        ),
    ] = "",
    weights: Annotated[
        str, typer.Option("--weights", help="Weights of the network of --embeddings: imagenet, none, or a file.")
    ] = WEIGHTS,
    distance: Annotated[
        float,
        typer.Option("--distance", min=0, max=1, help="Maximum cosine distance between features of similar images."),
    ] = DISTANCE,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on warnings too.")] = False,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache", help="Folder where thumbnails and compared pairs are kept for split; by default that of runs."
        ),
    ] = None,
) -> None:
    """Decode all files; report statistics and problems, with file, line and hint. Exit with status 1 on errors."""
    from s4mi.api.checks import check as check_data
    from s4mi.data.sources.unused_options import refuse_unused

    if not embeddings:
        given: dict[str, object] = {"--weights": "" if weights == WEIGHTS else weights}
        given["--distance"] = None if distance == DISTANCE else distance
        refuse_unused(given, because="without --embeddings", hint="name a network with --embeddings")
    reports = check_data(
        path, duplicates=duplicates, backbone=embeddings or None, weights=weights, distance=distance, cache=cache
    ).reports
    errors, warnings = (sum(report.count(severity) for report in reports) for severity in ("error", "warning"))
    if as_json:
        typer.echo(_as_json(reports, errors=errors, warnings=warnings))
    else:
        for report in reports:
            _print_report(report, several=len(reports) > 1)
        print_line(f"{how_many(errors, 'error')}, {how_many(warnings, 'warning')}", style="red" if errors else "green")
    if errors or (strict and warnings):
        raise typer.Exit(1)


def _print_report(report: "CheckReport", *, several: bool) -> None:
    print_line(f"{report.name}: {report.kind} ({report.path})", style="bold")
    if (summary := report.summary) is not None:
        sizes, per_group, images = summary.sizes, summary.images_per_group, summary.images
        each = "" if per_group is None else f", {per_group[0]}–{per_group[2]} images each (median {per_group[1]:g})"
        shares = ", ".join(f"{name} {100 * share:.1f} %" for name, share in summary.foreground.items())
        size = "" if sizes is None else "×".join(map(str, sizes.median))
        if sizes is not None and sizes.distinct > 1:
            smallest, largest = ("×".join(map(str, end)) for end in (sizes.smallest, sizes.largest))
            size = f"{sizes.distinct} sizes, {smallest} to {largest}, median {size}"
        print_facts(
            ("images", str(images)),
            ("frames", str(summary.frames) if summary.frames > images else ""),
            ("height×width", size),
            ("channels", counted(pair for pair in summary.channels.items() if pair[1])),
            ("labelled", f"{summary.labelled} of {images}"),
            ("classes", counted(summary.classes.items())),
            ("no class present", str(summary.no_class or "")),
            ("not known", ", ".join(f"{name} {count}" for name, count in summary.unknown.items())),
            ("masks", f"{summary.masked} of {images}"),
            ("foreground", shares),
            ("unannotated", f"{summary.unannotated} of {images}" if summary.unannotated else ""),
            ("patients", f"{summary.groups}{each}" if summary.groups else "unknown"),
            ("official split", counted(summary.splits.items()) or "none"),
            *(
                _class_row(name, parts, summary.splits)
                for name, parts in summary.classes_by_part.items()
                if summary.splits
            ),
            *(
                (f"  foreground in {part}", ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items()))
                for part, shares in summary.foreground_by_part.items()
            ),
        )
    print_findings(report.findings, folder=report.path.name if several else "", hint="; --json lists them all")
    if report.command is not None:
        print_line("import it with:")
        print_line(f"  {report.command}", style="cyan")
    print_line("")


def _as_json(reports: Sequence["CheckReport"], *, errors: int, warnings: int) -> str:
    from dataclasses import asdict

    document = {"errors": errors, "warnings": warnings, "reports": [asdict(report) for report in reports]}
    return json.dumps(document, default=str, indent=2)


def _class_row(name: str, parts: Mapping[str, int], splits: Mapping[str, int]) -> tuple[str, str]:
    """Return the name of a class, and its number and share of images in each part."""
    shares = (f"{part} {count} ({100 * count / splits[part]:.1f} %)" for part, count in parts.items())
    return f"  {name}", ", ".join(shares)
