"""Status of a study before it is run: state of each run, remaining time, and which runs fit into the budget."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from s4mi.config import PlannedRun
from s4mi.errors import S4miError
from s4mi.records import finished_runs, read_any_record
from s4mi.studies.budget import runs_within_budget
from s4mi.studies.cost_model import CostModel
from s4mi.studies.erased_runs import erased_runs
from s4mi.studies.order import importance
from s4mi.studies.run_id import read_metadata, run_identities
from s4mi.studies.run_state import RunState, check_study_format, run_state
from s4mi.studies.run_store import RunLocation, run_locations
from s4mi.training.installed import git_revision, versions
from s4mi.training.run_dir import RunDir
from s4mi.training.versions import version_note


@dataclass(frozen=True)
class RunStatus:
    """Status of a planned run.

    Attributes:
        id: hash of its settings, of those of the run it starts from, and of the data set.
        seconds_left: of training, None without an estimate.
        fits: into the remaining budget; None without a budget or an estimate.
        supersedes: its folder holds a run with other settings, which will be set aside.
        older_data: the estimate comes from runs on an older version of the data set.
    """

    state: RunState
    id: str
    seconds_left: float | None
    fits: bool | None = None
    supersedes: bool = False
    older_data: bool = False

    @property
    def planned(self) -> PlannedRun:
        """The planned run."""
        return self.state.planned


@dataclass(frozen=True)
class StudyStatus:
    """Status of a study.

    Attributes:
        version_note: which finished runs were made with other versions than those installed, or None.
        seconds_left: of the budget; None without a budget.
        erased: finished runs that will be trained again, as patients were erased from the data set.
    """

    runs: tuple[RunStatus, ...]
    version_note: str | None
    seconds_left: float | None = None
    erased: tuple[str, ...] = ()


def study_status(plan: Sequence[PlannedRun], out: Path | None, *, budget: float | None = None) -> StudyStatus:
    """Return the status of a study in the folder `out`; None: no run exists yet. `budget` is in seconds.

    Raises:
        S4miError: the folder has another format.
    """
    identities = run_identities(plan)
    locations: list[RunLocation] = []
    if out is not None:
        check_study_format(out)
        locations = run_locations(plan, out, identities)
    states = [_state(location) for location in locations] if locations else [RunState(planned) for planned in plan]
    cost_model, records = CostModel(), []
    for state in states:
        if state.record is not None:
            cost_model.add_record(state.planned.config, state.record)
            records.append(state.record)
    budget_left = None if budget is None else max(0.0, budget - _seconds_spent(locations))
    older_model = _cost_model_of_older_data(plan, out, {location.current for location in locations})
    seconds = {state.planned.name: _seconds_left(state, cost_model) for state in states}
    older = {
        state.planned.name: _seconds_left(state, older_model) for state in states if seconds[state.planned.name] is None
    }
    seconds |= older
    fits = _fits(states, seconds, budget_left)
    superseding = {location.planned.name for location in locations if _is_superseded(location)}
    runs = tuple(
        RunStatus(
            state, identities[name].id, seconds[name], fits.get(name), supersedes=name in superseding,
            older_data=name in older,
        )
        for state in states
        for name in (state.planned.name,)
    )  # fmt: skip
    partly_finished = 0 < len(records) < len(runs)
    note = (
        version_note(records, current=versions(), revision=git_revision()) if partly_finished else version_note(records)
    )
    return StudyStatus(runs, note, budget_left, tuple(erased_runs(locations, identities)))


def _cost_model_of_older_data(plan: Sequence[PlannedRun], out: Path | None, planned: Collection[Path]) -> CostModel:
    """Cost model of the runs below `out` that used an older version of a planned data set."""
    cost_model = CostModel()
    newest = {run.config.data.path: run.config.data.version or 1 for run in plan}
    for run in finished_runs(out) if out is not None else ():
        if run in planned:
            continue
        try:
            config, record = RunDir(run).config(), read_any_record(run)
        except (S4miError, OSError):
            continue
        if (config.data.version or 1) < newest.get(config.data.path, 1):
            cost_model.add_record(config, record)
    return cost_model


def _is_superseded(location: RunLocation) -> bool:
    """Whether the folder of a run holds another run only."""
    return location.set_aside is not None and location.current == location.target


def _state(location: RunLocation) -> RunState:
    if _is_superseded(location):
        return RunState(location.planned)
    return run_state(location.planned, location.current, conflict=location.conflict)


def _seconds_spent(locations: Sequence[RunLocation]) -> float:
    return sum(read_metadata(location.current).seconds for location in locations if not _is_superseded(location))


def _fits(states: Sequence[RunState], seconds: dict[str, float | None], budget_left: float | None) -> dict[str, bool]:
    if budget_left is None:
        return {}
    order = importance([state.planned for state in states])
    pending = [(state.planned, seconds[state.planned.name]) for state in states if not (state.record or state.conflict)]
    pending.sort(key=lambda run: order[run[0].name])
    return runs_within_budget(pending, seconds_left=budget_left)


def _seconds_left(state: RunState, cost_model: CostModel) -> float | None:
    if state.record is not None:
        return 0.0
    config = state.planned.config
    seconds = cost_model.seconds(config)
    return None if seconds is None else seconds * (1 - min(state.epochs, config.epochs) / config.epochs)
