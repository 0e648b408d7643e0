"""With which labels a run is chosen: its epoch, ensemble member, temperature and thresholds.

    validation         labels that training does not see: the validation part, or those held out of the counted labels
    cross_validation   a fitted head: for each fold inside the labels a head that has not seen it (`out_of_fold`);
                       a network that is trained by epochs is not trained once per fold: as `validation`
    last               nothing is chosen: the last epoch, the ensemble's default member, temperature 1, thresholds 1/2

Clusters found without labels need some to get their classes. These are the validation part's whatever the rule, and
are counted.
"""

from dataclasses import dataclass

from s4mi.config import RunConfig
from s4mi.records import LabelCounts, Selection, SelectionRule
from s4mi.training.prepare import Prepared

NONE_ANNOTATED = "no validation image is annotated, so the last epoch counts"
TOO_FEW = (
    "the labels are too few to hold any out: each class must be shown both by those held out and by the others, "
    "so the last epoch counts"
)
NOT_PER_FOLD = "a network is not trained once per fold, so it was chosen with labels held out of training instead"
NO_FOLDS = "the labels are too few for folds, so probabilities are not calibrated"
NAMES_CLUSTERS = "nothing is chosen, but the labels of the validation part give the clusters their classes"


@dataclass(frozen=True)
class SelectionPlan:
    """The rule that a run follows.

    Attributes:
        names_clusters: clusters get their classes from the validation part.
        note: why it is not the rule of the settings.
    """

    asked: SelectionRule
    used: SelectionRule
    names_clusters: bool = False
    note: str = ""

    @property
    def reads_validation(self) -> bool:
        """Whether the annotations of the validation part are read."""
        return self.used == "validation" or self.names_clusters

    def result(self, prepared: Prepared, *, folds: int | None = None) -> Selection:
        """Return what the choice was made with.

        Args:
            folds: number of labels with an out-of-fold prediction; None if there were no folds.
        """
        if self.used == "cross_validation":
            if folds is None:
                return Selection(asked=self.asked, used="last", labels=0, note=NO_FOLDS)
            return Selection(asked=self.asked, used=self.used, labels=folds, note=self.note)
        labels = len(prepared.annotated("val")) if self.reads_validation else 0
        return Selection(asked=self.asked, used=self.used, labels=labels, note=self.note)

    def label_counts(self, config: RunConfig, prepared: Prepared) -> LabelCounts:
        """Return the number of images of each part, and of the annotations that the run reads."""
        counts = prepared.label_counts(validation=len(prepared.annotated("val")) if self.reads_validation else 0)
        return counts.without_labels() if config.method.unlabelled else counts


def selection_plan(config: RunConfig, prepared: Prepared) -> SelectionPlan:
    """Return the rule that a run with these labels can follow."""
    asked, validation = config.selection, bool(prepared.annotated("val"))
    if asked == "validation" or (asked == "cross_validation" and not config.method.fitted):
        note = NOT_PER_FOLD if asked == "cross_validation" else ""
        if validation:
            return SelectionPlan(asked, "validation", note=note)
        return SelectionPlan(asked, "last", note=TOO_FEW if prepared.counted else NONE_ANNOTATED)
    if config.method.unlabelled:
        if validation and not config.method.named:
            return SelectionPlan(asked, "last", names_clusters=True, note=NAMES_CLUSTERS)
        return SelectionPlan(asked, "last")
    return SelectionPlan(asked, asked)
