"""Settings of the method in methods/segmentation/token_clusters.py."""

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from s4mi.contract import ClusterConfig, FrozenEncoderConfig, Task, ViewSpec
from s4mi.settings.built import built


class TokenClustersConfig(ClusterConfig, FrozenEncoderConfig):
    """Settings of k-means on tokens; `weights` and `pretrained` stay, as the encoder is in no checkpoint."""

    summary: ClassVar[str] = "Segment without masks: k-means of a frozen encoder's tokens, in seconds"
    paper: ClassVar[str] = (
        "Hamilton et al. 2022, Unsupervised Semantic Segmentation by Distilling Feature Correspondences (baseline)"
    )
    default_views: ClassVar[ViewSpec] = ViewSpec(rotation=0.0, flip=False)

    name: Literal["token_clusters"] = "token_clusters"
    blocks: tuple[int, ...] = Field(
        (-1,),
        min_length=1,
        description="Blocks of a ViT or stages of a CNN whose tokens are clustered, counted from the end as -1, -2, …",
    )
    encoder_sizes: tuple[PositiveInt, ...] | None = Field(
        None,
        min_length=1,
        description="Sides in pixels to which images are resized for the encoder, one pass each, whose tokens are "
        "joined; none: data.image_size, rounded to a multiple of the encoder's patches",
    )
    centred: bool = Field(True, description="Subtract the mean over an image from its tokens")
    starts_tried: PositiveInt = Field(10, description="Number of starts of k-means, of which the best is kept")

    def build(self, task: Task) -> Any:
        return built(self, task, by="segmentation.token_clusters:TokenClusters")
