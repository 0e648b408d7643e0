"""Results of a run on an external test set, beside those on its own test part."""

from pathlib import PurePosixPath

from pydantic import Field

from s4mi.records.reliability import Reliability
from s4mi.records.scores import Frozen, Scores

EXTERNAL_FOLDER = "external"
"""Folder of a run with the predictions of each external test set."""


class ExternalTest(Frozen):
    """Scores on images of another data set, whose classes are matched by name."""

    dataset: str = Field(description="title of the external data set")
    synthetic: bool
    images: int = Field(description="images scored")
    patients: int | None = Field(None, description="patients of the scored images; None if no image has a group")
    classes: list[str] = Field(description="classes of both data sets, in the order of the run, which are scored")
    missing: list[str] = Field(
        default_factory=list, description="classes of the run that the external data set does not have"
    )
    additional: dict[str, int] = Field(
        default_factory=dict,
        description="classes of the external data set that the run does not know, with the number of their images (0 "
        "for masks): images of one class are left out, pixels of a mask ignored, labels of a multi-label task not "
        "scored",
    )
    leaks: int = Field(0, description="images left out as they, or near-duplicates, are among the run's own images")
    scores: Scores = Field(discriminator="kind")
    calibration: Reliability | None = Field(
        None, description="calibration without and with the run's own temperature, which is 1 if it has none"
    )
    data_hash: str = Field(description="hash of the scored rows, their annotations and the matched classes")
    seconds: float
    notes: list[str] = Field(default_factory=list, description="what a reader must know, one sentence each")

    def drop(self, internal: Scores | None, metric: str) -> float | None:
        """Internal test score minus external score; None where one of the two is undefined."""
        here, there = getattr(internal, metric, None), getattr(self.scores, metric, None)
        return None if here is None or there is None else float(here) - float(there)


def external_predictions(name: str) -> PurePosixPath:
    """File with the prediction of each external image of a classification run, relative to the run folder."""
    return PurePosixPath(EXTERNAL_FOLDER, f"{name}_predictions.csv")


def external_images(name: str) -> PurePosixPath:
    """File with the scores of each external image of a segmentation run, relative to the run folder."""
    return PurePosixPath(EXTERNAL_FOLDER, f"{name}_images.csv")
