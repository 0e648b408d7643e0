"""Techniques of a study: its arms, and the pre-training that they start from."""

from typing import Any

from pydantic import Field, field_validator, model_validator

from s4mi.config.layers import Settings
from s4mi.config.profiles import ByNetwork
from s4mi.config.sections import Section
from s4mi.data.splits.label_amount import LabelAmount
from s4mi.errors import S4miError

Fractions = tuple[float | str, ...]


class Technique(Section):
    """Base of arms and pre-training: in the file, settings of the runs stand beside the keys defined here."""

    settings: Settings = Field({}, description="Settings of the runs of the technique, as in a run file")
    backbones: ByNetwork = Field(
        {},
        description="Networks to run the technique with: a list, or a mapping from network to settings of the runs "
        "with it (default: method.backbone)",
    )
    datasets: tuple[str, ...] | None = Field(
        None, min_length=1, description="Names of the data sets to run the technique on (default: all)"
    )

    @model_validator(mode="before")
    @classmethod
    def _collect_settings(cls, contents: Any) -> Any:
        if isinstance(contents, str):
            contents = {"method": contents}
        if not isinstance(contents, dict) or "settings" in contents:
            return contents
        fields = {key: value for key, value in contents.items() if key in cls.model_fields}
        return {**fields, "settings": {key: value for key, value in contents.items() if key not in fields}}

    @field_validator("datasets", mode="before")
    @classmethod
    def _as_tuple(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class PretrainingArm(Technique):
    """Pre-training without labels that arms start from."""


class Arm(Technique):
    """One technique: a row of the results table, or one row per network if it has several."""

    name: str = Field("", description="Name of the arm and of its run folders (default: technique and network)")
    pretraining: str | None = Field(
        None, description="Name of the study's pre-training that the arm starts from (default: no pre-training)"
    )
    label_fractions: Fractions | None = Field(
        None, min_length=1, description="Label fractions of this arm (default: those of the study)"
    )
    seeds: tuple[int, ...] | None = Field(
        None, min_length=1, description="Seeds of this arm, among those of the study (default: all of them)"
    )

    @field_validator("label_fractions")
    @classmethod
    def _unique_fractions(cls, fractions: Fractions | None) -> Fractions | None:
        return None if fractions is None else unique(fractions)


def unique(amounts: Fractions) -> Fractions:
    """Return the amounts unchanged if they are valid and all different."""
    try:
        parsed = [LabelAmount.parse(amount) for amount in amounts]
    except S4miError as error:
        raise ValueError(str(error)) from error
    if len(set(parsed)) < len(parsed):
        raise ValueError("lists an amount twice; list each once")
    return amounts
