"""Erase a patient from a data set and from what was made of it."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from s4mi.api.inputs import StrPath, as_path, as_paths
from s4mi.api.quiet import quiet
from s4mi.system_errors import system_errors

if TYPE_CHECKING:
    from s4mi.recipes.erase import Erasure


@system_errors()
def erase(
    dataset: StrPath,
    patient: str,
    *,
    runs: StrPath | Iterable[StrPath] = (),
    cache: StrPath | None = None,
    confirmed: bool = False,
) -> "Erasure":
    """Erase a patient from a data set, its versions and caches, and from the lists and pictures of runs.

    Trained weights cannot forget; the result says which runs have seen the patient. An erasure that is interrupted goes
    on when it is called again.

    Args:
        dataset: data set folder.
        patient: the patient, as in the column group.
        runs: folders that hold runs of this data set, at any depth.
        cache: folder of the caches; None for the default.
        confirmed: remove; else nothing is changed, and the result says what would be.

    Raises:
        S4miError: there is no such patient or folder.
    """
    with quiet():
        from s4mi.data.loading.default_cache import default_cache
        from s4mi.recipes.erase import erase_patient

        folders = as_paths(runs) if runs else []
        place: Path = default_cache() if cache is None else as_path(cache)
        return erase_patient(as_path(dataset), patient, runs=folders, cache=place, confirmed=confirmed)
