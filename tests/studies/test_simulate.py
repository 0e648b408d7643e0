"""Simulated active learning: all strategies share the start, hidden labels stay hidden, finished rounds are kept."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import TRANSFER
from s4mi.active_learning.strategies import Strategy
from s4mi.config import PlannedRun, RunConfig
from s4mi.data.manifest import load_manifest
from s4mi.errors import S4miError
from s4mi.records import read_record
from s4mi.studies.simulate import SimulationOptions, simulate

Quick = Callable[..., RunConfig]
STRATEGIES = (Strategy("none", "none"), Strategy("entropy", "k-centre"))
OPTIONS = SimulationOptions(STRATEGIES, seeds=(0,), rounds=2, count=6, start=10, per_patient=0)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory, lesions: Path, quick: Quick) -> Path:
    """Two rounds of two strategies with one seed."""
    out = tmp_path_factory.mktemp("simulation") / "out"
    simulate([PlannedRun("run", quick(lesions, TRANSFER, epochs=1))], out, options=OPTIONS)
    return out


def split_of(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads((folder / "split.json").read_text())
    return found


@pytest.mark.long
def test_every_round_trains_on_the_images_chosen_so_far_and_no_others(simulated: Path) -> None:
    start = split_of(simulated / "runs" / "seed0" / "start")
    assert abs(len(start["labelled"]) - OPTIONS.start) <= 3  # whole patients
    for strategy in ("random", "entropy-x-k-centre"):
        known = {*start["labelled"]}
        for number in (1, 2):
            folder = simulated / "runs" / "seed0" / strategy / f"round{number}"
            chosen = json.loads((folder / "chosen.json").read_text())
            assert len(chosen) == 6
            assert not {*chosen} & known
            assert {*chosen} <= {*start["train"]}
            known |= {*chosen}
            split = split_of(folder / "run-seed0")  # written by the run itself
            assert {*split["labelled"]} == known
            assert [split[part] for part in ("train", "val", "test")] == [start[p] for p in ("train", "val", "test")]
            assert read_record(folder / "run-seed0").labels.train_labelled == len(start["labelled"]) + 6 * number


def test_the_table_contains_the_scores_of_the_records(simulated: Path) -> None:
    with (simulated / "simulation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert {row["f1_macro"] for row in rows if row["round"] == "0"} == {rows[0]["f1_macro"]}
    for row in rows:
        folder = simulated / "runs" / "seed0"
        location = folder / "start" if row["round"] == "0" else (
            folder / row["strategy"].replace("×", "-x-") / f"round{row['round']}"
        )  # fmt: skip
        record = read_record(location / "run-seed0")
        assert record.test is not None
        assert float(row["f1_macro"]) == pytest.approx(record.test.f1_macro, abs=1e-6)  # type: ignore[union-attr]
    for ending in ("svg", "png", "md"):
        assert (simulated / f"simulation.{ending}").stat().st_size > 500


def test_labels_that_a_run_is_chosen_with_are_in_the_table_if_they_count(
    lesions: Path, quick: Quick, tmp_path: Path
) -> None:
    options = replace(OPTIONS, strategies=STRATEGIES[:1], rounds=1, start=20)
    counted = quick(lesions, TRANSFER, epochs=1, labels={"count_validation": True})
    simulate([PlannedRun("run", counted)], tmp_path / "out", options=options)
    with (tmp_path / "out" / "simulation.csv").open(newline="") as file:
        labels = [int(row["labels"]) for row in csv.DictReader(file)]
    runs = tmp_path / "out" / "runs" / "seed0"
    records = [read_record(runs / folder / "run-seed0") for folder in ("start", "random/round1")]
    assert labels == [record.labels.n for record in records]
    assert labels[0] > records[0].labels.train_labelled
    assert labels[1] == labels[0] + options.count


@pytest.mark.long
def test_finished_rounds_are_kept_and_strategies_can_be_added(simulated: Path, lesions: Path, quick: Quick) -> None:
    records = {path: path.stat().st_mtime_ns for path in simulated.rglob("record.json")}
    options = SimulationOptions(
        (*STRATEGIES, Strategy("none", "typicality")), seeds=(0,), rounds=2, count=6, start=10, per_patient=0
    )
    lines: list[str] = []
    simulate(
        [PlannedRun("run", quick(lesions, TRANSFER, epochs=1))], simulated, options=options, on_message=lines.append
    )
    after = {path: path.stat().st_mtime_ns for path in simulated.rglob("record.json")}
    assert records.items() <= after.items()
    assert len(after) == len(records) + 2
    labels = len(split_of(simulated / "runs" / "seed0" / "start")["labelled"]) + 2 * OPTIONS.count
    assert any(f"typicality, round 2: {labels} labels" in line for line in lines)


@pytest.mark.long
def test_the_table_keeps_rounds_of_earlier_calls_while_a_new_call_is_running(
    tmp_path: Path, lesions: Path, quick: Quick
) -> None:
    """An interruption in the first new round must not remove rounds of other strategies from the table."""
    one, other, new = Strategy("none", "none"), Strategy("entropy", "none"), Strategy("none", "typicality")
    out, plan = tmp_path / "out", [PlannedRun("run", quick(lesions, TRANSFER, epochs=1))]
    options = SimulationOptions((one, other), seeds=(0,), rounds=1, count=6, start=10, per_patient=0)
    simulate(plan, out, options=options)
    table = out / "simulation.csv"
    before = table.read_text()

    def stop(line: str) -> None:
        if "typicality, round 1" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(plan, out, options=replace(options, strategies=(new, one, other)), on_message=stop)
    assert {*before.splitlines()} < {*table.read_text().splitlines()}
    simulate(plan, out, options=replace(options, strategies=(new, one, other)))
    assert {*before.splitlines()} < {*table.read_text().splitlines()}
    assert len(table.read_text().splitlines()) == 1 + 6


@pytest.mark.long
def test_an_invalid_table_is_refused(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    out, plan = tmp_path / "out", [PlannedRun("run", quick(lesions, TRANSFER, epochs=1))]
    options = SimulationOptions((Strategy("none", "none"),), seeds=(0,), rounds=1, count=6, start=10, per_patient=0)
    simulate(plan, out, options=options)
    (out / "simulation.csv").write_text("strategy,seed\nrandom,0\n")
    with pytest.raises(S4miError, match=r"simulation.csv: not a simulation table by macro F1; delete it"):
        simulate(plan, out, options=options)


@pytest.mark.parametrize("contents", [b"\xff", b"[" * 9, b"[]", b"7"])
def test_damaged_options_of_a_simulation_end_in_one_line(
    tmp_path: Path, lesions: Path, quick: Quick, contents: bytes
) -> None:
    (tmp_path / "simulation.json").write_bytes(contents)
    options = SimulationOptions((Strategy("none", "none"),), seeds=(0,), rounds=1, count=6, start=10, per_patient=0)
    with pytest.raises(S4miError, match=r"simulation.json: (not valid JSON|holds no dict).*; simulate again"):
        simulate([PlannedRun("run", quick(lesions, TRANSFER, epochs=1))], tmp_path, options=options)


def test_another_simulation_in_the_folder_is_refused(simulated: Path, lesions: Path, quick: Quick) -> None:
    other = SimulationOptions(STRATEGIES, seeds=(0,), rounds=2, count=5, start=10, per_patient=0)
    with pytest.raises(S4miError, match=r"the folder contains another simulation \(count 6 → 5\)"):
        simulate([PlannedRun("run", quick(lesions, TRANSFER, epochs=1))], simulated, options=other)


def test_a_data_set_that_is_too_small_is_refused_at_once(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    options = SimulationOptions(STRATEGIES, seeds=(0,), rounds=9, count=20, start=10)
    annotated = len(load_manifest(lesions).rows)
    assert annotated == 60
    with pytest.raises(S4miError, match=r"190 annotated training images needed for 9 rounds, found \d+; lower"):
        simulate([PlannedRun("run", quick(lesions, TRANSFER, epochs=1))], tmp_path / "out", options=options)
    assert not list((tmp_path / "out").rglob("record.json"))


def test_a_folder_with_other_files_is_refused(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(S4miError, match="contains other files"):
        simulate([PlannedRun("run", quick(lesions, TRANSFER, epochs=1))], tmp_path, options=OPTIONS)


@pytest.mark.long
def test_what_a_killed_call_left_is_no_other_file(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    (tmp_path / ".s4mi-0123abcd-1-0-0123abcd.json").write_text("{")
    simulate([PlannedRun("run", quick(lesions, TRANSFER, epochs=1))], tmp_path, options=OPTIONS)
    assert (tmp_path / "simulation.json").exists()


@pytest.mark.long
def test_the_table_keeps_seeds_of_earlier_calls(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    options = SimulationOptions(STRATEGIES[:1], seeds=(0,), rounds=1, count=6, start=10, per_patient=0)
    for seed in (0, 1):
        plan = [PlannedRun("run", quick(lesions, TRANSFER, epochs=1, seed=seed))]
        simulate(plan, tmp_path / "out", options=replace(options, seeds=(seed,)))
    with (tmp_path / "out" / "simulation.csv").open(newline="") as file:
        rounds = [(row["seed"], row["round"]) for row in csv.DictReader(file)]
    assert rounds == [("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")]
