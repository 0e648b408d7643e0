"""Runs that are not included are listed with the reason, without folders of the machine."""

from pathlib import Path

import pytest

from made_records import record, write_run
from s4mi.records import Failure, write_text_atomically
from s4mi.reporting.results.runs import shorten_paths
from s4mi.reporting.results.unfinished_runs import UnfinishedRun, load_unfinished, summary


def fail(directory: Path, *, attempts: int = 2, reason: str = "/data/secret/a.png: cannot be read") -> None:
    write_run(directory, None, config="epochs: 20\nmethod:\n  name: dedl\n")
    failure = Failure(reason=reason, attempts=attempts, when="2025-01-01T00:00:00Z")
    write_text_atomically(directory / "failure.json", failure.model_dump_json())
    lines = [f"line {i}" for i in range(40)] + ['File "/home/me/s4mi/train.py", line 3']
    (directory / "log.txt").write_text("\n".join(lines), encoding="utf-8")


def test_a_failed_run_says_why_how_often_how_far_and_shows_the_end_of_its_log(tmp_path: Path) -> None:
    fail(tmp_path / "runs/a")
    (run,) = load_unfinished(tmp_path)
    assert (run.directory, run.state, run.status, run.progress) == (
        "runs/a",
        "failed",
        "failed twice",
        "4 of 20 epochs",
    )
    assert run.reason == "…/a.png: cannot be read"
    assert run.log.splitlines()[-1] == 'File "…/train.py", line 3'
    assert "line 0" not in run.log
    assert run.line == "runs/a: not included, failed twice (after 4 of 20 epochs): …/a.png: cannot be read"


@pytest.mark.parametrize(("attempts", "status"), [(1, "failed once"), (2, "failed twice"), (5, "failed 5 times")])
def test_attempts_are_counted(tmp_path: Path, attempts: int, status: str) -> None:
    fail(tmp_path / "a", attempts=attempts)
    assert load_unfinished(tmp_path)[0].status == status


def test_a_run_on_its_way_is_not_finished_and_no_failure(tmp_path: Path) -> None:
    write_run(tmp_path / "a", None)
    (run,) = load_unfinished(tmp_path)
    assert (run.state, run.reason, run.planned) == ("unfinished", "", None)
    assert run.line == "a: not included, unfinished (after 4 epochs); resume it with: s4mi train --resume"


def test_records_of_another_format_are_a_line_each_and_the_others_count(tmp_path: Path) -> None:
    write_run(tmp_path / "good", record())
    for name in ("old", "older"):
        write_run(tmp_path / name, record())
        path = tmp_path / name / "record.json"
        path.write_text(path.read_text(encoding="utf-8").replace('"format": 1', '"format": 0'), encoding="utf-8")
    lost = load_unfinished(tmp_path)
    assert [run.directory for run in lost] == ["old", "older"]
    assert all(
        run.line.startswith(f"{run.directory}: not included, record.json is unreadable: format: ") for run in lost
    )


def test_a_finished_run_counts_whatever_failed_before(tmp_path: Path) -> None:
    fail(tmp_path / "a")
    write_run(tmp_path / "b", record())
    (tmp_path / "a/record.json").write_bytes((tmp_path / "b/record.json").read_bytes())
    assert load_unfinished(tmp_path) == []


def test_damaged_files_around_a_run_hide_nothing(tmp_path: Path) -> None:
    write_run(tmp_path / "a", None, config="epochs: [\n")
    (tmp_path / "a/failure.json").write_text("{", encoding="utf-8")
    (tmp_path / "a/log.txt").write_bytes(b"\xff\xfe")
    (run,) = load_unfinished(tmp_path)
    assert (run.state, run.planned) == ("unfinished", None)


def test_the_summary_counts_each_kind() -> None:
    def made(state: str) -> UnfinishedRun:
        return UnfinishedRun("a", state, "", 1, 0, None, "", "", "")

    assert summary([]) == ""
    assert summary([made("failed")]) == "1 run in this folder is not included: 1 failed."
    assert summary([made("unreadable"), made("failed"), made("unfinished"), made("failed")]) == (
        "4 runs in this folder are not included: 2 failed, 1 unfinished and 1 with an unreadable record."
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("path: /home/me/data/ph2", "path: …/ph2"),
        ("C:\\Users\\me\\x.csv: wrong", "…/x.csv: wrong"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
        ("3 / 4 and/or a/b", "3 / 4 and/or a/b"),
        ("('/a b/c/d')", "('…/d')"),
        ("data/ph2", "data/ph2"),
    ],
)
def test_a_path_from_the_root_keeps_its_last_part(text: str, shown: str) -> None:
    assert shorten_paths(text) == shown
