"""`s4mi study`, and `s4mi train` of what needs no labels, as a user meets them."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import TRANSFER
from s4mi.cli import main
from s4mi.config import RunConfig, load_study, plan_study, save_run_config
from s4mi.recipes.train import train
from s4mi.records import read_any_record, read_pretraining, read_record

Quick = Callable[..., RunConfig]
SIMCLR: dict[str, Any] = {
    "name": "simclr", "backbone": "tiny_resnet", "weights": "none", "hidden": 16, "projection": 8
}  # fmt: skip


@dataclass(frozen=True)
class Done:
    """What a command left: its exit status and what it printed."""

    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Done]


@pytest.fixture
def s4mi(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command line in this process, through the same `main` as the installed program."""

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["s4mi", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        code = left.value.code
        return Done(code if isinstance(code, int) else 0, *capsys.readouterr())

    return run


@pytest.fixture
def study(tmp_path: Path, lesions: Path, cache_dir: Path) -> Path:
    """A study file: an arm from scratch and one from SimCLR, at one label fraction and two seeds."""
    contents = {
        "data": {"path": str(lesions), "image_size": 32, "cache": str(cache_dir)},
        "label_fractions": [100],
        "seeds": [0, 1],
        "settings": {
            "epochs": 1, "batch_size": 8, "hardware": {"accelerator": "cpu", "checkpoint_seconds": 0},
        },
        "pretraining": {"simclr": {"method": SIMCLR}},
        "arms": [{"method": TRANSFER}, {"method": TRANSFER, "pretraining": "simclr"}],
    }  # fmt: skip
    (tmp_path / "compared.yaml").write_text(yaml.safe_dump(contents), encoding="utf-8")
    return tmp_path / "compared.yaml"


def test_a_plan_lists_every_run_with_its_hash_and_what_it_starts_from(s4mi: Command, study: Path) -> None:
    done = s4mi("study", "plan", study)
    assert done.returncode == 0, done.stderr
    *lines, total = done.stdout.splitlines()
    planned = list(plan_study(load_study(study), Path()))
    assert len(lines) == len(planned) == 6
    for line, run in zip(lines, planned, strict=True):
        assert line.split()[:2] == [run.name, run.config.hash]
        assert line.endswith(f"from {run.needs}" if run.needs else run.config.hash)
    assert total == "6 runs, 2 without labels"
    assert s4mi("study", "plan", study, "seeds=[0]").stdout.splitlines()[-1] == "3 runs, 1 without labels"


def test_planning_makes_no_file_and_reads_no_image(s4mi: Command, study: Path, tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    done = s4mi("study", "plan", study, "data.path=/nowhere", f"data.cache={tmp_path / 'cache'}")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["compared.yaml"]


@pytest.mark.parametrize("command", [["plan"], ["run", "-o", "out"]])
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sedes=[0]", "compared.yaml: sedes is no setting; did you mean 'seeds'?"),
        ("settings.epocs=3", "epocs is no setting; did you mean 'epochs'?"),
        ("pretraining.simclr.method.nam=x", "compared.yaml: pretraining 'simclr': method.nam is no setting"),
        ("seeds", "'seeds' is no setting; write key=value"),
    ],
)
def test_a_wrong_study_is_one_line_before_anything_runs(
    s4mi: Command, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], override: str,
    message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    done = s4mi("study", command[0], study, override, *command[1:])
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_study_is_run_told_and_reported_and_not_run_twice(s4mi: Command, study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = s4mi("study", "run", study, "seeds=[0]", "-o", out)
    assert done.returncode == 0, done.stderr
    runs = [run.name for run in plan_study(load_study(study, ["seeds=[0]"]), out)]
    said = [line for line in done.stdout.splitlines() if re.match(r"(runs|pretraining)/", line)]
    assert [line.split(":")[0] for line in said] == runs
    assert said[0].startswith(f"{runs[0]}: 1 epochs in ")
    for name, line in zip(runs[1:], said[1:], strict=True):
        record = read_record(out / name)
        assert record.test is not None
        assert line.startswith(f"{name}: {record.metric} {getattr(record.test, record.metric):.3f} in ")
    assert done.stdout.splitlines()[-1] == f"report: {out / 'report.html'}"
    page = (out / "report.html").read_text()
    assert "compared" in page
    assert "simclr" in page
    records = {name: (out / name / "record.json").read_bytes() for name in runs}
    again = s4mi("study", "run", study, "seeds=[0]", "-o", out)
    assert again.returncode == 0, again.stderr
    assert [line for line in again.stdout.splitlines() if re.match(r"(runs|pretraining)/", line)] == said
    assert {name: (out / name / "record.json").read_bytes() for name in runs} == records


def test_a_run_that_fails_is_named_with_its_reason_and_the_exit_status_says_so(
    s4mi: Command, study: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    bad = "pretraining.simclr.method={name: simmim, backbone: tiny_resnet, weights: none, square: 7}"
    done = s4mi("study", "run", study, "seeds=[0]", bad, "-o", out)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0].startswith("pretraining/simclr-seed0: failed: method.square 7 does not divide")
    assert lines[1].endswith(": failed: pretraining/simclr-seed0, which it starts from, has failed")
    assert lines[2].startswith("2 of 3 runs failed")
    assert "Traceback" not in done.stderr
    assert "runs/transfer-from-scratch-tiny_resnet-100pct-seed0: f1_macro" in done.stdout
    assert (out / "report.html").exists()


@pytest.mark.parametrize(
    ("override", "reason", "failed"),
    [
        ("data.path=/nowhere", "/nowhere/dataset.yaml: not there", "3 of 3"),
        # pre-training ends well, and then there is no run to make a table of
        (
            "arms=[{method: {name: finetune, backbone: tiny_vit, weights: none}, pretraining: simclr}]",
            "is a pre-training run of tiny_resnet, not of 'tiny_vit'",
            "1 of 2",
        ),
    ],
)
def test_a_study_without_a_single_result_still_ends_in_lines(
    s4mi: Command, study: Path, tmp_path: Path, override: str, reason: str, failed: str
) -> None:
    done = s4mi("study", "run", study, "seeds=[0]", override, "-o", tmp_path / "out")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert reason in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"{failed} runs failed")


def test_pre_training_is_told_with_its_health_and_how_to_go_on(
    s4mi: Command, tmp_path: Path, lesions: Path, quick: Quick
) -> None:
    save_run_config(quick(lesions, SIMCLR), tmp_path / "run.yaml")
    run = tmp_path / "simclr"
    done = s4mi("train", tmp_path / "run.yaml", "epochs=2", "health.knn=true", "-o", run)
    assert done.returncode == 0, done.stderr
    assert "tiny_resnet std 0." in done.stderr
    assert "epoch 2/2" in done.stderr
    record = read_pretraining(run)
    text = " ".join(done.stdout.split())
    assert f"simclr (tiny_resnet) on synthetic-lesions (synthetic): {record.images} images without labels, 2 ep" in text
    start, end = record.start.features["tiny_resnet"], record.end.features["tiny_resnet"]
    for part in (
        f"{start.std:.3f} → {end.std:.3f} of 1",
        f"{start.effective_rank:.1f} → {end.effective_rank:.1f} of 128",
        f"{record.start.knn['tiny_resnet']:.3f} → {record.end.knn['tiny_resnet']:.3f}",
    ):
        assert part in text
    (advice,) = [line for line in done.stdout.splitlines() if line.startswith("fine-tune it with: ")]
    settings = advice.removeprefix("fine-tune it with: ").split()

    # What it advises works as it stands.
    save_run_config(quick(lesions, {**TRANSFER, "backbone": "tiny_vit"}, epochs=1), tmp_path / "tune.yaml")
    tuned = s4mi("train", tmp_path / "tune.yaml", *settings, "-o", tmp_path / "tuned")
    assert tuned.returncode == 0, tuned.stderr
    assert "simclr (tiny_resnet) on synthetic-lesions (synthetic): " in tuned.stdout
    assert f"started from simclr, 2 epochs on {record.images} images without labels" in " ".join(tuned.stdout.split())
    assert read_record(tmp_path / "tuned").pretraining is not None


def test_commands_that_need_answers_refuse_a_pre_training_run_in_a_line(
    s4mi: Command, tmp_path: Path, lesions: Path, quick: Quick
) -> None:
    train(quick(lesions, SIMCLR, epochs=1), tmp_path / "run")
    assert read_any_record(tmp_path / "run").method == "simclr"
    for command in (["evaluate", tmp_path / "run"], ["predict", tmp_path / "run", lesions / "images", "-o",
                                                     tmp_path / "out"]):  # fmt: skip
        done = s4mi(*command)
        assert done.returncode == 1
        assert "fine-tune it first" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
