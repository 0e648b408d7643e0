"""Which images of a data set a run already knows, by id in its own data set and by content in any other."""

from dataclasses import dataclass
from pathlib import Path

from s4mi.data.loading.file_hashes import DATABASE_NAME, FileHashes
from s4mi.data.manifest import Manifest
from s4mi.data.splits.split_file import read_split_ids
from s4mi.formatting import plural
from s4mi.training.data_state import DIGITS, read_data_state
from s4mi.training.run_dir import RunDir


@dataclass(frozen=True)
class KnownImages:
    """Images of a data set that a run validates or tests with, or has the annotation of, by id in the data set.

    Attributes:
        note: warning if the run was trained on another data set, or empty.
    """

    held_out: frozenset[str]
    labelled: frozenset[str] = frozenset()
    note: str = ""


def known_images(run: Path, manifest: Manifest) -> KnownImages:
    """Return the images of a data set that the run in the folder `run` already knows.

    Raises:
        S4miError: the split of the run cannot be read, or an image.
    """
    parts = read_split_ids(RunDir(run).split_path)
    config = RunDir(run).config()
    if config.data.path.resolve() == manifest.folder.resolve():
        return KnownImages(parts["val"] | parts["test"])
    other = f"{run} was trained on another data set ({config.data.path})"
    state = read_data_state(run)
    if state is None:  # a run of an older version
        return KnownImages(frozenset(), note=f"{other}; which of these images it has seen is unknown")
    config.data.cache.mkdir(parents=True, exist_ok=True)
    digests = FileHashes(config.data.cache / DATABASE_NAME).digests(row.image for row in manifest.rows)
    hash_of = {row.id: digests[row.image][:DIGITS] for row in manifest.rows}

    def here(names: frozenset[str]) -> frozenset[str]:
        hashes = {state.rows[name][0] for name in names if name in state.rows}
        return frozenset(name for name, digest in hash_of.items() if digest in hashes)

    known = KnownImages(here(parts["val"] | parts["test"]), here(parts["labelled"]))
    count = len(known.held_out | known.labelled)
    alike = sum(name in state.rows and state.rows[name][0] != digest for name, digest in hash_of.items())
    left_out = f"; {plural(count, 'image')} that it has trained, validated or tested with left out" if count else ""
    ids = f"; {plural(alike, 'image')} with an id of that data set but other content" if alike else ""
    return KnownImages(known.held_out, known.labelled, f"{other}{left_out}{ids}")
