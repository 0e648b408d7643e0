"""Identity of a run: a hash of its settings, of those of its pre-training, and of its data set.

The identity contains no path, so that it is the same on every machine and in every folder. Settings that only decide
where and how a run is computed or logged are not part of it; see `RunConfig.hash`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from s4mi.config import PlannedRun, RunConfig, make_run_config
from s4mi.contract import PretrainedConfig
from s4mi.data.manifest import Manifest
from s4mi.data.row import Row
from s4mi.data.versions import load_version
from s4mi.errors import S4miError
from s4mi.records import STUDY_RUN_NAME, write_text_atomically
from s4mi.records.checkpoint_files import PRETRAINING
from s4mi.records.scores import Frozen
from s4mi.training.run_dir import RunDir

DataHashes = dict[tuple[object, ...], str | None]


@dataclass(frozen=True)
class RunIdentity:
    """Identity of a run.

    Attributes:
        settings: hash of its settings and of those of the pre-training it starts from.
        data: hash of the data set; None if that cannot be read.
    """

    settings: str
    data: str | None

    @property
    def id(self) -> str:
        """16 hexadecimal digits."""
        return _hash([self.settings, self.data])

    def matches(self, other: "RunIdentity") -> bool:
        """Whether it is the same run; a data set that cannot be read matches any."""
        return self.settings == other.settings and (None in (self.data, other.data) or self.data == other.data)


class RunMetadata(Frozen):
    """What a study stores beside the settings in the folder of a run.

    Attributes:
        data: hash of the data set when the run started.
        start: settings of the pre-training that the run starts from.
        seconds: time of the study's budget spent on the run.
    """

    data: str | None = None
    start: dict[str, Any] | None = None
    seconds: float = 0.0


def run_identities(plan: Sequence[PlannedRun]) -> dict[str, RunIdentity]:
    """Return the identity of each planned run by name; each data set is read once.

    Raises:
        S4miError: a run starts from a pre-training run outside the study, and that cannot be read.
    """
    data_hashes: DataHashes = {}
    starts = starts_of(plan)
    return {planned.name: _identity(planned.config, starts.get(planned.name), data_hashes) for planned in plan}


def starts_of(plan: Sequence[PlannedRun]) -> dict[str, RunConfig]:
    """Return the settings of the pre-training that runs start from, by their names; each folder elsewhere is read once.

    Raises:
        S4miError: a run starts from a folder outside the study that holds no run.
    """
    by_name = {planned.name: planned.config for planned in plan}
    elsewhere: dict[Path, RunConfig] = {}
    starts = {}
    for planned in plan:
        method = planned.config.method
        if planned.needs is not None:
            starts[planned.name] = by_name[planned.needs]
        elif isinstance(method, PretrainedConfig) and (folder := method.pretrained) is not None:
            if folder not in elsewhere:
                elsewhere[folder] = RunDir(folder).config()
            starts[planned.name] = elsewhere[folder]
    return starts


def stored_identity(run: Path) -> RunIdentity:
    """Return the identity of the run in a folder, which may have been trained outside a study.

    Raises:
        S4miError: the folder holds no run, or settings that are no longer valid.
        OSError, ValidationError: the record of its pre-training cannot be read.
    """
    config, metadata = RunDir(run).config(), read_metadata(run)
    if metadata.start is None and (run / PRETRAINING).exists():  # made by a version that stored only this hash
        from s4mi.training.pretrained_start import read_start  # imports torch, which a plan does without

        pretrained = read_start(run)
        return RunIdentity(_hash([config.hash, pretrained.config_hash]), metadata.data)
    start = None if metadata.start is None else make_run_config(metadata.start, origin=str(run / STUDY_RUN_NAME))
    if metadata.data is not None:
        return RunIdentity(_settings_hash(config, start), metadata.data)
    return _identity(config, start, {})


def read_metadata(run: Path) -> RunMetadata:
    """Read the metadata in the folder of a run; empty if there are none or they cannot be read."""
    try:
        return RunMetadata.model_validate_json((run / STUDY_RUN_NAME).read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        return RunMetadata()


def write_metadata(run: Path, metadata: RunMetadata) -> None:
    """Write the metadata into the folder of a run, unless they are unchanged."""
    if metadata != read_metadata(run) or not (run / STUDY_RUN_NAME).exists():
        write_text_atomically(run / STUDY_RUN_NAME, metadata.model_dump_json(indent=1) + "\n")


def metadata_of(pretraining: RunConfig | None, identity: RunIdentity, *, seconds: float) -> RunMetadata:
    """Return the metadata of a run that starts from `pretraining` and has taken `seconds`."""
    start = None if pretraining is None else pretraining.model_dump(mode="json")
    return RunMetadata(data=identity.data, start=start, seconds=round(seconds, 3))


def _identity(config: RunConfig, pretraining: RunConfig | None, data_hashes: DataHashes) -> RunIdentity:
    data = _data_hash(config, data_hashes)
    if pretraining is None:
        return RunIdentity(_settings_hash(config, None), data)
    pretraining_data = _data_hash(pretraining, data_hashes)
    both = None if data is None or pretraining_data is None else _hash([data, pretraining_data])
    return RunIdentity(_settings_hash(config, pretraining), both)


def _settings_hash(config: RunConfig, pretraining: RunConfig | None) -> str:
    return _hash([config.hash, None if pretraining is None else pretraining.hash])


def _data_hash(config: RunConfig, data_hashes: DataHashes) -> str | None:
    """Hash of the data set and a saved split; None if they cannot be read."""
    file = config.split.file if config.split.kind == "file" else None
    key = (config.data.path, config.data.version, file)
    if key not in data_hashes:
        try:
            manifest = load_version(config.data.path, config.data.version)
            split = None if file is None else hashlib.blake2b(file.read_bytes(), digest_size=8).hexdigest()
        except (S4miError, OSError):
            data_hashes[key] = None
        else:
            data_hashes[key] = _hash([_manifest_contents(manifest), split])
    return data_hashes[key]


def _manifest_contents(manifest: Manifest) -> list[Any]:
    """Everything that decides about splits and targets; pixels have a hash of their own in each run's record."""
    spec = manifest.spec.model_dump(mode="json", include={"tasks", "classes", "mask_values", "intensity", "channels"})
    rows = sorted(
        [row.id, row.image.name, row.mask and row.mask.name, _labels(row), row.group, row.split]
        for row in manifest.rows
    )
    return [_sorted_items(spec), rows]


def _labels(row: Row) -> Any:
    return [row.labels, row.unknown] if row.unknown else row.labels


def _sorted_items(spec: Mapping[str, Any]) -> Any:
    """Items sorted by key, except that mask values keep their order, which is that of the classes."""
    return [[key, list(value.items()) if isinstance(value, dict) else value] for key, value in sorted(spec.items())]


def _hash(contents: Any) -> str:
    return hashlib.blake2b(json.dumps(contents).encode(), digest_size=8).hexdigest()
