"""How a report names an amount of labels: as it was given, a number of images or patients with its share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from s4mi.formatting import plural
from s4mi.records import RunRecord
from s4mi.reporting.results.scores import percent
from s4mi.reporting.results.table_model import Column


def asked_count(records: Iterable[RunRecord]) -> str:
    """The number of images or patients that all of these runs asked for, such as `5 patients`; empty for a share."""
    asked = {record.labels_asked for record in records}
    only = asked.pop() if len(asked) == 1 else ""
    return "" if only.endswith("%") else only


def amount_name(asked: str, fraction: float) -> str:
    """`10 %`, or `5 patients (12.3 %)`; the share is the mean over seeds, whose patients have more or fewer images."""
    return f"{asked} ({percent(fraction)})" if asked else percent(fraction)


def amount_in_words(asked: str, fraction: float, images: str = "") -> str:
    """`10 % of the labels (48 images)`, or `5 patients (12.3 % of the labels, 48 images)`; images may be left out."""
    share = f"{percent(fraction)} of the labels"
    if asked:
        return f"{asked} ({', '.join(filter(None, [share, images]))})"
    return f"{share} ({images})" if images else share


def amount_of(record: RunRecord) -> str:
    """The amount of labels of one run, as `amount_name` has it."""
    return amount_name(asked_count([record]), record.label_fraction)


@dataclass(frozen=True)
class LabelColumn:
    """A label fraction, and the fewest and most labels it stands for; see `records.LabelCounts.n`.

    Attributes:
        fraction: in percent.
        asked: the number of images or patients that was asked for, such as `5 patients`; empty for a share.
    """

    fraction: float
    fewest: int
    most: int
    asked: str = ""

    @property
    def title(self) -> str:
        """`10 %`, or `5 patients (12.3 %)`."""
        return amount_name(self.asked, self.fraction)

    @property
    def short(self) -> str:
        """`10 %`, or `5 patients`."""
        return self.asked or percent(self.fraction)

    @property
    def in_words(self) -> str:
        """`10 % of the labels`, or `5 patients (12.3 % of the labels)`."""
        return amount_in_words(self.asked, self.fraction)

    @property
    def with_images(self) -> str:
        """`10 % of the labels (48 images)`, or `5 patients (12.3 % of the labels, 48 images)`."""
        return amount_in_words(self.asked, self.fraction, "" if self.asked == self._images else self._images)

    @property
    def heading(self) -> Column:
        """`10 % (48 labelled)`, `5 patients (12.3 %, 48–70 labelled)`, or `50 images (10.4 %)`."""
        labelled = f"{self.labelled} labelled"
        if not self.asked:
            return Column(self.title, labelled)
        share = percent(self.fraction)
        return Column(self.asked, share if self.asked == self._images else f"{share}, {labelled}")

    @property
    def labelled(self) -> str:
        return span([self.fewest, self.most])

    @property
    def _images(self) -> str:
        return plural(self.most, "image") if self.fewest == self.most else f"{self.labelled} images"


def span(counts: Sequence[int]) -> str:
    """`48`, or `46–48` where seeds differ."""
    fewest, most = min(counts), max(counts)
    return f"{fewest}" if fewest == most else f"{fewest}–{most}"
