"""A mask of a DICOM image as a DICOM segmentation object, through highdicom (extra `dicom`)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from s4mi import __version__
from s4mi.data.formats.intensity import Pixels
from s4mi.errors import S4miError, require_extra

TISSUE = ("85756007", "SCT", "Tissue")
"""Category and type of a segment of which nothing is known but its name."""


def write_dicom_seg(path: Path, masks: Pixels, image: Path, *, classes: Sequence[str], made_by: str) -> None:
    """Write (N, H, W) classes of the frames of `image`: a binary segment for each class but the background.

    Raises:
        S4miError: the package is not there, or the image lacks an attribute that a segmentation must repeat.
    """
    highdicom = require_extra("highdicom", extra="dicom", purpose=f"{path.name}: writing DICOM-SEG")
    pydicom = require_extra("pydicom", extra="dicom", purpose=f"{path.name}: writing DICOM-SEG")
    source = pydicom.dcmread(image)
    category = highdicom.sr.CodedConcept(*TISSUE)
    segments = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=name,
            segmented_property_category=category,
            segmented_property_type=category,
            algorithm_type="AUTOMATIC",
            algorithm_identification=highdicom.AlgorithmIdentificationSequence(
                name="s4mi", version=__version__, family=pydicom.sr.codedict.codes.DCM.ArtificialIntelligence
            ),
        )
        for number, name in enumerate(classes[1:], start=1)
    ]
    try:
        made = highdicom.seg.Segmentation(
            source_images=[source],
            pixel_array=np.asarray(masks, dtype=np.uint8),
            segmentation_type="BINARY",
            segment_descriptions=segments,
            series_instance_uid=highdicom.UID(),
            series_number=100,
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer="s4mi",
            manufacturer_model_name=Path(made_by).name[:64] or "s4mi",
            software_versions=__version__,
            device_serial_number="0",
            omit_empty_frames=False,
        )
    except (AttributeError, KeyError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise S4miError(
            f"cannot have a DICOM-SEG ({reason}); write its mask as PNG with --format png, or mend the file"
        ) from error
    made.save_as(path)
