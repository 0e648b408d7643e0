"""Kill the server of `s4mi view` while a client paints: what was answered survives, and nothing else is left."""

import json
import os
import random
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from commands import HIDDEN_STATE
from faults import Disturbance, kill_at
from jobs import fork_elsewhere, in_fork
from tallies import Tally

sys.path.insert(0, str(Path(__file__).parents[1] / "viewer"))
import test_killed
from test_killed import SIDE, Painter

OPERATIONS = 12
"""File operations of a server, after it answers, of which a random one is not carried out."""


def torture_view(base: Path, folder: Path, *, count: int, seed: int) -> Tally:
    """Kill the server of a copy of the data set `viewed` `count` times; return a tally."""
    from s4mi.data.annotations.journal import FOLDER, NAME, read_journal
    from s4mi.viewer.annotations import Annotations

    data, rng, tally = Path(shutil.copytree(base / "viewed", folder / "viewed")), random.Random(seed), Tally()
    numbers = _numbers(data)
    mask: Any = None
    revision, disturbance = 0, Disturbance()
    for _ in range(count):
        tally.tried += 1
        number = rng.randint(1, OPERATIONS) if rng.random() < 0.5 else 0
        child, address = _serve(data, disturbance, number)
        if not address.startswith("http"):
            tally.note("refuses to go on", address[-300:])
            break
        if mask is None:
            test_killed._begin(address)
            mask, revision = np.zeros((SIDE, SIDE), dtype=np.uint8), 1
        painter = Painter(address, mask, revision, rng)
        thread = threading.Thread(target=painter.paint)
        thread.start()
        time.sleep(rng.uniform(0.02, 0.4))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        thread.join()
        found = Annotations(None, read_journal(data / FOLDER / NAME).entries, numbers)
        mask, revision = found.mask(0), found.history(0).revision
        if not (np.array_equal(mask, painter.answered) or np.array_equal(mask, painter.in_hand)):
            tally.note("lost or different", f"after {painter.count} strokes")
    child, _ = _serve(data, disturbance, 0)
    os.kill(child, signal.SIGINT)
    os.waitpid(child, 0)
    if litter := [path.name for path in data.rglob("*") if HIDDEN_STATE.fullmatch(path.name)]:
        tally.note("files left behind", str(litter[:3]))
    return tally


def _numbers(data: Path) -> dict[str, int]:
    """Number of each image; read in a fork, as the library that reads tables starts threads."""

    def read() -> str:
        from s4mi.data.manifest import load_manifest

        return json.dumps({row.id: n for n, row in enumerate(load_manifest(data).rows)})

    made = in_fork(read)
    found: dict[str, int] = json.loads(made.output.partition("}")[0] + "}")
    return found


def _serve(data: Path, disturbance: Disturbance, number: int) -> tuple[int, str]:
    """Start a server in a fork, killed before the file operation of that number; return its address, or an error."""
    reading, writing = os.pipe()

    def work() -> int:
        from s4mi.viewer.server import ServerOptions, ViewServer

        server = ViewServer(ServerOptions(data, port=0))

        def ready() -> None:
            if number:
                disturbance.at = kill_at(number)
            sys.stdout.write(f"{server.url}\n")
            sys.stdout.flush()

        server.run(ready)
        return 0

    child = fork_elsewhere(work, writing)
    with os.fdopen(reading) as lines:
        return child, lines.readline().strip() or lines.read()
