"""Which labels a run counts as its own, and what it chooses with them."""

from typing import Any, Final

from pydantic import Field

from s4mi.config.sections import Section
from s4mi.records import SelectionRule

HOLD_OUT: Final = 0.2
"""Default share of the labels that are held out to choose with."""


class LabelsConfig(Section):
    """Which labels count as those of a run."""

    count_validation: bool = Field(
        False,
        description="Count every label that the run reads: label_fraction is then a share of all images outside the "
        "test part, and what it is chosen with comes out of these. false: the paper's way, which counts training "
        "images only and reads the whole validation part besides",
    )
    hold_out: float = Field(
        HOLD_OUT,
        gt=0,
        lt=1,
        description="Share of the counted labels that are held out of training to choose with, under selection: "
        "validation",
    )


def reads_validation_part(labels: LabelsConfig, selection: SelectionRule) -> bool:
    """Whether a run chooses with a whole validation part whose labels do not count, the paper's way."""
    return selection == "validation" and not labels.count_validation


def without_newer_defaults(settings: dict[str, Any], *, pretrains: bool) -> None:
    """Drop what an older version did not know from the settings of a run, where it changes nothing, in place.

    So runs of older versions keep their hash. Pre-training chooses nothing, and only its images depend on what counts.
    """
    labels = LabelsConfig.model_validate(settings["labels"])
    if pretrains or reads_validation_part(labels, settings["selection"]):
        del settings["selection"]
    if not labels.count_validation:
        del settings["labels"]
    elif pretrains or settings["selection"] != "validation":
        settings["labels"].pop("hold_out")
    if settings["split"]["test_seed"] is None:
        del settings["split"]["test_seed"]
