"""Threads and GPUs of a study, which its own process learns without torch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from s4mi.studies.devices import available_threads, gpu_count

CODE = """
import sys
from s4mi.studies import run, live_report
from s4mi.studies.devices import available_threads, gpu_count
threads, gpus = available_threads(), gpu_count(__import__('pathlib').Path(sys.argv[1]))
assert 'torch' not in sys.modules
import torch
assert (threads, gpus) == (min(torch.get_num_threads(), available_threads()), 0), (threads, torch.get_num_threads())
assert available_threads() == threads
"""


@pytest.mark.skipif(sys.platform != "linux", reason="files of devices are those of Linux")
@pytest.mark.parametrize("given", ["1", "2", ""])
def test_they_are_those_of_torch_which_is_not_imported(tmp_path: Path, given: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment |= {"OMP_NUM_THREADS": given} if given else {}
    words = [sys.executable, "-c", CODE, str(tmp_path)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_torch_is_asked_where_there_is_a_file_of_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    (tmp_path / "nvidia0").touch()
    assert gpu_count(tmp_path) == 3


def test_threads_that_were_set_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: 6)
    for threads, expected in ((4, 4), (8, 6)):
        monkeypatch.setattr("torch.get_num_threads", lambda threads=threads: threads)
        assert available_threads() == expected
