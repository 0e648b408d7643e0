"""Choice of the version that the parts are drawn from, so that merging annotations moves no image."""

from collections.abc import Sequence
from pathlib import Path

from s4mi.data.formats.frame import ImageError
from s4mi.data.manifest import Manifest
from s4mi.data.splits.erased_rows import with_erased
from s4mi.data.splits.official import lacks_val
from s4mi.data.splits.split import BaseVersion, SplitMethod
from s4mi.data.versions import load_version, manifest_name
from s4mi.errors import S4miError
from s4mi.records import TaskKind


def base_version(
    manifest: Manifest, kind: TaskKind, method: SplitMethod, *, foreground: Sequence[float] | None
) -> BaseVersion | None:
    """Return the first version with annotations for the task, or None if that is `manifest`, or no part is drawn.

    Args:
        foreground: foreground share of the mask of each row of `manifest`.

    Raises:
        S4miError: an older version, or a mask of it, is missing or unreadable.
    """
    draws = method.kind in ("random", "kfold") or (method.kind == "official" and lacks_val(manifest.rows))
    if not draws:
        return None
    for version in range(1, manifest.version):
        old = load_version(manifest.folder, version)
        if any(row.annotated(kind) for row in with_erased(old).rows):
            return BaseVersion(old, None if foreground is None else _foreground(old, manifest, foreground))
    return None


def merged_later(manifest: Manifest, base: BaseVersion, kind: TaskKind) -> frozenset[int]:
    """Return the rows of `manifest` that were annotated after the parts were drawn."""
    known = {row.id for row in base.manifest.rows if row.annotated(kind)}
    return frozenset(number for number, row in enumerate(manifest.rows) if row.annotated(kind) and row.id not in known)


def _foreground(old: Manifest, new: Manifest, foreground: Sequence[float]) -> list[float]:
    """Return the foreground shares of the old version; masks that were replaced since are read again."""
    from s4mi.data.masks import foreground_share, read_mask  # with all that reads images, which few splits need

    shares: dict[tuple[str, Path | None], float] = {
        (row.id, row.mask): share for row, share in zip(new.rows, foreground, strict=True)
    }
    old_shares = []
    for row in old.rows:
        share = 0.0 if row.mask is None else shares.get((row.id, row.mask))
        if share is None:
            assert row.mask is not None
            try:
                share = foreground_share(read_mask(row.mask, old.spec.mask_values))
            except ImageError as error:
                location = f"{old.folder / manifest_name(old.version)}:{row.line}"
                raise S4miError(f"{location}: mask {row.mask.name!r} {error}") from error
        old_shares.append(share)
    return old_shares
