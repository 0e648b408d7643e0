"""Classifying by keyboard alone."""

from pathlib import Path

import pytest
from page_actions import saved, unlabel, until

pytestmark = pytest.mark.browser

CLASSES = ("nevus", "melanoma", "seborrheic_keratosis")


def test_twenty_images_are_classified_by_one_key_each(serve_page, open_page, lesion_copy: Path) -> None:
    unlabel(lesion_copy, 25)
    served = serve_page(lesion_copy)
    page = open_page(served)
    page.wait_for_selector(".cell a[data-n='0']")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    for n in range(20):
        until(page, f"location.hash.startsWith('#/image/{n}?') && document.querySelector('.stage')")
        until(page, f"document.querySelector('h1')?.textContent.startsWith('lesion_{n:04d}')")
        page.keyboard.press(str(n % 3 + 1))
    saved(page)
    changes = page.request.get(f"{served.address}api/changes").json()
    assert changes["counts"]["labels"] == 20
    assert [(one["n"], one["labels"]) for one in changes["images"]] == [(n, [CLASSES[n % 3]]) for n in range(20)]
    assert page.locator(".badge").inner_text().startswith("20")


def test_class_key_is_undone_and_redone_after_a_reload(serve_page, open_page, lesion_copy: Path) -> None:
    served = serve_page(lesion_copy)
    page = open_page(served, "#/image/0")
    page.wait_for_selector("button[aria-pressed=true]:has-text('nevus'), button[aria-pressed=true]:has-text('mel')")
    page.get_by_label("next image after an answer").uncheck()
    page.locator("h1").click()
    before = page.locator(".labels [aria-pressed=true]").inner_text()
    page.keyboard.press("3")
    saved(page)
    page.reload()
    page.wait_for_selector(".labels [aria-pressed=true]:has-text('seborrheic_keratosis')")
    page.keyboard.press("u")
    until(page, f"document.querySelector('.labels [aria-pressed=true]')?.innerText === {before!r}")
    page.keyboard.press("y")
    page.wait_for_selector(".labels [aria-pressed=true]:has-text('seborrheic_keratosis')")


def test_skip_has_a_reason(serve_page, open_page, lesion_copy: Path) -> None:
    served = serve_page(lesion_copy)
    page = open_page(served, "#/image/2")
    page.wait_for_selector(".stage")
    page.keyboard.press("s")
    page.keyboard.type("blurred")
    page.keyboard.press("Enter")
    saved(page)
    changes = page.request.get(f"{served.address}api/changes").json()
    assert [(one["n"], one["what"], one["reason"]) for one in changes["images"]] == [(2, "skip", "blurred")]


def test_several_labels_of_an_image(serve_page, open_page, cells: Path, tmp_path: Path) -> None:
    import shutil

    served = serve_page(Path(shutil.copytree(cells, tmp_path / "cells")))
    page = open_page(served, "#/image/1")
    page.wait_for_selector(".stage")
    page.keyboard.press("0")
    saved(page)
    page.keyboard.press("1")
    page.keyboard.press("4")
    saved(page)
    classes = page.request.get(f"{served.address}api/session").json()["dataset"]["classes"]
    answer = page.request.get(f"{served.address}api/images/1").json()["annotation"]
    assert answer["labels"] == [classes[0], classes[3]]
