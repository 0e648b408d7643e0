"""One score has one interval on a page, whichever table prints it."""

from s4mi.maths.stats import Interval
from s4mi.reporting.results.comparison import Comparison, Technique
from s4mi.reporting.results.scores import Metric
from s4mi.reporting.results.tables import ResultTable


def printed_interval(
    comparison: Comparison, technique: Technique, fraction: float, metric: Metric, results: ResultTable | None
) -> Interval | None:
    """Mean of a cell with the interval of `results`, the table of scores; without it, over seeds alone."""
    if results is None:
        return comparison.interval(technique, fraction, metric)
    return results.interval(technique, fraction)
