"""The contract between methods, data and the training loop. Abstract here, final in `methods/`.

A method computes named `Losses` from a `Batch`; the loop sums them, steps the optimiser and calls the hooks.

Settings are imported at once. What computes is imported when it is first used, as it imports torch, and a study can be
planned without.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from s4mi.contract.clusters import MOST_CLUSTERS, ClusterConfig
from s4mi.contract.feature_names import POOLED, TURNS
from s4mi.contract.frozen_encoder import CLASSICAL, FrozenEncoderConfig, JoinedFeaturesConfig
from s4mi.contract.semi_supervised_settings import BatchComposition, NetworkConfig, SemiSupervisedConfig, sigmoid_ramp
from s4mi.contract.settings import AUTO, MethodConfig, NetworkKind, PretrainedConfig, Recipe, WeightRule
from s4mi.contract.task import Task
from s4mi.contract.tuning import Tuning, TuningConfig
from s4mi.contract.views import (
    CLASSIFICATION_VIEWS,
    PAPER_SEGMENTATION_VIEWS,
    STRONG_SEGMENTATION_VIEWS,
    MultiCrop,
    ViewSpec,
)

if TYPE_CHECKING:
    from s4mi.contract.batch import Batch, Batches, Losses, TrainLoader, TrainState
    from s4mi.contract.features import (
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
    from s4mi.contract.method import (
        Classifier,
        ClusterAssignment,
        CollapseError,
        EnsembleMembers,
        Method,
        Pretrainer,
        Segmenter,
    )
    from s4mi.contract.partly_trained import PartlyTrained
    from s4mi.contract.semi_supervised import SemiSupervised

_MODULES = {
    "Batch": "batch",
    "Batches": "batch",
    "Losses": "batch",
    "TrainLoader": "batch",
    "TrainState": "batch",
    "Extractor": "features",
    "FeatureStore": "features",
    "Fit": "features",
    "FittedClassifier": "features",
    "FittedSegmenter": "features",
    "LabelledFeatures": "features",
    "MaskedBatch": "features",
    "MaskedFeatures": "features",
    "turned": "features",
    "Classifier": "method",
    "ClusterAssignment": "method",
    "CollapseError": "method",
    "EnsembleMembers": "method",
    "Method": "method",
    "Pretrainer": "method",
    "Segmenter": "method",
    "PartlyTrained": "partly_trained",
    "SemiSupervised": "semi_supervised",
}
"""The module of each name that is imported when it is first used."""

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


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return found
