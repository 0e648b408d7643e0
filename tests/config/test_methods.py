"""Methods of this package, registered ones and those of installed packages are found by name."""

from importlib.metadata import EntryPoint
from typing import ClassVar, Literal

import pytest

from s4mi.config import METHOD_CONFIGS, MethodRegistry, make_run_config, setting_names
from s4mi.config import methods as module
from s4mi.config.methods import check_method
from s4mi.config.run import RunConfig
from s4mi.contract import MethodConfig
from s4mi.errors import S4miError
from s4mi.settings.classification.finetune import FinetuneConfig


class PoliteConfig(FinetuneConfig):
    """A method of somebody else's: fine-tuning with one more setting."""

    summary: ClassVar[str] = "fine-tune politely"
    paper: ClassVar[str] = "none"

    name: Literal["polite"] = "polite"  # type: ignore[assignment]
    manners: int = 3


class UnnamedConfig(FinetuneConfig):
    name: str = "unnamed"  # type: ignore[assignment]


class ShoutingConfig(FinetuneConfig):
    name: Literal["SHOUT!"] = "SHOUT!"  # type: ignore[assignment]


class BareConfig(MethodConfig):
    name: Literal["bare"] = "bare"


class TakenConfig(FinetuneConfig):
    name: Literal["dino"] = "dino"  # type: ignore[assignment]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> MethodRegistry:
    """A registry of our methods alone, in place of the process's own."""
    fresh = MethodRegistry()
    fresh._entry_points = {}
    for place in ("s4mi.config.methods", "s4mi.config.run", "s4mi.config.explain", "s4mi.config.study_plan"):
        monkeypatch.setattr(f"{place}.METHODS", fresh)
    return fresh


def config(**method: object) -> RunConfig:
    return make_run_config({"data": {"path": "images"}, "method": method}, origin="run.yaml")


def test_a_registered_method_is_configured_saved_and_read_like_ours(registry: MethodRegistry) -> None:
    assert module.register(PoliteConfig) is PoliteConfig
    made = config(name="polite", manners=5, backbone="tiny_resnet")
    assert made.method == PoliteConfig(manners=5, backbone="tiny_resnet")
    dumped = made.model_dump(mode="json")
    assert dumped["method"]["manners"] == 5
    assert make_run_config(dumped, origin="again") == made
    assert "method.manners" in setting_names(RunConfig)
    assert registry.find("polite").origin == __name__
    assert len(registry) == len(METHOD_CONFIGS) + 1


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"name": "polit"}, "method 'polit' is unknown; did you mean 'polite'?"),
        ({"name": "polite", "maners": 1}, "method.maners"),
        ({"name": "polite", "manners": "many"}, "method.manners: Input should be a valid integer"),
        ({"name": "polite", "class_weights": [1, "x"]}, "method.class_weights"),
        ({"manners": 1}, "method.name is missing"),
        ({"name": "polite", "weights": "none", "views": {"rotation": 999}}, "method.views.rotation"),
    ],
)
def test_its_mistakes_are_one_line_with_the_setting(
    registry: MethodRegistry, method: dict[str, object], message: str
) -> None:
    registry.register(PoliteConfig)
    with pytest.raises(S4miError, match=r"^run\.yaml: ") as raised:
        config(**method)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_class_defined_again_replaces_itself_and_no_other(registry: MethodRegistry) -> None:
    registry.register(PoliteConfig)
    again = type("PoliteConfig", (PoliteConfig,), {"__module__": __name__, "__qualname__": "PoliteConfig"})
    registry.register(again)
    assert registry["polite"] is again
    with pytest.raises(S4miError, match=r"method 'dino' of .*: the name is taken by s4mi; rename it"):
        registry.register(TakenConfig)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "3 is not a method: derive a settings class"),
        (UnnamedConfig, r"UnnamedConfig: name is missing; add: name: Literal\["),
        (ShoutingConfig, "name 'SHOUT!' must be lower-case letters"),
        (BareConfig, "BareConfig: summary, paper, tasks, default_views, backbone_name, build missing"),
    ],
)
def test_what_is_incomplete_is_refused_with_what_it_lacks(
    registry: MethodRegistry, given: type[MethodConfig], message: str
) -> None:
    with pytest.raises(S4miError, match=message):
        registry.register(given)


def test_every_method_of_ours_is_complete() -> None:
    assert [check_method(one) for one in METHOD_CONFIGS] == list(MethodRegistry())[: len(METHOD_CONFIGS)]


def installed(registry: MethodRegistry, **points: str) -> None:
    registry._entry_points = {
        name: EntryPoint(name=name, value=value, group=module.GROUP) for name, value in points.items()
    }


def test_entry_points_are_imported_when_they_are_asked_for(registry: MethodRegistry) -> None:
    installed(registry, polite=f"{__name__}:PoliteConfig", absent="there_is_no_such_package:Config")
    assert "absent" in registry
    assert config(name="polite").method == PoliteConfig()  # whatever else is broken
    reason = r"method 'absent' of there_is_no_such_package .*: cannot be imported: No module"
    with pytest.raises(S4miError, match=reason):
        config(name="absent")
    assert "polite" in registry.working()
    assert "absent" not in registry.working()
    assert [*registry.broken] == ["absent"]


def test_an_entry_point_under_another_name_or_of_something_else_is_said(registry: MethodRegistry) -> None:
    installed(registry, rude=f"{__name__}:PoliteConfig", number=f"{__name__}:__name__")
    with pytest.raises(S4miError, match="its settings call it 'polite'; use that name for the entry point"):
        registry["rude"]
    with pytest.raises(S4miError, match="is not a method"):
        registry["number"]


def test_our_methods_cannot_be_replaced_by_an_installed_package(registry: MethodRegistry) -> None:
    installed(registry, dino=f"{__name__}:TakenConfig")
    assert registry["dino"] in METHOD_CONFIGS
    assert list(registry).count("dino") == 1
