"""Made-up pre-training runs, beside the runs of `made_records`."""

import json
from pathlib import Path

import numpy as np

from made_records import LESIONS
from s4mi.records import (
    MAP_NAME,
    Cost,
    EpochRecord,
    FeatureHealth,
    FeatureMap,
    FeatureSpread,
    MapPoint,
    Pretraining,
    PretrainingRecord,
    RunRecord,
    write_record,
)
from s4mi.reporting.results.runs import PretrainingRun


def health(*, std: float, rank: float, spaces: tuple[str, ...] = ("tiny_resnet",), knn: float | None = None, **signals):
    """The same spread in each of `spaces`, of 128 dimensions."""
    return FeatureHealth(
        features={name: FeatureSpread(std=std, effective_rank=rank, dimensions=128) for name in spaces},
        signals=signals,
        knn={} if knn is None else dict.fromkeys(spaces, knn),
    )


def pretraining_record(
    *, start: FeatureHealth | None = None, end: FeatureHealth | None = None, **about
) -> PretrainingRecord:
    """One finished run of 20 epochs whose features got on well, unless `end` says otherwise."""
    start = start or health(std=0.21, rank=9.4)
    end = end or health(std=0.62, rank=31.0)
    contents = {
        "method": "dino",
        "backbone": "tiny_resnet",
        "encoders": {name: f"encoders/{name}.safetensors" for name in end.features},
        "dataset": "lesions",
        "synthetic": False,
        "images": 480,
        "seed": 0,
        "config_hash": "p" * 16,
        "split_hash": "s" * 16,
        "data_hash": "d" * 16,
        "epochs": 20,
        "cost": Cost(
            seconds=310, images_per_second=95.0, peak_memory_mib=2100.0, parameters=600_000, device="cpu"
        ),
        "versions": {"s4mi": "0.1.0", "torch": "2.11.0"},
        "git_revision": "0123abc",
        "started": "2025-01-01T00:00:00Z",
        "finished": "2025-01-01T00:06:00Z",
    }  # fmt: skip
    return PretrainingRecord(**{**contents, **about}, start=start, end=end)


def looks(record: PretrainingRecord) -> tuple[EpochRecord, ...]:
    """Its epochs, health going straight from start to end."""
    made = []
    for epoch in range(1, record.epochs + 1):
        part = epoch / record.epochs
        between = {
            name: FeatureSpread(
                std=(1 - part) * record.start.features[name].std + part * after.std,
                effective_rank=(1 - part) * record.start.features[name].effective_rank + part * after.effective_rank,
                dimensions=after.dimensions,
            )
            for name, after in record.end.features.items()
        }
        signals = {
            name: (1 - part) * record.start.signals[name] + part * value for name, value in record.end.signals.items()
        }
        knn = {name: (1 - part) * record.start.knn[name] + part * value for name, value in record.end.knn.items()}
        made.append(
            EpochRecord(
                epoch=epoch,
                losses={"dino": 4 - part, "total": 4 - part},
                val={},
                health=FeatureHealth(features=between, signals=signals, knn=knn),
                lr=1e-3,
                seconds=15.0,
                images_per_second=95.0,
            )
        )
    return tuple(made)


def feature_map(*, classes: tuple[str, ...] = LESIONS, count: int = 60, unknown: int = 5) -> FeatureMap:
    """A cloud a class, and some images that nobody has labelled."""
    rng = np.random.default_rng(0)
    points = []
    for i in range(count):
        k = i % len(classes)
        x, y = rng.normal((2 * np.cos(k), 2 * np.sin(k)), 0.6)
        points.append(MapPoint(id=f"i{i}", part="train", labels=None if i < unknown else [classes[k]], x=x, y=y))
    return FeatureMap(encoder="tiny_resnet", projection="pca", explained=0.43, points=points)


def pretraining_run(record: PretrainingRecord | None = None, *, directory: str = "dino-0", **about) -> PretrainingRun:
    """A loaded run, with epochs and a map."""
    record = record or pretraining_record(**about)
    return PretrainingRun(record, looks(record), feature_map(), "method:\n  name: dino\n", directory)


def write_pretraining(directory: Path, run: PretrainingRun, *, finished: bool = True) -> None:
    """A pre-training run's folder as training leaves it, or as it is half-way."""
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text(run.config_text, encoding="utf-8")
    lines = [json.dumps(epoch.model_dump()) for epoch in run.epochs]
    (directory / "metrics.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if finished:
        write_record(run.record, directory)
        if run.feature_map is not None:
            (directory / MAP_NAME).write_text(run.feature_map.model_dump_json(), encoding="utf-8")


def started_from(run: RunRecord, record: PretrainingRecord) -> RunRecord:
    """`run` as a fine-tuning of what `record` left behind."""
    origin = Pretraining(
        method=record.method,
        config_hash=record.config_hash,
        encoder=run.backbone,
        weights_hash="w" * 16,
        epochs=record.epochs,
        images=record.images,
        seconds=record.cost.seconds,
    )
    return run.model_copy(update={"method": "finetune", "technique": record.method, "pretraining": origin})
