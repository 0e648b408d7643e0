"""Tables of paired tests: techniques against each other, and the same technique on two versions of a data set."""

from s4mi.records import TaskKind
from s4mi.reporting.results.comparison import Comparison
from s4mi.reporting.results.few import few_details, few_explained
from s4mi.reporting.results.paired_tests import ALPHA, TechniquePairs, TestResult
from s4mi.reporting.results.scores import Metric
from s4mi.reporting.results.table_model import SIGNIFICANT, Cell, Column, Table, table_row
from s4mi.reporting.results.tables import LABELS, TECHNIQUE, technique_cell
from s4mi.reporting.results.version_gains import TITLE, VersionGains

OVER_SEEDS = (
    "mean with its 95 % confidence interval and p, both over n seeds together with the test patients that they share; "
    "where they share none, or nothing is known of single ones, of Student's paired t-test over seeds "
    f"(docs/explanation/intervals.md). Holm: corrected for all rows; bold where p < {ALPHA:g} after correction."
)


def pair_table(pairs: TechniquePairs, comparison: Comparison, metric: Metric) -> Table | None:
    """A row per pair of techniques, the better mean first; None without pairs."""
    if not pairs.rows:
        return None
    columns = [Column("Pair"), LABELS, Column("Difference"), Column("d", kind="number"), Column("p")]
    caption = f"Test {metric.label} of the first technique minus that of the second: {OVER_SEEDS} d: difference in "
    caption += "standard deviations."
    if pairs.over_patients:
        columns += _patient_columns(pairs.unit)
        caption += f" {_patient_note(pairs.unit, comparison.task, 'of the two techniques')}"
    rows = []
    for row in pairs.rows:
        pair = Cell(row.ahead.label, details=(f"vs {row.behind.label}",))
        patients = _patient_cells(row.patients) if pairs.over_patients else []
        seeds = (_difference(row.seeds), row.seeds.effect, _p(row.seeds))
        rows.append(table_row(pair, row.column.title, *seeds, *patients))
    return few_explained(Table("Paired comparisons", comparison.title, tuple(columns), tuple(rows), caption))


def gains_table(gains: VersionGains) -> Table:
    """A row per technique, number of labels and older version, before and after the new annotations."""
    columns = [TECHNIQUE, Column("Labelled images", "labels, version"), Column("Before"), Column("After")]
    columns += [Column("Difference"), Column("p"), *(_patient_columns(gains.unit) if gains.over_patients else ())]
    lower = "" if gains.metric.higher_is_better else " (lower is better)"
    caption = (
        f"Test {gains.metric.label}{lower} before and after, and the difference seed by seed: {OVER_SEEDS} Settings, "
        f"pre-training, seeds and test images ({gains.tested} per seed) are the same before and after; only the labels "
        "differ."
    )
    if gains.over_patients:
        caption += f" {_patient_note(gains.unit, gains.task, 'before and after')}"
    caption += " This measures the effect of more labels, not whether other images would have helped more or less."
    rows = []
    for row in gains.rows:
        labels = Cell(" → ".join(row.labels), details=(row.amount, f"version {row.version} → {gains.version}"))
        cells = [technique_cell(row.technique), labels, row.before.cell, row.after.cell]
        patients = _patient_cells(row.patients) if gains.over_patients else []
        rows.append(table_row(*cells, _difference(row.seeds), _p(row.seeds), *patients))
    return few_explained(Table(TITLE, gains.title, tuple(columns), tuple(rows), caption))


def _difference(result: TestResult) -> Cell:
    return Cell(result.difference, details=(f"n = {result.n}", *few_details(result.test.difference)))


def _p(result: TestResult) -> Cell:
    return Cell(result.p, details=(f"Holm {result.p_holm}",), emphasis=SIGNIFICANT if result.significant else "")


def _patient_columns(unit: str) -> list[Column]:
    return [Column(f"Over {unit}"), Column("p", f"over {unit}")]


def _patient_cells(result: TestResult | None) -> list[Cell]:
    if result is None:
        return [Cell(), Cell()]
    few = few_details(result.test.difference, result.unit)
    return [Cell(result.mean, details=(result.span, f"n = {result.n} {result.unit}", *few)), _p(result)]


def _patient_note(unit: str, task: TaskKind, swapped: str) -> str:
    if task == "segmentation":
        test = "mean difference per test image with its 95 % interval, sign-flip test"
    else:
        test = f"the same difference with its 95 % interval, permutation test that swaps the predictions {swapped}"
    return f"Over {unit}: {test}; for these trained networks on other {unit}, n pooled over all seeds."
