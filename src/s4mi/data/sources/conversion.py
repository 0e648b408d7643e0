"""The sentence in `dataset.yaml` that says how an import wrote images out of larger files."""

from s4mi.data.files import suffix_of
from s4mi.data.formats.intensity import Intensity
from s4mi.data.sources.types import FoundDataset


def describe_conversion(found: FoundDataset, intensity: Intensity) -> str:
    """Describe the conversion of extracted images; empty if there are none."""
    if not found.embedded:
        return ""
    files = {image.file for image in found.embedded.values()}
    suffixes = ", ".join(sorted({suffix_of(file) or "without ending" for file in files}))
    like = any(image.like is not None for image in found.embedded.values())
    own = "" if intensity.kind == "window" else "the file's own window where it has one, else "
    return (
        f"{len(found.embedded)} pictures written as 8-bit PNG out of {len(files)} files ({suffixes}); "
        f"{own}{intensity} over the file or, of DICOM, its series; "
        + ("NIfTI masks read with the affine of their image; " if like else "")
        + "nothing else of the files was kept"
    )
