import subprocess
import sys
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from made_records import epochs, record
from s4mi.maths.stats import Interval
from s4mi.records import RunRecord
from s4mi.reporting.figures import results as figures
from s4mi.reporting.figures.score_by_labels import score_by_labels
from s4mi.reporting.figures.style import COLOURS, LineStyle, draw_intervals
from s4mi.reporting.figures.svg import INK
from s4mi.reporting.results.comparison import Comparison, Technique, compare
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.scores import metric_of
from s4mi.reporting.results.tables import result_table

SVG = "{http://www.w3.org/2000/svg}"
BEST = Technique("transfer", "resnet10")


def study(**about) -> list[RunRecord]:
    return [
        record(0.4 + 0.1 * (m == "transfer") + 0.003 * f + 0.01 * s, method=m, fraction=f, seed=s, **about)
        for m in ("cass", "transfer")
        for f in (10.0, 100.0)
        for s in (0, 1)
    ]


def curves(comparison: Comparison) -> str | None:
    runs = [ReportRun(r, epochs(metric=r.metric), "", "") for r in comparison.records]
    return figures.learning_curves(comparison, runs)


DRAW: dict[str, Callable[[Comparison], str | None]] = {
    "score": lambda comparison: score_by_labels(comparison, result_table(comparison, metric_of(comparison.task))),
    "cost": figures.cost_score,
    "class": figures.per_class_bars,
    "confusion": lambda comparison: figures.confusion(comparison, BEST, fraction=100),
    "curves": curves,
}
every_figure = pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


@every_figure
@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_a_figure_can_be_read_out_and_loads_nothing(draw: Callable, task: str) -> None:
    svg = draw(compare(study(task=task))[0])
    root = ET.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    names = {element.get("id"): element.text for element in root if element.tag in (f"{SVG}title", f"{SVG}desc")}
    assert list(names) == root.get("aria-labelledby").split()
    assert all(names.values())
    assert not root.findall(f".//{SVG}image"), "no raster"
    links = [value for e in root.iter() for name, value in e.attrib.items() if name.endswith("href")]
    assert all(link.startswith("#") for link in links)
    assert svg.count("http") == 1, "the namespace alone"
    assert len(svg) < 60_000


@every_figure
def test_a_figure_is_the_same_every_time_whatever_the_order(draw: Callable) -> None:
    forward, backward = compare(study())[0], compare(study()[::-1])[0]
    assert draw(forward) == draw(backward)


@every_figure
def test_a_figure_depends_on_no_setting_of_the_user_and_changes_none(draw: Callable) -> None:
    (comparison,) = compare(study())
    plain = draw(comparison)
    with mpl.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.facecolor": "red"}):
        before = dict(mpl.rcParams)
        assert draw(comparison) == plain
        assert dict(mpl.rcParams) == before


@every_figure
def test_ink_is_the_colour_of_the_page(draw: Callable) -> None:
    svg = draw(compare(study())[0])
    assert "currentColor" in svg
    assert INK not in svg
    assert "#000000" not in svg
    assert "#ffffff" not in svg


def test_ids_of_two_figures_never_clash_and_every_reference_holds() -> None:
    (comparison,) = compare(study())
    drawn = [draw(comparison) for draw in DRAW.values()]
    ids = [e.get("id") for svg in drawn for e in ET.fromstring(svg).iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    for svg in drawn:
        own = {e.get("id") for e in ET.fromstring(svg).iter()}
        for element in ET.fromstring(svg).iter():
            for value in element.attrib.values():
                if value.startswith("#") and element.tag == f"{SVG}use":
                    assert value[1:] in own
                if "url(#" in value:
                    assert value.split("url(#")[1].split(")")[0] in own


def test_score_by_fraction_says_the_numbers_and_names_every_technique() -> None:
    svg = DRAW["score"](compare(study())[0])
    assert "transfer · resnet10 with 48: 0.535 (0.471–0.599) (n = 2)" in svg
    assert {"10 %", "100 %", "48", "480", "CASS · resnet10", "transfer · resnet10"} <= set(texts(svg))


def test_without_a_test_score_there_is_no_figure_but_the_learning_curves() -> None:
    (comparison,) = compare([record(None)])
    assert [name for name, draw in DRAW.items() if draw(comparison)] == ["curves"]


def test_without_epochs_there_are_no_learning_curves() -> None:
    (comparison,) = compare(study())
    assert figures.learning_curves(comparison, [ReportRun(r, (), "", "") for r in comparison.records]) is None


def test_the_confusion_matrix_sums_over_seeds_and_shares_by_row() -> None:
    runs = study()
    svg = figures.confusion(compare(runs)[0], BEST, fraction=100)
    tests = [r.test for r in runs if r.method == "transfer" and r.label_fraction == 100]
    counts = np.sum([test.confusion for test in tests], axis=0)
    shown = texts(svg)
    for count, part in zip(counts.ravel(), (counts / counts.sum(axis=1, keepdims=True)).ravel(), strict=True):
        assert str(count) in shown
        assert f"{round(100 * part)} %" in shown


def test_a_multilabel_confusion_shares_by_presence() -> None:
    run = record(0.75, task="multilabel", classes=["a", "b"], fraction=100)
    test = run.test.model_copy(update={"confusion": [[60, 40, 5, 15], [100, 0, 0, 20]]})
    svg = figures.confusion(compare([run.model_copy(update={"test": test})])[0], BEST, fraction=100)
    assert "a: true positive 15, false negative 5, false positive 40, true negative 60" in svg
    assert "b: true positive 20, true negative 100." in svg
    assert {"75 %", "25 %", "40 %", "60 %", "100 %"} <= set(texts(svg))


@every_figure
def test_names_are_text_and_never_markup_nor_formulas(draw: Callable) -> None:
    names = ["<script>alert(1)</script>", "$x^2$ & more", "癌"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg = draw(compare(study(classes=names, dataset="<b>set</b>"))[0])
    assert "<script" not in svg
    assert "<b>" not in svg
    if draw in (DRAW["class"], DRAW["confusion"]):
        assert {"$x^2$ & more", "癌"} <= set(texts(svg))


def test_a_single_seed_gets_no_bar() -> None:
    axes = Figure().subplots()
    points = [(0.0, Interval(0.5, None, None, 1)), (1.0, Interval(0.5, 0.4, 0.6, 2))]
    draw_intervals(axes, points, LineStyle("#000", "o", "-"))
    _, _, (bars,) = axes.containers[0]
    heights = [segment[:, 1] for segment in bars.get_segments() if len(segment)]
    assert len(heights) == 1
    np.testing.assert_allclose(heights[0], [0.4, 0.6])


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.parametrize("paper", ["#ffffff", "#14181d"])
def test_the_first_four_colours_stand_out_from_both_papers(paper: str) -> None:
    for colour in COLOURS[:4]:
        high, low = sorted([luminance(colour), luminance(paper)], reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 2.95, colour


def test_a_report_loads_neither_torch_nor_pyplot() -> None:
    code = (
        "import sys, s4mi.reporting.writers.html; "
        "print([m for m in ('torch', 'torchvision', 'timm', 'monai', 'matplotlib.pyplot') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
