"""The command line as a user meets it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import DEDL, Command
from s4mi.config import RunConfig, save_run_config

Quick = Callable[..., RunConfig]


def test_help_imports_neither_torch_nor_timm() -> None:
    code = (
        "import sys\nfrom s4mi.cli import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('torch', 'timm', 'monai', 'numpy', 'polars') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "methods", "demo", "data"])
def test_help_names_every_command(s4mi: Command, command: str) -> None:
    assert command in s4mi("--help").stdout


def test_methods_are_listed_with_their_papers(s4mi: Command) -> None:
    shown = " ".join(s4mi("methods").stdout.split())
    for word in ("finetune", "dedl", "Singh", "Cirrone"):
        assert word in shown


@pytest.mark.long
def test_a_run_is_trained_evaluated_and_used_by_commands_alone(
    s4mi: Command, tmp_path: Path, lesions: Path, quick: Quick
) -> None:
    save_run_config(quick(lesions, DEDL), tmp_path / "run.yaml")
    run = tmp_path / "run"
    trained = s4mi("train", tmp_path / "run.yaml", "epochs=2", "method.decoder_channels=[8, 8, 8]", "-o", run)
    assert trained.returncode == 0, trained.stderr
    assert "epoch 2/2" in trained.stderr
    assert "images/s" in trained.stderr
    assert "(synthetic)" in trained.stdout
    scores = json.loads(s4mi("evaluate", run, "--split", "test", "--json").stdout)
    assert scores["kind"] == "segmentation"
    assert f"{scores['iou']:.4f}" in s4mi("evaluate", run).stdout
    predicted = s4mi("predict", run, lesions / "images", "-o", tmp_path / "masks")
    assert predicted.returncode == 0, predicted.stderr
    assert len(list((tmp_path / "masks").glob("*.png"))) == 60


@pytest.mark.long
def test_clusters_are_found_looked_at_named_and_predicted_by_commands_alone(
    s4mi: Command, tmp_path: Path, lesions: Path, quick: Quick
) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    assert s4mi("data", "import", "folder", lesions / "images", "-o", data).returncode == 0
    method = {"name": "picie", "backbone": "tiny_resnet", "weights": "none", "width": 16, "clusters": 3}
    save_run_config(quick(data, method, epochs=1), tmp_path / "run.yaml")
    trained = s4mi("train", tmp_path / "run.yaml", "-o", run)
    assert trained.returncode == 0, trained.stderr
    assert ": 60 unlabelled images, 1 epoch, " in trained.stdout
    assert "best epoch" not in trained.stdout
    assert f"see the clusters with: s4mi predict {run} IMAGES -o OUT --clusters\n" in trained.stdout
    looked = s4mi("predict", run, data, "-o", tmp_path / "look", "--clusters")
    assert looked.returncode == 0, looked.stderr
    assert f"contact sheet of the clusters: {tmp_path / 'look' / 'clusters.png'}\n" in looked.stdout
    names = "classes: {0: background, 1: lesion, 2: background}"
    assert f"name clusters in {run / 'config.yaml'}, section method, e.g. {names}\n" in looked.stdout
    settings = (run / "config.yaml").read_text(encoding="utf-8")
    (run / "config.yaml").write_text(settings.replace("classes: null", names), encoding="utf-8")
    predicted = s4mi("predict", run, data, "-o", tmp_path / "masks", "--overlay")
    assert "overlays (lesion sky blue)" in predicted.stdout
    assert len(list((tmp_path / "masks").glob("*.png"))) == 60


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["method.encodr=resnet18"], "unknown setting method.encodr; did you mean 'method.encoder'?"),
        (["epochs=many"], "epochs: "),
        (["optim.lr"], "'optim.lr' is not a valid override; write key=value"),
        (["data.path=/nowhere"], "/nowhere/dataset.yaml: does not exist"),
        (["method.encoder=resnet19"], "encoder 'resnet19' is unknown; did you mean 'resnet18'?"),
        (["method.class_weights=[1, 2, 3]"], "class_weights names 3 numbers but there are 2 classes"),
        (
            ["method={name: mean_teacher, labelled_per_batch: 99}"],
            "labelled_per_batch must be below batch_size 8",
        ),
    ],
)
def test_bad_input_is_one_line_and_no_traceback(
    s4mi: Command, tmp_path: Path, lesions: Path, quick: Quick, arguments: list[str], message: str
) -> None:
    save_run_config(quick(lesions, DEDL), tmp_path / "run.yaml")
    done = s4mi("train", tmp_path / "run.yaml", *arguments, "-o", tmp_path / "run")
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
