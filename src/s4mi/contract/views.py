"""Augmentation of training images as data: the distribution of views, sampled by `s4mi.data.loading.augment`."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, field_validator


class ViewSpec(BaseModel):
    """Distribution of views of an image; a view is one affine matrix and one colour matrix."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    rotation: float = Field(180.0, ge=0, le=180, description="Largest rotation in degrees, in both directions")
    flip: bool = Field(True, description="Flip left-right and up-down, each with probability 1/2")
    scale: tuple[float, float] = Field(
        (1.0, 1.0), description="Minimum and maximum area of the crop as a share of the image"
    )
    translation: float = Field(
        0.0, ge=0, le=1, description="Largest shift in each direction as a share of the image side"
    )
    brightness: float = Field(0.0, ge=0, lt=1, description="Strength x of brightness jitter: factor in [1 - x, 1 + x]")
    contrast: float = Field(0.0, ge=0, lt=1, description="Strength x of contrast jitter: factor in [1 - x, 1 + x]")
    saturation: float = Field(0.0, ge=0, lt=1, description="Strength x of saturation jitter: factor in [1 - x, 1 + x]")
    hue: float = Field(0.0, ge=0, le=0.5, description="Largest shift of the hue as a share of the full circle")
    jitter: float = Field(
        1.0, ge=0, le=1, description="Probability of jittering brightness, contrast, saturation and hue"
    )
    grey: float = Field(0.0, ge=0, le=1, description="Probability of converting to greyscale")
    blur: float = Field(0.0, ge=0, le=1, description="Probability of a Gaussian blur")
    blur_sigma: tuple[float, float] = Field(
        (1.0, 1.0), description="Minimum and maximum sigma of the blur in pixels, for a side of 224 pixels"
    )
    solarise: float = Field(0.0, ge=0, le=1, description="Probability of solarising: inverting values above 1/2")
    aspect: tuple[float, float] = Field(
        (1.0, 1.0), description="Minimum and maximum aspect ratio of the crop, width / height"
    )

    @field_validator("scale")
    @classmethod
    def _valid_areas(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not 0 < scale[0] <= scale[1] <= 1:
            raise ValueError("must be two numbers with 0 < least <= greatest <= 1")
        return scale

    @field_validator("blur_sigma", "aspect")
    @classmethod
    def _valid_range(cls, ends: tuple[float, float]) -> tuple[float, float]:
        if not 0 < ends[0] <= ends[1]:
            raise ValueError("must be two numbers with 0 < least <= greatest")
        return ends

    @property
    def geometry(self) -> "ViewSpec":
        """The same distribution without any change of colour."""
        kept = ("rotation", "flip", "scale", "translation", "aspect")
        return ViewSpec(**{name: getattr(self, name) for name in kept})


PAPER_SEGMENTATION_VIEWS = ViewSpec()
"""Views of training images and masks in S4MI's paper: any rotation, and flips."""
STRONG_SEGMENTATION_VIEWS = ViewSpec(scale=(0.6, 1.0), translation=0.05, brightness=0.2, contrast=0.2, saturation=0.2)
"""Default views of the techniques that learn from masks; measured in docs/results.md."""
CLASSIFICATION_VIEWS = ViewSpec(
    translation=0.05, scale=(0.8, 1.0), brightness=0.2, contrast=0.2, saturation=0.2, hue=0.02
)
"""Views of training images for classification, in both recipes: stronger ones were not better (docs/results.md)."""


@dataclass(frozen=True)
class MultiCrop:
    """Views of each training image in a batch (multi-crop, Caron et al. 2020).

    Attributes:
        images: distribution of each view at the size of the network input.
        local: distribution of each smaller crop.
        local_size: side of the smaller crops in pixels.
    """

    images: tuple[ViewSpec, ...]
    local: tuple[ViewSpec, ...] = ()
    local_size: int = 0
