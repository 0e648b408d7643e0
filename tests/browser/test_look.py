"""Looking: the grid filters and sorts, keeps few cells in the document, and opens images with their layers."""

from pathlib import Path

import pytest
from page_actions import open_image, until

from s4mi.data.sources.synthetic import write_synthetic

pytestmark = pytest.mark.browser


def test_filters_and_sorting_give_the_images_they_name(serve_page, open_page, lesion_copy: Path) -> None:
    page = open_page(serve_page(lesion_copy))
    page.wait_for_selector(".count:text-is('60 images')")
    page.select_option("select[name=label]", "melanoma")
    page.wait_for_selector("select[name=label] option:checked:has-text('melanoma (')", state="attached")
    wanted = int(page.locator("select[name=label] option:checked").inner_text().split("(")[1].rstrip(")"))
    page.wait_for_selector(f".count:text-is('{wanted} images')")
    shown = page.locator(".cell .facts").all_inner_texts()
    assert shown
    assert all("melanoma" in text for text in shown)
    page.click("text=Clear filters")
    page.fill("input[name=text]", "_0007")
    page.wait_for_selector(".count:text-is('1 image')")
    assert page.locator(".cell .name").all_inner_texts() == ["lesion_0007"]
    page.fill("input[name=text]", "")
    page.wait_for_selector(".count:text-is('60 images')")
    page.select_option("select[name=sort]", "group")
    page.reload()
    page.wait_for_selector(".count:text-is('60 images')")
    assert "sort=group" in page.url


def test_arrow_keys_reach_every_image_and_enter_opens_it(serve_page, open_page, lesion_copy: Path) -> None:
    page = open_page(serve_page(lesion_copy))
    page.wait_for_selector(".cell a[data-n='0']")
    for key in ("Home", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.dataset.n") == "2"
    page.keyboard.press("End")
    until(page, "document.activeElement.dataset.n === '59'")
    page.keyboard.press("Enter")
    page.wait_for_selector(".stage")
    assert "#/image/59" in page.url
    page.keyboard.press("Escape")
    page.wait_for_selector(".cells")


def test_only_cells_on_the_screen_are_in_the_document(serve_page, open_page, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    write_synthetic("lesions", folder, count=40, size=32, seed=1)
    many_rows(folder, 3000)
    page = open_page(serve_page(folder))
    page.wait_for_selector(".count:text-is('3,000 images')")
    for part in (0.1, 0.5, 0.9, 0.3, 1.0):
        page.evaluate(f"(s => s.scrollTop = {part} * s.scrollHeight)(document.querySelector('.scroller'))")
        until(
            page,
            "(() => { const box = document.querySelector('.scroller').getBoundingClientRect();"
            " const seen = [...document.querySelectorAll('.cell a')].filter(a => { const b = a.getBoundingClientRect();"
            " return b.bottom > box.top && b.top < box.bottom; });"
            " return seen.length > 0 && seen.every(a => a.querySelector('img.loaded')) })()",
        )
        assert 12 <= page.locator(".cell").count() <= 60
    assert page.locator(".cell a[data-n='2999']").count() == 1


def many_rows(folder: Path, count: int) -> None:
    """Let the images of a drawn data set appear `count` times, each as a file of its own."""
    rows = (folder / "manifest.csv").read_text().splitlines()
    drawn = [row.split(",") for row in rows[1:]]
    lines = [rows[0]]
    for n in range(count):
        row = list(drawn[n % len(drawn)])
        for column, place in ((1, "images"), (2, "masks")):
            copy = folder / place / f"copy_{n:06d}.png"
            copy.hardlink_to(folder / row[column])
            row[column] = f"{place}/{copy.name}"
        row[0] = f"copy_{n:06d}"
        lines.append(",".join(row))
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")


def test_layers_follow_their_keys_and_sliders(serve_page, open_page, lesion_copy: Path) -> None:
    served = serve_page(lesion_copy)
    page = open_page(served)
    open_image(page, served.address, 3)
    layer = page.locator("canvas[data-layer=annotation]")
    assert layer.is_visible()
    page.keyboard.press("Shift+A")
    assert not layer.is_visible()
    page.keyboard.press("Shift+A")
    slider = page.get_by_label("Annotation: opacity")
    slider.fill("0.25")
    assert layer.evaluate("canvas => canvas.style.opacity") == "0.25"
    page.keyboard.press("Escape")
    page.reload()
    open_image(page, served.address, 4)
    assert page.locator("canvas[data-layer=annotation]").evaluate("canvas => canvas.style.opacity") == "0.25"


def test_help_lists_the_keys_that_work_here(serve_page, open_page, lesion_copy: Path) -> None:
    served = serve_page(lesion_copy)
    page = open_page(served)
    open_image(page, served.address, 3)
    page.keyboard.press("?")
    text = page.locator("dialog").inner_text()
    for said in ("brush", "next image", "class melanoma", "Truth on or off", "undo"):
        assert said in text
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")


def test_bundle_was_built_from_these_sources() -> None:
    import hashlib

    from s4mi.viewer.app import STATIC

    web = Path(__file__).parents[2] / "web"
    if not web.is_dir():
        pytest.skip("no sources of the page beside this test")
    names = ["index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts"]
    files = sorted([*names, *(str(p.relative_to(web).as_posix()) for p in (web / "src").rglob("*") if p.is_file())])
    digest = hashlib.sha256()
    for name in files:
        digest.update(name.encode() + b"\0" + (web / name).read_bytes() + b"\0")
    assert (STATIC / "SOURCES.sha256").read_text().strip() == digest.hexdigest(), "run: cd web && npm run build"
