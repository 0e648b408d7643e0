import xml.etree.ElementTree as ET

import pytest

from made_pretraining import feature_map
from made_records import LESIONS
from s4mi.records import FeatureMap, MapPoint
from s4mi.reporting.figures.feature_maps import MOST_CLASSES, MOST_POINTS, draw_feature_map
from s4mi.reporting.figures.svg import INK, standalone

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def of(labels: list[list[str] | None]) -> FeatureMap:
    points = [MapPoint(id=f"{i}", part="val", labels=own, x=i, y=-i) for i, own in enumerate(labels)]
    return FeatureMap(encoder="e", projection="umap", explained=None, points=points)


def test_the_legend_counts_every_class_and_the_words_tell_where_it_lies() -> None:
    svg = draw_feature_map(feature_map(count=60, unknown=5), title="A map")
    assert {"melanoma (18)", "nevus (19)", "seborrheic keratosis (18)", "not annotated (5)"} <= set(texts(svg))
    assert "nevus: 19 images around (-" in svg
    assert "The plane shows 43 % of the variance." in svg


def test_classes_differ_by_colour_and_by_shape() -> None:
    root = ET.fromstring(draw_feature_map(feature_map(unknown=0), title="A map"))
    uses = {(use.get("href"), use.get("style")) for use in root.iter(f"{SVG}use")}
    assert len({shape for shape, _ in uses if shape}) >= len(LESIONS)
    assert len({style for _, style in uses if style and "fill:" in style}) >= len(LESIONS)


def test_a_class_looks_the_same_whatever_the_order_of_the_images() -> None:
    made = feature_map()
    turned = made.model_copy(update={"points": made.points[::-1]})
    legend = [text for text in texts(draw_feature_map(made, title="t")) if "(" in text]
    assert legend == [text for text in texts(draw_feature_map(turned, title="t")) if "(" in text]


def test_images_of_several_classes_of_none_and_of_no_annotation_are_distinguished() -> None:
    svg = draw_feature_map(of([["a"], ["a", "b"], [], None]), title="t")
    legend = [text for text in texts(svg) if "(" in text]
    assert legend == ["a (1)", "several classes (1)", "no class (1)", "not annotated (1)"]


def test_the_rarest_of_many_classes_share_a_look() -> None:
    labels = [[f"class {k:02}"] for k in range(MOST_CLASSES + 3) for _ in range(20 - k)]
    legend = [text for text in texts(draw_feature_map(of(labels), title="t")) if "(" in text]
    assert len(legend) == MOST_CLASSES + 1
    assert legend[-1] == f"other classes ({sum(20 - k for k in range(MOST_CLASSES, MOST_CLASSES + 3))})"


@pytest.mark.parametrize("count", [MOST_POINTS, 5000])
def test_a_map_of_many_images_stays_small(count: int) -> None:
    svg = draw_feature_map(feature_map(count=count), title="t")
    assert len(svg) < 60_000
    assert sum(int(text.split("(")[1][:-1]) for text in texts(svg) if "(" in text) == MOST_POINTS


def test_an_empty_map_is_no_figure() -> None:
    assert draw_feature_map(of([]), title="t") is None


def test_names_are_text_and_never_markup_nor_formulas() -> None:
    svg = draw_feature_map(of([["<script>"], ["$x^2$"]]), title="<b>")
    assert "<script" not in svg
    assert "<b>" not in svg
    assert "$x^2$ (1)" in texts(svg)


def test_on_its_own_it_is_dark_on_white() -> None:
    svg = draw_feature_map(feature_map(), title="t")
    assert "#fff" not in svg
    alone = standalone(svg)
    assert ET.fromstring(alone).get("style").startswith("background:#fff;color:#1b1f24;")
    assert INK not in alone
