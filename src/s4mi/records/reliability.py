"""Calibration error of a run on some of its images."""

from pydantic import AliasChoices, Field

from s4mi.records.scores import Frozen


class Reliability(Frozen):
    """Calibration error on one part of the split, before and after temperature scaling."""

    predictions: int = Field(
        validation_alias=AliasChoices("predictions", "answers"),
        description="number of predictions: images, images × labels, or sampled pixels",
    )
    ece: float = Field(description="expected calibration error, 15 equal bins")
    ece_calibrated: float = Field(description="expected calibration error after temperature scaling")
    nll: float = Field(description="mean negative log-likelihood, nats")
    nll_calibrated: float = Field(description="mean negative log-likelihood after temperature scaling, nats")
