"""What a report says, whatever its format: sentences and tables on each data set and task, made once from the runs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from s4mi.records import PretrainingRecord, RunRecord
from s4mi.reporting.results.cards import NO_RUNS, TaskCard, task_card
from s4mi.reporting.results.class_table import class_table
from s4mi.reporting.results.comparison import Comparison, compare, comparison_warnings
from s4mi.reporting.results.costs import cost_table
from s4mi.reporting.results.data_card import DataCard, data_card
from s4mi.reporting.results.detail_tables import detail_table
from s4mi.reporting.results.ensemble_members import member_table
from s4mi.reporting.results.external_tables import external_tables
from s4mi.reporting.results.failed_seeds import failed_seed_notes
from s4mi.reporting.results.findings import Findings, findings_together
from s4mi.reporting.results.fit_costs import encoding_sentence
from s4mi.reporting.results.label_counting import label_table, with_counting
from s4mi.reporting.results.label_names import span
from s4mi.reporting.results.paired_tables import gains_table, pair_table
from s4mi.reporting.results.paired_tests import TechniquePairs
from s4mi.reporting.results.patient_tables import patient_table, worst_patient_tables
from s4mi.reporting.results.patients import PatientsSection, images_tested, patients_section
from s4mi.reporting.results.pretraining import collapses, in_order, pretraining_table
from s4mi.reporting.results.run_tables import run_table, unfinished_table
from s4mi.reporting.results.runs import PretrainingRun, ReportRun
from s4mi.reporting.results.scores import TASK_NAMES, Metric, metric_of
from s4mi.reporting.results.starts import random_starts, tiny_networks
from s4mi.reporting.results.table_model import Table, counted_once
from s4mi.reporting.results.tables import ResultTable, result_table, score_table
from s4mi.reporting.results.unfinished_runs import UnfinishedRun, summary
from s4mi.reporting.results.verdict import finding_sentences
from s4mi.reporting.results.version_gains import ByTask, VersionGains, gains_by_task, summary_sentences
from s4mi.reporting.writers.label_section import LabelsSection, labels_section

ONLY_PRETRAINED = "No run was fine-tuned and tested yet; there are pre-training runs only."


@dataclass(frozen=True)
class TextSection:
    """A part of a report as text: a heading of some `level` from 2, sentences, and tables."""

    level: int
    title: str
    sentences: tuple[str, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class TaskSection:
    """One task of a data set.

    Attributes:
        labels: None with one label fraction or one technique. patients: None without per-image scores.
        gains: None where no older version of the data set was run.
        test_images: of all seeds together; 0 where no run recorded which it had.
    """

    comparison: Comparison
    results: ResultTable
    findings: tuple[str, ...]
    labels: LabelsSection | None
    pairs: TechniquePairs
    patients: PatientsSection | None
    gains: VersionGains | None
    test_images: int
    scores: Table
    new_annotations: Table | None
    paired: Table | None
    classes: Table | None
    details: Table
    members: Table | None
    per_patient: Table | None
    worst_patients: tuple[Table, ...]
    costs: Table
    label_counts: Table
    external: tuple[Table, ...]

    @property
    def name(self) -> str:
        return f"{TASK_NAMES[self.comparison.task].capitalize()}{self.comparison.suffix}"

    @property
    def metric(self) -> Metric:
        return self.results.metric

    @property
    def facts(self) -> str:
        """The images and classes behind the numbers, in one line."""
        labels = [record.labels for record in self.comparison.records]
        train, val, test = (span([getattr(each, name) for each in labels]) for name in ("train_images", "val", "test"))
        different = self.test_images > max(each.test for each in labels)
        seeds = f" per seed, {self.test_images} different ones in total" if different else ""
        classes = ", ".join(self.comparison.records[0].classes)
        return f"{train} training, {val} validation and {test} test images{seeds}. Classes: {classes}."

    @property
    def text(self) -> TextSection:
        sentences = [self.facts, *self.findings, *([self.labels.target] if self.labels else []), self.pairs.finding]
        needed = (self.labels.table, self.labels.gains) if self.labels else ()
        tables = (
            *(self.scores, *self.external, self.new_annotations, *needed, self.paired, self.classes, self.details),
            *(self.members, self.label_counts, self.per_patient, *self.worst_patients, self.costs),
        )
        return TextSection(3, self.name, tuple(filter(None, sentences)), tuple(table for table in tables if table))


@dataclass(frozen=True)
class DatasetSection:
    """One data set; `features` is the table of its pre-training runs, None without any."""

    name: str
    synthetic: bool
    tasks: tuple[TaskSection, ...]
    pretrainings: tuple[PretrainingRun, ...]
    collapses: tuple[str, ...]
    features: Table | None
    card: DataCard

    @property
    def text(self) -> Iterator[TextSection]:
        yield TextSection(2, self.name, (), ())
        yield from (task.text for task in self.tasks)
        if self.features is not None:
            yield TextSection(3, "Pre-training without labels", self.collapses, (self.features,))
        facts = [*self.card.facts, *(("Data hash", digest) for digest, _ in self.card.hashes)]
        sentences = ["; ".join(f"{name}: {fact}" for name, fact in facts) + "."]
        for task in self.card.tasks:
            sentences += [f"Leakage ({task.task}): {leak}." for leak in task.leaks] or [f"Leakage: {task.clean}"]
        yield TextSection(3, "Data", tuple(sentences), tuple(t for c in self.card.tasks for t in (c.counts, c.splits)))


@dataclass(frozen=True)
class ReportContents:
    """A report.

    Attributes:
        cards: the head, one for each data set and task. remarks: what else belongs into the head.
        progress: how many runs of a study are done and what is left, in one line; empty if that is not known.
        lost: the number of unfinished runs in one sentence. last: when the last run finished.
    """

    title: str
    cards: tuple[TaskCard, ...]
    remarks: tuple[str, ...]
    progress: str
    notes: tuple[str, ...]
    lost: str
    synthetic: tuple[str, ...]
    datasets: tuple[DatasetSection, ...]
    runs: tuple[ReportRun, ...]
    pretrainings: tuple[PretrainingRun, ...]
    unfinished: tuple[UnfinishedRun, ...]
    last: str

    @property
    def verdict(self) -> tuple[str, ...]:
        """The head as paragraphs."""
        return (*([self.progress] if self.progress else []), *(card.text for card in self.cards), *self.remarks)

    @property
    def unfinished_table(self) -> Table | None:
        return unfinished_table(self.unfinished)

    @property
    def tables(self) -> tuple[Table, ...]:
        """Every table with an entry per comparison, not per run."""
        return tuple(table for section in self.text for table in section.tables)

    @property
    def run_tables(self) -> tuple[Table, ...]:
        """The tables with a row per run, which are too long for a paper."""
        return tuple(table for table in (self.unfinished_table, run_table(self.runs)) if table)

    @property
    def encoding(self) -> str:
        """How long computing stored features took, in one sentence; empty where no run was fitted to any."""
        return encoding_sentence([run.record for run in self.runs])

    @property
    def text_notes(self) -> tuple[str, ...]:
        """The notes, with those that a page sets apart."""
        names = ", ".join(self.synthetic)
        synthetic = [f"The images of {names} were generated by s4mi, not photographed."] if names else []
        return (*synthetic, *([self.lost] if self.lost else []), *self.notes)

    @property
    def text(self) -> tuple[TextSection, ...]:
        return tuple(section for dataset in self.datasets for section in dataset.text)


def report_contents(
    runs: Sequence[ReportRun],
    *,
    title: str,
    pretrainings: Sequence[PretrainingRun] = (),
    notes: Sequence[str] = (),
    unfinished: Sequence[UnfinishedRun] = (),
    progress: str = "",
    gains: ByTask | None = None,
    classification: str | None = None,
    segmentation: str | None = None,
) -> ReportContents:
    """The contents of a report on `runs`, whatever their order.

    Args:
        pretrainings: pre-training runs, from `load_pretrainings`.
        notes: further lines below the verdict, such as those of `load_runs`.
        unfinished: runs that failed, are unfinished or unreadable, from `load_unfinished`.
        progress: how many runs of a study are done and what is left, in one line.
        gains: effect of new annotations, where runs outside this report matter; computed from `runs` when None.
        classification: primary metric of classification; macro F1 when None.
        segmentation: primary metric of segmentation; IoU when None.

    Raises:
        S4miError: unknown metric.
    """
    records = [run.record for run in runs]
    primary = {"multiclass": classification, "multilabel": classification, "segmentation": segmentation}
    comparisons = compare(records)
    tables = [result_table(each, metric_of(each.task, primary[each.task]), runs) for each in comparisons]
    findings = findings_together(comparisons, tables, runs)
    gains = gains_by_task(runs) if gains is None else gains
    tasks = [_task(one, runs, gains) for one in findings]
    tasks = [with_counting(task, task.comparison) for task in tasks]
    pretrainings = in_order(pretrainings)
    names = list(dict.fromkeys([*(c.dataset for c in comparisons), *(run.record.dataset for run in pretrainings)]))
    every: list[RunRecord | PretrainingRecord] = [*records, *(run.record for run in pretrainings)]
    warnings = [*failed_seed_notes(records), *comparison_warnings(records), *tiny_networks(records)]
    nothing = [] if runs else [ONLY_PRETRAINED if pretrainings else NO_RUNS]
    return ReportContents(
        title=title,
        cards=tuple(task_card(one) for one in sorted(findings, key=lambda one: one.of_one_technique)),
        remarks=(
            *nothing,
            *random_starts((), [run.record for run in pretrainings]),
            *summary_sentences(list(gains.values())),
        ),
        progress=progress,
        notes=(*warnings, *collapses(pretrainings), *notes),
        lost=summary(unfinished),
        synthetic=tuple(sorted({record.dataset for record in every if record.synthetic})),
        datasets=tuple(_dataset(name, tasks, pretrainings) for name in names),
        runs=tuple(sorted(runs, key=lambda run: run.directory)),
        pretrainings=tuple(pretrainings),
        unfinished=tuple(unfinished),
        last=max((record.finished for record in every), default=""),
    )


def _dataset(name: str, tasks: Sequence[TaskSection], pretrainings: Sequence[PretrainingRun]) -> DatasetSection:
    tasks = [task for task in tasks if task.comparison.dataset == name]
    pretrainings = [run for run in pretrainings if run.record.dataset == name]
    return DatasetSection(
        name=name,
        synthetic=any([*(t.comparison.synthetic for t in tasks), *(run.record.synthetic for run in pretrainings)]),
        tasks=tuple(tasks),
        pretrainings=tuple(pretrainings),
        collapses=tuple(collapses(pretrainings)),
        features=pretraining_table(pretrainings) if pretrainings else None,
        card=data_card([task.comparison for task in tasks], [run.record for run in pretrainings]),
    )


def _task(findings: Findings, runs: Sequence[ReportRun], gains: ByTask) -> TaskSection:
    comparison, metric = findings.comparison, findings.table.metric
    gained = gains.get(comparison.key)
    pairs = findings.pairs
    patients = patients_section(comparison, metric, runs)
    return TaskSection(
        comparison=comparison,
        results=findings.table,
        findings=tuple(finding_sentences(findings)),
        labels=labels_section(comparison, findings.table, findings.reference, findings.answers),
        pairs=pairs,
        patients=patients,
        gains=gained,
        test_images=len(images_tested(comparison, runs)),
        scores=counted_once(score_table(findings.table)),
        new_annotations=gains_table(gained) if gained else None,
        paired=_once(pair_table(pairs, comparison, metric)),
        classes=_once(class_table(comparison, metric)),
        details=counted_once(detail_table(comparison, runs)),
        members=_once(member_table(comparison, metric)),
        per_patient=patient_table(patients, subject=comparison.title) if patients else None,
        worst_patients=tuple(worst_patient_tables(patients, subject=comparison.title)) if patients else (),
        costs=counted_once(cost_table(comparison, metric, findings.table)),
        label_counts=counted_once(label_table(comparison, metric, findings.table)),
        external=tuple(map(counted_once, external_tables(comparison, metric, runs))),
    )


def _once(table: Table | None) -> Table | None:
    return None if table is None else counted_once(table)
