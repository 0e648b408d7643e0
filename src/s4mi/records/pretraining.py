"""What is known of pre-training without labels: the health of its features, and a map of them."""

from typing import Literal

from pydantic import Field

from s4mi.records.scores import Frozen, Part

LEAST_STD = 0.02
LEAST_RANK = 1.5
MOST_ENTROPY = 0.995
"""Pre-training has collapsed beyond these. From random weights, features of dermoscopic images already have a standard
deviation of 0.04 to 0.4 and an effective rank of 8 or more. A teacher's entropy near 1 is one answer for all images."""


class Pretraining(Frozen):
    """The pre-training run that a run started from."""

    method: str
    config_hash: str
    encoder: str = Field(description="backbone whose weights were taken")
    weights_hash: str = Field(description="content hash of those weights")
    epochs: int
    images: int = Field(description="training images it learnt from")
    seconds: float = Field(description="what it cost; other runs may share it")
    spoilt: dict[Part, int] = Field(
        default_factory=dict, description="validation and test images of the run that it learnt from, which was allowed"
    )


class FeatureSpread(Frozen):
    """How different the features of different images are."""

    std: float = Field(
        description="standard deviation of unit-length features, mean over dimensions, times sqrt(D): 1 is the most, "
        "0 is collapse"
    )
    effective_rank: float = Field(description="exp of the entropy of the singular values' shares; 1 is collapse")
    dimensions: int

    @property
    def collapsed(self) -> bool:
        """Whether these features have stopped telling images apart."""
        return self.std < LEAST_STD or self.effective_rank < LEAST_RANK


class FeatureHealth(Frozen):
    """What the encoders of a pre-training run look like from outside, on training images without augmentation.

    `features` has one entry an encoder, and one for each other space that the loss works in, such as CASS's logits.
    """

    features: dict[str, FeatureSpread]
    signals: dict[str, float] = Field(
        default_factory=dict, description="of the method: DINO's teacher_entropy, in [0, 1]"
    )
    knn: dict[str, float] = Field(
        default_factory=dict,
        description="macro F1 on validation of the nearest labelled training images, an encoder each",
    )

    @property
    def collapsed(self) -> tuple[str, ...]:
        """What has collapsed: names of encoders and of other spaces, or `teacher`."""
        uniform = self.signals.get("teacher_entropy", 0.0) > MOST_ENTROPY
        return (*(name for name, features in self.features.items() if features.collapsed), *["teacher"] * uniform)


class MapPoint(Frozen):
    """An image on the two-dimensional map of an encoder's features."""

    id: str
    part: Part | None = Field(description="None where it is in no part of a split")
    labels: list[str] | None = Field(description="its classes; None where it is not annotated")
    x: float
    y: float


class FeatureMap(Frozen):
    """Features of images, projected to a plane for a person to look at; `feature_map.json` of a pre-training run."""

    encoder: str
    projection: Literal["pca", "umap"]
    explained: float | None = Field(description="share of the features' variance that the plane shows; of pca")
    points: list[MapPoint]
