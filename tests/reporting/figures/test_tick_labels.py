"""Labels of ticks never lie over another, and the ends of an axis are always labelled."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from s4mi.reporting.figures.direct_labels import EndLabel, label_ends
from s4mi.reporting.figures.style import fraction_axis, label_fractions, one_axes, without_overlap
from s4mi.reporting.results.label_names import LabelColumn


@given(st.lists(st.tuples(st.floats(0, 300), st.floats(5, 40)), min_size=1, max_size=12))
def test_written_labels_are_apart_and_no_other_would_fit(labels: list[tuple[float, float]]) -> None:
    places, widths = sorted(place for place, _ in labels), [width for _, width in labels]
    written = without_overlap(places, widths)
    assert {0, len(labels) - 1} <= set(written)
    inner = [pair for pair in pairwise(written) if pair != (0, len(labels) - 1)]
    for one, other in inner:
        assert places[one] + widths[one] / 2 <= places[other] - widths[other] / 2 + 1e-9
        for between in range(one + 1, other):  # over the label before, or over the last one
            before = places[one] + widths[one] / 2 > places[between] - widths[between] / 2
            last = places[between] + widths[between] / 2 > places[-1] - widths[-1] / 2
            assert before or last


def test_the_usual_eight_fractions_keep_what_fits() -> None:
    assert without_overlap([0, 58, 91, 115, 148, 191, 224, 247], [22, 22, 22, 22, 22, 22, 22, 28]) == [
        0,
        1,
        2,
        3,
        4,
        5,
        7,
    ]
    assert without_overlap([0, 10, 20, 30], [22, 22, 22, 22]) == [0, 3]


def test_of_amounts_that_are_not_in_order_the_lowest_place_is_labelled() -> None:
    figure = Figure(figsize=(4.4, 2.6))
    axes = figure.add_subplot()
    axes.plot([16, 20.5, 161], [0.8, 0.6, 0.9])
    columns = [LabelColumn(0.0, 20, 21), LabelColumn(10.0, 16, 16), LabelColumn(100.0, 161, 161)]
    fraction_axis(axes, [20.5, 16.0, 161.0], logarithmic=True)
    label_fractions(axes, columns, [20.5, 16.0, 161.0])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["", "10 %", "100 %"]
    assert sorted(text.get_text() for text in axes.texts) == ["16", "161"]


@settings(max_examples=20)
@given(st.floats(1.0, 60.0))
def test_labels_are_apart_where_names_at_the_ends_take_width_from_the_axes(between: float) -> None:
    figure, axes = one_axes(height=2.6)
    axes.plot([16, 16 + between, 161], [0.8, 0.6, 0.9])
    columns = [LabelColumn(0.0, 20, 21), LabelColumn(10.0, 16, 16), LabelColumn(100.0, 161, 161)]
    ticks = [16 + between, 16.0, 161.0]
    fraction_axis(axes, ticks, logarithmic=True)
    figure.draw_without_rendering()
    label_ends(axes, [EndLabel("cross teaching · tiny_resnet U-Net + Swin-UNet (tiny)", 161, 0.9, "black")])
    figure.draw_without_rendering()
    label_fractions(axes, columns, ticks)
    figure.draw_without_rendering()
    boxes = sorted(
        (label.get_window_extent().x0, label.get_window_extent().x1)
        for label in axes.get_xticklabels()
        if label.get_text()
    )
    assert len(boxes) >= 2
    assert all(one[1] < other[0] for one, other in pairwise(boxes))
