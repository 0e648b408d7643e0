import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from s4mi.config import (
    METHOD_CONFIGS,
    RunConfig,
    apply_overrides,
    differences,
    load_run_config,
    load_study,
    make_run_config,
    plan_study,
    save_run_config,
    setting_names,
)
from s4mi.contract import BatchComposition, ViewSpec
from s4mi.errors import S4miError
from s4mi.settings.classification.finetune import FinetuneConfig
from s4mi.settings.segmentation.cross_teaching import CrossTeachingConfig
from s4mi.settings.segmentation.picie import PicieConfig
from s4mi.settings.segmentation.supervised import SupervisedConfig

DEDL = "data: {path: images}\nmethod: dedl\n"
TRANSFER = "data: {path: images}\nmethod: {name: finetune, backbone: tiny_resnet}\n"
PICIE = "data: {path: images}\nmethod: picie\n"


def load(tmp_path: Path, text: str, *overrides: str) -> RunConfig:
    (tmp_path / "run.yaml").write_text(text, encoding="utf-8")
    return load_run_config(tmp_path / "run.yaml", overrides)


def error_message(tmp_path: Path, text: str, *overrides: str) -> str:
    """The error message, which is one line, without the folder."""
    with pytest.raises(S4miError) as error:
        load(tmp_path, text, *overrides)
    assert "\n" not in str(error.value)
    return str(error.value).replace(str(tmp_path) + "/", "")


def config_with(**changes: Any) -> RunConfig:
    return make_run_config({"data": {"path": "images"}, "method": "dedl", **changes}, origin="test")


def test_the_defaults_are_the_paper_s(tmp_path: Path) -> None:
    config = load(tmp_path, DEDL)
    assert (config.epochs, config.batch_size, config.data.image_size) == (50, 16, 224)
    assert (config.optim.name, config.optim.lr, config.optim.weight_decay) == ("adam", 3.6e-4, 1e-5)
    assert config.split.ratios == (0.7, 0.1, 0.2)
    assert (config.label_fraction, config.seed) == (100, 0)
    assert isinstance(config.method, SupervisedConfig)


@pytest.mark.parametrize("name", ["picie", "mdc"])
def test_methods_without_masks_have_their_own_optimiser_defaults(tmp_path: Path, name: str) -> None:
    text = PICIE.replace("picie", name)
    default = load(tmp_path, text).optim
    assert (default.name, default.lr, default.schedule) == ("sgd", 1e-4, "step")
    assert default == load(tmp_path, text + "optim:\n").optim
    overridden = load(tmp_path, text, "optim.name=adam", "optim.weight_decay=0").optim
    assert overridden == default.model_copy(update={"name": "adam", "weight_decay": 0})
    paper = {"name": "adam", "lr": 3.6e-4, "schedule": "cosine"}
    assert load(tmp_path, text, f"optim={paper}").optim == load(tmp_path, DEDL).optim
    assert load(tmp_path, DEDL, f"method={name}").optim == default
    # A saved file has all settings, so that it is the same run even if defaults change.
    save_run_config(load(tmp_path, text), tmp_path / "saved.yaml")
    assert yaml.safe_load((tmp_path / "saved.yaml").read_text(encoding="utf-8"))["optim"]["name"] == "sgd"
    assert load_run_config(tmp_path / "saved.yaml").optim == default


def test_training_does_not_depend_on_names_of_clusters(tmp_path: Path) -> None:
    named = load(tmp_path, PICIE, "method.classes={0: background, 1: lesion}")
    assert isinstance(named.method, PicieConfig)
    assert named.method.classes == {0: "background", 1: "lesion"}
    assert named.hash == load(tmp_path, PICIE).hash
    assert differences(load(tmp_path, PICIE), named) == []
    assert load(tmp_path, PICIE, "method.clusters=2").hash != named.hash
    save_run_config(named, tmp_path / "saved.yaml")
    assert load_run_config(tmp_path / "saved.yaml") == named


def test_the_task_is_a_setting(tmp_path: Path) -> None:
    assert load(tmp_path, TRANSFER).task is None
    assert load(tmp_path, TRANSFER, "task=multilabel").task == "multilabel"
    assert load(tmp_path, TRANSFER, "task=multilabel").hash != load(tmp_path, TRANSFER).hash


def test_paths_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    config = load(tmp_path, DEDL, "data.cache=~/cache")
    assert config.data.path == tmp_path / "images"
    assert config.data.cache == Path("/home/somebody/cache")


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("optim.lr=1e-3", lambda c: c.optim.lr == 1e-3),
        ("optim.clip_norm=null", lambda c: c.optim.clip_norm is None),
        ("split.ratios=[0.6, 0.2, 0.2]", lambda c: c.split.ratios == (0.6, 0.2, 0.2)),
        ("method.encoder=resnet18", lambda c: c.method.encoder == "resnet18"),
        ("method.class_weights=inverse", lambda c: c.method.class_weights == "inverse"),
        ("method.class_weights=[1, 2.5]", lambda c: c.method.class_weights == (1, 2.5)),
        ("method.views.scale=[0.5, 1]", lambda c: c.method.views.scale == (0.5, 1)),
        ("method=finetune", lambda c: isinstance(c.method, FinetuneConfig)),
        ("method={name: finetune, backbone: tiny_vit}", lambda c: c.method.backbone == "tiny_vit"),
        ("hardware.precision=32", lambda c: c.hardware.precision == "32"),
        ("data.path=a=b", lambda c: c.data.path.name == "a=b"),
        ("label_fraction=10", lambda c: c.label_fraction == 10),
        ("optim=", lambda c: c.optim == RunConfig.model_fields["optim"].default),
    ],
)
def test_an_override_sets_one_setting(tmp_path: Path, override: str, read) -> None:
    assert read(load(tmp_path, DEDL, override))


def test_overrides_apply_in_order_and_go_into_the_short_form_of_a_method(tmp_path: Path) -> None:
    config = load(tmp_path, DEDL, "method.encoder=resnet18", "seed=1", "method.encoder=resnet50", "method=finetune")
    assert config.method == FinetuneConfig()
    assert config.seed == 1
    config = load(tmp_path, TRANSFER, "method=dedl", "method.attention=scse")
    assert config.method == SupervisedConfig(attention="scse")


def test_overrides_do_not_modify_their_input() -> None:
    contents = {"data": {"path": "images"}, "optim": {"lr": 1}}
    apply_overrides(contents, ["optim.lr=2", "data.path=other", "method.encoder=x"])
    assert contents == {"data": {"path": "images"}, "optim": {"lr": 1}}


def test_a_section_may_be_empty(tmp_path: Path) -> None:
    assert load(tmp_path, DEDL + "optim:\nsplit:\n") == load(tmp_path, DEDL)
    assert load(tmp_path, DEDL + "optim:\n", "optim.lr=0.5").optim.lr == 0.5


@pytest.mark.parametrize("method", METHOD_CONFIGS, ids=lambda method: method.model_fields["name"].default)
def test_naming_one_view_setting_keeps_the_method_s_others(method) -> None:
    name = method.model_fields["name"].default
    config = make_run_config(
        apply_overrides({"data": {"path": "x"}, "method": name}, ["method.views.rotation=10"]), origin="test"
    )
    assert config.method.views == method.default_views.model_copy(update={"rotation": 10})
    assert config.method.views != ViewSpec(rotation=10) or method.default_views == ViewSpec()


@pytest.mark.parametrize(
    ("text", "override", "message"),
    [
        # unknown keys at every depth, with a suggestion
        (DEDL, "train.epochs=3", "run.yaml: unknown setting train.epochs; did you mean 'epochs'?"),
        (DEDL, "epoch=3", "run.yaml: unknown setting epoch; did you mean 'epochs'?"),
        (DEDL, "optim.momentun=0", "run.yaml: unknown setting optim.momentun; did you mean 'optim.momentum'?"),
        (DEDL, "method.encodr=x", "run.yaml: unknown setting method.encodr; did you mean 'method.encoder'?"),
        (DEDL, "method.views.rotaton=1", "unknown setting method.views.rotaton; did you mean 'method.views.rotation'?"),
        (DEDL, "method.backbone=x", "run.yaml: unknown setting method.backbone for dedl"),  # it is one of finetune
        (TRANSFER, "method.encoder=x", "run.yaml: unknown setting method.encoder for finetune"),
        (DEDL, "lr=1", "run.yaml: unknown setting lr; did you mean 'optim.lr'?"),
        (DEDL, "encoder=x", "run.yaml: unknown setting encoder; did you mean 'method.encoder'?"),
        (DEDL, "xyzzy=1", "run.yaml: unknown setting xyzzy"),
        # values
        (DEDL, "optim.lr=fast", "run.yaml: optim.lr: Input should be a valid number"),
        (DEDL, "optim.lr=0", "run.yaml: optim.lr: Input should be greater than 0 (given: 0)"),
        (DEDL, "optim.lr=.nan", "run.yaml: optim.lr: Input should be greater than 0"),
        (DEDL, "optim.lr=1e-5", "run.yaml: optim: min_lr 0.00034 is above lr 1e-05; lower optim.min_lr as well"),
        (DEDL, "seed=1.5", "run.yaml: seed: Input should be a valid integer"),
        (
            DEDL,
            "label_fraction=101",
            "run.yaml: label_fraction: 101.0 is not a valid amount of labels; use a percentage above 0, up to 100",
        ),
        (
            DEDL,
            "split.kind=odd",
            "run.yaml: split.kind: Input should be 'auto', 'official', 'random', 'kfold' or 'file'",
        ),
        (
            DEDL,
            "split.ratios=[1, 2, 3]",
            "split.ratios: must be three positive numbers that sum to 1 (given: [",
        ),
        (DEDL, "split.ratios=[0.5, 0.5]", "run.yaml: split.ratios: too few values (given: [0.5, 0.5])"),
        (DEDL, "split.ratios=[0.9, 0.1, 0]", "must be three positive numbers that sum to 1 (given: [0.9, 0.1, 0])"),
        (DEDL, "method.class_weights=inverze", "run.yaml: method.class_weights: Input should be 'none', 'inverse' or"),
        (DEDL, "method.class_weights=[1, x]", "run.yaml: method.class_weights: Input should be a valid number"),
        (DEDL, "method.views.scale=[1, 0.5]", "run.yaml: method.views.scale: must be two numbers with 0 < least <="),
        (DEDL, "method.views=5", "run.yaml: method.views: must be keys and values: {key: value}"),
        (DEDL, "hardware.precision=8", "run.yaml: hardware.precision: Input should be 'auto', '32'"),
        (DEDL, "select=f1_macro", "run.yaml: select: must be one of iou, dice, pixel_accuracy (given 'f1_macro')"),
        (TRANSFER, "select=f1_makro", "(given 'f1_makro'); did you mean 'f1_macro'?"),
        # methods
        (DEDL, "method=deld", "run.yaml: method 'deld' is unknown; did you mean 'dedl'?; see: s4mi methods"),
        (DEDL, "method={}", "run.yaml: method.name is missing; see: s4mi methods"),
        (DEDL, "method=5", "run.yaml: method: must be keys and values: {key: value}"),
        (PICIE, "task=segmentaton", "run.yaml: task: Input should be 'multiclass', 'multilabel' or 'segmentation'"),
        (PICIE, "method.classes={0: skin, 2: lesion}", "run.yaml: method.classes: clusters must be numbered from 0"),
        (PICIE, "method.classes={0: lesion, 1: lesion}", "run.yaml: method.classes: at least two classes must be"),
        (PICIE, "method.classes={a: skin, 1: lesion}", "run.yaml: method.classes: Input should be a valid integer"),
        (PICIE, "method.classes=[skin, lesion]", "run.yaml: method.classes: must be keys and values: {key: value}"),
        (PICIE, "method.clusters=1", "run.yaml: method.clusters: Input should be greater than or equal to 2"),
        (PICIE, "method.clusters=256", "run.yaml: method.clusters: Input should be less than or equal to 255"),
        (PICIE, "method.recipe=papers", "run.yaml: method.recipe: Input should be 'strong' or 'paper'"),
        (PICIE, "method.encoder=x", "run.yaml: unknown setting method.encoder for picie"),
        (PICIE, "select=f1_macro", "run.yaml: select: must be one of iou, dice, pixel_accuracy (given 'f1_macro')"),
        # missing settings
        ("method: dedl\n", "seed=1", "run.yaml: data.path is missing; add it to the file or pass data.path=…"),
        ("data:\nmethod: dedl\n", "seed=1", "run.yaml: data.path is missing"),
        ("data: {path: x}\n", "seed=1", "run.yaml: method is missing; add it to the file or pass method=…"),
        # invalid overrides
        (DEDL, "seed", "'seed' is not a valid override; write key=value, e.g. optim.lr=1e-3"),
        (DEDL, "=1", "'=1' is not a valid override; write key=value"),
        (DEDL, "seed=[1", "'seed=[1': the value is not valid YAML ("),
        (DEDL + "seed: 3\n", "seed.x=1", "'seed.x=1': 'seed' is the value 3, not a section; set seed itself"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(tmp_path: Path, text: str, override: str, message: str) -> None:
    assert message in error_message(tmp_path, text, override)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: {path: x}\n  method: dedl\n", "run.yaml:2: not valid YAML (expected <block end>"),
        ("data: {path: x}\nseed: 1\nmethod: [dedl\n", "run.yaml:4: not valid YAML"),
        ("a: b: c\n", "run.yaml:1: not valid YAML (mapping values are not allowed here)"),
        ("- 1\n", "run.yaml: must contain keys and values, starting with: data: {path: …}"),
        ("", "run.yaml: must contain keys and values"),
    ],
)
def test_an_invalid_file_is_refused_with_the_line_of_the_error(tmp_path: Path, text: str, message: str) -> None:
    assert error_message(tmp_path, text).startswith(message)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "none.yaml", "file not found; write a run file or copy one from studies/"),
        (tmp_path, "cannot be read"),
        (_binary(tmp_path), "byte 0 is not valid UTF-8; save the file as UTF-8"),
    ):
        with pytest.raises(S4miError) as error:
            load_run_config(path)
        assert str(error.value).startswith(f"{path}: {message}")


def _binary(folder: Path) -> Path:
    (folder / "photo.yaml").write_bytes(b"\xff\xd8\xff\xe0")
    return folder / "photo.yaml"


CHANGES: list[dict[str, Any]] = [
    {"seed": 1},
    {"epochs": 51},
    {"batch_size": 17},
    {"label_fraction": 50},
    {"select": "dice"},
    {"optim": {"lr": 1e-3}},
    {"optim": {"clip_norm": 1}},
    {"split": {"kind": "random"}},
    {"split": {"seed": 0}},
    {"data": {"path": "images", "image_size": 256}},
    {"data": {"path": "images", "red_channel_normalisation": True}},
    {"data": {"path": "images", "tile": 480}},
    {"method": {"name": "dedl", "encoder": "resnet18"}},
    {"method": {"name": "dedl", "views": {"flip": False}}},
    {"method": "finetune"},
]
NOT_HASHED: list[dict[str, Any]] = [
    {"hardware": {"accelerator": "cpu", "threads": 2}},
    {"hardware": {"precision": "bf16-mixed", "devices": 4}},
    {"data": {"path": "moved"}},
    {"data": {"path": "images", "cache": "other"}},
    {"label_fraction": 100.0, "optim": {"lr": "3.6e-4"}},  # the defaults, written differently
]


def test_the_hash_changes_with_everything_that_can_change_the_result() -> None:
    hashes = [config_with(**change).hash for change in [{}, *CHANGES]]
    assert len(set(hashes)) == len(hashes)


@settings(deadline=None, max_examples=40)
@given(change=st.sampled_from(CHANGES), not_hashed=st.sampled_from(NOT_HASHED))
def test_the_hash_does_not_depend_on_where_a_run_is_computed(
    change: dict[str, Any], not_hashed: dict[str, Any]
) -> None:
    assert config_with(**not_hashed).hash == config_with().hash
    both = {**not_hashed, **change}
    if "data" in change and "data" in not_hashed:
        both["data"] = {**change["data"], **not_hashed["data"]}
    assert config_with(**both).hash == config_with(**change).hash


def test_the_hash_is_a_short_name_for_a_file() -> None:
    assert set(config_with().hash) <= set(string.hexdigits)
    assert len(config_with().hash) == 16


configs = st.builds(
    config_with,
    seed=st.integers(0, 2**31),
    epochs=st.integers(1, 500),
    label_fraction=st.floats(0.1, 100),
    optim=st.builds(
        lambda lr, share, name: {"lr": lr, "min_lr": lr * share, "name": name},
        st.floats(1e-6, 1),
        st.floats(0, 1),
        st.sampled_from(["adam", "sgd"]),
    ),
    method=st.sampled_from(
        [
            {"name": "dedl", "attention": "scse", "class_weights": [0.1, 2, 1e-3]},
            {"name": "dedl", "views": {"scale": [0.3, 0.7]}},
            {"name": "finetune", "criterion": "focal", "class_weights": "median"},
        ]
    ),
    data=st.sampled_from([{"path": "a b"}, {"path": "Bilder/äöü", "tile": 480}]),
)


@settings(deadline=None, max_examples=30)
@given(config=configs)
def test_a_saved_config_is_read_as_it_was(tmp_path_factory: pytest.TempPathFactory, config: RunConfig) -> None:
    path = tmp_path_factory.mktemp("saved") / "config.yaml"
    save_run_config(config, path)
    again = load_run_config(path)
    assert again == config
    assert again.hash == config.hash
    assert differences(config, again) == []


def test_differences_are_named_with_both_values() -> None:
    left = config_with(optim={"lr": 1e-3})
    right = config_with(optim={"lr": 2e-3}, seed=4, hardware={"threads": 3}, data={"path": "images", "cache": "other"})
    assert differences(left, right) == ["optim.lr: 0.001 → 0.002", "seed: 0 → 4"]
    assert "method.name: dedl → finetune" in differences(left, config_with(method="finetune"))
    assert "method.encoder: resnet34 → None" in differences(left, config_with(method="finetune"))


def test_the_best_epoch_is_chosen_by_a_score_that_fits_the_task() -> None:
    assert config_with().metric("segmentation") == "iou"
    assert config_with(method="finetune").metric("multilabel") == "f1_macro"
    assert config_with(method="finetune", select="auroc").metric("multiclass") == "auroc"


def test_every_setting_has_a_dotted_name() -> None:
    names = setting_names(RunConfig)
    assert len(set(names)) == len(names)
    for name in ("seed", "data.path", "optim.lr", "method.name", "method.encoder", "method.backbone"):
        assert name in names
    assert "method.views.rotation" in names


SHIPPED = Path(__file__).parents[2] / "studies"
RUNS = sorted((SHIPPED / "single").glob("*.yaml"))
STUDIES = sorted(path for path in SHIPPED.rglob("*.yaml") if path not in RUNS)


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_every_shipped_run_file_loads(path: Path) -> None:
    config = load_run_config(path, ["data.path=images"])
    assert config.data.path.name == "images"


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.relative_to(SHIPPED).as_posix())
def test_every_shipped_study_expands_to_valid_runs(path: Path) -> None:
    datasets = load_study(path).datasets
    paths = [f"datasets.{name}.path=images" for name in datasets] or ["data.path=images"]
    runs = list(plan_study(load_study(path, paths), Path("out")))
    assert {run.config.data.path.name for run in runs} == {"images"}
    assert {run.needs for run in runs} - {None} <= {run.name for run in runs}


def test_run_files_and_studies_are_shipped() -> None:
    assert RUNS
    assert {path.relative_to(SHIPPED).with_suffix("").as_posix() for path in STUDIES} == {
        "demo",
        "paper/classification",
        "paper/segmentation",
        "paper/without-masks",
        "real/classes",
        "real/external-masks",
        "real/external-melanoma",
        "real/nuclei",
        "real/nuclei-without-masks",
        "real/ph2-masks",
        "real/precision",
        "real/simulate-classes",
        "real/self-supervision",
        "real/simulate-masks",
        "real/thousand",
        "small/classification",
        "small/first-answer",
        "small/segmentation",
        "small/six-techniques",
        "small/without-masks",
    }


def papers_runs(study: str, dataset: str) -> list[RunConfig]:
    """The runs of a study of the paper on one of its data sets."""
    runs = plan_study(load_study(SHIPPED / "paper" / f"{study}.yaml"), Path("out"))
    return [run.config for run in runs if run.name.startswith(f"{dataset}/")]


@pytest.mark.parametrize("name", ["isic2017", "dermofit", "dermatomyositis"])
def test_the_studies_of_classification_match_the_paper(name: str) -> None:
    """S4MI sections 3.1, 3.2.1, 3.3 and 4.1."""
    runs = papers_runs("classification", name)
    pretraining = [run for run in runs if run.method.unlabelled]
    finetuning = [run for run in runs if not run.method.unlabelled]
    assert {config.seed for config in pretraining} == {config.seed for config in finetuning} == set(range(5))
    assert {config.method.backbone_name for config in finetuning} == {"resnet50", "vit_base_patch16_224"}
    assert {config.label_fraction for config in finetuning} == {10, 100}
    assert len(finetuning) == 2 * 3 * 2 * 5  # networks, techniques, fractions, seeds
    assert len(pretraining) == 3 * 5  # CASS trains both networks at once
    assert {config.epochs for config in pretraining} == {100}
    assert {config.epochs for config in finetuning} == {50}
    for config in (*pretraining, *finetuning):
        assert (config.batch_size, config.data.image_size) == (16, 224)
        assert (config.optim.lr, config.optim.min_lr, config.optim.weight_decay) == (3.6e-4, 3.4e-4, 1e-5)
        assert config.data.red_channel_normalisation == (name != "dermatomyositis")
        assert config.data.resize_through == (480 if name != "dermatomyositis" else None)
    for config in pretraining:
        assert config.method.weights == "imagenet"


@pytest.mark.parametrize("name", ["isic2017", "dermofit", "cells"])
def test_the_studies_of_segmentation_match_the_paper(name: str) -> None:
    """S4MI sections 3.2, 3.3 and 4.2: figure 5, whose bar at 0 % is PiCIE."""
    runs = papers_runs("segmentation", name)
    without_masks = [run for run in runs if run.method.unlabelled]
    assert without_masks == papers_runs("without-masks", name)
    assert [(run.method.name, run.seed) for run in without_masks] == [("picie", seed) for seed in range(5)]
    for run in without_masks:
        assert run.method == PicieConfig(recipe="paper", backbone="resnet34", weights="imagenet")
        assert (run.epochs, run.epoch_steps, run.batch_size, run.data.image_size) == (50, None, 64, 224)
        assert (run.optim.name, run.optim.lr, run.optim.schedule) == ("sgd", 1e-4, "step")
    runs = [run for run in runs if not run.method.unlabelled]
    assert sorted((run.method.name, run.label_fraction, run.seed) for run in runs) == sorted(
        (method, fraction, seed)
        for method in ("dedl", "cross_teaching")
        for fraction in (10, 30, 50, 70, 100)
        for seed in range(5)
    )
    for run in runs:
        assert (run.epochs, run.epoch_steps, run.batch_size, run.data.image_size) == (50, None, 16, 224)
        assert (run.optim.lr, run.optim.min_lr, run.optim.weight_decay) == (3.6e-4, 3.4e-4, 1e-5)
        if isinstance(run.method, CrossTeachingConfig):
            assert (run.method.cnn, run.method.transformer) == ("small_unet", "swin_unet")
            assert (run.method.cnn_weights, run.method.transformer_weights) == ("none", "imagenet")
            assert (run.method.unlabelled_weight, run.method.ramp_up, run.method.confidence) == (1, 0, 0)
            assert run.method.batch_composition(16, unlabelled=100) == BatchComposition(8, 8)
            assert run.method.batch_composition(16, unlabelled=0) == BatchComposition(15, 1)
        else:
            assert (run.method.backbone_name, run.method.starts) == ("resnet34 U-Net", {"weights": "none"})


def test_all_techniques_of_the_small_segmentation_study_take_the_same_number_of_steps() -> None:
    runs = [run.config for run in plan_study(load_study(SHIPPED / "small" / "segmentation.yaml"), Path("out"))]
    trained = [run for run in runs if not run.method.fitted]
    assert {(run.epochs, run.epoch_steps, run.batch_size) for run in trained} == {(20, 20, 16)}
    needs_an_encoder = {"frozen_segmenter", "frozen_teacher"}  # a random one is worth nothing
    assert {run.method.name for run in runs} == {
        str(method.model_fields["name"].default)
        for method in METHOD_CONFIGS
        if "segmentation" in method.tasks and not method.unlabelled
    } - needs_an_encoder
    assert all(run.method == run.method.from_scratch() for run in runs)  # nothing to download


def leaves(tree: dict[str, Any], prefix: Sequence[str] = ()) -> list[str]:
    return [
        name
        for key, value in tree.items()
        for name in (leaves(value, (*prefix, key)) if isinstance(value, dict) else [".".join((*prefix, key))])
    ]


def test_a_saved_config_holds_every_setting(tmp_path: Path) -> None:
    save_run_config(config_with(), tmp_path / "config.yaml")
    saved = leaves(yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8")))
    of_method = {f"method.{name}" for name in setting_names(SupervisedConfig)}
    wanted = {name for name in setting_names(RunConfig) if not name.startswith("method.")} | of_method
    # Empty, as no setting was given as auto and no external test set is named.
    wanted = {name for name in wanted if name.partition(".")[0] not in ("auto", "tests")}
    assert set(saved) == {name for name in wanted if not any(other.startswith(f"{name}.") for other in wanted)}
