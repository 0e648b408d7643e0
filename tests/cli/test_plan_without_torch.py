"""A study is planned, its data sets are checked and its questions are answered without torch."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from s4mi.config import METHOD_CONFIGS

ROOT = Path(__file__).parents[2]
HEAVY = "{'torch', 'timm', 'torchvision', 'segmentation_models_pytorch', 'lightning_fabric'}"
PLAN = f"""
import gc, sys
from s4mi.cli import app
try:
    app(['study', 'plan', *sys.argv[1:]])
except SystemExit as leaving:
    assert not leaving.code
assert gc.isenabled()
assert not {HEAVY} & set(sys.modules), {HEAVY} & set(sys.modules)
"""
SETTINGS = f"""
import sys, pkgutil, importlib, s4mi.settings, s4mi.config.run
for module in pkgutil.walk_packages(s4mi.settings.__path__, 's4mi.settings.'):
    importlib.import_module(module.name)
assert not {HEAVY} & set(sys.modules), {HEAVY} & set(sys.modules)
"""


def outcome(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_planning_a_study_imports_no_torch(lesions: Path, tmp_path: Path) -> None:
    study = {
        "profile": "small",
        "data": {"path": str(lesions)},
        "seeds": [0, 1],
        "label_fractions": [50, 100],
        "pretraining": {"dino": {"method": "dino", "backbones": ["tiny_resnet"]}},
        "arms": [
            {"name": "scratch", "method": "finetune", "backbones": ["tiny_resnet"]},
            {"name": "dino", "method": "finetune", "pretraining": "dino", "backbones": ["tiny_resnet"]},
            {"name": "frozen", "method": {"name": "frozen", "join": []}, "pretraining": "dino",
             "backbones": ["tiny_resnet"]},
            {"name": "dedl", "method": "dedl"},
        ],
    }  # fmt: skip
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    done = outcome(PLAN, tmp_path / "study.yaml")
    assert done.returncode == 0, done.stderr
    assert "18 runs" in done.stdout
    assert "smallest difference" in done.stdout


def test_the_settings_of_all_methods_and_of_a_run_import_no_torch() -> None:
    done = outcome(SETTINGS)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("config", METHOD_CONFIGS, ids=lambda config: config.__name__)
def test_settings_stand_in_a_file_named_for_that_of_their_method(config: type) -> None:
    _, settings, kind, name = config.__module__.split(".")
    assert settings == "settings"
    assert (ROOT / "src" / "s4mi" / "methods" / kind / f"{name}.py").is_file()
