"""Kill and disturb commands, let each go on, and compare what it leaves with what an undisturbed one leaves."""

import errno
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from commands import Left, Scene, look
from faults import Disturbance, fail_from, kill_at
from jobs import HANGS, Ended, limit_files, run_forked
from scenes import SCENES
from tallies import Tally, table_of

CODES = (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO)


DONE_BEFORE = ("already merged", "no image has the patient", "contains a dataset.yaml")
"""What a command says that had done everything before it was killed."""
FAULTS = ("tracebacks", "hangs", "refuses to go on", "lost or different", "files left behind")


@dataclass(frozen=True)
class Undisturbed:
    """A command that nothing disturbs: what it leaves, the number of its file operations, and its seconds."""

    left: Left
    operations: int
    seconds: float


def patience(expected: Undisturbed) -> float:
    """Seconds after which a command hangs."""
    return max(HANGS, 10 * expected.seconds)


Trial = Callable[[Tally, Scene, Path, Undisturbed], None]


def measure(scene: Scene, base: Path, here: Path, disturbance: Disturbance) -> Undisturbed:
    """Run a command undisturbed."""
    scene.prepare(base, here)
    start = time.monotonic()

    def count() -> None:
        disturbance.at = lambda number, event: None

    ended = run_forked(
        scene.words(base, here), before=count, after=lambda: f"\noperations {disturbance.count}", seconds=600
    )
    seconds = time.monotonic() - start
    if ended.status != 0:
        raise AssertionError(f"{scene.name}: {ended.output[-2000:]}")
    left = look(here, scene.outputs)
    if left.litter:
        raise AssertionError(f"{scene.name}: leaves {left.litter}")
    return Undisturbed(left, int(ended.output.rpartition(" ")[2]), seconds)


def disturb(
    scene: Scene, base: Path, here: Path, disturbance: Disturbance, expected: Undisturbed, rng: random.Random
) -> tuple[str, Ended]:
    """Run a command and kill it, or let its disk fail, at a random moment; return how, and how it ended."""
    scene.prepare(base, here)
    words, seconds = scene.words(base, here), patience(expected)
    kind = rng.choice(("operation", "operation", "time", "disk", "limit")) if expected.operations else "time"
    if kind == "time":
        moment = rng.uniform(0.2, 1.0) * expected.seconds
        return f"killed after {moment:.2f} s", run_forked(words, kill_after=moment, seconds=seconds)
    if kind == "limit":
        size = int(10 ** rng.uniform(0, 6))
        return f"files limited to {size} bytes", run_forked(words, before=lambda: limit_files(size), seconds=seconds)
    number = rng.randint(1, expected.operations)
    code = rng.choice(CODES)

    def before() -> None:
        disturbance.at = kill_at(number) if kind == "operation" else fail_from(number, code)

    how = "killed at" if kind == "operation" else f"{errno.errorcode[code]} from"
    return f"{how} operation {number} of {expected.operations}", run_forked(words, before=before, seconds=seconds)


def torture_kills(base: Path, folder: Path, *, count: int, seed: int, names: tuple[str, ...] = ()) -> dict[str, Tally]:
    """Disturb commands `count` times in all; return a tally per command."""
    rng, disturbance = random.Random(seed), Disturbance()

    def trial(tally: Tally, scene: Scene, here: Path, expected: Undisturbed) -> None:
        how, ended = disturb(scene, base, here, disturbance, expected, rng)
        tally.tried += 1
        _judge(tally, scene, base, here, expected, how, ended)

    return on_scenes(trial, base, folder, disturbance, count=count, names=names)


def on_scenes(
    trial: Trial, base: Path, folder: Path, disturbance: Disturbance, *, count: int, names: tuple[str, ...]
) -> dict[str, Tally]:
    """Make `count` trials in all, on each command its share; return a tally per command.

    Args:
        names: of the scenes; empty: all.
    """
    scenes = [scene for scene in SCENES if not names or scene.name in names]
    tallies: dict[str, Tally] = {}
    shares = sum(scene.share for scene in scenes)
    for scene in scenes:
        here = folder / scene.name.replace(" ", "-")
        tally = tallies[scene.name] = Tally()
        try:
            expected = measure(scene, base, here, disturbance)
        except AssertionError as error:
            tally.note("refuses to go on", f"undisturbed: {error}")
            continue
        for _ in range(max(1, round(scene.share * count / shares))):
            trial(tally, scene, here, expected)
        say(scene.name, tally)
    return tallies


def say(name: str, tally: Tally) -> None:
    """Print what is known of a command so far: the whole takes long."""
    sys.stdout.write(f"{name}: {tally.tried}, {dict(tally.faults)}\n" + "".join(f"  {one}\n" for one in tally.examples))
    sys.stdout.flush()


def _judge(tally: Tally, scene: Scene, base: Path, here: Path, expected: Undisturbed, how: str, ended: Ended) -> None:
    if ended.hung:
        tally.note("hangs", how)
    if ended.traceback:
        tally.note("tracebacks", f"{how}: {ended.output[-700:]}")
    if ended.status == 0:  # it had finished, or wrote nothing beyond the limit
        if different := look(here, scene.outputs).differences(expected.left):
            tally.note("lost or different", f"{how}, finished: {different[:4]}")
        return
    go_on(tally, scene, base, here, expected, how)


def go_on(tally: Tally, scene: Scene, base: Path, here: Path, expected: Undisturbed, how: str) -> None:
    """Give a command again, and judge what it leaves then."""
    again = run_forked(scene.words(base, here, again=True), seconds=patience(expected))
    if again.status == 1 and "no run to resume" in again.output:
        again = run_forked(scene.words(base, here), seconds=patience(expected))  # nothing had been written
    if again.status == 1 and not any(words in again.output for words in DONE_BEFORE):
        tally.note("refuses to go on", f"{how}, then: {again.output[-300:]}")
        return
    if again.hung:
        tally.note("hangs", f"{how}, then again")
        return
    if again.traceback:
        tally.note("tracebacks", f"{how}, then: {again.output[-700:]}")
        return
    left = look(here, scene.outputs)
    if left.litter:
        tally.note("files left behind", f"{how}: {left.litter[:3]}")
    if different := left.differences(expected.left):
        tally.note("lost or different", f"{how}: {different[:4]}")


def table(tallies: dict[str, Tally]) -> str:
    """Return the tallies as a Markdown table."""
    return table_of(tallies, ("command", "disturbed", *FAULTS))
