"""`s4mi data split`: preview and save the split and label fractions of a data set without training."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from s4mi.cli.console import print_line

if TYPE_CHECKING:
    from s4mi.recipes.split import SplitResult
    from s4mi.records import TaskKind


def split(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Data set folder.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="FILE", help="Save the split, to be used with split.kind=file split.file=FILE."
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the table of counts, as without -o.")] = False,
    task: Annotated[
        str, typer.Option("--task", help="Task: multiclass, multilabel or segmentation; by default the first.")
    ] = "",
    kind: Annotated[str, typer.Option("--kind", help="Kind of split: auto, official, random, kfold or file.")] = "auto",
    ratios: Annotated[
        str,
        typer.Option(
            "--ratios", metavar="A,B,C", help="Shares of training, validation and test set in a random split."
        ),
    ] = "0.7,0.1,0.2",
    folds: Annotated[int, typer.Option("--folds", min=3, help="Number of folds of a k-fold split.")] = 5,
    fold: Annotated[int, typer.Option("--fold", min=0, help="Index of the test fold, from 0.")] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the split and of the label fractions.")] = 0,
    test_seed: Annotated[
        int | None,
        typer.Option("--test-seed", min=0, help="Seed of the test part only (in studies 0); by default --seed."),
    ] = None,
    count_validation: Annotated[
        bool,
        typer.Option(
            "--count-validation",
            help="Take label fractions of all images outside the test part, as labels.count_validation=true does.",
        ),
    ] = False,
    fractions: Annotated[
        str,
        typer.Option("--fractions", metavar="A,B,...", help="Label fractions: percent, '50 images' or '5 patients'."),
    ] = "10,30,50,70,100",
    file: Annotated[Path | None, typer.Option("--file", help="Saved split, for --kind file.")] = None,
    allow_leakage: Annotated[
        bool,
        typer.Option(
            "--allow-leakage",
            help="Warn of the same image in two parts, as data.allow_leakage=true does; a patient in two parts is "
            "always refused.",
        ),
    ] = False,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", help="Folder of the thumbnails by which copies are found; by default that of runs."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as a single JSON document.")] = False,
) -> None:
    """Split like a run with these settings; print the class distribution over parts and label fractions."""
    from s4mi.api.splits import SplitKind
    from s4mi.api.splits import split as split_dataset

    made = split_dataset(
        dataset, task=cast("TaskKind", task) if task else None, kind=cast("SplitKind", kind), ratios=_ratios(ratios),
        folds=folds, fold=fold, seed=seed, test_seed=test_seed, count_validation=count_validation, file=file,
        allow_leakage=allow_leakage, cache=cache,
        fractions=[one.strip() for one in fractions.split(",") if one.strip()],
    )  # fmt: skip
    result = made.result
    if as_json:
        typer.echo(json.dumps(_as_json(result), indent=2))
    elif show or out is None:
        _print(result)
    if out is not None:
        made.save(out)
        if not as_json:
            print_line(f"saved to {out}; use it with split.kind=file split.file={out}")


def _ratios(given: str) -> tuple[float, ...]:
    """The numbers of `--ratios`; what they must be is checked with the other settings."""
    from s4mi.errors import S4miError

    try:
        return tuple(float(one) for one in given.split(","))
    except ValueError:
        raise S4miError(f"--ratios must be numbers separated by commas, e.g. 0.7,0.1,0.2 (given {given!r})") from None


WITHOUT = {
    "train": "no run learns or predicts them; use another seed, or merge rare classes",
    "test": "scores say nothing of them; use another seed, collect more patients, or merge rare classes",
}
"""What follows from a class without an image in a part of the split."""


def _print(result: "SplitResult") -> None:
    from s4mi.cli.tables import print_table
    from s4mi.data.splits.official import NO_VAL, lacks_val
    from s4mi.data.splits.stratification import TOLERANCE

    counts, spec = result.counts, result.manifest.spec
    parts, labelled = counts.columns[:3], counts.columns[3:]
    description = {"kfold": f"fold {result.division.fold} of {result.division.folds}"}.get(
        result.division.kind, result.division.kind
    )
    print_line(
        f"{spec.name}: {result.kind}, split {result.split.hash} ({description}, seed {result.seed})", style="bold"
    )
    rows = [
        ("images", *(str(counts.images[name]) for name in counts.columns)),
        ("annotated", *(str(counts.annotated[name]) for name in counts.columns)),
    ]
    if any(row.group for row in result.manifest.rows):
        rows.append(("patients", *(str(counts.groups[name]) for name in counts.columns)))
    for label, row in counts.classes.items():
        shares = [f"{row[n]} ({100 * row[n] / max(1, counts.annotated[n]):.1f} %)" for n in counts.columns]
        rows.append((label, *shares))
    print_table(("", *parts, *(f"labels {name}" for name in labelled)), rows, numbers=True)
    for part, consequence in WITHOUT.items():
        if lacking := [label for label, row in counts.classes.items() if counts.annotated[part] and not row[part]]:
            print_line(f"warning: no {part} image of {', '.join(lacking)}: {consequence}", style="yellow")
    if result.division.kind == "official" and lacks_val(result.manifest.rows):
        print_line(f"note: {NO_VAL}")
    if result.division.kind in ("official", "file"):
        return
    verdict = "within" if counts.within_tolerance else "exceeds"
    unit = "times the most images of a class in one patient" if counts.groups != counts.images else "images"
    print_line(
        f"largest deviation from the share: {counts.worst_at or 'none'}, {counts.worst:.2f} {unit}; "
        f"{verdict} the tolerance of {TOLERANCE:g}"
    )


def _as_json(result: "SplitResult") -> dict[str, object]:
    from dataclasses import asdict

    return {
        "dataset": result.manifest.spec.name, "task": result.kind, "kind": result.division.kind,
        "hash": result.split.hash, **asdict(result.counts), "within_tolerance": result.counts.within_tolerance,
    }  # fmt: skip
