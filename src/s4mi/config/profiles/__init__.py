"""Profiles: named defaults for the runs of a study, one file each; settings in the study file override them."""

from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from s4mi.config.layers import Settings

ProfileName = Literal["paper", "small", "strong"]
PROFILES: tuple[ProfileName, ...] = get_args(ProfileName)


def _as_mapping(value: Any) -> Any:
    """Expand a list of names to a mapping from each name to empty settings; return other values unchanged."""
    if isinstance(value, str):
        value = [value]
    return {str(name): {} for name in value} if isinstance(value, list | tuple) else value


ByNetwork = Annotated[dict[str, Settings], BeforeValidator(_as_mapping)]
"""Mapping from network to settings of the runs with it; a file may also list just the names."""


class Profile(BaseModel):
    """Defaults, from general to specific; each overrides those before it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    data: Settings = Field({}, description="Defaults of the section data")
    settings: Settings = Field({}, description="Settings of all runs")
    pretraining: Settings = Field({}, description="Settings of all pre-training runs")
    methods: dict[str, Settings] = Field({}, description="Settings of the runs of each method")
    backbones: ByNetwork = Field(
        {},
        description="Settings of the runs with each network; classification and its pre-training run with all of these "
        "where no network is named",
    )


@cache
def load_profile(name: ProfileName | None) -> Profile:
    """Return the profile of this name; None: a profile without defaults."""
    if name is None:
        return Profile()
    return Profile.model_validate(yaml.safe_load(profile_text(name)))


def profile_text(name: ProfileName) -> str:
    """Return the contents of the profile's file."""
    return (files(__name__) / f"{name}.yaml").read_text(encoding="utf-8")
