"""`s4mi simulate`: from a run or study file to learning curves, and its messages on bad input."""

import csv
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import TRANSFER, Command

SIMCLR: dict[str, Any] = {
    "name": "simclr", "backbone": "tiny_resnet", "weights": "none", "hidden": 16, "projection": 8
}  # fmt: skip


@pytest.fixture
def settings(lesions: Path, cache_dir: Path) -> dict[str, Any]:
    return {
        "data": {"path": str(lesions), "image_size": 32, "cache": str(cache_dir)},
        "epochs": 1, "batch_size": 8, "hardware": {"accelerator": "cpu"},
    }  # fmt: skip


@pytest.fixture
def run_file(tmp_path: Path, settings: dict[str, Any]) -> Path:
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({**settings, "method": TRANSFER}), encoding="utf-8")
    return tmp_path / "run.yaml"


@pytest.fixture
def study_file(tmp_path: Path, settings: dict[str, Any]) -> Path:
    """A study of two arms, one from scratch and one from SimCLR."""
    contents = {
        "data": settings.pop("data"), "settings": settings, "pretraining": {"simclr": {"method": SIMCLR}},
        "arms": [
            {"name": "scratch", "method": TRANSFER}, {"name": "tuned", "method": TRANSFER, "pretraining": "simclr"},
        ],
    }  # fmt: skip
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(contents), encoding="utf-8")
    return tmp_path / "study.yaml"


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "simulation.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.long
def test_a_run_file_is_simulated_and_more_rounds_resume_it(s4mi: Command, run_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ["-o", out, "--strategies", "random,entropy", "--seeds", "3", "-n", "6", "--start", "10"]
    options += ["--per-patient", "0"]
    done = s4mi("simulate", run_file, "optim.lr=1e-3", *options, "--rounds", "1")
    assert done.returncode == 0, done.stderr
    assert "seed 3, entropy, round 1: " in done.stdout
    assert done.stdout.splitlines()[-1].startswith(f"written: {out / 'simulation.csv'}, ")
    assert {(row["strategy"], row["seed"], row["round"]) for row in rows(out)} == {
        (strategy, "3", number) for strategy in ("random", "entropy") for number in ("0", "1")
    }
    assert "lr: 0.001" in (out / "runs/seed3/start/run-seed3/config.yaml").read_text(encoding="utf-8")
    records = {path: path.read_bytes() for path in out.rglob("record.json")}
    again = s4mi("simulate", run_file, "optim.lr=1e-3", *options, "--rounds", "2")
    assert again.returncode == 0, again.stderr
    assert len(rows(out)) == 6
    assert {path: path.read_bytes() for path in records} == records
    other = s4mi("simulate", run_file, *options, "--rounds", "1")
    assert "simulation.json: the folder contains another simulation (run " in other.stderr


def test_an_arm_of_a_study_is_simulated_after_its_pre_training(s4mi: Command, study_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ["-o", out, "--strategies", "random,k-centre", "--seeds", "0", "-n", "6", "--rounds", "1"]
    done = s4mi("simulate", study_file, "settings.epochs=1", *options, "--per-patient", "0", "--arm", "tuned")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("pretraining/simclr-seed0: pre-training\n")
    assert (out / "pretraining/simclr-seed0/record.json").exists()
    assert {row["round"] for row in rows(out)} == {"0", "1"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--strategies", " , "], "--strategies ' , ': no strategy; pass names separated by commas"),
        (["--strategies", "entropie"], "did you mean 'entropy'?"),
        (["--seeds", "a"], "--seeds 'a': not a list of seeds; pass integers of at least 0 separated by commas"),
        (["--seeds", "-1"], "--seeds '-1': not a list of seeds"),
        (["--seeds", ""], "--seeds '': not a list of seeds"),
        (["--arm", "tuned"], "--arm 'tuned': {file} is a run file, which has no arms; omit --arm"),
    ],
)
def test_bad_options_are_refused_in_one_line(
    s4mi: Command, run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    done = s4mi("simulate", run_file, "-o", tmp_path / "out", *options)
    assert done.returncode == 1
    assert message.format(file=run_file) in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_the_arm_of_a_study_must_be_named(s4mi: Command, study_file: Path, tmp_path: Path) -> None:
    done = s4mi("simulate", study_file, "-o", tmp_path / "out")
    assert done.stderr.strip().endswith("has several arms; choose one with --arm: scratch, tuned")
    done = s4mi("simulate", study_file, "-o", tmp_path / "out", "--arm", "tune")
    assert done.stderr.strip().endswith("unknown arm 'tune'; did you mean 'tuned'?; its arms: scratch, tuned")
    assert not (tmp_path / "out").exists()


def test_suggest_no_longer_simulates(s4mi: Command, run_file: Path) -> None:
    done = s4mi("suggest", run_file, "data", "--simulate")
    assert done.returncode == 2
    assert "No such option" in done.stderr
