"""Which DICOM segmentations are read by the labels of their segments instead of by their numbers."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from s4mi.data.formats.dicom_seg import Segment
from s4mi.data.sources.pair_by_name import some
from s4mi.data.sources.types import FoundDataset
from s4mi.data.spec import Finding


def named_segmentations(
    found: FoundDataset, segments: Mapping[Path, Mapping[int, Segment]]
) -> tuple[frozenset[Path], list[Finding]]:
    """Return all segmentations if numbers do not tell their segments apart, else none; and a finding on labels.

    They do not if an image has several, each of which counts its segments from 1, or if a number is another kind of
    structure in another file. Labels alone may differ, as those of numbered lesions do.

    Args:
        segments: segments of each segmentation, by number.
    """
    codes: dict[int, set[str]] = defaultdict(set)
    labels: dict[int, set[str]] = defaultdict(set)
    for of_file in segments.values():
        for number, segment in of_file.items():
            codes[number].add(segment.code)
            labels[number].add(segment.label)
    several = any(path in segments and {*others} & {*segments} for path, others in found.united.items())
    if several or any(len(own) > 1 for own in codes.values()):
        return frozenset(segments), []
    different = {number: sorted(own) for number, own in labels.items() if len(own) > 1}
    if not different:
        return frozenset(), []
    number, names = next(iter(different.items()))
    message = (
        f"segment {number} of DICOM segmentations has different labels ({some(names)}) and is one class here, as its "
        "code is the same; review it"
    )
    return frozenset(), [Finding("segment-labels", "warning", ".", None, message)]
