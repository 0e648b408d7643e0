"""The demonstration: a study like any other, `demo.yaml`, on images that s4mi draws itself."""

import json
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from s4mi.config import StudyConfig, load_study
from s4mi.data.manifest import Manifest
from s4mi.data.sources.synthetic import Kind, write_synthetic
from s4mi.records import write_text_atomically
from s4mi.report.writers.html import ReportImage
from s4mi.visualisation.contact_sheet import examples_sheet

SECONDS = 300.0
"""Time for drawing, training and scoring; the report needs some seconds more."""
FOLDER = "s4mi-demo"
STUDY_FILE = "study.yaml"
COUNTS: dict[Kind, int] = {"lesions": 200, "cells": 140}
SIZE = 96
"""Pixels of a drawn image; the networks see 64."""

NOTES = (
    "Networks are tiny and images 64 pixels small, so that everything ends within six minutes on two cores; the "
    "numbers show how to read a report, not what the techniques can do.",
    "All networks start from random weights. Each run of classification takes 160 steps of 16 images, whatever the "
    "number of labels, and each of segmentation with masks 70; of cross teaching's images four a step have none, or "
    "one where all have.",
    "PiCIE looks at no mask of a training image; it learns from all of them for 5 epochs, in clusters of which "
    "validation masks say what they are.",
    "DINO and CASS learn from all training images for 16 epochs before, without labels; CASS with its variance term, "
    "as without it it collapses from random weights.",
)


def draw(out: Path, say: Callable[[str], None] = lambda _: None) -> dict[Kind, Manifest]:
    """Draw the data sets below `out`, unless they are there."""
    manifests: dict[Kind, Manifest] = {}
    for kind, count in COUNTS.items():
        say(f"drawing {count} synthetic {kind}")
        manifests[kind] = write_synthetic(kind, out / "data" / kind, count=count, size=SIZE, seed=0)
    return manifests


def demo_study(out: Path, *, seeds: int = 2, seconds: float = SECONDS) -> StudyConfig:
    """Write `out/study.yaml`, for a person to copy, and load it with so many seeds and so much time."""
    path = out / STUDY_FILE
    text = demo_text(out)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text_atomically(path, text)
    return load_study(path, [f"seeds={list(range(seeds))}", f"budget={max(seconds, 1e-6):.6f} s"])


def demo_text(out: Path = Path(FOLDER)) -> str:
    """The study file, with data and cache below `out`."""
    text = (files("s4mi.studies") / "demo.yaml").read_text(encoding="utf-8")
    if out == Path(FOLDER):
        return text
    return re.sub(
        rf"(path|cache): {FOLDER}/(\S+)", lambda found: f"{found[1]}: {json.dumps(str(out / found[2]))}", text
    )


def example_sheets(manifests: dict[Kind, Manifest]) -> list[ReportImage]:
    """What was drawn, for the report."""
    return [
        ReportImage(
            title="The images",
            caption=f"Drawn by s4mi, not photographed. Rows: {', '.join(manifest.spec.classes)}.",
            png=examples_sheet(manifest, per_class=6),
            alt=f"Examples of the synthetic {kind}: a row for each of {', '.join(manifest.spec.classes)}",
            dataset=manifest.spec.name,
        )
        for kind, manifest in manifests.items()
    ]
