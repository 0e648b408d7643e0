"""The only entry point for settings: a YAML file, then `key=value` overrides, then validation."""

from s4mi.config.explain import setting_names
from s4mi.config.methods import METHOD_CONFIGS, METHODS, MethodRegistry, register
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
    "plan_study",
    "read_settings",
    "register",
    "save_run_config",
    "setting_names",
    "unneeded",
]
