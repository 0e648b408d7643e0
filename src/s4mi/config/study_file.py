"""Read a study from a file or from settings, and check all its runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from s4mi.config.explain import explain
from s4mi.config.narrow_arms import override_study
from s4mi.config.packaged_studies import study_path
from s4mi.config.study import StudyConfig
from s4mi.config.study_plan import plan_study
from s4mi.config.yaml_file import read_settings
from s4mi.errors import S4miError


def load_study(path: Path, overrides: Sequence[str] = ()) -> StudyConfig:
    """Read a study file, or a packaged one by its name, and apply overrides such as `data.path=mine` or `seeds=[0]`.

    Raises:
        S4miError: the file cannot be read, or a setting of the study or of one of its runs is unknown or invalid.
    """
    study = read_study(path, overrides)
    list(plan_study(study, Path(), origin=str(path)))
    return study


def read_study(path: Path, overrides: Sequence[str] = ()) -> StudyConfig:
    """Do the same without a look at its runs, for who plans them anyway.

    Raises:
        S4miError: the file cannot be read, or a setting of the study is unknown or invalid.
    """
    contents = read_settings(study_path(path), first="data: {path: …}")
    return _validated(override_study(contents, overrides), origin=str(path))


def make_study(contents: dict[str, Any], *, origin: str) -> StudyConfig:
    """Validate a study and all its runs; `origin` is the prefix of error messages.

    Raises:
        S4miError: a setting of the study or of one of its runs is unknown or invalid.
    """
    study = _validated(contents, origin=origin)
    list(plan_study(study, Path(), origin=origin))
    return study


def _validated(contents: dict[str, Any], *, origin: str) -> StudyConfig:
    try:
        return StudyConfig.model_validate(contents)
    except ValidationError as error:
        raise S4miError(f"{origin}: {explain(error, StudyConfig, {})}") from error
