"""Time a study of frozen arms, label fractions × seeds, against one plain pass of the encoder and against fine-tuning.

    python benchmarks/frozen_grid.py [--images N] [--seeds S] [--weights NAME=FILE] [--data FOLDER] [--quick]

Our side is the whole study in an empty folder: decoding, features, store, and every run with record, calibration and
scores, one process. The first peer is one pass of timm's network in eager mode over a `DataLoader`, which keeps the
features and fits nothing; one half of it is made before the study and one after it, as other load on the machine comes
and goes. The second is the same grid by `finetune` with the same encoder: one run of a few steps is measured, and the
grid computed from its images per second, with 300 steps of 16 images a run.

The last line is what a run costs without its encoder: a study of 200 small images, 40 of them for testing, whose
features are stored already.
"""

import argparse
import contextlib
import io
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from encoder_pass import PACKAGES, PAGE, SIZE, TINY, Sides
from measured import Pair, machine, report
from s4mi.config import StudyConfig, make_run_config, make_study
from s4mi.data.manifest import load_manifest
from s4mi.data.sources.synthetic import write_synthetic
from s4mi.nets.backbone import Backbone
from s4mi.recipes.train import train
from s4mi.records import RunRecord
from s4mi.studies.events import Event, RunProgress
from s4mi.studies.run import run_study

FRACTIONS = (5, 10, 15, 20, 30, 50, 75, 100)
STEPS, BATCH_SIZE = 300, 16
"""Length of a run of `finetune` in the profile `strong`."""
MEASURED_STEPS = 6
OVERHEAD_RUNS = 7
ROW = 13
"""Row of the summary: against a pass; one higher, against fine-tuning."""


def main() -> None:
    """Draw the images, run the study and both peers, print the table."""
    arguments = _arguments()
    name, _, weights = arguments.weights.partition("=")
    size = 64 if arguments.quick else SIZE
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        dataset = arguments.data or folder / "drawn"
        if arguments.data is None:
            write_synthetic("lesions", dataset, count=arguments.images, size=96 if arguments.quick else PAGE, seed=0)
        images = len(load_manifest(dataset).rows)
        sides = Sides(name, weights or "none", size, dataset, workers=2)
        half = min(arguments.pass_images or images, images) // 2
        first = _pass(sides, slice(None, half))
        print(f"half a pass: {first}", flush=True)
        grid, runs, parts = _grid(folder, dataset, name, weights or "none", size, arguments.seeds)
        print(f"the study: {grid}, {parts}", flush=True)
        passes = (first + _pass(sides, slice(images - half, None))).times(images / (2 * half))
        print(f"a pass: {passes}", flush=True)
        finetuning = _finetuning(folder, name, weights or "none", size) * runs
        overhead, processor = _overhead(folder)
    what = f"{runs} frozen runs, {images} images, {name}"
    pairs = [
        Pair(what, "one plain pass, timm and DataLoader", "s", (grid.clock,), (passes.clock,), number=ROW),
        Pair(
            what,
            "the same grid by finetune, from its images per second",
            "s",
            (grid.clock,),
            (finetuning,),
            number=ROW + 1,
        ),
    ]
    setting = f"{machine(PACKAGES)} Images at {size} pixels, {len(FRACTIONS)} fractions × {arguments.seeds} seeds."
    measured = "" if 2 * half >= images - 1 else f" (from {2 * half} images)"
    text = (
        f"- decoding, {parts.decoded:.1f} s; features, {parts.encoded:.1f} s; {runs} runs, "
        f"{(grid.clock - parts.decoded - parts.encoded) / runs:.2f} s each; in processor time, which other load "
        f"disturbs less, the study took {grid.processor:.0f} s and the pass {passes.processor:.0f} s{measured}: "
        f"{grid.processor / passes.processor:.2f} of it\n"
        "- a run whose features are stored, with 200 images, 40 of them for testing: "
        f"{statistics.median(overhead):.2f} s ({min(overhead):.2f}–{max(overhead):.2f}), {OVERHEAD_RUNS} runs, "
        f"{processor:.2f} s of processor time"
    )
    report("frozen-grid", setting, pairs, text=text)


@dataclass(frozen=True)
class Taken:
    """Seconds on the clock, and of processor time with all child processes."""

    clock: float
    processor: float

    @staticmethod
    def now() -> "Taken":
        """Return the present readings."""
        times = os.times()
        return Taken(time.perf_counter(), times.user + times.system + times.children_user + times.children_system)

    def times(self, factor: float) -> "Taken":
        """Return the seconds of `factor` times as much work."""
        return Taken(self.clock * factor, self.processor * factor)

    def __sub__(self, other: "Taken") -> "Taken":
        return Taken(self.clock - other.clock, self.processor - other.processor)

    def __add__(self, other: "Taken") -> "Taken":
        return Taken(self.clock + other.clock, self.processor + other.processor)


def _pass(sides: Sides, part: slice) -> Taken:
    network = Backbone(sides.name, image_size=sides.size, weights=sides.weights).eval()
    begun = Taken.now()
    sides.theirs(network, part)
    return Taken.now() - begun


@dataclass(frozen=True)
class Parts:
    """Seconds for decoding all images and for their features."""

    decoded: float
    encoded: float


def _grid(folder: Path, dataset: Path, name: str, weights: str, size: int, seeds: int) -> tuple[Taken, int, Parts]:
    study = _study(dataset, folder / "cache", name, weights, size, fractions=FRACTIONS, seeds=range(seeds))
    begun = Taken.now()
    marks: dict[str, float] = {}

    def mark(event: Event) -> None:
        if isinstance(event, RunProgress):
            marks.setdefault(event.progress.phase, time.perf_counter())

    with contextlib.redirect_stdout(io.StringIO()):
        outcomes = run_study(study, folder / "study", on_event=mark)
    taken = Taken.now() - begun
    records = [outcome.record for outcome in outcomes if isinstance(outcome.record, RunRecord)]
    assert len(records) == len(outcomes), outcomes[0].reason
    encoded = sum(each.seconds for one in records if one.fit for each in one.fit.features)
    decoded = marks["encode"] - begun.clock if "encode" in marks else 0.0
    return taken, len(outcomes), Parts(decoded, encoded)


def _overhead(folder: Path) -> tuple[list[float], float]:
    """Seconds of single runs of a study on stored features, and the median of their processor time."""
    dataset = folder / "small"
    write_synthetic("lesions", dataset, count=200, size=64, seed=1)
    taken = []
    for seed in range(OVERHEAD_RUNS + 1):
        study = _study(dataset, folder / "small-cache", TINY, "none", 64, fractions=(50,), seeds=(seed,))
        begun = Taken.now()
        with contextlib.redirect_stdout(io.StringIO()):
            (outcome,) = run_study(study, folder / f"small-{seed}")
        assert outcome.record is not None, outcome.reason
        taken.append(Taken.now() - begun)
    counted = taken[1:]  # the first fills the store
    return [one.clock for one in counted], statistics.median(one.processor for one in counted)


def _study(
    dataset: Path, cache: Path, name: str, weights: str, size: int, *, fractions: Sequence[float], seeds: Sequence[int]
) -> StudyConfig:
    contents = {
        "data": {"path": str(dataset), "image_size": size, "cache": str(cache)},
        "label_fractions": list(fractions),
        "seeds": list(seeds),
        "settings": {"task": "multiclass"},
        "arms": [{"name": "frozen", "method": {"name": "frozen", "backbone": name, "weights": weights, "join": []}}],
    }
    return make_study(contents, origin="benchmark")


def _finetuning(folder: Path, name: str, weights: str, size: int) -> float:
    """Seconds of one run's training steps, from the images per second of a few; the images are another data set's."""
    dataset = folder / "for-finetune"
    write_synthetic("lesions", dataset, count=60, size=96, seed=2)
    contents = {
        "data": {"path": str(dataset), "image_size": size, "cache": str(folder / "cache")},
        "method": {"name": "finetune", "backbone": name, "weights": weights},
        "task": "multiclass",
        "label_fraction": 100,
        "epochs": 2,
        "epoch_steps": MEASURED_STEPS // 2,
        "batch_size": BATCH_SIZE,
    }
    record = train(make_run_config(contents, origin="benchmark"), folder / "finetune")
    assert isinstance(record, RunRecord)
    return STEPS * BATCH_SIZE / record.cost.images_per_second


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000, help="number of drawn images")
    parser.add_argument("--data", type=Path, help="a data set folder instead of drawn files")
    parser.add_argument("--pass-images", type=int, default=0, help="images of the plain pass (default: all)")
    parser.add_argument("--seeds", type=int, default=20, help="number of seeds")
    parser.add_argument(
        "--weights", default="vit_small_patch16_224", help="NAME, or NAME=FILE: timm name and weight file"
    )
    parser.add_argument("--quick", action="store_true", help="a tiny network, to try the benchmark")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.weights, arguments.images, arguments.seeds = TINY, 200, 2
    torch.manual_seed(0)
    return arguments


if __name__ == "__main__":
    main()
