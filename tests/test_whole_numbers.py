"""A text that counts as a whole number can be read as one, whatever a file or a command line holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s4mi.data.sources.frames import FrameSelection
from s4mi.errors import S4miError
from s4mi.formatting import is_whole


@given(st.text(alphabet="0123456789²٣- .", max_size=30))
def test_a_whole_number_is_read(text: str) -> None:
    assert not is_whole(text) or str(int(text)) == (text.lstrip("0") or "0")


@pytest.mark.parametrize("text", ["", "-1", "²", "1_0", " 1", "9" * 5000])
def test_nothing_else_is_one(text: str) -> None:
    assert not is_whole(text)


def test_a_number_of_thousands_of_digits_ends_in_one_line() -> None:
    with pytest.raises(S4miError, match="unknown selection"):
        FrameSelection.parse("every:" + "9" * 5000)
