"""How many labels each technique needs to match full supervision: sentences and a table."""

from dataclasses import dataclass, replace

from s4mi.reporting.results.comparison import Comparison
from s4mi.reporting.results.label_counting import counting
from s4mi.reporting.results.label_efficiency import FULL, FullSupervision
from s4mi.reporting.results.label_tables import answers_table, gains_table_of
from s4mi.reporting.results.labels_needed import LabelAnswers
from s4mi.reporting.results.table_model import Table
from s4mi.reporting.results.tables import MeanScore, ResultTable


@dataclass(frozen=True)
class LabelsSection:
    """How many labels the techniques of one comparison need.

    Attributes:
        reference: full supervision; None where no supervised technique was tested with all labels.
        answers: labels needed, and what more brought.
    """

    comparison: Comparison
    results: ResultTable
    reference: FullSupervision | None
    answers: LabelAnswers

    @property
    def target(self) -> str:
        """Full supervision in this comparison, in one sentence, or what is to be reached in its place."""
        if self.reference is None:
            untested = "No supervised technique was tested with 100 % of the labels"
            best = next((target for target in self.answers.targets if target.kind == "best"), None)
            if best is None or best.source is None:
                return f"{untested}, so there is no target to reach."
            return f"{untested}; the target is {best.title}, that of {best.source.label}."
        interval = self.results.interval(self.reference.technique, FULL)
        assert interval is not None
        name, labels = self.reference.technique.label, f"{self.reference.labels:.0f}"
        score = MeanScore.of(interval, interval.n, self.results.metric).text
        return f"Full supervision is {name} with all {labels} labels, {self.results.metric.label} {score}."

    @property
    def sentences(self) -> list[str]:
        """A sentence on each technique and target, and on what more labels brought to each technique."""
        gains = [f"{gain.technique.label}: {gain.sentence}." for gain in self.answers.gains]
        return [*(f"{answer.sentence[:1].upper()}{answer.sentence[1:]}." for answer in self.answers.answers), *gains]

    @property
    def table(self) -> Table | None:
        """A row per target and technique; None where nothing was tested with labels."""
        return self._counted(answers_table(self.answers, subject=self.comparison.title))

    @property
    def gains(self) -> Table | None:
        """What more labels brought to each technique, and would bring."""
        return self._counted(gains_table_of(self.answers, subject=self.comparison.title))

    def _counted(self, table: Table | None) -> Table | None:
        """The table with a sentence on which labels count."""
        if table is None:
            return None
        return replace(table, caption=f"{table.caption} {counting(self.comparison.records)}".strip())


def labels_section(
    comparison: Comparison, results: ResultTable, reference: FullSupervision | None, answers: LabelAnswers
) -> LabelsSection | None:
    """The section on a comparison; None where fewer than two label fractions or techniques were tested."""
    tested = [
        (technique, fraction)
        for technique in comparison.techniques
        for fraction in comparison.fractions
        if results.interval(technique, fraction)
    ]
    if any(len(set(names)) < 2 for names in zip(*tested, strict=True)) or not tested:
        return None
    return LabelsSection(comparison, results, reference, answers)
