"""`s4mi data merge`: new labels and masks come into a data set."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from s4mi.cli.console import SHOWN, counted, how_many, print_facts, print_line
from s4mi.cli.import_options import MaskValue, mask_values_of

if TYPE_CHECKING:
    from s4mi.data.annotations.merge import MergePlan, MergeResult
    from s4mi.data.manifest import Manifest


def merge(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="A data set folder.")],
    annotations: Annotated[
        list[Path],
        typer.Argument(
            metavar="ANNOTATIONS...",
            help="Tables with columns image (or id) and label, folders of masks, JSON of Label Studio or COCO: all of "
            "them together make one version.",
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
    mask_value: MaskValue = None,
    new_class: Annotated[
        list[str] | None,
        typer.Option("--new-class", metavar="NAME", help="A class of labels that the data set lacks yet; repeat."),
    ] = None,
    mask_suffix: Annotated[
        str, typer.Option("--mask-suffix", help="What names of masks in a folder add to those of images.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and write nothing.")] = False,
) -> None:
    """Check new annotations, write them as the data set's next version, and say what changed.

    The version of before is kept as manifest-v1.csv and so on; data.version=1 trains on it again. Who trains, validates
    and tests stays as it was: images that got their label by a merge train. Several files are checked together.
    """
    from s4mi.data.annotations.merge import apply_merge, plan_merge
    from s4mi.data.annotations.read import read_annotations
    from s4mi.data.annotations.rules import MergeRules
    from s4mi.data.sources.read_table import TABLE_SUFFIXES
    from s4mi.data.versions import load_version
    from s4mi.errors import S4miError

    manifest = load_version(dataset)
    rules = MergeRules(
        replace, held_out=held_out, empty=empty, multilabel=multilabel, foreground=foreground,
        mask_values=mask_values_of(mask_value or ()), new_classes=tuple(new_class or ()),
    )  # fmt: skip
    given = {path: read_annotations(path, mask_suffix=mask_suffix) for path in annotations}
    plan = plan_merge(manifest, given, rules)
    if len(plan.faults) > 1:
        for fault in plan.faults[:SHOWN]:
            print_line(f"error: {fault}", style="red")
        if len(plan.faults) > SHOWN:
            print_line(f"… and {len(plan.faults) - SHOWN} more")
        files = ", ".join(map(str, annotations))
        raise S4miError(f"{files}: {how_many(len(plan.faults), 'fault')}; nothing was merged")
    tables = all(path.suffix.lower() in TABLE_SUFFIXES for path in annotations)
    silent = ""
    if plan.silent:
        rows = f"{how_many(plan.silent, 'row')} {'has' if plan.silent == 1 else 'have'} an empty label"
        silent = rows if tables else f"nothing is said of {how_many(plan.silent, 'image')}"
    if dry_run and not plan.faults:
        count = len({*plan.labels, *plan.masks})
        print_line(
            f"nothing is wrong: {how_many(count, 'image')} would be annotated, {how_many(plan.replaced, 'annotation')} "
            f"replaced, {plan.same} are there already{silent and f'; {silent}'}"
        )
        return
    _say(apply_merge(plan), plan, dataset, silent=silent)


def _say(merged: "MergeResult", plan: "MergePlan", dataset: Path, *, silent: str) -> None:
    before = plan.manifest.version
    if not merged.changed:
        print_line(f"{dataset}: nothing new; it stays at version {before}{silent and f': {silent}'}", style="bold")
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
        for line in _next(merged, plan.manifest, added=plan.spec.classes[len(plan.manifest.spec.classes) :]):
            print_line(line)


def _next(merged: "MergeResult", manifest: "Manifest", *, added: Sequence[str]) -> Iterator[str]:
    """What became of the older version, of who validates and tests, and how to go on.

    Args:
        added: classes that were not there before.
    """
    before = manifest.version
    kept = f"version {before} is kept in manifest-v{before}.csv (data.version={before})"
    if not merged.first:
        yield f"{kept}; validation and test stay as they were"
        if {"val", "test"} & merged.official.keys():
            yield "… but for the official parts that were annotated: scores of both versions do not compare"
        if added:
            yield f"new: {', '.join(added)}; runs on older versions keep to their classes, those on this one have all"
        if added and not manifest.official:
            yield (
                f"as nobody moves, no image of {' or '.join(added)} validates or tests, and nothing says how well it "
                "is seen; to divide anew, copy the folder, remove manifest-v*.csv from the copy, and pre-train there"
            )
        yield "go on with the same study: s4mi study run STUDY.yaml -o FOLDER makes the runs of this version"
        return
    yield kept
    what = "masks" if merged.first == ("segmentation",) else "labels"
    if not manifest.official:
        yield f"these are its first {what}: who trains, validates and tests is drawn from them"
        yield (
            "a pre-training run that has seen all images has seen those that will test: pre-train once more on this "
            "version, as a study does, or begin with a test part in the column split"
        )
    elif "val" not in merged.official:
        yield (
            f"these are its first {what}, and the official validation part has none, without which nothing is trained: "
            "annotate some of it as well, and merge with --held-out"
        )
    yield "then: s4mi study run STUDY.yaml -o FOLDER"
