"""Arms of a study that share technique and network, told apart by the names that the study file gives them.

A study may compare learning rates, views or precisions of one method. Its records name method, pre-training and
network, which are the same in all of these arms; without the name of the arm one run would stand for all of them.
"""

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Final, TypeVar

from s4mi.records import RunRecord
from s4mi.reporting.results.comparison import cell_and_seed, technique_of
from s4mi.reporting.results.technique_names import ARM

RUNS: Final = "runs"
"""Folder of a study's runs."""
Key = TypeVar("Key", bound=Hashable)
_FOLDER = re.compile(r"(.+)-(?:[\d.]+(?:pct|images?|patients?)|saved)(?:-v\d+)?-seed\d+")


def arm_of(directory: str) -> str:
    """Name of the arm whose run is in this folder, `runs/ARM-10pct-seed0`; empty if it is no run of a study."""
    path = PurePosixPath(directory)
    found = _FOLDER.fullmatch(path.name)
    return found[1] if found and path.parent.name == RUNS else ""


def shared_by_arms(runs: Iterable[tuple[Key, Hashable, str]]) -> set[Key]:
    """Techniques of which several arms have a run in the same cell with the same seed.

    Args:
        runs: of each its technique, its cell and seed, and the name of its arm; empty if it is of none.
    """
    arms: dict[tuple[Key, Hashable], set[str]] = defaultdict(set)
    for technique, cell, arm in runs:
        if arm:
            arms[technique, cell].add(arm)
    return {technique for (technique, _), names in arms.items() if len(names) > 1}


def with_arms(records: Mapping[str, RunRecord]) -> dict[str, RunRecord]:
    """Records by the folders of their runs, techniques followed by `: ARM` where arms would stand for each other.

    That is where a technique has runs of several arms with the same labels and seed.
    """
    shared = shared_by_arms(
        (_technique(record), cell_and_seed(record), arm_of(directory)) for directory, record in records.items()
    )
    return {
        directory: _named(record, arm) if (arm := arm_of(directory)) and _technique(record) in shared else record
        for directory, record in records.items()
    }


def _technique(record: RunRecord) -> tuple[object, ...]:
    return record.dataset, record.task, technique_of(record)


def _named(record: RunRecord, arm: str) -> RunRecord:
    return record.model_copy(update={"technique": f"{record.technique or record.method}{ARM}{arm}"})
