"""The demonstration: a study of small networks on images that s4mi draws itself, as a report.

It always ends in time: before each run its length is estimated from what the machine has shown so far, and a run that
would not fit is left out and named in the report. Finished runs are kept: a second call goes on where the first ended.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from s4mi.config import PlannedRun, make_study, plan_study
from s4mi.data.manifest import Manifest
from s4mi.data.sources.synthetic import write_synthetic
from s4mi.recipes.compare_sheet import CAPTION, compare_sheet
from s4mi.recipes.run_dir import RunDir
from s4mi.recipes.sheets import examples_sheet
from s4mi.recipes.train import train
from s4mi.records import PretrainingRecord, RunRecord, Scores
from s4mi.report.html import Sheet, write_report
from s4mi.report.runs import load_pretrainings, load_runs

Kind = Literal["lesions", "cells"]

SECONDS = 300.0
"""Time for drawing, training and scoring; the report needs some seconds more."""
SCORING = 1.0
"""Seconds that a run takes beside training."""
IMAGE_SIZE = 64
COUNTS: dict[Kind, int] = {"lesions": 200, "cells": 140}
EPOCHS = {10: 40, 100: 14}
"""More epochs where there are fewer labels."""
PRETRAINING_EPOCHS = 16
CNN, VIT = "tiny_resnet", "tiny_vit"
RATE = {CNN: 2e-3, VIT: 5e-4}
"""Learning rate of each network."""

SECONDS_PER_IMAGE = {"finetune": 0.007, "dedl": 0.010, "dino": 0.008, "cass": 0.008}
"""What a training image costs on a slow machine, until this one has shown what it costs here."""


@dataclass(frozen=True)
class DemoRun:
    """One run of the demonstration; `name` is that of its folder."""

    kind: Kind
    name: str
    planned: PlannedRun

    @property
    def images(self) -> float:
        """Images that training will see."""
        config = self.planned.config
        fraction = 100.0 if config.method.unlabelled else float(config.label_fraction)
        return 0.7 * COUNTS[self.kind] * fraction / 100 * config.epochs

    @property
    def like(self) -> tuple[str, str]:
        """Runs that cost the same per image have the same."""
        return self.planned.config.method.name, self.planned.config.method.backbone_name


class Budget:
    """Time that is left, and what a run will take of it by what runs like it have taken."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._pace: dict[tuple[str, str], float] = {}
        self._slowness = 1.0

    def lacks(self, run: DemoRun) -> float | None:
        """Seconds that `run` would take, if they are not there."""
        expected = SECONDS_PER_IMAGE[run.like[0]] * self._slowness
        seconds = run.images * self._pace.get(run.like, expected) + SCORING
        return seconds if time.monotonic() + seconds > self._end else None

    def learn(self, run: DemoRun, record: RunRecord | PretrainingRecord) -> None:
        """Expect of runs like this one what it has cost, and of others that this machine is as slow with them."""
        self._pace[run.like] = record.cost.seconds / run.images
        self._slowness = max(self._slowness, self._pace[run.like] / SECONDS_PER_IMAGE[run.like[0]])


def demo(out: Path, *, seeds: int = 3, seconds: float = SECONDS, say: Callable[[str], None] = lambda _: None) -> Path:
    """Draw the data, train what fits into `seconds`, write `out/report.html` and return its path."""
    budget = Budget(seconds)
    manifests: dict[Kind, Manifest] = {}
    for kind in COUNTS:
        say(f"drawing {COUNTS[kind]} synthetic {kind}")
        manifests[kind] = write_synthetic(kind, out / "data" / kind, count=COUNTS[kind], size=96, seed=0)
    left_out: list[str] = []
    for run in plan(out, seeds=seeds):
        reason = _left_out(run, out, budget)
        if reason is not None:
            left_out.append(run.name)
        say(f"{run.name}: {_run(run, out, budget) if reason is None else f'left out, {reason}'}")
    say("writing the report")
    runs, notes = load_runs(out)
    return write_report(
        runs,
        out / "report.html",
        title="s4mi demonstration",
        pretrainings=load_pretrainings(out),
        notes=[*_NOTES, *notes, *_note_on(left_out)],
        sheets=list(_sheets(out, manifests)),
    )


_NOTES = (
    f"Networks are tiny and images {IMAGE_SIZE} pixels small, so that everything ends within six minutes on two cores; "
    "the numbers show how to read a report, not what the techniques can do.",
    f"All networks start from random weights. Runs with 10 % of the labels train for {EPOCHS[10]} epochs and runs with "
    f"100 % for {EPOCHS[100]}.",
    f"DINO and CASS learn from all training images for {PRETRAINING_EPOCHS} epochs before, without labels; CASS with "
    "its variance term, as without it it collapses from random weights.",
)


def _note_on(left_out: list[str]) -> list[str]:
    if not left_out:
        return []
    return [f"{len(left_out)} runs did not fit into the time and are left out: {', '.join(left_out)}."]


def plan(out: Path, *, seeds: int) -> Iterator[DemoRun]:
    """All runs in the order of their worth: first every comparison once, then again with the next seed."""
    for seed in range(seeds):
        for kind in COUNTS:
            study = make_study({**_study(kind, out), "seeds": [seed]}, origin="demo")
            for planned in plan_study(study, (out / kind).absolute()):
                yield DemoRun(kind=kind, name=f"{kind}/{planned.name}", planned=planned)


def _study(kind: Kind, out: Path) -> dict[str, Any]:
    """What is compared on one data set."""
    dedl = {"name": "dedl", "weights": "none", "criterion": "dice_cross_entropy", "encoder": CNN}
    arms: list[dict[str, Any]] = [{"name": "dedl", "method": {**dedl, "decoder_channels": [64, 32, 16, 8]}}]
    networks = (CNN, VIT) if kind == "lesions" else (CNN,)
    starts = (None, "dino", "cass") if kind == "lesions" else (None,)
    weights = "inverse" if kind == "lesions" else "none"
    for network in networks:
        for start in starts:
            finetune = {"name": "finetune", "backbone": network, "weights": "none", "class_weights": weights}
            source = f"dino-{network}" if start == "dino" else start
            name = f"{start or 'scratch'}-{network}"
            arms.append({"name": name, "method": finetune, "optim": {"lr": RATE[network]}, "pretraining": source})
    return {
        "data": {"path": out / "data" / kind, "image_size": IMAGE_SIZE, "cache": out / "cache"},
        "settings": {"optim": {"lr": RATE[CNN], "min_lr": 1e-5}},
        "pretraining": _pretraining() if kind == "lesions" else {},
        "arms": [
            {
                **arm,
                "label_fractions": [fraction],
                "epochs": epochs,
                "optim": {**arm.get("optim", {}), "cosine_epochs": epochs},
            }
            for fraction, epochs in EPOCHS.items()
            for arm in arms
        ],
    }


def _pretraining() -> dict[str, Any]:
    schedule = {"epochs": PRETRAINING_EPOCHS, "health": {"patience": 0, "every": 2}}
    head = {"hidden": 256, "bottleneck": 64, "prototypes": 256, "local_crops": 2}
    runs: dict[str, Any] = {}
    for network in (CNN, VIT):
        dino = {"name": "dino", "backbone": network, "weights": "none", **head}
        optim = {"lr": RATE[network] / 2, "cosine_epochs": PRETRAINING_EPOCHS}
        runs[f"dino-{network}"] = {**schedule, "method": dino, "optim": optim}
    cass = {"name": "cass", "cnn": CNN, "vit": VIT, "weights": "none", "embedding": 256, "variance_weight": 1.0}
    runs["cass"] = {**schedule, "method": cass, "optim": {"lr": RATE[VIT], "cosine_epochs": PRETRAINING_EPOCHS}}
    return runs


def _left_out(run: DemoRun, out: Path, budget: Budget) -> str | None:
    """Why there is no time for a run, or None if there is or it is finished."""
    if RunDir(out / run.name).finished:
        return None
    needs = run.planned.needs
    if needs is not None and not RunDir(out / run.kind / needs).finished:
        return f"as {needs} was"
    missing = budget.lacks(run)
    return None if missing is None else f"it would have taken about {missing:.0f} s more than there was"


def _run(run: DemoRun, out: Path, budget: Budget) -> str:
    """Train, and say in a line what came of it."""
    record = train(run.planned.config, out / run.name, resume=True)
    budget.learn(run, record)
    if isinstance(record, RunRecord):
        return f"test {record.metric} {_score(record.test, record.metric)} in {record.cost.seconds:.0f} s"
    spreads = ", ".join(f"{name} {after.std:.2f}" for name, after in record.end.features.items())
    return f"standard deviation of features {spreads} in {record.cost.seconds:.0f} s"


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
        runs = [out / kind / "runs" / f"dedl-{fraction}pct-seed0" for fraction in EPOCHS]
        runs = [run for run in runs if RunDir(run).finished]
        if runs:
            yield _masks(kind, manifest, runs)


def _masks(kind: Kind, manifest: Manifest, runs: list[Path]) -> Sheet:
    return Sheet(
        title="Predicted masks",
        caption=f"Test images, {CAPTION}",
        png=compare_sheet(runs, manifest, part="test", images=4),
        alt=f"Four test images of the synthetic {kind} with their true and predicted masks",
        dataset=manifest.spec.name,
    )
