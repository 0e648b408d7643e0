"""From which version of a data set its parts are drawn, so that nobody moves when annotation is merged in."""

from collections.abc import Sequence
from pathlib import Path

from s4mi.data.formats.frame import ImageError
from s4mi.data.manifest import Manifest
from s4mi.data.masks import foreground_share, read_mask
from s4mi.data.splits.split import BaseVersion, SplitMethod
from s4mi.data.versions import load_version, manifest_name
from s4mi.errors import S4miError
from s4mi.records import TaskKind


def base_version(
    manifest: Manifest, kind: TaskKind, division: SplitMethod, *, foreground: Sequence[float] | None
) -> BaseVersion | None:
    """The first version with annotation for the task, or None where that is `manifest`, or nothing is drawn.

    Args:
        foreground: foreground share of the mask of each row of `manifest`.

    Raises:
        S4miError: an older version is not there, cannot be read, or has a mask that cannot.
    """
    if division.kind not in ("random", "kfold"):
        return None
    for version in range(1, manifest.version):
        old = load_version(manifest.folder, version)
        if any(row.annotated(kind) for row in old.rows):
            return BaseVersion(old, None if foreground is None else _foreground(old, manifest, foreground))
    return None


def merged_later(manifest: Manifest, basis: BaseVersion, kind: TaskKind) -> frozenset[int]:
    """The rows of `manifest` whose annotation was not there when the parts were drawn."""
    known = {row.id for row in basis.manifest.rows if row.annotated(kind)}
    return frozenset(number for number, row in enumerate(manifest.rows) if row.annotated(kind) and row.id not in known)


def _foreground(old: Manifest, new: Manifest, foreground: Sequence[float]) -> list[float]:
    """That of the old version's masks; one that was replaced since is read again."""
    shares: dict[tuple[str, Path | None], float] = {
        (row.id, row.mask): share for row, share in zip(new.rows, foreground, strict=True)
    }
    found = []
    for row in old.rows:
        share = 0.0 if row.mask is None else shares.get((row.id, row.mask))
        if share is None:
            assert row.mask is not None
            try:
                share = foreground_share(read_mask(row.mask, old.spec.mask_values))
            except ImageError as error:
                place = f"{old.folder / manifest_name(old.version)}:{row.line}"
                raise S4miError(f"{place}: mask {row.mask.name!r} {error}") from error
        found.append(share)
    return found
