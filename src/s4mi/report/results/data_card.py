"""What a data set is, who is in which part of its split, and whether anything leaks: from records, never from images.

Runs of an older s4mi know less of their data; what none of the runs knows is said to be not on record.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from s4mi.records import DataSummary, LabelCounts, Part, PretrainingRecord, RunRecord
from s4mi.report.results.comparison import Comparison, technique_of
from s4mi.report.results.scores import MISSING, TASK_NAMES, percent
from s4mi.report.results.tables import span

PARTS: tuple[Part, ...] = ("train", "val", "test")
PART_NAMES: dict[Part, str] = {"train": "training", "val": "validation", "test": "test"}
UNKNOWN = "not on record"
LEAK_WORDS = {
    "exact": "of files with the same bytes",
    "near": "of pictures that look the same",
    "group": "of the same patient or lesion",
}
SOUGHT = "files with the same bytes, pictures that look the same, and one patient or lesion on two sides of the split"


@dataclass(frozen=True)
class CountRow:
    """How many images there are of something in each part, and with labels at each fraction; over seeds, as text."""

    name: str
    parts: tuple[str, ...]
    labelled: tuple[str, ...]
    is_class: bool = False


@dataclass(frozen=True)
class SplitRow:
    """The split of one seed: hash of its test images, and of the whole split at each label fraction."""

    seed: int
    drawn: str
    test: str
    hashes: tuple[str, ...]


@dataclass(frozen=True)
class TaskCard:
    """The parts of the split for one task.

    Attributes:
        fractions: label fractions above 0, as text.
        leaks: one sentence for each thing that leaks; empty where nothing was found.
        clean: what was looked for where nothing was found, and what cannot be known.
        tested_on: whether all seeds share their test images, in one sentence.
    """

    task: str
    fractions: tuple[str, ...]
    counts: tuple[CountRow, ...]
    columns: tuple[str, ...]
    splits: tuple[SplitRow, ...]
    leaks: tuple[str, ...]
    clean: str
    tested_on: str


@dataclass(frozen=True)
class DataCard:
    """One data set; `facts` are terms with what is known of them, `hashes` of its contents with who saw these."""

    facts: tuple[tuple[str, str], ...]
    hashes: tuple[tuple[str, str], ...]
    tasks: tuple[TaskCard, ...]

    @property
    def leaks(self) -> bool:
        return any(task.leaks for task in self.tasks)


def data_card(comparisons: Sequence[Comparison], pretrainings: Sequence[PretrainingRecord]) -> DataCard:
    """The card of one data set, from all runs on it, of which there is at least one."""
    records: list[RunRecord | PretrainingRecord] = [r for each in comparisons for r in each.records]
    records += pretrainings
    latest = sorted((r for r in records if r.data is not None), key=lambda r: r.finished)
    known = latest[-1].data if latest else None
    return DataCard(
        facts=(("Synthetic", _nature(records)), *(_facts(known) if known else _unknown())),
        hashes=_hashes(comparisons, pretrainings),
        tasks=tuple(_task(comparison) for comparison in comparisons),
    )


def _hashes(
    comparisons: Sequence[Comparison], pretrainings: Sequence[PretrainingRecord]
) -> tuple[tuple[str, str], ...]:
    """Masks are contents too, so that tasks may see different ones of the same images."""
    seen: dict[str, list[str]] = {}
    for comparison in comparisons:
        for digest in sorted({record.data_hash for record in comparison.records}):
            seen.setdefault(digest, []).append(TASK_NAMES[comparison.task])
    for digest in sorted({record.data_hash for record in pretrainings}):
        seen.setdefault(digest, []).append("pre-training")
    return tuple((digest, ", ".join(tasks)) for digest, tasks in seen.items())


def _nature(records: Sequence[RunRecord | PretrainingRecord]) -> str:
    drawn = sum(record.synthetic for record in records)
    if not drawn:
        return "no, as the data set says of itself"
    return "yes: drawn by a program, not photographed"


def _unknown() -> Iterable[tuple[str, str]]:
    return [(term, UNKNOWN) for term in ("Source", "Licence", "Patients or lesions", "Split")]


def _facts(data: DataSummary) -> Iterable[tuple[str, str]]:
    yield "Source", data.source or UNKNOWN
    yield "Licence", data.licence or UNKNOWN
    formats = ", ".join(f"{count} {name.upper()}" for name, count in sorted(data.formats.items()))
    yield "Images", f"{data.images} ({formats})"
    yield "Size", _size(data)
    yield "Patients or lesions", _groups(data)
    seen = f"{data.image_size} × {data.image_size} pixels"
    if data.tile is not None:
        seen += f", of tiles of {data.tile} × {data.tile} pixels"
    yield "Networks see", f"{seen}, {'grey' if data.channels == 'grey' else 'in colour'}"
    if data.conversion:
        yield "Conversion", data.conversion
    yield "Split", data.division


def _size(data: DataSummary) -> str:
    small, large = (f"{width} × {height}" for height, width in (data.smallest, data.largest))
    return f"{small} pixels" if small == large else f"{small} to {large} pixels (width × height)"


def _groups(data: DataSummary) -> str:
    if data.grouped == 0:
        return "the data set names none"
    groups = sum(part.groups for part in data.parts.values())
    rest = data.images - data.grouped
    return f"{groups}" + (f"; {rest} images name none, and count as one of their own each" if rest else "")


def _task(comparison: Comparison) -> TaskCard:
    records = comparison.records
    fractions = comparison.fractions
    leaks = _leaks(records)
    return TaskCard(
        task=TASK_NAMES[comparison.task],
        fractions=tuple(percent(fraction) for fraction in fractions if fraction > 0),
        counts=tuple(_counts(comparison)),
        columns=tuple(percent(fraction) for fraction in fractions),
        splits=tuple(_split(comparison, seed) for seed in sorted({record.seed for record in records})),
        leaks=leaks,
        clean="" if leaks else _clean(records),
        tested_on=_tested_on(records),
    )


def _counts(comparison: Comparison) -> Iterable[CountRow]:
    """Images, annotated images, patients, and each class."""
    records = comparison.records
    some = [
        [record.labels for record in records if record.label_fraction == fraction]
        for fraction in comparison.fractions
        if fraction > 0
    ]
    sizes = [[_images(record.labels, part) for record in records] for part in PARTS]
    labelled = tuple(span([labels.train_labelled for labels in cell]) for cell in some)
    yield CountRow("All images", tuple(span(each) for each in sizes), labelled)
    known = [record.data for record in records if record.data is not None]
    nothing = (MISSING,) * len(some)
    if known:
        annotated = tuple(span([data.parts[part].annotated for data in known]) for part in PARTS)
        yield CountRow("Annotated", annotated, nothing)
    if any(data.grouped for data in known):
        groups = tuple(span([data.parts[part].groups for data in known]) for part in PARTS)
        yield CountRow("Patients or lesions", groups, nothing)
    for name in records[0].classes:
        shown = tuple(span([data.parts[part].classes.get(name, 0) for data in known]) for part in PARTS if known)
        labelled = tuple(span([labels.per_class.get(name, 0) for labels in cell]) for cell in some)
        yield CountRow(name, shown or (MISSING,) * len(PARTS), labelled, is_class=True)


def _images(labels: LabelCounts, part: Part) -> int:
    return {"train": labels.train_images, "val": labels.val, "test": labels.test}[part]


def _split(comparison: Comparison, seed: int) -> SplitRow:
    own = [record for record in comparison.records if record.seed == seed]
    known = [record.data for record in own if record.data is not None]
    drawn = sorted({UNKNOWN if data.division_seed is None else f"{data.division_seed}" for data in known})
    return SplitRow(
        seed=seed,
        drawn=", ".join("nothing" if one == UNKNOWN else one for one in drawn) or UNKNOWN,
        test=", ".join(sorted({data.parts["test"].hash for data in known})) or UNKNOWN,
        hashes=tuple(
            ", ".join(sorted({record.split_hash for record in own if record.label_fraction == fraction})) or MISSING
            for fraction in comparison.fractions
        ),
    )


def _leaks(records: Sequence[RunRecord]) -> tuple[str, ...]:
    """What leaks, each with the seeds in which it does."""
    seeds: dict[str, set[int]] = defaultdict(set)
    for record in records:
        if record.data is not None:
            for leak in record.data.leaks:
                one, other = (PART_NAMES[part] for part in leak.parts)
                pairs = f"{leak.pairs} pair{'' if leak.pairs == 1 else 's'} {LEAK_WORDS[leak.kind]}"
                seeds[f"{pairs}, one {one} and one {other} image each"].add(record.seed)
        elif record.leaks:
            pairs = f"{record.leaks} pair{'' if record.leaks == 1 else 's'}"
            seeds[f"{pairs} of the same image or patient on two sides; of which kind is {UNKNOWN}"].add(record.seed)
        if record.pretraining is not None:
            for part, images in record.pretraining.contaminated.items():
                what = f"the pre-training of {technique_of(record).label} had seen {images} {PART_NAMES[part]} images"
                seeds[what].add(record.seed)
    return tuple(f"{what} (seed {', '.join(map(str, sorted(own)))})" for what, own in seeds.items())


def _clean(records: Sequence[RunRecord]) -> str:
    """What was looked for and not found, and what nobody can know."""
    known = [record.data for record in records if record.data is not None]
    if not known:
        return "None on record; these runs are of an older s4mi and do not say what was looked for."
    told = f"None found. Looked for in every run: {SOUGHT}."
    if len(known) < len(records):
        told += f" Of {len(records) - len(known)} older runs it is {UNKNOWN}."
    unnamed = max(data.images - data.grouped for data in known)
    if unnamed == known[-1].images:
        told += " The data set names no patient or lesion, so nobody can tell whether one is on two sides."
    elif unnamed:
        told += f" {unnamed} images name no patient or lesion; of them nobody can tell."
    return told


def _tested_on(records: Sequence[RunRecord]) -> str:
    known = {record.seed: record.data.parts["test"].hash for record in records if record.data is not None}
    if len(known) < 2:
        return ""
    if len(set(known.values())) == 1:
        return "All seeds are tested on the same images."
    return (
        f"{len(set(known.values()))} different test parts: intervals over seeds are also over which images are tested."
    )
