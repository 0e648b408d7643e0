"""Painting: the saved mask is, pixel for pixel, what was painted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.path import Path as Outline
from page_actions import (
    diameter,
    drag,
    mask_of,
    open_image,
    paint,
    saved,
    set_diameter,
    swept,
    to_screen,
    truth_of,
)

pytestmark = pytest.mark.browser

STROKE = [(5.3, 6.4), (9.2, 7.7), (20.6, 11.3), (31.4, 8.8), (40.2, 30.7), (22.7, 41.2)]


@pytest.fixture
def opened(serve_page: Callable, open_page: Callable, lesion_copy: Path) -> tuple[Any, Any]:
    """A page with image 5 of the drawn lesions ready to be painted, and its server."""
    served = serve_page(lesion_copy)
    page = open_page(served)
    open_image(page, served.address, 5)
    return page, served


@pytest.mark.parametrize("across", [1, 2, 3, 7, 12])
def test_brush_paints_all_pixels_within_its_radius_of_the_path(opened, lesion_copy: Path, across: int) -> None:
    page, served = opened
    page.keyboard.press("b")
    set_diameter(page, across)
    paint(page, STROKE)
    assert np.array_equal(mask_of(page, served.address, 5), swept(truth_of(lesion_copy, 5), STROKE, across))


def test_eraser_and_fill_and_polygon_are_exact_too(opened, lesion_copy: Path) -> None:
    page, served = opened
    page.keyboard.press("e")
    across = 5
    set_diameter(page, across)
    paint(page, STROKE)
    expected = swept(truth_of(lesion_copy, 5), STROKE, across, value=0)
    assert np.array_equal(mask_of(page, served.address, 5), expected)

    corners = [(3.3, 3.6), (30.4, 5.3), (25.7, 20.6), (12.2, 9.8), (6.6, 25.4)]
    page.keyboard.press("g")
    for corner in to_screen(page, corners):
        page.mouse.click(*corner)
    page.keyboard.press("Enter")
    saved(page)
    y, x = np.mgrid[:48, :48] + 0.5
    inside = Outline([*corners, corners[0]]).contains_points(np.column_stack([x.ravel(), y.ravel()])).reshape(48, 48)
    expected[inside] = 1
    assert np.array_equal(mask_of(page, served.address, 5), expected)

    from skimage.morphology import flood

    page.keyboard.press("f")
    page.mouse.click(*to_screen(page, [(47.5, 0.5)])[0])
    saved(page)
    expected[flood(expected, (0, 47), connectivity=1)] = 1
    assert np.array_equal(mask_of(page, served.address, 5), expected)


def test_undo_and_redo_survive_a_reload(opened, lesion_copy: Path) -> None:
    page, served = opened
    page.keyboard.press("b")
    set_diameter(page, 7)
    first, second = STROKE[:3], STROKE[3:]
    paint(page, first)
    paint(page, second)
    one = swept(truth_of(lesion_copy, 5), first, 7)
    open_image(page, served.address, 5)
    page.keyboard.press("u")
    saved(page)
    assert np.array_equal(mask_of(page, served.address, 5), one)
    page.keyboard.press("y")
    saved(page)
    assert np.array_equal(mask_of(page, served.address, 5), swept(one, second, 7))
    page.keyboard.press("u")
    page.keyboard.press("u")
    saved(page)
    assert page.request.get(f"{served.address}api/images/5").json()["annotation"]["mask"] == "none"


def test_strokes_after_an_undo_start_from_what_is_shown(opened, lesion_copy: Path) -> None:
    page, served = opened
    page.keyboard.press("b")
    set_diameter(page, 5)
    paint(page, STROKE[:3])
    page.keyboard.press("u")
    saved(page)
    paint(page, STROKE[3:])
    assert np.array_equal(mask_of(page, served.address, 5), swept(truth_of(lesion_copy, 5), STROKE[3:], 5))


def test_escape_gives_up_the_stroke_in_hand(opened, lesion_copy: Path) -> None:
    page, served = opened
    page.keyboard.press("b")
    points = to_screen(page, STROKE)
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1])
    page.keyboard.press("Escape")
    page.mouse.up()
    saved(page)
    assert page.request.get(f"{served.address}api/changes").json()["images"] == []


def test_pen_paints_without_a_pointer(opened, lesion_copy: Path) -> None:
    page, served = opened
    page.keyboard.press("e")
    set_diameter(page, 5)
    for key in ("k", "ArrowLeft", "ArrowLeft", "Space", "ArrowUp", "ArrowUp", "Shift+ArrowRight", "Space", "Escape"):
        page.keyboard.press(key)
    saved(page)
    step = 3  # half a brush, rounded
    way = [(24 - 2 * step, 24), (24 - 2 * step, 24 - step), (24 - 2 * step, 24 - 2 * step)]
    way.append((way[-1][0] + 1, way[-1][1]))
    assert np.array_equal(mask_of(page, served.address, 5), swept(truth_of(lesion_copy, 5), way, 5, value=0))


def test_finger_paints_at_phone_width(serve_page, open_page, lesion_copy: Path) -> None:
    served = serve_page(lesion_copy)
    page = open_page(served, width=390, height=844, has_touch=True, is_mobile=True, device_scale_factor=2)
    open_image(page, served.address, 5)
    page.locator("button[title=brush]").click()
    across = diameter(page)
    points = to_screen(page, STROKE)
    touch = page.context.new_cdp_session(page)
    for kind, point in [("touchStart", points[0]), *(("touchMove", point) for point in points[1:]), ("touchEnd", None)]:
        places = [] if point is None else [{"x": point[0], "y": point[1]}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})
    saved(page)
    assert np.array_equal(mask_of(page, served.address, 5), swept(truth_of(lesion_copy, 5), STROKE, across))


def test_empty_is_an_answer(opened, lesion_copy: Path) -> None:
    page, served = opened
    page.keyboard.press("x")
    saved(page)
    assert not mask_of(page, served.address, 5).any()
    assert page.request.get(f"{served.address}api/changes").json()["counts"]["empty"] == 1


def test_a_killed_server_costs_no_finished_stroke(opened, open_page, lesion_copy: Path) -> None:
    page, served = opened
    page.keyboard.press("b")
    set_diameter(page, 7)
    paint(page, STROKE[:2])
    points = to_screen(page, STROKE[2:])
    place = page.locator(".stage").bounding_box()
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1])
    served.kill()
    page.mouse.move(*points[2])
    page.mouse.up()
    drag(page, to_screen(page, STROKE[1:3]))
    page.wait_for_selector(".banner:not([hidden])")
    assert "2 changes kept in this tab" in page.locator(".banner").inner_text()
    assert page.locator(".stage").bounding_box() == place, "the banner moved the image under the pointer"
    served.start()
    open_page(served, beside=page).close()  # the new address, opened in the same browser, lets the first tab in again
    saved(page)
    assert page.locator(".banner").is_hidden()
    expected = swept(swept(swept(truth_of(lesion_copy, 5), STROKE[:2], 7), STROKE[2:5], 7), STROKE[1:3], 7)
    assert np.array_equal(mask_of(page, served.address, 5), expected)
