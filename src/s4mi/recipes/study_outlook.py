"""A study before it is run: how far each run is, and how long the rest will take."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from s4mi.config import PlannedRun
from s4mi.recipes.study_estimate import Pace
from s4mi.recipes.study_folder import Standing, standing_of
from s4mi.recipes.study_versions import version_note
from s4mi.recipes.surroundings import git_revision, versions


@dataclass(frozen=True)
class Prospect:
    """A planned run: how far it is, and the seconds of training that it still needs, None where nobody knows."""

    standing: Standing
    seconds: float | None

    @property
    def planned(self) -> PlannedRun:
        """The run."""
        return self.standing.planned


@dataclass(frozen=True)
class Outlook:
    """What a study comes to; `note` says where finished runs were made with other versions than those of now."""

    runs: tuple[Prospect, ...]
    note: str | None


def outlook(plan: Sequence[PlannedRun], out: Path | None) -> Outlook:
    """What is left of a study whose folder is `out`; nothing is known of one that has none."""
    standings = [Standing(planned) if out is None else standing_of(planned, out) for planned in plan]
    pace, records = Pace(), []
    for one in standings:
        if one.record is not None:
            pace.learn(one.planned.config, one.record)
            records.append(one.record)
    runs = tuple(Prospect(one, _left(one, pace)) for one in standings)
    compared = 0 < len(records) < len(runs)
    note = version_note(records, current=versions(), revision=git_revision()) if compared else version_note(records)
    return Outlook(runs, note)


def _left(standing: Standing, pace: Pace) -> float | None:
    if standing.record is not None:
        return 0.0
    config = standing.planned.config
    seconds = pace.seconds(config)
    return None if seconds is None else seconds * (1 - min(standing.epochs, config.epochs) / config.epochs)
