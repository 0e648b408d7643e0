"""Start-up time and memory of commands, and of a check of many images.

    python benchmarks/startup.py [--images N] [--rounds R] [--quick]

Each measurement is a new process; commands alternate within a round. The first round is not counted, so that files are
in the page cache; a first start from a cold disk takes several times as long. Peak memory is that of the process
itself, without its child processes.

Processor time is compared with that of `import torch` in the same round and, for `s4mi train` until its first step is
done, with a bare script that builds the same network and takes one step on random images.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from probes import BARE_STEP, TO_FIRST_STEP
from s4mi.data.sources.synthetic import write_synthetic

S4MI = (sys.executable, "-m", "s4mi")
PACKAGES = ("torch", "timm", "segmentation_models_pytorch", "lightning_fabric", "monai")
"""Import names of the packages."""
SIZE = 96
"""Side of the synthetic images in pixels."""


TORCH = "import torch"
BARE = "a bare script to its first step"


@dataclass(frozen=True)
class Command:
    """A process to time.

    Attributes:
        over: title of the command whose processor time its own is compared with; "": none.
        most: aim for that ratio; 0: none.
        status: exit status it ends with.
    """

    title: str
    words: tuple[str, ...]
    over: str = TORCH
    most: float = 0.0
    status: int = 0


@dataclass(frozen=True)
class Taken:
    """Measurement of one process: wall and processor time in seconds, peak MiB."""

    seconds: float
    processor: float
    memory: float


def main() -> None:
    """Run the measurements, print the table."""
    parser = argparse.ArgumentParser(description="Time the start of commands, and a check of many images.")
    parser.add_argument("--images", type=int, default=10_000, help="number of images of the data set that is checked")
    parser.add_argument("--rounds", type=int, default=3, help="starts of each command; the checks run once")
    parser.add_argument(
        "--quick", action="store_true", help="500 images, every command once, of the packages only torch"
    )
    arguments = parser.parse_args()
    images, rounds, warm = (500, 1, 0) if arguments.quick else (arguments.images, arguments.rounds, 1)
    packages = PACKAGES[:1] if arguments.quick else PACKAGES
    setting = _machine()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        write_synthetic("lesions", data, count=images, size=SIZE, seed=0)
        starts = _starts(data, Path(folder), packages)
        taken = _in_turn(starts, rounds, warm)
        rows = [_row(command, taken[command.title], taken.get(command.over)) for command in starts]
        checks = (
            Command(f"s4mi data check, {images:,} PNG of {SIZE} px", (*S4MI, "data", "check", str(data))),
            Command("the same with --no-duplicates", (*S4MI, "data", "check", str(data), "--no-duplicates")),
        )
        rows += [_row(command, [_take(command)], None) for command in checks]
    from measured import report  # not earlier: see `_row`

    head = (
        "| command | s | range | processor s | over | ratio | aim | peak MiB |",
        "|---|---:|---:|---:|---|---:|---:|---:|",
    )
    report("startup", setting, text="\n".join((*head, *rows)))


def _machine() -> str:
    """Return `measured.machine()`, run in another process: it imports torch, and this process has to stay small."""
    code = f"from measured import machine; print(machine({PACKAGES}))"
    output = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, check=True)
    return output.stdout.decode().strip()


def _starts(data: Path, folder: Path, packages: Sequence[str]) -> Sequence[Command]:
    run, missing = folder / "run.yaml", folder / "missing.yaml"
    few = folder / "few"
    write_synthetic("lesions", few, count=48, size=SIZE, seed=0)
    run.write_text(
        f"data: {{path: {few}, image_size: {SIZE}, cache: {folder / 'cache'}}}\ntask: multiclass\n"
        "method: {name: finetune, backbone: resnet18, weights: none}\nepochs: 1\nbatch_size: 16\n"
    )
    runs, page = folder / "runs", folder / "report.html"
    small = ("method.backbone=tiny_resnet", "data.image_size=32")
    _take(Command("a run to report", (*S4MI, "train", str(run), "-o", str(runs / "one"), *small)))
    report_of = (*S4MI, "report", str(runs), "-o", str(page))
    _take(Command("its pictures", report_of))
    study = (*S4MI, "study", "plan", "first-answer", f"data.path={few}")
    train = (*S4MI, "train")
    out = ("-o", str(folder / "refused"))
    python = (sys.executable, "-c")
    return (
        Command("python -c pass", (*python, "pass")),
        Command("import s4mi", (*python, "import s4mi")),
        Command("s4mi --help", (*S4MI, "--help")),
        Command("s4mi data split", (*S4MI, "data", "split", str(data))),
        Command("s4mi train, no such file", (*train, str(missing), *out), most=0.25, status=1),
        Command("s4mi train, unknown setting", (*train, str(run), "optim.learning_rate=1", *out), most=0.25, status=1),
        Command("s4mi train, no such data set", (*train, str(run), "data.path=/none", *out), most=0.25, status=1),
        Command("s4mi methods", (*S4MI, "methods"), most=0.5),
        Command("s4mi study plan", study, most=0.5),
        Command("s4mi report, pictures drawn before", report_of, most=1.0),
        *(Command(f"import {name}", (*python, f"import {name}")) for name in packages),
        Command("import s4mi.recipes.train", (*python, "import s4mi.recipes.train")),
        Command(BARE, (*python, BARE_STEP)),
        Command(
            "s4mi train to its first step",
            (*python, TO_FIRST_STEP, str(run), str(folder / "steps")),
            over=BARE,
            most=1.25,
        ),
    )


def _in_turn(commands: Sequence[Command], rounds: int, warm: int) -> dict[str, list[Taken]]:
    """Run the commands in turn, `rounds` times; `warm` rounds before, which read from the disk, do not count."""
    taken: dict[str, list[Taken]] = {command.title: [] for command in commands}
    for number in range(warm + rounds):
        for command in commands:
            one = _take(command)
            if number >= warm:
                taken[command.title].append(one)
    return taken


def _take(command: Command) -> Taken:
    """Run a process to its end.

    Raises:
        SystemExit: it failed.
    """
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(command.words, stdout=subprocess.DEVNULL, stderr=output)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)  # already waited for; Popen need not
        if process.returncode != command.status:
            output.seek(0)
            raise SystemExit(f"{command.title} ended with status {process.returncode}: {output.read()[-500:].decode()}")
    return Taken(seconds, used.ru_utime + used.ru_stime, _mebibytes(used.ru_maxrss))


def _row(command: Command, taken: Sequence[Taken], over: Sequence[Taken] | None) -> str:
    seconds = [one.seconds for one in taken]
    # The peak of a new process starts at the size of its parent, so smaller values cannot be measured.
    peak, own = max(one.memory for one in taken), _mebibytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    memory = f"{peak:,.0f}" if peak > 1.1 * own else f"< {own:,.0f}"
    against, ratio = "–", "–"
    if over is not None and command.title != command.over:
        middle = statistics.median(one.processor / other.processor for one, other in zip(taken, over, strict=True))
        against = command.over
        ratio = f"**{middle:.2f}**" if command.most and middle > command.most else f"{middle:.2f}"
    aim = f"{command.most:g}" if command.most else "–"
    processor = statistics.median(one.processor for one in taken)
    spread = f"{min(seconds):.2f}–{max(seconds):.2f}"
    return (
        f"| {command.title} | {statistics.median(seconds):.2f} | {spread} | {processor:.2f} | {against} | {ratio} "
        f"| {aim} | {memory} |"
    )


def _mebibytes(maxrss: int) -> float:
    """Convert the value of `getrusage`: bytes on macOS, KiB on Linux."""
    return maxrss / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    main()
