"""A method in a package of its own is installed, listed, trained, and compared in a study like ours."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from conftest import TRANSFER
from s4mi.records import read_record

EXAMPLE = Path(__file__).parents[1] / "examples/own_method"
RUN_COMMANDS = """
import json, sys
from s4mi.cli import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["s4mi", *arguments]
    try:
        main()
    except SystemExit as end:
        print("exit", end.code or 0)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example package installed by pip, as its users do."""
    folder = tmp_path_factory.mktemp("own_method")
    shutil.copytree(EXAMPLE, folder / "source")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run(
        [*pip, "--target", folder / "site", folder / "source"], check=True, env={**os.environ, "PIP_NO_INPUT": "1"}
    )
    return folder / "site"


@pytest.mark.long
def test_it_is_listed_trained_and_compared(installed: Path, lesions: Path, cache_dir: Path, tmp_path: Path) -> None:
    settings = {
        "data": {"path": str(lesions), "image_size": 32, "cache": str(cache_dir)},
        "epochs": 2, "batch_size": 8, "hardware": {"accelerator": "cpu", "checkpoint_seconds": 0},
    }  # fmt: skip
    mixup = {"name": "mixup", "backbone": "tiny_resnet", "weights": "none", "alpha": 0.4}
    run = {**settings, "method": mixup}
    study = {
        "data": settings.pop("data"), "label_fractions": [100], "seeds": [0], "settings": settings,
        "arms": [{"method": TRANSFER}, {"method": mixup}],
    }  # fmt: skip
    for name, contents in (("run", run), ("study", study)):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(contents), encoding="utf-8")
    commands = [
        ["methods"],
        ["train", "run.yaml", "-o", "one"],
        ["evaluate", "one"],
        ["train", "run.yaml", "method.alpah=1", "-o", "two"],
        ["train", "run.yaml", "method.name=mixpu", "-o", "two"],
        ["study", "run", "study.yaml", "-o", "compared", "--workers", "1"],
    ]
    path = os.pathsep.join([str(installed), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", RUN_COMMANDS, json.dumps(commands)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.findall(r"^exit (\d+)$", done.stdout, flags=re.MULTILINE) == ["0", "0", "0", "1", "1", "0"], done.stderr
    listed, trained = done.stdout.split("exit 0\n")[:2]
    assert "s4mi-mixup 0.1.0" in listed
    assert "mixed" in (tmp_path / "one/metrics.csv").read_text(encoding="utf-8")
    record = read_record(tmp_path / "one")
    assert (record.method, record.backbone) == ("mixup", "tiny_resnet")
    assert f"{record.test.f1_macro:.4f}" in trained  # type: ignore[union-attr]
    assert "did you mean 'method.alpha'?" in done.stderr
    assert "method 'mixpu' is unknown; did you mean 'mixup'?" in done.stderr
    names = {read_record(run).method for run in (tmp_path / "compared/runs").iterdir()}
    assert names == {"finetune", "mixup"}
    assert "mixup" in (tmp_path / "compared/report.html").read_text(encoding="utf-8")
