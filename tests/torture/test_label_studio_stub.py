"""The stub of Label Studio holds no pipe of its parent open, and ends with it."""

import subprocess
import sys
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import label_studio_stub

KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import label_studio_stub
with label_studio_stub.running() as address:
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_stub_answers() -> None:
    with (
        label_studio_stub.running() as address,
        urllib.request.urlopen(f"{address}/api/projects/1/", timeout=10) as one,
    ):
        assert one.read() == b'{"parsed_label_config": {}}'


def test_a_pipe_of_a_killed_parent_is_closed() -> None:
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20, check=False)
    assert ended.returncode == -9
    assert ended.stdout == b""
