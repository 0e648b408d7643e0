"""Finished runs of a study that no longer fit its data set because patients were erased from it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from s4mi.config import RunConfig
from s4mi.data.known_version import known_version
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.records import SUPERSEDED
from s4mi.studies.run_id import RunIdentity, stored_identity
from s4mi.studies.run_store import RunLocation
from s4mi.training.data_state import read_data_state
from s4mi.training.run_dir import RunDir


def erased_runs(locations: Sequence[RunLocation], identities: Mapping[str, RunIdentity]) -> list[str]:
    """Return the names of the finished runs that are to be set aside because patients were erased from the data set.

    Nothing differs but the data of these runs, which have lost images to an erasure.

    Args:
        identities: of the planned runs by name.
    """
    by_name = {location.planned.name: location for location in locations}
    names = []
    for location in locations:
        planned, aside = location.planned, location.set_aside is not None and location.current == location.target
        if not aside or not RunDir(location.target).finished:
            continue
        if stored_identity(location.target).settings != identities[planned.name].settings:
            continue
        needed = by_name.get(planned.needs or "")
        if any(_has_lost_images(of.target, of.planned.config) for of in (location, needed) if of is not None):
            names.append(planned.name)
    return names


def erased_line(runs: Sequence[str], *, done: bool) -> str | None:
    """Return one line on these runs; `done`: they have been set aside."""
    if not runs:
        return None
    listed = ", ".join(runs[:3]) + (", …" if len(runs) > 3 else "")
    several = len(runs) > 1
    verb = ("are" if several else "is") if done else "will be"
    old = f"the old {'ones' if several else 'one'} {verb} set aside in {SUPERSEDED}/"
    return (
        f"patients were erased from the data set: {plural(len(runs), 'finished run')} ({listed}) no longer "
        f"{'fit' if several else 'fits'} it and will be trained again; {old}"
    )


def _has_lost_images(run: Path, config: RunConfig) -> bool:
    """Whether images that the run has noted were erased since, from its data set or from what it has noted, too."""
    try:
        manifest, state = known_version(config.data.path, config.data.version), read_data_state(run)
    except S4miError:
        return False
    if not manifest.erased or state is None:
        return bool(manifest.erased)
    return not state.complete or not state.rows.keys() <= {row.id for row in manifest.rows}
