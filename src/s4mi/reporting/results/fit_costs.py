"""What runs fitted to stored features cost: the fit, and the features that it would be wrong to think free."""

from collections.abc import Sequence

from s4mi.formatting import duration, plural
from s4mi.records import FitRecord, RunRecord

STORED = "features from the store"


def short_duration(seconds: float) -> str:
    """A duration in s, with a decimal below 10 s, where a fit would be rounded to nothing: `0.3 s`."""
    if seconds >= 9.95:
        return duration(seconds)
    return f"{seconds:.1f} s" if seconds >= 0.05 or not seconds else "< 0.1 s"


def training_seconds(record: RunRecord) -> float:
    """Time of a run without computing stored features, in s."""
    return record.cost.seconds if record.fit is None else max(record.cost.seconds - _computing(record.fit), 0.0)


def encoding_seconds(records: Sequence[RunRecord], *, among: Sequence[RunRecord]) -> float | None:
    """Time in s that runs `among` others took to compute the features that `records` were fitted to.

    0 where the store had them before; None where no record was fitted to stored features.
    """
    keys = {features.key for record in records if record.fit for features in record.fit.features}
    if not keys:
        return None
    return sum(
        features.seconds for record in among if record.fit for features in record.fit.features if features.key in keys
    )


def feature_details(record: RunRecord) -> tuple[str, ...]:
    """Whether a run's time includes computing its features, for its cell in a table."""
    if record.fit is None or not record.fit.features:
        return ()
    seconds = _computing(record.fit)
    return (f"{short_duration(seconds)} of it for features",) if _computed(record.fit) else (STORED,)


def encoding_sentence(records: Sequence[RunRecord]) -> str:
    """One sentence on how long computing features took in all, by kind of features; empty without any."""
    fits = [record.fit for record in records if record.fit is not None and record.fit.features]
    if not fits:
        return ""
    seconds: dict[str, float] = {}
    for fit in fits:
        for features in fit.features:
            seconds[features.name] = seconds.get(features.name, 0.0) + features.seconds
    computing = sum(_computed(fit) > 0 for fit in fits)
    if not computing:
        return (
            f"The features of {plural(len(fits), 'fitted run')} were in the store before; computing them took time "
            "that no run here includes."
        )
    kinds = ", ".join(f"{name} {short_duration(total)}" for name, total in seconds.items() if total)
    stored = [name for name, total in seconds.items() if not total]
    text = f"Features are not free: computing them took {short_duration(sum(seconds.values()))} in all ({kinds}), in "
    text += f"{computing} of {plural(len(fits), 'fitted run')}"
    if computing < len(fits):
        text += "; the others read them from the store"
    if stored:
        text += f"; {', '.join(stored)} {'was' if len(stored) == 1 else 'were'} there before"
    return f"{text}."


def fit_facts(fit: FitRecord) -> list[tuple[str, str]]:
    """How a run was fitted, as terms and what they are: time, features, chosen settings, scores, notes."""
    facts = [("Fitted", f"at once, in {short_duration(fit.seconds)}")]
    if fit.features:
        facts.append(
            (
                "Features",
                "; ".join(_features(features.name, features.computed, features.seconds) for features in fit.features),
            )
        )
    if fit.chosen:
        facts.append(("Chosen inside the labels", _named(fit.chosen)))
    if fit.scores:
        facts.append(("Scores of the choice", _named(fit.scores)))
    return [*facts, *(("Note", note) for note in fit.notes)]


def _features(name: str, computed: int, seconds: float) -> str:
    if not computed:
        return f"{name} from the store"
    return f"{name} computed in {short_duration(seconds)} for {plural(computed, 'view')} of images"


def _named(values: dict[str, float] | dict[str, float | str]) -> str:
    return ", ".join(f"{name} {value if isinstance(value, str) else f'{value:.4g}'}" for name, value in values.items())


def _computing(fit: FitRecord) -> float:
    return sum(features.seconds for features in fit.features)


def _computed(fit: FitRecord) -> int:
    return sum(features.computed for features in fit.features)
