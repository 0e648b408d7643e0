"""`s4mi study`, and `s4mi train` without labels, as a user sees them."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import TRANSFER, Command, Done
from s4mi.config import RunConfig, load_study, plan_study, save_run_config
from s4mi.recipes.train import train
from s4mi.records import read_any_record, read_pretraining, read_record
from s4mi.studies.run_id import run_identities

Quick = Callable[..., RunConfig]
SIMCLR: dict[str, Any] = {
    "name": "simclr", "backbone": "tiny_resnet", "weights": "none", "hidden": 16, "projection": 8
}  # fmt: skip


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal wide enough that no line is wrapped."""
    monkeypatch.setenv("COLUMNS", "200")


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


def lines_of_runs(done: Done) -> list[str]:
    """The printed lines on runs that have ended."""
    lines = (line for line in done.stdout.splitlines() if not line.endswith((": started", ": started again")))
    return [line for line in lines if re.match(r"(runs|pretraining)/", line)]


def test_a_plan_is_a_tree_of_every_run_once_with_its_id(s4mi: Command, study: Path) -> None:
    hashes = {name: one.id for name, one in run_identities(list(plan_study(load_study(study), Path()))).items()}
    assert len(hashes) == 6
    done = s4mi("study", "plan", study)
    assert done.returncode == 0, done.stderr
    *lines, total = done.stdout.splitlines()
    assert lines[:6] == [
        f"{branch}{name}  {hashes[name]}"
        for branch, name in (
            ("", "pretraining/simclr-seed0"),
            ("└── ", "runs/simclr-tiny_resnet-100pct-seed0"),
            ("", "runs/transfer-from-scratch-tiny_resnet-100pct-seed0"),
            ("", "pretraining/simclr-seed1"),
            ("└── ", "runs/simclr-tiny_resnet-100pct-seed1"),
            ("", "runs/transfer-from-scratch-tiny_resnet-100pct-seed1"),
        )
    ]
    assert lines[6] == "synthetic-lesions, multi-class classification:"
    assert lines[7].startswith("  2 techniques, 1 amount of labels, 2 seeds; about ")
    assert any(
        line.startswith("  smallest difference detected at 80 % power, corrected for 1 test: macro F1 ")
        for line in lines
    )
    assert any(line.startswith("  labels needed: not estimable beyond what is tested") for line in lines)
    assert total == "6 runs, 2 without labels"
    assert s4mi("study", "plan", study, "seeds=[0]").stdout.splitlines()[-1] == "3 runs, 1 without labels"


def test_planning_writes_no_file_and_reads_no_image(s4mi: Command, study: Path, tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    done = s4mi("study", "plan", study, "data.path=/nowhere", f"data.cache={tmp_path / 'cache'}")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["compared.yaml"]


@pytest.mark.parametrize("command", [["plan"], ["run", "-o", "out"]])
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sedes=[0]", "compared.yaml: unknown setting sedes; did you mean 'seeds'?"),
        ("settings.epocs=3", "unknown setting epocs; did you mean 'epochs'?"),
        ("pretraining.simclr.method.nam=x", "compared.yaml: pretraining 'simclr': unknown setting method.nam"),
        ("seeds", "'seeds' is not a valid override; write key=value"),
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


@pytest.mark.long
def test_a_study_is_trained_once_and_reported(s4mi: Command, study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = s4mi("study", "run", study, "seeds=[0]", "-o", out)
    assert done.returncode == 0, done.stderr
    runs = [run.name for run in plan_study(load_study(study, ["seeds=[0]"]), out)]
    lines = lines_of_runs(done)
    assert [line.split(":")[0] for line in lines] == runs
    assert lines[0].startswith(f"{runs[0]}: 1 epoch in ")
    for name, line in zip(runs[1:], lines[1:], strict=True):
        record = read_record(out / name)
        assert record.test is not None
        score = f"{record.metric} {getattr(record.test, record.metric):.3f} on {record.labels.test} test images, in "
        assert line.startswith(f"{name}: {score}")
        assert (out / name / "log.txt").exists()
    assert done.stdout.splitlines()[-1] == f"report: {out / 'report.html'}"
    page = (out / "report.html").read_text()
    assert "compared" in page
    assert "simclr" in page
    records = {name: (out / name / "record.json").read_bytes() for name in runs}
    again = s4mi("study", "run", study, "seeds=[0]", "-o", out)
    assert again.returncode == 0, again.stderr
    assert lines_of_runs(again) == []
    assert again.stdout.splitlines()[0] == "3 of 3 runs already finished"
    assert again.stdout.splitlines()[-1] == f"report: {out / 'report.html'}"
    assert {name: (out / name / "record.json").read_bytes() for name in runs} == records


def test_a_run_that_fails_is_named_with_its_reason_and_the_exit_status_says_so(
    s4mi: Command, study: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    bad = "pretraining.simclr.method={name: simmim, backbone: tiny_resnet, weights: none, square: 7}"
    done = s4mi("study", "run", study, "seeds=[0]", bad, "-o", out, "--workers", "0")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    reason = "method.square 7 does not divide"
    assert lines[0].startswith(f"pretraining/simclr-seed0: failed, will be retried: {reason}")
    assert lines[1].startswith(f"pretraining/simclr-seed0: failed: {reason}")
    assert lines[2].endswith(": not run: depends on pretraining/simclr-seed0, which failed")
    assert lines[3].startswith("1 of 3 runs failed, 1 not run; fix the errors above and rerun the same command")
    assert "Traceback" not in done.stderr
    assert "runs/transfer-from-scratch-tiny_resnet-100pct-seed0: f1_macro" in done.stdout
    page = (out / "report.html").read_text()
    assert reason in page
    assert "runs/simclr-tiny_resnet-100pct-seed0: not run: " in page
    plan = s4mi("study", "plan", study, "seeds=[0]", bad, "-o", out).stdout
    assert re.search(rf"pretraining/simclr-seed0  [0-9a-f]+  2 failed attempts: {reason}", plan)


@pytest.mark.long
def test_a_plan_shows_finished_runs_and_the_time_left(s4mi: Command, study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert s4mi("study", "run", study, "seeds=[0]", "-o", out, "--workers", "0").returncode == 0
    name = "runs/transfer-from-scratch-tiny_resnet-100pct-seed"
    for path in out.rglob("record.json"):
        record = json.loads(path.read_text())
        record["cost"]["seconds"] = 7200.0 if "pretraining" in str(path) else 120.0
        record["versions"]["timm"] = record["versions"]["timm"] if "scratch" in str(path) else "0.0.1"
        path.write_text(json.dumps(record))
    done = s4mi("study", "plan", study, "-o", out)
    assert done.returncode == 0, done.stderr
    lines = {re.sub(r"^[└├─│ ]+", "", line).split()[0]: line for line in done.stdout.splitlines()[:-1]}
    assert lines[f"{name}0"].endswith("  finished in 2 min")
    assert lines[f"{name}1"].endswith("  about 2 min")
    assert lines["pretraining/simclr-seed1"].endswith("  about 2 h 00 min")
    assert re.match(
        r"6 runs, 2 without labels; 3 finished, about 2 h 0\d min of training left$", done.stdout.splitlines()[-1]
    )
    assert re.search(r"timm 0\.0\.1 \(2 runs\), [0-9.]+ \(1 run and now\)", done.stderr)
    again = s4mi("study", "run", study, "seeds=[0]", "-o", out)
    assert again.returncode == 0, again.stderr
    assert "timm 0.0.1 (2 runs)" in (out / "report.html").read_text()


def test_a_study_that_does_not_fit_its_data_is_refused_before_anything_is_written(
    s4mi: Command, study: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = s4mi("study", "run", study, "data.path=/nowhere", "-o", out)
    assert done.returncode == 1
    assert done.stderr.strip() == "error: /nowhere/dataset.yaml: does not exist; create it with: s4mi data import"
    for command in (["run", "-o", out], ["plan"]):
        done = s4mi("study", command[0], study, "label_fractions=[1]", *command[1:])
        assert done.returncode == 1
        assert "has no labelled training image at 1 %" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert not out.exists()


@pytest.mark.long
def test_a_budget_is_planned_kept_and_printed(s4mi: Command, study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = s4mi("study", "plan", study, "budget=2 h")
    assert done.stdout.splitlines()[-1] == (
        "budget 2 h, 2 h 00 min left; which runs fit is known once some have been measured"
    )
    done = s4mi("study", "run", study, "seeds=[0]", "budget=0.000001 s", "-o", out, "--workers", "0")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "pretraining/simclr-seed0: skipped: the budget is exhausted"
    name = "runs/simclr-tiny_resnet-100pct-seed0"
    assert lines[1] == f"{name}: skipped: depends on pretraining/simclr-seed0, which was skipped"
    assert lines[-2] == (
        "0 of 3 runs done; left: 1 of simclr-seed0, 1 of transfer-from-scratch-tiny_resnet, 1 of simclr-tiny_resnet "
        "(no time left: rerun the same command with a larger budget to train them)."
    )
    assert lines[-2] in (out / "report.html").read_text()
    assert s4mi("study", "run", study, "seeds=[0]", "budget=1 h", "-o", out, "--workers", "0").returncode == 0
    done = s4mi("study", "plan", study, "budget=1 h", "-o", out)
    assert re.fullmatch(r"budget 1 h, \d+ min left: 3 of 3 runs fit, one after the other", done.stdout.splitlines()[-1])
    done = s4mi("study", "plan", study, "budget=0.001 s", "-o", out)
    assert done.stdout.splitlines()[-1].endswith("left: 0 of 3 runs fit, one after the other")
    assert done.stdout.count(" (exceeds the budget)") == 3


@pytest.mark.long
def test_the_report_of_a_study_counts_the_runs_of_its_plan_alone(s4mi: Command, study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert s4mi("study", "run", study, "seeds=[0]", "-o", out, "--workers", "0").returncode == 0
    arms = f"arms=[{{method: {json.dumps(TRANSFER)}}}]"
    done = s4mi("study", "run", study, "seeds=[0]", arms, "pretraining={}", "-o", out, "--workers", "0")
    assert done.returncode == 0, done.stderr
    page = (out / "report.html").read_text()
    assert "not included: 2 runs in this folder that the study no longer lists" in page
    assert "runs/simclr-tiny_resnet-100pct-seed0" not in page
    done = s4mi("study", "plan", study, "seeds=[0]", "settings.epochs=3", "-o", out)
    assert done.stdout.count("folder contains another run, which will be set aside") == 3


@pytest.mark.parametrize(
    ("override", "reason", "failed"),
    [
        # pre-training finishes, but there is no run for a table
        (
            "arms=[{method: {name: finetune, backbone: tiny_vit, weights: none}, pretraining: simclr}]",
            "is a pre-training run of tiny_resnet, not of 'tiny_vit'",
            "1 of 2 runs failed",
        ),
    ],
)
def test_a_study_without_a_single_result_still_ends_without_a_traceback(
    s4mi: Command, study: Path, tmp_path: Path, override: str, reason: str, failed: str
) -> None:
    done = s4mi("study", "run", study, "seeds=[0]", override, "-o", tmp_path / "out", "--workers", "0")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert reason in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"{failed}; ")


@pytest.mark.long
def test_pre_training_is_printed_with_feature_health_and_the_next_command(
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

    # The printed command works.
    save_run_config(quick(lesions, {**TRANSFER, "backbone": "tiny_vit"}, epochs=1), tmp_path / "tune.yaml")
    tuned = s4mi("train", tmp_path / "tune.yaml", *settings, "-o", tmp_path / "tuned")
    assert tuned.returncode == 0, tuned.stderr
    assert "simclr (tiny_resnet) on synthetic-lesions (synthetic): " in tuned.stdout
    assert f"started from simclr, 2 epochs on {record.images} images without labels" in " ".join(tuned.stdout.split())
    assert read_record(tmp_path / "tuned").pretraining is not None


def test_commands_that_predict_refuse_a_pre_training_run_in_one_line(
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
