"""A study file expands to runs in the right order with the right settings; mistakes are one line."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from s4mi.config import PlannedRun, RunConfig, load_study, make_run_config, make_study, plan_study
from s4mi.errors import S4miError

DINO: dict[str, Any] = {"method": {"name": "dino", "backbone": "tiny_resnet"}, "epochs": 7}
FINETUNE: dict[str, Any] = {"method": {"name": "finetune", "backbone": "tiny_resnet", "weights": "none"}}
STUDY: dict[str, Any] = {
    "data": {"path": "/data"},
    "label_fractions": [10, 100],
    "seeds": [0, 1, 2],
    "pretraining": {"dino": DINO},
    "arms": [FINETUNE, {**FINETUNE, "pretraining": "dino"}],
}


def plan(out: Path = Path("/out"), **changes: Any) -> list[PlannedRun]:
    return list(plan_study(make_study({**STUDY, **changes}, origin="study.yaml"), out))


def error_message(**changes: Any) -> str:
    with pytest.raises(S4miError) as error:
        make_study({**STUDY, **changes}, origin="study.yaml")
    assert "\n" not in str(error.value)
    return str(error.value)


def arms(runs: list[PlannedRun]) -> list[RunConfig]:
    return [run.config for run in runs if not run.config.method.unlabelled]


def test_arms_run_at_every_label_fraction_and_seed_and_pre_training_once_per_seed() -> None:
    runs = plan()
    assert len(runs) == 3 * (1 + 2 * 2)
    assert len({run.name for run in runs}) == len(runs)
    combinations = {(run.config.seed, run.config.label_fraction, run.needs is not None) for run in runs[1:5]}
    assert combinations == {(0, fraction, started) for fraction in (10, 100) for started in (False, True)}
    assert [run.name for run in runs if run.config.method.unlabelled] == [
        f"pretraining/dino-seed{seed}" for seed in (0, 1, 2)
    ]


def test_a_seed_is_complete_before_the_next_begins() -> None:
    seeds = [run.config.seed for run in plan(seeds=[5, 3])]
    assert seeds == [5] * 5 + [3] * 5


def test_a_run_comes_after_the_run_it_needs_which_has_the_same_seed() -> None:
    done: set[str] = set()
    needed = []
    for run in plan():
        if run.needs is not None:
            assert run.needs in done
            assert run.needs == f"pretraining/dino-seed{run.config.seed}"
            needed.append(run.needs)
        done.add(run.name)
    assert len(needed) == 6  # two fractions, three seeds
    assert len(set(needed)) == 3


def test_an_arm_starts_from_the_folder_of_the_pre_training_within_that_of_the_study() -> None:
    started = [run for run in plan(Path("/out")) if run.needs]
    assert {run.config.method.pretrained for run in started} == {  # type: ignore[attr-defined]
        Path("/out") / "pretraining" / f"dino-seed{seed}" for seed in (0, 1, 2)
    }
    others = [config.method.pretrained for config in arms([run for run in plan() if not run.needs])]  # type: ignore[attr-defined]
    assert set(others) == {None}


def test_the_hash_of_a_run_does_not_depend_on_the_folder_of_the_study() -> None:
    here, there = plan(Path("/here")), plan(Path("/there"))
    assert [run.config.hash for run in here] == [run.config.hash for run in there]
    assert [run.config.method for run in here] != [run.config.method for run in there]


def test_settings_of_an_arm_override_those_of_the_study_which_override_the_defaults() -> None:
    own = {**FINETUNE, "name": "own", "epochs": 9, "optim": {"lr": 0.5}}
    started = {**FINETUNE, "pretraining": "dino"}
    settings = {"epochs": 4, "batch_size": 2, "optim": {"lr": 1, "weight_decay": 0.25}}
    runs = plan(settings=settings, arms=[FINETUNE, own, started])
    config = {run.name: run.config for run in runs}
    study, arm = config["runs/transfer-from-scratch-tiny_resnet-10pct-seed0"], config["runs/own-10pct-seed0"]
    assert (study.epochs, study.batch_size, study.optim.lr, study.optim.weight_decay) == (4, 2, 1, 0.25)
    assert (arm.epochs, arm.batch_size, arm.optim.lr, arm.optim.weight_decay) == (9, 2, 0.5, 0.25)
    assert study.optim.momentum == RunConfig.model_fields["optim"].default.momentum
    pretraining = runs[0].config
    assert (pretraining.epochs, pretraining.batch_size, pretraining.optim.lr) == (7, 2, 1)


def test_an_arm_is_the_same_run_as_its_settings_in_a_run_file() -> None:
    runs = plan(seeds=[4], split={"kind": "kfold", "folds": 3, "fold": 1})
    contents = {
        "data": {"path": "/data"}, "split": {"kind": "kfold", "folds": 3, "fold": 1, "test_seed": 0}, "seed": 4,
        "label_fraction": 10, **FINETUNE,
    }  # fmt: skip
    assert make_run_config(contents, origin="by hand") in [run.config for run in runs]


def test_a_method_may_be_given_by_its_name_alone() -> None:
    contents = {
        "pretraining": {"simclr": {"method": "simclr"}},
        "arms": [{"method": "finetune", "pretraining": "simclr"}],
    }
    (pretraining, arm) = plan(seeds=[0], label_fractions=[100], **contents)
    assert pretraining.config.method.name == "simclr"
    assert arm.config.method.name == "finetune"
    by_name = {"method": "finetune", "pretraining": "dino"}
    assert plan(arms=[by_name])[1].config.method.pretrained == Path("/out/pretraining/dino-seed0")  # type: ignore[attr-defined]


def test_an_arm_may_have_label_fractions_of_its_own() -> None:
    runs = plan(seeds=[0], arms=[{**FINETUNE, "label_fractions": ["5 patients", 50]}, {**FINETUNE, "name": "other"}])
    fractions = [config.label_fraction for config in arms(runs)]
    assert fractions == ["5 patients", 50, 10, 100]


PICIE: dict[str, Any] = {"method": {"name": "picie", "backbone": "tiny_resnet", "weights": "none"}}
DEDL: dict[str, Any] = {"method": {"name": "dedl", "encoder": "tiny_resnet", "weights": "none"}}


def test_an_arm_without_labels_runs_once_per_seed_whatever_the_label_fractions() -> None:
    mdc = {"method": {**PICIE["method"], "name": "mdc"}}
    runs = plan(arms=[PICIE, {**mdc, "label_fractions": [5, 50]}, DEDL], pretraining={})
    names = [run.name for run in runs]
    assert [name for name in names if "dedl" not in name] == [
        f"runs/{name}-from-scratch-tiny_resnet-0pct-seed{seed}" for seed in (0, 1, 2) for name in ("picie", "mdc")
    ]
    assert len(names) == 3 * (2 + 2)
    assert {run.config.label_fraction for run in runs if run.config.method.unlabelled} == {100}
    once = {run.config.hash for run in runs if run.config.method.unlabelled}
    assert len(once) == 6


def test_an_arm_without_labels_may_start_from_a_pre_training_run() -> None:
    (_, arm) = plan(arms=[{**PICIE, "pretraining": "dino"}], seeds=[4])
    assert (arm.name, arm.needs) == ("runs/picie-from-dino-tiny_resnet-0pct-seed4", "pretraining/dino-seed4")
    assert arm.config.method.pretrained == Path("/out/pretraining/dino-seed4")  # type: ignore[attr-defined]
    assert arm.config.optim.name == "sgd"


def test_settings_of_the_study_override_the_optimiser_of_a_method() -> None:
    (common, own) = plan(
        arms=[PICIE, {**PICIE, "name": "own", "optim": {"schedule": "constant"}}], pretraining={}, seeds=[0],
        settings={"optim": {"name": "adam", "lr": 1e-3}},
    )  # fmt: skip
    assert (common.config.optim.name, common.config.optim.lr, common.config.optim.schedule) == ("adam", 1e-3, "step")
    assert (own.config.optim.name, own.config.optim.lr, own.config.optim.schedule) == ("adam", 1e-3, "constant")


@pytest.mark.parametrize(
    ("arms", "task"),
    [
        ([{**PICIE, "pretraining": "dino"}], "segmentation"),
        ([{**PICIE, "pretraining": "dino"}, FINETUNE], "segmentation"),
        ([{**PICIE, "pretraining": "dino"}, {**FINETUNE, "pretraining": "dino"}], None),
        ([{**FINETUNE, "pretraining": "dino"}], None),
        ([PICIE], None),
        ([{"method": "picie", "pretraining": "dino"}, {"method": "mdc", "pretraining": "dino"}], "segmentation"),
    ],
)
def test_pre_training_has_the_segmentation_split_if_only_segmentation_starts_from_it(
    arms: list[dict[str, Any]], task: str | None
) -> None:
    pretraining = [run.config for run in plan(arms=arms) if run.config.method.pretrains]
    assert [config.task for config in pretraining] == [task] * 3 * any("pretraining" in arm for arm in arms)
    assert all(run.config.task is None for run in plan(arms=arms) if not run.config.method.pretrains)
    own = {"dino": {**DINO, "task": "multiclass"}}
    tasks = {run.config.task for run in plan(arms=arms, pretraining=own) if run.config.method.pretrains}
    assert tasks <= {"multiclass"}


def test_a_method_without_labels_that_predicts_is_an_arm_and_not_pre_training() -> None:
    message = error_message(pretraining={"dino": PICIE})
    assert message.startswith("study.yaml: pretraining 'dino': 'picie' does not pre-train")
    assert message.endswith("; make it an arm")


def test_names_of_runs_are_valid_folder_names_on_any_system() -> None:
    odd = {**FINETUNE, "name": 'a/b: "best" <arm>? 100 %|*'}
    file = {**FINETUNE, "method": {**FINETUNE["method"], "linear_probe": True}, "pretraining": "dino, 200: ep/1"}
    runs = plan(
        label_fractions=[12.5, "50 images", "1 patient"], arms=[odd, file], pretraining={"dino, 200: ep/1": DINO}
    )
    assert len({run.name for run in runs}) == len(runs) == 3 * 7
    for run in runs:
        folder, name = run.name.split("/")
        assert folder == ("pretraining" if run.config.method.unlabelled else "runs")
        assert re.fullmatch(r"[\w.+-]+", name), name
        assert not name.startswith((".", "-")), name


def test_an_arm_without_a_name_is_called_by_technique_and_network() -> None:
    probe = {"method": {**FINETUNE["method"], "linear_probe": True}, "pretraining": "dino"}
    names = [run.name for run in plan(seeds=[0], label_fractions=[10], arms=[FINETUNE, probe])]
    assert names == [
        "pretraining/dino-seed0",
        "runs/transfer-from-scratch-tiny_resnet-10pct-seed0",
        "runs/dino-linear-probe-tiny_resnet-10pct-seed0",
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"train": {"epochs": 3}}, "study.yaml: unknown setting train.epochs"),
        ({"seedss": [0]}, "study.yaml: unknown setting seedss; did you mean 'seeds'?"),
        ({"label_fraction": [1]}, "study.yaml: unknown setting label_fraction; did you mean 'label_fractions'?"),
        ({"data": {"path": "x", "image_siz": 3}}, "unknown setting data.image_siz; did you mean 'data.image_size'?"),
        ({"arms": []}, "study.yaml: arms: "),
        ({"seeds": []}, "study.yaml: seeds: "),
        ({"data": {}}, "study.yaml: data.path is missing"),
        (
            {"arms": [{**FINETUNE, "pretraining": "dyno"}]},
            "study.yaml: arms: unknown pretraining 'dyno'; did you mean 'dino'?",
        ),
        (
            {"pretraining": {"dino": FINETUNE}},
            "study.yaml: pretraining 'dino': 'finetune' does not pre-train; make it an arm",
        ),
        (
            {"pretraining": {"dino": {**DINO, "epocs": 1}}},
            "study.yaml: pretraining 'dino': unknown setting epocs; did you mean 'epochs'?",
        ),
        (
            {"arms": [{**FINETUNE, "name": "best", "method": {"name": "finetune", "bakbone": "x"}}]},
            "study.yaml: arm 'best': unknown setting method.bakbone; did you mean 'method.backbone'?",
        ),
        (
            {"arms": [{**FINETUNE, "name": "best", "method": {"name": "finetune", "backbone": "resnet81"}}]},
            "study.yaml: arm 'best': method.backbone: backbone 'resnet81' is unknown; did you mean '",
        ),
        (
            {"arms": [{"name": "unet", "method": {"name": "dedl", "encoder": "resnet334"}}]},
            "study.yaml: arm 'unet': method.encoder: network 'resnet334' is unknown; did you mean 'resnet34'?",
        ),
        (
            {"arms": [{"name": "unet", "method": {"name": "dedl", "encoder": "tu-resnet81"}}]},
            "study.yaml: arm 'unet': method.encoder: encoder 'tu-resnet81' is unknown",
        ),
        (
            {"arms": [{"name": "dpt", "method": {"name": "weak_to_strong", "network": "dpt/vit_smal_patch16_224"}}]},
            "study.yaml: arm 'dpt': method.network: backbone 'vit_smal_patch16_224' is unknown; did you mean",
        ),
        (
            {"arms": [{**FINETUNE, "name": "best", "optim": {"lr": "fast"}}]},
            "study.yaml: arm 'best': optim.lr: Input should be a valid number",
        ),
        (
            {"arms": [{**FINETUNE, "pretraining": "dino", "bach_size": 3}]},
            "study.yaml: arm 'dino': unknown setting bach_size; did you mean 'batch_size'?",
        ),
        (
            {"arms": [{"method": "dedl", "pretraining": "dino"}]},
            "study.yaml: arm 'dino': unknown setting method.pretrained for dedl",
        ),
        (
            {"arms": [FINETUNE, {**FINETUNE, "epochs": 3}]},
            "-10pct-seed0'; set name: … for one of them",
        ),
        ({"label_fractions": [10, 0]}, "0.0 is not a valid amount of labels"),
    ],
)
def test_a_mistake_is_named_with_its_place_before_anything_runs(changes: dict[str, Any], expected: str) -> None:
    message = error_message(**changes)
    assert expected in message
    assert message.startswith("study.yaml: ")


def test_two_arms_with_the_same_folder_are_refused() -> None:
    arm = {**FINETUNE, "name": "best one"}
    message = error_message(arms=[arm, {**FINETUNE, "name": "best-one"}])
    assert message == "study.yaml: two arms share the folder 'best-one-10pct-seed0'; set name: … for one of them"


def test_overrides_change_the_study(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY), encoding="utf-8")
    study = load_study(path, ["seeds=[0]", "data.path=/other", "settings.epochs=2", "pretraining.dino.epochs=3"])
    assert study.seeds == (0,)
    runs = list(plan_study(study, Path("/out")))
    assert len(runs) == 5
    assert {run.config.data.path for run in runs} == {Path("/other")}
    assert [run.config.epochs for run in runs] == [3, 2, 2, 2, 2]
    with pytest.raises(S4miError) as error:
        load_study(path, ["sedes=[0]"])
    assert str(error.value) == f"{path}: unknown setting sedes; did you mean 'seeds'?"


def test_a_seed_among_the_settings_of_runs_is_refused() -> None:
    """The same run would be repeated in several folders, each named after another seed."""
    assert "seeds" in error_message(settings={"seed": 9})
    assert "seeds" in error_message(arms=[{**FINETUNE, "seed": 8}])


def test_a_label_fraction_among_the_settings_of_an_arm_is_refused_and_not_ignored() -> None:
    """`label_fraction: 50` is easily written instead of `label_fractions: [50]`."""
    assert "label_fractions" in error_message(arms=[{**FINETUNE, "label_fraction": 50}])


def test_two_pre_trainings_of_one_folder_are_refused() -> None:
    arms = [{**FINETUNE, "name": name, "pretraining": name} for name in ("dino a", "dino-a")]
    expected = "study.yaml: two pretraining entries share the folder 'dino-a-seed0'; rename one"
    assert expected == error_message(pretraining={"dino a": DINO, "dino-a": DINO}, arms=arms)
