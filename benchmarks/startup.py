"""Start-up time and memory of commands, and of a check of many images. There is no peer.

    python benchmarks/startup.py [--images N] [--rounds R] [--quick]

Each measurement is a new process. The first round is not counted, so that files are in the page cache;
a first start from a cold disk takes several times as long. Peak memory is that of the process itself, without its child
processes.
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

from s4mi.data.sources.synthetic import write_synthetic

S4MI = (sys.executable, "-m", "s4mi")
PACKAGES = ("torch", "timm", "segmentation_models_pytorch", "lightning_fabric", "monai")
"""Import names of the packages."""
SIZE = 96
"""Side of the synthetic images in pixels."""


@dataclass(frozen=True)
class Command:
    """A process to time."""

    title: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Taken:
    """Measurement of one process: wall time in seconds, peak MiB."""

    seconds: float
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
        rows = [_row(command, _several(command, rounds, warm)) for command in _starts(data, packages)]
        checks = (
            Command(f"s4mi data check, {images:,} PNG of {SIZE} px", (*S4MI, "data", "check", str(data))),
            Command("the same with --no-duplicates", (*S4MI, "data", "check", str(data), "--no-duplicates")),
        )
        rows += [_row(command, [_take(command.words)]) for command in checks]
    from measured import report  # not earlier: see `_row`

    head = ("| command | s | range | peak MiB |", "|---|---:|---:|---:|")
    report("startup", setting, text="\n".join((*head, *rows)))


def _machine() -> str:
    """Return `measured.machine()`, run in another process: it imports torch, and this process has to stay small."""
    code = f"from measured import machine; print(machine({PACKAGES}))"
    output = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, check=True)
    return output.stdout.decode().strip()


def _starts(data: Path, packages: Sequence[str]) -> Sequence[Command]:
    return (
        Command("python -c pass", (sys.executable, "-c", "pass")),
        Command("import s4mi", (sys.executable, "-c", "import s4mi")),
        Command("s4mi --help", (*S4MI, "--help")),
        Command("s4mi data split", (*S4MI, "data", "split", str(data))),
        Command("s4mi methods", (*S4MI, "methods")),
        *(Command(f"import {name}", (sys.executable, "-c", f"import {name}")) for name in packages),
        Command("import s4mi.recipes.train", (sys.executable, "-c", "import s4mi.recipes.train")),
    )


def _several(command: Command, rounds: int, warm: int) -> list[Taken]:
    """Run a command several times, after `warm` runs that may read from the disk and are not counted."""
    return [_take(command.words) for _ in range(warm + rounds)][warm:]


def _take(words: Sequence[str]) -> Taken:
    """Run a process to its end.

    Raises:
        SystemExit: it failed.
    """
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=output)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)  # already waited for; Popen need not
        if process.returncode:
            output.seek(0)
            raise SystemExit(
                f"{' '.join(words)} ended with status {process.returncode}: {output.read()[-500:].decode()}"
            )
    return Taken(seconds, _mebibytes(used.ru_maxrss))


def _row(command: Command, taken: Sequence[Taken]) -> str:
    seconds = [one.seconds for one in taken]
    # The peak of a new process starts at the size of its parent, so smaller values cannot be measured.
    peak, own = max(one.memory for one in taken), _mebibytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    memory = f"{peak:,.0f}" if peak > 1.1 * own else f"< {own:,.0f}"
    return f"| {command.title} | {statistics.median(seconds):.2f} | {min(seconds):.2f}–{max(seconds):.2f} | {memory} |"


def _mebibytes(maxrss: int) -> float:
    """Convert the value of `getrusage`: bytes on macOS, KiB on Linux."""
    return maxrss / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    main()
