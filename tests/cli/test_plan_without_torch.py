"""A study is planned, its data sets are checked and its questions are answered without torch."""

import os
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


def outcome(code: str, *arguments: object, caches: Path) -> subprocess.CompletedProcess[str]:
    """Run code where no weights are at hand; such files would be read with torch."""
    words = [sys.executable, "-c", code, *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name != "S4MI_WEIGHTS"}
    environment |= {"TORCH_HOME": str(caches), "HF_HOME": str(caches), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


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
            {"name": "best", "method": {"name": "frozen", "backbone": "auto", "weights": "auto"}},
        ],
    }  # fmt: skip
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    done = outcome(PLAN, tmp_path / "study.yaml", caches=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "22 runs" in done.stdout
    assert "smallest difference" in done.stdout


def test_the_settings_of_all_methods_and_of_a_run_import_no_torch(tmp_path: Path) -> None:
    done = outcome(SETTINGS, caches=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("config", METHOD_CONFIGS, ids=lambda config: config.__name__)
def test_settings_stand_in_a_file_named_for_that_of_their_method(config: type) -> None:
    _, settings, kind, name = config.__module__.split(".")
    assert settings == "settings"
    assert (ROOT / "src" / "s4mi" / "methods" / kind / f"{name}.py").is_file()
