"""`s4mi data merge`: add new labels and masks to a data set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from s4mi.cli.console import SHOWN, counted, print_facts, print_line
from s4mi.cli.import_options import MaskValue, parse_mask_values
from s4mi.formatting import plural

if TYPE_CHECKING:
    from s4mi.data.annotations.merge import MergePlan, MergeResult


def merge(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Data set folder.")],
    annotations: Annotated[
        list[Path],
        typer.Argument(
            metavar="ANNOTATIONS...",
            help="Tables with columns image (or id) and label, folders of masks, JSON of Label Studio, COCO, LabelMe "
            "or QuPath, .seg.nrrd of 3D Slicer; all together make one version.",
        ),
    ],
    replace: Annotated[bool, typer.Option("--replace", help="Replace existing labels and masks by new ones.")] = False,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Also annotate images of the official validation and test parts.")
    ] = False,
    empty: Annotated[
        bool, typer.Option("--empty", help="Treat images that a file lists without regions as background only.")
    ] = False,
    multilabel: Annotated[
        bool, typer.Option("--multilabel", help="Allow several classes per image, for the first labels of a data set.")
    ] = False,
    foreground: Annotated[
        str,
        typer.Option(
            "--foreground",
            help="Class name of the foreground, for the first masks of a data set, if they have one value besides 0.",
        ),
    ] = "foreground",
    mask_value: MaskValue = None,
    new_class: Annotated[
        list[str] | None,
        typer.Option("--new-class", metavar="NAME", help="Class to add to those of the data set; repeatable."),
    ] = None,
    mask_suffix: Annotated[str, typer.Option("--mask-suffix", help="Suffix of the names of masks in a folder.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything without writing anything.")] = False,
) -> None:
    """Check new annotations, write them as the next version of the data set, and report the changes.

    Previous versions are kept as manifest-v1.csv and so on; data.version=1 trains on the first again. The dataset split
    does not change: images annotated by a merge become training images. Several files are checked together.
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
        mask_values=parse_mask_values(mask_value or ()), new_classes=tuple(new_class or ()),
    )  # fmt: skip
    sources = {path: read_annotations(path, mask_suffix=mask_suffix) for path in annotations}
    plan = plan_merge(manifest, sources, rules)
    if len(plan.errors) > 1:
        for error in plan.errors[:SHOWN]:
            print_line(f"error: {error}", style="red")
        if len(plan.errors) > SHOWN:
            print_line(f"… and {len(plan.errors) - SHOWN} more")
        files = ", ".join(map(str, annotations))
        count = plural(len(plan.errors), "error")
        raise S4miError(f"{files}: {count}, nothing was merged; fix the errors above and rerun the same command")
    tables = all(path.suffix.lower() in TABLE_SUFFIXES for path in annotations)
    blank = ""
    if plan.blank:
        rows = f"{plural(plan.blank, 'row')} with an empty label"
        blank = f"; {rows}" if tables else f"; {plural(plan.blank, 'image')} without annotation"
    if dry_run and not plan.errors:
        count = plural(len({*plan.labels, *plan.masks}), "image")
        print_line(
            f"no errors: {count} would be annotated, {plural(plan.replaced, 'annotation')} replaced, {plan.same} "
            f"unchanged{blank}"
        )
        _report_ignored(plan)
        return
    _report(apply_merge(plan), plan, dataset, blank=blank)
    _report_ignored(plan)


def _report_ignored(plan: "MergePlan") -> None:
    if plan.ignored:
        counts = ", ".join(plural(count, noun) for noun, count in plan.ignored.items())
        print_line(f"note: not merged, as these are neither labels nor masks: {counts}", style="yellow")


def _report(merged: "MergeResult", plan: "MergePlan", dataset: Path, *, blank: str) -> None:
    before = plan.manifest.version
    if not merged.changed:
        print_line(f"{dataset}: no changes, still version {before}{blank}", style="bold")
    else:
        print_line(f"{dataset}: now version {merged.version}", style="bold")
    changes = [
        (name, f"{merged.before.get(name, 0)} → {count}" if merged.before.get(name, 0) != count else str(count))
        for name, count in merged.after.items()
    ]
    print_facts(
        ("annotated", plural(merged.changed, "image")),
        ("replaced", str(merged.replaced or "")),
        ("unchanged", str(merged.same or "")),
        ("not annotated", plural(merged.blank, "image") if merged.blank else ""),
        *changes,
        ("official split", counted(merged.official.items())),
    )
    if merged.changed:
        from s4mi.data.annotations.next_steps import next_steps

        for line in next_steps(merged, plan.manifest, added=plan.spec.classes[len(plan.manifest.spec.classes) :]):
            print_line(line)
