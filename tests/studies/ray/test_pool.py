"""A study on a Ray cluster: the same runs, and a process or host that dies stops no other run.

Ray is not mocked: one cluster of this machine, and for the slow tests one of two hosts on this machine.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from disturbed_study import (
    PRETRAINING,
    SCRATCH,
    TUNED,
    Disturber,
    Studied,
    assert_same,
    command,
    is_gone,
    study_of_three,
    train_undisturbed,
    wait_until,
    wait_until_gone,
)
from s4mi.config import HardwareConfig
from s4mi.errors import S4miError
from s4mi.records import read_epochs, read_failure
from s4mi.studies.events import AttemptFailed, Event, RunProgress
from s4mi.studies.lock import LOCK_NAME
from s4mi.studies.ray.remote_worker import StudyToken
from s4mi.studies.run import run_study

ray = pytest.importorskip("ray")
study_ray = pytest.importorskip("s4mi.studies.ray.pool")
from s4mi.studies.ray.connect import ResourceRequest, connect, resources_per_run  # noqa: E402

QUIET: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "object_store_memory": 100 << 20}


@pytest.fixture(scope="module")
def studied(lesions: Path, cache_dir: Path) -> Studied:
    return study_of_three(lesions, cache_dir)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, studied: Studied) -> Path:
    return train_undisturbed(studied, tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture(scope="module", autouse=True)
def _shut_down() -> Iterator[None]:
    yield
    ray.shutdown()


@pytest.fixture
def local() -> None:
    """Connect to a Ray cluster of this machine with two CPUs, shared by all tests as it takes seconds to start."""
    if not ray.is_initialized():
        ray.init(address="local", num_cpus=2, **QUIET)


@pytest.fixture
def two_hosts() -> Iterator[Any]:
    """A cluster of two hosts with one CPU each; this process is on the first."""
    from ray.cluster_utils import Cluster

    ray.shutdown()
    head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 << 20}
    cluster = Cluster(initialize_head=True, connect=False, head_node_args=head)
    cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def pid_of(run: Path) -> int:
    """Id of the process that trains a run, from its log."""
    return int(re.findall(r"process (\d+) on \S+ starts", (run / "log.txt").read_text())[-1])


@pytest.mark.long
def test_a_study_on_ray_gives_the_results_of_train_even_if_a_worker_is_killed(
    tmp_path: Path, studied: Studied, undisturbed: Path, local: None
) -> None:
    killed: list[int] = []

    def kill() -> None:
        killed.append(pid_of(tmp_path / TUNED))
        os.kill(killed[0], signal.SIGKILL)

    on_event = Disturber(kill)
    outcomes = run_study(studied(), tmp_path, ray="auto", on_event=on_event)
    assert [outcome.reason for outcome in outcomes] == [""] * 3
    assert on_event.max_active == 2
    (reason,) = on_event.failures
    assert re.fullmatch(r"worker process on \S+ died, possibly out of memory; see its log.txt", reason)
    assert on_event.attempts == [1, 2]
    assert pid_of(tmp_path / TUNED) != killed[0]
    assert_same(tmp_path, undisturbed)
    assert not (tmp_path / study_ray.TOKEN_NAME).exists()
    assert ray.is_initialized()  # the connection is not ours
    end = time.monotonic() + 60
    while ray.available_resources().get("CPU") != 2:  # released a moment after a process has ended
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_run_that_fits_no_host_fails_alone(tmp_path: Path, studied: Studied, undisturbed: Path, local: None) -> None:
    for name in (PRETRAINING, TUNED):
        shutil.copytree(undisturbed / name, tmp_path / name)
    arms = studied.contents["arms"]
    study = studied(arms=[{**arms[0], "name": "large", "hardware": {"threads": 64}}, arms[1]])
    by_name = {outcome.planned.name: outcome.reason for outcome in run_study(study, tmp_path, ray="auto")}
    large = "runs/large-100pct-seed0"
    reason = "no host of the cluster has 64 CPUs; set hardware.threads or hardware.gpu_share"
    assert by_name == {PRETRAINING: "", large: reason, TUNED: ""}
    failure = read_failure(tmp_path / large)
    assert failure is not None
    assert failure.attempts == 2


@pytest.mark.parametrize(
    ("hardware", "gpus", "wanted"),
    [
        ({}, False, (1, 0)),
        ({}, True, (1, 1)),
        ({"threads": 4, "gpu_share": 0.25}, True, (4, 0.25)),
        ({"threads": 4, "gpu_share": 0.25}, False, (4, 0)),
        ({"accelerator": "cuda", "gpu_share": 0.5}, False, (1, 0.5)),
        ({"accelerator": "cpu", "gpu_share": 0.5}, True, (1, 0)),
        ({"accelerator": "mps"}, True, (1, 0)),
    ],
)
def test_a_run_requests_its_threads_and_its_share_of_a_gpu(
    hardware: dict[str, Any], gpus: bool, wanted: tuple[int, float]
) -> None:
    assert resources_per_run(HardwareConfig(**hardware), gpus=gpus) == ResourceRequest(*wanted)


@pytest.mark.parametrize("share", [0, -0.5, 1.5])
def test_a_share_of_a_gpu_is_at_most_one(share: float) -> None:
    with pytest.raises(ValueError, match="gpu_share"):
        HardwareConfig(gpu_share=share)


def test_a_request_fits_a_host_with_these_resources() -> None:
    assert ResourceRequest(2, 0.5).fits({"CPU": 2.0, "GPU": 1.0})
    assert not ResourceRequest(2, 0.5).fits({"CPU": 2.0})
    assert not ResourceRequest(3, 0).fits({"CPU": 2.0, "GPU": 1.0})


def test_a_token_is_lost_when_it_is_gone_or_belongs_to_another_study(tmp_path: Path) -> None:
    token = StudyToken(tmp_path / "token", "mine")
    assert token.lost
    token.path.write_text("mine")
    assert not token.lost
    assert token.wait_until_visible()
    token.path.write_text("another's")
    assert token.lost


def test_a_host_that_does_not_see_the_folder_ends_the_study_in_one_line(
    tmp_path: Path, studied: Studied, local: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"

    class Misled(StudyToken):
        def __reduce__(self) -> tuple[type[StudyToken], tuple[Path, str, float]]:
            return StudyToken, (
                elsewhere / self.path.name,
                self.text,
                0.1,
            )  # another folder on that host

    monkeypatch.setattr(study_ray, "StudyToken", Misled)
    out = tmp_path / "out"
    with pytest.raises(S4miError, match=f"^{out}: not visible on .*; choose a folder that all hosts") as caught:
        run_study(studied(), out, ray="auto")
    assert "\n" not in str(caught.value)
    assert [path.name for path in out.iterdir() if path.name.startswith(".study.token")] == []
    assert not (out / LOCK_NAME).exists()


def test_without_ray_one_line_names_the_extra(
    tmp_path: Path, studied: Studied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(S4miError, match=r"^--ray needs the package 'ray'; install it with: pip install 's4mi\[ray\]'$"):
        run_study(studied(), tmp_path, ray="local")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "nonsense"])
def test_an_address_without_a_cluster_fails_at_once_in_one_line(address: str) -> None:
    with pytest.raises(S4miError, match=f"^--ray {address}: ") as caught:
        connect(address)
    assert "\n" not in str(caught.value)


def test_a_finished_study_needs_no_cluster(tmp_path: Path, studied: Studied, undisturbed: Path) -> None:
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    outcomes = run_study(studied(), tmp_path, ray="127.0.0.1:1")
    assert [outcome.reason for outcome in outcomes] == [""] * 3


@pytest.mark.slow
def test_runs_use_both_hosts_and_survive_the_death_of_one(
    tmp_path: Path, studied: Studied, undisturbed: Path, two_hosts: Any
) -> None:
    (second,) = two_hosts.worker_nodes
    events: list[Event] = []
    parents: dict[str, int] = {}
    killed: list[str] = []

    def on_event(event: Event) -> None:
        events.append(event)
        if isinstance(event, RunProgress) and event.progress.epoch >= 2:
            name = event.planned.name
            if name not in parents:
                parents[name] = parent_of(pid_of(tmp_path / name))
            if len(set(parents.values())) == 2 and not killed:
                victims = [one for one, parent in parents.items() if parent == raylet_of(second)]
                killed.extend(victims)
                two_hosts.remove_node(second, allow_graceful=False)

    outcomes = run_study(studied(), tmp_path, ray="auto", on_event=on_event)
    assert len(killed) == 1
    assert [outcome.reason for outcome in outcomes] == [""] * 3
    (reason,) = [
        event.reason for event in events if isinstance(event, AttemptFailed) and event.planned.name == killed[0]
    ]
    assert re.fullmatch(
        r"(\S+, on which the run was training, is gone|worker process on \S+ died, .*); see its log.txt", reason
    )
    assert_same(tmp_path, undisturbed)


def parent_of(pid: int) -> int:
    return int(subprocess.run(["ps", "-o", "ppid=", "-p", str(pid)], capture_output=True, check=True).stdout)


def raylet_of(host: Any) -> int:
    return int(host.all_processes["raylet"][0].process.pid)


@pytest.mark.slow
def test_a_lost_cluster_ends_the_study_in_one_line_and_keeps_finished_runs(
    tmp_path: Path, studied: Studied, undisturbed: Path, two_hosts: Any
) -> None:
    shutil.copytree(undisturbed / PRETRAINING, tmp_path / PRETRAINING)
    stopped: list[int] = []

    def on_event(event: Event) -> None:
        head = two_hosts.head_node
        if isinstance(event, RunProgress) and event.progress.epoch == 2 and head.all_processes.get("gcs_server"):
            head.kill_gcs_server()
            for run in (SCRATCH, TUNED):  # or they finish before the loss is noticed
                with suppress(OSError, IndexError):
                    os.kill(pid_of(tmp_path / run), signal.SIGSTOP)
                    stopped.append(pid_of(tmp_path / run))

    with pytest.raises(S4miError, match=r"^auto: the Ray cluster is gone; finished runs are kept, rerun the command"):
        run_study(studied(), tmp_path, ray="auto", on_event=on_event)
    assert (tmp_path / PRETRAINING / "record.json").exists()
    assert not (tmp_path / LOCK_NAME).exists()
    for pid in stopped:  # they still hold their runs, and end after a step, as their study is gone
        with suppress(OSError):
            os.kill(pid, signal.SIGCONT)
    assert [outcome.reason for outcome in run_study(studied(), tmp_path)] == [""] * 3
    assert_same(tmp_path, undisturbed)


@pytest.mark.slow
def test_a_cluster_without_hosts_ends_the_study_at_once(tmp_path: Path, studied: Studied, two_hosts: Any) -> None:
    def on_event(event: Event) -> None:
        if isinstance(event, RunProgress) and event.progress.epoch == 2:
            for host in list(two_hosts.list_all_nodes()):
                for process in host.all_processes["raylet"]:
                    process.process.kill()

    with pytest.raises(S4miError, match=r"^auto: the Ray cluster is gone"):
        run_study(studied(), tmp_path, ray="auto", on_event=on_event)
    assert not (tmp_path / LOCK_NAME).exists()


@pytest.mark.slow
def test_ctrl_c_stops_the_study_and_ray_and_the_same_command_resumes(
    tmp_path: Path, studied: Studied, undisturbed: Path
) -> None:
    study, out = studied.file(tmp_path / "study.yaml"), tmp_path / "out"
    process = command(study, out, "--ray", "local")
    wait_until(lambda: len(read_epochs(out / TUNED)) >= 3, process)
    worker = pid_of(out / TUNED)
    os.killpg(process.pid, signal.SIGINT)
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in printed + errors
    assert errors.splitlines()[-1].endswith("rerun the same command to resume")
    wait_until_gone(process.pid)
    assert is_gone(worker)
    assert not (out / LOCK_NAME).exists()
    assert not (out / study_ray.TOKEN_NAME).exists()
    assert not (out / TUNED / "record.json").exists()
    before = {name: (out / name / "metrics.jsonl").read_text() for name in (PRETRAINING, TUNED)}
    again = command(study, out, "--ray", "local")
    _, errors = again.communicate(timeout=240)
    assert again.returncode == 0, errors
    assert errors == ""
    for name, lines in before.items():  # including seconds: they were not trained again
        assert (out / name / "metrics.jsonl").read_text().startswith(lines)
    assert_same(out, undisturbed)


@pytest.mark.slow
def test_the_ray_cluster_of_a_killed_study_ends_and_it_resumes(
    tmp_path: Path, studied: Studied, undisturbed: Path
) -> None:
    study, out = studied.file(tmp_path / "study.yaml"), tmp_path / "out"
    process = command(study, out, "--ray", "local")
    wait_until(lambda: len(read_epochs(out / SCRATCH)) >= 3, process)
    worker = pid_of(out / SCRATCH)
    process.kill()
    process.communicate()
    end = time.monotonic() + 30
    while not is_gone(worker):  # two helper processes of Ray stay for a minute
        assert time.monotonic() < end
        time.sleep(0.05)
    again = command(study, out)
    _, errors = again.communicate(timeout=240)
    assert again.returncode == 0, errors
    assert_same(out, undisturbed)
