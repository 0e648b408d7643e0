"""The demonstration: a study of small networks on images that s4mi draws itself, as a report.

It always ends in time: before each run its length is estimated from what the machine has shown so far, and a run that
would not fit is left out and named in the report. Finished runs are kept: a second call goes on where the first ended.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from s4mi.data.manifest import Manifest
from s4mi.data.sources.synthetic import write_synthetic
from s4mi.recipes.compare_sheet import CAPTION, compare_sheet
from s4mi.recipes.demo_plan import (
    COUNTS,
    EPOCHS,
    IMAGE_SIZE,
    MASK_EPOCHS,
    MASK_FRACTIONS,
    MASK_STEPS,
    PICIE_EPOCHS,
    PRETRAINING_EPOCHS,
    DemoRun,
    Kind,
    plan,
)
from s4mi.recipes.run_dir import RunDir
from s4mi.recipes.sheets import examples_sheet
from s4mi.recipes.train import train
from s4mi.records import PretrainingRecord, RunRecord, Scores
from s4mi.report.html import Sheet, write_report
from s4mi.report.runs import load_pretrainings, load_runs

SECONDS = 300.0
"""Time for drawing, training and scoring; the report needs some seconds more."""
SCORING = 1.0
"""Seconds that a run takes beside training."""

SECONDS_PER_IMAGE = {
    "finetune": 0.007, "dedl": 0.010, "cross_teaching": 0.02, "picie": 0.02, "dino": 0.008, "cass": 0.008,
}  # fmt: skip
"""What a training image costs on a slow machine, until this one has shown what it costs here."""


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


def demo(out: Path, *, seeds: int = 2, seconds: float = SECONDS, say: Callable[[str], None] = lambda _: None) -> Path:
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


MASK_RUNS: dict[Kind, tuple[str, ...]] = {
    "lesions": (
        "picie-0pct-seed0",
        *(f"{name}-{part}pct-seed0" for part in MASK_FRACTIONS[:2] for name in ("dedl", "cross-teaching")),
    ),
    "cells": tuple(f"dedl-{part}pct-seed0" for part in EPOCHS),
}
"""The runs whose masks are shown side by side."""

_NOTES = (
    f"Networks are tiny and images {IMAGE_SIZE} pixels small, so that everything ends within six minutes on two cores; "
    "the numbers show how to read a report, not what the techniques can do.",
    f"All networks start from random weights. Classification with 10 % of the labels trains for {EPOCHS[10]} epochs "
    f"and with 100 % for {EPOCHS[100]}.",
    f"Segmentation of lesions takes {MASK_EPOCHS * MASK_STEPS} steps of 16 images whatever the technique and the "
    "number of masks; four of cross teaching's have none, or one where all have.",
    f"PiCIE looks at no mask of a training image; it learns from all of them for {PICIE_EPOCHS} epochs, in clusters of "
    "which validation masks say what they are.",
    f"DINO and CASS learn from all training images for {PRETRAINING_EPOCHS} epochs before, without labels; CASS with "
    "its variance term, as without it it collapses from random weights.",
)


def _note_on(left_out: list[str]) -> list[str]:
    if not left_out:
        return []
    return [f"{len(left_out)} runs did not fit into the time and are left out: {', '.join(left_out)}."]


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
        runs = [out / kind / "runs" / name for name in MASK_RUNS[kind]]
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
