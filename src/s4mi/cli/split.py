"""`s4mi data split`: who trains, chooses and tests, and whose labels are read, before anything is trained."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from s4mi.cli.console import print_line, progress_bar

if TYPE_CHECKING:
    from s4mi.data.splits.split import SplitMethod
    from s4mi.recipes.split import SplitResult
    from s4mi.records import TaskKind

KINDS = ("auto", "official", "random", "kfold", "file")
TASKS = ("multiclass", "multilabel", "segmentation")


def split(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="A data set folder.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FILE", help="Write it, for split.kind=file split.file=FILE.")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the table of counts; so it is without -o.")] = False,
    task: Annotated[str, typer.Option("--task", help="multiclass, multilabel or segmentation; else the first.")] = "",
    kind: Annotated[str, typer.Option("--kind", help="auto, official, random, kfold or file.")] = "auto",
    ratios: Annotated[str, typer.Option("--ratios", metavar="A,B,C", help="Shares of a random split.")] = "0.7,0.1,0.2",
    folds: Annotated[int, typer.Option("--folds", min=3, help="Folds of a k-fold split.")] = 5,
    fold: Annotated[int, typer.Option("--fold", min=0, help="The fold that tests, from 0.")] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the split and of the fractions.")] = 0,
    fractions: Annotated[
        str,
        typer.Option("--fractions", metavar="A,B,...", help="Label fractions: percent, '50 images' or '5 patients'."),
    ] = "10,30,50,70,100",
    file: Annotated[Path | None, typer.Option("--file", help="A saved split, for --kind file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as one JSON document.")] = False,
) -> None:
    """Split as a run with these settings does; print how each class is spread over parts and label fractions."""
    from s4mi.data.splits.label_amount import LabelAmount
    from s4mi.errors import S4miError, nearest
    from s4mi.recipes.split import save_split_result, split_dataset

    for option, given, known in (("--kind", kind, KINDS), ("--task", task or TASKS[0], TASKS)):
        if given not in known:
            raise S4miError(f"{option} {given!r}: is none of {', '.join(known)}{nearest(given, known)}")
    amounts = [LabelAmount.parse(one) for one in fractions.split(",") if one.strip()] or [LabelAmount(100)]
    division = _division(kind, ratios, folds=folds, fold=fold, seed=seed, file=file)
    with progress_bar() as bar:
        divided = split_dataset(
            dataset, division=division, kind=cast("TaskKind", task) if task else None,
            seed=seed, amounts=amounts, progress=lambda done, of: bar("reading masks", done, of),
        )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(_as_json(divided), indent=2))
    elif show or out is None:
        _print(divided)
    if out is not None:
        save_split_result(divided, out)
        if not as_json:
            print_line(f"written to {out}; use it with split.kind=file split.file={out}")


def _division(kind: str, ratios: str, *, folds: int, fold: int, seed: int, file: Path | None) -> "SplitMethod | None":
    from s4mi.data.splits.split import SplitMethod
    from s4mi.errors import S4miError

    if kind == "auto":
        return None
    try:
        train, val, test = (float(one) for one in ratios.split(","))
    except ValueError:
        train = val = test = -1.0
    if min(train, val, test) <= 0 or abs(train + val + test - 1) > 1e-6:
        raise S4miError(f"--ratios {ratios!r}: are no shares; give three numbers above 0 that sum to 1, as 0.7,0.1,0.2")
    if kind == "kfold" and fold >= folds:
        raise S4miError(f"--fold {fold}: is none of {folds} folds; they count from 0")
    if kind == "file" and file is None:
        raise S4miError("--kind file: wants a saved split; name it with --file")
    return SplitMethod(kind, (train, val, test), folds=folds, fold=fold, seed=seed, file=file)  # type: ignore[arg-type]


def _print(divided: "SplitResult") -> None:
    from rich.console import Console
    from rich.table import Table

    from s4mi.data.splits.split import TOLERANCE

    counts, spec = divided.counts, divided.manifest.spec
    parts, labelled = counts.columns[:3], counts.columns[3:]
    how = {"kfold": f"fold {divided.division.fold} of {divided.division.folds}"}.get(
        divided.division.kind, divided.division.kind
    )
    print_line(f"{spec.name}: {divided.kind}, split {divided.split.hash} ({how}, seed {divided.seed})", style="bold")
    table = Table("", *parts, *(f"labels {name}" for name in labelled), box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row("images", *(str(counts.images[name]) for name in counts.columns))
    table.add_row("annotated", *(str(counts.annotated[name]) for name in counts.columns))
    if any(row.group for row in divided.manifest.rows):
        table.add_row("patients", *(str(counts.groups[name]) for name in counts.columns))
    for label, row in counts.classes.items():
        shares = [f"{row[n]} ({100 * row[n] / max(1, counts.annotated[n]):.1f} %)" for n in counts.columns]
        table.add_row(label, *shares)
    console = Console()
    Console(width=max(console.width, 12 * len(table.columns) + 30), highlight=False, markup=False).print(table)
    if divided.division.kind in ("official", "file"):
        return
    verdict = "within" if counts.within_tolerance else "beyond"
    unit = "of the most images of the class that one patient has" if counts.groups != counts.images else "images"
    print_line(
        f"furthest from its share: {counts.worst_at or 'none'}, by {counts.worst:.2f} {unit}; "
        f"{verdict} the tolerance of {TOLERANCE:g}"
    )


def _as_json(divided: "SplitResult") -> dict[str, object]:
    from dataclasses import asdict

    return {
        "dataset": divided.manifest.spec.name, "task": divided.kind, "kind": divided.division.kind,
        "hash": divided.split.hash, **asdict(divided.counts), "within_tolerance": divided.counts.within_tolerance,
    }  # fmt: skip
