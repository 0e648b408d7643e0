"""A study before it is run: how far each run is, how long the rest will take, and what of it fits into the budget."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from s4mi.config import PlannedRun
from s4mi.errors import S4miError
from s4mi.records import finished_runs, read_any_record
from s4mi.studies.budget import split_by_budget
from s4mi.studies.cost_model import CostModel
from s4mi.studies.run_id import read_metadata, run_identities
from s4mi.studies.run_state import RunState, check_format, run_state
from s4mi.studies.run_store import RunLocation, run_locations
from s4mi.training.environment import git_revision, versions
from s4mi.training.run_dir import RunDir
from s4mi.training.versions import version_note


@dataclass(frozen=True)
class RunStatus:
    """A planned run as it stands.

    Attributes:
        id: of its settings, of what it starts from and of the data set.
        seconds: of training that it still needs, None where nobody knows.
        fits: into what is left of the budget; None where there is none or nobody knows.
        other: its folder holds a run with other settings, which will be set aside.
        older: `seconds` are those of runs on an older version of the data set, as none on this one is like it.
    """

    standing: RunState
    id: str
    seconds: float | None
    fits: bool | None = None
    other: bool = False
    older: bool = False

    @property
    def planned(self) -> PlannedRun:
        """The run."""
        return self.standing.planned


@dataclass(frozen=True)
class StudyStatus:
    """What a study comes to; `note` says where finished runs were made with other versions than those of now.

    `left` are the seconds of the budget that no run has taken yet.
    """

    runs: tuple[RunStatus, ...]
    note: str | None
    left: float | None = None


def study_status(plan: Sequence[PlannedRun], out: Path | None, *, budget: float | None = None) -> StudyStatus:
    """What is left of a study whose folder is `out`; nothing is known of one that has none.

    Raises:
        S4miError: the folder is of another format.
    """
    known = run_identities(plan)
    found: list[RunLocation] = []
    if out is not None:
        check_format(out)
        found = run_locations(plan, out, known)
    standings = [RunState(planned) for planned in plan]
    if found:
        standings = [_standing(place) for place in found]
    pace, records = CostModel(), []
    for one in standings:
        if one.record is not None:
            pace.learn(one.planned.config, one.record)
            records.append(one.record)
    spent = sum(
        read_metadata(place.found).seconds for place in found if place.aside is None or place.found != place.home
    )
    left = None if budget is None else max(0.0, budget - spent)
    before = _pace_of_older_versions(plan, out, {place.found for place in found})
    seconds = {one.planned.name: _left(one, pace) for one in standings}
    older = {one.planned.name: _left(one, before) for one in standings if seconds[one.planned.name] is None}
    seconds |= older
    fits = _fits(standings, seconds, left)
    aside = {place.planned.name for place in found if place.aside is not None and place.found == place.home}
    runs = tuple(
        RunStatus(one, known[name].id, seconds[name], fits.get(name), other=name in aside, older=name in older)
        for one in standings
        for name in (one.planned.name,)
    )
    compared = 0 < len(records) < len(runs)
    note = version_note(records, current=versions(), revision=git_revision()) if compared else version_note(records)
    return StudyStatus(runs, note, left)


def _pace_of_older_versions(plan: Sequence[PlannedRun], out: Path | None, ours: Collection[Path]) -> CostModel:
    """What the runs below `out` took that are on an older version of a planned data set."""
    pace = CostModel()
    newest = {planned.config.data.path: planned.config.data.version or 1 for planned in plan}
    for run in finished_runs(out) if out is not None else ():
        if run in ours:
            continue
        try:
            config, record = RunDir(run).config(), read_any_record(run)
        except (S4miError, OSError):
            continue
        if (config.data.version or 1) < newest.get(config.data.path, 1):
            pace.learn(config, record)
    return pace


def _standing(place: RunLocation) -> RunState:
    if place.aside is not None and place.found == place.home:
        return RunState(place.planned)
    return run_state(place.planned, place.found, conflict=place.conflict)


def _fits(standings: Sequence[RunState], seconds: dict[str, float | None], left: float | None) -> dict[str, bool]:
    if left is None:
        return {}
    waiting = [(one.planned, seconds[one.planned.name]) for one in standings if not (one.record or one.conflict)]
    return split_by_budget(waiting, left=left)


def _left(standing: RunState, pace: CostModel) -> float | None:
    if standing.record is not None:
        return 0.0
    config = standing.planned.config
    seconds = pace.seconds(config)
    return None if seconds is None else seconds * (1 - min(standing.epochs, config.epochs) / config.epochs)
