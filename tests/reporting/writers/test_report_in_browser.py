"""The report as a browser shows it, on a desk and on a phone: nothing is cut, cards come first, the rest is folded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from made_data import knowing
from made_records import epochs, record
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.unfinished_runs import UnfinishedRun
from s4mi.reporting.writers.html import ReportImage, write_report

pytestmark = pytest.mark.browser
WIDTHS = {"desk": 1280, "phone": 390}
TASKS = ("multiclass", "multilabel", "segmentation")
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f64540"
    "0000000049454e44ae426082"
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tasks with long names, a failed run, notes and pictures."""
    made = [
        record(0.5 + 0.1 * (m == "dino") + 0.05 * seed + fraction / 500, method=m, fraction=fraction, seed=seed, task=t,
               backbone="vit_small_patch14_dinov2 + a_backbone_with_a_long_name")
        for t in TASKS for m in ("finetune", "dino", "classical") for fraction in (10.0, 100.0) for seed in (0, 1)
    ]  # fmt: skip
    runs = [
        ReportRun(knowing(each), epochs(metric=each.metric), "seed: 0\n", f"runs/{n}") for n, each in enumerate(made)
    ]
    failed = UnfinishedRun("runs/c", "failed", "the loss is not finite", 2, 1, 4, "2025-01-01", "epochs: 4\n", "a log")
    path = tmp_path_factory.mktemp("report") / "report.html"
    return write_report(
        runs, path, title="A study of lesions", notes=["a note"] * 5, unfinished=[failed],
        sheets=[ReportImage("Masks", "truth in white", PNG, "masks", dataset="lesions")],
        progress="36 of 60 runs done; left: 24 of seed 2.",
    )  # fmt: skip


@pytest.fixture(params=WIDTHS)
def page(request: pytest.FixtureRequest, chromium: Any, report: Path) -> Iterator[Any]:
    opened = chromium.new_page(viewport={"width": WIDTHS[request.param], "height": 850})
    opened.goto(report.as_uri())
    yield opened
    opened.close()


def overflow(page: Any) -> int:
    """Pixels by which the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def unfold(page: Any) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")


def test_the_page_is_never_wider_than_the_window(page: Any) -> None:
    assert overflow(page) <= 0
    unfold(page)
    assert overflow(page) <= 0


def test_the_first_screen_has_cards_and_each_task_its_one_figure(page: Any) -> None:
    cards = page.locator("article.card")
    assert cards.count() == len(TASKS)
    assert all(cards.nth(n).locator("svg[role=img]").count() == 1 for n in range(len(TASKS)))
    first = cards.first.bounding_box()
    assert first["y"] < 450, "below title and progress only"
    assert first["y"] < page.locator("img").first.bounding_box()["y"]


def test_everything_below_the_pictures_is_folded(page: Any) -> None:
    assert page.locator("details[open]").count() == 0
    picture = page.locator("img").first.bounding_box()["y"]
    for section in page.locator("details.section").all():
        box = section.bounding_box()
        assert box["y"] > picture
        assert box["height"] < 140
    assert not page.locator("table").first.is_visible()


def test_no_table_is_cut_without_a_sign(page: Any) -> None:
    """Where a table is wider than its place it scrolls, with a shadow; on a phone rows of more than two cells stack."""
    unfold(page)
    for place in page.locator("div.scroll").all():
        if place.evaluate("each => each.scrollWidth > each.clientWidth"):
            assert "gradient" in place.evaluate("each => getComputedStyle(each).backgroundImage")
            assert page.viewport_size["width"] > 390 or place.locator("table.stacks").count() == 0
    if page.viewport_size["width"] == 390:
        cells = page.locator("table.stacks tbody tr").first.locator("td")
        tops = [cells.nth(n).bounding_box()["y"] for n in range(cells.count())]
        assert tops == sorted(set(tops)), "one below the other"


def test_cards_fill_a_wide_window(chromium: Any, report: Path) -> None:
    page = chromium.new_page(viewport={"width": 1280, "height": 850})
    page.goto(report.as_uri())
    boxes = [card.bounding_box() for card in page.locator("article.card").all()]
    assert max(box["x"] + box["width"] for box in boxes) > 1280 - 64
    page.close()


def test_printing_unfolds_the_sections(chromium: Any, report: Path) -> None:
    page = chromium.new_page()
    page.goto(report.as_uri())
    table = page.locator("table").first
    heights = [page.evaluate("document.documentElement.scrollHeight")]
    page.emulate_media(media="print")
    heights.append(page.evaluate("document.documentElement.scrollHeight"))
    assert heights[1] > 2 * heights[0]
    assert table.evaluate("each => each.getClientRects().length && each.checkVisibility()")
    page.close()


def test_no_text_in_a_figure_of_a_card_is_cut(page: Any) -> None:
    beyond = page.evaluate(
        """[...document.querySelectorAll('.card svg')].flatMap(svg => {
             const box = svg.getBoundingClientRect();
             return [...svg.querySelectorAll('text')].filter(text => {
               const own = text.getBoundingClientRect();
               return own.right > box.right + 1 || own.left < box.left - 1 || own.bottom > box.bottom + 1;
             }).map(text => text.textContent);
           })"""
    )
    assert beyond == []
