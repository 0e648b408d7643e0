"""Records of pre-training without labels: feature health and feature maps."""

from typing import Literal

from pydantic import AliasChoices, Field

from s4mi.records.scores import Frozen, Part

LEAST_STD = 0.02
LEAST_RANK = 1.5
MOST_ENTROPY = 0.995
"""Limits beyond which pre-training counts as collapsed. Even with random weights, features of dermoscopic images have a
standard deviation of 0.04 to 0.4 and an effective rank of 8 or more. A teacher entropy near 1 means the same uniform
output for all images."""


class Pretraining(Frozen):
    """The pre-training run that a run started from."""

    method: str
    config_hash: str
    encoder: str = Field(description="backbone whose weights were used")
    weights_hash: str = Field(description="content hash of the weights")
    epochs: int
    images: int = Field(description="number of training images")
    seconds: float = Field(description="training time in s; several runs may share the pre-training")
    contaminated: dict[Part, int] = Field(
        default_factory=dict,
        validation_alias=AliasChoices("contaminated", "spoilt"),
        description="number of validation and test images of the run that pre-training was trained on, if allowed",
    )


class FeatureSpread(Frozen):
    """Spread of the features over images."""

    std: float = Field(
        description="standard deviation of unit-length features, mean over dimensions, times sqrt(D): at most 1, 0 if "
        "collapsed"
    )
    effective_rank: float = Field(description="exp of the entropy of the normalised singular values; 1 if collapsed")
    dimensions: int

    @property
    def collapsed(self) -> bool:
        """Whether the features no longer distinguish images."""
        return self.std < LEAST_STD or self.effective_rank < LEAST_RANK


class FeatureHealth(Frozen):
    """Health of the encoders of a pre-training run, measured on training images without augmentation.

    `features` has an entry per encoder, and one per further space that the loss compares, such as CASS's logits.
    """

    features: dict[str, FeatureSpread]
    signals: dict[str, float] = Field(
        default_factory=dict, description="metrics of the method, e.g. teacher_entropy of DINO, in [0, 1]"
    )
    knn: dict[str, float] = Field(
        default_factory=dict,
        description="macro F1 on validation of a k-NN classifier on labelled training images, by encoder",
    )

    @property
    def collapsed(self) -> tuple[str, ...]:
        """Names of the encoders and other spaces that have collapsed, or `teacher`."""
        uniform = self.signals.get("teacher_entropy", 0.0) > MOST_ENTROPY
        return (*(name for name, features in self.features.items() if features.collapsed), *["teacher"] * uniform)


class MapPoint(Frozen):
    """An image on a feature map."""

    id: str
    part: Part | None = Field(description="part of the split, or None")
    labels: list[str] | None = Field(description="annotated classes; None if not annotated")
    x: float
    y: float


class FeatureMap(Frozen):
    """Two-dimensional projection of an encoder's features; `feature_map.json` of a pre-training run."""

    encoder: str
    projection: Literal["pca", "umap"]
    explained: float | None = Field(description="explained share of the variance; PCA only")
    points: list[MapPoint]
