"""The external test sets of a run before it trains, and which of them a finished run has not been scored on."""

from pathlib import Path

from s4mi.config import RunConfig
from s4mi.config.external_tests import ExternalTestConfig
from s4mi.data.spec import DatasetSpec, load_spec
from s4mi.errors import S4miError
from s4mi.records import RunRecord
from s4mi.training.external_data import ExternalData, external_data
from s4mi.training.run_task import prediction_spec, task_kind


def check_external_tests(config: RunConfig, spec: DatasetSpec) -> dict[str, ExternalData]:
    """Return the external test sets of a run by name, before it trains; no image is opened.

    Args:
        spec: data set description of the run.

    Raises:
        S4miError: a set cannot be read or does not fit the run.
    """
    if not config.tests or config.method.pretrains:
        return {}
    spec = prediction_spec(config, spec)
    kind = task_kind(config, spec)
    return {
        name: external_data(test, spec, kind, name=name, classes=spec.classes_of(kind))
        for name, test in config.tests.items()
    }


def pending_tests(config: RunConfig, run: Path, record: RunRecord) -> list[str]:
    """Return the names of the external test sets whose results are missing, or of another state of the set.

    Only sets with a result are read; of one that cannot be read the result stands.
    """
    return [name for name, test in config.tests.items() if _is_pending(run, record, name, test)]


def _is_pending(run: Path, record: RunRecord, name: str, test: ExternalTestConfig) -> bool:
    known = record.external.get(name)
    if known is None:
        return True
    try:
        data = external_data(test, load_spec(run), record.task, name=name, classes=record.classes)
    except S4miError:
        return False
    return known.data_hash != data.hash
