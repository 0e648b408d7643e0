import random
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from made_data import knowing
from made_records import epochs, record, write_run
from parsed_page import Page
from s4mi.errors import S4miError
from s4mi.records import ImageScores, Leakage
from s4mi.reporting.results.unfinished_runs import UnfinishedRun, load_unfinished
from s4mi.reporting.writers.html import ReportImage, ReportRun, load_runs, write_report


def run(score: float | None = 0.6, *, config: str = "seed: 0\n", **about) -> ReportRun:
    made = record(score, **about)
    name = f"{made.dataset}-{made.task}-{made.config_hash}"
    return ReportRun(knowing(made), epochs(metric=made.metric), config, name)


def study(**about) -> list[ReportRun]:
    tasks = ["multiclass", "multilabel", "segmentation"]
    return [
        run(
            0.5 + 0.1 * (m == "b") + 0.05 * seed + fraction / 500,
            method=m,
            fraction=fraction,
            seed=seed,
            task=t,
            **about,
        )
        for t in tasks
        for m in "ab"
        for fraction in (10.0, 100.0)
        for seed in (0, 1)
    ]


def written(tmp_path: Path, runs: list[ReportRun], **about) -> str:
    return write_report(runs, tmp_path / "report.html", title="A study", **about).read_text(encoding="utf-8")


PNG = b"\x89PNG\r\n\x1a\n"
SHEETS = [
    ReportImage("Lesions", "truth in white", PNG, "six lesions", dataset="lesions"),
    ReportImage("Elsewhere", "of no data set", PNG, "a sheet"),
]


FAILED = UnfinishedRun("runs/c", "failed", "the loss is not finite", 2, 1, 4, "2025-01-01", "epochs: 4\n", "a log line")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(
        tmp_path_factory.mktemp("report"), study(synthetic=True), notes=["a note"], sheets=SHEETS, unfinished=[FAILED]
    )


def test_the_page_asks_the_network_for_nothing(text: str) -> None:
    page = Page(text)
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "poster", "data", "action", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,")), (tag, attributes)
        assert tag not in ("script", "link", "iframe", "object", "embed")
        assert not any(name.startswith("on") for name in attributes)
    assert "@import" not in text
    assert re.findall(r"url\((?!#)", text) == []
    assert set(re.findall(r'\S*https?://[^\s"<]*', text)) == {'xmlns="http://www.w3.org/2000/svg'}


def test_every_picture_has_words(text: str) -> None:
    page = Page(text)
    assert len(page.all("img")) == 2
    assert all(image["alt"] for image in page.all("img"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert len(page.all("svg")) >= 10
    for svg in page.all("svg"):
        assert svg["role"] == "img"
        assert all(name in ids for name in svg["aria-labelledby"].split())


def test_headings_come_in_order_and_links_arrive(text: str) -> None:
    page = Page(text)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = {attributes.get("id") for _, attributes in page.elements}
    assert all(link["href"][1:] in ids for link in page.all("a"))


def test_tables_have_captions_scopes_and_their_own_scrolling(text: str) -> None:
    page = Page(text)
    tables = len(page.all("table"))
    assert len(page.all("caption")) == tables
    assert all(head.get("scope") in ("col", "row") for head in page.all("th"))
    assert len([a for a in page.all("div") if a.get("class") == "scroll" and a["tabindex"] == "0"]) >= tables


def test_two_seeds_that_overlap_are_not_significant_at_the_top(text: str) -> None:
    page = Page(text)
    head = page.text.split("Please note")[0]
    assert head.count("b · resnet10, the best mean of 2; its lead over a · resnet10 is not significant") == 6
    assert head.count("2 seeds per score") == 3, "n is said once a card"
    assert page.text.count("difference to a · resnet10 is not significant across seeds") == 6, (
        "three sections, at 10 % and at 100 %"
    )


def test_every_run_shows_its_hashes_settings_and_versions(text: str) -> None:
    page = Page(text)
    sections = [each for each in page.all("details") if "open-in-print" in each.get("class", "")]
    assert len(page.all("details")) - len(sections) == 24 + 1, "and one that failed"
    made = record(seed=1, method="b")
    for shown in (made.config_hash, made.split_hash, made.data_hash, "0123abc", "torch 2.11.0", "seed: 0"):
        assert shown in page.text


def test_a_failed_run_is_told_at_the_head_and_shown_with_its_reason_log_and_settings(text: str) -> None:
    page = Page(text)
    assert "1 run in this folder is not included: 1 failed." in page.text.split("Synthetic images")[0]
    rows = page.text.split("Failed and unfinished runs")[-1]
    for shown in ("failed twice", "1 of 4 epochs", "the loss is not finite", "a log line", "epochs: 4"):
        assert shown in rows


def test_the_data_card_says_source_split_and_that_nothing_leaks(text: str) -> None:
    page = Page(text).text
    assert page.count("Data Synthetic") == 1, "one data set, three tasks"
    for shown in ("A hospital", "CC0-1.0", "660 (660 PNG)", "random, by patient", "test0"):
        assert shown in page
    assert page.count("Leakage: None found.") == 3


def test_a_leak_is_loud(tmp_path: Path) -> None:
    leak = Leakage(kind="near", parts=("train", "test"), pairs=5)
    leaking = knowing(record(0.9), leaks=[leak])
    page = Page(written(tmp_path, [ReportRun(leaking, epochs(), "", "one")]))
    assert "their scores are too optimistic" in page.text.split("How to read this report")[0]
    assert "training had seen test images" in page.text.split("With 48 labels")[0]
    assert "5 pairs of near-duplicate images, one training and one test image each" in page.text
    assert "None found" not in page.text
    assert any("alarm" in attributes.get("class", "") for attributes in page.all("div"))
    assert "this score is too optimistic" in page.text


def test_energy_that_was_not_measured_is_said_not_to_be(text: str) -> None:
    page = Page(text).text
    assert page.count("Energy was not measured") == 3
    assert not re.search(r"\d Wh\b", page)


def test_energy_that_was_measured_stands_beside_the_score(tmp_path: Path) -> None:
    made = record(0.6)
    cost = made.cost.model_copy(update={"energy_wh": 1.25, "energy_of": "processor"})
    page = Page(written(tmp_path, [ReportRun(made.model_copy(update={"cost": cost}), epochs(), "", "one")])).text
    assert "Energy Wh" in page
    assert "1.25 processor" in page
    assert "hardware counters (processor)" in page


def test_every_class_has_its_own_row_of_scores(text: str) -> None:
    page = Page(text).text
    assert page.count("Test F1 per class") == 2, "multi-class and multi-label; the lesion is alone"
    assert "melanoma 20 test images" in page


def test_the_score_by_labels_is_drawn_once_for_each_task_in_its_card(text: str) -> None:
    assert Page(text).text.count("by number of labelled images: means") == 3
    cards = text.split('<article class="card"')[1:]
    assert [card.split("</article>")[0].count("<svg") for card in cards] == [1, 1, 1]


def test_a_single_point_is_no_figure_and_the_card_says_what_is_missing(tmp_path: Path) -> None:
    card = written(tmp_path, [run()]).split('<article class="card"')[1].split("</article>")[0]
    assert "<svg" not in card
    assert "More label_fractions give a curve, another technique a comparison." in card


def test_everything_after_cards_and_pictures_is_folded(text: str) -> None:
    page = Page(text)
    order = [name for name, about in page.elements if name in ("article", "img", "table", "code", "pre")]
    assert order[:3] == ["article"] * 3
    assert order.index("img") < min(order.index(name) for name in ("table", "code", "pre"))
    folded = [
        parents for (name, _), parents in zip(page.elements, page.parents, strict=True) if name in ("table", "pre")
    ]
    assert folded
    assert all("details" in parents for parents in folded)
    assert not any("open" in each for each in page.all("details"))


def test_words_for_screen_readers_scroll_with_their_table_and_never_widen_the_page(text: str) -> None:
    rules = dict(re.findall(r"^(\.\w+) \{([^}]*)\}", text, re.MULTILINE))
    assert "position: absolute" in rules[".hidden"]
    assert "position: relative" in rules[".scroll"]
    assert "overflow-x: auto" in rules[".scroll"]


def test_a_page_has_a_language_and_fits_a_phone(text: str) -> None:
    page = Page(text)
    assert page.all("html")[0]["lang"] == "en"
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")


def test_the_order_of_runs_is_nothing(tmp_path: Path, text: str) -> None:
    runs = study(synthetic=True)
    random.Random(1).shuffle(runs)
    assert written(tmp_path, runs, notes=["a note"], sheets=SHEETS, unfinished=[FAILED]) == text


def test_synthetic_images_are_called_so_and_others_are_not(tmp_path: Path) -> None:
    drawn = Page(written(tmp_path, [run(dataset="drawn", synthetic=True), run(dataset="photographed")])).text
    assert "Synthetic images drawn: generated by s4mi, not photographed" in drawn
    assert drawn.count("generated by s4mi, not photographed") == 1, "at the top"
    assert drawn.count("data synthetic") == 1, "at its section"
    assert "generated by s4mi" not in Page(written(tmp_path, [run()])).text


def test_one_seed_shows_no_interval(tmp_path: Path) -> None:
    page = Page(written(tmp_path, [run(0.6)])).text
    results = page.split("How to read this report")[1]  # past the contents: sections and runs
    assert "0.600" in results
    assert not re.search(r"\d ± \d", results)


def test_an_untested_run_shows_its_validation_score_as_such_and_nowhere_else(tmp_path: Path) -> None:
    page = Page(written(tmp_path, [run(None)])).text
    assert page.count("0.990") == 1
    assert "Validation macro F1 0.990" in page


def test_what_comes_from_outside_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert('x')</script>"
    runs = [run(classes=[evil, "b"], dataset=evil, method=evil, backbone=evil, config=evil)]
    sheets = [ReportImage(evil, evil, PNG, f'"{evil}')]
    text = write_report(runs, tmp_path / "r.html", title=evil, notes=[evil], sheets=sheets).read_text(encoding="utf-8")
    assert "<script" not in text
    assert evil in Page(text).text


def test_no_run_gives_a_page_that_says_so(tmp_path: Path) -> None:
    page = Page(written(tmp_path, [], notes=["a: not finished"])).text
    assert "There is no finished run yet." in page
    assert "a: not finished" in page


def test_another_metric_may_lead(tmp_path: Path) -> None:
    page = Page(written(tmp_path, [run()], classification="recall_macro")).text
    assert "Test macro recall by label fraction Mean with its 95 % confidence interval" in page
    with pytest.raises(S4miError, match="unknown metric 'x'"):
        written(tmp_path, [run()], segmentation="f1", classification="x")


def test_runs_are_found_at_any_depth_and_the_unfinished_are_told(tmp_path: Path) -> None:
    write_run(tmp_path / "study/one", record(0.5, seed=0))
    write_run(tmp_path / "study/deep/two", record(0.6, seed=1), config="lr: 1\n")
    write_run(tmp_path / "study/three", None)
    write_run(tmp_path / "study/broken", record())
    (tmp_path / "study/broken/record.json").write_text("{", encoding="utf-8")
    runs, notes = load_runs(tmp_path / "study")
    assert [loaded.directory for loaded in runs] == ["deep/two", "one"]
    assert runs[0].config_text == "lr: 1\n"
    assert runs[0].epochs == epochs()
    assert notes == []
    lost = load_unfinished(tmp_path / "study")
    assert [one.directory for one in lost] == ["broken", "three"]
    page = Page(written(tmp_path, runs, unfinished=lost)).text
    assert "2 runs in this folder are not included: 1 unfinished and 1 with an unreadable record." in page
    assert "three unfinished 4 epochs" in page
    assert str(tmp_path) not in page


def test_a_run_directory_itself_is_a_folder_of_one_run(tmp_path: Path) -> None:
    write_run(tmp_path / "only", record())
    runs, notes = load_runs(tmp_path / "only")
    assert ([loaded.directory for loaded in runs], notes) == (["only"], [])


def test_a_folder_that_is_not_there_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(S4miError, match="no such folder"):
        load_runs(tmp_path / "nowhere")


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_text_stands_out_in_light_and_dark(text: str) -> None:
    blocks = [dict(re.findall(r"--([\w-]+): (#\w+)", block)) for block in re.findall(r":root \{([^}]*)\}", text)]
    assert len(blocks) == 2
    for colours in blocks:
        for ink, paper in [
            ("ink", "paper"),
            ("quiet", "paper"),
            ("link", "paper"),
            ("ink", "tint"),
            ("quiet", "tint"),
            ("ink", "warn-paper"),
            ("link", "warn-paper"),
            ("quiet", "warn-paper"),
            ("ink", "alarm-paper"),
            ("link", "alarm-paper"),
        ]:
            assert contrast(colours[ink], colours[paper]) >= 4.5, (ink, paper)
        for edge, paper in [("warn-line", "paper"), ("alarm-line", "paper"), ("alarm-line", "alarm-paper")]:
            assert contrast(colours[edge], colours[paper]) >= 3, (edge, paper)


def test_test_images_of_a_seed_and_of_all_seeds_are_distinguished(tmp_path: Path) -> None:
    def scored(seed: int) -> ReportRun:
        one = run(0.6, seed=seed, task="segmentation")
        own = tuple(
            ImageScores(
                image=f"i{(seed * 60 + n) % 150}", group=None, iou={"lesion": 0.5}, dice={"lesion": 0.6},
                hd95={"lesion": None}, assd={"lesion": None},
            )
            for n in range(120)
        )  # fmt: skip
        return replace(one, images=own, directory=f"runs/{seed}")

    write_report([scored(0), scored(1)], tmp_path / "two.html", title="Two")
    assert "120 test images per seed, 150 different ones in total." in Page((tmp_path / "two.html").read_text()).text
    write_report([scored(0)], tmp_path / "one.html", title="One")
    assert "60 validation and 120 test images. Classes" in Page((tmp_path / "one.html").read_text()).text


def test_with_all_labels_alone_nothing_is_said_of_fewer(tmp_path: Path) -> None:
    made = [
        run(s + 0.01 * seed, method=m, fraction=100.0, seed=seed)
        for m, s in (("finetune", 0.5), ("dino", 0.7))
        for seed in (0, 1)
    ]
    text = Page(write_report(made, tmp_path / "r.html", title="Full").read_text(encoding="utf-8")).text
    assert "tested with only one number of labels); add label_fractions=" in text
    assert "reaches full supervision" not in text
