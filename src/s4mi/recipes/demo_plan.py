"""What the demonstration compares: a study of classification and one of segmentation on each set of drawn images."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from s4mi.config import PlannedRun, make_study, plan_study

Kind = Literal["lesions", "cells"]

IMAGE_SIZE = 64
COUNTS: dict[Kind, int] = {"lesions": 200, "cells": 140}
EPOCHS = {10: 40, 100: 12}
"""Of classification, and of the masks of cells: more epochs where there are fewer labels."""
PRETRAINING_EPOCHS = 11
CNN, VIT, SWIN = "tiny_resnet", "tiny_vit", "tiny_swin_unet"
RATE = {CNN: 2e-3, VIT: 5e-4}
"""Learning rate of each network."""
MASK_FRACTIONS = (10, 50, 100)
MASK_EPOCHS, MASK_STEPS = 7, 10
"""Of the masks of lesions: as many steps for each technique and fraction."""
PICIE_EPOCHS = 5
PICIE = {"name": "picie", "backbone": CNN, "weights": "none", "clusters": 8}
DEDL = {
    "name": "dedl",
    "weights": "none",
    "criterion": "dice_cross_entropy",
    "encoder": CNN,
    "decoder_channels": [64, 32, 16, 8],
}


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
        if config.epoch_steps is not None:
            return config.epochs * config.epoch_steps * config.batch_size
        fraction = 100.0 if config.method.unlabelled else float(config.label_fraction)
        return 0.7 * COUNTS[self.kind] * fraction / 100 * config.epochs

    @property
    def like(self) -> tuple[str, str]:
        """Runs that cost the same per image have the same."""
        return self.planned.config.method.name, self.planned.config.method.backbone_name


def plan(out: Path, *, seeds: int) -> Iterator[DemoRun]:
    """All runs in the order of their worth: first every comparison once, then again with the next seed."""
    for seed in range(seeds):
        for kind in COUNTS:
            study = make_study({**_study(kind, out), "seeds": [seed]}, origin="demo")
            for planned in plan_study(study, (out / kind).absolute()):
                yield DemoRun(kind=kind, name=f"{kind}/{planned.name}", planned=planned)


def _study(kind: Kind, out: Path) -> dict[str, Any]:
    """What is compared on one data set."""
    networks = (CNN, VIT) if kind == "lesions" else (CNN,)
    starts = (None, "dino", "cass") if kind == "lesions" else (None,)
    weights = "inverse" if kind == "lesions" else "none"
    arms: list[dict[str, Any]] = [{"name": "dedl", "method": DEDL}] if kind == "cells" else []
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
            *(_masks() if kind == "lesions" else []),
            *(_at(fraction, epochs, arm) for fraction, epochs in EPOCHS.items() for arm in arms),
        ],
    }


def _at(fraction: int, epochs: int, arm: dict[str, Any]) -> dict[str, Any]:
    optim = {**arm.get("optim", {}), "cosine_epochs": epochs}
    return {**arm, "label_fractions": [fraction], "epochs": epochs, "optim": optim}


def _masks() -> Iterator[dict[str, Any]]:
    """Without masks; then supervised and cross teaching, step for step alike."""
    constant = {"name": "adam", "lr": 1e-3, "schedule": "constant"}
    yield {"name": "picie", "method": PICIE, "epochs": PICIE_EPOCHS, "optim": constant}
    cross_teaching = {"name": "cross_teaching", "cnn": CNN, "transformer": SWIN, "transformer_weights": "none"}
    for name, method in (("dedl", DEDL), ("cross-teaching", cross_teaching)):
        yield {
            "name": name,
            "method": method,
            "label_fractions": list(MASK_FRACTIONS),
            "epochs": MASK_EPOCHS,
            "epoch_steps": MASK_STEPS,
            "optim": {"lr": 1e-3, "clip_norm": 0.5, "cosine_epochs": MASK_EPOCHS},
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
