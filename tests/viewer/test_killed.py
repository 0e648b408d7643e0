"""SIGKILL at any moment: every answered change survives, and at most the one in hand is lost."""

import http.client
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from s4mi.data.annotations.journal import FOLDER, NAME, read_journal
from s4mi.data.manifest import load_manifest
from s4mi.viewer.annotations import Annotations

SIDE = 48


class Painter:
    """Paints strokes on one image as fast as the server answers, and keeps what was answered."""

    def __init__(self, address: str, start: np.ndarray, revision: int, rng: random.Random) -> None:
        parts = urlsplit(address)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 0, timeout=10)
        self._headers = {
            "Authorization": f"Bearer {parts.query.partition('=')[2]}", "X-S4MI": "1", "X-Client": "c-painter",
        }  # fmt: skip
        self.answered, self.in_hand = start.copy(), start.copy()
        self._revision, self._rng, self.count = revision, rng, 0

    def paint(self) -> None:
        """Paint until the server is gone."""
        try:
            while True:
                self._stroke()
        except (OSError, http.client.HTTPException):
            return

    def _stroke(self) -> None:
        width, height = self._rng.randint(1, 20), self._rng.randint(1, 20)
        x, y = self._rng.randint(0, SIDE - width), self._rng.randint(0, SIDE - height)
        patch = np.full((height, width), self._rng.randint(0, 1), dtype=np.uint8)
        self.in_hand = self.answered.copy()
        self.in_hand[y : y + height, x : x + width] = patch
        file = io.BytesIO()
        Image.fromarray(patch).save(file, "PNG")
        path = f"/api/images/0/strokes?x={x}&y={y}&base_revision={self._revision}"
        self._connection.request("POST", path, file.getvalue(), {**self._headers, "Content-Type": "image/png"})
        answer = self._connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        self._revision = json.loads(body)["annotation"]["revision"]
        self.answered = self.in_hand
        self.count += 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")
def test_a_server_killed_at_any_moment_loses_at_most_the_stroke_in_hand(lesions: Path, tmp_path: Path) -> None:
    data, rng = Path(shutil.copytree(lesions, tmp_path / "data")), random.Random(0)
    numbers = {row.id: n for n, row in enumerate(load_manifest(data).rows)}
    mask, revision, painted = None, 0, 0
    for _ in range(12):
        command = [sys.executable, str(Path(__file__).with_name("killed_server.py")), str(data)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            start = np.zeros((SIDE, SIDE), dtype=np.uint8) if mask is None else mask
            if mask is None:
                _begin(address)
                revision = 1
            painter = Painter(address, start, revision, rng)
            thread = threading.Thread(target=painter.paint)
            thread.start()
            time.sleep(rng.uniform(0.02, 0.4))
            os.kill(server.pid, signal.SIGKILL)
            thread.join()
        painted += painter.count
        found = Annotations(None, read_journal(data / FOLDER / NAME).entries, numbers)
        mask, revision = found.mask(0), found.history(0).revision
        assert mask is not None
        assert np.array_equal(mask, painter.answered) or np.array_equal(mask, painter.in_hand)
    assert painted > 50


def _begin(address: str) -> None:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 0, timeout=10)
    headers = {"Authorization": f"Bearer {parts.query.partition('=')[2]}", "X-S4MI": "1", "X-Client": "c-painter"}
    connection.request("POST", "/api/images/0/start?base_revision=0", '{"from": "nothing"}', headers)
    assert connection.getresponse().status == 200
