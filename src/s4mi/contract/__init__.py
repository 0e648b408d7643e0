"""The contract between methods, data and the training loop. Abstract here, final in `methods/`.

A method computes named `Losses` from a `Batch`; the loop sums them, steps the optimiser and calls the hooks.
"""

from s4mi.contract.batch import Batch, Batches, Losses, Task, TrainLoader, TrainState
from s4mi.contract.clusters import MOST_CLUSTERS, ClusterConfig
from s4mi.contract.features import (
    POOLED,
    TURNS,
    Extractor,
    FeatureStore,
    Fit,
    FittedClassifier,
    FittedSegmenter,
    LabelledFeatures,
    MaskedBatch,
    MaskedFeatures,
    turned,
)
from s4mi.contract.frozen_encoder import CLASSICAL, FrozenEncoderConfig, JoinedFeaturesConfig
from s4mi.contract.method import (
    Classifier,
    ClusterAssignment,
    CollapseError,
    EnsembleMembers,
    Method,
    Pretrainer,
    Segmenter,
)
from s4mi.contract.semi_supervised import (
    BatchComposition,
    NetworkConfig,
    SemiSupervised,
    SemiSupervisedConfig,
    sigmoid_ramp,
)
from s4mi.contract.settings import AUTO, MethodConfig, NetworkKind, PretrainedConfig, Recipe, WeightRule
from s4mi.contract.tuning import PartlyTrained, Tuning, TuningConfig
from s4mi.contract.views import (
    CLASSIFICATION_VIEWS,
    PAPER_SEGMENTATION_VIEWS,
    STRONG_SEGMENTATION_VIEWS,
    MultiCrop,
    ViewSpec,
)

__all__ = [
    "AUTO",
    "CLASSICAL",
    "CLASSIFICATION_VIEWS",
    "MOST_CLUSTERS",
    "PAPER_SEGMENTATION_VIEWS",
    "POOLED",
    "STRONG_SEGMENTATION_VIEWS",
    "TURNS",
    "Batch",
    "BatchComposition",
    "Batches",
    "Classifier",
    "ClusterAssignment",
    "ClusterConfig",
    "CollapseError",
    "EnsembleMembers",
    "Extractor",
    "FeatureStore",
    "Fit",
    "FittedClassifier",
    "FittedSegmenter",
    "FrozenEncoderConfig",
    "JoinedFeaturesConfig",
    "LabelledFeatures",
    "Losses",
    "MaskedBatch",
    "MaskedFeatures",
    "Method",
    "MethodConfig",
    "MultiCrop",
    "NetworkConfig",
    "NetworkKind",
    "PartlyTrained",
    "PretrainedConfig",
    "Pretrainer",
    "Recipe",
    "Segmenter",
    "SemiSupervised",
    "SemiSupervisedConfig",
    "Task",
    "TrainLoader",
    "TrainState",
    "Tuning",
    "TuningConfig",
    "ViewSpec",
    "WeightRule",
    "sigmoid_ramp",
    "turned",
]
