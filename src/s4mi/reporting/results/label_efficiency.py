"""Full supervision, the target that techniques with fewer labels are to match.

It is the supervised technique with the best mean at 100 % of the labels: a supervised U-Net (`dedl`) or
fine-tuning (`finetune`) that does not start from pre-training on unlabelled images. The method in the record decides,
not the name that a study gives it. Taking the best makes the target harder to reach, never easier.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from s4mi.records import RunRecord
from s4mi.reporting.results.comparison import Comparison, Technique
from s4mi.reporting.results.scores import Metric, score_of

SUPERVISED: Final = frozenset({"dedl", "finetune", "frozen", "frozen_segmenter", "classical", "classical_segmenter"})
"""Methods that learn from labels alone."""
FULL: Final = 100.0


@dataclass(frozen=True)
class FullSupervision:
    """The reference: scores by seed with all labels, and the mean number of these labels."""

    technique: Technique
    scores: Mapping[int, float]
    labels: float

    @property
    def mean(self) -> float:
        return math.fsum(self.scores.values()) / len(self.scores)


def full_supervision(comparison: Comparison, metric: Metric) -> FullSupervision | None:
    """Return the supervised technique with the best mean at 100 % of the labels, or None if none was tested there."""
    best: FullSupervision | None = None
    for technique in comparison.techniques:
        records = comparison.at(technique, FULL)
        scores = _by_seed(records, metric)
        if not scores or any(r.method not in SUPERVISED or r.pretraining is not None for r in records):
            continue
        one = FullSupervision(technique, scores, _labels(records))
        if best is None or (one.mean > best.mean if metric.higher_is_better else one.mean < best.mean):
            best = one
    return best


def _by_seed(records: Sequence[RunRecord], metric: Metric) -> dict[int, float]:
    """Test scores by seed; runs without a score are skipped."""
    return {record.seed: score for record in records if (score := score_of(record, metric)) is not None}


def _labels(records: Sequence[RunRecord]) -> float:
    """Mean number of labels, as the runs count them; seeds may differ by one."""
    return sum(record.labels.n for record in records) / len(records)
