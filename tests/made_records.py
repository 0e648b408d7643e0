"""Small made-up run records: the truth about a report is stated on them."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from s4mi.records import (
    ClassificationScores,
    ClassScores,
    Cost,
    EpochRecord,
    LabelCounts,
    RunRecord,
    Scores,
    SegmentationScores,
    TaskKind,
    write_record,
)

LESIONS = ("melanoma", "seborrheic keratosis", "nevus")


def classification_scores(
    f1: float, *, classes: Sequence[str] = LESIONS, multilabel: bool = False, majority: float = 0.2, seed: int = 0
) -> ClassificationScores:
    """Test scores with the given macro F1; the rest is plausible and follows from it."""
    rng = np.random.default_rng(seed)
    support = [20 * (i + 1) for i in range(len(classes))]
    per_class = {
        name: ClassScores(
            support=n, f1=float(np.clip(f1 + rng.normal(0, 0.05), 0, 1)), recall=f1, precision=f1, auroc=0.9
        )
        for name, n in zip(classes, support, strict=True)
    }
    right = [round(f1 * n) for n in support]
    if multilabel:
        confusion = [[200 - 2 * n + r, n - r, n - r, r] for n, r in zip(support, right, strict=True)]
    else:
        confusion = [
            [right[i] if i == j else (n - right[i]) // (len(classes) - 1) for j in range(len(classes))]
            for i, n in enumerate(support)
        ]
    return ClassificationScores(
        images=sum(support),
        f1_micro=f1,
        f1_macro=f1,
        recall_micro=f1,
        recall_macro=f1 - 0.01,
        balanced_accuracy=f1 - 0.01,
        auroc=min(1.0, f1 + 0.12),
        average_precision=f1,
        calibration_error=0.07,
        majority_f1_macro=majority,
        per_class=per_class,
        confusion=confusion,
    )


def segmentation_scores(iou: float) -> SegmentationScores:
    """Test scores with the given IoU over one foreground class."""
    dice = 2 * iou / (1 + iou)
    lesion = ClassScores(support=90_000, iou=iou, dice=dice, hd95=80 * (1 - iou), assd=25 * (1 - iou))
    return SegmentationScores(
        images=120,
        iou=iou,
        dice=dice,
        iou_image=iou,
        dice_image=dice,
        hd95=80 * (1 - iou),
        assd=25 * (1 - iou),
        pixel_accuracy=0.95,
        per_class={"lesion": lesion},
    )


def record(
    score: float | None = 0.6,
    *,
    method: str = "transfer",
    backbone: str = "resnet10",
    dataset: str = "lesions",
    task: TaskKind = "multiclass",
    classes: Sequence[str] = LESIONS,
    fraction: float = 10.0,
    seed: int = 0,
    synthetic: bool = False,
    finished: str = "2025-01-02T00:10:00Z",
    data_hash: str = "d" * 16,
    seconds: float = 600.0,
) -> RunRecord:
    """One finished run with the leading test score `score`; None leaves it untested. Validation always gave 0.99."""
    if task == "segmentation":
        classes = ("background", "lesion")

    def scores(value: float) -> Scores:
        if task == "segmentation":
            return segmentation_scores(value)
        return classification_scores(value, classes=classes, multilabel=task == "multilabel", seed=seed)

    return RunRecord(
        method=method,
        backbone=backbone,
        dataset=dataset,
        synthetic=synthetic,
        task=task,
        classes=list(classes),
        label_fraction=fraction,
        seed=seed,
        config_hash=f"c{seed}{fraction:g}" + method[:4],
        split_hash=f"s{seed}{fraction:g}",
        data_hash=data_hash,
        metric="iou" if task == "segmentation" else "f1_macro",
        best_epoch=3,
        epochs=4,
        labels=LabelCounts(
            train_images=480,
            train_labelled=round(4.8 * fraction),
            val=60,
            test=120,
            per_class={name: round(4.8 * fraction / len(classes)) for name in classes},
        ),
        val=scores(0.99),
        test=None if score is None else scores(score),
        cost=Cost(seconds=seconds, images_per_second=210.0, peak_memory_mib=1400.0, parameters=4_900_000, device="cpu"),
        versions={"s4mi": "0.1.0", "python": "3.12.4", "torch": "2.11.0"},
        git_revision="0123abc",
        started="2025-01-02T00:00:00Z",
        finished=finished,
    )


def epochs(count: int = 4, *, metric: str = "f1_macro", best: float = 0.6) -> tuple[EpochRecord, ...]:
    """A run that learns: the loss halves, the validation score nears `best`."""
    return tuple(
        EpochRecord(
            epoch=i,
            losses={"supervised": 0.5**i, "total": 0.5**i},
            val={metric: best * (1 - 0.5**i)},
            lr=3.6e-4,
            seconds=2.0,
            images_per_second=210.0,
        )
        for i in range(1, count + 1)
    )


def write_run(directory: Path, run: RunRecord | None, *, config: str = "method:\n  name: transfer\n") -> None:
    """A run directory as training leaves it; without a record it is an unfinished one."""
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text(config, encoding="utf-8")
    lines = [json.dumps(epoch.model_dump()) for epoch in epochs(metric=run.metric if run else "f1_macro")]
    (directory / "metrics.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if run is not None:
        write_record(run, directory)
