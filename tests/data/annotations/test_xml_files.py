"""XML of annotation tools is not read; the message says what to export instead."""

from pathlib import Path

import pytest

from s4mi.data.annotations.read import read_annotations
from s4mi.errors import S4miError


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (
            '<?xml version="1.0"?>\n<ASAP_Annotations><Annotations/></ASAP_Annotations>',
            "XML of ASAP .*a mask per image",
        ),
        (
            "<annotations>\n  <version>1.1</version>\n</annotations>",
            'XML of CVAT .*"COCO 1.0" or "Segmentation mask 1.1"',
        ),
        ("<annotation><folder/><filename>a.jpg</filename></annotation>", "XML of Pascal VOC .*as COCO"),
        ("<Annotations MicronsPerPixel='0.5'/>", "XML is not read; export the annotations as COCO, GeoJSON"),
    ],
)
def test_the_message_names_the_program_and_a_format_that_is_read(
    tmp_path: Path, text: str, hint: str, folder: bool
) -> None:
    path = tmp_path / "a.xml"
    path.write_text(text)
    with pytest.raises(S4miError, match=hint):
        read_annotations(tmp_path if folder else path)
