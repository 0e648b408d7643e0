"""From answers on the page to the next version of the data set, and to a run that has more labels."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from page_actions import mask_of, open_image, paint, saved, set_diameter, unlabel, until

from conftest import TRANSFER
from s4mi.data.manifest import load_manifest
from s4mi.data.masks import read_mask
from s4mi.data.versions import load_version
from s4mi.recipes.train import train

pytestmark = pytest.mark.browser

ANSWERED = 20


def test_merged_answers_are_the_next_version_and_train_the_next_run(
    serve_page, open_page, lesion_copy: Path, quick: Callable, tmp_path: Path
) -> None:
    truth = [row.labels for row in load_manifest(lesion_copy).rows]
    unlabel(lesion_copy, ANSWERED)
    before = train(quick(lesion_copy, TRANSFER, epochs=1), tmp_path / "before").labels.train_labelled
    served = serve_page(lesion_copy)
    page = open_page(served, "#/image/0")
    classes = page.request.get(f"{served.address}api/session").json()["dataset"]["classes"]
    for n in range(ANSWERED):
        until(page, f"document.querySelector('h1')?.textContent.startsWith('lesion_{n:04d}')")
        page.wait_for_selector(".stage")
        page.keyboard.press(str(classes.index(truth[n][0]) + 1))
    saved(page)
    page.get_by_role("link", name="Changes").click()
    page.get_by_role("button", name="Check the merge").click()
    page.wait_for_selector(f".merge-result:has-text('No errors. Version 2 would have: {ANSWERED} annotated')")
    assert load_version(lesion_copy).version == 1
    page.get_by_role("button", name="Merge", exact=True).click()
    page.wait_for_selector(".merge-result:has-text('Merged: version 2')")
    assert "s4mi" in page.locator(".merge-result code").inner_text()
    page.wait_for_selector(".dataset:has-text('version 2')")
    assert page.locator(".badge").is_hidden()
    served.stop()
    assert [row.labels for row in load_version(lesion_copy).rows] == truth
    after = train(quick(lesion_copy, TRANSFER, epochs=1), tmp_path / "after").labels.train_labelled
    assert after > before


def test_painted_mask_is_the_mask_of_the_next_version(serve_page, open_page, lesion_copy: Path) -> None:
    served = serve_page(lesion_copy)
    page = open_page(served)
    open_image(page, served.address, 5)
    page.keyboard.press("e")
    set_diameter(page, 9)
    paint(page, [(20.3, 20.4), (30.6, 28.7)])
    painted = mask_of(page, served.address, 5)
    page.goto(served.address + "#/changes")
    page.get_by_label("also in validation and test parts").check()
    page.get_by_role("button", name="Check the merge").click()
    page.wait_for_selector(".merge-result:has-text('No errors')")
    page.get_by_role("button", name="Merge", exact=True).click()
    page.wait_for_selector(".merge-result:has-text('Merged: version 2')")
    served.stop()
    merged = load_version(lesion_copy)
    assert np.array_equal(read_mask(merged.rows[5].mask, merged.spec.mask_values), painted)
