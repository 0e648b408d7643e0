"""Demonstration: a regular study, `demo.yaml`, on synthetic images."""

import json
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from s4mi.config import StudyConfig, load_study
from s4mi.data.manifest import Manifest
from s4mi.data.sources.synthetic import Kind, write_synthetic
from s4mi.records import write_text_atomically
from s4mi.reporting.writers.html import ReportImage
from s4mi.visualisation.contact_sheet import examples_sheet

SECONDS = 300.0
"""Budget for drawing, training and scoring; the report takes a few seconds more."""
FOLDER = "s4mi-demo"
STUDY_FILE = "study.yaml"
COUNTS: dict[Kind, int] = {"lesions": 200, "cells": 140}
SIZE = 96
"""Width and height of a drawn image in pixels; the networks train on 64."""

EFFORTS = (1.0, 0.5, 0.25)
"""Shares of the epochs that networks may be trained for."""
FIXED, TRAINING = 26.0, 62.0
"""Seconds that one run of every technique takes on one core of the reference machine, without and for its epochs.

Measured with a tenth more epochs."""
MARGIN = 0.75
"""Share of the time that these runs may take by the estimate; the machine may get slower meanwhile."""
_EPOCHS = re.compile(r"(?<=epochs: )\d+")


def effort_for(cores: float, *, seconds: float) -> float:
    """The largest effort with which every technique fits into `seconds` on a machine worth `cores`; else the least."""
    fit = [effort for effort in EFFORTS if (FIXED + effort * TRAINING) / cores <= MARGIN * seconds]
    return max(fit, default=min(EFFORTS))


def effort_of(out: Path) -> float | None:
    """The effort that the study in `out` was begun with; None where there is none, or it was changed by hand."""
    path = out / STUDY_FILE
    text = path.read_bytes() if path.exists() else b""
    return next((effort for effort in EFFORTS if text == demo_text(out, effort=effort).encode()), None)


def demo_notes(effort: float = 1.0) -> tuple[str, ...]:
    """What a reader must know of the networks, one line each."""
    slow = (
        f"This machine was slow at the start: networks are trained for about {100 * effort:g} % of the usual epochs, "
        "so that every technique is compared. For the usual number, delete the folder and run s4mi demo again.",
    )
    return (
        *(slow if effort < 1 else ()),
        "Networks are tiny and images are 64 pixels wide, so that everything takes about three minutes on two "
        "cores; the numbers show how to read a report, not how well the techniques work.",
        f"All networks start from random weights. Each classification run trains for {16 * _epochs(9, effort)} steps "
        "of 16 images, whatever the number of labels, and each segmentation run with masks for "
        f"{15 * _epochs(4, effort)} steps. Cross teaching's batches contain four unlabelled images, or one where all "
        "images are labelled.",
        f"PiCIE uses no training masks; it trains on all images for {_epochs(4, effort)} epochs, and validation masks "
        "assign classes to its clusters.",
        f"DINO and CASS pre-train on all training images for {_epochs(14, effort)} epochs, without labels; CASS uses "
        "its variance term, without which it collapses from random weights.",
    )


def _epochs(usual: int, effort: float) -> int:
    return max(1, round(usual * effort))


def draw(out: Path, on_message: Callable[[str], None] = lambda _: None) -> dict[Kind, Manifest]:
    """Draw the data sets below `out`, unless they exist; `on_message` is called with a line for each."""
    manifests: dict[Kind, Manifest] = {}
    for kind, count in COUNTS.items():
        on_message(f"drawing {count} synthetic {kind}")
        manifests[kind] = write_synthetic(kind, out / "data" / kind, count=count, size=SIZE, seed=0)
    return manifests


def demo_study(out: Path, *, seeds: int = 2, seconds: float = SECONDS, effort: float = 1.0) -> StudyConfig:
    """Write `out/study.yaml` for the user to copy, and load it with `seeds` seeds and a budget of `seconds`.

    Args:
        effort: share of the epochs that networks are trained for.
    """
    path = out / STUDY_FILE
    text = demo_text(out, effort=effort)
    if not path.exists() or path.read_bytes() != text.encode():
        write_text_atomically(path, text)
    return load_study(path, [f"seeds={list(range(seeds))}", f"budget={max(seconds, 1e-6):.6f} s"])


def demo_text(out: Path = Path(FOLDER), *, effort: float = 1.0) -> str:
    """Return the study file with data and cache below `out`, and that share of its epochs."""
    text = (files("s4mi.studies") / "demo.yaml").read_text(encoding="utf-8")
    text = _EPOCHS.sub(lambda found: f"{_epochs(int(found[0]), effort)}", text)
    if out == Path(FOLDER):
        return text
    return re.sub(
        rf"(path|cache): {FOLDER}/(\S+)", lambda found: f"{found[1]}: {json.dumps(str(out / found[2]))}", text
    )


def example_sheets(manifests: dict[Kind, Manifest]) -> list[ReportImage]:
    """Return contact sheets of the drawn images for the report."""
    return [
        ReportImage(
            title="The images",
            caption=f"Drawn by s4mi, not photographed. Rows: {', '.join(manifest.spec.classes)}.",
            png=examples_sheet(manifest, per_class=6),
            alt=f"Examples of synthetic {kind}, one row each for {', '.join(manifest.spec.classes)}",
            dataset=manifest.spec.name,
        )
        for kind, manifest in manifests.items()
    ]
