"""Every pixel of an overlay has the colour of what it is."""

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s4mi.data.formats.intensity import Pixels
from s4mi.inference.overlays.masks import (
    CLASS_COLOURS,
    HIT,
    MISSED,
    MOST_COLOURS,
    STRENGTH,
    WHITE,
    WRONG,
    Colour,
    class_colour,
    cluster_colour,
    clustered,
    compared,
    outline,
    tinted,
)
from s4mi.records import IGNORE

GREY = 100


def grey(height: int = 20, width: int = 30) -> Pixels:
    return np.full((height, width, 3), GREY, dtype=np.uint8)


def under(colour: Colour) -> list[int]:
    """Grey under a tint."""
    return [round((1 - STRENGTH) * GREY + STRENGTH * part) for part in colour]


@pytest.mark.parametrize(
    ("truth", "predicted", "shown"),
    [
        (0, 0, None),
        (1, 1, HIT),
        (2, 2, HIT),
        (1, 0, MISSED),
        (0, 1, WRONG),
        (1, 2, WRONG),  # another class is not the right one
        (IGNORE, 0, None),
        (IGNORE, 1, None),
    ],
)
def test_the_colour_of_a_pixel_follows_from_its_truth_and_its_prediction(
    truth: int, predicted: int, shown: Colour | None
) -> None:
    masks = [np.full((20, 30), value, dtype=np.uint8) for value in (truth, predicted)]
    picture = compared(grey(), masks[0], masks[1], line=False)
    expected = [GREY] * 3 if shown is None else under(shown)
    assert (picture == expected).all()


def test_the_truth_is_outlined_in_white_and_ignored_pixels_are_not() -> None:
    truth = np.zeros((20, 30), dtype=np.uint8)
    truth[5:15, 5:15], truth[5:15, 20:25] = 1, IGNORE
    picture = compared(grey(), truth, np.zeros_like(truth))
    white = (picture == WHITE).all(axis=2)
    np.testing.assert_array_equal(white, outline(truth == 1))
    assert (picture[6:14, 6:14] == under(MISSED)).all()
    assert (picture[:, 20:25] == GREY).all()


def test_each_class_is_tinted_and_its_outline_is_solid() -> None:
    classes = np.zeros((20, 30), dtype=np.uint8)
    classes[4:12, 4:12], classes[4:12, 16:24] = 1, 2
    before = grey()
    picture = tinted(before, classes)
    for index, left in ((1, 4), (2, 16)):
        colour = class_colour(index)[1]
        assert (picture[4, left : left + 8] == colour).all()
        assert (picture[5:11, left + 1 : left + 7] == under(colour)).all()
    assert (picture[classes == 0] == GREY).all()
    assert (before == GREY).all(), "the image itself is as it was"


def test_a_mask_of_background_changes_nothing() -> None:
    np.testing.assert_array_equal(tinted(grey(), np.zeros((20, 30), dtype=np.uint8)), grey())


def test_every_class_has_a_colour_and_a_name_of_its_own_and_after_255_they_begin_again() -> None:
    colours = [class_colour(index) for index in range(1, MOST_COLOURS + 1)]
    assert colours[: len(CLASS_COLOURS)] == list(CLASS_COLOURS.items())
    for each in zip(*colours, strict=True):
        assert len(set(each)) == 255
    assert [class_colour(index) for index in range(256, 266)] == colours[:10]
    assert [cluster_colour(number) for number in range(MOST_COLOURS)] == colours


def test_the_first_thirty_colours_differ_plainly_and_none_is_that_of_paper() -> None:
    """A difference of 2.3 in CIELAB is just seen (Mahy et al. 1994)."""
    colours = np.array([[class_colour(index)[1] for index in range(1, 31)] + [WHITE]], dtype=np.uint8)
    lab = cv2.cvtColor(colours.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[0]
    for one, other in itertools.combinations(lab, 2):
        assert np.linalg.norm(one - other) > 4 * 2.3


def test_every_cluster_is_tinted_and_the_first_and_the_last_are_too() -> None:
    clusters = np.repeat(np.array([0, 7, 254], dtype=np.uint8), 10)[None].repeat(20, axis=0)
    picture = clustered(grey(), clusters)
    for place, number in enumerate((0, 7, 254)):
        middle = picture[5:15, 10 * place + 3 : 10 * place + 7]
        assert (middle == under(cluster_colour(number)[1])).all()


def test_colours_are_told_apart_without_hue() -> None:
    """Okabe and Ito's differ in more than red and green: in blue or in lightness as well."""
    for one, other in itertools.combinations(CLASS_COLOURS.values(), 2):
        lightness = [0.299 * r + 0.587 * g + 0.114 * b for r, g, b in (one, other)]
        assert abs(lightness[0] - lightness[1]) > 15 or abs(one[2] - other[2]) > 60


@given(st.integers(8, 900), st.integers(8, 900))
def test_an_outline_is_within_its_mask_and_grows_with_the_image(height: int, width: int) -> None:
    mask = np.zeros((height, width), dtype=bool)
    mask[height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    edge = outline(mask)
    assert not (edge & ~mask).any()
    row = edge[:, width // 2]
    reach = max(1, round(min(height, width) / 300))
    assert row[height // 4 : height // 4 + min(reach, mask[:, width // 2].sum())].all()


def test_where_the_image_ends_is_no_outline() -> None:
    assert not outline(np.ones((20, 30), dtype=bool)).any()
