"""Every setting has a description that can be understood on its own."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from s4mi.config import METHOD_CONFIGS, RunConfig, StudyConfig
from s4mi.config.profiles import Profile
from s4mi.contract import MethodConfig


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Models within an annotation, its containers and unions, and within their fields."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models_in(field.annotation)
    for part in get_args(annotation):
        yield from models_in(part)


MODELS = {model for root in (RunConfig, StudyConfig, Profile, *METHOD_CONFIGS) for model in models_in(root)}
SETTINGS = sorted(
    (f"{model.__name__}.{name}", field.description or "")
    for model in MODELS
    for name, field in model.model_fields.items()
    if not (issubclass(model, MethodConfig) and name == "name")  # selects the method, which has a summary
)


def test_all_sections_are_reached() -> None:
    names = {name for name, _ in SETTINGS}
    assert {"OptimConfig.lr", "ViewSpec.hue", "Arm.pretraining", "StudyDataset.split", "DinoConfig.prototypes"} <= names


@pytest.mark.parametrize(("name", "description"), SETTINGS, ids=[name for name, _ in SETTINGS])
def test_a_setting_has_a_description_of_its_own(name: str, description: str) -> None:
    assert description.strip(), f"{name} has no description"
    assert not description.lower().startswith("of "), f"{name}: {description!r} needs the name to be understood"
