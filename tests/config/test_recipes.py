"""`recipe: paper` has the defaults of the paper to the last digit, and `strong` the same views for every arm."""

from typing import Any

import pytest

from s4mi.config import make_run_config
from s4mi.config.methods import METHODS
from s4mi.config.profiles import load_profile
from s4mi.config.run import differences
from s4mi.contract import STRONG_SEGMENTATION_VIEWS, ViewSpec

WITH_RECIPE = [name for name, config in METHODS.items() if "recipe" in config.model_fields]
FROM_MASKS = [name for name in WITH_RECIPE if METHODS[name].default_views == STRONG_SEGMENTATION_VIEWS]
NEUTRAL = {
    "rotation": 180.0, "flip": True, "scale": (1.0, 1.0), "translation": 0.0, "brightness": 0.0, "contrast": 0.0,
    "saturation": 0.0, "hue": 0.0, "jitter": 1.0, "grey": 0.0, "blur": 0.0, "blur_sigma": (1.0, 1.0), "solarise": 0.0,
    "aspect": (1.0, 1.0),
}  # fmt: skip
"""Views of every technique that learns from masks before there were recipes."""
CLASSES = {"scale": (0.8, 1.0), "translation": 0.05, "brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.02}
"""How those of fine-tuning differed from them."""


def parsed(name: str, **settings: Any) -> Any:
    return make_run_config({"data": {"path": "x"}, "method": {"name": name, **settings}}, origin="test").method


def test_every_technique_that_learns_from_labels_has_both_recipes() -> None:
    networks = {name for name, config in METHODS.items() if not config.pretrains and not config.fitted}
    assert {name for name in networks if METHODS[name].__module__.startswith("s4mi.")} == set(WITH_RECIPE)
    own = {"cross_pseudo_supervision", "mean_teacher", "co_training", "adversarial", "self_training", "weak_to_strong"}
    assert {"dedl", "cross_teaching", *own} <= set(FROM_MASKS)


@pytest.mark.parametrize("name", FROM_MASKS)
def test_under_the_paper_s_recipe_masks_are_only_turned_and_flipped(name: str) -> None:
    assert parsed(name, recipe="paper").views.model_dump() == NEUTRAL
    assert parsed(name).views == STRONG_SEGMENTATION_VIEWS == parsed(name, recipe="strong").views


def test_under_the_paper_s_recipe_classes_have_the_views_of_before() -> None:
    assert parsed("finetune", recipe="paper").views.model_dump() == {**NEUTRAL, **CLASSES}


def test_the_paper_s_recipe_of_cross_teaching_and_picie_is_as_before() -> None:
    teaching = parsed("cross_teaching", recipe="paper")
    assert (teaching.unlabelled_weight, teaching.ramp_up, teaching.labelled_share) == (1.0, 0.0, 0.5)
    for name in ("picie", "mdc"):
        clusters = parsed(name, recipe="paper")
        assert not clusters.centred
        assert clusters.views == METHODS[name].default_views.model_copy(
            update={"hue": 0.1, "grey": 0.2, "blur": 0.5, "blur_sigma": (0.1, 2.0)}
        )


@pytest.mark.parametrize("recipe", ["strong", "paper"])
@pytest.mark.parametrize("name", WITH_RECIPE)
def test_a_view_that_is_set_overrides_the_recipe_and_leaves_the_others(name: str, recipe: str) -> None:
    plain, changed = parsed(name, recipe=recipe), parsed(name, recipe=recipe, views={"brightness": 0.7})
    assert changed.views == plain.views.model_copy(update={"brightness": 0.7})
    assert parsed(name, recipe=recipe, views=ViewSpec(hue=0.3)).views == ViewSpec(hue=0.3)


@pytest.mark.parametrize("name", WITH_RECIPE)
def test_settings_of_an_older_run_keep_its_views(name: str) -> None:
    """Older runs have all settings but the recipe, or call it s4mi, and go on with the paper's views."""
    now = make_run_config({"data": {"path": "x"}, "method": {"name": name, "recipe": "paper"}}, origin="now")
    saved = now.model_dump(mode="json")
    del saved["steps"]
    for recipe in ({}, {"recipe": "s4mi"}):
        method = {key: value for key, value in saved["method"].items() if key != "recipe"} | recipe
        older = make_run_config({**saved, "method": method}, origin="older")
        assert older.method.model_dump(exclude={"recipe"}) == now.method.model_dump(exclude={"recipe"})
        assert older.hash == now.hash
        assert differences(older, now) == []


def test_the_profile_of_the_paper_has_its_recipe_everywhere() -> None:
    profile = load_profile("paper").methods
    assert {"finetune", "dedl", "cross_teaching", "picie"} <= set(profile)
    for name in profile:
        assert name not in WITH_RECIPE or profile[name]["method"]["recipe"] == "paper"
