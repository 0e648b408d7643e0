"""Time a whole study against training its runs one by one: the paper's six techniques on synthetic images.

    python benchmarks/study.py [--images N] [--seeds S] [--rounds R] [--workers W …] [--quick]

The study is `studies/small/six-techniques.yaml` with fewer epochs. One side is `s4mi study run` with a process per
core; another is the same with one process; the peer calls `s4mi train` for each run of the table, one after the other
with all cores: each call starts Python, decodes its images and, if it fine-tunes, trains the pre-training that it
starts from. The sides alternate, without a warm-up, because each takes minutes. Every run must have the same settings
and the same split on all sides, and the same test score if it has as many threads. With other numbers of threads its
sums differ in the last digit, which training amplifies; the difference is printed.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from measured import Pair, machine, report
from s4mi.config import PlannedRun, StudyConfig, load_study, plan_study
from s4mi.data.sources.synthetic import write_synthetic
from s4mi.records import RunRecord, read_any_record

S4MI = (sys.executable, "-m", "s4mi")
STUDY = Path(__file__).resolve().parents[1] / "studies" / "small" / "six-techniques.yaml"
SIZE = 256
"""Side of the synthetic images in pixels."""
SHORT = (
    "settings.epochs=4",
    "settings.epoch_steps=6",
    "settings.optim.cosine_epochs=4",
    "pretraining.dino.epochs=8",
    "pretraining.dino.optim.cosine_epochs=8",
    "pretraining.cass.epochs=8",
    "pretraining.cass.optim.cosine_epochs=8",
)
"""Settings that make a study end in minutes; nothing else is changed."""
ROW, PROCESSES_ROW = 9, 15
"""Rows of the summary: against the peer, and a process per core against one process."""


@dataclass(frozen=True)
class Side:
    """A way to train all runs of a study below a folder, each with `threads` threads."""

    title: str
    make: Callable[[Path], None]
    threads: int


def main() -> None:
    """Run the measurements, print the table."""
    parser = argparse.ArgumentParser(description="Time a study against training its runs one by one.")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1, help="measurements of each side; each takes many minutes")
    parser.add_argument(
        "--workers", type=int, nargs="+", help="worker processes to time (default: number of cores, and 1)"
    )
    parser.add_argument("--quick", action="store_true", help="one seed, one label fraction")
    arguments = parser.parse_args()
    cores = os.cpu_count() or 1
    workers: list[int] = arguments.workers or [cores, 1]
    setting = (
        f"{machine(('torch', 'timm', 'segmentation-models-pytorch'))} {arguments.images} synthetic images of {SIZE} px."
    )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_synthetic("lesions", root / "data", count=arguments.images, size=SIZE, seed=0)
        settings = [
            f"data.path={root / 'data'}",
            *SHORT,
            f"seeds={list(range(1 if arguments.quick else arguments.seeds))}",
        ]
        if arguments.quick:
            settings.append("label_fractions=[100]")
        study = load_study(STUDY, settings)
        sides = (
            *(
                Side(
                    f"study, {count} process{'' if count == 1 else 'es'}",
                    partial(_study, settings, workers=count),
                    threads=max(1, cores // count),
                )
                for count in workers
            ),
            Side("s4mi train, one by one", partial(_one_by_one, study), threads=cores),
        )
        taken, notes = _turn_by_turn(sides, study, root, arguments.rounds)
    starts, runs = _count(study)
    what = f"six techniques, {runs} runs and {starts} pre-training runs"
    pairs = [
        Pair(f"{what}: {side.title}", sides[-1].title, "s", taken[number], taken[-1], number=0 if number else ROW)
        for number, side in enumerate(sides[:-1])
    ]
    if workers == [cores, 1] and cores > 1:
        several, one = sides[:2]
        pairs.append(Pair(f"{what}: {several.title}", one.title, "s", taken[0], taken[1], number=PROCESSES_ROW))
    report(
        "study",
        setting,
        pairs,
        text="\n".join(notes),
    )


def _turn_by_turn(
    sides: tuple[Side, ...], study: StudyConfig, root: Path, rounds: int
) -> tuple[list[tuple[float, ...]], list[str]]:
    """Seconds of each side in each round, and a line per side on the agreement of its test scores with the peer's."""
    taken: list[list[float]] = [[] for _ in sides]
    used: list[list[float]] = [[] for _ in sides]
    notes: list[str] = []
    for number in range(rounds):
        for side, seconds, processor in zip(sides, taken, used, strict=True):
            out = root / f"{number}-{sides.index(side)}"
            began, before = time.perf_counter(), _processor_time()
            side.make(out)
            seconds.append(time.perf_counter() - began)
            processor.append(_processor_time() - before)
            print(f"{side.title}: {seconds[-1]:,.0f} s, {processor[-1]:,.0f} s of processor time", flush=True)
        *folders, peer = (root / f"{number}-{index}" for index in range(len(sides)))
        notes = [
            _compare(side, sides[-1], _differences(study, folder, peer))
            for side, folder in zip(sides, folders, strict=False)
        ]
    notes += [_use(side, seconds, processor) for side, seconds, processor in zip(sides, taken, used, strict=True)]
    return [tuple(seconds) for seconds in taken], notes


def _processor_time() -> float:
    """Processor time of all ended processes that this one has started, in seconds."""
    used = os.times()
    return used.children_user + used.children_system


def _use(side: Side, seconds: Sequence[float], processor: Sequence[float]) -> str:
    """Describe the processor time of a side, and the share of the cores that it kept busy, in one line."""
    busy = statistics.median(one / other for one, other in zip(processor, seconds, strict=True)) / (os.cpu_count() or 1)
    return f"- {side.title}: {statistics.median(processor):,.0f} s of processor time, {busy:.0%} of what the cores had"


def _study(settings: list[str], out: Path, *, workers: int) -> None:
    _call("study", "run", str(STUDY), *settings, f"data.cache={out / 'cache'}", "-o", str(out), "--workers",
          str(workers), "--no-sheets")  # fmt: skip


def _one_by_one(study: StudyConfig, out: Path) -> None:
    """Train each run of the table by a call of its own, after a call for the pre-training that it starts from."""
    plan = {run.name: run for run in plan_study(study, out)}
    for run in plan.values():
        if run.config.method.pretrains:
            continue
        own = out / run.name
        settings = [f"data.cache={own / 'cache'}"]
        if run.needs is not None:
            first = own / "pretraining"
            _train(plan[run.needs], first, f"data.cache={own / 'cache'}")
            settings.append(f"method.pretrained={first}")
        _train(run, own / "run", *settings)


def _train(run: PlannedRun, out: Path, *settings: str) -> None:
    file = out.parent / f"{out.name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(run.config.model_dump(mode="json", exclude_none=True)), encoding="utf-8")
    _call("train", str(file), *settings, "-o", str(out))


def _call(*words: str) -> None:
    """Run s4mi to its end.

    Raises:
        SystemExit: it failed.
    """
    done = subprocess.run([*S4MI, *words], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"s4mi {' '.join(words)} ended with status {done.returncode}: {done.stderr[-800:]}")


def _differences(study: StudyConfig, folder: Path, peer: Path) -> dict[str, float]:
    """Return the difference of each run's test scores between two sides.

    Raises:
        SystemExit: a run has different settings, split or data set on the two sides.
    """
    found = {}
    for run in plan_study(study, folder):
        if run.config.method.pretrains:
            continue
        records = [_record(one, run.name) for one in (folder, peer)]
        if len({(record.config_hash, record.split_hash, record.dataset) for record in records}) != 1:
            raise SystemExit(f"{run.name}: the sides have trained different runs, so no ratio is given")
        one, other = (float(getattr(record.test, record.metric)) for record in records)
        found[run.name] = abs(one - other)
    return found


def _compare(side: Side, peer: Side, differences: dict[str, float]) -> str:
    """Describe the agreement of the test scores in one line.

    Raises:
        SystemExit: they differ, although the runs of both had as many threads.
    """
    other = {name: difference for name, difference in differences.items() if difference > 0}
    most = max(other, key=lambda name: other[name], default="")
    line = f"- {side.title}: same settings and splits as {peer.title}; the same test scores"
    if not other:
        return f"{line} to the last digit"
    alike = len(differences) - len(other)
    line += f" in {alike} of {len(differences)} runs, the others differ by at most {other[most]:.3f}"
    if side.threads == peer.threads:
        raise SystemExit(f"{line} ({most}) despite equal threads, so no ratio is given")
    return f"{line} (threads per run: {side.threads} and {peer.threads})"


def _record(folder: Path, name: str) -> RunRecord:
    run = folder / name
    record = read_any_record(run / "run" if (run / "run").is_dir() else run)
    assert isinstance(record, RunRecord)
    return record


def _count(study: StudyConfig) -> tuple[int, int]:
    """Return the number of pre-training runs and of runs in the table."""
    pretrains = [run.config.method.pretrains for run in plan_study(study, Path())]
    return sum(pretrains), len(pretrains) - sum(pretrains)


if __name__ == "__main__":
    main()
