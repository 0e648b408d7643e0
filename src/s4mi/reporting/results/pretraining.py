"""Pre-training runs side by side: what each was trained on, its cost, and whether its features collapsed."""

from collections import Counter
from collections.abc import Mapping, Sequence

from s4mi.formatting import duration, plural
from s4mi.records import LEAST_RANK, LEAST_STD, FeatureHealth, FeatureSpread
from s4mi.reporting.results.runs import PretrainingRun
from s4mi.reporting.results.table_model import Cell, Column, Row, Table, table_row


def in_order(runs: Sequence[PretrainingRun]) -> list[PretrainingRun]:
    """Runs sorted by method, backbone and seed."""
    return sorted(runs, key=lambda run: (run.record.method, run.record.backbone, run.record.seed, run.directory))


def names_of(runs: Sequence[PretrainingRun]) -> dict[str, str]:
    """Display name of each run by its directory: the method, plus the directory where nothing else differs."""
    counts = Counter(_identity(run) for run in runs)
    return {
        run.directory: run.record.method if counts[_identity(run)] == 1 else f"{run.record.method} ({run.directory})"
        for run in runs
    }


def pretraining_table(runs: Sequence[PretrainingRun]) -> Table:
    """A row per run and feature space, of at least one run, all on one data set; columns that none has are left out."""
    names, ends = names_of(runs), [run.record.end for run in runs]
    signals = sorted({name for end in ends for name in end.signals})
    knn = any(end.knn for end in ends)
    columns = [Column("Method", "backbone, seed"), Column("Features of"), Column("Std"), Column("Effective rank")]
    columns += [Column("k-NN macro F1")] if knn else []
    columns += [Column(signal_name(name).capitalize()) for name in signals]
    return Table(
        title="Pre-training runs",
        subject=runs[0].record.dataset,
        columns=(*columns, Column("Time", kind="number")),
        rows=tuple(row for run in in_order(runs) for row in _rows(run, names[run.directory], signals, knn=knn)),
        caption="Feature health on training images, before → after training, and training time.",
    )


def _rows(run: PretrainingRun, name: str, signals: Sequence[str], *, knn: bool) -> list[Row]:
    record, start, end = run.record, run.record.start, run.record.end
    title = Cell(name, details=(record.backbone, f"seed {record.seed}"))
    shared = [_change(start.signals.get(signal), end.signals.get(signal), digits=2) for signal in signals]
    work = (plural(record.epochs, "epoch"), f"of {plural(record.images, 'image')}")
    rows = []
    for space, after in end.features.items():
        before = start.features.get(space)
        rank = _change(before.effective_rank if before else None, after.effective_rank, digits=1)
        scores = [_change(start.knn.get(space), end.knn.get(space), digits=3)] if knn else []
        row = table_row(
            title,
            Cell(space, badge="collapsed" if after.collapsed else ""),
            _change(before.std if before else None, after.std, digits=3),
            Cell(rank, details=(f"of {after.dimensions}",)),
            *scores,
            *shared,
            Cell(duration(record.cost.seconds), details=work),
        )
        rows.append(row)
    return rows


def collapses(runs: Sequence[PretrainingRun]) -> list[str]:
    """One sentence on each technique whose features collapsed, with the first such run and the number of others."""
    names = names_of(runs)
    found: dict[tuple[str, str], list[tuple[PretrainingRun, str]]] = {}
    for run in in_order(runs):
        if symptoms := collapsed(run.record.end.features):
            found.setdefault((run.record.method, run.record.backbone), []).append((run, symptoms))
    sentences = []
    for (run, symptoms), *others in found.values():
        seeds = ", ".join(f"{other.record.seed}" for other, _ in others)
        more = f" (as {plural(len(others), 'other run')}, seed {seeds})" if others else ""
        sentences.append(
            f"{names[run.directory]}, seed {run.record.seed}: after {run.record.epochs} epochs the features of "
            f"{symptoms}{more}. They hardly differ between images, so fine-tuning from this gains nothing."
        )
    return sentences


def health_by_epoch(run: PretrainingRun) -> list[tuple[int, FeatureHealth]]:
    """Every measurement with its number of epochs, 0 being before training; epochs without one are left out."""
    measured = {epoch.epoch: epoch.health for epoch in run.epochs if epoch.health is not None}
    return sorted({0: run.record.start, run.record.epochs: run.record.end, **measured}.items())


SIGNALS = {"teacher_entropy": "evenness of the teacher's output"}
"""Names of metrics of a method for readers who do not know it; 1: the same output for all images."""


def signal_name(name: str) -> str:
    """`evenness of the teacher's output` for `teacher_entropy`."""
    return SIGNALS.get(name, name.replace("_", " "))


def _identity(run: PretrainingRun) -> tuple[str, str, str, int]:
    return (run.record.dataset, run.record.method, run.record.backbone, run.record.seed)


def _change(before: float | None, after: float | None, *, digits: int) -> str:
    """`0.41 → 0.38`; the end alone where the start was not measured, and empty where the end was not."""
    if after is None:
        return ""
    return f"{after:.{digits}f}" if before is None else f"{before:.{digits}f} → {after:.{digits}f}"


def collapsed(features: Mapping[str, FeatureSpread]) -> str:
    """The collapsed encoders and the symptoms, to be read after "the features of"; empty where all are healthy."""
    names = [name for name, spread in features.items() if spread.collapsed]
    return f"{', '.join(names)} had collapsed ({_symptoms(features[names[0]])})" if names else ""


def _symptoms(spread: FeatureSpread) -> str:
    symptoms = []
    if spread.std < LEAST_STD:
        symptoms.append(f"standard deviation {spread.std:.3f} < {LEAST_STD:g}")
    if spread.effective_rank < LEAST_RANK:
        rank = f"{spread.effective_rank:.1f} of {spread.dimensions}"
        symptoms.append(f"effective rank {rank} < {LEAST_RANK:g}")
    return ", ".join(symptoms)
