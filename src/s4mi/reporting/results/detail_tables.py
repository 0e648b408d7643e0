"""Further test scores of the same runs, a column each."""

from collections.abc import Sequence

from s4mi.reporting.results.comparison import Comparison
from s4mi.reporting.results.few import few_explained
from s4mi.reporting.results.patient_effects import crossed_score, few_patients, influences_of
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.scores import metrics_of
from s4mi.reporting.results.table_model import Column, Table, table_row
from s4mi.reporting.results.tables import LABELS, MEAN, TECHNIQUE, MeanScore, runs_by_cell, technique_cell

DETAIL = {
    "classification": ("f1_macro", "recall_macro", "balanced_accuracy", "auroc", "calibration_error"),
    "segmentation": ("iou", "dice", "hd95", "assd"),
}


def detail_table(comparison: Comparison, runs: Sequence[ReportRun] = ()) -> Table:
    """Further test scores of the same runs: AUROC, balanced accuracy, Dice, surface distances.

    Args:
        runs: of the comparison; with their test patients, intervals are over seeds and the patients that these share.
    """
    family = "segmentation" if comparison.task == "segmentation" else "classification"
    metrics = [metric for metric in metrics_of(comparison.task) if metric.name in DETAIL[family]]
    lower = ", ".join(metric.label for metric in metrics if not metric.higher_is_better)
    influences = {metric: influences_of(comparison, runs, metric) for metric in metrics}
    few = {metric: few_patients(runs, metric) if influences[metric] else {} for metric in metrics}
    over = [metric.label for metric in metrics if influences[metric]]
    rows = []
    for technique, column, records in runs_by_cell(comparison):
        means = [(crossed_score(records, metric, influences[metric], few[metric]), metric) for metric in metrics]
        scores = (MeanScore.of(interval, len(records), metric).cell for interval, metric in means)
        rows.append(table_row(technique_cell(technique), column.title, *scores))
    table = Table(
        title="Further test scores",
        subject=comparison.title,
        columns=(TECHNIQUE, LABELS, *(Column(metric.label[:1].upper() + metric.label[1:]) for metric in metrics)),
        rows=tuple(rows),
        caption=" ".join([
            MEAN,
            *([f"Those of {', '.join(over)} include the choice of test patients that seeds share."] if over else []),
            *([f"Lower is better for {lower}."] if lower else []),
        ]),
    )  # fmt: skip
    return few_explained(table)
