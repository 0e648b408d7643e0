"""What makes a run the one that a study plans: its settings, those of its pre-training, and the data set.

A run keeps its identity wherever it lies and whatever its folder is called: no path of a machine is in it. What only
says where and how it is computed or watched is not in it either; see `RunConfig.hash`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from s4mi.config import PlannedRun, RunConfig, make_run_config
from s4mi.data.manifest import Manifest
from s4mi.data.versions import load_version
from s4mi.errors import S4miError
from s4mi.records import Pretraining, write_text_atomically
from s4mi.records.scores import Frozen
from s4mi.training.pretrained_start import PRETRAINING
from s4mi.training.run_dir import RunDir

NAME = "study_run.json"


@dataclass(frozen=True)
class RunIdentity:
    """Of a run: `work` is of all settings that lead to it, `data` of the data set, None where that is not at hand."""

    work: str
    data: str | None

    @property
    def id(self) -> str:
        """16 letters."""
        return _hash([self.work, self.data])

    def fits(self, other: "RunIdentity") -> bool:
        """Whether it is the same run, as far as the data sets are at hand."""
        return self.work == other.work and (None in (self.data, other.data) or self.data == other.data)


class RunMetadata(Frozen):
    """What a study puts beside the settings in the folder of a run.

    `data` is of the data set that it began with, `start` are the settings of the pre-training that it starts from, and
    `seconds` is the time of the study that it took.
    """

    data: str | None = None
    start: dict[str, Any] | None = None
    seconds: float = 0.0


def run_identities(plan: Sequence[PlannedRun]) -> dict[str, RunIdentity]:
    """Of each planned run, by name; each data set is read once."""
    known: dict[tuple[object, ...], str | None] = {}
    by_name = {planned.name: planned for planned in plan}
    found = {}
    for planned in plan:
        needed = None if planned.needs is None else by_name[planned.needs].config
        found[planned.name] = _identity(planned.config, needed, known)
    return found


def stored_identity(run: Path) -> RunIdentity:
    """Of the run in a folder, which may have been made without a study.

    Raises:
        S4miError: it holds no run, or settings that are none any more.
        OSError, ValidationError: what it started from cannot be read.
    """
    config, kept = RunDir(run).config(), read_metadata(run)
    if kept.start is None and (run / PRETRAINING).exists():  # made by an older version, which kept no more of it
        started = Pretraining.model_validate_json((run / PRETRAINING).read_text(encoding="utf-8"))
        return RunIdentity(_hash([config.hash, started.config_hash]), kept.data)
    start = None if kept.start is None else make_run_config(kept.start, origin=str(run / NAME))
    return RunIdentity(_work(config, start), kept.data) if kept.data is not None else _identity(config, start, {})


def read_metadata(run: Path) -> RunMetadata:
    """What a study has kept of a run; nothing where it has not, or the file cannot be read."""
    try:
        return RunMetadata.model_validate_json((run / NAME).read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        return RunMetadata()


def write_metadata(run: Path, kept: RunMetadata) -> None:
    """Put it into the folder of a run, unless it is there."""
    if kept != read_metadata(run) or not (run / NAME).exists():
        write_text_atomically(run / NAME, kept.model_dump_json(indent=1) + "\n")


def metadata_of(needed: RunConfig | None, identity: RunIdentity, *, seconds: float) -> RunMetadata:
    """What is kept of a run that starts from the pre-training `needed` and has taken `seconds`."""
    start = None if needed is None else needed.model_dump(mode="json")
    return RunMetadata(data=identity.data, start=start, seconds=round(seconds, 3))


def _identity(config: RunConfig, start: RunConfig | None, known: dict[tuple[object, ...], str | None]) -> RunIdentity:
    own = _data_of(config, known)
    if start is None:
        return RunIdentity(_work(config, None), own)
    other = _data_of(start, known)
    data = None if own is None or other is None else _hash([own, other])
    return RunIdentity(_work(config, start), data)


def _work(config: RunConfig, start: RunConfig | None) -> str:
    return _hash([config.hash, None if start is None else start.hash])


def _data_of(config: RunConfig, known: dict[tuple[object, ...], str | None]) -> str | None:
    """The data set and a saved split; None where they cannot be read."""
    file = config.split.file if config.split.kind == "file" else None
    key = (config.data.path, config.data.version, file)
    if key not in known:
        try:
            manifest = load_version(config.data.path, config.data.version)
            split = None if file is None else hashlib.blake2b(file.read_bytes(), digest_size=8).hexdigest()
        except (S4miError, OSError):
            known[key] = None
        else:
            known[key] = _hash([_described(manifest), split])
    return known[key]


def _described(manifest: Manifest) -> list[Any]:
    """What decides about splits and targets; the pixels have a hash of their own in each run's record."""
    spec = manifest.spec.model_dump(mode="json", include={"tasks", "classes", "mask_values", "intensity", "channels"})
    rows = sorted(
        [row.id, row.image.name, row.mask and row.mask.name, row.labels, row.group, row.split] for row in manifest.rows
    )
    return [_plain(spec), rows]


def _plain(spec: Mapping[str, Any]) -> Any:
    """In an order of its own, but for that of mask values, which is the order of the classes."""
    return [[key, list(value.items()) if isinstance(value, dict) else value] for key, value in sorted(spec.items())]


def _hash(contents: Any) -> str:
    return hashlib.blake2b(json.dumps(contents).encode(), digest_size=8).hexdigest()
