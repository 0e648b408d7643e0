"""`s4mi data merge`: new labels and masks come into a data set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from s4mi.cli.facts import SHOWN, counted, how_many, print_facts, print_line

if TYPE_CHECKING:
    from s4mi.data.merging import Merged


def merge(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="A data set folder.")],
    annotations: Annotated[
        Path,
        typer.Argument(
            metavar="ANNOTATIONS",
            help="A table with columns image (or id) and label, a folder of masks, or JSON of Label Studio or COCO.",
        ),
    ],
    replace: Annotated[
        bool, typer.Option("--replace", help="Put new labels and masks in the place of those that are there.")
    ] = False,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Also annotate images of the official validation and test parts.")
    ] = False,
    empty: Annotated[
        bool, typer.Option("--empty", help="An image that the file lists without any region is all background.")
    ] = False,
    multilabel: Annotated[
        bool, typer.Option("--multilabel", help="First labels of a data set: an image may have any number of classes.")
    ] = False,
    foreground: Annotated[
        str, typer.Option("--foreground", help="First masks of a data set: what those with one value beside 0 show.")
    ] = "foreground",
    mask_suffix: Annotated[
        str, typer.Option("--mask-suffix", help="What names of masks in a folder add to those of images.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and write nothing.")] = False,
) -> None:
    """Check new annotations, write them as the data set's next version, and say what changed.

    The version of before is kept as manifest-v1.csv and so on; data.version=1 trains on it again. Who trains, validates
    and tests stays as it was: images that got their label by a merge train.
    """
    from s4mi.data.annotations.reading import read_annotations
    from s4mi.data.merging import Rules, apply_merge, plan_merge
    from s4mi.data.versions import load_version
    from s4mi.errors import S4miError

    manifest = load_version(dataset)
    rules = Rules(replace, held_out=held_out, empty=empty, multilabel=multilabel, foreground=foreground)
    plan = plan_merge(manifest, read_annotations(annotations, mask_suffix=mask_suffix), annotations, rules)
    if len(plan.faults) > 1:
        for fault in plan.faults[:SHOWN]:
            print_line(f"error: {fault}", style="red")
        if len(plan.faults) > SHOWN:
            print_line(f"… and {len(plan.faults) - SHOWN} more")
        raise S4miError(f"{annotations}: {how_many(len(plan.faults), 'fault')}; nothing was merged")
    if dry_run and not plan.faults:
        count = len({*plan.labels, *plan.masks})
        print_line(
            f"nothing is wrong: {how_many(count, 'image')} would be annotated, {how_many(plan.replaced, 'annotation')} "
            f"replaced, {plan.same} are there already"
        )
        return
    _say(apply_merge(plan), dataset, before=manifest.version)


def _say(merged: "Merged", dataset: Path, *, before: int) -> None:
    if not merged.changed:
        print_line(f"{dataset}: nothing new; it stays at version {before}", style="bold")
    else:
        print_line(f"{dataset}: now version {merged.version}", style="bold")
    changes = [
        (name, f"{merged.before.get(name, 0)} → {count}" if merged.before.get(name, 0) != count else str(count))
        for name, count in merged.after.items()
    ]
    print_facts(
        ("annotated", how_many(merged.changed, "image")),
        ("replaced", str(merged.replaced or "")),
        ("there already", str(merged.same or "")),
        ("said nothing of", how_many(merged.silent, "image") if merged.silent else ""),
        *changes,
        ("official split", counted(merged.official.items())),
    )
    if merged.changed:
        print_line(
            f"version {before} is kept in manifest-v{before}.csv (data.version={before}); validation and test stay "
            "as they were"
        )
        if {"val", "test"} & merged.official.keys():
            print_line("… but for the official parts that were annotated: scores of both versions do not compare")
        print_line("go on with the same study: s4mi study run STUDY.yaml -o FOLDER makes the runs of this version")
