"""Where the runs of a study lie, when its file has changed since: what no longer fits is set aside and taken back.

<study>/superseded/<name>-<id>/   a run whose settings, or those of what it started from, are others now

A run is known by its identity and not by its folder, so that one whose arm has another name is taken over as well.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from s4mi.config import PlannedRun
from s4mi.errors import S4miError
from s4mi.records import CONFIG_NAME, SUPERSEDED
from s4mi.studies.run_id import NAME, RunIdentity, stored_identity
from s4mi.studies.run_state import has_training_files
from s4mi.training.run_dir import RunDir


@dataclass(frozen=True)
class RunLocation:
    """A planned run and its folders.

    Attributes:
        home: where it belongs. found: where it lies now, which is `home` for one that is not there at all.
        aside: where the run that lies at `home` now has to go, or None.
        conflict: why `home` can be used neither way, or empty.
    """

    planned: PlannedRun
    home: Path
    found: Path
    aside: Path | None = None
    conflict: str = ""


def is_done(place: RunLocation) -> bool:
    """Whether the run is there and finished."""
    there = not place.conflict and (place.aside is None or place.found != place.home)
    return there and RunDir(place.found).finished


def run_locations(plan: Sequence[PlannedRun], out: Path, known: Mapping[str, RunIdentity]) -> list[RunLocation]:
    """Where each planned run lies; nothing is moved."""
    found = [_at_home(planned, out, known[planned.name]) for planned in plan]
    if all(place.aside is None and has_training_files(place.home) for place in found):
        return found
    right = {
        place.home for place in found if place.aside is None and not place.conflict and has_training_files(place.home)
    }
    others = dict(_others(out, right))
    result = []
    for place in found:
        if not place.conflict and place.home not in right:
            wanted = known[place.planned.name]
            fitting = [path for path, held in others.items() if held.fits(wanted) and held.data == wanted.data]
            named = [path for path in fitting if path.name.startswith(f"{place.home.name}-")]
            if fitting:
                place = RunLocation(place.planned, place.home, (named or fitting)[0], place.aside)
                del others[place.found]
        result.append(place)
    return result


def arrange_runs(found: Sequence[RunLocation]) -> list[str]:
    """Move every run to where it belongs, and say so in a line for each kind of move.

    Raises:
        S4miError: a folder cannot be moved.
    """
    moved: dict[Path, Path] = {}
    aside = [place for place in found if place.aside is not None]
    back = [place for place in found if place.found != place.home]
    try:
        for place in aside:
            assert place.aside is not None
            moved[place.home] = _free(place.aside)
            _move(place.home, moved[place.home])
        for place in back:
            if place.home.exists():
                shutil.rmtree(place.home)  # it holds nothing that was trained
            _move(moved.get(place.found, place.found), place.home)
    except OSError as error:
        raise S4miError(f"{error.filename}: cannot be moved ({error.strerror}); move it by hand") from error
    lines = []
    if aside:
        lines.append(f"{_counted(aside)} have other settings or data now: set aside in {SUPERSEDED}/")
    if back:
        lines.append(f"{_counted(back)} were made before: taken back")
    return lines


def _counted(some: Sequence[RunLocation]) -> str:
    names = ", ".join(place.planned.name for place in some[:3]) + (", …" if len(some) > 3 else "")
    return f"{len(some)} run{'' if len(some) == 1 else 's'} ({names})"


def _at_home(planned: PlannedRun, out: Path, wanted: RunIdentity) -> RunLocation:
    home = out / planned.name
    if not has_training_files(home):
        return RunLocation(planned, home, home)
    try:
        held = stored_identity(home)
    except (S4miError, OSError, ValidationError) as error:
        message = f"{home}: holds files but no run; move them away"
        if (home / CONFIG_NAME).exists():
            message = str(error).splitlines()[0]
        return RunLocation(planned, home, home, conflict=message)
    if held.fits(wanted):
        return RunLocation(planned, home, home)
    return RunLocation(planned, home, home, aside=out / SUPERSEDED / f"{planned.name}-{held.id}")


def _others(out: Path, right: set[Path]) -> Iterator[tuple[Path, RunIdentity]]:
    """The other runs of a study in a folder, the last set aside first."""
    folders = {path.parent for path in out.rglob(NAME)} - right
    for folder in sorted(folders, key=lambda path: (-path.stat().st_mtime, path)):
        if has_training_files(folder):
            try:
                yield folder, stored_identity(folder)
            except (S4miError, OSError, ValidationError):
                continue


def _free(path: Path) -> Path:
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.rename(target)
