"""`s4mi train`: one run."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from s4mi.records import PretrainingRecord, RunRecord


def train(
    run_file: Path = typer.Argument(
        ..., metavar="RUN.yaml", help="Settings of the run; studies/single/ holds examples."
    ),
    overrides: list[str] = typer.Argument(
        None, metavar="[KEY=VALUE]...", help="Settings that replace those of the file, e.g. optim.lr=1e-3"
    ),
    out: Path = typer.Option(..., "-o", "--out", metavar="RUN_DIR", help="Folder of the run."),
    resume: bool = typer.Option(False, "--resume", help="Continue an interrupted run with the same settings and data."),
) -> None:
    """Train a run: select the best epoch on validation, score it once on test, and write a record.

    A pre-training method (see s4mi methods) uses no labels and leaves encoders for fine-tuning.
    """
    from s4mi.config.first_look import look_at_run

    look_at_run(run_file, overrides or (), data=not resume)

    from s4mi.api.training import training_call
    from s4mi.cli.console import setup_logging
    from s4mi.recipes.train import train as train_run
    from s4mi.records import PretrainingRecord
    from s4mi.training.run_dir import check_begun

    setup_logging()
    if resume:
        check_begun(out)
    first = os.environ.get("LOCAL_RANK", "0") == "0"  # of several processes; Fabric numbers the others it starts
    with training_call(run_file, settings=overrides) as (config, watch):
        record = train_run(config, out, resume=resume, watch=watch)
    if not first:
        return
    if isinstance(record, PretrainingRecord):
        _print_pretrained(record, out)
    else:
        _print_trained(record)
        method = config.method
        if record.val is None and method.own_classes and not method.named:
            typer.echo(f"see the clusters with: s4mi predict {out} IMAGES -o OUT --clusters")
    typer.echo(f"record: {out / 'record.json'}")


def _print_trained(record: "RunRecord") -> None:
    from s4mi.cli.console import print_scores
    from s4mi.formatting import plural

    labels = record.labels
    images = f"{labels.train_labelled} labelled" if labels.train_labelled else f"{labels.train_images} unlabelled"
    epochs = f"best epoch {record.best_epoch} of {record.epochs} by validation {record.metric}"
    chosen = record.selection
    if record.val is None or (chosen is not None and chosen.used != "validation"):  # nothing to select by
        epochs = plural(record.epochs, "epoch")
    if record.steps is not None:
        epochs = f"{epochs}, {plural(record.steps, 'step')}"
    typer.echo(
        f"{record.technique or record.method} ({record.backbone}) on {record.dataset}"
        f"{' (synthetic)' if record.synthetic else ''}: {images} images, {epochs}, {record.cost.seconds:.0f} s"
    )
    if record.pretraining is not None:
        typer.echo(
            f"started from {record.pretraining.method}, {record.pretraining.epochs} epochs on "
            f"{record.pretraining.images} images without labels"
        )
    if record.leaks:
        typer.echo(
            f"leakage: {plural(record.leaks, 'pair')} of the same image or patient in two parts of the split; scores "
            "are too optimistic"
        )
    if labels.counted:
        beside = f" and {labels.validation} to choose with" if labels.validation else ""
        typer.echo(f"labels counted: {labels.n}, {labels.train_labelled} to train on{beside}")
    if chosen is not None and chosen.note:
        typer.echo(f"selection: {chosen.note}")
    external = {name: result.scores for name, result in record.external.items()}
    print_scores({"val": record.val, "test": record.test, **external})
    for name, result in record.external.items():
        for note in result.notes:
            typer.echo(f"{name}: {note}")
    if record.last_test is not None:
        shown = "iou" if record.task == "segmentation" else "f1_macro"
        typer.echo(f"last epoch, not selected: test {shown} {getattr(record.last_test, shown):.3f}")


def _print_pretrained(record: "PretrainingRecord", out: Path) -> None:
    from s4mi.cli.tables import print_table

    typer.echo(
        f"{record.method} ({record.backbone}) on {record.dataset}{' (synthetic)' if record.synthetic else ''}: "
        f"{record.images} images without labels, {record.epochs} epochs, {record.cost.seconds:.0f} s"
    )
    rows = []
    for name, end in record.end.features.items():
        start = record.start.features[name]
        rows.append(
            (
                name,
                f"{start.std:.3f} → {end.std:.3f} of 1",
                f"{start.effective_rank:.1f} → {end.effective_rank:.1f} of {end.dimensions}",
                f"{record.start.knn[name]:.3f} → {record.end.knn[name]:.3f}" if name in record.end.knn else "–",
            )
        )
    print_table(("encoder", "feature std", "effective rank", "k-NN macro F1"), rows)
    for name, value in record.end.signals.items():
        typer.echo(f"{name.replace('_', ' ')}: {value:.3f}")
    for name in record.encoders:
        typer.echo(f"fine-tune it with: method.backbone={name} method.pretrained={out}")
