"""The only entry point for settings: a YAML file, then `key=value` overrides, then validation.

Names are imported when they are first used: the settings of methods stand beside their networks and import torch, which
a first look at a file (`first_look`) does without.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s4mi.config.explain import setting_names
    from s4mi.config.methods import METHOD_CONFIGS, METHODS, MethodRegistry, register
    from s4mi.config.narrow_arms import override_study
    from s4mi.config.run import (
        CLASSIFICATION_METRICS,
        SEGMENTATION_METRICS,
        AnyMethodConfig,
        RunConfig,
        differences,
        load_run_config,
        make_run_config,
        save_run_config,
    )
    from s4mi.config.sections import DataConfig, HardwareConfig, HealthConfig, SplitConfig
    from s4mi.config.study import StudyConfig
    from s4mi.config.study_arms import Arm
    from s4mi.config.study_file import load_study, make_study
    from s4mi.config.study_plan import PlannedRun, plan_study, unneeded
    from s4mi.config.yaml_file import apply_overrides, read_settings

_MODULES = {
    "AnyMethodConfig": "run",
    "Arm": "study_arms",
    "CLASSIFICATION_METRICS": "run",
    "DataConfig": "sections",
    "HardwareConfig": "sections",
    "HealthConfig": "sections",
    "METHODS": "methods",
    "METHOD_CONFIGS": "methods",
    "MethodRegistry": "methods",
    "PlannedRun": "study_plan",
    "RunConfig": "run",
    "SEGMENTATION_METRICS": "run",
    "SplitConfig": "sections",
    "StudyConfig": "study",
    "apply_overrides": "yaml_file",
    "differences": "run",
    "load_run_config": "run",
    "load_study": "study_file",
    "make_run_config": "run",
    "make_study": "study_file",
    "override_study": "narrow_arms",
    "plan_study": "study_plan",
    "read_settings": "yaml_file",
    "register": "methods",
    "save_run_config": "run",
    "setting_names": "explain",
    "unneeded": "study_plan",
}
"""The module of each name."""

__all__ = [
    "CLASSIFICATION_METRICS",
    "METHODS",
    "METHOD_CONFIGS",
    "SEGMENTATION_METRICS",
    "AnyMethodConfig",
    "Arm",
    "DataConfig",
    "HardwareConfig",
    "HealthConfig",
    "MethodRegistry",
    "PlannedRun",
    "RunConfig",
    "SplitConfig",
    "StudyConfig",
    "apply_overrides",
    "differences",
    "load_run_config",
    "load_study",
    "make_run_config",
    "make_study",
    "override_study",
    "plan_study",
    "read_settings",
    "register",
    "save_run_config",
    "setting_names",
    "unneeded",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
