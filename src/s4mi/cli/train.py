"""`s4mi train`: one run."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from s4mi.records import PretrainingRecord, RunRecord
    from s4mi.training.progress import Progress


def train(
    run_file: Path = typer.Argument(
        ..., metavar="RUN.yaml", help="Settings of the run; studies/single/ holds examples."
    ),
    overrides: list[str] = typer.Argument(
        None, metavar="[KEY=VALUE]...", help="Settings that replace the file's, e.g. optim.lr=1e-3"
    ),
    out: Path = typer.Option(..., "-o", "--out", metavar="RUN_DIR", help="Folder of the run."),
    resume: bool = typer.Option(False, "--resume", help="Continue a run that was interrupted."),
) -> None:
    """Train, choose the best epoch on validation, score it once on test, and leave a record.

    A method that pre-trains (s4mi methods) uses no label, watches the features, and leaves encoders to fine-tune from.
    """
    from s4mi.cli.console import setup_logging
    from s4mi.config import load_run_config
    from s4mi.recipes.train import train as train_run
    from s4mi.records import PretrainingRecord

    setup_logging()
    config = load_run_config(run_file, overrides or ())
    speaks = os.environ.get("LOCAL_RANK", "0") == "0"  # of several processes one; Fabric numbers the others it starts
    with _Live(shown=speaks) as live:
        record = train_run(config, out, resume=resume, watch=live.watch)
    if not speaks:
        return
    if isinstance(record, PretrainingRecord):
        _say_pretrained(record, out)
    else:
        _say_trained(record)
        if record.val is None and config.method.own_classes and not config.method.named:
            typer.echo(f"look at the clusters with: s4mi predict {out} IMAGES -o OUT --clusters")
    typer.echo(f"record: {out / 'record.json'}")


def _say_trained(record: "RunRecord") -> None:
    from s4mi.cli.console import print_scores

    labels = record.labels
    learnt = f"{labels.train_labelled} labelled" if labels.train_labelled else f"{labels.train_images} unlabelled"
    chosen = f"best epoch {record.best_epoch} of {record.epochs} by validation {record.metric}"
    if record.val is None:  # nothing could choose
        chosen = f"{record.epochs} epochs"
    typer.echo(
        f"{record.technique or record.method} ({record.backbone}) on {record.dataset}"
        f"{' (synthetic)' if record.synthetic else ''}: {learnt} images, {chosen}, {record.cost.seconds:.0f} s"
    )
    if record.pretraining is not None:
        typer.echo(
            f"started from {record.pretraining.method}, {record.pretraining.epochs} epochs on "
            f"{record.pretraining.images} images without labels"
        )
    if record.leaks:
        typer.echo(
            f"the split leaks: {record.leaks} pairs of the same image or patient on two sides; scores are too good"
        )
    print_scores({"val": record.val, "test": record.test})


def _say_pretrained(record: "PretrainingRecord", out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    typer.echo(
        f"{record.method} ({record.backbone}) on {record.dataset}{' (synthetic)' if record.synthetic else ''}: "
        f"{record.images} images without labels, {record.epochs} epochs, {record.cost.seconds:.0f} s"
    )
    table = Table("features of", "standard deviation", "effective rank", "k-NN macro F1", box=None, pad_edge=False)
    for name, end in record.end.features.items():
        start = record.start.features[name]
        table.add_row(
            name,
            f"{start.std:.3f} → {end.std:.3f} of 1",
            f"{start.effective_rank:.1f} → {end.effective_rank:.1f} of {end.dimensions}",
            f"{record.start.knn[name]:.3f} → {record.end.knn[name]:.3f}" if name in record.end.knn else "–",
        )
    Console().print(table)
    for name, value in record.end.signals.items():
        typer.echo(f"{name.replace('_', ' ')}: {value:.3f}")
    for name in record.encoders:
        typer.echo(f"fine-tune it with: method.backbone={name} method.pretrained={out}")


class _Live:
    """A progress bar on a terminal, a line an epoch elsewhere."""

    def __init__(self, *, shown: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[facts]}"),
            console=self._console, disable=not (shown and sys.stderr.isatty()),
        )  # fmt: skip
        self._task = self._bar.add_task("", total=None, facts="")
        self._lines = shown and self._bar.disable
        self._said = 0

    def __enter__(self) -> "_Live":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def watch(self, progress: "Progress") -> None:
        """Show how far the run is."""
        description = {
            "decode": "decoding images",
            "train": f"epoch {progress.epoch}/{progress.epochs}",
            "evaluate": "scoring the best epoch",
            "export": "writing the encoders",
        }[progress.phase]
        facts = _facts(progress)
        self._bar.update(
            self._task, description=description, completed=progress.done, total=progress.total, facts=facts
        )
        finished = progress.latest.epoch if progress.latest else 0
        if self._lines and finished > self._said:
            self._said = finished
            self._console.print(f"epoch {finished}/{progress.epochs}  {facts}", highlight=False)


def _facts(progress: "Progress") -> str:
    parts = []
    if progress.latest is not None:
        parts.append(f"loss {progress.latest.losses['total']:.4f}")
        parts += [f"val {name} {value:.4f}" for name, value in list(progress.latest.val.items())[:1]]
        if (health := progress.latest.health) is not None:
            parts += [f"{name} std {features.std:.3f}" for name, features in health.features.items()]
    if progress.images_per_second:
        parts.append(f"{progress.images_per_second:.1f} images/s")
    if progress.seconds_left is not None:
        minutes, seconds = divmod(round(progress.seconds_left), 60)
        parts.append(f"{minutes}:{seconds:02d} left")
    return "  ".join(parts)
