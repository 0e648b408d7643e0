"""Which labels a run counts as its own, and what it chooses with them."""

from typing import Any, Final

from pydantic import Field

from s4mi.config.sections import Section
from s4mi.contract import MethodConfig, SemiSupervisedConfig, TuningConfig
from s4mi.records import SelectionRule

HOLD_OUT: Final = 0.2
"""Default share of the labels that are held out to choose with."""


class LabelsConfig(Section):
    """Which labels count as those of a run."""

    count_validation: bool = Field(
        False,
        description="Count every label that the run reads: label_fraction is then a share of all images outside the "
        "test part, and labels for choosing the epoch are taken from these. false: the paper's way, which counts "
        "training images only and reads the whole validation part in addition",
    )
    hold_out: float = Field(
        HOLD_OUT,
        gt=0,
        lt=1,
        description="Share of the counted labels that are held out of training to choose the epoch with; not "
        "used where folds choose, or nothing does (selection)",
    )


def holds_out(selection: SelectionRule, method: MethodConfig) -> bool:
    """Whether a run chooses with labels that training does not see: a validation part, or some of the counted ones."""
    return selection == "validation" or (selection == "cross_validation" and not method.fitted)


def without_newer_defaults(settings: dict[str, Any], method: MethodConfig) -> None:
    """Drop what an older version did not know from the settings of a run, where it changes nothing, in place.

    So runs of older versions keep their hash. Pre-training chooses nothing, and only its images depend on what counts.
    """
    labels, selection = LabelsConfig.model_validate(settings["labels"]), settings["selection"]
    if method.pretrains or (selection == "validation" and not labels.count_validation):
        del settings["selection"]
    if not labels.count_validation:
        del settings["labels"]
    elif method.pretrains or not holds_out(selection, method):
        settings["labels"].pop("hold_out")
    if settings["split"]["test_seed"] is None:
        del settings["split"]["test_seed"]
    if isinstance(method, SemiSupervisedConfig) and method.tuning == "full" and not method.head_first:
        for name in TuningConfig.model_fields.keys() - MethodConfig.model_fields.keys():
            del settings["method"][name]
