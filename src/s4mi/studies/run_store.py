"""Run store of a study: runs that no longer match the study file are set aside, and restored when they match again.

<study>/superseded/<name>-<id>/   a run whose settings, or those of the run it starts from, have changed

A run is found by its identity and not by its folder, so that a run whose arm was renamed is found as well.
"""

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from s4mi.config import PlannedRun
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.records import CONFIG_NAME, STUDY_RUN_NAME, SUPERSEDED
from s4mi.studies.run_id import RunIdentity, stored_identity
from s4mi.studies.run_state import has_training_files
from s4mi.training.run_dir import RunDir


@dataclass(frozen=True)
class RunLocation:
    """A planned run and its folders.

    Attributes:
        target: folder in which the run belongs.
        current: folder that holds the run now; `target` if there is no such run.
        set_aside: folder to which another run in `target` has to be moved, or None.
        conflict: why `target` can neither be used nor set aside, or empty.
    """

    planned: PlannedRun
    target: Path
    current: Path
    set_aside: Path | None = None
    conflict: str = ""


def is_finished(location: RunLocation) -> bool:
    """Whether the run exists and has finished."""
    exists = not location.conflict and (location.set_aside is None or location.current != location.target)
    return exists and RunDir(location.current).finished


def run_locations(plan: Sequence[PlannedRun], out: Path, identities: Mapping[str, RunIdentity]) -> list[RunLocation]:
    """Find the folder of each planned run below `out`; nothing is moved."""
    locations = [_check_target(planned, out, identities[planned.name]) for planned in plan]
    if all(location.set_aside is None and has_training_files(location.target) for location in locations):
        return locations
    in_place = {
        location.target
        for location in locations
        if location.set_aside is None and not location.conflict and has_training_files(location.target)
    }
    others = dict(_other_runs(out, in_place))
    result = []
    for location in locations:
        if not location.conflict and location.target not in in_place:
            wanted = identities[location.planned.name]
            matching = [
                path for path, stored in others.items() if stored.matches(wanted) and stored.data == wanted.data
            ]
            same_name = [path for path in matching if path.name.startswith(f"{location.target.name}-")]
            if matching:
                current = (same_name or matching)[0]
                location = RunLocation(location.planned, location.target, current, location.set_aside)
                del others[current]
        result.append(location)
    return result


def arrange_runs(locations: Sequence[RunLocation], *, erased: Collection[str] = ()) -> list[str]:
    """Move every run to its folder, and return a line for each kind of move, but for `erased` runs, by their names.

    Raises:
        S4miError: a folder cannot be moved.
    """
    moved: dict[Path, Path] = {}
    superseded = [location for location in locations if location.set_aside is not None]
    restored = [location for location in locations if location.current != location.target]
    try:
        for location in superseded:
            assert location.set_aside is not None
            moved[location.target] = _unused(location.set_aside)
            _move(location.target, moved[location.target])
        for location in restored:
            if location.target.exists():
                shutil.rmtree(location.target)  # it holds no training files
            _move(moved.get(location.current, location.current), location.target)
    except OSError as error:
        raise S4miError(f"{error.filename}: cannot be moved ({error.strerror}); move it yourself") from error
    lines = []
    if others := [location for location in superseded if location.planned.name not in erased]:
        lines.append(f"settings or data have changed: {_list_runs(others)} set aside in {SUPERSEDED}/")
    if restored:
        lines.append(f"settings and data match earlier runs: {_list_runs(restored)} restored")
    return lines


def _list_runs(locations: Sequence[RunLocation]) -> str:
    names = ", ".join(location.planned.name for location in locations[:3]) + (", …" if len(locations) > 3 else "")
    return f"{plural(len(locations), 'run')} ({names})"


def _check_target(planned: PlannedRun, out: Path, wanted: RunIdentity) -> RunLocation:
    target = out / planned.name
    if not has_training_files(target):
        return RunLocation(planned, target, target)
    try:
        stored = stored_identity(target)
    except (S4miError, OSError, ValidationError) as error:
        message = f"{target}: contains files but no run; move them away"
        if (target / CONFIG_NAME).exists():
            message = str(error).splitlines()[0]
        return RunLocation(planned, target, target, conflict=message)
    if stored.matches(wanted):
        return RunLocation(planned, target, target)
    return RunLocation(planned, target, target, set_aside=out / SUPERSEDED / f"{planned.name}-{stored.id}")


def _other_runs(out: Path, in_place: set[Path]) -> Iterator[tuple[Path, RunIdentity]]:
    """All other runs below `out`, the most recently set aside first."""
    folders = {path.parent for path in out.rglob(STUDY_RUN_NAME)} - in_place
    for folder in sorted(folders, key=lambda path: (-path.stat().st_mtime, path)):
        if has_training_files(folder):
            try:
                yield folder, stored_identity(folder)
            except (S4miError, OSError, ValidationError):
                continue


def _unused(path: Path) -> Path:
    number, unused = 1, path
    while unused.exists():
        number += 1
        unused = path.with_name(f"{path.name}-{number}")
    return unused


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.rename(target)
