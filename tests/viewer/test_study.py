"""A study live: what the files of its runs say, while it runs and after."""

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from made_records import record, write_run
from s4mi.errors import S4miError
from s4mi.maths.stats import mean_interval
from s4mi.records import RunRecord
from s4mi.studies.lock import LOCK_NAME, study_lock
from s4mi.viewer.study import LiveStudy
from viewer_tab import Tab

FRACTIONS = (10.0, 100.0)
CONFIG = "method:\n  name: transfer\nepochs: 8\nseed: 1\n"


def scores(seed: int, fraction: float) -> float:
    return 0.5 + 0.01 * seed + fraction / 1000


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study of six runs, of which four are finished, one is under way and one has failed."""
    folder = tmp_path / "study"
    names = [f"transfer-{fraction:g}pct-seed{seed}" for fraction in FRACTIONS for seed in range(3)]
    for number, name in enumerate(names[:4]):
        seed, fraction = number % 3, FRACTIONS[number // 3]
        write_run(folder / name, record(scores(seed, fraction), fraction=fraction, seed=seed, seconds=100.0))
    write_run(folder / names[4], None, config=CONFIG)
    (folder / names[4] / "split.json").write_text(json.dumps({"labelled": ["a", "b", "c"], "val": ["d", "e"]}))
    (folder / names[5]).mkdir()
    (folder / names[5] / "config.yaml").write_text(CONFIG)
    failure = {"reason": f"{tmp_path}/lesions/manifest.csv:3: mask missing", "attempts": 2, "when": "2026-01-01"}
    (folder / names[5] / "failure.json").write_text(json.dumps(failure))
    (folder / "study.json").write_text(json.dumps({"format": 2, "runs": dict.fromkeys(names, "id")}))
    os.utime(folder / names[5] / "failure.json", (1, 1))
    for file in (folder / names[5]).iterdir():
        os.utime(file, (1, 1))
    return folder


def lock(study: Path, pid: int, host: str = socket.gethostname()) -> None:
    (study / LOCK_NAME).write_text(f"{pid}\n{host}\ntoken\n")


def test_a_study_that_runs_shows_what_is_under_way_and_the_time_left(study: Path) -> None:
    lock(study, os.getpid())
    (study / "transfer-100pct-seed1" / "metrics.jsonl").touch()
    shown = LiveStudy(study).describe()
    assert (shown["state"], shown["done"], shown["total"]) == ("running", 4, 6)
    (run,) = shown["running"]
    assert (run["run"], run["technique"], run["labels"], run["seed"]) == ("transfer-100pct-seed1", "transfer", 3, 1)
    assert (run["epoch"], run["epochs"]) == (4, 8)
    assert run["score"]["name"] == "f1_macro"
    assert shown["time_left_s"] == pytest.approx(50.0)  # half of 100 s, as the failed run is not made again
    (failed,) = shown["failed"]
    assert failed["run"] == "transfer-100pct-seed2"
    assert failed["error"] == "…/manifest.csv:3: mask missing"


@pytest.mark.parametrize(
    ("method", "counted", "labels"),
    [
        ("finetune", "true", 5), ("finetune", "false", 3), ("picie", "true", 2), ("picie", "false", 0),
        ("token_clusters", "false", 0), ("dino", "true", 0), ("dino", "false", 0), ("of_another_package", "true", 5),
    ],
)  # fmt: skip
def test_labels_of_a_run_under_way_are_counted_as_in_its_record(
    study: Path, method: str, counted: str, labels: int
) -> None:
    """Without labels a method reads at most those of validation images, which name its clusters."""
    lock(study, os.getpid())
    config = study / "transfer-100pct-seed1" / "config.yaml"
    config.write_text(f"{CONFIG.replace('transfer', method)}labels:\n  count_validation: {counted}\n")
    (run,) = LiveStudy(study).describe()["running"]
    assert run["labels"] == labels


def test_files_that_have_not_changed_are_read_once(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from s4mi.viewer import study as module

    lock(study, os.getpid())
    live = LiveStudy(study)
    before = live.describe()
    for name in ("load_yaml", "load_json", "read_any_record", "read_epochs", "task_results"):
        monkeypatch.setattr(module, name, lambda *_: pytest.fail("read again"))
    assert live.describe() == before


@pytest.mark.parametrize("host", [socket.gethostname(), f"{socket.gethostname()}?pidns-1", "elsewhere"])
def test_the_lock_of_a_process_of_this_host_that_has_ended_is_not_believed(study: Path, host: str) -> None:
    lock(study, 2**22 - 3, host)
    assert LiveStudy(study).describe()["state"] == ("running" if host == "elsewhere" else "stopped")


def test_curves_are_means_over_seeds_with_their_intervals(study: Path) -> None:
    (task,) = LiveStudy(study).describe()["tasks"]
    (curve,) = task["curves"]
    assert (task["task"], task["metric"]) == ("multiclass", "macro F1")
    few, full = curve["points"]
    expected = mean_interval([scores(seed, 10.0) for seed in range(3)], limits=(0, 1))
    assert (few["labels"], few["runs"]) == (48, 3)
    assert (few["mean"], few["low"], few["high"]) == pytest.approx((expected.mean, expected.low, expected.high))
    assert (full["labels"], full["runs"], full["low"]) == (480, 1, None)
    assert task["verdict"]


@pytest.mark.parametrize("holder", ["a process that has ended", "nobody"])
def test_a_study_that_nobody_runs_is_stopped(study: Path, holder: str) -> None:
    if holder != "nobody":
        lock(study, 2**22 - 3)
    shown = LiveStudy(study).describe()
    assert (shown["state"], shown["running"], shown["time_left_s"]) == ("stopped", [], None)


def test_the_lock_of_a_real_study_is_understood_and_left_alone(study: Path) -> None:
    live = LiveStudy(study)
    with study_lock(study):
        before = (study / LOCK_NAME).read_bytes()
        assert live.describe()["state"] == "running"
        assert (study / LOCK_NAME).read_bytes() == before
    assert live.describe()["state"] == "stopped"


def test_a_run_that_finishes_moves_the_curve(study: Path) -> None:
    live = LiveStudy(study)
    before, state = live.describe(), live.state()
    finished: RunRecord = record(0.9, fraction=100.0, seed=1)
    (study / "transfer-100pct-seed1" / "record.json").write_text(finished.model_dump_json())
    after = live.describe()
    assert live.state() != state
    assert after["done"] == before["done"] + 1
    assert after["tasks"][0]["curves"][0]["points"][1]["runs"] == 2


def test_pages_are_told_when_the_study_changes(study: Path, lesion_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from s4mi.viewer import live
    from s4mi.viewer.events import Events

    sent = []
    monkeypatch.setattr(live, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(Events, "listened", property(lambda _: True))
    monkeypatch.setattr(Events, "send", lambda _, kind, contents: sent.append((kind, contents["done"])))
    watch = live.StudyWatch(LiveStudy(study), Events())
    until = time.monotonic() + 5
    while not sent and time.monotonic() < until:
        time.sleep(0.01)
    (study / "transfer-100pct-seed1" / "record.json").write_text(record(0.9, fraction=100.0, seed=1).model_dump_json())
    while len(sent) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    watch.stop()
    assert sent == [("study", 4), ("study", 5)]


def test_the_page_has_a_study_only_if_one_is_shown(tab: Tab) -> None:
    answer = tab.client.get("/api/study")
    assert answer.status_code == 404
    assert "--study" in answer.json()["error"]


def test_a_folder_without_a_study_is_refused(tmp_path: Path, s4mi: Callable, lesion_copy: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(S4miError, match="holds no study"):
        LiveStudy(tmp_path / "nothing")
    done = s4mi("view", lesion_copy, "--study", tmp_path / "nothing", "--no-browser")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
