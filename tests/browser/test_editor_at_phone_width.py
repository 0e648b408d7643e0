"""At the width of a phone every tool of the editor is on the screen: nothing has to be scrolled sideways."""

from pathlib import Path

import pytest
from page_actions import diameter, mask_of, open_image, paint, saved, truth_of

pytestmark = pytest.mark.browser

TOOLS = ("Move", "Brush", "Eraser", "Polygon", "Fill", "Smaller brush", "Larger brush", "Undo", "Redo")


@pytest.mark.parametrize("width", [320, 390, 412])
def test_every_tool_is_on_the_screen(serve_page, open_page, lesion_copy: Path, width: int) -> None:
    served = serve_page(lesion_copy)
    page = open_page(served, width=width, height=844, has_touch=True, is_mobile=True, device_scale_factor=2)
    open_image(page, served.address, 5)
    for row in (".mask-tools", ".answers"):
        assert page.evaluate(f"(row => row.scrollWidth - row.clientWidth)(document.querySelector('{row}'))") == 0
    for name in TOOLS:
        assert page.locator(".toolbar").get_by_role("button", name=name, exact=True).count() == 1, name
    for button in page.locator(".toolbar button").all():
        box = button.bounding_box()
        assert box is not None
        assert box["x"] >= 0, button.inner_text()
        assert box["x"] + box["width"] <= width, button.inner_text()
        assert 0 <= box["y"] <= box["y"] + box["height"] <= 844, button.inner_text()
        assert min(box["width"], box["height"]) >= 24  # as WCAG 2.2 asks of what is touched
    toolbar, stage = (page.locator(name).first.bounding_box() for name in (".toolbar", ".stage"))
    assert toolbar["height"] < 844 / 3
    assert toolbar["y"] - stage["y"] > 844 / 3  # most of the image stays in view above the tools


def test_brush_size_and_redo_are_tapped_without_scrolling(serve_page, open_page, lesion_copy: Path) -> None:
    served = serve_page(lesion_copy)
    page = open_page(served, width=390, height=844, has_touch=True, is_mobile=True, device_scale_factor=2)
    open_image(page, served.address, 5)

    def tap(name: str) -> None:
        """Tap where the button is now; a click by its name would scroll it into view first."""
        box = page.get_by_role("button", name=name).first.bounding_box()
        assert box is not None
        page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    tap("Brush")
    before = diameter(page)
    tap("Larger brush")
    assert diameter(page) > before
    paint(page, [(5.3, 6.4), (20.6, 11.3)])
    painted = mask_of(page, served.address, 5)
    assert (painted != truth_of(lesion_copy, 5)).any()
    tap("Undo")
    saved(page)
    assert not page.request.get(f"{served.address}api/images/5/mask?source=edited").ok  # nothing is edited any more
    tap("Redo")
    saved(page)
    assert (mask_of(page, served.address, 5) == painted).all()
