"""Records of runs: `record.json` and the files beside it, which are all that reports and studies read.

Nothing here imports torch, so that a report on a thousand runs opens fast.
"""

from s4mi.records.atomic import write_bytes_atomically, write_text_atomically
from s4mi.records.data import DataSummary, Leakage, PartSummary
from s4mi.records.external import EXTERNAL_FOLDER, ExternalTest, external_images, external_predictions
from s4mi.records.failure import FAILURE_NAME, LOG_NAME, Failure, read_failure
from s4mi.records.files import (
    CONFIG_NAME,
    MAP_NAME,
    METRICS_NAME,
    RECORD_NAME,
    SPLIT_NAME,
    STUDY_NAME,
    STUDY_RUN_NAME,
    SUPERSEDED,
    finished_runs,
    read_any_record,
    read_epochs,
    read_pretraining,
    read_record,
    write_record,
)
from s4mi.records.fit import EncodedFeatures, FitRecord
from s4mi.records.per_image import TEST_IMAGES_NAME, ImageScores, write_image_scores
from s4mi.records.predictions import TEST_PREDICTIONS_NAME, Predictions, write_predictions
from s4mi.records.pretraining import (
    LEAST_RANK,
    LEAST_STD,
    MOST_ENTROPY,
    FeatureHealth,
    FeatureMap,
    FeatureSpread,
    MapPoint,
    Pretraining,
)
from s4mi.records.run import FORMAT, Cost, EpochRecord, LabelCounts, MemberScores, PretrainingRecord, RunRecord
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
from s4mi.records.selection import Selection, SelectionRule
from s4mi.records.start import RANDOM, Start

__all__ = [
    "CONFIG_NAME",
    "EXTERNAL_FOLDER",
    "FAILURE_NAME",
    "FORMAT",
    "IGNORE",
    "LEAST_RANK",
    "LEAST_STD",
    "LOG_NAME",
    "MAP_NAME",
    "METRICS_NAME",
    "MOST_ENTROPY",
    "RANDOM",
    "RECORD_NAME",
    "SPLIT_NAME",
    "STUDY_NAME",
    "STUDY_RUN_NAME",
    "SUPERSEDED",
    "TEST_IMAGES_NAME",
    "TEST_PREDICTIONS_NAME",
    "ClassScores",
    "ClassificationScores",
    "Cost",
    "DataSummary",
    "EncodedFeatures",
    "EpochRecord",
    "ExternalTest",
    "Failure",
    "FeatureHealth",
    "FeatureMap",
    "FeatureSpread",
    "FitRecord",
    "Frozen",
    "ImageScores",
    "LabelCounts",
    "Leakage",
    "MapPoint",
    "MemberScores",
    "Part",
    "PartSummary",
    "Predictions",
    "Pretraining",
    "PretrainingRecord",
    "RunRecord",
    "Scores",
    "SegmentationScores",
    "Selection",
    "SelectionRule",
    "Start",
    "TaskKind",
    "external_images",
    "external_predictions",
    "finished_runs",
    "read_any_record",
    "read_epochs",
    "read_failure",
    "read_pretraining",
    "read_record",
    "write_bytes_atomically",
    "write_image_scores",
    "write_predictions",
    "write_record",
    "write_text_atomically",
]
