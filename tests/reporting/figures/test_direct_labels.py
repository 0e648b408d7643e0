"""Names at the ends of lines: in order, near where they belong, and never over each other."""

import xml.etree.ElementTree as ET

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from made_records import record
from s4mi.reporting.figures.direct_labels import spread, wrapped
from s4mi.reporting.figures.score_by_labels import NAMED, score_by_labels
from s4mi.reporting.results.comparison import compare
from s4mi.reporting.results.scores import metric_of
from s4mi.reporting.results.tables import result_table

boxes = st.lists(st.tuples(st.floats(0, 200), st.floats(5, 25)), min_size=1, max_size=9)


@given(boxes)
def test_boxes_never_overlap_keep_their_order_and_move_no_more_than_needed(
    given_boxes: list[tuple[float, float]],
) -> None:
    centres, heights = map(list, zip(*sorted(given_boxes), strict=True))
    placed = spread(centres, heights)
    gaps = [high - low - (a + b) / 2 for low, high, a, b in
            zip(placed, placed[1:], heights, heights[1:], strict=False)]  # fmt: skip
    assert all(gap > -1e-6 for gap in gaps)
    wanted = [high - low - (a + b) / 2 for low, high, a, b in
              zip(centres, centres[1:], heights, heights[1:], strict=False)]  # fmt: skip
    if all(gap >= 0 for gap in wanted):
        np.testing.assert_allclose(placed, centres, atol=1e-9)
    assert abs(sum(placed) - sum(centres)) < 1e-6 * max(1, len(centres)) + 1e-6 * sum(centres)


def test_a_long_name_breaks_between_method_and_network() -> None:
    assert wrapped("DINO · resnet50") == ["DINO · resnet50"]
    assert wrapped("cross teaching · tiny_resnet U-Net") == ["cross teaching", "tiny_resnet U-Net"]
    assert all(len(line) <= 27 for line in wrapped("a" * 60 + " · " + "b" * 60))


def names(techniques: int) -> list[str]:
    runs = [record(0.3 + 0.03 * n, method=f"m{n:02}", fraction=f) for n in range(techniques) for f in (10.0, 100.0)]
    (comparison,) = compare(runs)
    svg = score_by_labels(comparison, result_table(comparison, metric_of("multiclass")))
    return [element.text or "" for element in ET.fromstring(svg).iter() if element.tag.endswith("text")]


def test_every_technique_is_named_at_its_line_and_of_many_the_best() -> None:
    few = names(4)
    assert {f"m{n:02} · resnet10" for n in range(4)} <= set(few)
    many = names(12)
    shown = [name for name in many if name.startswith(("m0", "m1"))]
    assert len(shown) == NAMED - 1
    assert "m11 · resnet10" in shown, "the best"
    assert f"{12 - len(shown)} others" in many


def test_the_baseline_without_a_network_is_always_named() -> None:
    runs = [
        *(record(0.5 + 0.03 * n, method=f"m{n:02}", fraction=f) for n in range(10) for f in (10.0, 100.0)),
        *(record(0.3, method="classical", backbone="colour", fraction=f) for f in (10.0, 100.0)),
    ]
    (comparison,) = compare(runs)
    svg = score_by_labels(comparison, result_table(comparison, metric_of("multiclass")))
    assert "classical · colour" in svg.split("</desc>")[1]
