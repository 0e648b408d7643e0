"""Two tabs on one image: the second is told."""

from pathlib import Path

import numpy as np
import pytest
from page_actions import drag, mask_of, open_image, paint, saved, set_diameter, swept, to_screen, truth_of

pytestmark = pytest.mark.browser

FIRST, SECOND = [(5.3, 6.4), (20.6, 11.3)], [(30.4, 30.3), (41.2, 38.7)]


def offline(page) -> None:
    """Keep events of the server from the tab, so that it does not know of the other's changes."""
    page.route("**/api/events", lambda route: route.abort())


@pytest.mark.parametrize("mine", [True, False])
def test_second_tab_chooses_between_both_masks(serve_page, open_page, lesion_copy: Path, mine: bool) -> None:
    served = serve_page(lesion_copy)
    first, second = open_page(served), open_page(served)
    offline(second)
    open_image(first, served.address, 5)
    open_image(second, served.address, 5)
    for page in (first, second):
        page.keyboard.press("b")
        set_diameter(page, 5)
    paint(first, FIRST)
    drag(second, to_screen(second, SECOND))
    second.wait_for_selector("dialog")
    assert "changed this image after you opened it" in second.locator("dialog").inner_text()
    second.locator("dialog button", has_text="Put my stroke on top" if mine else "Take theirs").click()
    saved(second)
    expected = swept(truth_of(lesion_copy, 5), FIRST, 5)
    if mine:
        expected = swept(expected, SECOND, 5)
    assert np.array_equal(mask_of(second, served.address, 5), expected)
    second.wait_for_timeout(400)
    paint(second, SECOND)  # what is painted next stands on what is shown now
    assert np.array_equal(mask_of(second, served.address, 5), swept(expected, SECOND, 5))


def test_open_tabs_see_each_other_and_each_others_changes(serve_page, open_page, lesion_copy: Path) -> None:
    served = serve_page(lesion_copy)
    first, second = open_page(served), open_page(served)
    open_image(first, served.address, 5)
    open_image(second, served.address, 5)
    second.wait_for_selector(".presence:not([hidden])")
    assert "Also open elsewhere: c-" in second.locator(".presence").inner_text()
    first.get_by_label("next image after an answer").uncheck()
    first.locator("h1").click()
    first.keyboard.press("3")
    saved(first)
    second.wait_for_selector(".labels [aria-pressed=true]:has-text('seborrheic_keratosis')")


def test_a_reloaded_tab_is_not_another(serve_page, open_page, lesion_copy: Path) -> None:
    served = serve_page(lesion_copy)
    page = open_page(served)
    for _ in range(2):
        open_image(page, served.address, 5)
        page.wait_for_timeout(500)
        assert page.locator(".presence").is_hidden()
    second = open_page(served, "#/image/5", beside=page)
    second.wait_for_selector(".presence:not([hidden])")
