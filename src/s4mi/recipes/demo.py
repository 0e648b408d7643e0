"""The demonstration: small networks on images that s4mi draws itself, compared at two label fractions, as a report.

It always ends in time: before each run its length is estimated from what the machine has shown so far, and a run that
would not fit is left out and named in the report. Finished runs are kept: a second call goes on where the first ended.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from s4mi.config import RunConfig, make_run_config
from s4mi.data.manifest import Manifest
from s4mi.data.sources.synthetic import write_synthetic
from s4mi.recipes.predict import predict_run
from s4mi.recipes.run_dir import RunDir
from s4mi.recipes.sheets import examples_sheet, segmentation_sheet
from s4mi.recipes.train import train
from s4mi.records import RunRecord, Scores
from s4mi.report.html import Sheet, write_report
from s4mi.report.runs import load_runs

Kind = Literal["lesions", "cells"]

SECONDS = 300.0
"""Time for drawing, training and scoring; the report needs some seconds more."""
SCORING = 4.0
"""Seconds that a run takes beside training."""
IMAGE_SIZE = 64
COUNTS: dict[Kind, int] = {"lesions": 200, "cells": 140}
EPOCHS = {10: 40, 100: 16}
"""More epochs where there are fewer labels, so that both see a similar number of batches."""

TRANSFER = {"name": "finetune", "weights": "none", "class_weights": "inverse"}
DEDL = {"name": "dedl", "weights": "none", "criterion": "dice_cross_entropy", "encoder": "tiny_resnet"}


@dataclass(frozen=True)
class Arm:
    """A technique with its network on one data set, and how long an image took on a slow machine, in seconds."""

    kind: Kind
    method: dict[str, Any]
    seconds_per_image: float
    lr: float = 2e-3


ARMS = (
    Arm("lesions", {**DEDL, "decoder_channels": [64, 32, 16, 8]}, 0.010),
    Arm("lesions", {**TRANSFER, "backbone": "tiny_resnet"}, 0.005),
    Arm("lesions", {**TRANSFER, "backbone": "tiny_vit"}, 0.010, lr=5e-4),
    Arm("cells", {**DEDL, "decoder_channels": [64, 32, 16, 8]}, 0.010),
    Arm("cells", {**TRANSFER, "backbone": "tiny_resnet", "class_weights": "none"}, 0.005),
    Arm("lesions", {**TRANSFER, "backbone": "tiny_swin"}, 0.010, lr=5e-4),
)


@dataclass(frozen=True)
class Planned:
    """One run of the demonstration."""

    name: str
    arm: Arm
    fraction: int
    config: RunConfig

    @property
    def images(self) -> float:
        """Images that training will see."""
        return 0.7 * COUNTS[self.arm.kind] * self.fraction / 100 * self.config.epochs


def demo(out: Path, *, seeds: int = 2, seconds: float = SECONDS, say: Callable[[str], None] = lambda _: None) -> Path:
    """Draw the data, train what fits into `seconds`, write `out/report.html` and return its path."""
    begin = time.monotonic()
    manifests: dict[Kind, Manifest] = {}
    for kind in COUNTS:
        say(f"drawing {COUNTS[kind]} synthetic {kind}")
        manifests[kind] = write_synthetic(kind, out / "data" / kind, count=COUNTS[kind], size=96, seed=0)
    (out / "runs").mkdir(exist_ok=True)
    left_out: list[str] = []
    pace: dict[int, float] = {}
    slowness = 1.0
    for planned in plan(out, seeds=seeds):
        run = out / "runs" / planned.name
        expected = planned.images * pace.get(id(planned.arm), planned.arm.seconds_per_image * slowness) + SCORING
        if not RunDir(run).finished and time.monotonic() - begin + expected > seconds:
            left_out.append(f"{planned.name}: left out, it would have taken about {expected:.0f} s more than there was")
            say(left_out[-1])
            continue
        record = train(planned.config, run, resume=True)
        pace[id(planned.arm)] = record.cost.seconds / planned.images
        slowness = max(slowness, pace[id(planned.arm)] / planned.arm.seconds_per_image)
        say(f"{planned.name}: {_result(record)}")
    say("writing the report")
    runs, notes = load_runs(out / "runs")
    return write_report(
        runs,
        out / "report.html",
        title="s4mi demonstration",
        notes=[*_NOTES, *notes, *left_out],
        sheets=list(_sheets(out, manifests)),
    )


_NOTES = (
    f"Networks are tiny and images {IMAGE_SIZE} pixels small, so that everything ends within six minutes on two cores; "
    "the numbers show how to read a report, not what the techniques can do.",
    f"All networks start from random weights. Runs with 10 % of the labels train for {EPOCHS[10]} epochs and runs with "
    f"100 % for {EPOCHS[100]}, so that both see a similar number of batches.",
)


def plan(out: Path, *, seeds: int) -> Iterator[Planned]:
    """All runs in the order of their worth: first every comparison once, then again with the next seed."""
    for seed in range(seeds):
        for arm in ARMS:
            for fraction, epochs in EPOCHS.items():
                network = arm.method.get("backbone", arm.method.get("encoder"))
                config = make_run_config(
                    {
                        "data": {
                            "path": out / "data" / arm.kind,
                            "image_size": IMAGE_SIZE,
                            "cache": out / "cache",
                        },
                        "method": arm.method,
                        "label_fraction": fraction,
                        "seed": seed,
                        "epochs": epochs,
                        "batch_size": 16,
                        "optim": {"lr": arm.lr, "min_lr": 1e-5, "cosine_epochs": epochs},
                    },
                    origin="demo",
                )
                name = f"{arm.kind}-{arm.method['name']}-{network}-{fraction}-seed{seed}"
                yield Planned(name=name, arm=arm, fraction=fraction, config=config)


def _result(record: RunRecord) -> str:
    return f"test {record.metric} {_score(record.test, record.metric)} in {record.cost.seconds:.0f} s"


def _score(scores: Scores | None, metric: str) -> str:
    return "–" if scores is None else f"{getattr(scores, metric):.3f}"


def _sheets(out: Path, manifests: dict[Kind, Manifest]) -> Iterator[Sheet]:
    for kind, manifest in manifests.items():
        rows = ", ".join(manifest.spec.classes)
        yield Sheet(
            title="The images",
            caption=f"Drawn by s4mi, not photographed. Rows: {rows}.",
            png=examples_sheet(manifest, per_class=6),
            alt=f"Examples of the synthetic {kind}: a row for each of {rows}",
            dataset=manifest.spec.name,
        )
        runs = [out / "runs" / f"{kind}-dedl-tiny_resnet-{fraction}-seed0" for fraction in EPOCHS]
        runs = [run for run in runs if RunDir(run).finished]
        if runs:
            yield _masks(out, kind, manifest, runs)


def _masks(out: Path, kind: Kind, manifest: Manifest, runs: list[Path]) -> Sheet:
    ids = json.loads(RunDir(runs[0]).split_path.read_text(encoding="utf-8"))["test"][:4]
    images = [row.image for row in manifest.rows if row.id in ids]
    folders = [predict_run(run, images, out / "predictions" / run.name).output for run in runs]
    columns = ["image", "truth", *(run.name.split("-")[3] + " % of the masks" for run in runs)]
    return Sheet(
        title="Predicted masks",
        caption=f"Test images. Columns: {', '.join(columns)}. Green: found; orange: missed; purple: found where "
        "nothing is; the white line is the truth.",
        png=segmentation_sheet(manifest, ids, folders),
        alt=f"Four test images of the synthetic {kind} with their true and predicted masks",
        dataset=manifest.spec.name,
    )
