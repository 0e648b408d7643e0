"""`s4mi suggest` says what to do with what it wrote."""

from pathlib import Path

import pytest

from s4mi.cli.suggest import Format, _next


@pytest.mark.parametrize(
    ("format_", "files", "lines"),
    [
        (Format.csv, ["next.csv"], ["fill in its column label, then: s4mi data merge data next.csv"]),
        (
            Format.label_studio,
            ["next.csv", "next.label-studio.json", "next.xml"],
            [
                "to correct: import next.label-studio.json into Label Studio, with the labelling interface next.xml",
                "then export it there as JSON: s4mi data merge data EXPORT.json",
            ],
        ),
        (
            Format.coco,
            ["next.csv", "next.coco.json"],
            [
                "to correct: import next.coco.json into CVAT or another tool that reads COCO",
                "then export it there as COCO: s4mi data merge data EXPORT.json",
            ],
        ),
    ],
)
def test_what_is_to_be_corrected_is_not_merged_as_it_is(format_: Format, files: list[str], lines: list[str]) -> None:
    assert list(_next([Path(file) for file in files], "data", format_, masks=False)) == lines


def test_of_a_segmenter_masks_are_to_be_drawn_not_labels_filled_in() -> None:
    lines = list(_next([Path("next.csv")], "data", Format.csv, masks=True))
    assert lines == [
        "draw their masks, in files named like the images, then: s4mi data merge data FOLDER",
        "or correct predicted ones: the same command with --format label-studio, or coco",
    ]
    coco = [Path("next.csv"), Path("next.coco.json")]
    assert list(_next(coco, "data", Format.coco, masks=True)) == list(_next(coco, "data", Format.coco, masks=False))
