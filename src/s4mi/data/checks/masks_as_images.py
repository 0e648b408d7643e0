"""Check for rows whose image is named like the mask of another row's image."""

from collections.abc import Iterator, Sequence

from s4mi.data.checks.scan import RowLocator
from s4mi.data.row import Row
from s4mi.data.sources.mask_names import masks_beside
from s4mi.data.spec import Finding
from s4mi.formatting import plural


def find_masks_as_images(rows: Sequence[Row], locate: RowLocator) -> Iterator[Finding]:
    """Yield a finding if images are named like masks of others, such as `x_mask.png` and `x.png`."""
    beside = masks_beside(row.image for row in rows)
    if not beside:
        return
    affected = [row for row in rows if row.image in beside]
    first = affected[0]
    file, line = locate(first)
    lines = tuple(number for row in affected if (number := locate(row)[1]) is not None)
    message = (
        f"{plural(len(affected), 'image')} named like masks of others, e.g. {first.image.name!r} of "
        f"{beside[first.image].image.name!r}; if they are masks, import again with --mask-suffix"
    )
    yield Finding("mask-as-image", "warning", file, line, message, lines)
