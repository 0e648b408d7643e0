"""Named sets of defaults for the runs of a study, one file each. What a study file says lies over them."""

from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator

ProfileName = Literal["paper", "small"]
PROFILES: tuple[ProfileName, ...] = get_args(ProfileName)
Settings = dict[str, Any]


class Profile(BaseModel):
    """Defaults, from the most general to the most special; each lies over those before."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Settings = {}
    settings: Settings = Field({}, description="of every run")
    pretraining: Settings = Field({}, description="of runs that pre-train")
    methods: dict[str, Settings] = Field({}, description="of runs with this method")
    backbones: dict[str, Settings] = Field(
        {}, description="of runs on this network; classification and its pre-training take each where none is named"
    )

    @field_validator("backbones", mode="before")
    @classmethod
    def _listed(cls, given: Any) -> Any:
        return by_name(given)


def by_name(given: Any) -> Any:
    """A list of names as a mapping from each to no settings; anything else as it is."""
    if isinstance(given, str):
        given = [given]
    return {str(name): {} for name in given} if isinstance(given, list | tuple) else given


@cache
def load_profile(name: ProfileName | None) -> Profile:
    """The profile of this name; None: one without any defaults."""
    if name is None:
        return Profile()
    return Profile.model_validate(yaml.safe_load(profile_text(name)))


def profile_text(name: ProfileName) -> str:
    """Its file, as it is."""
    return (files(__name__) / f"{name}.yaml").read_text(encoding="utf-8")
