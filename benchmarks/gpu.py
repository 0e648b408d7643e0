"""Training steps on a GPU: images per second, share of the device's peak, and cost of launching kernels.

    python benchmarks/gpu.py [--only WORD …] [--batches N …] [--compiled] [--accelerator cuda|cpu] [--quick]

Runs are set up by the code of `s4mi train`: bfloat16, channels last, the data set and its views on the device. "Steps"
repeats one batch, "with views" uses the run's own batches, augmented each time. An image counts once, however many
crops of it a method uses.

MFU (model FLOPs utilisation) is the time that the FLOPs of a step (matrix products, convolutions and attention, forward
and backward) would take at the device's peak in bfloat16, divided by the measured time. "Idle" is the share of a step
in which the device runs no kernel, at the paper's batch size: it waits for Python to launch the next.
"""

import argparse
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from measured import machine, report
from our_loop import Repeated
from s4mi.config import RunConfig, make_run_config
from s4mi.contract import TrainLoader
from s4mi.data.sources.synthetic import write_synthetic
from s4mi.engine.fit import Step, fit
from s4mi.training.prepare import prepare
from s4mi.training.run_dir import RunDir
from s4mi.training.run_method import make_fabric
from s4mi.training.session import Session

PACKAGES = ("torch", "timm", "lightning-fabric")
PEAKS = {"H200": 989.0, "H100 80GB HBM3": 989.0, "A100": 312.0}
"""Peak TFLOP/s in bfloat16 without sparsity, by a part of the device's name, from the manufacturer's data sheets."""
PAPER_BATCH = 16
TRAINING_SHARE = 0.6
"""Lower bound of the training share, so that the training set has enough images for a batch."""
SECOND = 2
"""The epoch that is timed: in the first, DINO's prototypes are frozen."""


@dataclass(frozen=True)
class Row:
    """A method to time.

    Attributes:
        target: images per second on an H200 at 224 pixels, with the best batch size. labels: label fraction, percent.
    """

    what: str
    target: int
    method: dict[str, Any] = field(hash=False)
    labels: float = 100.0


@dataclass(frozen=True)
class Setup:
    """Settings: side of the images in pixels, batch sizes, steps per measurement, warm-up steps."""

    rows: tuple[Row, ...]
    size: int
    batches: tuple[int, ...]
    steps: int
    warm: int


@dataclass
class Found:
    """Results for one batch size: images per second, FLOPs per step, and the idle share if the device reports it."""

    batch: int
    rate: float
    views: float
    flops: float
    idle: float | None = field(default=None)


FULL = Setup(
    rows=(
        Row("CASS, ResNet-50 + ViT-B/16", 1900, {"name": "cass", "cnn": "resnet50", "vit": "vit_base_patch16_224"}),
        Row("DINO, ResNet-50", 2700, {"name": "dino", "backbone": "resnet50"}),
        Row("DINO, ViT-B/16", 640, {"name": "dino", "backbone": "vit_base_patch16_224"}),
        Row("fine-tuning, ResNet-50", 9000, {"name": "finetune", "backbone": "resnet50"}),
        Row("fine-tuning, ViT-B/16", 2400, {"name": "finetune", "backbone": "vit_base_patch16_224"}),
        Row("cross teaching, small U-Net + Swin-UNet", 3000, {"name": "cross_teaching", "recipe": "paper"}, labels=50),
        Row("DEDL, ResNet-34 U-Net", 7000, {"name": "dedl"}),
        Row("PiCIE, ResNet-34", 3400, {"name": "picie"}),
    ),
    size=224,
    batches=(PAPER_BATCH, 64, 128, 256, 512),
    steps=20,
    warm=5,
)

TINY = Setup(
    rows=(
        Row("CASS, tiny ResNet + tiny ViT", 0, {"name": "cass", "cnn": "tiny_resnet", "vit": "tiny_vit"}),
        Row("DINO, tiny ResNet", 0, {"name": "dino", "backbone": "tiny_resnet"}),
        Row("fine-tuning, tiny ResNet", 0, {"name": "finetune", "backbone": "tiny_resnet"}),
        Row(
            "cross teaching, tiny ResNet U-Net + tiny Swin-UNet",
            0,
            {"name": "cross_teaching", "cnn": "tiny_resnet", "transformer": "tiny_swin_unet"},
            labels=50,
        ),
        Row("DEDL, tiny ResNet U-Net", 0, {"name": "dedl", "encoder": "tiny_resnet"}),
        Row("PiCIE, tiny ResNet", 0, {"name": "picie", "backbone": "tiny_resnet"}),
    ),
    size=64,
    batches=(PAPER_BATCH, 32),
    steps=4,
    warm=2,
)


def main() -> None:
    """Generate the images, run the measurements, print the table."""
    arguments = _arguments()
    setup = TINY if arguments.quick else FULL
    batches = tuple(arguments.batches or setup.batches)
    forms = (False, True) if arguments.compiled else (False,)
    rows = [row for row in setup.rows if not arguments.only or any(word in row.what for word in arguments.only)]
    lines, notes = [], []
    flops: dict[tuple[Row, int], float] = {}
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_synthetic("lesions", folder / "data", count=int(max(batches) / TRAINING_SHARE) + 1, size=setup.size)
        for row, compiled in itertools.product(rows, forms):
            what = f"{row.what}{', compiled' * compiled}"
            found = []
            for batch in sorted(batches):
                config = _config(row, setup, batch, folder, arguments.accelerator, compiled=compiled)
                try:
                    found.append(_measure(config, setup, flops.get((row, batch))))
                    flops[row, batch] = found[-1].flops
                except torch.OutOfMemoryError:
                    notes.append(f"- {what}: a batch of {batch} exceeds the device's memory")
                    break
                finally:
                    torch.cuda.empty_cache()  # no effect without CUDA
            lines += [_line(what, row.target, found, arguments.accelerator)] if found else []
            print("\n".join(lines[-1:]), flush=True)
    head = (
        f"| {setup.size} px | target | steps: images/s | with views | batch | MFU | at {min(batches)} | idle |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    )
    setting = f"{_device(arguments.accelerator)}; {machine(PACKAGES)} {setup.steps} steps after {setup.warm}."
    report("gpu", setting, text="\n".join((*head, *lines, *([""] if notes else []), *notes)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time training steps on a GPU.")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="only rows with one of these words in their name")
    parser.add_argument("--batches", nargs="+", type=int, help=f"batch sizes (default: {FULL.batches})")
    parser.add_argument("--compiled", action="store_true", help="also time the networks compiled by torch.compile")
    parser.add_argument(
        "--accelerator", choices=("cuda", "cpu"), default="cuda", help="device; cpu is for testing this benchmark"
    )
    parser.add_argument("--quick", action="store_true", help="tiny networks at 64 pixels, few steps")
    given = parser.parse_args()
    if given.accelerator == "cuda" and not torch.cuda.is_available():
        raise SystemExit("gpu.py: torch finds no GPU; use --accelerator cpu --quick to test the benchmark without one")
    return given


def _config(row: Row, setup: Setup, batch: int, folder: Path, accelerator: str, *, compiled: bool) -> RunConfig:
    contents = {
        "data": {"path": str(folder / "data"), "cache": str(folder / "cache"), "image_size": setup.size},
        "method": row.method,
        "label_fraction": row.labels,
        "batch_size": batch,
        "epochs": 100,
        "epoch_steps": setup.warm + setup.steps + 1,
        "hardware": {"accelerator": accelerator, "compile": compiled},
    }
    config = make_run_config(contents, origin="benchmark")
    return config.model_copy(update={"method": config.method.from_scratch()})


def _measure(config: RunConfig, setup: Setup, flops: float | None) -> Found:
    """Measure a configuration; `flops` of a step if known, as they cannot be counted in a compiled network."""
    session = Session.begin(make_fabric(config), config, prepare(config), RunDir(config.data.cache / "no-run"))
    batch = next(session.loader.epoch(SECOND))
    assert len(batch.rows) == config.batch_size, "the data set has too few images for a batch"
    held = Repeated(batch, session.loader.steps)
    steps = _steps(session, held)
    rate = _rate(steps, setup)
    if flops is None:
        with FlopCounterMode(display=False) as counter:
            next(steps)
        flops = float(counter.get_total_flops())
    views = _rate(_steps(session, session.loader), setup)
    found = Found(batch=config.batch_size, rate=rate, views=views, flops=flops)
    if config.batch_size == PAPER_BATCH and session.fabric.device.type == "cuda":
        busy = _busy(_steps(session, held), setup)
        found.idle = max(0.0, 1 - busy * found.rate / found.batch)
    return found


def _steps(session: Session, stream: TrainLoader) -> Iterator[Step]:
    """Our training loop over a train loader."""
    return fit(
        session.fabric,
        session.method,
        session.optimizer,
        session.scheduler,
        stream,
        epochs=session.config.epochs,
        first_epoch=SECOND,
        clip_norm=session.config.optim.clip_norm,
    )


def _rate(steps: Iterator[Step], setup: Setup) -> float:
    """Images per second over the steps after warm-up; the device is synchronised only before and after."""
    _take(steps, setup.warm)
    began = time.perf_counter()
    images = _take(steps, setup.steps)
    return images / (time.perf_counter() - began)


def _take(steps: Iterator[Step], number: int) -> int:
    images = sum(step.images for step in itertools.islice(steps, number))
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return images


def _busy(steps: Iterator[Step], setup: Setup) -> float:
    """Seconds per step in which a kernel runs."""
    _take(steps, setup.warm)
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        _take(steps, setup.steps)
    microseconds = sum(float(event.self_device_time_total) for event in profiler.key_averages())
    return microseconds / 1e6 / setup.steps


def _line(what: str, target: int, found: Sequence[Found], accelerator: str) -> str:
    best, paper, peak = max(found, key=lambda one: one.rate), found[0], _peak(accelerator)
    mfu = "–" if peak is None else f"{best.flops * best.rate / best.batch / (1e12 * peak):.0%}"
    idle = "–" if paper.idle is None else f"{paper.idle:.0%}"
    return (
        f"| {what} | {f'{target:,}' if target else '–'} | {best.rate:,.0f} | {best.views:,.0f} | {best.batch} | {mfu} "
        f"| {paper.rate:,.0f} | {idle} |"
    )


def _peak(accelerator: str) -> float | None:
    """Peak TFLOP/s of the device, or None if unknown."""
    name = _device(accelerator)
    return next((peak for part, peak in PEAKS.items() if part in name), None)


def _device(accelerator: str) -> str:
    return torch.cuda.get_device_name() if accelerator == "cuda" else "CPU"


if __name__ == "__main__":
    main()
