"""Pre-training runs side by side: what each learnt from, what it cost, and whether its features are alive."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from s4mi.records import LEAST_RANK, LEAST_STD, FeatureHealth, FeatureSpread
from s4mi.report.results.runs import PretrainingRun
from s4mi.report.results.scores import MISSING


@dataclass(frozen=True)
class FeatureSpaceRow:
    """The features of one encoder, or of another space that the loss works in, before and after, as text."""

    name: str
    dimensions: int
    std: str
    rank: str
    knn: str
    collapsed: bool


@dataclass(frozen=True)
class PretrainingRow:
    """One run. `signals` are the method's own by name, such as the teacher's entropy."""

    name: str
    backbone: str
    seed: int
    images: int
    epochs: int
    seconds: float
    signals: tuple[tuple[str, str], ...]
    spaces: tuple[FeatureSpaceRow, ...]


def in_order(runs: Sequence[PretrainingRun]) -> list[PretrainingRun]:
    """By method, backbone and seed, whatever order they were found in."""
    return sorted(runs, key=lambda run: (run.record.method, run.record.backbone, run.record.seed, run.directory))


def names_of(runs: Sequence[PretrainingRun]) -> dict[str, str]:
    """What a table calls each run, by its directory: the method, and the directory too where only that differs."""
    seats = Counter(_seat(run) for run in runs)
    return {
        run.directory: run.record.method if seats[_seat(run)] == 1 else f"{run.record.method} ({run.directory})"
        for run in runs
    }


def pretraining_rows(runs: Sequence[PretrainingRun]) -> tuple[PretrainingRow, ...]:
    """The table of these runs."""
    names = names_of(runs)
    return tuple(
        PretrainingRow(
            name=names[run.directory],
            backbone=run.record.backbone,
            seed=run.record.seed,
            images=run.record.images,
            epochs=run.record.epochs,
            seconds=run.record.cost.seconds,
            signals=_signals(run.record.start, run.record.end),
            spaces=tuple(_spaces(run)),
        )
        for run in in_order(runs)
    )


def collapses(runs: Sequence[PretrainingRun]) -> list[str]:
    """A plain sentence on each run whose features tell images apart no more."""
    names = names_of(runs)
    return [
        f"{names[run.directory]}, seed {run.record.seed}: after {run.record.epochs} epochs the features of {ill}. All "
        "images look nearly alike to these networks, and runs that start from them gain nothing from it."
        for run in in_order(runs)
        if (ill := collapsed(run.record.end.features))
    ]


def health_by_epoch(run: PretrainingRun) -> list[tuple[int, FeatureHealth]]:
    """What was measured and after how many epochs: 0 is before training; epochs without a measurement are left out."""
    measured = {epoch.epoch: epoch.health for epoch in run.epochs if epoch.health is not None}
    return sorted({0: run.record.start, run.record.epochs: run.record.end, **measured}.items())


def signal_name(name: str) -> str:
    """`teacher_entropy` as people write it."""
    return name.replace("_", " ")


def _seat(run: PretrainingRun) -> tuple[str, str, str, int]:
    return (run.record.dataset, run.record.method, run.record.backbone, run.record.seed)


def _spaces(run: PretrainingRun) -> Iterator[FeatureSpaceRow]:
    start, end = run.record.start, run.record.end
    for name, after in end.features.items():
        before = start.features.get(name)
        yield FeatureSpaceRow(
            name=name,
            dimensions=after.dimensions,
            std=_change(before.std if before else None, after.std, digits=3),
            rank=_change(before.effective_rank if before else None, after.effective_rank, digits=1),
            knn=_change(start.knn.get(name), end.knn.get(name), digits=3),
            collapsed=after.collapsed,
        )


def _signals(start: FeatureHealth, end: FeatureHealth) -> tuple[tuple[str, str], ...]:
    return tuple(
        (signal_name(name), _change(start.signals.get(name), value, digits=2)) for name, value in end.signals.items()
    )


def _change(before: float | None, after: float | None, *, digits: int) -> str:
    """`0.41 → 0.38`; only the end where the start was not measured."""
    if after is None:
        return MISSING
    return f"{after:.{digits}f}" if before is None else f"{before:.{digits}f} → {after:.{digits}f}"


def collapsed(features: Mapping[str, FeatureSpread]) -> str:
    """Whose features have collapsed and what shows it, to be read after "the features of"; empty where none have."""
    ill = [name for name, spread in features.items() if spread.collapsed]
    return f"{', '.join(ill)} had collapsed ({_symptoms(features[ill[0]])})" if ill else ""


def _symptoms(spread: FeatureSpread) -> str:
    told = []
    if spread.std < LEAST_STD:
        told.append(f"standard deviation {spread.std:.3f} < {LEAST_STD:g}")
    if spread.effective_rank < LEAST_RANK:
        rank = f"{spread.effective_rank:.1f} of {spread.dimensions}"
        told.append(f"effective rank {rank} < {LEAST_RANK:g}")
    return ", ".join(told)
