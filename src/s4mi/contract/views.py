"""How training images are varied, as data: a recipe of views, drawn and applied by `s4mi.data.loading.augment`."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, field_validator


class ViewSpec(BaseModel):
    """How training images are varied: a view is data, one matrix for geometry and one for colour."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rotation: float = Field(180.0, ge=0, le=180, description="largest angle in degrees; uniform in both directions")
    flip: bool = Field(True, description="flip left-right and up-down, each with probability 1/2")
    scale: tuple[float, float] = Field(
        (1.0, 1.0), description="least and greatest area of the crop, share of the image"
    )
    translation: float = Field(0.0, ge=0, le=1, description="largest shift, share of the image's side")
    brightness: float = Field(0.0, ge=0, lt=1, description="factor uniform in [1 - x, 1 + x]")
    contrast: float = Field(0.0, ge=0, lt=1, description="factor uniform in [1 - x, 1 + x]")
    saturation: float = Field(0.0, ge=0, lt=1, description="factor uniform in [1 - x, 1 + x]")
    hue: float = Field(0.0, ge=0, le=0.5, description="largest turn of the hue, share of the full circle")
    jitter: float = Field(1.0, ge=0, le=1, description="probability that brightness to hue are varied at all")
    grey: float = Field(0.0, ge=0, le=1, description="probability that the colour is taken out")
    blur: float = Field(0.0, ge=0, le=1, description="probability of a Gaussian blur")
    blur_sigma: tuple[float, float] = Field((1.0, 1.0), description="least and greatest sigma, pixels at 224")
    solarise: float = Field(0.0, ge=0, le=1, description="probability that what is brighter than 1/2 is inverted")
    aspect: tuple[float, float] = Field((1.0, 1.0), description="least and greatest width / height of the crop")

    @field_validator("scale")
    @classmethod
    def _ordered(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not 0 < scale[0] <= scale[1] <= 1:
            raise ValueError(f"{list(scale)} is no range of areas; give two numbers with 0 < least <= greatest <= 1")
        return scale

    @field_validator("blur_sigma", "aspect")
    @classmethod
    def _positive_and_ordered(cls, ends: tuple[float, float]) -> tuple[float, float]:
        if not 0 < ends[0] <= ends[1]:
            raise ValueError(f"{list(ends)} is no range; give two numbers with 0 < least <= greatest")
        return ends


@dataclass(frozen=True)
class MultiCrop:
    """The views of each training image that make up a batch (Caron et al. 2020).

    Attributes:
        images: how each of the views at the network's own size is drawn.
        local: how each of the smaller crops is drawn. local_size: their side, in pixels.
    """

    images: tuple[ViewSpec, ...]
    local: tuple[ViewSpec, ...] = ()
    local_size: int = 0
