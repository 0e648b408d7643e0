"""Folders that are searched for runs: each run once, however the folders that were passed overlap."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from s4mi.records import CONFIG_NAME


def outermost(folders: Iterable[Path]) -> list[Path]:
    """Return the folders in their order, without those that are another, or lie in one, when links are followed."""
    real = {folder: folder.resolve() for folder in folders}
    kept: dict[Path, Path] = {}
    for folder, place in real.items():
        if not any(place != other and place.is_relative_to(other) for other in real.values()):
            kept.setdefault(place, folder)
    return list(kept.values())


def run_folders(roots: Sequence[Path]) -> Iterator[Path]:
    """Yield the folders of runs in folders of which none lies in another."""
    for root in roots:
        yield from sorted(path.parent for path in root.rglob(CONFIG_NAME))


def folders_above(run: Path, roots: Sequence[Path]) -> Iterator[Path]:
    """Yield the folder of a run and those above it, up to the one that was passed."""
    for root in roots:
        if run == root or run.is_relative_to(root):
            yield run
            yield from (parent for parent in run.parents if parent == root or parent.is_relative_to(root))
