"""The templates of the page and how they write numbers."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from s4mi.formatting import duration
from s4mi.records import Scores
from s4mi.report.results.comparison import technique_of
from s4mi.report.results.patients import PatientInterval, run_over_patients
from s4mi.report.results.scores import MISSING, TASK_NAMES, Metric, metric_of, percent


def environment() -> Environment:
    """Where the templates are and what they may use; everything they print is escaped."""
    made = Environment(
        loader=PackageLoader("s4mi", "report/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "percent": percent,
        "duration": duration,
        "score": _score,
        "tied": _tied,
        "over_patients": run_over_patients,
        "trusted": _trusted,
    }
    made.globals |= {"task_names": TASK_NAMES, "metric_of": metric_of, "technique_of": technique_of}
    return made


def _tied(text: str) -> str:
    """Keep a number with its sign, its unit and its neighbour when a line breaks."""
    for loose in (" ± ", "n = ", " %", " ·", " → ", "≤ ", " seed"):
        text = text.replace(loose, loose.replace(" ", "\N{NO-BREAK SPACE}"))
    return text


def _score(scores: Scores | None, metric: Metric) -> str:
    value = getattr(scores, metric.name, None)
    return MISSING if value is None else f"{value:.{metric.digits}f}"


def _trusted(score: PatientInterval, metric: Metric) -> str:
    """A score with its interval: `0.864, 95 % interval 0.841–0.889 over n = 13 patients`."""
    interval, unit = score.interval, score.unit
    mean = f"{interval.mean:.{metric.digits}f}"
    if interval.low is None or interval.high is None:
        return f"{mean}, n = {interval.n} {unit.removesuffix('s')}"
    low, high = (f"{end:.{metric.digits}f}" for end in (interval.low, interval.high))
    return f"{mean}, 95 % interval {low}–{high} over n = {interval.n} {unit}"
