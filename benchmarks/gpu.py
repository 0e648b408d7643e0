"""Training steps on a GPU: images a second, their share of the device's peak, and what launching kernels costs.

    python benchmarks/gpu.py [--only WORD …] [--batches N …] [--compiled] [--accelerator cuda|cpu] [--quick]

Runs are set up by the code of `s4mi train`: bfloat16, channels last, the data set and its views on the device. "Steps"
is one batch again and again, "with views" the run's own batches, cut anew each time. An image counts once, however many
crops of it a method looks at.

MFU is what the sums of a step (multiplications and additions of its matrix products, convolutions and attention, both
ways) would take at the device's peak in bfloat16, of what the step takes. "Idle" is the share of a step's time in which
the device runs no kernel, for the paper's batch: it waits for Python to launch the next.
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
from s4mi.training.run_dir import RunDir, make_fabric
from s4mi.training.session import Session

PACKAGES = ("torch", "timm", "lightning-fabric")
PEAKS = {"H200": 989.0, "H100 80GB HBM3": 989.0, "A100": 312.0}
"""TFLOP/s of bfloat16 without sparsity, by a part of the device's name, from the maker's data sheets."""
PAPER_BATCH = 16
TRAINING_SHARE = 0.6
"""Of the images: enough of them for a batch, after validation and test have theirs."""
SECOND = 2
"""The epoch that is timed: in the first, DINO's prototypes stand still."""


@dataclass(frozen=True)
class Row:
    """A method to time.

    Attributes:
        aim: images a second on an H200 at 224 pixels, with the largest useful batch. labels: per cent.
    """

    what: str
    aim: int
    method: dict[str, Any] = field(hash=False)
    labels: float = 100.0


@dataclass(frozen=True)
class Setup:
    """What is tried: side of the images in pixels, batches, and steps of a measurement."""

    rows: tuple[Row, ...]
    size: int
    batches: tuple[int, ...]
    steps: int
    warm: int


@dataclass
class Found:
    """Of one batch size: images a second, and of one step the sums, and the share of idle time if the device tells."""

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
    """Draw the images, take the measurements, print the table."""
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
                    notes.append(f"- {what}: a batch of {batch} does not fit into the device's memory")
                    break
                finally:
                    torch.cuda.empty_cache()  # nothing, where CUDA has not been used
            lines += [_line(what, row.aim, found, arguments.accelerator)] if found else []
            print("\n".join(lines[-1:]), flush=True)
    head = (
        f"| {setup.size} px | aim | images/s, steps | with views | batch | MFU | of {min(batches)}: images/s | idle |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    )
    setting = f"{_device(arguments.accelerator)}; {machine(PACKAGES)} {setup.steps} steps each, after {setup.warm}."
    report("gpu", setting, text="\n".join((*head, *lines, *([""] if notes else []), *notes)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time training steps on a GPU.")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="rows with one of these words in their name")
    parser.add_argument("--batches", nargs="+", type=int, help=f"batch sizes to try ({FULL.batches})")
    parser.add_argument("--compiled", action="store_true", help="time the networks compiled by torch.compile too")
    parser.add_argument("--accelerator", choices=("cuda", "cpu"), default="cuda", help="cpu: to try this benchmark")
    parser.add_argument("--quick", action="store_true", help="tiny networks at 64 pixels, few steps")
    given = parser.parse_args()
    if given.accelerator == "cuda" and not torch.cuda.is_available():
        raise SystemExit("gpu.py: torch sees no GPU here; --accelerator cpu --quick tries the benchmark without one")
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
    """`flops`: of a step, where they have been counted; they cannot be in a compiled network."""
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
    """Our loop, as a session has it, over a stream."""
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
    """Images a second of so many steps, after those that warm up; the device is waited for at both ends only."""
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
    """Seconds of a step in which a kernel runs."""
    _take(steps, setup.warm)
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        _take(steps, setup.steps)
    microseconds = sum(float(event.self_device_time_total) for event in profiler.key_averages())
    return microseconds / 1e6 / setup.steps


def _line(what: str, aim: int, found: Sequence[Found], accelerator: str) -> str:
    best, paper, peak = max(found, key=lambda one: one.rate), found[0], _peak(accelerator)
    mfu = "–" if peak is None else f"{best.flops * best.rate / best.batch / (1e12 * peak):.0%}"
    idle = "–" if paper.idle is None else f"{paper.idle:.0%}"
    return (
        f"| {what} | {f'{aim:,}' if aim else '–'} | {best.rate:,.0f} | {best.views:,.0f} | {best.batch} | {mfu} "
        f"| {paper.rate:,.0f} | {idle} |"
    )


def _peak(accelerator: str) -> float | None:
    """TFLOP/s of the device, where it is one that we know."""
    name = _device(accelerator)
    return next((peak for part, peak in PEAKS.items() if part in name), None)


def _device(accelerator: str) -> str:
    return torch.cuda.get_device_name() if accelerator == "cuda" else "CPU"


if __name__ == "__main__":
    main()
