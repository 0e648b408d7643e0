"""The Jinja templates of the page, and the filters that they format values with."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from s4mi.formatting import plural
from s4mi.records import Scores
from s4mi.reporting.results.comparison import technique_of
from s4mi.reporting.results.few import and_few
from s4mi.reporting.results.fit_costs import fit_facts, short_duration
from s4mi.reporting.results.label_names import amount_of
from s4mi.reporting.results.patients import PatientInterval, run_over_patients
from s4mi.reporting.results.scores import MISSING, TASK_NAMES, Metric, ends, metric_of


@cache
def environment() -> Environment:
    """The templates with everything they may use; all values they print are escaped."""
    jinja = Environment(
        loader=PackageLoader("s4mi", "reporting/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters |= {
        "amount": amount_of,
        "short_duration": short_duration,
        "fit_facts": fit_facts,
        "plural": plural,
        "score": _score,
        "unbroken": _unbroken,
        "over_patients": run_over_patients,
        "with_interval": _with_interval,
    }
    jinja.globals |= {"task_names": TASK_NAMES, "metric_of": metric_of, "technique_of": technique_of}
    return jinja


def _unbroken(text: str) -> str:
    """`text` with no line break between a number and its sign, unit or neighbour."""
    for loose in (" ± ", "n = ", "p < ", " %", " ·", " → ", "≤ ", " seed"):
        text = text.replace(loose, loose.replace(" ", "\N{NO-BREAK SPACE}"))
    return text


def _score(scores: Scores | None, metric: Metric) -> str:
    value = getattr(scores, metric.name, None)
    return MISSING if value is None else f"{value:.{metric.digits}f}"


def _with_interval(score: PatientInterval, metric: Metric) -> str:
    """A score with its interval: `0.864, 95 % interval 0.841–0.889 over n = 13 patients, few patients`."""
    interval, unit = score.interval, score.unit
    mean = f"{interval.mean:.{metric.digits}f}"
    if interval.low is None or interval.high is None:
        return f"{mean}, n = {interval.n} {unit.removesuffix('s')}"
    known = ends(interval.low, interval.high, digits=metric.digits)
    return and_few(f"{mean}, 95 % interval {known} over n = {interval.n} {unit}", interval, unit)
