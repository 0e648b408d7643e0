"""The words that say that an interval rests on few seeds or few patients, for every sentence and table of a report."""

from dataclasses import replace
from typing import Final

from s4mi.maths import crossed, ratio_bootstrap
from s4mi.maths.stats import Interval
from s4mi.reporting.results.table_model import Table

FEW_SEEDS: Final = "few seeds"
_FEW_PATIENTS = ("few patients", "few images")
WIDENED = "Such intervals are widened."


def few_words(interval: Interval | None, unit: str = "patients") -> str:
    """`few seeds` or `few patients`; empty where there is no interval, or it is not widened.

    Args:
        unit: `images` where no patient is known and each image counts as one.
    """
    if interval is None or interval.low is None or not interval.few:
        return ""
    return FEW_SEEDS if interval.few == "seeds" else f"few {unit}"


def few_details(interval: Interval | None, unit: str = "patients") -> tuple[str, ...]:
    """The words as details of a cell; none where there is nothing to say."""
    words = few_words(interval, unit)
    return (words,) if words else ()


def and_few(text: str, interval: Interval | None, unit: str = "patients") -> str:
    """`n = 3 seeds, few patients`: the words behind a text, if there are any."""
    return ", ".join([text, *few_details(interval, unit)])


def few_explained(table: Table) -> Table:
    """The table with a caption that explains the words that its cells have; itself without any."""
    said = {detail for row in table.rows for cell in row.cells for detail in cell.details}
    meanings = [few_meaning(words) for words in (FEW_SEEDS, *_FEW_PATIENTS) if words in said]
    if not meanings:
        return table
    return replace(table, caption=" ".join(filter(None, [table.caption, *meanings, WIDENED])))


def few_meaning(words: str) -> str:
    """How many are few, in one sentence."""
    if words == FEW_SEEDS:
        return f"{words.capitalize()}: fewer than {crossed.FEW_SEEDS}."
    return (
        f"{words.capitalize()}: fewer than {ratio_bootstrap.FEW_PATIENTS} behind a score, {crossed.FEW_PATIENTS} "
        f"behind a difference over seeds, or {ratio_bootstrap.FEW_OF_A_CLASS} with a class."
    )
