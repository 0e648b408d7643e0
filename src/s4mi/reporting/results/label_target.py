"""How many labels a score takes that the user names, in lines on each comparison."""

from collections.abc import Sequence

from s4mi.errors import S4miError
from s4mi.reporting.results.comparison import compare
from s4mi.reporting.results.labels_needed import label_answers
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.scores import metric_of


def target_lines(runs: Sequence[ReportRun], target: float) -> list[str]:
    """A line on each technique of each data set and task that was tested: the labels for `target`, or why not.

    Raises:
        S4miError: the target is no score.
    """
    lines = []
    for comparison in compare([run.record for run in runs]):
        metric = metric_of(comparison.task)
        if not metric.limits[0] < target < metric.limits[1]:
            raise S4miError(f"--target: {target:g} is no {metric.label}; give a score between 0 and 1, such as 0.85")
        answers = label_answers(comparison, metric, runs, target=target)
        for answer in answers.to(answers.targets[-1]):
            hint = f"; {answer.hint}" if answer.hint else ""
            lines.append(f"{comparison.title}: {answer.sentence}{hint}")
    return lines
