"""Arms of a study that share technique and network are rows of their own, named as the study file names them."""

from pathlib import Path

import pytest

from made_records import record, write_run
from s4mi.api.studies import Study
from s4mi.reporting.results.arms import arm_of, with_arms
from s4mi.reporting.results.comparison import compare, comparison_warnings
from s4mi.reporting.results.runs import load_runs


@pytest.mark.parametrize(
    ("directory", "arm"),
    [
        ("runs/small-lr-10pct-seed0", "small-lr"),
        ("lesions/runs/transfer-resnet50-0.5pct-v2-seed13", "transfer-resnet50"),
        ("runs/unet-14images-seed0", "unet"),
        ("runs/unet-1patient-seed0", "unet"),
        ("runs/a-10pct-b-20pct-seed0", "a-10pct-b"),
        ("runs/unet-saved-seed0", "unet"),
        ("small-lr-10pct-seed0", ""),
        ("runs/small-lr", ""),
        ("pretraining/dino-seed0", ""),
    ],
)
def test_the_arm_of_a_folder(directory: str, arm: str) -> None:
    assert arm_of(directory) == arm


def test_two_learning_rates_of_one_method_are_two_rows(tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        write_run(tmp_path / f"runs/small-lr-10pct-seed{seed}", record(0.5, seed=seed))
        write_run(tmp_path / f"runs/large-lr-10pct-seed{seed}", record(0.7, seed=seed))
    runs, _ = load_runs(tmp_path)
    records = [run.record for run in runs]
    (comparison,) = compare(records)
    assert [one.name for one in comparison.techniques] == ["transfer: large-lr", "transfer: small-lr"]
    assert not [line for line in comparison_warnings(records) if "2 runs" in line]
    table = Study(tmp_path).table
    means = {row["method"]: (row["n"], round(row["mean"], 6)) for row in table.iter_rows(named=True) if row["backbone"]}
    assert means == {"transfer: small-lr": (3, 0.5), "transfer: large-lr": (3, 0.7)}


def test_arms_that_nothing_else_stands_beside_keep_the_name_of_their_technique() -> None:
    apart = {
        "runs/few-10pct-seed0": record(0.5, fraction=10),
        "runs/all-100pct-seed0": record(0.7, fraction=100),
        "lesions/runs/other-10pct-seed0": record(0.6, fraction=10, dataset="other"),
    }
    assert with_arms(apart) == apart


def test_a_technique_has_arms_at_all_its_labels_if_it_has_at_some() -> None:
    found = with_arms(
        {
            "runs/one-10pct-seed0": record(0.5, fraction=10),
            "runs/two-10pct-seed0": record(0.6, fraction=10),
            "runs/one-100pct-seed0": record(0.7, fraction=100),
        }
    )
    assert {each.technique for each in found.values()} == {"transfer: one", "transfer: two"}
    assert found["runs/one-100pct-seed0"].technique == "transfer: one"


def test_runs_that_are_no_arms_are_repeated_runs_as_before() -> None:
    runs = {"first": record(0.5), "second": record(0.6)}
    assert with_arms(runs) == runs
