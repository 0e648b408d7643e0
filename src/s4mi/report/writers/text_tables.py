"""What a report says in words and numbers, as plain text in tables: the contents of all formats but the page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from s4mi.formatting import duration
from s4mi.report.results.class_table import ClassTable, class_table
from s4mi.report.results.comparison import Comparison, compare, doubts, technique_of
from s4mi.report.results.costs import cost_rows, energy_note
from s4mi.report.results.data_card import DataCard, TaskCard, data_card
from s4mi.report.results.ensemble_members import member_rows
from s4mi.report.results.findings import findings_of
from s4mi.report.results.paired_tests import TechniquePairs, pairs_of
from s4mi.report.results.pretraining import collapses, in_order
from s4mi.report.results.runs import PretrainingRun, ReportRun
from s4mi.report.results.scores import MISSING, metric_of, percent, score_of
from s4mi.report.results.tables import MAJORITY, ResultTable, detail_table, result_table, span
from s4mi.report.results.unfinished_runs import UnfinishedRun, summary
from s4mi.report.results.verdict import findings, verdict
from s4mi.report.results.version_gains import TITLE, ByTask, VersionGains, gains_by_task, head_sentence

MEAN = "mean ± half of the 95 % confidence interval over n seeds"


@dataclass(frozen=True)
class TextTable:
    """A table as text.

    Attributes:
        bold: (row, column) of the cells to stand out, from 0.
        rules: rows, from 0, before which a line is drawn.
    """

    title: str
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    bold: frozenset[tuple[int, int]] = frozenset()
    rules: frozenset[int] = frozenset()


@dataclass(frozen=True)
class TextSection:
    title: str
    sentences: tuple[str, ...]
    tables: tuple[TextTable, ...]


@dataclass(frozen=True)
class TextReport:
    """`long` are tables with a row a run, which a paper has no room for."""

    title: str
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    sections: tuple[TextSection, ...]
    long: tuple[TextTable, ...]


def text_report(
    runs: Sequence[ReportRun],
    *,
    title: str,
    pretrainings: Sequence[PretrainingRun] = (),
    uncounted: Sequence[UnfinishedRun] = (),
    notes: Sequence[str] = (),
    gains: ByTask | None = None,
) -> TextReport:
    """The report on `runs` as text, whatever their order; `gains` as in `write_report`."""
    records = [run.record for run in runs]
    comparisons = compare(records)
    pretrainings = in_order(pretrainings)
    stories = [findings_of(each, result_table(each, metric_of(each.task))) for each in comparisons]
    drawn = sorted({record.dataset for record in records if record.synthetic})
    told = [f"The images of {', '.join(drawn)} were drawn by s4mi, not photographed."] if drawn else []
    lost = summary(uncounted)
    gains = gains_by_task(runs) if gains is None else gains
    return TextReport(
        title=title,
        sentences=(*verdict(stories), *head_sentence(list(gains.values()))),
        notes=(*told, *doubts(records), *collapses(pretrainings), *notes, *([lost] if lost else [])),
        sections=tuple(
            _section(story.comparison, story.table, findings(story) if len(stories) > 1 else [], runs, gains)
            for story in stories
        ),
        long=tuple(_long(sorted(runs, key=lambda run: run.directory), uncounted)),
    )


def _section(
    comparison: Comparison,
    table: ResultTable,
    sentences: Sequence[str],
    runs: Sequence[ReportRun],
    gains: ByTask,
) -> TextSection:
    metric = table.metric
    card = data_card([comparison], [])
    (task,) = card.tasks
    leaks = [f"This split leaks: {leak}." for leak in task.leaks] or [f"Leakage: {task.clean}"]
    pairs = pairs_of(comparison, metric, runs)
    facts = "; ".join(f"{term}: {fact}" for term, fact in card.facts)
    tables = [
        results(table),
        *_gained(gains.get((comparison.dataset, comparison.task))),
        *_classes(class_table(comparison, metric)),
        _detail(comparison),
        *_members(comparison, table),
        *_pairs(pairs),
        _costs(comparison, table),
        _parts(task),
        _splits(task, card),
    ]
    return TextSection(
        title=comparison.title,
        sentences=(*sentences, *([pairs.finding] if pairs.finding else []), *leaks, f"{facts}."),
        tables=tuple(tables),
    )


def results(table: ResultTable) -> TextTable:
    """Table 1 of the paper for this data."""
    header = ["technique", "backbone", *(f"{c.title} ({c.labelled} labelled)" for c in table.columns)]
    rows = [[row.technique.method, row.technique.backbone, *(cell.text for cell in row.cells)] for row in table.rows]
    bold = {(y, x + 2) for y, row in enumerate(table.rows) for x, cell in enumerate(row.cells) if cell.best}
    rules = {
        y
        for y in range(1, len(table.rows))
        if table.by_backbone and table.rows[y].technique.backbone != table.rows[y - 1].technique.backbone
    }
    if table.reference:
        rules.add(len(rows))
        rows.append([MAJORITY, "", *(cell.text for cell in table.reference)])
    best = " and backbone" if table.by_backbone else ""
    marked = (
        f"; the best mean of a column{best} stands out, whether or not it can be told from the next" if bold else ""
    )
    return _table(table.title, f"{MEAN}{marked}", header, rows, bold=bold, rules=rules)


def _gained(gains: VersionGains | None) -> Iterator[TextTable]:
    if gains is None:
        return
    rows = [
        [
            row.technique.label, row.amount, f"{row.version} → {gains.version}", " → ".join(row.labels),
            row.before.text, row.after.text, f"{row.seeds.difference} (n = {row.seeds.n})",
            row.seeds.p, row.seeds.p_holm, span(row.tested),
        ]
        for row in gains.rows
    ]  # fmt: skip
    header = ["technique", "labels", "version", "labelled images", "before", "after", "difference", "p", "p (Holm)"]
    caption = f"{MEAN}; the same settings, seeds and test images on both sides; Student's paired test over seeds"
    yield _table(TITLE, caption, [*header, "test images a seed"], rows)


def _classes(table: ClassTable | None) -> Iterator[TextTable]:
    if table is None:
        return
    header = ["technique", "backbone", "labels", *(f"{c.name} ({c.support} {table.unit})" for c in table.classes)]
    rows = [
        [row.technique.method, row.technique.backbone, row.column.title, *(cell.text for cell in row.cells)]
        for row in table.rows
    ]
    yield _table(f"Test {table.score} of each class", MEAN, header, rows)


def _detail(comparison: Comparison) -> TextTable:
    table = detail_table(comparison)
    lower = ", ".join(metric.label for metric in table.metrics if not metric.higher_is_better)
    rows = [
        [row.technique.method, row.technique.backbone, row.column.title, *(cell.text for cell in row.cells)]
        for row in table.rows
    ]
    caption = f"{MEAN}; lower is better for {lower}" if lower else MEAN
    return _table(
        "More test scores", caption, ["technique", "backbone", "labels", *(m.label for m in table.metrics)], rows
    )


def _members(comparison: Comparison, table: ResultTable) -> Iterator[TextTable]:
    rows = [
        [row.technique.label, row.column.title, row.member, row.score.text, f"{row.chosen} of {row.runs}"]
        for row in member_rows(comparison, table.metric)
    ]
    if rows:
        header = ["technique", "labels", "reading", f"test {table.metric.label}", "chosen"]
        yield _table("Readings", f"{MEAN}; validation chose which one counts", header, rows)


def _pairs(pairs: TechniquePairs) -> Iterator[TextTable]:
    if not pairs.rows:
        return
    rows = [
        [
            row.ahead.label,
            row.behind.label,
            row.column.title,
            f"{row.seeds.difference} (n = {row.seeds.n})",
            row.seeds.effect,
            row.seeds.p,
            row.seeds.p_holm,
        ]
        for row in pairs.rows
    ]
    header = ["ahead", "behind", "labels", "difference", "d", "p", "p (Holm)"]
    yield _table(
        "Techniques in pairs", f"difference of the two, {MEAN}; Student's paired test over seeds", header, rows
    )


def _costs(comparison: Comparison, table: ResultTable) -> TextTable:
    costs = cost_rows(comparison, table.metric)
    measured = any(row.energy_wh is not None for row in costs)
    header = ["technique", "backbone", "labels", f"test {table.metric.label}", "time", "pre-training", "images/s"]
    header += ["peak memory (MiB)", *(["energy (Wh)"] if measured else []), "parameters", "device"]
    rows = []
    for row in costs:
        before = MISSING if row.pretraining_seconds is None else duration(row.pretraining_seconds)
        energy = MISSING if row.energy_wh is None else f"{row.energy_wh:.3g}"
        rows.append(
            [
                row.technique.method, row.technique.backbone, row.column.title, row.score.text, duration(row.seconds),
                before, f"{row.images_per_second:.0f}", f"{row.peak_memory_mib:.0f}", *([energy] if measured else []),
                f"{row.parameters}", row.devices,
            ]
        )  # fmt: skip
    caption = f"mean cost of one run beside its score; pre-training is shared by runs. {energy_note(costs)}"
    return _table("Cost", caption.rstrip("."), header, rows)


def _parts(task: TaskCard) -> TextTable:
    header = ["images", "training", "validation", "test", *(f"labelled at {one}" for one in task.fractions)]
    rows = [[row.name, *row.parts, *row.labelled] for row in task.counts]
    return _table("Images by part of the split", "fewest and most among the runs", header, rows)


def _splits(task: TaskCard, card: DataCard) -> TextTable:
    header = ["seed", "drawn by seed", "test images", *(f"split at {one}" for one in task.columns)]
    rows = [[str(row.seed), row.drawn, row.test, *row.hashes] for row in task.splits]
    caption = f"data hash {', '.join(digest for digest, _ in card.hashes)}. {task.tested_on}".strip().rstrip(".")
    return _table("Hashes of the splits", caption, header, rows)


def _long(runs: Sequence[ReportRun], uncounted: Sequence[UnfinishedRun]) -> Iterator[TextTable]:
    if uncounted:
        rows = [[run.directory, run.status, run.so_far, run.reason or MISSING] for run in uncounted]
        header = ["run", "state", "so far", "why"]
        yield _table("Failed and unfinished runs", "no number above counts these", header, rows)
    rows = []
    for run in runs:
        record, metric = run.record, metric_of(run.record.task)
        score = score_of(record, metric)
        rows.append(
            [
                run.directory, technique_of(record).label, percent(record.label_fraction), str(record.seed),
                metric.label, MISSING if score is None else f"{score:.{metric.digits}f}",
                f"{record.best_epoch} of {record.epochs}", duration(record.cost.seconds),
                record.config_hash, record.split_hash, record.data_hash,
            ]
        )  # fmt: skip
    if rows:
        header = [
            "run",
            "technique",
            "labels",
            "seed",
            "metric",
            "test",
            "best epoch",
            "time",
            "settings",
            "split",
            "data",
        ]
        yield _table("Runs", "with the hashes of settings, split and data", header, rows)


def _table(
    title: str,
    caption: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    bold: set[tuple[int, int]] | None = None,
    rules: set[int] | None = None,
) -> TextTable:
    return TextTable(
        title=title,
        caption=caption,
        header=tuple(header),
        rows=tuple(tuple(row) for row in rows),
        bold=frozenset(bold or ()),
        rules=frozenset(rules or ()),
    )
