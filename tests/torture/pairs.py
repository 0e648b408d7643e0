"""Start the same command twice at almost the same moment in the same folder.

Each of the two must end with success or in one line, and what is left must be what one of them leaves alone; at the
latest after the command is given once more.
"""

import random
import time
from pathlib import Path

from commands import Scene, look
from faults import Disturbance
from jobs import Ended, begin, collect
from kills import FAULTS, Undisturbed, go_on, on_scenes, patience
from tallies import Tally, table_of


def torture_pairs(base: Path, folder: Path, *, count: int, seed: int, names: tuple[str, ...] = ()) -> dict[str, Tally]:
    """Run pairs of commands, `count` in all; return a tally per command."""
    rng = random.Random(seed)

    def trial(tally: Tally, scene: Scene, here: Path, expected: Undisturbed) -> None:
        _pair(tally, scene, base, here, expected, rng.choice((0.0, 0.0, 0.05, rng.random() * expected.seconds)))

    return on_scenes(trial, base, folder, Disturbance(), count=count, names=names)


def _pair(tally: Tally, scene: Scene, base: Path, here: Path, expected: Undisturbed, delay: float) -> None:
    scene.prepare(base, here)
    words = scene.words(base, here)
    first = begin(words)
    time.sleep(delay)
    second = begin(words)
    seconds = 2 * patience(expected)
    ended = [collect(*each, seconds=seconds) for each in (first, second)]
    tally.tried += 1
    how = f"second after {delay:.2f} s"
    for one in ended:
        _note_end(tally, how, one)
    if not any(one.status == 0 for one in ended):
        go_on(tally, scene, base, here, expected, how)
        return
    left = look(here, scene.outputs)
    if left.litter:
        tally.note("files left behind", f"{how}: {left.litter[:3]}")
    if different := left.differences(expected.left):
        tally.note("lost or different", f"{how}: {different[:4]}, {[one.output[-200:] for one in ended]}")


def _note_end(tally: Tally, how: str, ended: Ended) -> None:
    if ended.hung:
        tally.note("hangs", how)
    elif ended.traceback:
        tally.note("tracebacks", f"{how}: {ended.output[-900:]}")


def table(tallies: dict[str, Tally]) -> str:
    """Return the tallies as a Markdown table."""
    return table_of(tallies, ("command twice at once", "pairs", *FAULTS))
