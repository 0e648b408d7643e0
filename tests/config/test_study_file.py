"""Several data sets, networks and profiles in a study file, and its budget."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from s4mi.config import PlannedRun, differences, load_study, make_run_config, make_study, plan_study, unneeded
from s4mi.config.duration import parse_duration
from s4mi.config.methods import METHODS
from s4mi.config.profiles import PROFILES, load_profile, profile_text
from s4mi.errors import S4miError

TWO: dict[str, Any] = {
    "datasets": {"lesions": {"path": "/lesions", "image_size": 64}, "cells": {"path": "/cells", "tile": 480}},
    "label_fractions": [10, 100],
    "seeds": [0, 1],
    "pretraining": {"dino": {"method": "dino", "epochs": 7}},
    "arms": ["finetune", {"method": "finetune", "pretraining": "dino"}, {"method": "dedl", "datasets": ["cells"]}],
}
STUDIES = Path(__file__).parents[2] / "studies"


def plan(contents: dict[str, Any], **changes: Any) -> dict[str, PlannedRun]:
    study = make_study({**contents, **changes}, origin="study.yaml")
    return {run.name: run for run in plan_study(study, Path("/out"))}


def error_message(contents: dict[str, Any], **changes: Any) -> str:
    with pytest.raises(S4miError) as error:
        make_study({**contents, **changes}, origin="study.yaml")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_each_data_set_has_the_same_runs_as_alone() -> None:
    together = plan(TWO)
    assert Counter(name.split("/")[0] for name in together) == {"lesions": 2 * 5, "cells": 2 * 7}
    for name, data in TWO["datasets"].items():
        arms = [arm for arm in TWO["arms"] if isinstance(arm, str) or name in arm.get("datasets", [name])]
        arms = [arm if isinstance(arm, str) else {k: v for k, v in arm.items() if k != "datasets"} for arm in arms]
        alone = plan({**TWO, "datasets": {}}, data=data, arms=arms)
        here = {full.removeprefix(f"{name}/"): run for full, run in together.items() if full.startswith(f"{name}/")}
        assert list(here) == list(alone)
        for run in alone:
            assert differences(here[run].config, alone[run].config) == []
            assert here[run].needs == (alone[run].needs and f"{name}/{alone[run].needs}")


def test_a_seed_is_complete_on_all_data_sets_before_the_next() -> None:
    seeds = [run.config.seed for run in plan(TWO).values()]
    assert seeds == sorted(seeds)


def test_a_data_set_may_have_its_own_split_and_settings() -> None:
    own = {"path": "/cells", "split": {"kind": "kfold", "fold": 2}, "settings": {"epochs": 3, "select": "f1_micro"}}
    runs = plan(TWO, datasets={**TWO["datasets"], "cells": own}, settings={"epochs": 9}, arms=["finetune"])
    for name, run in runs.items():
        cells = name.startswith("cells/")
        if not run.config.method.pretrains:
            assert run.config.epochs == (3 if cells else 9)
        assert run.config.split.kind == ("kfold" if cells else "auto")
        assert run.config.select == ("f1_micro" if cells else None)


def test_pre_training_runs_only_on_data_sets_where_an_arm_starts_from_it() -> None:
    arms = ["finetune", {"method": "finetune", "pretraining": "dino", "datasets": "cells"}]
    assert {name.split("/")[0] for name in plan(TWO, arms=arms) if "/pretraining/" in name} == {"cells"}
    message = error_message(TWO, pretraining={"dino": {"method": "dino", "datasets": "lesions"}}, arms=arms)
    assert "pretraining 'dino' does not run on data set 'cells'; set the same datasets for both" in message


def test_pre_training_that_no_arm_starts_from_is_skipped_and_reported() -> None:
    arms = ["finetune", {"method": "finetune", "pretraining": "dino"}]
    contents = {**TWO, "pretraining": {"dino": "dino", "cass": "cass"}, "arms": arms}
    runs = plan(contents)
    assert {name.split("/")[2].split("-")[0] for name in runs if "/pretraining/" in name} == {"dino"}
    assert unneeded(make_study(contents, origin="study.yaml")) == ["cass"]
    assert [name for name in plan(contents, arms=["finetune"]) if "/pretraining/" in name] == []


def test_pre_training_set_to_null_is_skipped_with_the_arms_that_start_from_it() -> None:
    starts = {"dino": "dino", "cass": "cass"}
    arms = ["finetune", *({"method": "finetune", "pretraining": name} for name in starts)]
    without = plan(TWO, pretraining={**starts, "cass": None}, arms=arms)
    assert list(without) == list(plan(TWO, pretraining={"dino": "dino"}, arms=arms[:2]))


def test_a_data_set_set_to_null_is_skipped_with_the_arms_on_it_alone() -> None:
    runs = plan(TWO, datasets={**TWO["datasets"], "cells": None})
    assert {name.split("/")[0] for name in runs} == {"lesions"}
    assert list(runs) == [name for name in plan(TWO) if name.startswith("lesions/")]


def test_a_technique_with_several_networks_expands_to_an_arm_each() -> None:
    contents = {"data": {"path": "/data"}, "seeds": [3], "label_fractions": [10, 100]}
    long = plan(
        contents,
        pretraining={
            "dino-tiny_resnet": {"method": {"name": "dino", "backbone": "tiny_resnet"}},
            "dino-tiny_vit": {"method": {"name": "dino", "backbone": "tiny_vit"}, "optim": {"lr": 5e-3}},
        },
        arms=[
            {"name": "dino-tiny_resnet", "method": {"name": "finetune", "backbone": "tiny_resnet"},
             "pretraining": "dino-tiny_resnet"},
            {"name": "dino-tiny_vit", "method": {"name": "finetune", "backbone": "tiny_vit"},
             "pretraining": "dino-tiny_vit", "optim": {"lr": 5e-3}},
        ],
    )  # fmt: skip
    networks = {"tiny_resnet": {}, "tiny_vit": {"optim": {"lr": 5e-3}}}
    arm = {"method": "finetune", "pretraining": "dino"}
    for short in (
        plan(contents, backbones=networks, pretraining={"dino": "dino"}, arms=[arm]),
        plan(contents, pretraining={"dino": {"method": "dino", "backbones": networks}},
             arms=[{**arm, "backbones": networks}]),
    ):  # fmt: skip
        assert list(short) == list(long)
        assert [run.needs for run in short.values()] == [run.needs for run in long.values()]
        assert [run.config.hash for run in short.values()] == [run.config.hash for run in long.values()]


def test_a_named_technique_with_several_networks_has_them_in_the_names_of_its_runs() -> None:
    runs = plan(
        {"data": {"path": "/data"}, "seeds": [0], "label_fractions": [10]},
        arms=[{"name": "mine", "method": "finetune", "backbones": ["tiny_resnet", "tiny_vit"]}],
    )
    assert list(runs) == ["runs/mine-tiny_resnet-10pct-seed0", "runs/mine-tiny_vit-10pct-seed0"]


@pytest.mark.parametrize(
    ("method", "key"),
    [("dedl", "encoder"), ("mean_teacher", "network"), ("picie", "backbone"), ("finetune", "backbone")],
)
def test_the_networks_of_an_arm_set_the_network_of_its_method_whatever_its_key(method: str, key: str) -> None:
    arm = {"method": method, "backbones": ["tiny_resnet"]}
    runs = plan({"data": {"path": "/data"}, "seeds": [0], "label_fractions": [10]}, arms=[arm])
    assert [getattr(run.config.method, key) for run in runs.values()] == ["tiny_resnet"]


def test_the_networks_of_a_study_apply_to_classification_only() -> None:
    arms = ["finetune", "dedl", "picie", {"method": {"name": "finetune", "backbone": "resnet18"}}]
    runs = plan({"data": {"path": "/data"}, "seeds": [0], "label_fractions": [10]}, backbones=["tiny_vit"], arms=arms)
    networks = [run.config.method.backbone_name for run in runs.values()]
    assert networks == ["tiny_vit", "resnet34 U-Net", "resnet34", "resnet18"]


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_equals_its_file_and_is_valid_for_every_method(name: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("S4MI_WEIGHTS", raising=False)  # with weights, auto names a network of another size
    profile = load_profile(name)
    contents = yaml.safe_load(profile_text(name))
    assert profile.settings == contents["settings"]
    for method, settings in profile.methods.items():
        assert METHODS[method]
        study: dict[str, Any] = {"data": {"path": "/data"}, "profile": name, "seeds": [0], "label_fractions": [10]}
        if METHODS[method].pretrains:
            study |= {"pretraining": {"mine": method}, "arms": [{"method": "finetune", "pretraining": "mine"}]}
        runs = plan({"arms": [method], **study})
        mine = [run.config for run in runs.values() if run.config.method.name == method]
        assert mine
        for config in mine:
            of_network = profile.backbones.get(config.method.backbone_name, {})
            sized = next(each for each in (of_network, settings, {"data": profile.data}) if "data" in each)
            assert config.data.image_size == sized["data"]["image_size"]
            for setting, value in {**profile.settings, **settings}.items():
                if setting in ("epochs", "steps", "batch_size"):
                    wanted = profile.pretraining.get(setting, value) if config.method.pretrains else value
                    assert getattr(config, setting) == settings.get(setting, wanted)


def test_settings_in_the_file_override_the_profile() -> None:
    contents = {"data": {"path": "/data", "image_size": 96}, "profile": "small", "seeds": [0], "label_fractions": [10]}
    arm = {"method": {"name": "finetune", "class_weights": "none"}, "optim": {"lr": 7e-3}, "backbones": ["tiny_vit"]}
    (run,) = plan(contents, arms=[arm], settings={"batch_size": 5}).values()
    config = make_run_config(
        {
            "data": {"path": "/data", "image_size": 96}, "label_fraction": 10, "batch_size": 5, "steps": 600,
            "method": {"name": "finetune", "backbone": "tiny_vit", "weights": "none", "class_weights": "none"},
            "optim": {"lr": 7e-3, "min_lr": 1e-5}, "split": {"test_seed": 0},
            "labels": {"count_validation": True}, "selection": "cross_validation",
        },
        origin="by hand",
    )  # fmt: skip
    assert run.config == config


SHIPPED = [path for path in sorted(STUDIES.rglob("*.yaml")) if path.parent.name != "single"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.relative_to(STUDIES).as_posix())
def test_every_shipped_study_can_be_planned(path: Path) -> None:
    runs = list(plan_study(load_study(path), Path("/out")))
    assert len({run.name for run in runs}) == len(runs)


def test_the_studies_of_the_paper_match_the_paper() -> None:
    """Sections 3.1 to 3.3, 4.1 and 4.2, and figure 5."""
    runs = list(plan_study(load_study(STUDIES / "paper/classification.yaml"), Path("/out")))
    shown = Counter(
        (run.config.method.backbone_name, (run.needs or "none").split("/")[-1].split("-")[0], run.config.label_fraction)
        for run in runs
        if not run.config.method.pretrains
    )
    networks, starts = ("resnet50", "vit_base_patch16_224"), ("none", "dino", "cass")
    assert shown == {(net, start, part): 3 * 5 for net in networks for start in starts for part in (10, 100)}
    for run in runs:
        assert (run.config.epochs, run.config.batch_size) == (100 if run.config.method.pretrains else 50, 16)
        assert (run.config.optim.lr, run.config.optim.weight_decay, run.config.optim.min_lr) == (3.6e-4, 1e-5, 3.4e-4)
    runs = list(plan_study(load_study(STUDIES / "paper/segmentation.yaml"), Path("/out")))
    shown = Counter((run.config.method.name, run.config.label_fraction) for run in runs)
    wanted = {(name, part): 15 for name in ("dedl", "cross_teaching") for part in (10, 30, 50, 70, 100)}
    assert shown == {**wanted, ("picie", 100): 15}
    alone = list(plan_study(load_study(STUDIES / "paper/without-masks.yaml"), Path("/out")))
    assert {run.config.hash for run in alone} == {run.config.hash for run in runs if run.config.method.name == "picie"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2 h", 7200), ("90 min", 5400), ("1 h 30 min", 5400), ("300 s", 300), ("1.5h", 5400), ("2 d", 172800)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds
    assert make_study({**TWO, "budget": text}, origin="study.yaml").seconds == seconds


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"budget": 2}, "budget: not a valid duration; write e.g. '2 h', '90 min' or '300 s' (given: 2)"),
        ({"budget": "2 weeks"}, "'90 min' or '300 s' (given: '2 weeks')"),
        ({"budget": "0 h"}, "budget: must be above zero; write e.g. '2 h', or leave it out (given: '0 h')"),
        ({"profile": "papers"}, "profile: Input should be 'paper', 'small' or 'strong'"),
        ({"data": {"path": "/x"}}, "data and datasets are both set; keep one of the two"),
        ({"datasets": {}}, "data is missing; name a data set with data: {path: …}, or several with datasets:"),
        (
            {"datasets": {"lesions": {"path": "/x", "image_siz": 3}}},
            "unknown setting datasets.lesions.image_siz; did you mean 'image_size'?",
        ),
        (
            {"arms": [{"method": "finetune", "datasets": ["lesion"]}]},
            "arms: unknown data set 'lesion'; did you mean 'lesions'?",
        ),
        (
            {"arms": [{"method": "finetune", "bakcbones": ["resnet18"]}]},
            "arm 'finetune': unknown setting bakcbones; did you mean 'backbones'?",
        ),
        (
            {"arms": [{"method": "cross_teaching", "backbones": ["resnet18"]}]},
            "backbones: 'cross_teaching' has several networks; set them in method: instead",
        ),
        (
            {"pretraining": {"dino": {"method": "dino", "backbones": ["tiny_vit"]}},
             "arms": [{"method": "finetune", "backbones": ["tiny_vt"], "pretraining": "dino"}]},
            "its pretraining uses tiny_vit, not 'tiny_vt'; did you mean 'tiny_vit'?",
        ),
        ({"arms": ["finetune", "finetune"]}, "two arms share the folder 'transfer-resnet50-10pct-seed0'; set name: …"),
        ({"arms": ["finetun"]}, "method 'finetun' is unknown; did you mean 'finetune'?"),
        ({"backbones": {"tiny_vit": {"seed": 3}}}, "backbones: tiny_vit: seed cannot be set for runs of a study"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(changes: dict[str, Any], expected: str) -> None:
    message = error_message(TWO, **changes)
    assert expected in message
    assert message.startswith("study.yaml: ")
