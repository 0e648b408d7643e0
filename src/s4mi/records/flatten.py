"""Records as flat mappings from names to numbers, as loggers expect."""

from s4mi.records import EpochRecord, PretrainingRecord, RunRecord


def of_epoch(record: EpochRecord) -> dict[str, float]:
    """Flatten an epoch, without its number: `loss/total`, `val/iou`, `signal/…`, `health/<encoder>/std`, `lr`, …"""
    flat = {
        **{f"loss/{name}": value for name, value in record.losses.items()},
        **{f"val/{name}": value for name, value in record.val.items()},
        **{f"signal/{name}": value for name, value in record.signals.items()},
    }
    if record.health is not None:
        for encoder, spread in record.health.features.items():
            flat[f"health/{encoder}/std"] = spread.std
            flat[f"health/{encoder}/effective_rank"] = spread.effective_rank
        flat |= {f"health/{name}": value for name, value in record.health.signals.items()}
        flat |= {f"health/{encoder}/knn_f1_macro": value for encoder, value in record.health.knn.items()}
    return {**flat, "lr": record.lr, "seconds": record.seconds, "images_per_second": record.images_per_second}


def of_run(record: RunRecord | PretrainingRecord) -> dict[str, float]:
    """Flatten the scores of a finished run, e.g. `best/val/iou` and `best/test/iou`, and its cost."""
    flat: dict[str, float] = {}
    if isinstance(record, RunRecord):
        for part, scores in (("val", record.val), ("test", record.test)):
            values = {} if scores is None else scores.model_dump()
            flat |= {f"best/{part}/{name}": value for name, value in values.items() if isinstance(value, int | float)}
        flat["best/epoch"] = record.best_epoch
    return {**flat, "cost/seconds": record.cost.seconds, "cost/peak_memory_mib": record.cost.peak_memory_mib}
