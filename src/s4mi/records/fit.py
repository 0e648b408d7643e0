"""Record of a method that is fitted to stored features at once."""

from pydantic import Field

from s4mi.records.scores import Frozen


class EncodedFeatures(Frozen):
    """Features that a run was fitted to."""

    name: str = Field(description="encoder, or kind of features")
    key: str = Field(description="hash of the network, its weights and its outputs")
    computed: int = Field(
        description="images, in all views, whose features this run computed; the store had the others"
    )
    seconds: float = Field(description="time that computing them took")


class FitRecord(Frozen):
    """How a method was fitted to stored features."""

    features: list[EncodedFeatures]
    seconds: float = Field(description="time of the fit itself, choices included")
    notes: list[str] = Field(description="what a reader must know, such as a class that could not be fitted")
    chosen: dict[str, float | str] = Field(description="settings that were chosen inside the labels")
    scores: dict[str, float] = Field(description="scores of that choice on its folds")
