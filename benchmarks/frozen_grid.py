"""Time a study of frozen arms, label fractions × seeds, against one plain pass of the encoder and against fine-tuning.

    python benchmarks/frozen_grid.py [--images N] [--seeds S] [--weights NAME=FILE] [--quick]

Our side is the whole study in an empty folder: decoding, features, store, and every run with record, calibration and
scores, one process. The first peer is one pass of timm's network in eager mode over a `DataLoader`, which keeps the
features and fits nothing. The second is the same grid by `finetune` with the same encoder: one run of a few epochs is
measured, and the grid computed from its images per second, with 300 steps of 16 images a run.
"""

import argparse
import contextlib
import io
import tempfile
import time
from pathlib import Path

import torch

from encoder_pass import PACKAGES, SIZE, TINY, Sides
from measured import Pair, machine, report
from s4mi.config import make_run_config, make_study
from s4mi.data.sources.synthetic import write_synthetic
from s4mi.nets.backbone import Backbone
from s4mi.recipes.train import train
from s4mi.records import RunRecord
from s4mi.studies.run import run_study

FRACTIONS = (5, 10, 15, 20, 30, 50, 75, 100)
STEPS, BATCH_SIZE = 300, 16
"""Length of a run of `finetune` in the profile `strong`."""
MEASURED_STEPS = 6
ROW = 13
"""Row of the summary: against a pass; one higher, against fine-tuning."""


def main() -> None:
    """Draw the images, run the study and both peers, print the table."""
    arguments = _arguments()
    name, _, weights = arguments.weights.partition("=")
    size = 64 if arguments.quick else SIZE
    with tempfile.TemporaryDirectory() as folder:
        dataset = Path(folder) / "drawn"
        write_synthetic("lesions", dataset, count=arguments.images, size=512 if not arguments.quick else 96, seed=0)
        passes = _pass(name, weights or "none", size, dataset)
        grid, runs = _grid(Path(folder), dataset, name, weights or "none", size, arguments.seeds)
        finetuning = _finetuning(Path(folder), dataset, name, weights or "none", size) * runs
    what = f"{runs} frozen runs, {arguments.images} images, {name}"
    pairs = [
        Pair(what, "one plain pass, timm and DataLoader", "s", (grid,), (passes,), number=ROW),
        Pair(
            what, "the same grid by finetune, from its images per second", "s", (grid,), (finetuning,), number=ROW + 1
        ),
    ]
    setting = (
        f"{machine(PACKAGES)} Images of 512×512 at {size} pixels, {len(FRACTIONS)} fractions × {arguments.seeds} seeds."
    )
    report("frozen-grid", setting, pairs, text="")


def _pass(name: str, weights: str, size: int, dataset: Path) -> float:
    network = Backbone(name, image_size=size, weights=weights).eval()
    begun = time.perf_counter()
    Sides(name, weights, size, dataset, workers=2).theirs(network)
    return time.perf_counter() - begun


def _grid(folder: Path, dataset: Path, name: str, weights: str, size: int, seeds: int) -> tuple[float, int]:
    contents = {
        "data": {"path": str(dataset), "image_size": size, "cache": str(folder / "cache")},
        "label_fractions": list(FRACTIONS),
        "seeds": list(range(seeds)),
        "settings": {"task": "multiclass"},
        "arms": [{"name": "frozen", "method": {"name": "frozen", "backbone": name, "weights": weights, "join": []}}],
    }
    study = make_study(contents, origin="benchmark")
    begun = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        outcomes = run_study(study, folder / "study")
    assert all(outcome.record is not None for outcome in outcomes), outcomes[0].reason
    return time.perf_counter() - begun, len(outcomes)


def _finetuning(folder: Path, dataset: Path, name: str, weights: str, size: int) -> float:
    """Seconds of one run's training steps, from the images per second of a few."""
    contents = {
        "data": {"path": str(dataset), "image_size": size, "cache": str(folder / "cache")},
        "method": {"name": "finetune", "backbone": name, "weights": weights},
        "task": "multiclass",
        "label_fraction": 20,
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
    parser.add_argument("--seeds", type=int, default=20, help="number of seeds")
    parser.add_argument(
        "--weights", default="vit_small_patch16_224", help="NAME, or NAME=FILE: timm name and weight file"
    )
    parser.add_argument("--quick", action="store_true", help="a tiny network, to try the benchmark")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.weights, arguments.images, arguments.seeds = TINY, min(arguments.images, 120), 2
    torch.manual_seed(0)
    return arguments


if __name__ == "__main__":
    main()
