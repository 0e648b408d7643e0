"""Names of the pages of a TIFF file."""

from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

import tifffile


def page_names(file: tifffile.TiffFile, pages: Sequence[tifffile.TiffPage]) -> Iterator[str]:
    """Yield the page names: tag 285 (PageName), else ImageJ label, OME channel, or first line of the description."""
    labels = (file.imagej_metadata or {}).get("Labels") if file.is_imagej else _ome_channels(file)
    for number, page in enumerate(pages):
        tag = page.tags.get(285)
        lines = (page.description or "").strip().splitlines()
        if tag is not None and str(tag.value).strip():
            yield str(tag.value).strip()
        elif isinstance(labels, list | tuple) and number < len(labels):
            yield str(labels[number]).strip()
        else:
            yield lines[0].strip() if lines and lines[0].lstrip()[:1] not in ("<", "{") else ""


def _ome_channels(file: tifffile.TiffFile) -> list[str] | None:
    if not file.is_ome or not file.ome_metadata:
        return None
    root = ElementTree.fromstring(file.ome_metadata)
    return [channel.get("Name", "") for channel in root.iter() if channel.tag.endswith("}Channel")]
