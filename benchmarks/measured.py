"""What benchmarks have in common: turns, ratios, tables, and a file of results that `everything.py` puts into the docs.

A ratio above 1 says that s4mi is faster. Each is the median of the ratios of the rounds, as both sides of a round have
had the same machine to themselves for as long; least and most are of single rounds.
"""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

import torch

RESULTS = "S4MI_BENCH_RESULTS"
"""Environment variable: the folder for files of results; unset: results are printed only."""

Unit = Literal["ms/step", "s/epoch", "s", "images/s"]
Work = Callable[[], int]
"""Does something once, and says for how many images."""


@dataclass(frozen=True)
class Pair:
    """Both sides of a comparison.

    Attributes:
        what: one line. against: the peer, in a few words.
        ours, theirs: what each round gave, in `unit`.
        number: of the row of the summary that this belongs to; 0: none.
        memory: MiB at the peak of each, each in a process of its own.
    """

    what: str
    against: str
    unit: Unit
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    number: int = 0
    memory: tuple[float, float] | None = None

    @property
    def ratios(self) -> list[float]:
        pairs = zip(self.ours, self.theirs, strict=True)
        return [own / other if self.unit == "images/s" else other / own for own, other in pairs]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def spread(self) -> str:
        return f"{min(self.ratios):.2f}–{max(self.ratios):.2f}×"

    def row(self) -> str:
        """One line of a table."""
        ours, theirs = (_figure(statistics.median(side)) for side in (self.ours, self.theirs))
        memory = "–" if self.memory is None else f"{self.memory[0]:,.0f} / {self.memory[1]:,.0f}"
        return (
            f"| {self.what} | {self.against} | {self.unit} | {ours} | {theirs} | {self.ratio:.2f}× | {self.spread} "
            f"| {memory} |"
        )


def table(pairs: Iterable[Pair]) -> str:
    """Markdown."""
    head = "| what | against | unit | s4mi | peer | ratio | least–most | MiB, s4mi / peer |"
    return "\n".join((head, "|---|---|---|---:|---:|---:|---:|---:|", *(pair.row() for pair in pairs)))


def turn_by_turn(sides: Mapping[str, Work], rounds: int) -> dict[str, tuple[float, ...]]:
    """Images per second of each side in each round."""
    return {side: tuple(1 / one for one in taken) for side, taken in seconds(sides, rounds).items()}


def seconds(sides: Mapping[str, Work], rounds: int) -> dict[str, tuple[float, ...]]:
    """Seconds for one image, or whatever is counted, of each side in each round, after one that starts threads."""
    taken: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(rounds + 1):
        for side, work in sides.items():
            began = time.perf_counter()
            count = work()
            if number:
                taken[side].append((time.perf_counter() - began) / count)
    return {side: tuple(own) for side, own in taken.items()}


def apart(sides: Mapping[str, Callable[[], Work]], rounds: int) -> dict[str, tuple[float, ...]]:
    """As `seconds`, each side in a process of its own, so that it can have an allocator and threads of its own.

    Args:
        sides: functions of a module, or partials of them, that set a side up.
    """
    context = get_context("spawn")
    pipes, processes = {}, []
    for side, set_up in sides.items():
        pipes[side], end = context.Pipe()
        processes.append(context.Process(target=_serve, args=(set_up, end)))
        processes[-1].start()
        end.close()
    taken: dict[str, list[float]] = {side: [] for side in sides}
    try:
        for number in range(rounds + 1):
            for side, pipe in pipes.items():
                pipe.send(True)
                one = pipe.recv()
                if number:
                    taken[side].append(one)
    except EOFError as error:
        raise SystemExit("a side has ended: see above") from error
    finally:
        for pipe, process in zip(pipes.values(), processes, strict=True):
            pipe.close()  # which ends it
            process.join()
    return {side: tuple(own) for side, own in taken.items()}


def _serve(set_up: Callable[[], Work], pipe: Connection) -> None:
    """Work as often as the other end says, and tell each time how long one took."""
    work = set_up()
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        began = time.perf_counter()
        count = work()
        pipe.send((time.perf_counter() - began) / count)


def peaks(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float] | None:
    """MiB at the peak of each in a fresh process, less what that held before; None where the system does not tell.

    Both are functions of a module, or partials of one. Processes that they start themselves are not counted.
    """
    if not Path("/proc/self/status").exists():
        return None
    found = []
    for work in (ours, theirs):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            found.append(pool.submit(_peak, work).result())
    return found[0], found[1]


def machine(packages: Sequence[str]) -> str:
    """What it was measured on, in one line."""
    return (
        f"{os.cpu_count()} {platform.machine()} cores, load {os.getloadavg()[0]:.1f} before; Python "
        f"{platform.python_version()}, {', '.join(f'{name} {version(name)}' for name in packages)}; "
        f"{torch.get_num_threads()} threads of torch, OMP_WAIT_POLICY={os.environ.get('OMP_WAIT_POLICY', 'unset')}."
    )


def report(name: str, setting: str, pairs: Sequence[Pair] = (), *, text: str = "") -> None:
    """Print what was found, and leave it as a file where `everything.py` asks for that.

    Args:
        name: of the section. setting: what it was measured on, and on what. text: Markdown, below the table.
    """
    body = "\n\n".join(part for part in (setting, table(pairs) if pairs else "", text) if part)
    print(f"\n{body}\n\nload {os.getloadavg()[0]:.1f} after", flush=True)
    folder = os.environ.get(RESULTS)
    if folder:
        contents = {"body": body, "pairs": [asdict(pair) for pair in pairs]}
        (Path(folder) / f"{name}.json").write_text(json.dumps(contents, indent=1), encoding="utf-8")


def read_results(path: Path) -> tuple[str, list[Pair]]:
    """The body and the pairs of a file of results."""
    contents = json.loads(path.read_text(encoding="utf-8"))
    pairs = []
    for one in contents["pairs"]:
        memory = one.pop("memory")
        ours, theirs = tuple(one.pop("ours")), tuple(one.pop("theirs"))
        pairs.append(Pair(**one, ours=ours, theirs=theirs, memory=None if memory is None else tuple(memory)))
    return contents["body"], pairs


def _peak(work: Callable[[], object]) -> float:
    before = _status("VmRSS")
    work()
    return _status("VmHWM") - before


def _status(name: str) -> float:
    """A figure of this process in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
