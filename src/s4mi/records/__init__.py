"""What a run leaves behind: `record.json`, the only thing reports and studies read.

Nothing here imports torch, so a report of a thousand runs opens in a moment.
"""

from s4mi.records.files import (
    MAP_NAME,
    RECORD_NAME,
    read_any_record,
    read_epochs,
    read_pretraining,
    read_record,
    write_record,
    write_text_atomically,
)
from s4mi.records.per_image import TEST_IMAGES_NAME, ImageScores, write_image_scores
from s4mi.records.pretraining import (
    LEAST_RANK,
    LEAST_STD,
    MOST_ENTROPY,
    FeatureMap,
    Health,
    MapPoint,
    Pretraining,
    Spread,
)
from s4mi.records.run import FORMAT, Cost, EpochRecord, LabelCounts, PretrainingRecord, Reading, RunRecord
from s4mi.records.scores import (
    IGNORE,
    ClassificationScores,
    ClassScores,
    Frozen,
    Part,
    Scores,
    SegmentationScores,
    TaskKind,
)

__all__ = [
    "FORMAT",
    "IGNORE",
    "LEAST_RANK",
    "LEAST_STD",
    "MAP_NAME",
    "MOST_ENTROPY",
    "RECORD_NAME",
    "TEST_IMAGES_NAME",
    "ClassScores",
    "ClassificationScores",
    "Cost",
    "EpochRecord",
    "FeatureMap",
    "Frozen",
    "Health",
    "ImageScores",
    "LabelCounts",
    "MapPoint",
    "Part",
    "Pretraining",
    "PretrainingRecord",
    "Reading",
    "RunRecord",
    "Scores",
    "SegmentationScores",
    "Spread",
    "TaskKind",
    "read_any_record",
    "read_epochs",
    "read_pretraining",
    "read_record",
    "write_image_scores",
    "write_record",
    "write_text_atomically",
]
