"""Text on sheets is wrapped, never lost."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from s4mi.inference.overlays.saliency import CELL, GAP, LINE, MARGIN, ComparisonSheet, OverlayBlock, font, wrapped

words = st.lists(st.text(st.characters(codec="latin-1", categories=["L", "N", "P"]), min_size=1, max_size=12))


@given(words=words, width=st.integers(20, 400))
def test_wrapped_lines_contain_every_word_and_fit_the_width_unless_a_word_does_not(
    words: list[str], width: int
) -> None:
    lines = wrapped(" ".join(words), width)
    assert " ".join(lines).split() == words
    for line in lines:
        assert font().getlength(line) <= width or " " not in line


def test_lines_are_filled() -> None:
    text = "one two three four"
    assert wrapped(text, 1000) == [text]
    assert wrapped(text, round(font().getlength("one two three")) + 1) == ["one two three", "four"]


def size(note: str) -> tuple[int, int]:
    """Size of a sheet of one image with the note."""
    grey = np.full((CELL, CELL, 3), 100, dtype=np.uint8)
    sheet = ComparisonSheet([("a technique", "")], [""], note=note)
    sheet.add("image", "truth", grey, [OverlayBlock("a", (grey,), ("b",))], None)
    with Image.open(io.BytesIO(sheet.png())) as drawn:
        return drawn.size


@pytest.mark.parametrize("words", [1, 30, 60])
def test_a_note_gets_as_many_lines_as_it_needs(words: int) -> None:
    (width, bare), (_, noted) = size(""), size("long " * words)
    assert noted - bare == len(wrapped("long " * words, width - 2 * MARGIN)) * LINE + GAP
