import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.intensity import DEFAULT, Intensity
from s4mi.errors import S4miError


@pytest.mark.parametrize("text", [DEFAULT, "percentiles:1:99", "window:-160:240", "range"])
def test_a_rule_is_written_as_it_is_read(text: str) -> None:
    assert str(Intensity.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "auto", "percentiles", "percentiles:9:1", "percentiles:-1:50", "window:1", "window:5:5", "window:a:b",
             "range:1:2", "window:nan:1"]
)  # fmt: skip
def test_any_other_rule_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(S4miError, match=r"unknown intensity rule .*; use percentiles:") as caught:
        Intensity.parse(text)
    assert "\n" not in str(caught.value)


def test_a_window_shows_its_limits_black_and_white_and_clips_the_rest() -> None:
    values = np.array([[-1000, -160, 140, 240, 3000]], dtype=np.int16)
    assert Intensity.parse("window:-160:240").to_uint8(values).tolist() == [[0, 0, 191, 255, 255]]


def test_the_range_of_the_type_is_kept() -> None:
    assert Intensity.parse("range").to_uint8(np.array([[0, 32768, 65535]], dtype=np.uint16)).tolist() == [[0, 128, 255]]
    with pytest.raises(ImageError, match="holds float32 values"):
        Intensity.parse("range").to_uint8(np.zeros((1, 1), dtype=np.float32))


def test_the_files_own_window_goes_before_percentiles_and_not_before_a_window() -> None:
    values = np.array([[0, 50, 100]], dtype=np.int16)
    assert Intensity().to_uint8(values, (50, 100)).tolist() == [[0, 0, 255]]
    assert Intensity.parse("window:0:50").to_uint8(values, (50, 100)).tolist() == [[0, 255, 255]]


def test_eight_bits_stay_as_they_are() -> None:
    values = np.array([[7, 9]], dtype=np.uint8)
    for rule in ("range", "window:0:5", DEFAULT):
        assert np.array_equal(Intensity.parse(rule).to_uint8(values), values)


@given(low=st.floats(-1e4, 1e4), width=st.floats(1, 1e4), seed=st.integers(0, 99))
def test_slices_with_the_limits_of_their_volume_can_be_compared(low: float, width: float, seed: int) -> None:
    volume = low + width * np.random.default_rng(seed).random((4, 5, 6))
    limits = Intensity().limits(volume)
    together = Intensity().to_uint8(volume)
    for number, piece in enumerate(volume):
        assert np.array_equal(Intensity().to_uint8(piece, limits=limits), together[number])
