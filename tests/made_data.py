"""What made-up runs know of their data."""

from collections.abc import Sequence

from s4mi.records import DataSummary, Leakage, PartSummary, RunRecord


def facts(record: RunRecord, *, leaks: Sequence[Leakage] = (), test: str = "", **about) -> DataSummary:
    """Of the data set behind `record`: 800 images of 200 patients; each seed has test images of its own."""
    labels = record.labels
    images = {"train": labels.train_images, "val": labels.val, "test": labels.test}
    contents = {
        "images": sum(images.values()),
        "grouped": sum(images.values()),
        "division": "random, by patient and in proportion, 70:10:20",
        "division_seed": record.seed,
        "formats": {"png": sum(images.values())},
        "smallest": (300, 400),
        "largest": (1200, 1600),
        "image_size": 224,
        "tile": None,
        "channels": "rgb",
        "conversion": "",
        "source": "A hospital",
        "licence": "CC0-1.0",
        **about,
    }
    parts = {
        part: PartSummary(
            images=count,
            annotated=count,
            groups=count // 4,
            classes=dict.fromkeys(record.classes, count // len(record.classes)),
            hash=test or f"{part}{record.seed}",
        )
        for part, count in images.items()
    }
    return DataSummary(**contents, parts=parts, leaks=tuple(leaks))


def knowing(record: RunRecord, **about) -> RunRecord:
    """`record` with what it knows of its data."""
    data = facts(record, **about)
    return record.model_copy(update={"data": data, "leaks": sum(leak.pairs for leak in data.leaks)})
