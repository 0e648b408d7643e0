"""Predictions on the page: they arrive by themselves, are a start for corrections, and two runs lie side by side."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from page_actions import mask_of, open_image, paint, saved, set_diameter, swept, until

from conftest import DEDL
from s4mi.recipes.train import train

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def runs(lesions: Path, quick: Callable, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two short runs of a segmenter."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        train(quick(lesions, DEDL, epochs=2, seed=seed), folder / f"seed{seed}")
    return [folder / "seed0", folder / "seed1"]


def test_correction_starts_from_the_prediction(serve_page, open_page, lesion_copy: Path, runs: list[Path]) -> None:
    served = serve_page(lesion_copy, "--run", runs[0])
    page = open_page(served)
    open_image(page, served.address, 5, "?run=r0")
    page.wait_for_selector("canvas[data-layer=prediction]", timeout=60_000)
    predicted = mask_of(page, served.address, 5, "prediction&run=r0")
    page.keyboard.press("r")
    saved(page)
    assert np.array_equal(mask_of(page, served.address, 5), predicted)
    page.keyboard.press("e")
    set_diameter(page, 7)
    way = [(10.3, 10.4), (35.6, 30.2)]
    paint(page, way)
    assert np.array_equal(mask_of(page, served.address, 5), swept(predicted, way, 7, value=0))


def test_two_runs_lie_side_by_side_with_one_view(serve_page, open_page, lesion_copy: Path, runs: list[Path]) -> None:
    served = serve_page(lesion_copy, "--run", runs[0], "--run", runs[1])
    page = open_page(served)
    open_image(page, served.address, 5, "?run=r0")
    page.wait_for_selector("canvas[data-layer=prediction]", timeout=60_000)
    page.keyboard.press("c")
    page.wait_for_selector("figure:nth-child(2) canvas[data-layer=prediction]", timeout=60_000)
    assert page.locator("figcaption").count() == 2
    page.keyboard.press("z")
    until(page, "[...document.querySelectorAll('.stage')].map(stage => stage.dataset.zoom).join() === '1,1'")
    for key in ("Shift+D", "Shift+U"):
        page.keyboard.press(key)
    for layer in ("difference", "doubt"):
        page.wait_for_selector(f"figure:nth-child(2) canvas[data-layer={layer}]:not([hidden])")
        drawn = "canvas => canvas.width > 0 && !canvas.hidden"
        until(page, f"[...document.querySelectorAll('canvas[data-layer={layer}]')].every({drawn})")


def test_difference_is_drawn_where_truth_and_prediction_differ(
    serve_page, open_page, lesion_copy: Path, runs: list[Path]
) -> None:
    served = serve_page(lesion_copy, "--run", runs[0])
    page = open_page(served)
    open_image(page, served.address, 5, "?run=r0")
    page.wait_for_selector("canvas[data-layer=prediction]", timeout=60_000)
    page.keyboard.press("z")
    page.keyboard.press("Shift+D")
    page.wait_for_selector("canvas[data-layer=difference]:not([hidden])")
    truth = mask_of(page, served.address, 5, "truth")
    predicted = mask_of(page, served.address, 5, "prediction&run=r0")
    stage = page.locator(".stage")
    x, y = (round(float(stage.get_attribute(f"data-{axis}") or "nan")) for axis in "xy")
    canvas = "document.querySelector('canvas[data-layer=difference]').getContext('2d')"
    pixels = f"Array.from({canvas}.getImageData({x}, {y}, 48, 48).data)"
    until(page, f"{pixels}.some(value => value > 0)")
    shown = np.array(page.evaluate(pixels), dtype=np.uint8).reshape(48, 48, 4)[..., 3] > 0
    assert np.array_equal(shown, (truth > 0) | (predicted > 0))
