"""The contract between methods, data and the loop. Abstract here, final in `methods/`.

A method gets a `Batch`, gives named `Losses`; the loop adds them up, steps the optimiser and calls the hooks.
"""

from s4mi.contract.batch import Batch, Batches, Losses, Moment, Stream, Task
from s4mi.contract.method import Answers, Classifier, CollapseError, Matching, Method, Pretrainer, Segmenter
from s4mi.contract.semi_supervised import (
    Mixture,
    NetworkConfig,
    SemiSupervised,
    SemiSupervisedConfig,
    sigmoid_ramp,
)
from s4mi.contract.settings import MethodConfig, PretrainedConfig, WeightRule
from s4mi.contract.views import MultiCrop, ViewSpec

__all__ = [
    "Answers",
    "Batch",
    "Batches",
    "Classifier",
    "CollapseError",
    "Losses",
    "Matching",
    "Method",
    "MethodConfig",
    "Mixture",
    "Moment",
    "MultiCrop",
    "NetworkConfig",
    "PretrainedConfig",
    "Pretrainer",
    "Segmenter",
    "SemiSupervised",
    "SemiSupervisedConfig",
    "Stream",
    "Task",
    "ViewSpec",
    "WeightRule",
    "sigmoid_ramp",
]
