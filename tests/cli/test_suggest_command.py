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
    assert list(_next([Path(file) for file in files], "data", format_)) == lines
