"""The reason for a choice names what the prediction shows most of."""

from pathlib import Path

import numpy as np

from s4mi.active_learning.committee import CommitteeOutput
from s4mi.active_learning.reasons import reason
from s4mi.active_learning.strategies import CandidatePool
from s4mi.data.loading.preprocessing import Preprocessing
from s4mi.data.spec import DatasetSpec
from s4mi.inference.predictor import ModelInfo
from s4mi.maths.acquisition import Selection
from s4mi.records import TaskKind

CLASSES = ("background", "a", "b", "c", "d", "e")


def why(kind: TaskKind, likely: list[float]) -> str:
    spec = DatasetSpec(name="drawn", tasks=())
    info = ModelInfo(str(Path("run")), kind, CLASSES[: len(likely)], spec, Preprocessing(32))
    output = CommitteeOutput(0.5, None, (), np.array(likely))
    pool = CandidatePool([None], entropy=np.array([0.5]))
    return reason(Selection(0, 1.0), pool, output, info, near=None, annotated=False).partition(";")[0]


def test_of_many_classes_in_a_mask_the_largest_are_named() -> None:
    assert why("segmentation", [0.5, 0.0, 0.04, 0.01, 0.05, 0.4]) == "e on 40.0 %, d on 5.0 %, b on 4.0 %"


def test_background_is_no_class_of_a_reason() -> None:
    assert why("segmentation", [0.9, 0.1]) == "a on 10.0 %"


def test_of_many_classes_of_an_image_the_most_likely_are_named() -> None:
    assert why("multiclass", [0.1, 0.0, 0.2, 0.6, 0.1]) == "c 0.60, b 0.20, background 0.10"
