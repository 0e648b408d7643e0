"""One process at a time writes predictions, saliency maps or features to a place."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from s4mi.records.lock import file_lock

LOCK_NAME: Final = ".writing.lock"
BUSY = "another process writes its results here; wait until it has ended, or choose another place with -o"


def only_writer(out: Path) -> AbstractContextManager[None]:
    """Keep other processes from writing to the folder `out`.

    Raises:
        S4miError: another process writes there.
        OSError: the folder cannot be written.
    """
    return file_lock(out / LOCK_NAME, busy=BUSY)


def only_writer_of(file: Path) -> AbstractContextManager[None]:
    """Keep other processes from writing a file and those beside it that share its name; raises as `only_writer`."""
    return file_lock(file.with_name(f".{file.name}.lock"), busy=BUSY)
