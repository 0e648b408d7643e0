"""Shared by the benchmarks: alternating measurements, ratios, tables, and result files for `everything.py`.

A ratio above 1 means that s4mi is faster. It is the median of the ratios of the rounds, because both sides of a round
ran under the same conditions; the range is that of single rounds.
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
"""Environment variable: folder for result files; unset: results are only printed."""

Unit = Literal["ms/step", "s/epoch", "s", "images/s"]
Work = Callable[[], int]
"""Does the work once and returns its number of images."""


@dataclass(frozen=True)
class Pair:
    """Measurements of both sides of a comparison.

    Attributes:
        what: title of the row. against: the peer, in a few words.
        ours, theirs: the measurement of each round, in `unit`.
        number: row of the summary; 0: none.
        memory: peak MiB of each side, each in its own process.
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
        """Return a row of the table."""
        ours, theirs = (_figure(statistics.median(side)) for side in (self.ours, self.theirs))
        memory = "–" if self.memory is None else f"{self.memory[0]:,.0f} / {self.memory[1]:,.0f}"
        return (
            f"| {self.what} | {self.against} | {self.unit} | {ours} | {theirs} | {self.ratio:.2f}× | {self.spread} "
            f"| {memory} |"
        )


def table(pairs: Iterable[Pair]) -> str:
    """Return a Markdown table."""
    head = "| benchmark | peer | unit | s4mi | peer | ratio | range | peak MiB, s4mi / peer |"
    return "\n".join((head, "|---|---|---|---:|---:|---:|---:|---:|", *(pair.row() for pair in pairs)))


def turn_by_turn(sides: Mapping[str, Work], rounds: int) -> dict[str, tuple[float, ...]]:
    """Images per second of each side in each round."""
    return {side: tuple(1 / one for one in taken) for side, taken in seconds(sides, rounds).items()}


def seconds(sides: Mapping[str, Work], rounds: int) -> dict[str, tuple[float, ...]]:
    """Seconds per image, or per other unit of work, of each side in each round, after a round of warm-up."""
    taken: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(rounds + 1):
        for side, work in sides.items():
            began = time.perf_counter()
            count = work()
            if number:
                taken[side].append((time.perf_counter() - began) / count)
    return {side: tuple(own) for side, own in taken.items()}


def apart(sides: Mapping[str, Callable[[], Work]], rounds: int) -> dict[str, tuple[float, ...]]:
    """Like `seconds`, with each side in its own process, with its own allocator and threads.

    Args:
        sides: module-level functions, or partials of them, that set up a side.
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
        raise SystemExit("a side has failed: see above") from error
    finally:
        for pipe, process in zip(pipes.values(), processes, strict=True):
            pipe.close()  # this ends it
            process.join()
    return {side: tuple(own) for side, own in taken.items()}


def _serve(set_up: Callable[[], Work], pipe: Connection) -> None:
    """Work on each request from the other end, and send back the seconds per unit."""
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
    """Peak MiB of each side in a new process, minus the memory before; None except on Linux.

    Both are module-level functions, or partials of them. Processes that they start are not counted.
    """
    if not Path("/proc/self/status").exists():
        return None
    found = []
    for work in (ours, theirs):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            found.append(pool.submit(_peak, work).result())
    return found[0], found[1]


FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile", "amx_bf16")
"""Flags of an x86 processor on which the speed of products depends."""


def machine(packages: Sequence[str]) -> str:
    """Describe the machine and the packages in one line."""
    return (
        f"{os.cpu_count()} {platform.machine()} cores, {_processor()}, load {os.getloadavg()[0]:.1f} before; Python "
        f"{platform.python_version()}, {', '.join(f'{name} {version(name)}' for name in packages)}; "
        f"{torch.get_num_threads()} torch threads, OMP_WAIT_POLICY={os.environ.get('OMP_WAIT_POLICY', 'unset')}."
    )


def _processor() -> str:
    """Name of the processor, and those of `FLAGS` that it has if it is an x86."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # no Linux
        return platform.processor() or "unknown processor"
    found: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    name = found.get("model name") or platform.processor() or "unknown processor"
    if "flags" not in found:
        return name
    flags = found["flags"].split()
    return f"{name} ({', '.join(flag for flag in FLAGS if flag in flags) or 'no AVX2'})"


def report(name: str, setting: str, pairs: Sequence[Pair] = (), *, text: str = "") -> None:
    """Print the results, and write them to a file if `everything.py` requests it.

    Args:
        name: section. setting: machine and data. text: Markdown below the table.
    """
    body = "\n\n".join(part for part in (setting, table(pairs) if pairs else "", text) if part)
    print(f"\n{body}\n\nload {os.getloadavg()[0]:.1f} after", flush=True)
    folder = os.environ.get(RESULTS)
    if folder:
        contents = {"body": body, "pairs": [asdict(pair) for pair in pairs]}
        (Path(folder) / f"{name}.json").write_text(json.dumps(contents, indent=1), encoding="utf-8")


def read_results(path: Path) -> tuple[str, list[Pair]]:
    """Return the body and the pairs of a result file."""
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
    """Return a memory value of this process in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
