"""Named sets of defaults for the runs of a study, one file each. What a study file says lies over them."""

from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from s4mi.config.layers import Settings

ProfileName = Literal["paper", "small"]
PROFILES: tuple[ProfileName, ...] = get_args(ProfileName)


def by_name(given: Any) -> Any:
    """A list of names as a mapping from each to no settings; anything else as it is."""
    if isinstance(given, str):
        given = [given]
    return {str(name): {} for name in given} if isinstance(given, list | tuple) else given


ByNetwork = Annotated[dict[str, Settings], BeforeValidator(by_name)]
"""Networks with settings of the runs on each; in a file a list of their names will do."""


class Profile(BaseModel):
    """Defaults, from the most general to the most special; each lies over those before."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Settings = {}
    settings: Settings = Field({}, description="of every run")
    pretraining: Settings = Field({}, description="of runs that pre-train")
    methods: dict[str, Settings] = Field({}, description="of runs with this method")
    backbones: ByNetwork = Field(
        {}, description="of runs on this network; classification and its pre-training take each where none is named"
    )


@cache
def load_profile(name: ProfileName | None) -> Profile:
    """The profile of this name; None: one without any defaults."""
    if name is None:
        return Profile()
    return Profile.model_validate(yaml.safe_load(profile_text(name)))


def profile_text(name: ProfileName) -> str:
    """Its file, as it is."""
    return (files(__name__) / f"{name}.yaml").read_text(encoding="utf-8")
