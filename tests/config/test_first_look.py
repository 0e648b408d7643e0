"""The first look at settings: quick, as strict about names as validation, and never stricter."""

import subprocess
import sys
from pathlib import Path

import pytest

from s4mi.config import METHODS, load_run_config, load_study
from s4mi.config.first_look import look_at_run, look_at_study, setting_names, unknown_setting
from s4mi.config.packaged_studies import packaged_studies
from s4mi.errors import S4miError

ROOT = Path(__file__).parents[2]
RUNS = sorted((ROOT / "studies" / "single").glob("*.yaml"))
STUDIES = [path for path in sorted((ROOT / "studies").rglob("*.yaml")) if path not in RUNS]


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_nothing_valid_is_refused(path: Path) -> None:
    look_at_run(path, data=False)


@pytest.mark.parametrize(
    "path", [*STUDIES, *packaged_studies().values()], ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_no_valid_study_is_refused(path: Path) -> None:
    look_at_study(path, ["data.path=mine"] if "data:" in path.read_text(encoding="utf-8") else [])


@pytest.mark.parametrize(
    "override",
    ["optim.learning_rate=1", "optim.momentun=0", "epoch=3", "lr=1", "method.encodr=x", "method.views.rotaton=1",
     "method.backbone=x", "xyzzy=1", "data.image_siz=3", "hardware.wd=1", "optim.wd=1"],
)  # fmt: skip
def test_unknown_names_are_described_as_by_validation(override: str) -> None:
    path = ROOT / "studies" / "single" / "dedl-small.yaml"
    with pytest.raises(S4miError) as first:
        look_at_run(path, [override])
    with pytest.raises(S4miError) as full:
        load_run_config(path, [override])
    assert str(first.value) == str(full.value)


@pytest.mark.parametrize("override", ["sedes=[0]", "data.image_siz=3", "split.fould=1"])
def test_unknown_names_of_a_study_are_described_as_by_validation(override: str) -> None:
    path = packaged_studies()["first-answer"]
    with pytest.raises(S4miError) as first:
        look_at_study(path, [override])
    with pytest.raises(S4miError) as full:
        load_study(path, [override])
    assert str(first.value) == str(full.value)


def test_words_and_their_initials_stand_for_each_other() -> None:
    assert unknown_setting({"optim": {"learning_rate": 1}}) == (
        "unknown setting optim.learning_rate; did you mean 'optim.lr'?"
    )
    assert unknown_setting({"optim": {"wd": 1}}) == "unknown setting optim.wd; did you mean 'optim.weight_decay'?"


def test_settings_of_a_method_from_elsewhere_are_left_to_validation() -> None:
    assert unknown_setting({"data": {"path": "x"}, "method": {"name": "theirs", "anything": 1}}) == ""
    assert "unknown setting optim.x" in unknown_setting({"method": "theirs", "optim": {"x": 1}})


def test_earlier_names_and_short_forms_are_known() -> None:
    assert (
        unknown_setting({"method": {"name": "finetune", "linear_probe": True}, "loggers": ["csv"], "optim": None}) == ""
    )


def test_the_names_are_those_of_all_methods() -> None:
    ours = {name for name, method in METHODS.working().items() if method.origin == "s4mi"}
    assert ours <= set(setting_names())


def test_a_missing_data_set_is_named(tmp_path: Path) -> None:
    path = ROOT / "studies" / "single" / "dedl-small.yaml"
    with pytest.raises(S4miError, match=r"dataset\.yaml: does not exist; create it with: s4mi data import"):
        look_at_run(path, [f"data.path={tmp_path / 'none'}"])
    look_at_run(path, [f"data.path={tmp_path / 'none'}"], data=False)


@pytest.mark.parametrize(
    "arguments",
    [["train", "none.yaml", "-o", "x"], ["train", "RUN", "-o", "x", "optim.learning_rate=1"],
     ["train", "RUN", "-o", "x", "data.path=none"], ["study", "run", "none.yaml", "-o", "x"],
     ["study", "plan", "first-answer", "sedes=1"]],
)  # fmt: skip
def test_a_mistake_is_named_without_torch(arguments: list[str], tmp_path: Path) -> None:
    run = str(ROOT / "studies" / "single" / "dedl-small.yaml")
    arguments = [run if argument == "RUN" else argument for argument in arguments]
    code = (
        "import sys\nfrom s4mi.cli import main\nsys.argv[1:] = " + repr(arguments) + "\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code, end.code\nelse:\n    raise AssertionError\n"
        "print(sorted({'torch', 'timm', 'sklearn', 'matplotlib'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("[]"), done.stdout
    assert done.stderr.startswith("error: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
