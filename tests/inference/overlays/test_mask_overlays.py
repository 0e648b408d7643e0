"""Every pixel of an overlay has the colour of its class or of its comparison with the ground truth."""

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s4mi.data.formats.intensity import Pixels
from s4mi.inference.overlays.masks import (
    CLASS_COLOURS,
    CORRECT,
    FALSE_POSITIVE,
    MAX_COLOURS,
    MISSED,
    OPACITY,
    WHITE,
    Colour,
    class_colour,
    class_overlay,
    cluster_colour,
    cluster_overlay,
    comparison_overlay,
    outline,
)
from s4mi.records import IGNORE

GREY = 100


def grey(height: int = 20, width: int = 30) -> Pixels:
    return np.full((height, width, 3), GREY, dtype=np.uint8)


def tinted_grey(colour: Colour) -> list[int]:
    """Grey tinted with a colour."""
    return [round((1 - OPACITY) * GREY + OPACITY * part) for part in colour]


@pytest.mark.parametrize(
    ("truth", "predicted", "shown"),
    [
        (0, 0, None),
        (1, 1, CORRECT),
        (2, 2, CORRECT),
        (1, 0, MISSED),
        (0, 1, FALSE_POSITIVE),
        (1, 2, FALSE_POSITIVE),  # wrong class
        (IGNORE, 0, None),
        (IGNORE, 1, None),
    ],
)
def test_the_colour_of_a_pixel_depends_on_its_true_and_predicted_class(
    truth: int, predicted: int, shown: Colour | None
) -> None:
    masks = [np.full((20, 30), value, dtype=np.uint8) for value in (truth, predicted)]
    picture = comparison_overlay(grey(), masks[0], masks[1], outlined=False)
    expected = [GREY] * 3 if shown is None else tinted_grey(shown)
    assert (picture == expected).all()


def test_the_true_mask_is_outlined_in_white_except_ignored_pixels() -> None:
    truth = np.zeros((20, 30), dtype=np.uint8)
    truth[5:15, 5:15], truth[5:15, 20:25] = 1, IGNORE
    picture = comparison_overlay(grey(), truth, np.zeros_like(truth))
    white = (picture == WHITE).all(axis=2)
    np.testing.assert_array_equal(white, outline(truth == 1))
    assert (picture[6:14, 6:14] == tinted_grey(MISSED)).all()
    assert (picture[:, 20:25] == GREY).all()


def test_each_class_is_tinted_and_its_outline_is_solid() -> None:
    classes = np.zeros((20, 30), dtype=np.uint8)
    classes[4:12, 4:12], classes[4:12, 16:24] = 1, 2
    before = grey()
    picture = class_overlay(before, classes)
    for index, left in ((1, 4), (2, 16)):
        colour = class_colour(index)[1]
        assert (picture[4, left : left + 8] == colour).all()
        assert (picture[5:11, left + 1 : left + 7] == tinted_grey(colour)).all()
    assert (picture[classes == 0] == GREY).all()
    assert (before == GREY).all(), "the image is not modified"


def test_a_mask_of_background_changes_nothing() -> None:
    np.testing.assert_array_equal(class_overlay(grey(), np.zeros((20, 30), dtype=np.uint8)), grey())


def test_255_classes_have_unique_colours_and_names_then_they_repeat() -> None:
    colours = [class_colour(index) for index in range(1, MAX_COLOURS + 1)]
    assert colours[: len(CLASS_COLOURS)] == list(CLASS_COLOURS.items())
    for each in zip(*colours, strict=True):
        assert len(set(each)) == 255
    assert [class_colour(index) for index in range(256, 266)] == colours[:10]
    assert [cluster_colour(number) for number in range(MAX_COLOURS)] == colours


def test_the_first_thirty_colours_are_clearly_different_from_each_other_and_white() -> None:
    """A difference of 2.3 in CIELAB is just noticeable (Mahy et al. 1994)."""
    colours = np.array([[class_colour(index)[1] for index in range(1, 31)] + [WHITE]], dtype=np.uint8)
    lab = cv2.cvtColor(colours.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[0]
    for one, other in itertools.combinations(lab, 2):
        assert np.linalg.norm(one - other) > 4 * 2.3


def test_every_cluster_is_tinted_including_the_first_and_the_last() -> None:
    clusters = np.repeat(np.array([0, 7, 254], dtype=np.uint8), 10)[None].repeat(20, axis=0)
    picture = cluster_overlay(grey(), clusters)
    for position, number in enumerate((0, 7, 254)):
        middle = picture[5:15, 10 * position + 3 : 10 * position + 7]
        assert (middle == tinted_grey(cluster_colour(number)[1])).all()


def test_colours_are_distinguishable_without_hue() -> None:
    """Those of Okabe and Ito differ in blue or in lightness too, not only in red and green."""
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


def test_the_image_border_is_not_outlined() -> None:
    assert not outline(np.ones((20, 30), dtype=bool)).any()
